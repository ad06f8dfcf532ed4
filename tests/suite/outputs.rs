//! Outputs that save files, in a simulated world: failures at every moment, full and read-only disks, and order.

use super::support::simulated::{Job, Outcome};
use host::engine::{FaultInjector, FaultPoint};
use host::ids::TaskId;
use std::collections::BTreeSet;

/// Makes a job that saves numbers in three partitions, and saves and prints their sum.
fn saving(queue: &str) -> Job {
    Job::on_queue("operators", queue).with_job_keys("parallelism = 2\nargs = { operator = \"save_as_text_files\" }")
}

/// The directories that were saved, hidden ones included.
fn directories(outcome: &Outcome) -> BTreeSet<&str> {
    outcome.saved.keys().filter_map(|path| path.rsplit_once('/')).map(|(directory, _)| directory).collect()
}

/// Fails one partition of the last stage of the first output, in all attempts.
struct FailsForGood(FaultPoint);

impl FaultInjector for FailsForGood {
    fn fails(&self, task: TaskId, _: u32, point: FaultPoint) -> bool {
        (task.stage.0, task.partition, point) == (2, 1, self.0) && task.batch.as_ms() == 1_000_000_001_000
    }
}

/// If one partition of a batch fails, the batch saves no files. Later batches are not affected.
#[test]
fn a_batch_that_fails_is_not_saved_in_part() {
    for point in [FaultPoint::Begin, FaultPoint::BeforeCommit] {
        let job = saving("[1, 2, 3]\n[4, 5, 6]\n").with_faults(FailsForGood(point));
        let stopped = job.run();
        assert!(stopped.error().contains(&format!("partition 1: injected failure: {point:?}")), "{}", stopped.error());
        assert_eq!(directories(&stopped), BTreeSet::new());
        let went_on = job.with_job_keys("on_error = \"continue\"").run();
        assert_eq!(went_on.result, Ok(()));
        let expected = ["out/numbers-1000000002000.txt", "sum-1000000001000", "sum-1000000002000"];
        assert_eq!(directories(&went_on), BTreeSet::from(expected));
    }
}

/// A write to a full disk is tried again as often as any failure. Then the failure is final, and files that were saved
/// before stay complete.
#[test]
fn a_full_disk_ends_the_run_and_leaves_whole_batches() {
    let queue = "[1, 2, 3, 4]\n[5, 6, 7, 8]\n";
    let complete = saving(queue).run();
    assert_eq!(complete.result, Ok(()));
    let mut errors = BTreeSet::new();
    for space in 0.. {
        let mut job = saving(queue);
        job.disk_space = Some(space);
        let outcome = job.run();
        if outcome.result.is_ok() {
            break;
        }
        let error = outcome.error();
        assert!(
            error.contains(" did not save batch 2001-09-09T01:46:4") && error.contains("cannot write /jobs/"),
            "{error}"
        );
        assert!(error.contains("(partition ") && error.contains("\nhelp: make room on the disk of /jobs"), "{error}");
        errors.insert(error.split(" did not").next().map(str::to_owned));
        assert!(outcome.retries >= 3, "{error}");
        // All existing files are the same as without the failure.
        for (path, text) in &outcome.saved {
            assert_eq!(complete.saved.get(path), Some(text), "{path} with {space} bytes");
        }
        for directory in directories(&outcome) {
            assert!(outcome.saved.contains_key(&format!("{directory}/_SUCCESS")), "{directory} with {space} bytes");
        }
    }
    assert_eq!(errors.len(), 2, "both outputs were hit: {errors:?}");
}

/// Files that are written in pieces, and not line by line, are also either complete or absent.
#[test]
fn a_full_disk_leaves_whole_files_of_every_format() {
    for kind in ["object", "parquet", "csv", "json"] {
        let keys = format!("parallelism = 2\nargs = {{ operator = \"save_as_{kind}_files\" }}");
        let job = Job::on_queue("operators", "[1, 2, 3, 4]\n[5, 6, 7, 8]\n").with_job_keys(&keys);
        let complete = job.run();
        assert_eq!(complete.result, Ok(()));
        let needed: usize = complete.bytes.values().map(Vec::len).sum();
        for part in 0..8 {
            let mut job = job.clone();
            job.disk_space = Some((needed * part / 8) as u64);
            let outcome = job.run();
            assert!(outcome.error().contains("\nhelp: make room on the disk of /jobs"), "{}", outcome.error());
            for (path, bytes) in &outcome.bytes {
                assert_eq!(complete.bytes.get(path), Some(bytes), "{path}, {part} eighths of the space");
            }
        }
    }
}

#[test]
fn a_directory_that_cannot_be_written_to_stops_a_job_before_it_starts() {
    let mut job = saving("[1]\n");
    job.read_only.push("/jobs".to_owned());
    let outcome = job.run();
    assert_eq!(
        outcome.error(),
        "2 mistakes in the outputs:\n  output `numbers` (save_as_text_files, node 3) cannot be written: cannot write to \
         the directory /jobs: permission denied\n  output `save_as_text_files` (node 6) cannot be written: cannot write \
         to the directory /jobs: permission denied\nhelp: whoever runs the host needs the right to write in /jobs"
    );
    assert_eq!(outcome.log, [""; 0]);
}

/// S6.16: the outputs of a batch run one at a time, in the order of their definition. The outputs of the next batch run
/// after that.
#[test]
fn outputs_run_one_at_a_time_in_order() {
    for seed in 0..5 {
        let outcome = saving("[1, 2, 3]\n[4]\n").with_seed(seed).run();
        let is_output = |line: &&String| line.contains("OutputOperation");
        let seen: Vec<String> = outcome
            .log
            .iter()
            .filter(is_output)
            .map(|line| line.split(' ').skip(2).take(3).collect::<Vec<_>>().join(" "))
            .collect();
        let mut expected = Vec::new();
        for batch in ["2001-09-09T01:46:41Z:", "2001-09-09T01:46:42Z:"] {
            for output in 0..3 {
                expected.push(format!("OutputOperationStarted {batch} {output}"));
                expected.push(format!("OutputOperationCompleted {batch} {output}"));
            }
        }
        assert_eq!(seen, expected);
    }
}

/// A batch of the same time replaces the saved files. A job that starts again at the same moment makes such a batch.
#[test]
fn a_batch_that_runs_again_replaces_what_it_saved() {
    let first = saving("[1, 2, 3]\n").run();
    let mut again = saving("[1, 2, 3]\n");
    for (path, text) in &first.saved {
        again.files.push((path.clone(), format!("old {text}")));
    }
    again.files.push(("out/numbers-1000000001000.txt/part-00009".to_owned(), "of a wider run".to_owned()));
    let second = again.run();
    assert_eq!(second.result, Ok(()));
    assert_eq!(second.saved, first.saved);
}
