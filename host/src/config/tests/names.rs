//! The exact words about names that do not exist.

use super::Text::{Below, Whole};
use super::{Case, check};

#[test]
fn every_unknown_name_says_what_was_meant() {
    check(NAMES);
}

const NAMES: &[Case] = &[
    Case {
        text: Below(r#"batch_intervall = "1s""#),
        set: &[],
        errors: &["job.toml line 4: unknown key `job.batch_intervall`", "help: did you mean `job.batch_interval`?"],
    },
    Case {
        text: Below(r#"batchInterval = "1s""#),
        set: &[],
        errors: &["job.toml line 4: unknown key `job.batchInterval`", "help: did you mean `job.batch_interval`?"],
    },
    Case {
        text: Below(r#"memory = "1GiB""#),
        set: &[],
        errors: &[
            "job.toml line 4: unknown key `job.memory`",
            "help: did you mean `engine.memory` or `limits.memory`?",
        ],
    },
    Case {
        text: Below(r#"supervise = "c""#),
        set: &[],
        errors: &[
            "job.toml line 4: unknown key `job.supervise`",
            "help: [job] has the keys `name`, `plugin`, `batch_interval`, `parallelism`, `args`, `directories`, `on_error`, `stop_timeout`, `checkpoint`, `max_catch_up` and `on_checkpoint_error`",
        ],
    },
    Case {
        text: Below(r#""a b\n" = 1"#),
        set: &[],
        errors: &[
            r#"job.toml line 4: unknown key `job."a b\n"`"#,
            "help: [job] has the keys `name`, `plugin`, `batch_interval`, `parallelism`, `args`, `directories`, `on_error`, `stop_timeout`, `checkpoint`, `max_catch_up` and `on_checkpoint_error`",
        ],
    },
    Case {
        text: Below("[job.window]\nsize = \"1s\""),
        set: &[],
        errors: &[
            "job.toml line 4: unknown key `job.window`",
            "help: [job] has the keys `name`, `plugin`, `batch_interval`, `parallelism`, `args`, `directories`, `on_error`, `stop_timeout`, `checkpoint`, `max_catch_up` and `on_checkpoint_error`",
        ],
    },
    Case {
        text: Whole("[job]\nnme = \"wc\"\nplugin = \"wc.wasm\"\n"),
        set: &[],
        errors: &["job.toml line 2: unknown key `job.nme`", "help: did you mean `job.name`?"],
    },
    Case {
        text: Whole("parallelism = 2\n[job]\nname = \"wc\"\nplugin = \"wc.wasm\"\n"),
        set: &[],
        errors: &["job.toml line 1: unknown key `parallelism`", "help: did you mean `job.parallelism`?"],
    },
    Case {
        text: Whole("frobnicate = 2\n[job]\nname = \"wc\"\nplugin = \"wc.wasm\"\n"),
        set: &[],
        errors: &[
            "job.toml line 1: unknown key `frobnicate`",
            "help: the tables are [job], [sources.NAME], [connections.NAME], [receiver], [backpressure], [engine], [limits], [ui] and [otlp]",
        ],
    },
    Case {
        text: Whole("[jobs]\nname = \"wc\"\n"),
        set: &[],
        errors: &["job.toml line 1: unknown table `[jobs]`", "help: did you mean `[job]`?"],
    },
    Case {
        text: Below("[kafka]\nbrokers = \"b\"\nacks = \"all\""),
        set: &[],
        errors: &[
            "job.toml line 4: unknown table `[kafka]`",
            "help: the tables are [job], [sources.NAME], [connections.NAME], [receiver], [backpressure], [engine], [limits], [ui] and [otlp]",
        ],
    },
    Case {
        text: Below("[spark.streaming]\nblockInterval = \"200ms\""),
        set: &[],
        errors: &[
            "job.toml line 5: unknown key `spark.streaming.blockInterval`",
            "help: did you mean `receiver.block_interval`?",
        ],
    },
    Case {
        text: Below("[tuning]\nthreads = 2\nspeed = 9"),
        set: &[],
        errors: &[
            "job.toml line 4: unknown table `[tuning]`",
            "help: the tables are [job], [sources.NAME], [connections.NAME], [receiver], [backpressure], [engine], [limits], [ui] and [otlp]",
            "error: job.toml line 5: unknown key `tuning.threads`",
            "help: did you mean `engine.threads`?",
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"socket\"\naddress = \"127.0.0.1:9999\"\nadress = \"127.0.0.1:1\""),
        set: &[],
        errors: &["job.toml line 7: unknown key `sources.lines.adress`", "help: did you mean `sources.lines.address`?"],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"socket\"\naddress = \"127.0.0.1:9999\"\ncolour = \"red\""),
        set: &[],
        errors: &[
            "job.toml line 7: unknown key `sources.lines.colour`",
            r#"help: a source of type "socket" has the keys `type`, `address`, `reconnect_delay`, `idle_timeout`, `max_line` and `encoding`"#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"socket\"\naddress = \"127.0.0.1:9999\"\npath = \"x.jsonl\""),
        set: &[],
        errors: &[
            r#"job.toml line 7: `sources.lines.path` belongs to type "text-files", "log-file", "queue" or "http", but sources.lines has type "socket""#,
            r#"help: remove it, or set `type` to "text-files", "log-file", "queue" or "http""#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"queue\"\npath = \"x.jsonl\"\nreconnect_delay = \"1s\""),
        set: &[],
        errors: &[
            "job.toml line 7: `sources.lines.reconnect_delay` belongs to type \"socket\", but sources.lines has \
             type \"queue\"",
            r#"help: remove it, or set `type` to "socket""#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntyp = \"queue\"\npath = \"x.jsonl\""),
        set: &[],
        errors: &["job.toml line 5: unknown key `sources.lines.typ`", "help: did you mean `sources.lines.type`?"],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"kinesis\"\nbrokers = \"x\""),
        set: &[],
        errors: &[
            r#"job.toml line 5: sources.lines.type = "kinesis" is not "socket", "text-files", "log-file", "queue", "http", "nats", "kafka", "kafka-receiver" or "custom""#,
            r#"help: use "socket", "text-files", "log-file", "queue", "http", "nats", "kafka", "kafka-receiver" or "custom""#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"sokcet\""),
        set: &[],
        errors: &[
            r#"job.toml line 5: sources.lines.type = "sokcet" is not "socket", "text-files", "log-file", "queue", "http", "nats", "kafka", "kafka-receiver" or "custom""#,
            r#"help: did you mean "socket"?"#,
        ],
    },
];
