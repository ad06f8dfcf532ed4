//! The exact words about tables and required keys.

use super::Text::{Below, Whole};
use super::{Case, check};

#[test]
fn what_is_missing_or_misplaced_is_said_where_it_belongs() {
    check(STRUCTURE);
}

const STRUCTURE: &[Case] = &[
    Case {
        text: Below("[job.limits]\nmemory = \"1GiB\""),
        set: &[],
        errors: &[
            "job.toml line 4: unknown key `job.limits`",
            "help: [limits] is a table of its own, not part of [job]",
        ],
    },
    Case {
        text: Below("[[sources]]\ntype = \"socket\""),
        set: &[],
        errors: &[
            "job.toml line 4: `sources` must be a table, not an array of tables",
            "help: write [sources.NAME] once, in single brackets",
        ],
    },
    Case {
        text: Below("[sources.\"my.lines\"]\nadress = \"x\""),
        set: &[],
        errors: &[
            r#"job.toml line 4: `sources."my.lines".type` is missing"#,
            r#"help: add `type = "socket"` under [sources."my.lines"]"#,
            r#"error: job.toml line 5: unknown key `sources."my.lines".adress`"#,
            r#"help: did you mean `sources."my.lines".address`?"#,
        ],
    },
    Case {
        text: Whole(""),
        set: &[],
        errors: &[
            "job.toml: `job.name` is missing",
            r#"help: add `name = "word-count"` under [job]"#,
            "error: job.toml: `job.plugin` is missing",
            r#"help: add `plugin = "word_count.wasm"` under [job]"#,
        ],
    },
    Case {
        text: Whole("[job]\nname = \"wc\"\n"),
        set: &[],
        errors: &["job.toml line 1: `job.plugin` is missing", r#"help: add `plugin = "word_count.wasm"` under [job]"#],
    },
    Case {
        text: Whole("job = 5\n"),
        set: &[],
        errors: &[
            "job.toml line 1: `job` must be a table, not a whole number",
            "help: write [job], and its keys below it",
        ],
    },
    Case {
        text: Whole("[[job]]\nname = \"wc\"\n"),
        set: &[],
        errors: &[
            "job.toml line 1: `job` must be a table, not an array of tables",
            "help: write [job] once, in single brackets",
        ],
    },
    Case {
        text: Below("[sources]\nlines = \"x\""),
        set: &[],
        errors: &[
            "job.toml line 5: `sources.lines` must be a table, not a string",
            "help: write [sources.lines], and its keys below it",
        ],
    },
    Case {
        text: Below("[sources]\ntype = \"socket\"\naddress = \"127.0.0.1:9999\""),
        set: &[],
        errors: &[
            "job.toml line 5: `sources.type` must be a table, not a string",
            "help: every source has a name: write [sources.lines], for example, and its keys below it",
            "error: job.toml line 6: `sources.address` must be a table, not a string",
            "help: every source has a name: write [sources.lines], for example, and its keys below it",
        ],
    },
    Case {
        text: Whole("sources = 1\n[job]\nname = \"wc\"\nplugin = \"wc.wasm\"\n"),
        set: &[],
        errors: &[
            "job.toml line 1: `sources` must be a table, not a whole number",
            "help: write [sources.NAME], and its keys below it",
        ],
    },
    Case {
        text: Below("[sources.lines]"),
        set: &[],
        errors: &[
            "job.toml line 4: `sources.lines.type` is missing",
            r#"help: add `type = "socket"` under [sources.lines]"#,
        ],
    },
    Case {
        text: Below("[sources.lines]\npath = \"x.jsonl\""),
        set: &[],
        errors: &[
            "job.toml line 4: `sources.lines.type` is missing",
            r#"help: add `type = "text-files"` under [sources.lines]"#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"socket\""),
        set: &[],
        errors: &[
            "job.toml line 4: `sources.lines.address` is missing",
            r#"help: add `address = "127.0.0.1:9999"` under [sources.lines]"#,
        ],
    },
    Case {
        text: Below("[sources.lines]\ntype = \"queue\""),
        set: &[],
        errors: &[
            "job.toml line 4: `sources.lines.path` is missing",
            r#"help: add `path = "batches.jsonl"` under [sources.lines]"#,
        ],
    },
    Case {
        text: Below("[sources.\"my lines\"]\ntype = \"queue\"\npath = \"x\""),
        set: &[],
        errors: &[
            r#"job.toml line 4: the name of source "my lines" has a character that a name cannot have"#,
            "help: use 1 to 100 letters (a-z, A-Z), digits, `.`, `_` and `-`, as in [sources.my-lines]",
        ],
    },
    Case {
        text: Below("[sources.\"\"]\ntype = \"queue\"\npath = \"x\""),
        set: &[],
        errors: &[
            r#"job.toml line 4: the name of source "" is empty"#,
            "help: use 1 to 100 letters (a-z, A-Z), digits, `.`, `_` and `-`, as in [sources.lines]",
        ],
    },
    Case {
        text: Whole("[job.args]\na = \"1\"\n[sources.s]\ntype = \"queue\"\npath = \"x\"\n[job]\nname = \"wc\"\n"),
        set: &[],
        errors: &["job.toml line 6: `job.plugin` is missing", r#"help: add `plugin = "word_count.wasm"` under [job]"#],
    },
    Case {
        text: Below(
            "limits.memory = \"1B\"\n[limits]\nmemory = \"1B\"\ntask_time = 5\n[engine]\nthreads = \
               0\n[receiver]\nblock_interval = \"x\"",
        ),
        set: &[],
        errors: &[
            "job.toml line 4: unknown key `job.limits`",
            "help: [limits] is a table of its own, not part of [job]",
            r#"error: job.toml line 6: limits.memory = "1B" is below the minimum of 1MiB"#,
            r#"help: use "1MiB" to "4GiB"; the default is "256MiB""#,
            "error: job.toml line 7: limits.task_time = 5 needs a unit",
            r#"help: use "5s" or "5ms""#,
            "error: job.toml line 9: engine.threads = 0 is below the minimum of 1",
            "help: use a whole number from 1 to 256",
            r#"error: job.toml line 11: receiver.block_interval = "x" is not a duration"#,
            r#"help: write a whole number and a unit, such as "200ms""#,
        ],
    },
];
