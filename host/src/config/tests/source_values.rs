//! The exact words about single values of sources.

use super::Text::Below;
use super::{Case, check};

#[test]
fn every_wrong_value_of_a_source_says_what_is_right() {
    check(VALUES);
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
];
