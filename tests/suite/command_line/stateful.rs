//! Jobs that keep state, as people write, start and restart them.

use super::super::support::binary::{Directory, Said, without_times};
use super::require_refusal;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// One batch a line.
const NUMBERS: &str = "[1, 2, 5, 1]\n[3, 4]\n[]\n[4, 10, 6]\n[7, 1, 20]\n[]\n[0, 2]\n[12, 1]\n";
const BATCHES: usize = 8;

fn directory() -> Directory {
    let directory = Directory::with_job("operators");
    directory.write("queue.jsonl", NUMBERS);
    directory
}

fn operator(name: &str) -> String {
    format!("job.args={{ operator = \"{name}\" }}")
}

/// Runs a job of an operator with a checkpoint directory.
fn start(directory: &Directory, name: &str, args: &[&str]) -> Said {
    let always = ["run", "job.toml", "--set", "job.checkpoint=checkpoint", "--set"];
    directory.run(&[&always, [operator(name).as_str()].as_slice(), args].concat())
}

/// The same, for a job that has to end successfully. Returns the output of the job.
fn succeed(directory: &Directory, name: &str, args: &[&str]) -> String {
    let said = start(directory, name, args);
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    said.out
}

/// S4.06, S4.16, S10.08: each operator that keeps state needs a checkpoint directory. The message says what to write
/// into the job file.
#[test]
fn state_needs_a_checkpoint_directory() {
    let directory = directory();
    for (name, node) in [
        ("update_state_by_key", "`sums` (update_state_by_key, node 2)"),
        ("update_state_by_partition", "`update_state_by_partition` (node 2)"),
        ("map_with_state", "`map_with_state` (node 2)"),
        ("reduce_by_key_and_window_inverse", "`reduce_by_key_and_window_inverse` (node 3)"),
        ("reduce_by_window_inverse", "`reduce_by_key_and_window_inverse` (node 4)"),
    ] {
        let expected = format!(
            "error: operator {node} keeps state, and job word-count has no checkpoint directory\n\
             help: write `checkpoint = \"checkpoints/word-count\"` in the table [job] of the job file"
        );
        require_refusal(&directory, &["--set", "job.batch_interval=1s", "--set", &operator(name)], &expected);
    }
    // The key from the message is enough. Windows without an inverse function need no directory.
    let check =
        |args: &[&str]| directory.run(&[&["check", "job.toml", "--set", "job.batch_interval=1s"], args].concat());
    let checkpoint = "job.checkpoint=checkpoints/word-count";
    let said = check(&["--set", checkpoint, "--set", &operator("update_state_by_key")]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let said = check(&["--set", &operator("reduce_by_key_and_window")]);
    assert_eq!(said.code, Some(0), "{}", said.err);
}

/// S10.20: the interval between checkpoints is a multiple of the slide interval of the stream.
#[test]
fn a_checkpoint_interval_that_does_not_fit_is_refused() {
    let directory = directory();
    let with = |name: &str, expected: &str| {
        let (interval, checkpoint) = ("job.batch_interval=2s", "job.checkpoint=checkpoint");
        let args = ["--set", interval, "--set", checkpoint, "--set", &operator(name)];
        require_refusal(&directory, &args, expected);
    };
    with(
        "state_whose_checkpoint_does_not_fit",
        "error: checkpoint interval of 3s on stream `update_state_by_key` (node 2) is not a multiple of its slide interval \
         of 2s\nhelp: use 2s or 4s",
    );
    with(
        "inverse_whose_checkpoint_does_not_fit",
        "error: checkpoint interval of 3s on stream `sums` is not a multiple of \
         its slide interval of 2s\nhelp: use 2s or 4s",
    );
}

/// A failure of plugin code names the key that the function saw, or the record.
#[test]
fn failures_name_the_key() {
    let unlucky = |operator: &str, what: &str| {
        format!("operator {operator} failed on batch T, partition 0, record 1: panicked: an unlucky number\n  {what}")
    };
    let sessions = "`sessions` (map_with_state, node 2)";
    for (name, queue, expected) in [
        (
            "state_of_an_unlucky_key",
            "[1, 2, 4]\n[2, 13]\n",
            unlucky("`sums` (update_state_by_key, node 2)", "key 1"),
        ),
        ("states_that_time_out_badly", "[1, 4]\n[7, 13]\n", unlucky(sessions, "record 1: (1,13)")),
        ("states_that_time_out_badly", "[2, 1]\n[4]\n[4]\n[4, 7]\n", unlucky(sessions, "key 2")),
        (
            "state_for_keys_of_others",
            "[1]\n",
            "operator `all` (update_state_by_partition, node 2) failed on batch T, partition 0: it returned broken data: it gave a \
             state to key 0, which belongs to another partition: it can give states to the keys that it sees"
                .to_owned(),
        ),
    ] {
        let directory = directory();
        directory.write("queue.jsonl", queue);
        let said = start(&directory, name, &["--set", "job.parallelism=1", "--stop-when-idle"]);
        assert_eq!(said.code, Some(3), "{name}: {}", said.err);
        let told = without_times(said.error());
        let panics: Vec<&str> = told.split("panicked at plugins/").collect();
        let told = match panics.as_slice() {
            [before, after] => format!("{before}panicked: {}", after.split_once(":\n  ").expect("a place").1),
            _ => told,
        };
        let help = "\nhelp: fix the plugin, or set job.on_error = \"continue\" to go on with the next batch\n";
        assert_eq!(told, format!("error: {expected}{help}"), "{name}");
    }
}

/// The rows that runs printed, by the number of their batch. The numbers of batches continue from run to run.
fn printed(runs: &[String]) -> BTreeMap<u64, Vec<String>> {
    let (mut batches, mut time) = (BTreeMap::<u64, Vec<String>>::new(), 0);
    for line in runs.iter().flat_map(|out| out.lines()) {
        if let Some(told) = line.strip_prefix("Time: ") {
            time = told.strip_suffix(" ms").and_then(|ms| ms.parse().ok()).expect("a time in milliseconds");
            // A batch that runs again prints again.
            batches.insert(time, Vec::new());
        } else if !line.is_empty() && !line.starts_with("---") {
            batches.entry(time).or_default().push(line.to_owned());
        }
    }
    let first = batches.keys().next().copied().unwrap_or_default();
    batches.into_iter().map(|(time, rows)| ((time - first) / 20, rows)).collect()
}

/// Requires that a job with a checkpoint directory prints the same in several runs as in one, batch by batch.
fn require_same_rows(name: &str, runs: &[&[&str]], is_sorted: bool) {
    let (one, several) = (directory(), directory());
    let mut expected = printed(&[succeed(&one, name, &["--set", "job.parallelism=2", "--stop-when-idle"])]);
    let out: Vec<String> = runs.iter().map(|args| succeed(&several, name, args)).collect();
    let mut rows = printed(&out);
    for batches in [&mut expected, &mut rows] {
        batches.retain(|batch, _| *batch < BATCHES as u64);
        if is_sorted {
            batches.values_mut().for_each(|rows| rows.sort());
        }
    }
    assert_eq!(expected.len(), BATCHES);
    assert_eq!(rows, expected, "{name}");
}

/// S4.21, S10.05: a stopped job resumes with its state, also with another number of partitions. The rows of
/// `update_state_by_key` and of inverse windows even have the same order.
#[test]
fn state_stays_when_the_parallelism_changes() {
    let runs: [&[&str]; 4] = [
        &["--set", "job.parallelism=2", "--stop-after", "2"],
        &["--set", "job.parallelism=3", "--stop-after", "3"],
        &["--set", "job.parallelism=1", "--stop-after", "1"],
        &["--set", "job.parallelism=256", "--stop-when-idle"],
    ];
    require_same_rows("update_state_by_key", &runs, false);
    require_same_rows("state_of_states", &runs, false);
    require_same_rows("map_with_state", &runs, true);
}

/// The job is refused if the state of its last run has another type. The plugin is the same, and its type follows from
/// an argument.
#[test]
fn state_of_another_type_is_refused() {
    let directory = directory();
    succeed(&directory, "map_with_state", &["--stop-after", "2"]);
    let said = start(&directory, "map_with_state_of_another_type", &[]);
    let expected = "error: the saved state of `map_with_state` (node 2) in checkpoint is (i64, list<i64>), and the plugin \
                    declares (i64, u64)\nhelp: start a new run with --fresh, which begins without state; or go back to the \
                    plugin whose state it is\n";
    // A warning about the changed argument comes first.
    assert_eq!((said.code, said.error()), (Some(2), expected));
    succeed(&directory, "map_with_state_of_another_type", &["--fresh", "--stop-after", "1"]);
}

/// S10.21: after a graceful stop, a snapshot has the whole state, although the first regular snapshot is due only after
/// ten seconds.
#[test]
fn a_graceful_stop_leaves_nothing_to_compute_again() {
    let directory = directory();
    succeed(&directory, "update_state_by_key", &["--events", "events.jsonl", "--stop-after", "3"]);
    let events = fs::read_to_string(directory.path("events.jsonl")).expect("the events are there");
    let events = events.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let snapshots: Vec<_> = events.filter(|event| event["event"] == "SnapshotWritten").collect();
    let told = |name: &str| snapshots.iter().map(|event| event[name].clone()).collect::<Vec<_>>();
    assert_eq!((told("is_full"), told("keys")), (vec![true.into()], vec![3.into()]));
    let told = succeed(&directory, "update_state_by_key", &["--dry-run-recovery", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).expect("one JSON object");
    assert_eq!((&told["new_run"], &told["restored_ms"]), (&false.into(), &serde_json::json!([])));
}

/// The files of snapshots in the checkpoint directory of the only run.
fn snapshot_files(directory: &Directory) -> Vec<PathBuf> {
    let entries =
        |path: PathBuf| fs::read_dir(path).expect("it can be listed").map(|entry| entry.expect("listed").path());
    let run = entries(directory.path("checkpoint/runs")).next().expect("there is a run");
    entries(run.join("snapshots")).collect()
}

/// State that cannot be read is never treated as no state.
#[test]
fn a_damaged_or_missing_snapshot_is_refused() {
    let directory = directory();
    succeed(&directory, "update_state_by_key", &["--stop-after", "2"]);
    let files = snapshot_files(&directory);
    assert!(files.len() >= 2, "a description and rows: {files:?}");
    let refused = |file: &PathBuf| {
        let said = start(&directory, "update_state_by_key", &["--stop-when-idle"]);
        assert_eq!((said.code, said.out.as_str()), (Some(5), ""), "{}", said.err);
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(
            said.error().contains(&format!("/snapshots/{name} in checkpoint directory checkpoint")),
            "{}",
            said.error()
        );
        let help =
            "\nhelp: bring the file back from a backup, or start a new run with --fresh, which begins without state\n";
        assert!(said.error().ends_with(help), "{}", said.error());
    };
    for file in &files {
        let bytes = fs::read(file).expect("it can be read");
        let mut damaged = bytes.clone();
        *damaged.last_mut().expect("it is not empty") ^= 1;
        fs::write(file, damaged).expect("it can be written");
        refused(file);
        fs::remove_file(file).expect("it can be removed");
        refused(file);
        fs::write(file, bytes).expect("it can be written");
    }
    succeed(&directory, "update_state_by_key", &["--stop-when-idle"]);
}
