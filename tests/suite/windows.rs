//! Windows of any length and slide, compared with a simple model, also when batches fail or memory is short.

use super::support::binary::Directory;
use super::support::simulated::{Death, Job, Outcome};
use host::time::Time;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::BTreeMap;

/// Batches end at whole seconds after this.
const SECOND_0: u64 = 1_000_000_000_000;

/// The outputs of the operator `windows_of_arguments`, and of the model.
const WINDOW: usize = 0;
const WINDOW_OF_WINDOWS: usize = 1;

/// The length and the slide, in seconds. Without a slide, the slide of the parent applies.
#[derive(Clone, Copy, Debug)]
struct Window {
    length: u64,
    slide: Option<u64>,
}

/// The data sets of a stream, by the second at which they are due.
#[derive(Clone, Debug)]
struct Stream {
    slide: u64,
    data_sets: BTreeMap<u64, Vec<i64>>,
}

impl Stream {
    /// A source: a data set each second.
    fn source(batches: &[Vec<i64>]) -> Self {
        Self { slide: 1, data_sets: (1..).zip(batches.iter().cloned()).collect() }
    }

    /// The window by its definition: every `slide` seconds, all data sets of the last `length` seconds.
    fn window(&self, window: Window, seconds: u64) -> Self {
        let slide = window.slide.unwrap_or(self.slide);
        let in_window =
            |end: u64| self.data_sets.iter().filter(move |(time, _)| **time <= end && **time + window.length > end);
        let due = (1..=seconds).filter(|time| time % slide == 0);
        let data_sets = due.map(|time| (time, in_window(time).flat_map(|(_, rows)| rows.clone()).collect())).collect();
        Self { slide, data_sets }
    }

    /// Each data set as an output prints it.
    fn shown(&self, rows: impl Fn(&[i64]) -> Vec<String>) -> BTreeMap<u64, Vec<String>> {
        self.data_sets.iter().map(|(time, values)| (*time, rows(values))).collect()
    }
}

/// Values by key, in the order of the values.
fn by_key(values: &[i64], value: impl Fn(i64) -> i64) -> BTreeMap<i64, Vec<i64>> {
    let mut keys: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    values.iter().for_each(|n| keys.entry(n.rem_euclid(3)).or_default().push(value(*n)));
    keys
}

/// The rows that every output of the operator `windows_of_arguments` prints in each second. Pairs are in the order of
/// their keys.
fn model(batches: &[Vec<i64>], inner: Window, outer: Window) -> Vec<BTreeMap<u64, Vec<String>>> {
    let seconds = batches.len() as u64;
    let source = Stream::source(batches);
    let window = source.window(inner, seconds);
    let each = |values: &[i64]| values.iter().map(ToString::to_string).collect();
    let count = |values: &[i64]| vec![values.len().to_string()];
    let sums = |values: &[i64], value: fn(i64) -> i64| -> Vec<String> {
        by_key(values, value).iter().map(|(key, values)| format!("({key},{})", values.iter().sum::<i64>())).collect()
    };
    vec![
        window.shown(each),
        window.window(outer, seconds).shown(each),
        window.shown(count),
        window.shown(|values| values.iter().min().map(ToString::to_string).into_iter().collect()),
        window.shown(|values| sums(values, |n| n)),
        window
            .shown(|values| by_key(values, |n| n).iter().map(|(key, values)| format!("({key},{values:?})")).collect()),
        window.shown(|values| sums(values, |_| 1)),
        source.shown(count),
    ]
}

/// Makes the job whose output the model describes.
fn job(batches: &[Vec<i64>], inner: Window, outer: Window) -> Job {
    let queue: String = batches.iter().map(|batch| format!("{batch:?}\n")).collect();
    let mut args = format!("operator = \"windows_of_arguments\", length = \"{}\"", inner.length);
    args += &inner.slide.map_or(String::new(), |slide| format!(", slide = \"{slide}\""));
    args += &format!(", outer_length = \"{}\"", outer.length);
    args += &outer.slide.map_or(String::new(), |slide| format!(", outer_slide = \"{slide}\""));
    Job::on_queue("operators", &queue).with_job_keys(&format!("args = {{ {args} }}"))
}

/// The printed rows, by output and second. `due` says which outputs print in a second. Pairs are in the order of their
/// keys.
fn printed(outcome: &Outcome, due: impl Fn(usize, u64) -> bool, outputs: usize) -> Vec<BTreeMap<u64, Vec<String>>> {
    let mut printed = vec![BTreeMap::new(); outputs];
    let mut batches = outcome.batches().into_iter().map(|(time, rows)| ((time - SECOND_0) / 1000, rows)).peekable();
    while let Some(second) = batches.peek().map(|(second, _)| *second) {
        for output in (0..outputs).filter(|output| due(*output, second)) {
            let (time, mut rows) = batches.next().expect("every output that is due prints");
            assert_eq!(time, second, "output {output} printed in another batch");
            if output > WINDOW_OF_WINDOWS {
                rows.sort();
            }
            printed[output].insert(second, rows);
        }
    }
    printed
}

fn check(batches: &[Vec<i64>], inner: Window, outer: Window, parallelism: u32, without_memory: bool) {
    let expected = model(batches, inner, outer);
    let mut job = job(batches, inner, outer).with_parallelism(parallelism);
    if without_memory {
        job = job.with_tables("[engine]\nmemory = \"768MiB\"\n");
    }
    let outcome = job.run();
    assert_eq!(outcome.result, Ok(()));
    assert_eq!(outcome.spilled_bytes > 0, without_memory && batches.iter().any(|batch| !batch.is_empty()));
    let due = |output: usize, second: u64| expected[output].contains_key(&second);
    assert_eq!(printed(&outcome, due, expected.len()), expected, "{inner:?} {outer:?} {batches:?}");
}

/// S4.07, S4.08, S4.10 to S4.14, S4.17, S4.19: for any batches, lengths and slides, the windows have the rows that the
/// definition requires, the oldest batch first, also when nothing fits into memory.
#[test]
fn windows_are_what_the_definition_says() {
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let batches = prop::collection::vec(prop::collection::vec(20i64..100, 0..5), 1..11);
    let spans = (1u64..6, prop::option::of(1u64..5), 1u64..4, prop::option::of(1u64..3));
    let cases = (batches, spans, 1u32..4, any::<bool>());
    let ran =
        runner.run(&cases, |(batches, (length, slide, outer_length, outer_slide), parallelism, without_memory)| {
            let unit = slide.unwrap_or(1);
            let outer = Window { length: outer_length * unit, slide: outer_slide.map(|slide| slide * unit) };
            check(&batches, Window { length, slide }, outer, parallelism, without_memory);
            Ok(())
        });
    ran.unwrap_or_else(|error| panic!("{error}"));
}

/// The figure of Spark's guide: a window of three batches, every two batches.
#[test]
fn a_window_of_three_every_two_batches() {
    let batches: Vec<Vec<i64>> = (21..26).map(|n| vec![n]).collect();
    let window = Window { length: 3, slide: Some(2) };
    let shown = &model(&batches, window, window)[WINDOW];
    assert_eq!(shown[&4], ["22", "23", "24"]);
    check(&batches, window, Window { length: 4, slide: None }, 2, false);
}

/// S4.07: a batch that was given up stops no other batch. The windows that reach back to it fail, with the reason.
#[test]
fn windows_over_a_failed_batch_fail_and_later_ones_do_not() {
    let batches = vec![vec![1, 2], vec![3, 13], vec![4], vec![], vec![5, 6], vec![7]];
    let window = Window { length: 3, slide: None };
    let job = job(&batches, window, Window { length: 1, slide: None });
    let stopped = job.run().error();
    assert!(stopped.contains("batch 2001-09-09T01:46:42Z, partition 1, record 0: panicked"), "{stopped}");
    let outcome = job.with_job_keys("on_error = \"continue\"").run();
    assert_eq!(outcome.result, Ok(()));
    // Each of the windows fails in these seconds. The count of the batch, which is not a window, does not fail.
    let expected = model(&batches, window, Window { length: 1, slide: None });
    let fails = |output: usize, second: u64| output + 1 < expected.len() && (2..5).contains(&second);
    let got = printed(&outcome, |output, second| !fails(output, second), expected.len());
    for (output, (got, mut expected)) in got.into_iter().zip(expected.clone()).enumerate() {
        expected.retain(|second, _| !fails(output, *second));
        assert_eq!(got, expected, "output {output}");
    }
    let failures: Vec<&str> =
        outcome.log.iter().filter_map(|line| line.split("OutputOperationCompleted ").nth(1)).collect();
    let of_the_first = |second: u64| {
        failures.iter().find_map(|line| line.strip_prefix(&format!("{}: 0 ", Time::from_ms(SECOND_0 + second * 1000))))
    };
    let gap = |at: &str| {
        format!(
            "`print` (node 3): `window` (node 2) failed on batch {at}: it reads batch 2001-09-09T01:46:42Z, which failed"
        )
    };
    assert_eq!(of_the_first(3).map(str::to_owned), Some(gap("2001-09-09T01:46:43Z")));
    assert_eq!(of_the_first(4).map(str::to_owned), Some(gap("2001-09-09T01:46:44Z")));
    assert_eq!(of_the_first(5), Some("`print` (node 3)"));
}

/// Windows with an inverse function fail and work again when other windows do, with the same values, whichever host
/// dies in the meantime.
#[test]
fn an_inverse_window_begins_anew_after_a_failed_batch() {
    let batches = [vec![1, 2], vec![3, 13], vec![4], vec![], vec![5, 6], vec![7], vec![13], vec![], vec![], vec![8, 9]];
    let queue: String = batches.iter().map(|batch| format!("{batch:?}\n")).collect();
    let args = "on_error = \"continue\"\nargs = { operator = \"inverse_windows_over_failures\" }";
    let job = Job::on_queue("operators", &queue).with_job_keys(args).with_checkpoint();
    let fails = |second: u64| matches!(second, 2..=4 | 7..=9);
    let mut deaths: Vec<Vec<Death>> = (1..batches.len()).map(|batch| vec![Death::AfterBatch(batch)]).collect();
    deaths.push(Vec::new());
    for deaths in deaths {
        let outcome = job.run_through(&deaths);
        assert_eq!(outcome.result, Ok(()));
        // A batch that runs again prints again. The last print of a second counts. It comes after all prints of earlier
        // seconds.
        let mut last: BTreeMap<u64, Vec<Vec<String>>> = BTreeMap::new();
        for (time, mut rows) in outcome.batches() {
            rows.sort();
            // A key stays after its values have left the window. A window that begins anew has no such keys.
            rows.retain(|row| !row.ends_with(",0)"));
            last.entry((time - SECOND_0) / 1000).or_default().push(rows);
        }
        for second in (1..=batches.len() as u64).filter(|second| !fails(*second)) {
            let values = batches[second.saturating_sub(3) as usize..second as usize].concat();
            let sums = by_key(&values, |n| n);
            let expected: Vec<String> =
                sums.iter().map(|(key, values)| format!("({key},{})", values.iter().sum::<i64>())).collect();
            let printed = last.get(&second).expect("the second has windows");
            assert!(
                printed.len() >= 2 && printed.iter().all(|rows| *rows == expected),
                "{second} {deaths:?} {printed:?}"
            );
        }
        assert!(last.keys().all(|second| !fails(*second)), "{deaths:?} {last:?}");
    }
}

/// The number of batches of the jobs that count windows, and the number of rows of each batch.
const BATCHES: u64 = 12;
const ROWS: u64 = 8192;

/// Runs a job that counts batches or windows, with these arguments and more keys of the engine.
fn counted(args: &str, engine: &str) -> Outcome {
    let queue = format!("{:?}\n", (0..ROWS).collect::<Vec<_>>()).repeat(BATCHES as usize);
    let outcome = Job::on_queue("operators", &queue)
        .with_job_keys(&format!("parallelism = 1\nargs = {{ {args} }}"))
        .with_tables(&format!("[engine]\nthreads = 1\n{engine}\n"))
        .run();
    assert_eq!(outcome.result, Ok(()));
    outcome
}

/// The arguments of a job that counts windows.
fn of_windows(length: u64, slide: u64) -> String {
    format!("operator = \"count_of_windows\", length = \"{length}\", slide = \"{slide}\"")
}

/// The keys of an engine that has memory for the data of this many batches and a half.
fn room(batches: u64) -> String {
    const BATCH_BYTES: u64 = ROWS * 8;
    // Memory for the instances of one thread and the driver. Rows may take three quarters of the rest.
    let memory = 2 * (256 << 20) + (BATCH_BYTES * batches + BATCH_BYTES / 2) * 4 / 3;
    format!("memory = \"{memory}B\"\n")
}

/// S9.16: of a source that a window reads, only the data sets of one window and the input of one batch are kept. That
/// much memory is enough however long the job runs. With less memory, data goes to disk.
#[test]
fn what_no_window_needs_is_forgotten_at_once() {
    for slide in [1, 3, 4, 5] {
        for (batches, spills) in [(5, false), (4, true)] {
            let outcome = counted(&of_windows(4, slide), &room(batches));
            assert_eq!(outcome.spilled_bytes > 0, spills, "every {slide}, room for {batches}");
            let counts: Vec<u64> =
                outcome.batches().iter().map(|(_, rows)| rows[0].parse().expect("a count")).collect();
            let due = (1..=BATCHES).filter(|second| second % slide == 0);
            assert_eq!(counts, due.map(|second| second.min(4) * ROWS).collect::<Vec<_>>());
        }
    }
}

/// S9.17: data that is remembered for three seconds needs as much memory as a window of four seconds, and more than
/// without `remember`.
#[test]
fn remembered_data_is_kept_longer() {
    let spilled = |args: &str, batches: u64| {
        counted(&format!("operator = \"count_of_remembered\"{args}"), &room(batches)).spilled_bytes
    };
    assert_eq!(spilled("", 4), 0);
    assert!(spilled(", remember = \"3\"", 4) > 0);
    assert_eq!(spilled(", remember = \"3\"", 5), 0);
}

/// Data that is not needed any more also gives back its disk space: the limit applies to the data that is kept at a
/// time.
#[test]
fn spilled_data_that_no_window_needs_gives_room_back() {
    let outcome = counted(&of_windows(4, 1), &(room(1) + "spill_limit = \"1MiB\""));
    assert!(outcome.spilled_bytes > 1 << 20);
}

/// S9.18: compressed data on disk is smaller. Data is compressed only if the job says so.
#[test]
fn spilled_data_is_compressed_if_asked() {
    let spilled = |engine: &str| counted(&of_windows(4, 1), &(room(4) + engine)).spilled_bytes;
    let plain = spilled("");
    assert_eq!(plain, spilled("compress = \"no\""));
    assert!(spilled("compress = \"lz4\"") < plain);
}

/// S9.01, S9.08: the data of a stream that is persisted on disk goes to disk, although there is memory.
#[test]
fn persisted_data_goes_where_its_level_says() {
    let queue = "[1, 2]\n[3]\n";
    let of = |operator: &str| {
        let keys = format!("args = {{ operator = \"{operator}\" }}");
        let outcome = Job::on_queue("operators", queue).with_job_keys(&keys).run();
        assert_eq!(outcome.result, Ok(()));
        outcome.spilled_bytes
    };
    assert!(of("persist") > 0);
    assert_eq!(of("shared"), 0);
}

/// S4.20: windows that merge the results of their batches read each row once, and not once for each window.
#[test]
fn merged_windows_read_each_row_once() {
    let rows_read = |args: &str| -> u64 {
        let outcome = counted(&(of_windows(4, 1) + args), "");
        let stages = outcome.log.iter().filter(|line| line.contains("StageCompleted"));
        let read =
            |line: &String| line.split(" read, ").next()?.rsplit(", ").next()?.split(' ').next()?.parse::<u64>().ok();
        stages.map(|line| read(line).expect("a stage tells what it read")).sum()
    };
    let (merged, counted) = (rows_read(", merged = \"yes\""), rows_read(""));
    // Besides the rows, the stage reads some results of batches and partitions.
    assert!((ROWS * BATCHES..ROWS * (BATCHES + 1)).contains(&merged), "{merged}");
    // Windows of 1, 2 and 3 batches, then windows of 4. Each row is counted once more when it is stored.
    assert!(counted >= ROWS * (1 + 2 + 3 + 4 * (BATCHES - 3) + BATCHES), "{counted}");
}

/// S4.09: the mistake is reported before the job starts.
#[test]
fn a_window_that_does_not_fit_is_refused() {
    let directory = Directory::with_job("operators");
    let check = |operator: &str| {
        let args = format!("job.args={{ operator = \"{operator}\" }}");
        let said = directory.run(&["check", "job.toml", "--set", "job.batch_interval=1s", "--set", &args]);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
        said.err
    };
    let expected = "error: window of 7s on stream `counts` is not a multiple of its slide interval of 2s\n\
                    help: use 6s or 8s\n";
    assert_eq!(check("window_that_does_not_fit"), expected);
    let expected = "error: `union` (node 2) reads streams of different slide intervals: `source` (node 0) every 1s, \
                    `window` (node 1) every 2s\nhelp: give them the same slide with `window`\n";
    assert_eq!(check("union_of_slides"), expected);
}
