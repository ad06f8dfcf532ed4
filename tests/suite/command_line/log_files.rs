//! A log file, as people use it: a program appends to it, rotates it and truncates it, while the job runs and while it
//! does not run.

use super::super::support::binary::{Directory, Running};
use super::require_refusal;
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

const JOB: &str = "[job]\nname = \"word-count\"\nplugin = \"network_word_count.wasm\"\nbatch_interval = \"20ms\"\n\
                   checkpoint = \"state\"\nmax_catch_up = 1000000\n\n\
                   [sources.lines]\ntype = \"log-file\"\npath = \"app.log\"\n";

fn directory(keys: &str) -> Directory {
    let directory = Directory::with_job("network_word_count");
    directory.write("job.toml", format!("{JOB}{keys}"));
    directory
}

fn append(directory: &Directory, text: &str) {
    let file = OpenOptions::new().create(true).append(true).open(directory.path("app.log"));
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("the file can be written");
}

fn rotate(directory: &Directory, to: &str) {
    fs::rename(directory.path("app.log"), directory.path(to)).expect("a file can be renamed");
}

/// Runs the job until there is nothing more to read. Returns the counts that it printed, and its log.
fn run(directory: &Directory, args: &[&str]) -> (Vec<String>, String) {
    let said = directory.run(&[&["run", "job.toml", "--stop-when-idle"], args].concat());
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    let mut counts: Vec<String> = said.out.lines().filter(|line| line.starts_with('(')).map(str::to_owned).collect();
    counts.sort();
    (counts, said.err)
}

fn shown(directory: &Directory) -> Value {
    let said = directory.run(&["checkpoint", "show", "state", "--json"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    serde_json::from_str(&said.out).expect("the report is JSON")
}

#[test]
fn lines_are_read_as_they_are_appended() {
    let directory = directory("");
    append(&directory, "one\n");
    let mut host = Running::start(directory.host(&["run", "job.toml", "--events", "events.jsonl"]));
    host.wait_for_out("(one,1)");
    append(&directory, "tw");
    append(&directory, "o\n");
    host.wait_for_out("(two,1)");
    // The writer of a log continues to write to the old file for a while after the rotation.
    rotate(&directory, "app.log.1");
    let mut old = OpenOptions::new().append(true).open(directory.path("app.log.1")).expect("the file is there");
    append(&directory, "");
    old.write_all(b"three\n").expect("the file can be written");
    host.wait_for_out("(three,1)");
    append(&directory, "four\n");
    host.wait_for_out("(four,1)");
    host.signal("INT");
    let said = host.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    let events = fs::read_to_string(directory.path("events.jsonl")).expect("there are events");
    let inode = |name: &str| {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(directory.path(name)).expect("the file is there").ino()
    };
    let range = format!("\"description\":\"app.log#{}-", inode("app.log.1"));
    assert!(events.contains(&range) && events.contains("-0 from 0 to 4\""), "{events}");
    let positions = &shown(&directory)["ingest"]["log_positions"]["lines"];
    let positions: Vec<(&String, &Value)> = positions.as_object().expect("it is an object").iter().collect();
    let [(partition, position)] = positions[..] else { panic!("{positions:?}") };
    assert!(partition.starts_with(&format!("app.log#{}-", inode("app.log"))), "{partition}");
    assert_eq!(*position, 5);
    let said = directory.run(&["checkpoint", "show", "state"]);
    assert!(said.out.contains(&format!("read: `lines` up to position 5 of {partition}\n")), "{}", said.out);
}

#[test]
fn a_restart_goes_on_with_the_next_line() {
    let directory = directory("");
    append(&directory, "one\ntwo\nthr");
    assert_eq!(run(&directory, &[]).0, ["(one,1)", "(two,1)"]);
    append(&directory, "ee\nfour");
    rotate(&directory, "app.log.1");
    append(&directory, "five\n");
    assert_eq!(run(&directory, &[]).0, ["(five,1)", "(four,1)", "(three,1)"]);
    assert_eq!(run(&directory, &[]).0, [""; 0]);
}

/// The batch had its lines when its output failed. After a restart the batch runs again, and reads the same lines and
/// no others.
#[test]
fn a_batch_that_runs_again_reads_the_same_lines() {
    let directory = Directory::with_job("recoverable");
    let job =
        JOB.replace("network_word_count", "recoverable").replace("[sources", "directories = { out = \".\" }\n[sources");
    directory.write("job.toml", &job);
    fs::create_dir(directory.path("out")).expect("a directory can be made");
    append(&directory, "one\n");
    run(&directory, &[]);
    let saved = || {
        let entries = fs::read_dir(directory.path("out")).expect("the directory is there");
        let names = entries.map(|entry| entry.expect("a directory can be read").path());
        let mut lines: Vec<(PathBuf, String)> = names
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("lines-")))
            .flat_map(|path| fs::read_dir(path).expect("the directory is there"))
            .map(|file| file.expect("a directory can be read").path())
            .filter_map(|path| Some((path.clone(), fs::read_to_string(path).ok()?)))
            .filter(|(_, text)| !text.is_empty())
            .collect();
        lines.sort();
        lines.into_iter().map(|(_, text)| text).collect::<Vec<_>>()
    };
    assert_eq!(saved(), ["one\n"]);
    let mut host = Running::start(directory.host(&["run", "job.toml", "--json"]));
    host.wait_for_out("StreamingStarted");
    fs::rename(directory.path("out"), directory.path("away")).expect("a directory can be renamed");
    directory.write("out", "no directory");
    append(&directory, "two\nthree\n");
    let said = host.finish();
    assert_eq!(said.code, Some(4), "{}", said.err);
    fs::remove_file(directory.path("out")).expect("the file is there");
    fs::rename(directory.path("away"), directory.path("out")).expect("a directory can be renamed");
    append(&directory, "four\n");
    rotate(&directory, "app.log.1");
    append(&directory, "five\n");
    run(&directory, &[]);
    assert_eq!(saved(), ["one\n", "two\nthree\n", "four\n", "five\n"]);
}

#[test]
fn lost_lines_are_told() {
    let directory = directory("start = \"end\"\n");
    append(&directory, "old\n");
    assert_eq!(run(&directory, &[]).0, [""; 0]);
    fs::write(directory.path("app.log"), "new\n").expect("the file can be written");
    fs::write(directory.path("app.log"), "a\n").expect("the file can be written");
    let (counts, log) = run(&directory, &[]);
    assert_eq!(counts, ["(a,1)"]);
    assert!(log.contains("is lost: app.log was truncated, and is read from its beginning"), "{log}");
    fs::remove_file(directory.path("app.log")).expect("the file is there");
    append(&directory, "b\n");
    let (counts, log) = run(&directory, &[]);
    assert_eq!(counts, ["(b,1)"]);
    let told: Vec<&str> = log.lines().filter(|line| line.contains("DataLost")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].ends_with("is lost: the file is not in . any more"), "{told:?}");
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let refused = |keys: &str, expected: &str| {
        let directory = Directory::with_job("network_word_count");
        directory.write("job.toml", format!("{}{keys}", JOB.replace("path = \"app.log\"\n", "")));
        require_refusal(&directory, &[], expected);
    };
    refused(
        "path = \"app.log\"\nencoding = \"utf-16\"\n",
        "error: job.toml line 11: sources.lines.encoding = \"utf-16\": a log file cannot be read in this encoding\n\
         help: use an encoding in which each line ends with the byte 10, such as \"utf-8\" or \"latin-1\"",
    );
    refused(
        "path = \"app.log.gz\"\n",
        "error: source `lines` follows app.log.gz, which is compressed\n\
         help: name the file that is written to, or read compressed files with type = \"text-files\"",
    );
    refused(
        "path = \".\"\n",
        "error: source `lines` cannot follow .: it is no regular file\n\
         help: `path` names a file, not a directory or a pipe",
    );
    refused(
        "path = \"logs/app.log\"\n",
        "error: source `lines` cannot follow logs: No such file or directory (os error 2)\n\
         help: make the directory, or correct `path`",
    );
}
