//! The examples: each example runs as its job file says, on its own input, in a simulated world, and prints its
//! `expected.txt`.
//!
//! With `MILLSTREAM_BLESS=1` the expected output is rewritten.

use super::support::simulated::{BLOCKS, Job, START, spaced_lines};
use host::env::TopicPartition;
use host::time::{Duration, Time};
use millstream_tests::repository;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// When the first file of an example appears after the start, and the time between two files.
const FIRST_FILE: Duration = Duration::from_millis(1200);
const NEXT_FILE: Duration = Duration::from_secs(1);

/// The number of batches that read the lines of an `input.txt`, as in `examples/run`.
const BATCHES_OF_LINES: u64 = 5;

/// The examples that other tests run.
const ELSEWHERE: &[&str] =
    &["custom_receiver", "network_word_count", "recoverable_network_word_count", "transform_blacklist", "upgrade"];

/// The files of a directory, in the order of their names. Empty if there is no such directory.
fn files(directory: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("an example can be read").path())
        .filter(|path| path.is_file())
        .map(|path| {
            let text = fs::read_to_string(&path).expect("the files of an example are text");
            (path.file_name().expect("a file has a name").to_string_lossy().into_owned(), text)
        })
        .collect();
    files.sort();
    files
}

/// Makes the job of an example, without the path of the plugin, which the simulation sets.
fn job(name: &str) -> Job {
    let directory = repository::root().join("examples").join(name);
    let mut job = Job::on_queue(name, "");
    job.files = files(&directory);
    let (_, job_file) = job.files.iter().find(|(name, _)| name == "job.toml").expect("an example has a job file");
    let plugin = format!("plugin = \"{name}.wasm\"\n");
    assert!(job_file.contains(&plugin), "{name}: the job file names its plugin");
    job.job_file = job_file.replacen(&plugin, "", 1);
    // A directory exists if there is a file in it.
    job.files.extend(["incoming/.keep", "out/.keep"].map(|name| (name.to_owned(), String::new())));
    let appearing = files(&directory.join("files"));
    if !appearing.is_empty() {
        job.stop_after = Some(appearing.len() as u64 + 3);
    }
    let mut appears: Time = START + FIRST_FILE;
    for (name, text) in appearing {
        job.appearing.push((appears, appears, format!("incoming/{name}"), text));
        appears = appears + NEXT_FILE;
    }
    let input = job.files.iter().find(|(name, _)| name == "input.txt").map(|(_, input)| input.clone());
    if let Some(input) = input.filter(|_| job.job_file.contains("type = \"kafka")) {
        let topic = job.job_file.split("topics = \"").nth(1).and_then(|rest| rest.split('"').next());
        let topic = topic.expect("a source of Kafka names its topics");
        for (number, line) in (0..2).cycle().zip(input.lines()) {
            let of = TopicPartition { topic: topic.to_owned(), number };
            job.kafka.push((START, of, Some(line.to_owned())));
        }
        job.stop_after = Some(2);
        job = job.with_tables(BLOCKS);
    } else if let Some((_, input)) = job.files.iter().find(|(name, _)| name == "input.txt") {
        job.servers = vec![("127.0.0.1:9999".to_owned(), vec![spaced_lines(input.lines())])];
        job.stop_after = Some(BATCHES_OF_LINES);
        job = job.with_tables(BLOCKS);
    }
    job
}

/// Runs an example and compares its output.
fn check(name: &str) {
    let outcome = job(name).run();
    assert_eq!(outcome.result, Ok(()));
    let path = repository::root().join("examples").join(name).join("expected.txt");
    if std::env::var_os("MILLSTREAM_BLESS").is_some() {
        fs::write(&path, outcome.output()).expect("the expected output can be written");
    } else {
        let expected = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(outcome.output(), expected, "{}", path.display());
    }
}

macro_rules! examples {
    ($($(#[$documentation:meta])* $name:ident)*) => {
        $(
            $(#[$documentation])*
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*

        const TESTED: &[&str] = &[$(stringify!($name)),*];
    };
}

examples! {
    /// S18.17.
    direct_kafka_word_count
    /// S18.20.
    hdfs_word_count
    /// S18.24.
    hot_words
    /// S2.23.
    queue_stream
    /// S18.16, S18.21.
    kafka_word_count
    /// S16.22.
    kafka_to_kafka
    /// S18.14.
    response_code_count
    /// S18.15.
    running_response_code_count
    /// S6.04.
    sort_and_save
    /// S18.03.
    stateful_network_word_count
    /// S18.22.
    update_state_by_key_word_count
    /// A timeout.
    user_sessions
    /// S18.08.
    windowed_join
    /// S18.06.
    windowed_word_count
    /// S4.15.
    windowed_word_count_with_inverse
}

/// No example is missing, neither in the tests nor in the examples that `.ci/run` runs.
#[test]
fn every_example_is_run() {
    let directory = fs::read_dir(repository::root().join("examples")).expect("the examples are there");
    let directories = directory.map(|entry| entry.expect("they can be read")).filter(|entry| entry.path().is_dir());
    let found: BTreeSet<String> = directories.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let tested: BTreeSet<String> = TESTED.iter().chain(ELSEWHERE).map(|name| (*name).to_owned()).collect();
    assert_eq!(found, tested);
    let ci = repository::file(".ci/run").expect("CI has a program").text;
    for name in found {
        assert!(ci.contains(&format!(" {name}")), ".ci/run does not run {name}");
    }
}
