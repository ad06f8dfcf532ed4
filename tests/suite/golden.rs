//! Golden streams: batches in, printed batches and saved files out, through the real WebAssembly path.
//!
//! Each file of `tests/golden` runs plainly, twice, with a failure injected into each of its tasks in turn, and under
//! shuffled schedules, and without memory for data: the output is the same byte for byte. At other parallelisms it is the
//! same but for the order. With `MILLSTREAM_BLESS=1` the expected output is rewritten.

use super::support::simulated::{Death, Job, Outcome};
use host::engine::{FaultInjector, FaultPoint};
use host::ids::TaskId;
use millstream_tests::repository;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// A comment in a golden file whose plugin reads a file and writes it anew: a batch that runs again finds what it wrote.
const NOT_IDEMPOTENT: &str = "# Not idempotent";

/// How many schedules each golden runs under.
const SCHEDULES: u64 = 10;

/// At how many of its writes a golden dies, unless `MILLSTREAM_EVERY_WRITE` is set.
const POINTS_OF_WRITING: u64 = 16;

/// A comment in a golden file whose rows tell of partitions: at another parallelism they are others.
const DEPENDS_ON_PARTITIONS: &str = "# Shows partitions";

/// A golden file: a job, and what it prints and saves.
struct Golden {
    path: PathBuf,
    text: String,
    job: Job,
    expected: String,
}

impl Golden {
    /// Reads `tests/golden/NAME.stream`: keys of the job, each file that is there behind a line `---- file PATH`,
    /// `---- input`, a JSON array a batch, `---- output`, what is printed, then each saved file behind a line `---- PATH`.
    fn read(name: &str) -> Self {
        let path = repository::root().join("tests/golden").join(format!("{name}.stream"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (header, rest) = text.split_once("---- input\n").expect("a golden file has a line `---- input`");
        let (input, expected) = rest.split_once("---- output\n").expect("a golden file has a line `---- output`");
        let mut files = header.split("---- file ");
        let mut lines = files.next().unwrap_or_default().lines();
        let plugin =
            lines.next().and_then(|line| line.strip_prefix("plugin ")).expect("the first line names the plugin");
        let keys: Vec<&str> = lines.collect();
        let mut job = Job::on_queue(plugin, input).with_job_keys(&keys.join("\n"));
        let file = |file: &str| file.split_once('\n').map(|(path, text)| (path.to_owned(), text.to_owned()));
        job.files.extend(files.filter_map(file));
        let expected = expected.to_owned();
        Self { path, job, expected, text }
    }

    /// Compares, or rewrites the file.
    fn check(&self, outcome: &Outcome) {
        assert_eq!(outcome.result, Ok(()));
        if std::env::var_os("MILLSTREAM_BLESS").is_some() {
            let kept = self.text.strip_suffix(&self.expected).expect("the output stands last");
            std::fs::write(&self.path, format!("{kept}{}", outcome.output())).expect("the golden file can be written");
        } else {
            assert_eq!(outcome.output(), self.expected, "{}", self.path.display());
        }
    }

    /// The matrix that every golden goes through.
    fn check_in_matrix(&self) {
        let plain = Job::run(&self.job);
        self.check(&plain);
        assert_eq!(Job::run(&self.job), plain, "two runs of a seed differ");
        for seed in 1..=SCHEDULES {
            let shuffled = self.job.clone().with_seed(seed).run();
            assert_eq!(everything(&shuffled), everything(&plain), "seed {seed}");
        }
        let tasks = Arc::new(Mutex::new(BTreeSet::new()));
        self.job.clone().with_faults(Recording(tasks.clone())).run();
        let tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert!(!tasks.is_empty(), "{}: no task ran", self.path.display());
        for task in tasks {
            for point in [FaultPoint::Begin, FaultPoint::BeforeCommit] {
                let outcome = self.job.clone().with_faults(FailsOnce { task, point }).run();
                // A last stage that two outputs share runs for each.
                assert!(outcome.retries >= 1, "{task} did not fail");
                assert_eq!(outcome.result, Ok(()), "{task} failed {point:?}");
                assert_eq!(everything(&outcome), everything(&plain), "{task} failed {point:?}");
            }
        }
        let outcome = self.job.clone().with_faults(AllFailOnce).run();
        assert_eq!(outcome.result, Ok(()));
        assert_eq!(everything(&outcome), everything(&plain));
        // A budget that plugin instances use up: every block, shuffle and data set goes to disk.
        let without_memory = self.job.clone().with_tables("[engine]\nmemory = \"768MiB\"\n");
        for job in [without_memory.clone(), without_memory.with_seed(SCHEDULES + 1).with_faults(AllFailOnce)] {
            let outcome = job.run();
            assert!(outcome.spilled_bytes > 0, "{}: nothing was spilled", self.path.display());
            assert_eq!(outcome.result, Ok(()), "under memory pressure");
            assert_eq!(everything(&outcome), everything(&plain), "under memory pressure");
        }
        if !self.text.contains(DEPENDS_ON_PARTITIONS) {
            if !self.text.contains(NOT_IDEMPOTENT) {
                self.check_deaths(&plain);
            }
            self.check_parallelism(&plain);
        }
    }

    /// S10.04, S16.08, S16.15, S16.23: a job that dies after any batch and is started again saves the same files, and
    /// prints the same, if some of it twice.
    fn check_deaths(&self, plain: &Outcome) {
        let job = self.job.clone().with_checkpoint();
        let alive = job.run();
        assert_eq!(everything(&alive), everything(plain), "with checkpoints");
        let batches = plain.log.iter().filter(|line| line.contains(" BatchCompleted ")).count();
        let one_by_one: Vec<Death> = (0..batches).map(|_| Death::AfterBatch(1)).collect();
        let after = |batch: usize| vec![Death::AfterBatch(batch)];
        let at_write = |write: u64| vec![Death::AtWrite { write, seed: write }];
        let points = self.points_of_writing(alive.writes).into_iter().map(at_write);
        for deaths in (1..=batches).map(after).chain([one_by_one]).chain(points) {
            let outcome = job.run_through(&deaths);
            assert_eq!(outcome.result, Ok(()), "{deaths:?}");
            assert_eq!(outcome.printed_once(), plain.printed_once(), "{} {deaths:?}", self.path.display());
            assert_eq!(outcome.bytes, plain.bytes, "{} {deaths:?}", self.path.display());
        }
    }

    /// At which of its writes the machine goes down: at some that are spread evenly and differ from golden to golden, or
    /// at all.
    fn points_of_writing(&self, writes: u64) -> Vec<u64> {
        if std::env::var_os("MILLSTREAM_EVERY_WRITE").is_some() {
            return (1..=writes).collect();
        }
        let first = 1 + self.text.len() as u64 % writes.div_ceil(POINTS_OF_WRITING).max(1);
        (first..=writes).step_by(writes.div_ceil(POINTS_OF_WRITING).max(1) as usize).collect()
    }

    /// S3.13: another parallelism changes the order at most.
    fn check_parallelism(&self, plain: &Outcome) {
        let sorted = |outcome: &Outcome| {
            let mut batches = outcome.batches();
            // Which rows of many are the first depends on the order.
            batches.retain(|(_, lines)| lines.last().is_none_or(|line| line != "..."));
            batches.iter_mut().for_each(|(_, lines)| lines.sort());
            batches
        };
        for parallelism in 1..=3 {
            let other = self.job.clone().with_parallelism(parallelism).run();
            assert_eq!(other.result, Ok(()));
            assert_eq!(sorted(&other), sorted(plain), "{} at parallelism {parallelism}", self.path.display());
        }
    }
}

/// What a run printed and saved: as text, which tells a difference well, and byte for byte.
fn everything(outcome: &Outcome) -> (String, &BTreeMap<String, Vec<u8>>) {
    (outcome.output(), &outcome.bytes)
}

/// Notes which tasks run.
struct Recording(Arc<Mutex<BTreeSet<TaskId>>>);

impl FaultInjector for Recording {
    fn fails(&self, task: TaskId, _: u32, _: FaultPoint) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(task);
        false
    }
}

/// Fails the first attempt of one task.
struct FailsOnce {
    task: TaskId,
    point: FaultPoint,
}

impl FaultInjector for FailsOnce {
    fn fails(&self, task: TaskId, attempt: u32, point: FaultPoint) -> bool {
        (task, attempt, point) == (self.task, 0, self.point)
    }
}

/// Fails the first attempt of every task, late.
struct AllFailOnce;

impl FaultInjector for AllFailOnce {
    fn fails(&self, _: TaskId, attempt: u32, point: FaultPoint) -> bool {
        attempt == 0 && point == FaultPoint::BeforeCommit
    }
}

/// S1.01, S1.03, S1.05, S2.07, S2.23, S3.01, S3.02, S3.03, S3.12, S6.02, S6.03, S16.03.
#[test]
fn network_word_count() {
    Golden::read("network_word_count").check_in_matrix();
}

/// Every file of `tests/golden/operators`: S3.02 to S3.12 and their like, one operator each.
#[test]
fn operators() {
    let directory = repository::root().join("tests/golden/operators");
    let entries = std::fs::read_dir(&directory).expect("the goldens are there");
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    assert!(names.len() > 20);
    let check = |name: &&String| {
        std::panic::catch_unwind(|| Golden::read(&format!("operators/{name}")).check_in_matrix()).is_err()
    };
    let failed: Vec<&String> = names.iter().filter(check).collect();
    assert!(failed.is_empty(), "these goldens failed, see above: {failed:?}");
}

/// Every file of `tests/golden/driver`: S3.14 to S3.17, S6.08 and what a data set can do.
#[test]
fn driver_functions() {
    let directory = repository::root().join("tests/golden/driver");
    let entries = std::fs::read_dir(&directory).expect("the goldens are there");
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    assert!(names.len() > 20);
    let check = |name: &&String| {
        std::panic::catch_unwind(|| Golden::read(&format!("driver/{name}")).check_in_matrix()).is_err()
    };
    let failed: Vec<&String> = names.iter().filter(check).collect();
    assert!(failed.is_empty(), "these goldens failed, see above: {failed:?}");
}

/// S2.04, S3.07: several sources bring data at the same time, and a union makes one stream of them.
#[test]
fn several_sources_become_one_stream() {
    let mut job = Job::on_queue("operators", "[1, 2]\n[3]\n")
        .with_job_keys("parallelism = 1\nargs = { operator = \"union_of_many\" }")
        .with_tables("[sources.more]\ntype = \"queue\"\npath = \"more.jsonl\"\n");
    job.files.push(("more.jsonl".to_owned(), "[10]\n[]\n[20]\n".to_owned()));
    let outcome = job.run();
    assert_eq!(outcome.result, Ok(()));
    let batches: Vec<Vec<String>> = outcome.batches().into_iter().map(|(_, lines)| lines).collect();
    assert_eq!(batches, [vec!["1", "2", "10"], vec!["3"], vec!["20"]]);
}

/// S3.13: at other parallelisms the same counts come out, in another order.
#[test]
fn parallelism_changes_the_order_only() {
    let at = |parallelism: u32| {
        let queue = "[\"b a b\", \"c\", \"a a\"]\n[\"d e\", \"e f g h i\"]\n[]\n";
        let outcome =
            Job::on_queue("network_word_count", queue).with_job_keys(&format!("parallelism = {parallelism}")).run();
        assert_eq!(outcome.result, Ok(()));
        let mut lines: Vec<String> = outcome.printed.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert!(at(1).contains(&"(a,3)".to_owned()));
    assert_eq!((at(1), at(1)), (at(2), at(3)));
}

/// A task that keeps failing for a reason outside the plugin ends the run after its tries, with that reason.
#[test]
fn a_task_that_fails_too_often_ends_the_run() {
    struct AlwaysFails;
    impl FaultInjector for AlwaysFails {
        fn fails(&self, task: TaskId, _: u32, point: FaultPoint) -> bool {
            task.stage.0 == 1 && task.partition == 1 && point == FaultPoint::Begin
        }
    }
    let outcome = Golden::read("network_word_count").job.with_faults(AlwaysFails).run();
    assert_eq!(outcome.retries, 3);
    assert_eq!(
        outcome.error(),
        "operator `reduce_by_key` (node 3) failed on batch 1000000001000 ms, partition 1: injected failure: Begin\n\
         help: set job.on_error = \"continue\" to go on with the next batch when this happens; the host has tried 4 times: \
         the warnings above tell of each attempt"
    );
}
