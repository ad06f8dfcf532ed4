//! Accumulators and broadcast variables through the real WebAssembly path: see also `tests/golden/driver`.

use super::support::simulated::{BLOCKS, Death, Job, Outcome, spaced_lines};
use host::engine::{FaultInjector, FaultPoint};
use host::ids::TaskId;
use millstream_tests::repository;
use std::collections::BTreeMap;
use std::fs;

fn job(function: &str, keys: &str) -> Job {
    Job::on_queue("driver_functions", "[1, 2, 3, 4, 5]\n[6, 7, 1]\n[]\n[9]\n")
        .with_job_keys(&format!("parallelism = 2\n{keys}\nargs = {{ function = \"{function}\" }}"))
}

/// The events about accumulators, in order, without times.
fn told(outcome: &Outcome) -> Vec<String> {
    let told = outcome.log.iter().filter_map(|line| line.split_once(" AccumulatorsUpdated "));
    told.filter_map(|(_, told)| told.split_once(": ")).map(|(_, told)| told.to_owned()).collect()
}

/// The first attempt at each task fails at its end, after all updates, and the second attempt fails at its beginning.
struct FailTwice;

impl FaultInjector for FailTwice {
    fn fails(&self, _: TaskId, attempt: u32, point: FaultPoint) -> bool {
        matches!((attempt, point), (0, FaultPoint::BeforeCommit) | (1, FaultPoint::Begin))
    }
}

/// The values after each batch of `counters`: of its own data sets, and of the data sets that it makes for each action.
const COUNTERS: [&str; 4] = [
    "calls = 11; keys = 3 values: 1, 2, 0; mapped = 5; reduced = 3",
    "calls = 22; keys = 5 values: 1, 2, 0, 1, 0; mapped = 8; reduced = 5",
    "calls = 33",
    "calls = 44; keys = 6 values: 1, 2, 0, 1, 0, 0; mapped = 9; reduced = 6",
];

/// S11.02: the updates of a task count once, however often the task is tried, and whichever attempt runs first. A
/// driver function reads the updates after its action.
#[test]
fn the_updates_of_a_task_count_once() {
    let job = job("counters", "");
    let plain = job.run();
    assert_eq!((&plain.result, told(&plain)), (&Ok(()), COUNTERS.map(str::to_owned).to_vec()));
    let failing = job.clone().with_faults(FailTwice).run();
    assert_eq!((&failing.result, told(&failing)), (&Ok(()), told(&plain)));
    assert!(failing.retries > 0);
    for seed in 1..=5 {
        assert_eq!(told(&job.clone().with_seed(seed).with_faults(FailTwice).run()), told(&plain), "{seed}");
    }
    let without_memory = job.with_tables("[engine]\nmemory = \"768MiB\"\n").run();
    assert_eq!(told(&without_memory), told(&plain));
}

/// A stage that has failed for good adds nothing. Neither its tasks that have succeeded nor its traced attempts count.
#[test]
fn a_stage_that_fails_counts_nothing() {
    let outcome = job("counters_of_a_failure", "on_error = \"continue\"").run();
    assert_eq!(outcome.result, Ok(()));
    assert_eq!(told(&outcome), ["seen = 5", "seen = 6"]);
}

/// S11.03, S11.04: a run that resumes begins with zero, and the same calls make the variables again.
#[test]
fn a_run_that_resumes_begins_without_shared_variables() {
    let job = job("counters", "").with_checkpoint();
    assert_eq!(told(&job.run()), COUNTERS);
    let outcome = job.run_through(&[Death::AfterBatch(2)]);
    assert_eq!(outcome.result, Ok(()));
    let told = told(&outcome);
    assert_eq!(told[..2], COUNTERS[..2]);
    // The second batch runs again, because no checkpoint says that it was done.
    let again = [
        "calls = 11; keys = 2 values: 1, 0; mapped = 3; reduced = 2",
        "calls = 22",
        "calls = 33; keys = 3 values: 1, 0, 0; mapped = 4; reduced = 3",
    ];
    assert_eq!(told[2..], again);
}

/// S11.04, S11.05: all functions of all batches share the variable of a name, which is made once.
#[test]
fn a_name_is_a_singleton() {
    let job = job("singletons", "");
    let outcome = job.run();
    assert_eq!(
        (&outcome.result, told(&outcome)),
        (&Ok(()), vec!["made = 1; seen = 3".to_owned(), "seen = 4".to_owned()])
    );
    let outcome = job.with_checkpoint().run_through(&[Death::AfterBatch(1)]);
    assert_eq!(outcome.result, Ok(()));
    let made = told(&outcome).iter().filter(|told| told.starts_with("made = 1")).count();
    assert_eq!(made, 2, "each run makes it once: {:?}", told(&outcome));
}

/// A function of a stream runs once in a batch, also if outputs and a window read its rows. A function of a data set
/// that a driver function makes runs for each action, unless the rows are cached or were sent through a shuffle.
#[test]
fn a_function_counts_as_often_as_it_runs() {
    let outcome = job("counters_of_shared_nodes", "").run();
    assert_eq!(outcome.result, Ok(()));
    let expected = |all: u64| format!("again = {}; cached = {all}; once = {all}; shuffled = {all}", 2 * all);
    assert_eq!(told(&outcome), [expected(5), expected(8), expected(9)]);
}

/// The functions of operators with state count as all others do.
#[test]
fn functions_on_states_count_once() {
    let job = job("counters_of_states", "").with_checkpoint();
    let expected = ["called = 5", "called = 8", "called = 9"].map(str::to_owned).to_vec();
    let plain = job.run();
    assert_eq!((&plain.result, told(&plain)), (&Ok(()), expected.clone()));
    let failing = job.with_faults(FailTwice).run();
    assert_eq!((&failing.result, told(&failing)), (&Ok(()), expected));
}

/// The example, with lines that come at fixed times.
fn recoverable_network_word_count() -> Job {
    let directory = repository::root().join("examples/recoverable_network_word_count");
    let read = |name: &str| fs::read_to_string(directory.join(name)).expect("the example has this file");
    let mut job = Job::on_queue("recoverable_network_word_count", "");
    job.job_file = read("job.toml").replacen("plugin = \"recoverable_network_word_count.wasm\"\n", "", 1);
    job.files = vec![("out/.keep".to_owned(), String::new())];
    let input = read("input.txt");
    let connections = vec![spaced_lines(input.lines()), spaced_lines(input.lines().take(20))];
    job.servers = vec![("127.0.0.1:9999".to_owned(), connections)];
    job.stop_after = Some(5);
    job.with_tables(BLOCKS)
}

/// The values of the accumulator that counts the words of the blacklist, as the events report them.
fn dropped(outcome: &Outcome) -> Vec<String> {
    told(outcome)
        .into_iter()
        .filter_map(|told| Some(told.strip_prefix("WordsInBlacklistCounter = ")?.to_owned()))
        .collect()
}

/// S18.05, S11.01, S11.06: the counts of each batch are appended to a file, without the words of a blacklist. An
/// accumulator counts these words. With `MILLSTREAM_BLESS=1` the expected file is rewritten.
#[test]
fn the_recoverable_word_count_appends_its_counts() {
    let job = recoverable_network_word_count();
    let outcome = job.run();
    assert_eq!(outcome.result, Ok(()));
    let file = &outcome.saved["out/counts.txt"];
    let path = repository::root().join("examples/recoverable_network_word_count/expected.txt");
    if std::env::var_os("MILLSTREAM_BLESS").is_some() {
        fs::write(&path, file).expect("the expected file can be written");
    }
    assert_eq!(*file, fs::read_to_string(&path).expect("the example has an expected file"));
    for seed in 1..=5 {
        let outcome = job.clone().with_seed(seed).run();
        assert_eq!((&outcome.result, &outcome.saved["out/counts.txt"]), (&Ok(()), file), "{seed}");
    }
    let input = fs::read_to_string(path.with_file_name("input.txt")).expect("the example has an input");
    let words = input.lines().flat_map(|line| line.split(' '));
    let listed = words.filter(|word| ["a", "b", "c"].contains(word)).count();
    assert_eq!(dropped(&outcome).last(), Some(&listed.to_string()));
    // Retries take time, so that lines come in other batches. All lines are still counted once.
    let failing = job.with_faults(FailTwice).run();
    assert_eq!((&failing.result, dropped(&failing).last()), (&Ok(()), Some(&listed.to_string())));
}

/// S18.05, S11.04: after a crash, the job continues with its file, and makes blacklist and counter again.
#[test]
fn the_recoverable_word_count_goes_on() {
    let job = recoverable_network_word_count();
    let plain = job.run();
    let outcome = job.run_through(&[Death::AfterBatch(2)]);
    assert_eq!(outcome.result, Ok(()));
    let lines =
        |outcome: &Outcome| -> Vec<String> { outcome.saved["out/counts.txt"].lines().map(str::to_owned).collect() };
    let (before, after) = (lines(&plain), lines(&outcome));
    assert_eq!(before[..2], after[..2]);
    let times: BTreeMap<&str, &String> =
        after.iter().filter_map(|line| Some((line.split(' ').nth(3)?, line))).collect();
    assert_eq!(times.len(), after.len(), "a batch is in the file once: {after:#?}");
    assert!(after.iter().all(|line| !["(a,", "(b,", "(c,"].iter().any(|word| line.contains(word))), "{after:#?}");
    let (counts, plain) = (dropped(&outcome), dropped(&plain));
    assert_eq!(counts[..2], plain[..2]);
    let again: u64 = counts.last().and_then(|count| count.parse().ok()).expect("a count");
    assert!(again > 0 && again < plain[1].parse::<u64>().expect("a count") + 20, "{counts:?}");
}
