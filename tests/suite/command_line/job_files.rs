//! Job files that are wrong. `host::config` tests the message about each key. These tests show that the messages reach
//! the user.

use super::super::support::binary::Directory;
use super::{require_error, require_refusal};

/// Three lines that every job file needs.
const HEAD: &str = "[job]\nname = \"word-count\"\nplugin = \"network_word_count.wasm\"\n";

/// Requires that a job file of these bytes is refused with these words.
fn refused(text: impl AsRef<[u8]>, expected: &str) {
    let directory = Directory::new();
    directory.write("job.toml", text);
    require_refusal(&directory, &[], expected);
}

#[test]
fn a_job_file_that_is_missing() {
    for command in ["run", "check"] {
        let expected = "error: cannot read job file nope.toml: No such file or directory (os error 2)\n\
                        help: name a job file; without a name, it is job.toml in the current directory";
        require_error(&Directory::new().run(&[command, "nope.toml"]), 2, expected);
    }
}

#[test]
fn a_directory_in_place_of_a_job_file() {
    for command in ["run", "check"] {
        let expected = "error: cannot read job file .: Is a directory (os error 21)\n\
                        help: name a job file; without a name, it is job.toml in the current directory";
        require_error(&Directory::new().run(&[command, "."]), 2, expected);
    }
}

/// In a long file, a single byte in another encoding is hard to find.
#[test]
fn a_job_file_that_is_not_utf8() {
    let expected = "error: job.toml line 2: the line is not UTF-8 text\n\
                    help: save the file as UTF-8";
    refused(b"[job]\nname = \"caf\xe9\"\n", expected);
}

#[test]
fn a_job_file_that_is_too_large() {
    let expected = "error: cannot read job file job.toml: it is larger than 1MiB\n\
                    help: name a job file; without a name, it is job.toml in the current directory";
    refused("# a comment\n".repeat(100_000), expected);
}

#[test]
fn an_empty_job_file() {
    let expected = "error: job.toml: `job.name` is missing\n\
                    help: add `name = \"word-count\"` under [job]\n\
                    error: job.toml: `job.plugin` is missing\n\
                    help: add `plugin = \"word_count.wasm\"` under [job]";
    refused("", expected);
}

#[test]
fn what_is_not_toml() {
    let expected = "error: job.toml line 1, column 5: unclosed table, expected `]`\n\
                    help: the line reads `[job`";
    refused("[job\nname = \"a\"\n", expected);
    let expected = "error: job.toml line 4, column 18: the value `1s` needs quotes\n\
                    help: write `batch_interval = \"1s\"`";
    refused(format!("{HEAD}batch_interval = 1s\n"), expected);
}

#[test]
fn an_unknown_key() {
    let expected = "error: job.toml line 4: unknown key `job.batch_intervall`\n\
                    help: did you mean `job.batch_interval`?";
    refused(format!("{HEAD}batch_intervall = \"1s\"\n"), expected);
}

#[test]
fn a_value_of_the_wrong_type() {
    let expected = "error: job.toml line 4: `job.parallelism` must be a whole number, not a string\n\
                    help: remove the quotes: `parallelism = 4`";
    refused(format!("{HEAD}parallelism = \"4\"\n"), expected);
}

#[test]
fn a_unit_that_does_not_exist() {
    let expected = "error: job.toml line 4: job.batch_interval = \"5 sec\" has the unknown unit \"sec\"\n\
                    help: use \"5s\"; the units are ms, s, m and h";
    refused(format!("{HEAD}batch_interval = \"5 sec\"\n"), expected);
}

#[test]
fn a_number_out_of_range() {
    let expected = "error: job.toml line 4: job.parallelism = 300 is above the maximum of 256\n\
                    help: use a whole number from 1 to 256; the default is 2";
    refused(format!("{HEAD}parallelism = 300\n"), expected);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let directory = Directory::new();
    directory.write("job.toml", format!("{HEAD}parallelism = 0\non_error = \"contineu\"\n"));
    let expected = "error: job.toml line 4: job.parallelism = 0 is below the minimum of 1\n\
                    help: use a whole number from 1 to 256; the default is 2\n\
                    error: job.toml line 5: job.on_error = \"contineu\" is not \"stop\" or \"continue\"\n\
                    help: did you mean \"continue\"?\n\
                    error: --set limits.task_time: limits.task_time = \"2h\" is above the maximum of 1h\n\
                    help: use \"1ms\" to \"1h\"; the default is \"10s\"";
    require_refusal(&directory, &["--set", "limits.task_time=2h"], expected);
}

#[test]
fn an_override_of_an_unknown_key() {
    let directory = Directory::new();
    directory.write("job.toml", HEAD);
    let expected = "error: --set job.paralelism: unknown key `job.paralelism`\n\
                    help: did you mean `job.parallelism`?";
    require_refusal(&directory, &["--set", "job.paralelism=4"], expected);
}
