//! Driver functions that see the ranges of offsets of their batch, and commit them.

use super::super::support::binary::Directory;
use super::super::support::numbers::numbered;
use super::{job, sender, started, wait_until_saved};
use millstream_tests::kafka_broker::Broker;
use std::collections::BTreeMap;
use std::fs;

/// The job of the other tests, with a driver function that saves and commits the offsets of each batch.
fn with_function(broker: &str, topic: &str, keys: &str) -> String {
    let args = ("args = { batch_ms = \"50\" }", "args = { batch_ms = \"50\", offsets = \"yes\" }");
    job(broker, &format!("topics = \"{topic}\""), keys).replacen(args.0, args.1, 1)
}

/// The ranges that the driver function has saved, in order, for each partition.
fn saved_ranges(directory: &Directory) -> BTreeMap<String, Vec<(i64, i64)>> {
    let files =
        fs::read_dir(directory.path(".")).expect("the directory is there").map(|file| file.expect("it is a file"));
    let mut files: Vec<_> = files.map(|file| file.path()).collect();
    files.sort();
    let mut ranges: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    let is_saved = |name: &str| name.starts_with("offsets-");
    for file in files.iter().filter(|file| file.file_name().is_some_and(|name| is_saved(&name.to_string_lossy()))) {
        for line in fs::read_to_string(file).expect("the file is text").lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |at: usize| words[at].parse().expect("an offset is a number");
            ranges.entry(words[0].to_owned()).or_default().push((number(1), number(2)));
        }
    }
    ranges
}

/// S19.13: the ranges that a driver function sees are all that is read, and the group knows what the function commits,
/// also when the host was killed.
#[test]
fn a_driver_function_sees_the_offsets_of_its_batch_and_commits_them() {
    let Some(broker) = Broker::shared() else { return };
    let topic = broker.topic(2);
    let directory = Directory::with_job("recoverable");
    let keys = "group = \"by-hand\"\ncommit_offsets = false\n";
    directory.write("job.toml", with_function(broker.address(), &topic, keys));
    let mut send = sender(&topic);
    send(broker, 0, 40);
    let mut host = started(&directory);
    wait_until_saved(&mut host, &directory, 40);
    host.signal("KILL");
    drop(host.finish());
    send(broker, 1, 20);
    let mut host = started(&directory);
    wait_until_saved(&mut host, &directory, 60);
    let log = host.stopped().err;
    assert_eq!(directory.saved_lines(), numbered(60), "{log}");
    for (number, end) in [(0, 40), (1, 20)] {
        let ranges = &saved_ranges(&directory)[&format!("{topic}/{number}")];
        let begins: Vec<i64> = ranges.iter().map(|(first, _)| *first).collect();
        let ends: Vec<i64> = ranges.iter().map(|(_, end)| *end).collect();
        assert_eq!((begins[0], &begins[1..], ends.last()), (0, &ends[..ends.len() - 1], Some(&end)), "{ranges:?}");
        assert_eq!(broker.committed("by-hand", &topic, number), Some(end));
    }
}

/// A function cannot commit for a source that tells its group of all offsets.
#[test]
fn a_commit_beside_the_commits_of_the_host_is_refused() {
    let Some(broker) = Broker::shared() else { return };
    let topic = broker.topic(1);
    broker.send(&topic, 0, ["n0"]);
    let directory = Directory::with_job("recoverable");
    directory.write("job.toml", with_function(broker.address(), &topic, ""));
    let said = directory.run(&["run", "job.toml"]);
    assert_ne!(said.code, Some(0));
    assert!(
        said.err.contains(
            "offsets of source `lines` cannot be committed: the source tells its consumer group of all offsets itself"
        ) && said.err.contains("set `commit_offsets = false` for the source, or leave the commit out"),
        "{}",
        said.err
    );
}
