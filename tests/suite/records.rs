//! Records of user types, where they meet what is not theirs. That they work is in `tests/golden/operators`.

use super::support::simulated::{Job, Outcome};

fn run(operator: &str, queue: &str) -> Outcome {
    let keys = format!("parallelism = 1\nargs = {{ operator = \"{operator}\" }}");
    Job::on_queue("operators", queue).with_job_keys(&keys).run()
}

/// A name that is no variant of the enum that the plugin reads it as.
#[test]
fn a_value_that_is_none_of_the_type_is_refused_by_name() {
    let queue = "[{\"parity\": \"Even\", \"at\": [0, 0]}, {\"parity\": \"Purple\", \"at\": [0, 0]}]\n";
    let error = run("records_of_a_source", queue).error();
    let said = "the plugin cannot read its input: `Purple` is no variant of `Parity`, which has `Even`, `Odd`";
    assert!(error.contains(said), "{error}");
    assert!(error.contains("operator `map` (node 2) failed on batch 1000000001000 ms, partition 0"), "{error}");
}

#[test]
fn a_file_cannot_hold_what_only_the_plugin_can_read() {
    assert_eq!(
        run("serde_records_of_a_source", "[[1, \"00\"]]\n").error(),
        "/jobs/queue.jsonl cannot hold the records of source `lines`: `Event` is a type of the plugin's own, whose bytes \
         only the plugin can read\n\
         help: let the stream have records that JSON can write, such as text, and make the plugin's own of them with `map`"
    );
}
