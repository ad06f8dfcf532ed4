//! Driver functions through the real WebAssembly path, apart from their output: see also `tests/golden/driver`.

use super::support::simulated::{Job, Outcome};

fn job(function: &str) -> Job {
    Job::on_queue("driver_functions", "[1, 2, 3, 4, 5]\n[6, 7, 1]\n[]\n")
        .with_job_keys(&format!("parallelism = 2\nargs = {{ function = \"{function}\" }}"))
}

fn run(function: &str) -> Outcome {
    job(function).run()
}

/// S6.07, S6.08, S6.09: `foreach_rdd` with the batch's time. Its actions compute.
#[test]
fn actions_give_the_function_its_rows() {
    let error = run("actions").error();
    let found =
        "(28, 3) [12, 14] [12, 14] [2, 12] [14, 12] Some(12) false 26 [(2, 2), (0, 1)] [(2, 2), (0, 1)] [] None";
    assert!(error.contains(found), "{error}");
    let place = "driver function of `foreach_rdd` (node 2) failed on batch 2001-09-09T01:46:42Z: ";
    assert!(error.starts_with(place), "{error}");
}

/// S6.12, S16.25: batch time and partition form the name of a task's write.
#[test]
fn a_partition_has_a_name_of_its_own() {
    let error = run("partitions").error();
    assert!(error.contains("1000000001000-0 has 2 values"), "{error}");
    assert!(
        error.starts_with("operator `foreach_partition` (node 3) failed on batch 2001-09-09T01:46:41Z, partition 0"),
        "{error}"
    );
}

/// S6.15: the operators of the stream would panic if they ran.
#[test]
fn nothing_is_computed_without_an_action() {
    let outcome = run("without_action");
    assert_eq!(outcome.result, Ok(()));
    assert_eq!(outcome.log.iter().filter(|line| line.contains("BatchCompleted")).count(), 3);
}

/// S18.23: the example, with a blacklist that differs in each batch.
#[test]
fn clicks_of_blacklisted_users_are_dropped() {
    let clicks = "[\"1 tom\", \"2 jack\", \"3 tom\"]\n[\"4 jack\", \"5 tom\"]\n";
    let mut job = Job::on_queue("transform_blacklist", clicks)
        .with_tables("[sources.blacklist]\ntype = \"queue\"\npath = \"blacklist.jsonl\"\n");
    job.files.push(("blacklist.jsonl".to_owned(), "[\"tom\"]\n[\"jack\"]\n".to_owned()));
    let outcome = job.run();
    assert_eq!(outcome.result, Ok(()));
    let batches: Vec<Vec<String>> = outcome.batches().into_iter().map(|(_, lines)| lines).collect();
    assert_eq!(batches, [["2 jack"], ["5 tom"]]);
}
