//! Jobs that keep state, as people write, start and restart them.

use super::super::support::binary::Directory;
use super::require_refusal;
use std::collections::BTreeMap;

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

/// S4.06, S4.16, S10.08: each operator that keeps state needs a checkpoint directory. The message says what to write.
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
    // What the message says to write is enough. Windows without an inverse function need no directory.
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
        "checkpoint_that_does_not_fit",
        "error: checkpoint interval of 3s on stream `update_state_by_key` (node 2) is not a multiple of its slide interval \
         of 2s\nhelp: use 2s or 4s",
    );
    with(
        "checkpoint_of_a_window_that_does_not_fit",
        "error: checkpoint interval of 3s on stream `sums` is not a multiple of \
         its slide interval of 2s\nhelp: use 2s or 4s",
    );
}

/// The rows that a run printed, by the number of their batch; the batches of several runs are numbered on.
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
    let start = |directory: &Directory, args: &[&str]| {
        let always = ["run", "job.toml", "--set", "job.checkpoint=checkpoint", "--set"];
        let said = directory.run(&[&always, [operator(name).as_str()].as_slice(), args].concat());
        assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
        said.out
    };
    let (one, several) = (directory(), directory());
    let mut expected = printed(&[start(&one, &["--set", "job.parallelism=2", "--stop-when-idle"])]);
    let out: Vec<String> = runs.iter().map(|args| start(&several, args)).collect();
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

/// S4.21, S10.05: a stopped job goes on with its state, also with another number of partitions. The rows of
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

/// A job is told if the state of its last run has another type. The plugin is the same, and reads an argument.
#[test]
fn state_of_another_type_is_refused() {
    let directory = directory();
    let start = |name: &str, args: &[&str]| {
        let always = ["run", "job.toml", "--set", "job.checkpoint=checkpoint", "--set"];
        directory.run(&[&always, [operator(name).as_str()].as_slice(), args].concat())
    };
    let said = start("map_with_state", &["--stop-after", "2"]);
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    let said = start("map_with_state_of_another_type", &[]);
    let expected = "error: the saved state of `map_with_state` (node 2) in checkpoint is (i64, list<i64>), and the plugin \
                    declares (i64, u64)\nhelp: start a new run with --fresh, which begins without state; or go back to the \
                    plugin whose state it is\n";
    // A warning that the argument is another one comes first.
    assert_eq!((said.code, said.error()), (Some(2), expected));
    let said = start("map_with_state_of_another_type", &["--fresh", "--stop-after", "1"]);
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
}
