//! The exact words about values of sources of type `kafka`, and what they mean.

use std::collections::BTreeMap;
use std::path::Path;

use super::Text::Below;
use super::{Case, JOB, check};
use crate::config::{
    Facts, KafkaClientSettings, KafkaFormat, KafkaLogin, KafkaOption, KafkaSettings, KafkaStart, KafkaTopics,
    OnBadKafkaMessage, OnDataLoss, SaslMechanism, Secret, SourceSettings, load,
};
use crate::time::Time;

#[test]
fn every_wrong_value_of_a_topic_says_what_is_right() {
    check(VALUES);
}

fn kafka(keys: &str) -> (KafkaSettings, Vec<String>) {
    let text = format!("{JOB}[sources.lines]\ntype = \"kafka\"\n{keys}");
    let settings = load(&text, Path::new("/jobs/job.toml"), &[], &Facts { cpus: 1 }).unwrap();
    let Some(SourceSettings::Kafka(kafka)) = settings.sources.get("lines").cloned() else { panic!("{settings:?}") };
    (kafka, settings.warnings)
}

/// The defaults of a source of type `kafka`, and what is relative to the job file.
#[test]
fn a_source_of_kafka_has_defaults() {
    let client = KafkaClientSettings {
        servers: vec!["a:1".to_owned(), "b:2".to_owned()],
        tls: false,
        tls_ca: None,
        tls_client: None,
        login: None,
        options: BTreeMap::new(),
    };
    let defaults = KafkaSettings {
        client: client.clone(),
        topics: KafkaTopics::Named(vec!["x".to_owned(), "y".to_owned()]),
        start: KafkaStart::Earliest,
        group: None,
        commits_offsets: true,
        format: KafkaFormat::Message,
        on_data_loss: OnDataLoss::Fail,
        on_bad_message: OnBadKafkaMessage::Fail,
        max_rate_per_partition: None,
        min_rate_per_partition: 1,
    };
    let given = "servers = \"a:1, b:2\"\ntopics = \"x, y\"\n";
    assert_eq!(kafka(given), (defaults.clone(), vec![]));
    let all = "servers = \"a:1, b:2\"\npartitions = \"x/0, y/12\"\nstart_time_ms = 7\ngroup = \"g\"\ncommit_offsets = false\n\
               format = \"json\"\non_data_loss = \"skip\"\non_bad_message = \"skip\"\nmax_rate_per_partition = 5\n\
               min_rate_per_partition = 0\ntls_ca = \"ca.pem\"\ntls_certificate = \"c.pem\"\ntls_key = \"env:KEY\"\nuser = \"u\"\n\
               password = \"file:p.txt\"\nsasl_mechanism = \"plain\"\n\
               options = { \"fetch.min.bytes\" = \"1\", \"ssl.key.password\" = \"file:k.txt\" }\n";
    let expected = KafkaSettings {
        client: KafkaClientSettings {
            tls: true,
            tls_ca: Some("/jobs/ca.pem".into()),
            tls_client: Some(("/jobs/c.pem".into(), Secret::Variable("KEY".to_owned()))),
            login: Some(KafkaLogin {
                mechanism: SaslMechanism::Plain,
                user: "u".to_owned(),
                password: Secret::File("/jobs/p.txt".into()),
            }),
            options: BTreeMap::from([
                ("fetch.min.bytes".to_owned(), KafkaOption::Plain("1".to_owned())),
                ("ssl.key.password".to_owned(), KafkaOption::Secret(Secret::File("/jobs/k.txt".into()))),
            ]),
            ..client
        },
        topics: KafkaTopics::Assigned(vec![("x".to_owned(), 0), ("y".to_owned(), 12)]),
        start: KafkaStart::Since(Time::from_ms(7)),
        group: Some("g".to_owned()),
        commits_offsets: false,
        format: KafkaFormat::Json,
        on_data_loss: OnDataLoss::Skip,
        on_bad_message: OnBadKafkaMessage::Skip,
        max_rate_per_partition: Some(5),
        min_rate_per_partition: 0,
    };
    assert_eq!(kafka(all), (expected, vec![]));
    let (found, _) = kafka("servers = \"a:1\"\ntopics_pattern = \"w*, v\"\nstart_offsets = { \"w1/0\" = 9 }\n");
    assert_eq!(found.topics, KafkaTopics::Patterns(vec!["w*".to_owned(), "v".to_owned()]));
    assert_eq!(found.start, KafkaStart::Offsets([(("w1".to_owned(), 0), 9)].into()));
    let login = "user = \"u\"\npassword = \"env:P\"\nsasl_mechanism = \"plain\"\n";
    let (_, warnings) = kafka(&format!("{given}{login}"));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].ends_with("so that the network can read the password; set `tls = true`"), "{warnings:?}");
    assert_eq!(kafka(&format!("servers = \"127.0.0.1:1\"\ntopics = \"x\"\n{login}")).1, [""; 0]);
}

const VALUES: &[Case] = &[
    Case {
        text: Below("[sources.lines]\ntype = \"kafka\"\nservers = \"a:1\""),
        set: &[],
        errors: &[
            "job.toml line 4: `sources.lines.topics` is missing",
            "help: add `topics = \"words\"` under [sources.lines]",
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"kafka\"\nservers = \"a:1\"\ntopics = \"a b\"\npartitions = \"a/x\""),
        set: &[],
        errors: &[
            r#"job.toml line 7: sources.lines.topics = "a b" has a name that no topic can have"#,
            r#"help: use letters (a-z, A-Z), digits, `.`, `_` and `-` for topics, as in `topics = "words"`"#,
            r#"error: job.toml line 8: sources.lines.partitions = "a/x" has a partition whose number is not a whole number from 0"#,
            r#"help: use letters (a-z, A-Z), digits, `.`, `_` and `-` for topics, as in `partitions = "words/0, words/1"`"#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"kafka\"\nservers = \"a:1\"\ntopics = \"a\"\ntopics_pattern = \"b\""),
        set: &[],
        errors: &[
            "job.toml line 8: more than one of `topics`, `topics_pattern` and `partitions` is given",
            "help: keep one of them",
        ],
    },
    Case {
        text: Below(
            "[sources.lines]\ntype = \"kafka\"\nservers = \"a:1\"\ntopics = \"a\"\nuser = \"u\"\n\
             options = { \"group.id\" = \"g\", \"ssl.key.password\" = \"s3cret\" }",
        ),
        set: &[],
        errors: &[
            "job.toml line 8: `user` is given without `password`",
            "help: add `password = \"file:password.txt\"`",
            "error: job.toml line 9: `sources.lines.options.\"group.id\"` cannot be set: the host sets it",
            "help: remove it; keys of the table say how to connect, to log in and what to read",
            "error: job.toml line 9: `sources.lines.options.\"ssl.key.password\"` does not say where the secret is; a secret does not stand in the job file",
            "help: name a file or an environment variable, as in \"file:token.txt\" or \"env:TOKEN\"",
        ],
    },
];
