//! A job's checkpoint directory at the start of the job: what it holds, what follows from that, and which starts are
//! refused.
//!
//! Owns the step from a directory to a run that can be started or resumed. The decision how a run is resumed is in
//! `checkpoint/recovery.rs`. Nothing is written before the job starts.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::fit::{JobFacts, check_fit};
use crate::checkpoint::{
    Allocations, Findings, Kept, LogError, Metadata, OnTrouble, Ownership, PlanError, ReadLog, RecoveryPlan, Retention,
    RunDescription, RunProgress, SavedRun, SnapshotId, current_owner, end_trial, lost_checkpoints, new_run, plan,
    read_log, read_run, remove_run, remove_trials, run_names, write_checkpoint,
};
use crate::config::{Location, OnCheckpointError, OnError, Settings};
use crate::env::{DiskStore, Env, Store, advice, persistence};
use crate::error::{Error, ErrorKind};
use crate::graph::{Beginning, Graph, Intervals, Needs};
use crate::ingest::CatchUp;
use crate::time::{Duration, Time, whole_ms};
use crate::tracker::Allocation;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a job with a checkpoint directory starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartFrom {
    /// Resume from the checkpoint if there is one, else start a new run. Spark calls this `getOrCreate`.
    #[default]
    Either,
    /// Resume from the checkpoint. A checkpoint must exist.
    Checkpoint,
    /// Start a new run. Data that batches were given before is not read again.
    Fresh,
}

/// What happens to missed batches, whose times passed while the job did not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CatchUpMode {
    /// They are made if there are at most `job.max_catch_up` of them. If there are more, the job does not start.
    #[default]
    Limited,
    /// All of them are made.
    All,
    /// None of them is made.
    None,
}

/// The content of a checkpoint directory, and the decision that follows from it. Nothing is written yet.
pub struct Resumption {
    pub(super) store: Arc<dyn Store>,
    /// The name of the run that is resumed, or the name of the new run.
    pub run: String,
    /// Whether the run is new: it has no checkpoint yet.
    pub is_new: bool,
    pub(super) description: RunDescription,
    pub(super) progress: RunProgress,
    pub(super) last_number: u64,
    /// What restarts from the checkpoints of the run need.
    pub(super) kept: Retention,
    /// The snapshots of the run's state, the oldest first.
    pub(super) snapshots: Vec<SnapshotId>,
    /// What has to be computed again, and from which snapshots.
    pub(super) needs: Needs,
    pub(super) record: Allocations,
    /// The steps by which the run is resumed.
    pub plan: RecoveryPlan,
    /// The missed batches that are never made because the user asked for that: the first and the last.
    pub left_out: Option<(Time, Time)>,
    /// The data of the batches that run again or whose data sets are computed again.
    pub(super) allocated: BTreeMap<Time, Allocation>,
    /// Records that batches were given before and that are lost, because no log holds them: the batch, the source, and
    /// the number of records.
    pub lost: Vec<(Time, String, u64)>,
    pub(super) on_error: OnError,
    now: Time,
}

/// The checkpoint directory after the host has become its owner.
pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    pub(super) ownership: Arc<Ownership>,
    pub(super) resumption: Resumption,
}

impl Opened {
    /// Removes the runs that were on trial when the last host ended, and a run that has handed over and is not to be kept.
    /// They only take space, so that a failure is logged.
    pub(super) fn remove_trials(&self) {
        let run = &self.resumption.run;
        let handed_over = self.ownership.handed_over().filter(|handed_over| !handed_over.keeps_from);
        let from = handed_over.map(|handed_over| handed_over.from).filter(|from| from != run);
        let removed = remove_trials(&*self.store, run)
            .and_then(|()| end_trial(&*self.store, run))
            .and_then(|()| from.map_or(Ok(()), |from| remove_run(&*self.store, &from)));
        if let Err(error) = removed {
            tracing::warn!("cannot remove runs that were on trial from {}: {error}", self.store.describe());
        }
    }
}

/// Opens the store for the checkpoints of a job.
///
/// # Errors
/// Returns an error if the job has no checkpoint directory, or if the environment of the host does not say how to reach
/// it.
pub fn store(env: &Env, settings: &Settings) -> Result<Arc<dyn Store>, Error> {
    let Some(location) = &settings.job.checkpoint else {
        let message = format!("job {} has no checkpoint directory", settings.job.name);
        return Err(Error::new(ErrorKind::User, message).help("set job.checkpoint in the job file"));
    };
    open_store(env, location)
}

/// Opens the store for checkpoints at a location. Nothing is read yet.
///
/// # Errors
/// Returns an error if the environment of the host does not say how to reach the location.
pub fn open_store(env: &Env, location: &Location) -> Result<Arc<dyn Store>, Error> {
    match location {
        Location::Directory(path) => Ok(Arc::new(DiskStore::new(env.disk.clone(), path.clone()))),
        Location::Objects(url) => env.objects.open(url).map_err(|error| {
            Error::new(ErrorKind::User, format!("cannot use checkpoint directory {url}: {error}"))
                .help("docs/object_stores.md says which variables the environment of the host needs")
        }),
    }
}

impl Resumption {
    /// Reads the directory and decides how the job starts.
    ///
    /// # Errors
    /// Returns an error if the directory cannot be read, if it does not fit the job or the way to start, or if too many
    /// batches were missed.
    pub(super) fn find(facts: &JobFacts<'_>, from: StartFrom, catch_up: CatchUpMode) -> Result<Self, Error> {
        let store = store(facts.env, facts.settings)?;
        let place = store.describe();
        let mut runs = Vec::new();
        for name in run_names(&*store)? {
            let run = read_run(&*store, &name, false)?;
            // If a host goes down while it starts a run, the directory of the run is empty. Nothing was done in such a
            // run.
            runs.extend((run.count > 0).then_some(run));
        }
        let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
        let owner = current_owner(&*store)?;
        let now = facts.env.clock.now();
        let log = Self::log(&*store, from)?;
        let lost = lost_checkpoints(owner.as_ref(), &names, log.is_some());
        if let Some(lost) = &lost
            && from != StartFrom::Fresh
        {
            return Err(
                Error::new(ErrorKind::Data, format!("checkpoint directory {place}: {lost}")).help(WITHOUT_CHECKPOINTS)
            );
        }
        let owner = owner.map(|owner| owner.run);
        let at = runs.iter().position(|run| Some(&run.name) == owner.as_ref());
        // If a run is lost, no other run knows how far the lost run had come.
        let last = if lost.is_some() { None } else { runs.len().checked_sub(1) };
        let saved = at.or(last).map(|at| runs.swap_remove(at));
        for skipped in saved.iter().flat_map(|run| &run.unreadable) {
            tracing::warn!("checkpoint {} in {place} is passed over: {}", skipped.name, skipped.error);
        }
        match (saved, log) {
            (None, _) if from == StartFrom::Checkpoint => {
                Err(Error::new(ErrorKind::User, format!("there is no checkpoint in {place}"))
                    .help("leave out --from-checkpoint to start the job for the first time"))
            }
            (None, None) => Ok(Self::first(facts, store, now)),
            (saved, log) if from == StartFrom::Fresh => {
                if let (Some(lost), Some(last)) = (&lost, log.as_ref().and_then(|log| log.record.last())) {
                    tracing::warn!(
                        "{place}: {lost}; the new run goes on after batch {last}, and none before it runs again"
                    );
                }
                Self::fresh(facts, store, (&names, saved), log, now)?.finish(facts, catch_up)
            }
            (None, Some(_)) => Ok(Self::first(facts, store, now)),
            (Some(saved), log) => Self::resumed(facts, store, saved, log, now)?.finish(facts, catch_up),
        }
    }

    fn log(store: &dyn Store, from: StartFrom) -> Result<Option<ReadLog>, Error> {
        let place = store.describe();
        let log = match read_log(store) {
            Ok(log) => log,
            Err(error) if from == StartFrom::Fresh => {
                tracing::warn!("what batches were given is not known: {error}; sources are read as at a first start");
                None
            }
            Err(error) => {
                let message = format!("the allocation log in checkpoint directory {place} cannot be used: {error}");
                if let LogError::Store { error, .. } = &error {
                    let unavailable = Error::new(ErrorKind::Unavailable, message).help(advice(error, &place));
                    return Err(unavailable.lasting(persistence(error)));
                }
                let help = "bring the file back from a backup, or start anew with --fresh, which reads sources as at a \
                            first start and may read data again that was processed; `host checkpoint verify` says more";
                return Err(Error::new(ErrorKind::Data, message).help(help));
            }
        };
        for torn in log.iter().flat_map(|log| &log.torn) {
            tracing::warn!(
                "{} in {place} ends in the middle of a record at byte {}: {} bytes were never finished and are cut off",
                torn.name,
                torn.at,
                torn.bytes
            );
        }
        Ok(log)
    }

    /// Makes the plan for a job that starts for the first time.
    fn first(facts: &JobFacts<'_>, store: Arc<dyn Store>, now: Time) -> Self {
        let zero = now.floor(facts.settings.job.batch_interval);
        Self::new_run(facts, store, &[], Allocations::new(zero), RunProgress::default(), zero, now)
    }

    /// Makes the plan for a new run that starts where another run ended.
    fn fresh(
        facts: &JobFacts<'_>,
        store: Arc<dyn Store>,
        (names, old): (&[String], Option<SavedRun>),
        log: Option<ReadLog>,
        now: Time,
    ) -> Result<Self, Error> {
        let interval = facts.settings.job.batch_interval;
        let record = log.map_or_else(|| Allocations::new(now.floor(interval)), |log| log.record);
        let old = old.and_then(|old| old.newest).map(|(.., metadata)| metadata);
        let old_interval = old.as_ref().map_or(interval, |old| old.run.batch_interval());
        let progress = old.as_ref().map_or_else(RunProgress::default, |old| old.progress.clone());
        let last = record.last().or(progress.generated());
        let done = match (progress.completed(old_interval), last) {
            (Some(completed), Some(last)) => Some(completed.min(last)),
            (_, last) => last,
        };
        if old_interval != interval && done != last {
            let message = format!(
                "job.batch_interval was {} ms and is now {} ms, but some batches of the old interval are not done",
                whole_ms(old_interval),
                whole_ms(interval)
            );
            return Err(Error::new(ErrorKind::User, message)
                .help("start the job once more with the old interval, stop it gracefully, then use --fresh"));
        }
        let zero = done.unwrap_or(now).floor(interval);
        let mut progress = RunProgress::after(Some(zero));
        progress.data_given(record.positions().map(|(source, next)| (source.to_owned(), next)), 0);
        Ok(Self::new_run(facts, store, names, record, progress, zero, now))
    }

    fn new_run(
        facts: &JobFacts<'_>,
        store: Arc<dyn Store>,
        names: &[String],
        record: Allocations,
        progress: RunProgress,
        zero: Time,
        now: Time,
    ) -> Self {
        let next = record.last().unwrap_or(zero).next_multiple(facts.settings.job.batch_interval);
        Self {
            store,
            run: new_run(names, facts.plugin_digest),
            is_new: true,
            description: facts.describe()(Beginning::at(zero)),
            progress,
            last_number: 0,
            kept: Retention::default(),
            snapshots: Vec::new(),
            needs: Needs::default(),
            record,
            plan: RecoveryPlan {
                zero,
                done: zero,
                restore: Vec::new(),
                rerun: Vec::new(),
                passed_over: Vec::new(),
                next,
                missed: 0,
            },
            left_out: None,
            allocated: BTreeMap::new(),
            lost: Vec::new(),
            on_error: facts.settings.job.on_error,
            now,
        }
    }

    /// Makes the plan for a run that is resumed.
    fn resumed(
        facts: &JobFacts<'_>,
        store: Arc<dyn Store>,
        saved: SavedRun,
        log: Option<ReadLog>,
        now: Time,
    ) -> Result<Self, Error> {
        let place = store.describe();
        let Some((_, _, metadata)) = saved.newest else {
            let errors: Vec<String> =
                saved.unreadable.iter().map(|bad| format!("\n  {}: {}", bad.name, bad.error)).collect();
            let message = format!("no checkpoint of run {} in {place} can be read:{}", saved.name, errors.concat());
            return Err(Error::new(ErrorKind::Data, message)
                .help("bring the files back from a backup, or start a new run with --fresh"));
        };
        check_fit(facts, &saved.name, &place, &metadata)?;
        let beginning = metadata.run.beginning();
        let zero = beginning.data_after;
        let interval = metadata.run.batch_interval();
        let kept = |(progress, snapshots): &(RunProgress, Vec<SnapshotId>)| {
            let needs = |done| facts.intervals.needs(done, beginning, &times(snapshots)).inputs_after + interval;
            let inputs_from = progress.completed(interval).map(needs).unwrap_or_default();
            Kept { inputs_from, snapshots: snapshots.clone() }
        };
        Ok(Self {
            store,
            run: saved.name,
            is_new: false,
            description: facts.describe()(beginning),
            progress: metadata.progress,
            last_number: saved.last_number,
            kept: Retention::new(saved.progress.iter().map(kept)),
            snapshots: metadata.snapshots,
            needs: Needs::default(),
            record: log.map_or_else(|| Allocations::new(zero), |log| log.record),
            plan: RecoveryPlan {
                zero,
                done: zero,
                restore: Vec::new(),
                rerun: Vec::new(),
                passed_over: Vec::new(),
                next: zero,
                missed: 0,
            },
            left_out: None,
            allocated: BTreeMap::new(),
            lost: Vec::new(),
            on_error: facts.settings.job.on_error,
            now,
        })
    }

    /// Decides the steps, and finds the data that is left of the batches that run again.
    fn finish(mut self, facts: &JobFacts<'_>, catch_up: CatchUpMode) -> Result<Self, Error> {
        let beginning = self.description.beginning();
        let zero = beginning.data_after;
        let interval = facts.settings.job.batch_interval;
        let snapshots = times(&self.snapshots);
        let found = Findings {
            progress: &self.progress,
            record: &self.record,
            zero,
            batch_interval: interval,
            now: self.now,
            inputs_needed_after: &|done| facts.intervals.needs(done, beginning, &snapshots).inputs_after,
        };
        self.plan = plan(&found).map_err(|error| {
            let what = match &error {
                PlanError::LostAllocations { .. } => "contradicts itself",
                PlanError::TooOld { .. } => "cannot be resumed from",
            };
            let message = format!("checkpoint directory {} {what}: {error}", self.store.describe());
            Error::new(ErrorKind::Data, message)
                .help("bring its files back from one backup, or start a new run with --fresh")
        })?;
        self.needs = facts.intervals.needs(self.plan.done, beginning, &snapshots);
        let RecoveryPlan { restore, rerun, next, missed, .. } = &mut self.plan;
        let last = *next + Duration::from_millis(whole_ms(interval).saturating_mul(missed.saturating_sub(1)));
        match catch_up {
            CatchUpMode::None if *missed > 0 => {
                self.left_out = Some((*next, last));
                *next = last + interval;
                *missed = 0;
            }
            CatchUpMode::Limited if *missed > u64::from(facts.settings.job.max_catch_up) => {
                let message = format!(
                    "{missed} batches were missed while the job did not run, which is more than job.max_catch_up = {}",
                    facts.settings.job.max_catch_up
                );
                return Err(Error::new(ErrorKind::User, message).help(format!(
                    "--catch-up all makes them all; --catch-up none leaves out those from {next} to {last}"
                )));
            }
            _ => {}
        }
        let is_needed = |batch: &Time| restore.contains(batch) || rerun.contains(batch);
        let needed: BTreeMap<Time, _> = self.record.batches().filter(|(batch, _)| is_needed(batch)).collect();
        for (batch, partitions) in needed {
            self.allocated.insert(batch, Allocation { partitions });
        }
        Ok(self)
    }

    /// Becomes the owner of the directory, and reads the directory again, because the last owner may have written until
    /// then. Writes the first checkpoint of a new run before anything else.
    ///
    /// # Errors
    /// Returns an error if another host has the directory, if it cannot be written, or if its content now does not
    /// allow the start.
    pub(super) fn claim(self, env: &Env, find: impl FnOnce() -> Result<Self, Error>) -> Result<Opened, Error> {
        let ownership = Ownership::take(self.store.clone(), env)?;
        // The first reading has reported everything about the directory already.
        let found = tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), find);
        let opened = found.and_then(|found| found.open(env, &ownership));
        if opened.is_err() {
            ownership.release();
        }
        let (store, resumption) = opened?;
        Ok(Opened { store, ownership: Arc::new(ownership), resumption })
    }

    fn open(mut self, env: &Env, ownership: &Ownership) -> Result<(Arc<dyn Store>, Self), Error> {
        let store = self.store.clone();
        if self.is_new {
            self.last_number = 1;
            let (description, progress) = (self.description.clone(), self.progress.clone());
            let metadata = Metadata::new(ownership.epoch(), env.clock.now(), description, progress, Vec::new());
            self.kept.add(Kept::default());
            write_checkpoint(&*store, &self.run, 1, &metadata).map_err(|error| {
                let place = store.describe();
                let message = format!("cannot write the first checkpoint in checkpoint directory {place}: {error}");
                Error::new(ErrorKind::Unavailable, message).help(advice(&error, &place)).lasting(persistence(&error))
            })?;
        }
        // A new run, or another run than the owner names, shows results from its first batch on.
        let handed_over = ownership.handed_over().filter(|_| ownership.run() == self.run);
        ownership.point_to(&self.run, handed_over)?;
        Ok((store, self))
    }

    /// What the batch clock does before it makes new batches.
    pub(super) fn catch_up(&self, graph: &Graph, intervals: &Intervals) -> CatchUp {
        CatchUp {
            is_resumed: self.record.last().is_some(),
            restore: self.plan.restore.clone(),
            rerun: self.plan.rerun.clone(),
            passed_over: self.plan.passed_over.clone(),
            left_out: self.left_out,
            late_through: self.now,
            reach: graph.is_quiet_without_data().then(|| intervals.reach_of_all()),
            with_data: self.record.batches().map(|(batch, _)| batch).collect(),
        }
    }
}

impl JobFacts<'_> {
    /// Returns a function that describes the run. It is called when it is known when the run begins.
    pub(super) fn describe(&self) -> impl FnOnce(Beginning) -> RunDescription + Send + use<> {
        let job = &self.settings.job;
        let stages = crate::graph::Explanation::new(self.nodes, self.graph, job.parallelism).to_string();
        let (name, digest, interval) = (job.name.clone(), self.plugin_digest.to_owned(), job.batch_interval);
        let (nodes, given) = (self.nodes.to_vec(), self.settings.given.clone());
        move |beginning| RunDescription::new(&name, &digest, given, (&nodes, stages), interval, beginning)
    }
}

fn times(snapshots: &[SnapshotId]) -> Vec<Time> {
    snapshots.iter().map(SnapshotId::time).collect()
}

/// The advice for users whose checkpoints are lost.
const WITHOUT_CHECKPOINTS: &str = "bring the files below `runs` back from a backup; or start a new run with --fresh, which \
    goes on after the last batch of the log, without those before it that were not done; or give the job another, empty \
    checkpoint directory, to start it for the first time";

/// What a run does when the checkpoint directory cannot be written.
pub(super) fn on_trouble(settings: &Settings) -> OnTrouble {
    match settings.job.on_checkpoint_error {
        OnCheckpointError::Wait => OnTrouble::Wait,
        OnCheckpointError::Stop => OnTrouble::Stop,
    }
}
