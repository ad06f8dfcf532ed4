//! Hostile driver functions: whatever they do, their output fails with a message that says where, and the host
//! continues.

use super::hostile::{job, run};

/// The beginning of the message of every failure of the driver function.
const PLACE: &str = "driver function of `rude` (foreach_rdd, node 1) failed on batch 2001-09-09T01:46:41Z: ";

/// The error of a job whose driver function misbehaves, without its place and its help.
pub(super) fn failure(behaviour: &str) -> String {
    let error = run(behaviour).error();
    let (message, help) = error.split_once("\nhelp: ").unwrap_or_else(|| panic!("no help in: {error}"));
    assert_eq!(help, "fix the plugin, or set job.on_error = \"continue\" to go on with the next batch");
    message.strip_prefix(PLACE).unwrap_or_else(|| panic!("{behaviour}: no place in: {error}")).to_owned()
}

#[test]
fn a_driver_function_that_behaves_runs() {
    assert_eq!(run("driver-behave").result, Ok(()));
}

#[test]
fn a_panic_is_reported_with_its_message() {
    let failure = failure("driver-panic");
    assert!(failure.contains("no data sets today") && failure.contains("plugins/hostile/src/driver.rs:"), "{failure}");
}

#[test]
fn time_and_memory_are_limited() {
    assert_eq!(failure("driver-loop"), "it ran longer than limits.task_time = 300ms");
    for behaviour in ["driver-allocate", "driver-nodes-for-ever"] {
        let failure = failure(behaviour);
        assert!(
            failure.starts_with("it asked for ") && failure.ends_with("limits.memory = 33554432 bytes")
                || behaviour == "driver-nodes-for-ever" && failure.starts_with("it ran longer"),
            "{failure}"
        );
    }
}

#[test]
fn what_it_collects_and_makes_is_limited() {
    assert_eq!(failure("driver-collect"), "an action returned more than limits.result_size = 8388608 bytes");
    assert_eq!(failure("driver-nodes"), "it returned broken data: it made more than 2000 data sets");
}

#[test]
fn what_is_not_its_own_is_refused() {
    let unknown =
        "it returned broken data: it names node 4711, which is neither a data set that it got nor one that it made";
    assert_eq!(failure("driver-unknown"), unknown);
    assert_eq!(
        failure("driver-end"),
        "it returned broken data: it returned a data set, but only a `transform` may \
                        return one"
    );
    assert_eq!(
        failure("driver-end-twice"),
        "it returned broken data: `data-sets.end` was called at a time when it is \
                        not allowed"
    );
    assert_eq!(
        failure("driver-done"),
        "it returned broken data: `replays.done` was called at a time when it is not \
                        allowed"
    );
    assert_eq!(
        failure("driver-next"),
        "it returned broken data: `replays.next` was called at a time when it is not \
                        allowed"
    );
    let error = run("driver-transform-type").error();
    assert!(error.contains("it returned rows of type text, not u64"), "{error}");
    let error = run("driver-transform-nothing").error();
    assert!(error.contains("it returned no data set"), "{error}");
    let error = run("driver-static").error();
    assert!(error.contains("is not available here"), "{error}");
}

#[test]
fn files_and_slices_are_limited_and_checked() {
    let large = failure("driver-writes-much");
    assert_eq!(large, "it handed more than limits.result_size = 8388608 bytes to the host at once");
    assert_eq!(failure("driver-writes-for-ever"), "it ran longer than limits.task_time = 300ms");
    for (behaviour, node) in [("driver-slice-unknown", 4711), ("driver-slice-of-output", 1)] {
        let told = format!("it returned broken data: it names node {node}, which is not a stream of the program");
        assert_eq!(failure(behaviour), told);
    }
    let error = run("driver-writes-in-task").error();
    assert!(error.contains("`files.write` was called at a time when it is not allowed"), "{error}");
    let mut job = job("driver-reads-much");
    job.files[0].1.push_str(&"\n".repeat(9 << 20));
    let error = job.run().error();
    assert!(
        error.contains("cannot read `queue.jsonl`: it has more than limits.result_size = 8388608 bytes"),
        "{error}"
    );
}

/// The answers that a function got are kept for tasks that run the function again. They take memory of the job.
#[test]
fn the_record_of_a_function_takes_memory() {
    let mut job = job("driver-reads-for-ever");
    job.files[0].1 = format!("[\"boom\", \"{}\"]\n", "x".repeat(1 << 20));
    job.job_file.push_str("\n[engine]\nthreads = 1\nmemory = \"96MiB\"\n");
    let error = job.run().error();
    let told = "what it did so far takes too much memory: ";
    assert!(error.contains(told) && error.contains("engine.memory = 100663296 bytes"), "{error}");
    assert!(error.ends_with(", or raise engine.memory"), "{error}");
}

/// A failure in a task of an action names the task, not the function that asked for it.
#[test]
fn a_task_of_an_action_fails_as_any_other() {
    let error = run("driver-task").error();
    assert!(
        error.starts_with("operator `foreach_partition` (node 2) failed on batch 2001-09-09T01:46:41Z, partition 1"),
        "{error}"
    );
    assert!(error.contains("the task does not like this line"), "{error}");
    let error = run("driver-run-in-task").error();
    assert!(error.contains("`data-sets.run` was called at a time when it is not allowed"), "{error}");
}

#[test]
fn a_function_that_does_something_else_when_it_runs_again_is_not_deterministic() {
    for (behaviour, what) in [
        (
            "driver-other",
            "it made `filter` of 2 with rows text, but the first time it had made `map` of 2 with rows \
          text (node 3)",
        ),
        (
            "driver-transform-other",
            "it made `filter` of 3 with rows text, but the first time it had made `map` of 3 with rows text (node 4)",
        ),
        (
            "driver-asks-other",
            "it made `foreach_partition` of 2 with rows bool, but the first time it had made `foreach_partition` of 3 \
             with rows bool (node 4)",
        ),
        ("driver-asks-more", "it made nothing, but the first time it had made `map` of 0 with rows text (node 2)"),
        ("driver-writes-other", "it wrote something else to `out/x` than before"),
        (
            "driver-writes-elsewhere",
            "it asked for a write to `out/task`, but the first time it had asked for a write to `out/driver`",
        ),
        ("driver-reads-other", "it asked for a read of `task`, but the first time it had asked for a read of `driver`"),
        (
            "driver-slices-other",
            "it asked for a slice of node 0, but the first time it had asked for a slice of node \
          0",
        ),
        (
            "driver-asks-instead",
            "it asked for a write to `out/x`, but the first time it had asked for the rows of \
          node 3",
        ),
        ("driver-ends-early", "it ended where it had asked for rows the first time"),
    ] {
        let error = run(behaviour).error();
        assert!(error.contains("driver function is not deterministic: "), "{behaviour}: {error}");
        assert!(error.contains(what), "{behaviour}: {error}");
    }
}

/// With `on_error = "continue"`, the failed output is given up, and the driver function of the next batch starts anew.
#[test]
fn the_host_outlives_the_driver_function() {
    for behaviour in ["driver-panic", "driver-loop", "driver-allocate", "driver-collect", "driver-other"] {
        let mut job = job(behaviour);
        job.job_file = job.job_file.replace("[job]\n", "[job]\non_error = \"continue\"\n");
        let outcome = job.run();
        assert_eq!(outcome.result, Ok(()), "{behaviour}");
        let events = |what: &str| outcome.log.iter().filter(|line| line.contains(what)).count();
        assert_eq!(events("(1 output failed)"), 1, "{behaviour}: {:#?}", outcome.log);
        assert_eq!(events("BatchCompleted"), 2, "{behaviour}");
    }
}
