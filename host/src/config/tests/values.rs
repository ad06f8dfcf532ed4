//! The exact words about single values.

use super::Text::{Below, Whole};
use super::{Case, check};

#[test]
fn every_wrong_value_says_what_is_right() {
    check(VALUES);
}

const VALUES: &[Case] = &[
    Case {
        text: Whole("[job]\nname = 5\nplugin = true\n"),
        set: &[],
        errors: &[
            "job.toml line 2: `job.name` must be a string, not a whole number",
            r#"help: put it in quotes: `name = "5"`"#,
            "error: job.toml line 3: `job.plugin` must be a string, not a boolean",
            r#"help: put it in quotes: `plugin = "true"`"#,
        ],
    },
    Case {
        text: Whole("[job]\nname = [\"wc\"]\nplugin = {}\n"),
        set: &[],
        errors: &[
            "job.toml line 2: `job.name` must be a string, not an array",
            r#"help: write it as in `name = "word-count"`"#,
            "error: job.toml line 3: `job.plugin` must be a string, not a table",
            r#"help: write it as in `plugin = "word_count.wasm"`"#,
        ],
    },
    Case {
        text: Whole("[job]\nname = \"word count\"\nplugin = \"wc.wasm\"\n"),
        set: &[],
        errors: &[
            r#"job.toml line 2: job.name = "word count" has a character that a name cannot have"#,
            r#"help: use 1 to 100 letters (a-z, A-Z), digits, `.`, `_` and `-`, such as "word-count""#,
        ],
    },
    Case {
        text: Whole("[job]\nname = \"\"\nplugin = \"\"\n"),
        set: &[],
        errors: &[
            r#"job.toml line 2: job.name = "" is empty"#,
            r#"help: use 1 to 100 letters (a-z, A-Z), digits, `.`, `_` and `-`, such as "word-count""#,
            r#"error: job.toml line 3: job.plugin = "" is empty"#,
            r#"help: name a file, as in `plugin = "word_count.wasm"`"#,
        ],
    },
    Case {
        text: Whole("[job]\nname = \"wc\"\nplugin = \"a\\u0000b\"\n"),
        set: &[],
        errors: &[
            r#"job.toml line 3: job.plugin = "a\0b" contains a NUL character"#,
            r#"help: name a file, as in `plugin = "word_count.wasm"`"#,
        ],
    },
    Case {
        text: Below(r#"on_error = "contineu""#),
        set: &[],
        errors: &[
            r#"job.toml line 4: job.on_error = "contineu" is not "stop" or "continue""#,
            r#"help: did you mean "continue"?"#,
        ],
    },
    Case {
        text: Below(r#"on_error = "retry""#),
        set: &[],
        errors: &[
            r#"job.toml line 4: job.on_error = "retry" is not "stop" or "continue""#,
            r#"help: use "stop" or "continue"; the default is "stop""#,
        ],
    },
    Case {
        text: Below("parallelism = 0"),
        set: &[],
        errors: &[
            "job.toml line 4: job.parallelism = 0 is below the minimum of 1",
            "help: use a whole number from 1 to 256; the default is 2",
        ],
    },
    Case {
        text: Below("parallelism = 300"),
        set: &[],
        errors: &[
            "job.toml line 4: job.parallelism = 300 is above the maximum of 256",
            "help: use a whole number from 1 to 256; the default is 2",
        ],
    },
    Case {
        text: Below("parallelism = -1"),
        set: &[],
        errors: &[
            "job.toml line 4: job.parallelism = -1 is below the minimum of 1",
            "help: use a whole number from 1 to 256; the default is 2",
        ],
    },
    Case {
        text: Below("parallelism = 99999999999999999999999999999999999999999"),
        set: &[],
        errors: &[
            "job.toml line 4: job.parallelism = 99999999999999999999999999999999999999999 is above the maximum of 256",
            "help: use a whole number from 1 to 256; the default is 2",
        ],
    },
    Case {
        text: Below("parallelism = 0x"),
        set: &[],
        errors: &[
            "job.toml line 4: job.parallelism = 0x is not a number",
            "help: use a whole number from 1 to 256; the default is 2",
        ],
    },
    Case {
        text: Below(r#"parallelism = "4""#),
        set: &[],
        errors: &[
            "job.toml line 4: `job.parallelism` must be a whole number, not a string",
            "help: remove the quotes: `parallelism = 4`",
        ],
    },
    Case {
        text: Below(r#"parallelism = "four""#),
        set: &[],
        errors: &[
            "job.toml line 4: `job.parallelism` must be a whole number, not a string",
            "help: use a whole number from 1 to 256; the default is 2",
        ],
    },
    Case {
        text: Below("parallelism = 2.0"),
        set: &[],
        errors: &[
            "job.toml line 4: `job.parallelism` must be a whole number, not a decimal number",
            "help: use a whole number from 1 to 256; the default is 2",
        ],
    },
    Case {
        text: Below(r#"args = { min_length = 3, "a b" = [1], c = "x" }"#),
        set: &[],
        errors: &[
            r#"job.toml line 4: `job.args."a b"` must be a string, not an array"#,
            r#"help: write it as in `"a b" = "value"`"#,
            "error: job.toml line 4: `job.args.min_length` must be a string, not a whole number",
            r#"help: put it in quotes: `min_length = "3"`"#,
        ],
    },
    Case {
        text: Below(r#"args = "x""#),
        set: &[],
        errors: &[
            "job.toml line 4: `job.args` must be a table of strings, not a string",
            r#"help: write `args = { key = "value" }`"#,
        ],
    },
    Case {
        text: Below(r#"directories = { "a:b" = "x", empty = "", number = 3 }"#),
        set: &[],
        errors: &[
            r#"job.toml line 4: the name of directory "a:b" has a character that a name cannot have"#,
            r#"help: use 1 to 100 letters (a-z, A-Z), digits, `.`, `_` and `-`, such as "a-b""#,
            r#"error: job.toml line 4: job.directories.empty = "" is empty"#,
            r#"help: name a file, as in `empty = "/var/out"`"#,
            "error: job.toml line 4: `job.directories.number` must be a string, not a whole number",
            r#"help: put it in quotes: `number = "3"`"#,
        ],
    },
    Case {
        text: Below(r#"directories = "x""#),
        set: &[],
        errors: &[
            "job.toml line 4: `job.directories` must be a table of paths and URLs, not a string",
            r#"help: write `directories = { out = "/var/out" }`"#,
        ],
    },
    Case {
        text: Below("checkpoint = \"gs://bucket/prefix\""),
        set: &[],
        errors: &[
            "job.toml line 4: job.checkpoint = \"gs://bucket/prefix\" is a URL of a kind that is not known",
            "help: name a directory, or an object store as in `checkpoint = \"s3://bucket/prefix\"`",
        ],
    },
    Case {
        text: Below("directories = { out = \"s3:///prefix\" }"),
        set: &[],
        errors: &[
            "job.toml line 4: job.directories.out = \"s3:///prefix\" names no bucket",
            "help: name a directory, or an object store as in `out = \"s3://bucket/prefix\"`",
        ],
    },
    Case {
        text: Below(
            r#"directories = { a = { access = "read" }, b = { path = "b", acces = "read" }, c = { path = "c", access = "reads" }, d = { path = "s3://b", access = "read" }, e = { path = 3 }, f = { path = "f", mode = "x" } }"#,
        ),
        set: &[],
        errors: &[
            "job.toml line 4: `job.directories.a.path` is missing",
            r#"help: write `a = { path = "/srv/lists", access = "read" }`"#,
            "error: job.toml line 4: unknown key `job.directories.b.acces`",
            "help: did you mean `access`?",
            r#"error: job.toml line 4: job.directories.c.access = "reads" is not "read" or "write""#,
            r#"help: did you mean "read"?"#,
            r#"error: job.toml line 4: job.directories.d.path = "s3://b" is an object store, which a plugin cannot read"#,
            "help: name a directory, or leave out `access`: outputs are saved there",
            "error: job.toml line 4: `job.directories.e.path` must be a string, not a whole number",
            r#"help: put it in quotes: `path = "3"`"#,
            "error: job.toml line 4: unknown key `job.directories.f.mode`",
            "help: a directory has the keys `path` and `access`",
        ],
    },
    Case {
        text: Below("checkpoint = \"s3://bucket/a//b\""),
        set: &[],
        errors: &[
            "job.toml line 4: job.checkpoint = \"s3://bucket/a//b\" has an empty name, `.` or `..` between its `/`",
            "help: name a directory, or an object store as in `checkpoint = \"s3://bucket/prefix\"`",
        ],
    },
    Case {
        text: Below("batch_interval = 5"),
        set: &[],
        errors: &["job.toml line 4: job.batch_interval = 5 needs a unit", r#"help: use "5s" or "5ms""#],
    },
    Case {
        text: Below("batch_interval = 5000000"),
        set: &[],
        errors: &[
            "job.toml line 4: job.batch_interval = 5000000 needs a unit",
            r#"help: use "1ms" to "1h"; the default is "1s""#,
        ],
    },
    Case {
        text: Below("batch_interval = -5"),
        set: &[],
        errors: &[
            "job.toml line 4: job.batch_interval = -5 is not a duration",
            r#"help: write a whole number and a unit, such as "1s""#,
        ],
    },
    Case {
        text: Below("batch_interval = 1.5"),
        set: &[],
        errors: &["job.toml line 4: job.batch_interval = 1.5 needs a unit", r#"help: use "1500ms""#],
    },
    Case {
        text: Below("batch_interval = true"),
        set: &[],
        errors: &[
            "job.toml line 4: `job.batch_interval` must be a duration, not a boolean",
            r#"help: write it as in `batch_interval = "1s"`"#,
        ],
    },
    Case {
        text: Below(r#"batch_interval = "5""#),
        set: &[],
        errors: &[r#"job.toml line 4: job.batch_interval = "5" needs a unit"#, r#"help: use "5s" or "5ms""#],
    },
    Case {
        text: Below(r#"batch_interval = "1.5s""#),
        set: &[],
        errors: &[
            r#"job.toml line 4: job.batch_interval = "1.5s" has a fraction; a duration is a whole number and a unit"#,
            r#"help: use "1500ms""#,
        ],
    },
    Case {
        text: Below(r#"batch_interval = "0.1ms""#),
        set: &[],
        errors: &[
            r#"job.toml line 4: job.batch_interval = "0.1ms" has a fraction; a duration is a whole number and a unit"#,
            r#"help: use "1ms" to "1h"; the default is "1s""#,
        ],
    },
    Case {
        text: Below(r#"batch_interval = "1 s""#),
        set: &[],
        errors: &[r#"job.toml line 4: job.batch_interval = "1 s" has white space in it"#, r#"help: use "1s""#],
    },
    Case {
        text: Below(r#"batch_interval = "5 sec""#),
        set: &[],
        errors: &[
            r#"job.toml line 4: job.batch_interval = "5 sec" has the unknown unit "sec""#,
            r#"help: use "5s"; the units are ms, s, m and h"#,
        ],
    },
    Case {
        text: Below(r#"batch_interval = "1d""#),
        set: &[],
        errors: &[
            r#"job.toml line 4: job.batch_interval = "1d" has the unknown unit "d""#,
            "help: the units are ms, s, m and h",
        ],
    },
    Case {
        text: Below(r#"batch_interval = "soon""#),
        set: &[],
        errors: &[
            r#"job.toml line 4: job.batch_interval = "soon" is not a duration"#,
            r#"help: write a whole number and a unit, such as "1s""#,
        ],
    },
    Case {
        text: Below(r#"batch_interval = """#),
        set: &[],
        errors: &[
            r#"job.toml line 4: job.batch_interval = "" is not a duration"#,
            r#"help: write a whole number and a unit, such as "1s""#,
        ],
    },
    Case {
        text: Below(r#"batch_interval = "0s""#),
        set: &[],
        errors: &[
            r#"job.toml line 4: job.batch_interval = "0s" is below the minimum of 1ms"#,
            r#"help: use "1ms" to "1h"; the default is "1s""#,
        ],
    },
    Case {
        text: Below(r#"batch_interval = "2h""#),
        set: &[],
        errors: &[
            r#"job.toml line 4: job.batch_interval = "2h" is above the maximum of 1h"#,
            r#"help: use "1ms" to "1h"; the default is "1s""#,
        ],
    },
    Case {
        text: Below(r#"batch_interval = "99999999999999999999h""#),
        set: &[],
        errors: &[
            r#"job.toml line 4: job.batch_interval = "99999999999999999999h" is above the maximum of 1h"#,
            r#"help: use "1ms" to "1h"; the default is "1s""#,
        ],
    },
    Case {
        text: Below("[limits]\nmemory = 256"),
        set: &[],
        errors: &["job.toml line 5: limits.memory = 256 needs a unit", r#"help: use "256MiB""#],
    },
    Case {
        text: Below("[limits]\nmemory = 268435456"),
        set: &[],
        errors: &["job.toml line 5: limits.memory = 268435456 needs a unit", r#"help: use "256MiB""#],
    },
    Case {
        text: Below("[limits]\nmemory = \"256M\""),
        set: &[],
        errors: &[
            r#"job.toml line 5: limits.memory = "256M" has the unknown unit "M""#,
            r#"help: use "256MiB" or "256MB"; the units are B, kB, MB, GB, KiB, MiB and GiB"#,
        ],
    },
    Case {
        text: Below("[limits]\nmemory = \"5GiB\""),
        set: &[],
        errors: &[
            r#"job.toml line 5: limits.memory = "5GiB" is above the maximum of 4GiB"#,
            r#"help: use "1MiB" to "4GiB"; the default is "256MiB""#,
        ],
    },
    Case {
        text: Below("[limits]\nmemory = \"100kB\""),
        set: &[],
        errors: &[
            r#"job.toml line 5: limits.memory = "100kB" is below the minimum of 1MiB"#,
            r#"help: use "1MiB" to "4GiB"; the default is "256MiB""#,
        ],
    },
    Case {
        text: Below("[limits]\nmemory = 1979-05-27"),
        set: &[],
        errors: &[
            "job.toml line 5: `limits.memory` must be a size, not a date or time",
            r#"help: write it as in `memory = "256MiB"`"#,
        ],
    },
];
