//! Records of user types, in cases with values of other types. `tests/golden/operators` shows that user types work.

use super::support::simulated::{Job, Outcome};
use host::data::text;
use proptest::prelude::*;

fn run(operator: &str, queue: &str) -> Outcome {
    let keys = format!("parallelism = 1\nargs = {{ operator = \"{operator}\" }}");
    Job::on_queue("operators", queue).with_job_keys(&keys).run()
}

/// A name that is not a variant of the enum as which the plugin reads it.
#[test]
fn a_value_that_is_none_of_the_type_is_refused_by_name() {
    let queue = "[{\"parity\": \"Even\", \"at\": [0, 0]}, {\"parity\": \"Purple\", \"at\": [0, 0]}]\n";
    let error = run("records_of_a_source", queue).error();
    let said = "the plugin cannot read its input: `Purple` is no variant of `Parity`, which has `Even`, `Odd`";
    assert!(error.contains(said), "{error}");
    assert!(error.contains("operator `map` (node 1) failed on batch 2001-09-09T01:46:41Z, partition 0"), "{error}");
}

#[test]
fn a_file_cannot_hold_what_only_the_plugin_can_read() {
    assert_eq!(
        run("serde_records_of_a_source", "[[1, \"00\"]]\n").error(),
        "/jobs/queue.jsonl cannot hold the records of source `lines`: `Event` is a type of the plugin's own, whose bytes \
         only the plugin can read\n\
         help: let the stream have records that JSON can write, such as text, and convert them to the plugin's own \
         type with `map`"
    );
}

/// The test harness of plugins shows floats as the host prints them.
fn require_same_floats(wide: f64, narrow: f32) {
    let mut printed = String::from("(");
    text::write_f64(wide, &mut printed);
    printed.push(',');
    text::write_f32(narrow, &mut printed);
    printed.push(')');
    let build = |ctx: &millstream::StreamingContext| _ = ctx.stream::<(f64, f32)>("floats").print();
    let shown = millstream::testing::Job::new(build).batch("floats", [(wide, narrow)]).run();
    assert_eq!(shown[0].rows, [printed]);
}

proptest! {
    #[test]
    fn the_harness_shows_floats_as_the_host_does(bits in any::<(u64, u32)>(), n in -1_000_000i32..1_000_000) {
        require_same_floats(f64::from_bits(bits.0), f32::from_bits(bits.1));
        require_same_floats(f64::from(n) / 1000.0, n as f32 * 100.0);
        require_same_floats(f64::MIN_POSITIVE / f64::from(n), 0.0);
    }
}
