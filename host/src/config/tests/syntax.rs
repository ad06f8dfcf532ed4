//! The exact words about text that is not TOML.

use super::Text::Whole;
use super::{Case, check};

#[test]
fn what_is_not_toml_is_explained_in_place() {
    check(SYNTAX);
}

const SYNTAX: &[Case] = &[
    Case {
        text: Whole("[job]\nbatch_interval = 1s\n"),
        set: &[],
        errors: &["job.toml line 2, column 18: the value `1s` needs quotes", r#"help: write `batch_interval = "1s"`"#],
    },
    Case {
        text: Whole("[job]\nname = wc\n"),
        set: &[],
        errors: &["job.toml line 2, column 8: the value `wc` needs quotes", r#"help: write `name = "wc"`"#],
    },
    Case {
        text: Whole("[job]\nplugin = C:\\jobs\\wc.wasm\n"),
        set: &[],
        errors: &[
            r"job.toml line 2, column 10: the value `C:\jobs\wc.wasm` needs quotes",
            r"help: write `plugin = 'C:\jobs\wc.wasm'`",
        ],
    },
    Case {
        text: Whole("[job]\nplugin = \"C:\\new\\wc.wasm\"\n"),
        set: &[],
        errors: &[
            r"job.toml line 2, column 18: `\w` means nothing in a string",
            r"help: in single quotes a backslash is just a backslash: 'C:\jobs'; in double quotes, double it",
        ],
    },
    Case {
        text: Whole("[job]\nplugin = \"C:\\jobs\\wc.wasm\"\n"),
        set: &[],
        errors: &[
            r"job.toml line 2, column 14: `\j` means nothing in a string",
            r"help: in single quotes a backslash is just a backslash: 'C:\jobs'; in double quotes, double it",
        ],
    },
    Case {
        text: Whole("[job]\nname = “wc”\n"),
        set: &[],
        errors: &["job.toml line 2, column 8: the value `“wc”` needs quotes", r#"help: write `name = "wc"`"#],
    },
    Case {
        text: Whole("[sources.s]\naddress = 127.0.0.1:9999 # local\n"),
        set: &[],
        errors: &[
            "job.toml line 2, column 16: the value `127.0.0.1:9999` needs quotes",
            r#"help: write `address = "127.0.0.1:9999"`"#,
        ],
    },
    Case {
        text: Whole("[job]\nname = \n"),
        set: &[],
        errors: &[
            "job.toml line 2, column 7: `name` has no value",
            "help: write a value after the `=`, or remove the line",
        ],
    },
    Case {
        text: Whole("[job]\nname ="),
        set: &[],
        errors: &[
            "job.toml line 2, column 7: `name` has no value",
            "help: write a value after the `=`, or remove the line",
        ],
    },
    Case {
        text: Whole("[job]\nname\n"),
        set: &[],
        errors: &["job.toml line 2, column 5: key with no value, expected `=`", "help: the line reads `name`"],
    },
    Case {
        text: Whole("[job\nname = \"wc\"\n"),
        set: &[],
        errors: &["job.toml line 1, column 5: unclosed table, expected `]`", "help: the line reads `[job`"],
    },
    Case {
        text: Whole("[job]\nname = \"wc\nplugin = \"x\"\n"),
        set: &[],
        errors: &[
            r#"job.toml line 2, column 11: invalid basic string, expected `"`"#,
            r#"help: the line reads `name = "wc`"#,
        ],
    },
    Case {
        text: Whole("[job]\nname = \"wc\" plugin = \"x\"\n"),
        set: &[],
        errors: &[
            "job.toml line 2, column 13: unexpected key or value, expected a new line or `#`",
            r#"help: the line reads `name = "wc" plugin = "x"`"#,
        ],
    },
    Case {
        text: Whole("[job]\nargs = { a = \"1\"\n\n"),
        set: &[],
        errors: &[
            "job.toml line 2, column 17: unclosed inline table, expected `}`",
            r#"help: the line reads `args = { a = "1"`"#,
        ],
    },
    Case {
        text: Whole("[job]\nargs = [1, 2\n\n"),
        set: &[],
        errors: &["job.toml line 2, column 13: unclosed array, expected `]`", "help: the line reads `args = [1, 2`"],
    },
    Case {
        text: Whole("[job]\nname = \"a\"\nname = \"b\"\nplugin = 1s\nname = \"c\"\n"),
        set: &[],
        errors: &[
            "job.toml line 3, column 1: `name` is given twice, first in line 2",
            "help: keep one of the two",
            "error: job.toml line 4, column 10: the value `1s` needs quotes",
            r#"help: write `plugin = "1s"`"#,
        ],
    },
    Case {
        text: Whole("[job]\nname = \"a\"\n[limits]\n[job]\nplugin = \"x\"\n"),
        set: &[],
        errors: &[
            "job.toml line 4, column 2: `[job]` is given twice, first in line 1",
            "help: move the keys below it up to line 1",
        ],
    },
    Case {
        text: Whole("[job]\nname = \"a\"\n[x]\nname = \"b\"\nname = \"c\"\n"),
        set: &[],
        errors: &["job.toml line 5, column 1: `name` is given twice, first in line 4", "help: keep one of the two"],
    },
    Case {
        text: Whole("= 5\n"),
        set: &[],
        errors: &[
            "job.toml line 1, column 1: unquoted keys cannot be empty, expected letters, numbers, `-` or `_`",
            "help: the line reads `= 5`",
        ],
    },
    Case {
        text: Whole("\u{feff}[job]\nnäme = 5\n"),
        set: &[],
        errors: &[
            "job.toml line 2, column 2: invalid unquoted key, expected letters, numbers, `-` or `_`",
            "help: the line reads `näme = 5`",
        ],
    },
    Case {
        text: Whole("\u{feff}x = y\n"),
        set: &[],
        errors: &["job.toml line 1, column 5: the value `y` needs quotes", r#"help: write `x = "y"`"#],
    },
    Case {
        text: Whole("[job]\nargs = { a = b }\n"),
        set: &[],
        errors: &["job.toml line 2, column 14: the value `b` needs quotes", r#"help: write "b""#],
    },
    Case {
        text: Whole("a = 1\rb = 2\n"),
        set: &[],
        errors: &[
            "job.toml line 1, column 7: carriage return must be followed by newline, expected a new line",
            r"help: the line reads `a = 1\rb = 2`",
        ],
    },
    Case {
        text: Whole("x = 1__0\n"),
        set: &[],
        errors: &["job.toml line 1, column 6: `_` may only go between digits", "help: the line reads `x = 1__0`"],
    },
    Case {
        text: Whole("[a]\nb = 1\n[a.b]\nc = 1\n"),
        set: &[],
        errors: &["job.toml line 3, column 4: `[a.b]` is given twice", "help: move the keys below it to the first one"],
    },
    Case {
        text: Whole("x = [1, y]\n"),
        set: &[],
        errors: &["job.toml line 1, column 9: the value `y` needs quotes", r#"help: write "y""#],
    },
    Case {
        text: Whole("x = True\n"),
        set: &[],
        errors: &["job.toml line 1, column 5: the value `True` needs quotes", r#"help: write `x = "True"`"#],
    },
];
