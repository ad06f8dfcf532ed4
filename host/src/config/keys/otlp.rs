//! The keys of the section `otlp`.

use super::super::collector::CollectorUrl;
use super::super::key::{Change, Declared, Key};
use super::super::range::Span;
use super::super::secret_place::SecretPlace;
use super::super::shape::Flag;
use super::super::subject::Fallback;
use super::HOUR_MS;

keys! {
    OTLP_ENDPOINT: CollectorUrl = Key::new(
        "otlp.endpoint",
        CollectorUrl,
        Fallback::Derived { doc: "none: nothing is sent", example: "http://127.0.0.1:4318" },
        "The collector to which the host sends [metrics and traces](web.md#opentelemetry), with OTLP over HTTP.",
    )
    .when_changed(Change::Harmless);

    OTLP_TOKEN: SecretPlace = Key::new(
        "otlp.token",
        SecretPlace,
        Fallback::Derived { doc: "none", example: "file:collector.txt" },
        "The file or the environment variable with the token that the collector wants as `Authorization: Bearer TOKEN`. \
         A file is relative to the job file.",
    )
    .when_changed(Change::Harmless);

    OTLP_INTERVAL: Span = Key::new(
        "otlp.interval",
        Span { min_ms: 100, max_ms: HOUR_MS },
        Fallback::Text("10s"),
        "How often metrics and traces are sent.",
    )
    .when_changed(Change::Harmless);

    OTLP_TRACES: Flag = Key::new(
        "otlp.traces",
        Flag,
        Fallback::Flag(true),
        "Whether traces are sent besides metrics: a trace for each batch, with spans for its outputs, stages and tasks.",
    )
    .when_changed(Change::Harmless);
}
