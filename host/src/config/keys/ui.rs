//! The keys of the section `ui`.

use super::super::http::ListenAddress;
use super::super::key::{Change, Declared, Key};
use super::super::range::Span;
use super::super::secret_place::SecretPlace;
use super::super::shape::FilePath;
use super::super::subject::Fallback;
use super::HOUR_MS;

keys! {
    UI_ADDRESS: ListenAddress = Key::new(
        "ui.address",
        ListenAddress,
        Fallback::Derived { doc: "none: no page is served", example: "127.0.0.1:4040" },
        "The IP address and the port at which the host serves the [page of the job](web.md), its REST interface and its \
         metrics. Port 0 stands for any free port, which the log names. Without `token`, only an address of the machine \
         itself is accepted.",
    )
    .spark("spark.ui.port")
    .when_changed(Change::Harmless);

    UI_TOKEN: SecretPlace = Key::new(
        "ui.token",
        SecretPlace,
        Fallback::Derived { doc: "none", example: "file:token.txt" },
        "The file or the environment variable with the token that clients send as `Authorization: Bearer TOKEN`. A file \
         is relative to the job file. Only who knows the token can stop the job from its page.",
    )
    .when_changed(Change::Harmless);

    UI_TLS_CERTIFICATE: FilePath = Key::new(
        "ui.tls_certificate",
        FilePath,
        Fallback::Derived { doc: "none", example: "certificate.pem" },
        "The PEM file with the certificate of the host and those of its issuers. With it, connections use TLS.",
    )
    .when_changed(Change::Harmless);

    UI_TLS_KEY: FilePath = Key::new(
        "ui.tls_key",
        FilePath,
        Fallback::Derived { doc: "none", example: "key.pem" },
        "The PEM file with the private key of `tls_certificate`.",
    )
    .when_changed(Change::Harmless);

    UI_SAMPLE_INTERVAL: Span = Key::new(
        "ui.sample_interval",
        Span { min_ms: 0, max_ms: HOUR_MS },
        Fallback::Text("10s"),
        "How often the operators of each stage are [timed on some rows](web.md#time-by-operator), for the page and for \
         metrics. `0s` stands for never. Without `address` and `otlp.endpoint`, nothing is timed.",
    )
    .when_changed(Change::Harmless);
}
