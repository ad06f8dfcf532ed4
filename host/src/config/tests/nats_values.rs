//! The exact words about single values of sources of type `nats`.

use super::Text::Below;
use super::{Case, JOB, check, loaded};
use crate::config::{DeliverFrom, NatsLogin, NatsSettings, OnBadMessage, PayloadFormat, Secret, SourceSettings};
use crate::time::Duration;

#[test]
fn every_wrong_value_of_a_stream_says_what_is_right() {
    check(VALUES);
}

/// The defaults of a source of type `nats`, and what is relative to the job file.
#[test]
fn a_source_of_a_stream_has_defaults() {
    let nats = |servers: &str, keys: &str| {
        let text = format!("{JOB}[sources.lines]\ntype = \"nats\"\nservers = \"{servers}\"\nstream = \"S\"\n{keys}");
        let settings = loaded(&text, &[]).expect(&text);
        let Some(SourceSettings::Nats(nats)) = settings.sources.get("lines").cloned() else { panic!("{settings:?}") };
        (nats, settings.warnings)
    };
    let defaults = NatsSettings {
        servers: vec!["a:1".to_owned(), "[::1]:2".to_owned()],
        stream: "S".to_owned(),
        consumer: None,
        filter_subject: None,
        deliver: DeliverFrom::All,
        format: PayloadFormat::Lines,
        login: None,
        tls: false,
        tls_ca: None,
        ack_wait: Duration::from_secs(30),
        max_ack_pending: 10_000,
        on_bad_message: OnBadMessage::Terminate,
        restart_delay: Duration::from_secs(2),
    };
    assert_eq!(nats("a:1, [::1]:2", ""), (defaults.clone(), vec![]));
    let keys = "consumer = \"c=d\"\nfilter_subject = \"a.*.>\"\ncredentials = \"file:u.creds\"\ntls_ca = \"ca.pem\"\n";
    let expected = NatsSettings {
        consumer: Some("c=d".to_owned()),
        filter_subject: Some("a.*.>".to_owned()),
        login: Some(NatsLogin::Credentials(Secret::File("u.creds".into()))),
        tls: true,
        tls_ca: Some("ca.pem".into()),
        ..defaults.clone()
    };
    assert_eq!(nats("a:1, [::1]:2", keys), (expected, vec![]));
    let password = NatsLogin::Password { user: "u".to_owned(), password: Secret::Variable("P".to_owned()) };
    let login = "user = \"u\"\npassword = \"env:P\"\n";
    let (found, warnings) = nats("a:1, [::1]:2", login);
    assert_eq!(found, NatsSettings { login: Some(password), ..defaults });
    assert!(warnings.concat().contains("the network can read the password"), "{warnings:?}");
    for (servers, keys) in [("localhost:1,[::1]:2,127.0.0.1:3", ""), ("a:1", "tls = true\n")] {
        assert_eq!(nats(servers, &format!("{login}{keys}")).1, [""; 0], "{servers}");
    }
    assert_eq!(nats("a:1", "nkey_seed = \"env:N\"\n").1, [""; 0]);
}

const VALUES: &[Case] = &[
    Case {
        text: Below(
            "[sources.lines]\ntype = \"nats\"\nservers = \"a:1,b\"\nstream = \"a.b\"\nfilter_subject = \"a.>.b\"",
        ),
        set: &[],
        errors: &[
            r#"job.toml line 6: sources.lines.servers = "a:1,b" has no port"#,
            r#"help: write it as host:port, such as "127.0.0.1:9999""#,
            r#"error: job.toml line 7: sources.lines.stream = "a.b" has a character that such a name cannot have"#,
            r#"help: use letters (a-z, A-Z), digits and signs, but no `.`, `/`, `\`, `*`, `>` or space, as in `stream = "EVENTS"`"#,
            r#"error: job.toml line 8: sources.lines.filter_subject = "a.>.b" has a `*` that is not a whole part, or a `>` that is not the whole last part"#,
            r#"help: write it as in `filter_subject = "events.>"`"#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"nats\"\nservers = \"u:s3cret@a:1\"\nstream = \"S\"\nconsumer = \"\""),
        set: &[],
        errors: &[
            "job.toml line 6: `sources.lines.servers` has an `@`: a user and a password do not stand with a server",
            "help: use the keys `user` and `password`, or another way to log in",
            r#"error: job.toml line 8: sources.lines.consumer = "" is empty"#,
            r#"help: use letters (a-z, A-Z), digits and signs, but no `.`, `/`, `\`, `*`, `>` or space, as in `consumer = "word-count"`"#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"nats\"\nservers = \"a:1\"\nstream = \"S\"\nuser = \"u\""),
        set: &[],
        errors: &[
            "job.toml line 8: `user` is given without `password`",
            "help: add `password = \"file:password.txt\"`; a token, credentials and an NKey go without a user",
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"nats\"\nservers = \"a:1\"\nstream = \"S\"\npassword = \"env:P\""),
        set: &[],
        errors: &["job.toml line 8: `password` is given without `user`", "help: add `user = \"millstream\"`"],
    },
    Case {
        text: Below(
            "[sources.lines]\ntype = \"nats\"\nservers = \"a:1\"\nstream = \"S\"\ntoken = \"env:T\"\nnkey_seed = \"env:N\"",
        ),
        set: &[],
        errors: &[
            "job.toml line 8: a connection logs in in one way, but there are `token` and `nkey_seed`",
            "help: keep the way that the server asks for",
        ],
    },
    Case {
        text: Below(
            "[sources.lines]\ntype = \"nats\"\nservers = \"a:1\"\nstream = \"S\"\ntls = false\ntls_ca = \"ca.pem\"",
        ),
        set: &[],
        errors: &[
            r#"job.toml line 9: sources.lines.tls_ca = "ca.pem" is given, but tls = false"#,
            "help: remove one of the two",
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"nats\"\nservers = \"a:1\"\nstream = \"S\"\ntoken = \"s3cret\""),
        set: &[],
        errors: &[
            "job.toml line 8: `sources.lines.token` does not say where the secret is; a secret does not stand in the job file",
            "help: name a file or an environment variable, as in \"file:token.txt\" or \"env:TOKEN\"",
        ],
    },
];
