//! Hostile plugins: whatever plugin code does, its task fails with a message that says where, and the host continues.

use super::support::simulated::{Job, Outcome};

/// Two partitions; the line `boom` is record 1 of partition 1 of the first batch.
const QUEUE: &str = "[\"a\", \"b\", \"c\", \"boom\"]\n[\"d\", \"e\"]\n";

/// The beginning of the message of every failure at that line.
const PLACE: &str = "operator `fragile` (map, node 1) failed on batch 2001-09-09T01:46:41Z, partition 1, record 1: ";

/// The end of the message of every failure at that line.
const RECORD: &str = "\n  record 1 of source `lines`: boom";

/// The behaviours that only the limit on time ends. All other behaviours meet another limit, or end by themselves,
/// however slow the machine is.
const ENDLESS: [&str; 4] = ["loop", "describe-loop", "driver-loop", "driver-writes-for-ever"];

pub(super) fn job(behaviour: &str) -> Job {
    let task_time = if ENDLESS.contains(&behaviour) { "300ms" } else { "10m" };
    Job::on_queue("hostile", QUEUE)
        .with_job_keys(&format!("parallelism = 2\nargs = {{ does = \"{behaviour}\" }}"))
        .with_tables(&format!("\n[limits]\nmemory = \"32MiB\"\ntask_time = \"{task_time}\"\nresult_size = \"8MiB\"\n"))
}

pub(super) fn run(behaviour: &str) -> Outcome {
    job(behaviour).run()
}

/// The error of a job whose plugin misbehaves, without its place and its help.
fn failure(behaviour: &str) -> String {
    failure_with_help(behaviour, "fix the plugin, or set job.on_error = \"continue\" to go on with the next batch")
}

/// The same, for a message with another help.
fn failure_with_help(behaviour: &str, expected: &str) -> String {
    let error = run(behaviour).error();
    let (message, help) = error.split_once("\nhelp: ").unwrap_or_else(|| panic!("no help in: {error}"));
    assert_eq!(help, expected);
    let message = message.strip_prefix(PLACE).unwrap_or_else(|| panic!("{behaviour}: no place in: {error}"));
    message.strip_suffix(RECORD).unwrap_or_else(|| panic!("{behaviour}: no record in: {error}")).to_owned()
}

#[test]
fn a_plugin_that_behaves_runs() {
    let outcome = run("behave");
    assert_eq!(outcome.result, Ok(()));
    assert!(outcome.printed.contains("\nboom\n") && outcome.printed.contains("\ne\n"));
}

/// A sample of the task that fails changes neither its output nor its message. Of a task without end, the sample tells how long
/// the operator had the row.
#[test]
fn samples_of_a_task_change_nothing() {
    for behaviour in
        ["behave", "panic", "loop", "allocate", "recurse", "exit", "not-utf8", "flood", "state", "log-flood", "print"]
    {
        let job = job(behaviour).with_parallelism(1);
        let (plain, sampled) = (job.run(), job.clone().with_samples().run());
        assert_eq!((&sampled.result, &sampled.printed), (&plain.result, &plain.printed), "{behaviour}");
        let samples: Vec<&String> = sampled.log.iter().filter(|line| line.contains("OperatorsSampled ")).collect();
        // Nobody looks at the rows of a sample.
        let has_sample = !matches!(behaviour, "panic" | "allocate" | "recurse" | "exit");
        assert_eq!(
            samples.iter().any(|line| line.ends_with(": partition 0, 4 rows")),
            has_sample,
            "{behaviour}: {samples:?}"
        );
        assert!(!plain.log.iter().any(|line| line.contains("OperatorsSampled ")));
    }
}

#[test]
fn a_panic_is_reported_with_its_message_and_record() {
    let failure = failure("panic");
    assert!(failure.contains("the plugin does not like this line"), "{failure}");
    assert!(failure.contains("plugins/hostile/src/lib.rs:") && !failure.contains("it asked for"), "{failure}");
}

/// What the standard library says of files and threads does not tell why there are none.
#[test]
fn what_the_sandbox_does_not_have_is_named_with_what_a_plugin_uses_instead() {
    for (behaviour, own, advice) in [
        (
            "file",
            "the words can be read",
            "it asked for a file, and a plugin sees none: in driver functions, `files::read`",
        ),
        ("environment", "there is a home", "it asked for the environment, and a plugin has none: `ctx.arg(\"name\")`"),
        ("thread", "failed to spawn thread", "it asked for a thread, and a plugin has only one: the host runs"),
        ("socket", "", "it asked for the network, and a plugin has none: the sources and outputs of the job"),
        ("sleep", "", "it asked to wait, and a plugin never waits: `job.batch_interval`"),
        ("exit", "", "it asked to exit, which no plugin can"),
    ] {
        let failure = failure(behaviour);
        assert!(failure.contains(own) && failure.contains(&format!("\n  {advice}")), "{behaviour}: {failure}");
    }
    let error = run("describe-file").error();
    assert!(error.contains("\n  it asked for a file"), "{error}");
}

#[test]
fn a_loop_without_end_runs_into_the_time_limit() {
    assert_eq!(failure("loop"), "it ran longer than limits.task_time = 300ms");
}

#[test]
fn allocating_without_end_runs_into_the_memory_limit() {
    let failure = failure_with_help("allocate", "raise limits.memory, or make the plugin hold less at a time");
    assert!(failure.starts_with("it asked for ") && failure.ends_with("limits.memory = 33554432 bytes"), "{failure}");
}

#[test]
fn recursion_without_end_uses_up_the_stack() {
    let failure = failure("recurse");
    assert!(failure == "it used up its stack: recursion without end?" || failure.contains("memory"), "{failure}");
}

#[test]
fn exiting_and_sleeping_are_traps() {
    for behaviour in ["exit", "sleep"] {
        let failure = failure(behaviour);
        assert!(failure.starts_with("it trapped: "), "{behaviour}: {failure}");
    }
}

#[test]
fn broken_rows_are_refused() {
    for behaviour in [
        "offsets-descend",
        "offsets-beyond",
        "offsets-negative",
        "not-utf8",
        "cut-character",
        "buffers-missing",
        "buffer-outside",
        "rows-missing",
    ] {
        let failure = failure(behaviour);
        assert!(failure.starts_with("it returned broken data: "), "{behaviour}: {failure}");
    }
}

#[test]
fn only_tasks_with_state_may_hand_over_states() {
    assert_eq!(failure("state"), "it returned broken data: a task without state emitted state");
}

#[test]
fn emitting_without_end_runs_into_the_result_limit() {
    assert_eq!(failure("flood"), "it emitted more than limits.result_size = 8388608 bytes");
}

#[test]
fn printing_goes_to_the_log() {
    assert_eq!(run("print").result, Ok(()));
}

#[test]
fn a_log_flood_is_cut() {
    assert_eq!(run("log-flood").result, Ok(()));
}

/// S1.28, and other failures in `describe`.
#[test]
fn describing_is_limited_too() {
    let describe = |behaviour| run(behaviour).error();
    assert_eq!(
        describe("no-output"),
        "No output operations registered, so nothing to execute, in plugin /jobs/plugin.wasm\n\
         help: end at least one stream with an output such as `print()`"
    );
    assert!(describe("describe-panic").contains("no graph today"));
    assert!(describe("describe-loop").contains("it ran longer than limits.task_time = 300ms"));
    assert!(describe("describe-allocate").contains("bytes of memory before it reads anything"));
    assert!(describe("describe-emit").contains("rows outside of a task"));
    assert!(describe("partitions").contains("partitions(3) follows `source`, which does not shuffle"));
}

/// A name with control characters could move the cursor of a reader's terminal.
#[test]
fn names_with_control_characters_are_refused() {
    let error = run("name-escape").error();
    assert!(error.contains("has control characters"), "{error}");
    assert!(!error.contains('\u{1b}') && !error.contains("\nerror: forged"), "{error}");
}

/// With `on_error = "continue"`, the failed batch is given up, and the next batch runs.
#[test]
fn the_host_outlives_the_plugin() {
    for behaviour in ["panic", "loop", "allocate", "not-utf8"] {
        let mut job = job(behaviour);
        job.job_file = job.job_file.replace("[job]\n", "[job]\non_error = \"continue\"\n");
        let outcome = job.run();
        assert_eq!(outcome.result, Ok(()), "{behaviour}");
        assert!(
            outcome.printed.contains("Time: 1000000002000 ms\n") && outcome.printed.contains("\nd\ne\n"),
            "{behaviour}"
        );
        assert!(!outcome.printed.contains("Time: 1000000001000 ms\n"), "{behaviour}");
        let failed = outcome
            .log
            .iter()
            .any(|line| line.contains("OutputOperationCompleted 2001-09-09T01:46:41Z") && line.contains(PLACE));
        assert!(failed, "{behaviour}: {:#?}", outcome.log);
    }
}

/// S16.03: clocks, random numbers, environment and files are the same for every run, on every attempt.
#[test]
fn what_a_plugin_finds_around_it_is_the_same_in_every_run() {
    let outcome = run("random");
    assert_eq!(outcome.result, Ok(()));
    assert!(outcome.printed.contains("Ok(1000000001s) 0 false"), "{}", outcome.printed);
    assert_eq!(run("random"), outcome);
}

/// The memory of an instance is used again for the next instance. A task finds nothing in its memory that a task before it
/// has left there.
#[test]
fn a_task_finds_its_memory_as_the_plugin_was_compiled() {
    let outcome = run("leftovers");
    assert_eq!(outcome.result, Ok(()));
    // Two tasks of two records each, and then two tasks of one record each.
    for found in ["a 1 true", "b 2 true", "c 1 true", "boom 2 true", "d 1 true", "e 1 true"] {
        assert!(outcome.printed.contains(&format!("\n{found}\n")), "{found}: {}", outcome.printed);
    }
}
