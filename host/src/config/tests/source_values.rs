//! The exact words about single values of sources.

use super::Text::Below;
use super::{Case, JOB, check, loaded};
use crate::config::{HttpSettings, PayloadFormat, Secret, SourceSettings, TlsFiles};
use crate::time::Duration;

#[test]
fn every_wrong_value_of_a_source_says_what_is_right() {
    check(VALUES);
}

/// The defaults of a source of type `http`, and what is relative to the job file.
#[test]
fn a_source_of_requests_has_defaults() {
    let http = |keys: &str| {
        let text = format!("{JOB}[sources.lines]\ntype = \"http\"\n{keys}");
        let settings = loaded(&text, &[]).expect(&text);
        let Some(SourceSettings::Http(http)) = settings.sources.get("lines").cloned() else { panic!("{settings:?}") };
        (http, settings.warnings)
    };
    let defaults = HttpSettings {
        address: "127.0.0.1:0".parse().unwrap(),
        path: "/".to_owned(),
        format: PayloadFormat::Lines,
        token: None,
        tls: None,
        max_body_bytes: 16 << 20,
        max_requests: 256,
        max_wait: Duration::from_secs(10),
        request_timeout: Duration::from_secs(30),
        restart_delay: Duration::from_secs(2),
    };
    assert_eq!(http("address = \"localhost:0\"\n"), (defaults.clone(), vec![]));
    let keys = "address = \"0.0.0.0:1\"\ntoken = \"file:t\"\ntls_certificate = \"c\"\ntls_key = \"/k\"\n";
    let expected = HttpSettings {
        address: "0.0.0.0:1".parse().unwrap(),
        token: Some(Secret::File("t".into())),
        tls: Some(TlsFiles { certificate: "c".into(), key: "/k".into() }),
        ..defaults
    };
    assert_eq!(http(keys), (expected, vec![]));
    let (_, warnings) = http("address = \"0.0.0.0:1\"\ntoken = \"env:T\"\n");
    assert!(warnings.concat().contains("the network can read the token"), "{warnings:?}");
}

const VALUES: &[Case] = &[
    Case {
        text: Below("[sources.lines]\ntype = \"socket\"\naddress = \"localhost\""),
        set: &[],
        errors: &[
            r#"job.toml line 6: sources.lines.address = "localhost" has no port"#,
            r#"help: write it as host:port, such as "127.0.0.1:9999""#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"socket\"\naddress = \":9999\""),
        set: &[],
        errors: &[
            r#"job.toml line 6: sources.lines.address = ":9999" has no host"#,
            r#"help: write it as host:port, such as "127.0.0.1:9999""#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"socket\"\naddress = \"localhost:http\""),
        set: &[],
        errors: &[
            "job.toml line 6: sources.lines.address = \"localhost:http\" has the port \"http\", not a number from \
             1 to 65535",
            r#"help: write it as host:port, such as "127.0.0.1:9999""#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"socket\"\naddress = \"localhost:65536\""),
        set: &[],
        errors: &[
            "job.toml line 6: sources.lines.address = \"localhost:65536\" has the port \"65536\", not a number \
             from 1 to 65535",
            r#"help: write it as host:port, such as "127.0.0.1:9999""#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"socket\"\naddress = \"::1:9999\""),
        set: &[],
        errors: &[
            r#"job.toml line 6: sources.lines.address = "::1:9999" has an IPv6 address without brackets"#,
            r#"help: put the host in brackets: "[::1]:9999""#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"socket\"\naddress = \"tcp://localhost:9999/\""),
        set: &[],
        errors: &[
            r#"job.toml line 6: sources.lines.address = "tcp://localhost:9999/" is a URL, not host:port"#,
            r#"help: use "localhost:9999""#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"socket\"\naddress = \"tcp://localhost\""),
        set: &[],
        errors: &[
            r#"job.toml line 6: sources.lines.address = "tcp://localhost" is a URL, not host:port"#,
            r#"help: write it as host:port, such as "127.0.0.1:9999""#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"socket\"\naddress = \"local host:1\""),
        set: &[],
        errors: &[
            r#"job.toml line 6: sources.lines.address = "local host:1" has no valid host in "local host""#,
            r#"help: write it as host:port, such as "127.0.0.1:9999""#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"socket\"\naddress = \"[::x]:1\""),
        set: &[],
        errors: &[
            r#"job.toml line 6: sources.lines.address = "[::x]:1" has no valid host in "[::x]""#,
            r#"help: write it as host:port, such as "127.0.0.1:9999""#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"http\"\naddress = \"example.org:80\""),
        set: &[],
        errors: &[
            r#"job.toml line 6: sources.lines.address = "example.org:80" is not an IP address and a port"#,
            "help: use 127.0.0.1:8080 for clients of this machine, 0.0.0.0:8080 for all machines; an IPv6 address stands \
             in brackets",
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"http\"\naddress = \"0.0.0.0:80\""),
        set: &[],
        errors: &[
            "job.toml line 6: sources.lines.address = \"0.0.0.0:80\" takes requests of other machines, which needs a \
             `token`",
            "help: add `token = \"file:token.txt\"` to let in only clients that know the token, or listen at 127.0.0.1:80",
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"http\"\naddress = \"[::1]:80\"\npath = \"a\""),
        set: &[],
        errors: &[
            r#"job.toml line 7: sources.lines.path = "a" does not begin with `/`"#,
            r#"help: write it as in `path = "/events"`; the default is "/""#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"http\"\naddress = \"[::1]:80\"\npath = \"/a?b\""),
        set: &[],
        errors: &[
            r#"job.toml line 7: sources.lines.path = "/a?b" has a `?` or a `#`, which end the path of a URL"#,
            r#"help: write it as in `path = "/events"`; the default is "/""#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"http\"\naddress = \"[::1]:80\"\ntoken = \"s3cret\""),
        set: &[],
        errors: &[
            "job.toml line 7: `sources.lines.token` does not say where the secret is; a secret does not stand in the job \
             file",
            r#"help: name a file or an environment variable, as in "file:token.txt" or "env:TOKEN""#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"http\"\naddress = \"[::1]:80\"\ntls_key = \"key.pem\""),
        set: &[],
        errors: &[
            r#"job.toml line 7: sources.lines.tls_key = "key.pem" is given without `tls_certificate`"#,
            "help: TLS needs the certificate and its key, each in a PEM file",
        ],
    },
];
