//! The exact words about `--set KEY=VALUE`.

use super::Text::{Below, Whole};
use super::{Case, check};

#[test]
fn errors_of_the_command_line_name_the_option() {
    check(OVERRIDES);
}

const OVERRIDES: &[Case] = &[
    Case {
        text: Below("[sources.lines]\ntype = \"socket\"\naddress = \"127.0.0.1:9999\""),
        set: &[("sources.lines.address", "localhost")],
        errors: &[
            r#"--set sources.lines.address: sources.lines.address = "localhost" has no port"#,
            r#"help: write it as host:port, such as "127.0.0.1:9999""#,
        ],
    },
    Case {
        text: Below(""),
        set: &[("job.paralelism", "4")],
        errors: &["--set job.paralelism: unknown key `job.paralelism`", "help: did you mean `job.parallelism`?"],
    },
    Case {
        text: Below(""),
        set: &[("job.parallelism", "four")],
        errors: &[
            "--set job.parallelism: `job.parallelism` must be a whole number, not a string",
            "help: use a whole number from 1 to 256; the default is 2",
        ],
    },
    Case {
        text: Below(""),
        set: &[("job.checkpoint", "false")],
        errors: &[
            "--set job.checkpoint: `job.checkpoint` must be a string, not a boolean",
            r#"help: quote it so that the shell keeps the quotes: --set 'job.checkpoint="false"'"#,
        ],
    },
    Case {
        text: Below(""),
        set: &[("job.args.min_length", "[3]")],
        errors: &[
            "--set job.args.min_length: `job.args.min_length` must be a string, not an array",
            r#"help: write it as in `min_length = "value"`"#,
        ],
    },
    Case {
        text: Below(""),
        set: &[("job.name.x", "5")],
        errors: &[
            "--set job.name.x: `job.name` must be a string, not a table",
            r#"help: write it as in `name = "word-count"`"#,
        ],
    },
    Case {
        text: Below(""),
        set: &[("job", "5")],
        errors: &["--set job: `job` must be a table, not a whole number", "help: write [job], and its keys below it"],
    },
    Case {
        text: Below(""),
        set: &[("job..x", "5")],
        errors: &[r#"--set job..x: "job..x" is not a dotted key"#, "help: write it as in `--set job.parallelism=4`"],
    },
    Case {
        text: Below(""),
        set: &[("", "5")],
        errors: &[r#"--set : "" is not a dotted key"#, "help: write it as in `--set job.parallelism=4`"],
    },
    Case {
        text: Below(""),
        set: &[("a=1#", "5")],
        errors: &[r#"--set a=1#: "a=1#" is not a dotted key"#, "help: write it as in `--set job.parallelism=4`"],
    },
    Case {
        text: Below(""),
        set: &[("job.batch_interval", "5")],
        errors: &["--set job.batch_interval: job.batch_interval = 5 needs a unit", r#"help: use "5s" or "5ms""#],
    },
    Case {
        text: Below(""),
        set: &[("sources.more.type", "queue")],
        errors: &[
            "--set sources.more.type: `sources.more.path` is missing",
            "help: add --set sources.more.path=batches.jsonl",
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"socket\"\naddress = \"127.0.0.1:9999\""),
        set: &[("sources.lines.type", "queue")],
        errors: &[
            "job.toml line 4: `sources.lines.path` is missing",
            r#"help: add `path = "batches.jsonl"` under [sources.lines]"#,
            "error: job.toml line 6: `sources.lines.address` belongs to type \"socket\" or \"http\", but \
             sources.lines has type \"queue\"",
            r#"help: remove it, or set `type` to "socket" or "http""#,
        ],
    },
    Case {
        text: Below(""),
        set: &[("engine.memory", "1MiB"), ("engine.threads", "3")],
        errors: &[
            "--set engine.memory: engine.memory = \"1MiB\" is less than plugin instances may take: limits.memory \
             256MiB x (engine.threads 3 + 1 for the driver) = 1GiB",
            r#"help: use "1GiB" or more, or lower limits.memory or engine.threads"#,
        ],
    },
    Case {
        text: Whole("[job]\nnam = \"wc\"\n"),
        set: &[("limits.memory", "1"), ("job.batch_interval", "x"), ("engine.threads", "0")],
        errors: &[
            "job.toml line 1: `job.plugin` is missing",
            r#"help: add `plugin = "word_count.wasm"` under [job]"#,
            "error: job.toml line 2: unknown key `job.nam`",
            "help: did you mean `job.name`?",
            "error: --set limits.memory: limits.memory = 1 needs a unit",
            r#"help: use "1MiB""#,
            r#"error: --set job.batch_interval: job.batch_interval = "x" is not a duration"#,
            r#"help: write a whole number and a unit, such as "1s""#,
            "error: --set engine.threads: engine.threads = 0 is below the minimum of 1",
            "help: use a whole number from 1 to 256",
        ],
    },
    Case {
        text: Below(""),
        set: &[("a\nb", "5")],
        errors: &[r#"--set a\nb: "a\nb" is not a dotted key"#, "help: write it as in `--set job.parallelism=4`"],
    },
];
