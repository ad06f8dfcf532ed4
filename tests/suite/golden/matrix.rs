//! The matrix of runs that every golden goes through.
//!
//! Owns which runs are compared with each other. The matrix is the same for every golden file: no directive leaves out
//! a run. A directive says how the rows or files differ, and then the matrix requires that difference.

use super::file::GoldenFile;
use super::reruns;
use crate::support::simulated::{Death, Job, Outcome};
use host::engine::{FaultInjector, FaultPoint};
use host::ids::TaskId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// How many schedules each golden runs under.
const SCHEDULES: u64 = 10;

/// The number of writes at which a golden job is killed, unless `MILLSTREAM_EVERY_WRITE` is set.
const POINTS_OF_WRITING: u64 = 16;

/// The parallelisms at which each golden runs.
const PARALLELISMS: std::ops::RangeInclusive<u32> = 1..=3;

/// A golden file that is being checked.
pub struct Golden {
    file: GoldenFile,
    job: Job,
    /// The run without failures, with the seed 0.
    plain: Outcome,
}

impl Golden {
    /// Runs the golden file `tests/golden/NAME.stream` and compares its output. With `MILLSTREAM_BLESS`, rewrites the
    /// expected output.
    ///
    /// # Panics
    /// If the output differs from the file.
    pub fn run(name: &str) -> Self {
        let file = GoldenFile::read(name);
        let job = job(&file, &file.batches);
        let plain = job.run();
        assert_eq!(plain.result, Ok(()), "{name}");
        if std::env::var_os("MILLSTREAM_BLESS").is_some() {
            file.bless(&plain.output());
        } else {
            assert_eq!(plain.output(), file.expected, "{name}");
        }
        Self { file, job, plain }
    }

    /// The job of the golden.
    pub fn job(&self) -> Job {
        self.job.clone()
    }

    /// Runs the whole matrix.
    ///
    /// # Panics
    /// If a run does not give the required output.
    pub fn check_in_matrix(&self) {
        assert_eq!(self.job.run(), self.plain, "{}: two runs of a seed differ", self.file.name);
        for seed in 1..=SCHEDULES {
            // Samples of operators change nothing either.
            let job = if seed % 2 == 0 { self.job().with_samples() } else { self.job() };
            self.require_same(&job.with_seed(seed), &format!("seed {seed}"));
        }
        self.check_failures();
        self.check_without_memory();
        self.check_deaths();
        self.check_parallelism();
    }

    /// Requires that the job ends successfully, with the same output and files as the plain run.
    fn require_same(&self, job: &Job, what: &str) -> Outcome {
        let outcome = job.run();
        assert_eq!(outcome.result, Ok(()), "{}: {what}", self.file.name);
        assert_eq!(everything(&outcome), everything(&self.plain), "{}: {what}", self.file.name);
        outcome
    }

    /// Each task fails alone, first at its beginning and then at its end; and all tasks fail in one run.
    fn check_failures(&self) {
        let tasks = Arc::new(Mutex::new(BTreeSet::new()));
        self.require_same(&self.job().with_faults(Recording(tasks.clone())), "with an injector that fails nothing");
        let tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert!(!tasks.is_empty(), "{}: no task ran", self.file.name);
        for task in tasks {
            let outcome = self.require_same(&self.job().with_faults(FailsTwice(task)), &format!("{task} failed"));
            // If two outputs share a last stage, the stage runs for each of them.
            assert!(outcome.retries >= 2, "{}: {task} failed {} times", self.file.name, outcome.retries);
        }
        self.require_same(&self.job().with_faults(AllFailOnce), "all tasks failed once");
    }

    /// Runs with a budget that plugin instances use up: every block, shuffle and data set goes to disk.
    fn check_without_memory(&self) {
        let without_memory = self.job().with_tables("[engine]\nmemory = \"768MiB\"\n");
        for job in [without_memory.clone(), without_memory.with_seed(SCHEDULES + 1).with_faults(AllFailOnce)] {
            let outcome = self.require_same(&job, "without memory for its data");
            assert!(outcome.spilled_bytes > 0, "{}: nothing was spilled", self.file.name);
        }
    }

    /// S10.04, S16.08, S16.15, S16.23: a job dies after any batch, after each of its batches, or at a write, and is
    /// started again. The job saves the same files, and prints the same text, some of it twice.
    fn check_deaths(&self) {
        let job = self.job().with_checkpoint();
        let alive = self.require_same(&job, "with checkpoints");
        let batches = self.plain.log.iter().filter(|line| line.contains(" BatchCompleted ")).count();
        assert!(batches >= self.file.batches.len(), "{}: only {batches} batches were completed", self.file.name);
        let one_by_one: Vec<Death> = (0..batches).map(|_| Death::AfterBatch(1)).collect();
        let after = |batch: usize| vec![Death::AfterBatch(batch)];
        let at_write = |write: u64| vec![Death::AtWrite { write, seed: write }];
        let points = self.points_of_writing(alive.writes).into_iter().map(at_write);
        let mut added_up = 0;
        for deaths in (1..=batches).map(after).chain([one_by_one]).chain(points) {
            let outcome = job.run_through(&deaths);
            let what = format!("{}: {deaths:?}", self.file.name);
            assert_eq!(outcome.result, Ok(()), "{what}");
            assert_eq!(outcome.printed_once(), self.plain.printed_once(), "{what}");
            if self.file.reruns_add_up {
                reruns::require_explained(&self.file, &outcome, &what);
                added_up += usize::from(outcome.bytes != self.plain.bytes);
            } else {
                assert_eq!(outcome.bytes, self.plain.bytes, "{what}");
            }
        }
        assert!(!self.file.reruns_add_up || added_up > 0, "{}: no batch that ran again added up", self.file.name);
    }

    /// The writes at which the machine goes down: some writes that are spread evenly and differ from golden file to
    /// golden file, or all writes.
    fn points_of_writing(&self, writes: u64) -> Vec<u64> {
        if std::env::var_os("MILLSTREAM_EVERY_WRITE").is_some() {
            return (1..=writes).collect();
        }
        let step = writes.div_ceil(POINTS_OF_WRITING).max(1);
        let first = 1 + (self.file.given.len() + self.file.expected.len()) as u64 % step;
        (first..=writes).step_by(step as usize).collect()
    }

    /// S3.13: another parallelism changes only the order of rows, and also the rows themselves if they depend on
    /// partitions.
    fn check_parallelism(&self) {
        let mut others = 0;
        for parallelism in PARALLELISMS {
            let outcome = self.job().with_parallelism(parallelism).run();
            let what = format!("{} at parallelism {parallelism}", self.file.name);
            assert_eq!(outcome.result, Ok(()), "{what}");
            if self.file.rows_depend_on_partitions {
                others += usize::from(rows(&outcome) != rows(&self.plain));
                let times = |outcome: &Outcome| outcome.batches().into_iter().map(|(time, _)| time).collect::<Vec<_>>();
                assert_eq!(times(&outcome), times(&self.plain), "{what}");
            } else {
                assert_eq!(rows(&outcome), rows(&self.plain), "{what}");
            }
        }
        let is_stale = self.file.rows_depend_on_partitions && others == 0;
        assert!(!is_stale, "{}: the rows are the same at every parallelism", self.file.name);
    }
}

/// The connection of jobs that write to topics.
const KAFKA: &str = "\n[connections.kafka]\ntype = \"kafka\"\nservers = \"kafka:9092\"\ntopics = \"*\"\n\n";

/// The job of a golden file over these batches.
pub fn job(file: &GoldenFile, batches: &[String]) -> Job {
    let queue: String = batches.iter().flat_map(|batch| [batch, "\n"]).collect();
    let mut job = Job::on_queue(&file.plugin, &queue).with_job_keys(&file.job_keys).with_tables(KAFKA);
    job.files.extend(file.files.iter().cloned());
    job
}

/// Everything that a run printed and saved: as text, which shows differences well, and byte for byte.
fn everything(outcome: &Outcome) -> (String, &BTreeMap<String, Vec<u8>>) {
    (outcome.output(), &outcome.bytes)
}

/// The rows of each batch, and the saved lines of each directory.
type Rows<'a> = (Vec<(u64, Vec<String>)>, BTreeMap<&'a str, BTreeSet<&'a str>>);

/// The rows that each batch printed, sorted by their text, and the lines of the files in each directory.
fn rows(outcome: &Outcome) -> Rows<'_> {
    let mut batches = outcome.batches();
    // If only the first of many rows are printed, the order decides which rows these are.
    batches.retain(|(_, lines)| lines.last().is_none_or(|line| line != "..."));
    batches.iter_mut().for_each(|(_, lines)| lines.sort());
    let mut saved: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (path, text) in &outcome.saved {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        saved.entry(directory).or_default().extend(text.lines());
    }
    (batches, saved)
}

/// Records which tasks run.
struct Recording(Arc<Mutex<BTreeSet<TaskId>>>);

impl FaultInjector for Recording {
    fn fails(&self, task: TaskId, _: u32, _: FaultPoint) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(task);
        false
    }
}

/// Fails the first attempt of one task at its beginning and the second at its end.
struct FailsTwice(TaskId);

impl FaultInjector for FailsTwice {
    fn fails(&self, task: TaskId, attempt: u32, point: FaultPoint) -> bool {
        let fails_at = [FaultPoint::Begin, FaultPoint::BeforeCommit];
        task == self.0 && fails_at.get(attempt as usize) == Some(&point)
    }
}

/// Fails the first attempt of every task, late.
struct AllFailOnce;

impl FaultInjector for AllFailOnce {
    fn fails(&self, _: TaskId, attempt: u32, point: FaultPoint) -> bool {
        attempt == 0 && point == FaultPoint::BeforeCommit
    }
}
