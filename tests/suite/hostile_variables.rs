//! Accumulators and broadcast variables that are misused: the output fails with a message that names the variable.

use super::hostile::run;
use super::hostile_drivers::failure;

#[test]
fn names_and_types_are_checked() {
    assert_eq!(failure("shared-no-name"), "the name of the accumulator is empty");
    let shown = r"n\u{1b}".repeat(20);
    let long = format!("the name of the accumulator `{shown}...` has more than 256 bytes");
    assert_eq!(failure("shared-long-name"), long);
    let other = "the accumulator `n` is a long accumulator, and is used as a double accumulator";
    assert_eq!(failure("shared-other-type"), other);
    let unknown = failure("shared-unknown-type");
    assert!(unknown.starts_with("it returned broken data: ") && unknown.contains("decimal"), "{unknown}");
    let broken = failure("shared-broken-rows");
    assert!(broken.starts_with("it returned broken data: "), "{broken}");
    let error = run("shared-other-type-of-a-task").error();
    let told = "the updates of accumulators up to `foreach_partition` (node 2) cannot be counted on batch 2001-09-09T01:46:41Z: \
                the accumulator `n` is a double accumulator, and is used as a long accumulator\nhelp: fix the plugin";
    assert!(error.starts_with(told), "{error}");
}

#[test]
fn their_number_and_size_are_limited() {
    let many = "the job has 1000 accumulators already, so there is no room for `1000`";
    assert_eq!(failure("shared-names"), many);
    let of_a_task = run("shared-names-of-a-task").error();
    assert!(of_a_task.contains(many), "{of_a_task}");
    let broadcasts = "the job has 1000 broadcast variables already, so there is no room for `b`";
    assert_eq!(failure("shared-broadcasts-for-ever"), broadcasts);
    let limit =
        "would have more than limits.result_size = 8388608 bytes; let a driver function reset it after reading it";
    for (behaviour, name) in
        [("shared-grows-for-ever", "grows"), ("shared-grows-in-a-task", "grows"), ("shared-small-pieces", "pieces")]
    {
        let error = run(behaviour).error();
        assert!(error.contains(&format!("the accumulator `{name}` {limit}")), "{behaviour}: {error}");
    }
    assert_eq!(failure("shared-two-rows"), "the value of the broadcast variable `b` is 2 rows, and not one row");
}

#[test]
fn what_only_a_driver_function_can_do_is_refused_in_a_task() {
    for (behaviour, what) in [
        ("shared-value-in-a-task", "the value of accumulator `n`"),
        ("shared-broadcast-in-a-task", "a new value of broadcast variable `b`"),
    ] {
        let error = run(behaviour).error();
        assert!(
            error.starts_with("operator `foreach_partition` (node 2) failed on batch 2001-09-09T01:46:41Z"),
            "{error}"
        );
        assert!(error.contains(&format!("it asked for {what}, which only a driver function can do")), "{error}");
    }
}

#[test]
fn a_broadcast_variable_that_is_not_there_is_refused() {
    assert_eq!(failure("shared-unknown"), "there is no broadcast variable with the id 4711");
    let error = run("shared-unknown-in-a-task").error();
    assert!(error.contains(&format!("there is no broadcast variable with the id {}", u64::MAX)), "{error}");
    let other = "the broadcast variable `b` is of type u64, and is used as one of type i64";
    assert_eq!(failure("shared-read-as-other"), other);
}

#[test]
fn a_function_that_shares_something_else_when_it_runs_again_is_not_deterministic() {
    for (behaviour, what) in [
        ("shared-adds-other", "it asked for an update of accumulator `n` with another value or type than before"),
        (
            "shared-broadcasts-other",
            "it asked for a new value of broadcast variable `b` with another value or type than before",
        ),
        (
            "shared-asks-other",
            "it asked for a reset of accumulator `task`, but the first time it had asked for a reset of accumulator \
             `driver`",
        ),
    ] {
        let error = run(behaviour).error();
        assert!(
            error.contains("driver function is not deterministic: ") && error.contains(what),
            "{behaviour}: {error}"
        );
    }
}
