//! Decides when metadata checkpoints of a run are written: after a batch was made, and after a batch is done, while the
//! next batch runs.
//!
//! Owns the progress of the run, and the actor that writes the progress. Changes that happen while a checkpoint is
//! written, and shortly after that, go into the next checkpoint. So a checkpoint never holds up a batch. Also checks,
//! before an output is shown, whether this host may show it.

use super::job_set::files_begun;
use super::recorder::{Recorder, Shared, State};
use super::snapshots::{SnapshotParts, Snapshots};
use crate::block::InputPartition;
use crate::checkpoint::{
    Durable, Kept, Metadata, OwnerError, Ownership, Retention, RunDescription, RunProgress, SnapshotId, Trouble,
    needed_snapshots, remove_unless, write_checkpoint,
};
use crate::env::{Env, Store};
use crate::error::Error;
use crate::graph::{Graph, Intervals};
use crate::ids::RunId;
use crate::listener::Event;
use crate::state::StateStore;
use crate::time::{Duration, Time};
use crate::tracker::{Allocated, Needed, TrackerHandle};
use std::io;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// The parts from which the checkpoints of a run are made.
pub struct CheckpointParts {
    /// The environment: time, and the executor of the actor.
    pub env: Env,
    /// The checkpoint directory.
    pub store: Arc<dyn Store>,
    /// The right to write to the checkpoint directory.
    pub ownership: Arc<Ownership>,
    /// The number of the run.
    pub id: RunId,
    /// The name of the run's directory.
    pub run: String,
    /// The description of the run.
    pub description: RunDescription,
    /// How far the run has come.
    pub progress: RunProgress,
    /// The snapshots of the run's state, the oldest first.
    pub snapshots: Vec<SnapshotId>,
    /// The graph.
    pub graph: Arc<Graph>,
    /// The state of the run.
    pub state: StateStore,
    /// Handles failures to write a snapshot of state.
    pub snapshot_trouble: Trouble,
    /// The number of the run's last checkpoint.
    pub last_number: u64,
    /// The run's checkpoints. They decide which inputs are kept.
    pub kept: Retention,
    /// The intervals of the graph. They decide which inputs windows need.
    pub intervals: Arc<Intervals>,
    /// The tracker, which forgets the data that no restart needs.
    pub tracker: TrackerHandle,
    /// Handles failures to write a checkpoint.
    pub trouble: Trouble,
    /// Handles failures to find out which host has the checkpoint directory.
    pub owner_trouble: Trouble,
}

/// Records the progress of a run. Clones use the same actor.
#[derive(Clone)]
pub struct Checkpoints {
    recorder: Recorder,
    /// Takes snapshots of state. `None` if the graph has no state.
    snapshots: Option<Snapshots>,
    batch_interval: Duration,
    written: watch::Receiver<Written>,
}

/// The number of the last change that is on stable storage, or the reason why no more changes are written.
#[derive(Clone, Debug, Default)]
struct Written {
    version: u64,
    failed: Option<Error>,
}

impl Checkpoints {
    /// Starts the actor.
    pub fn start(parts: CheckpointParts) -> Self {
        let (progress, snapshots) = (parts.progress.clone(), parts.snapshots.clone());
        let state = State { progress, snapshots, version: 0, durable: None };
        let (changed, changes) = watch::channel(0);
        let (publish, written) = watch::channel(Written::default());
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed,
            ownership: parts.ownership.clone(),
            trouble: parts.owner_trouble.clone(),
        });
        let recorder = Recorder { shared };
        let snapshots = parts.intervals.stateful().next().is_some().then(|| {
            let snapshots = SnapshotParts {
                env: parts.env.clone(),
                store: parts.store.clone(),
                run: parts.run.clone(),
                epoch: parts.ownership.epoch(),
                graph: parts.graph.clone(),
                intervals: parts.intervals.clone(),
                state: parts.state.clone(),
                known: parts.snapshots.clone(),
                trouble: parts.snapshot_trouble.clone(),
            };
            Snapshots::start(snapshots, recorder.clone())
        });
        let writer = Writer { shared: Arc::downgrade(&recorder.shared), number: parts.last_number, parts };
        let background = writer.parts.env.background.clone();
        let batch_interval = writer.parts.description.batch_interval();
        background.spawn("checkpoints", Box::pin(writer.run(changes, publish)));
        Self { recorder, snapshots, batch_interval, written }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.recorder.change(change);
    }

    /// Records that a batch was made and given its data.
    pub fn generated(&self, batch: Time, allocated: &Allocated) {
        let next_block = |partition: &InputPartition| match partition {
            InputPartition::Block { id, .. } => Some(id.sequence + 1),
            InputPartition::Split(_) | InputPartition::Range(_) => None,
        };
        let position = |(source, partitions): (&String, &Vec<InputPartition>)| {
            Some((source.clone(), partitions.iter().filter_map(next_block).max()?))
        };
        let positions: Vec<_> = allocated.allocation.partitions.iter().filter_map(position).collect();
        let files = files_begun(&allocated.allocation);
        self.change(|state| {
            state.progress.batch_generated(batch);
            // A batch that runs again was counted before.
            if allocated.durable.is_some() {
                state.progress.data_given(positions, files);
                state.durable = allocated.durable.clone();
            }
        });
    }

    /// Records that the batches `from` to `through` have no work, or are never made.
    pub fn passed_over(&self, from: Time, through: Time, durable: Option<Durable>) {
        self.change(|state| {
            state.progress.batches_passed_over(from, through);
            state.durable = durable.or(state.durable.take());
        });
    }

    /// Records that a batch is done, and takes a snapshot of state if one is due. The run began at `zero`.
    pub fn completed(&self, batch: Time, zero: Time) {
        self.change(|state| state.progress.batch_completed(batch));
        self.snapshots.iter().for_each(|snapshots| snapshots.batch_done(batch, zero));
    }

    /// Checks that this host may still show results. If the storage fails, this may wait until the storage works again.
    ///
    /// # Errors
    /// Returns an error if another host has the directory, or if the storage fails and such a failure ends the run.
    pub async fn check_owner(&self) -> Result<(), Error> {
        let mut trouble = self.recorder.shared.trouble.clone();
        check_owner(&self.recorder.shared.ownership, &mut trouble).await
    }

    /// The error that another host has the directory. `None` if this host has it, or if the storage does not say.
    pub fn lost_ownership(&self) -> Option<Error> {
        match self.recorder.shared.ownership.check() {
            Ok(()) | Err(OwnerError::Store { .. }) => None,
            Err(error) => Some(error.into()),
        }
    }

    /// Takes a snapshot of the state with which the run begins, after `batch`, the last batch before the run. Waits until
    /// a checkpoint on stable storage names the snapshot.
    ///
    /// # Errors
    /// Returns an error if that will never be so.
    pub async fn save_state(&self, batch: Time) -> Result<(), Error> {
        let Some(snapshots) = &self.snapshots else { return Ok(()) };
        snapshots.save(batch).await?;
        self.written().await
    }

    /// Waits until all changes so far are on stable storage.
    ///
    /// # Errors
    /// Returns an error if these changes will never be on stable storage.
    pub async fn written(&self) -> Result<(), Error> {
        let version = self.recorder.shared.lock().version;
        let mut written = self.written.clone();
        let reached = |written: &Written| written.version >= version || written.failed.is_some();
        match written.wait_for(reached).await {
            Ok(written) => written.failed.clone().map_or(Ok(()), Err),
            // The program is about to end.
            Err(_) => Ok(()),
        }
    }

    /// Takes a last snapshot of state, unless `has_failed` says that the run has failed, and waits until all changes so
    /// far are on stable storage.
    ///
    /// # Errors
    /// Returns an error if these changes will never be on stable storage.
    pub async fn finish(mut self, has_failed: bool) -> Result<(), Error> {
        if let Some(snapshots) = self.snapshots.take() {
            let done = self.recorder.shared.lock().progress.completed(self.batch_interval);
            snapshots.finish(done.filter(|_| !has_failed)).await?;
        }
        self.written().await
    }
}

/// Waits until the storage says whether this host has the directory.
async fn check_owner(ownership: &Ownership, trouble: &mut Trouble) -> Result<(), Error> {
    loop {
        match ownership.check() {
            Ok(()) => {
                trouble.over();
                return Ok(());
            }
            Err(error @ OwnerError::Store { .. }) => trouble.wait_for(error.to_string()).await?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// How many times as long as writing a checkpoint took, no other one is written.
const REST: u32 = 4;
/// No rest is shorter, so that batches of a few milliseconds do not have a checkpoint each.
const REST_MIN: Duration = Duration::from_millis(20);
/// No rest is longer. So much later, at most, a restart finds that a batch was done.
const REST_MAX: Duration = Duration::from_millis(100);

/// How long no checkpoint is written after one that took `write`. So checkpoints of short batches leave most of the
/// disk's time to the allocation log, for which batches wait. A write that takes no time holds nobody up.
fn rest_after(write: Duration) -> Duration {
    if write.is_zero() { Duration::ZERO } else { write.saturating_mul(REST).clamp(REST_MIN, REST_MAX) }
}

/// The actor that writes checkpoints.
struct Writer {
    shared: std::sync::Weak<Shared>,
    number: u64,
    parts: CheckpointParts,
}

impl Writer {
    async fn run(mut self, mut changes: watch::Receiver<u64>, publish: watch::Sender<Written>) {
        while changes.changed().await.is_ok() {
            changes.borrow_and_update();
            let Some(shared) = self.shared.upgrade() else { return };
            let (progress, snapshots, version, durable) = {
                let mut state = shared.lock();
                self.forget_snapshots(&mut state);
                (state.progress.clone(), state.snapshots.clone(), state.version, state.durable.clone())
            };
            drop(shared);
            let clock = self.parts.env.clock.clone();
            let begun = clock.monotonic();
            let failed = self.write(&progress, snapshots, durable).await.err();
            let has_failed = failed.is_some();
            publish.send_replace(Written { version, failed });
            if has_failed {
                return;
            }
            let rest = rest_after(clock.monotonic().saturating_sub(begun));
            if !rest.is_zero() {
                tokio::select! {
                    biased;
                    // Nobody is left who makes changes or waits for them.
                    () = publish.closed() => {}
                    () = clock.sleep(rest) => {}
                }
            }
        }
    }

    /// Forgets the snapshots that no restart after the last batch needs.
    fn forget_snapshots(&self, state: &mut State) {
        let description = &self.parts.description;
        let Some(done) = state.progress.completed(description.batch_interval()) else { return };
        let times: Vec<Time> = state.snapshots.iter().map(SnapshotId::time).collect();
        let needs = self.parts.intervals.needs(done, description.beginning(), &times);
        state.snapshots = needed_snapshots(&state.snapshots, needs.oldest_snapshot()).to_vec();
    }

    async fn write(
        &mut self,
        progress: &RunProgress,
        snapshots: Vec<SnapshotId>,
        durable: Option<Durable>,
    ) -> Result<(), Error> {
        if let Some(mut durable) = durable {
            durable.wait().await?;
        }
        let parts = &mut self.parts;
        self.number += 1;
        loop {
            check_owner(&parts.ownership, &mut parts.owner_trouble).await?;
            let now = parts.env.clock.now();
            let (run, progress, snapshots) = (parts.description.clone(), progress.clone(), snapshots.clone());
            let metadata = Metadata::new(parts.ownership.epoch(), now, run, progress, snapshots);
            match write_checkpoint(&*parts.store, &parts.run, self.number, &metadata) {
                Ok(()) => break,
                // The number is taken: by an attempt of this host that seemed to fail, or by an owner that was
                // replaced.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.number += 1,
                Err(error) => parts.trouble.wait(&error).await?,
            }
        }
        parts.trouble.over();
        parts.trouble.tell(&Event::CheckpointWritten { time: parts.env.clock.now() });
        let interval = parts.description.batch_interval();
        let newest = progress.completed(interval);
        let times: Vec<Time> = snapshots.iter().map(SnapshotId::time).collect();
        let beginning = parts.description.beginning();
        let inputs_from = newest.map(|done| parts.intervals.needs(done, beginning, &times).inputs_after + interval);
        let dropped = parts.kept.add(Kept { inputs_from: inputs_from.unwrap_or_default(), snapshots });
        if let Some(files_from) = inputs_from {
            parts.tracker.forget(parts.id, Needed { from: parts.kept.inputs_from(), files_from }).await;
        }
        if !dropped.is_empty() {
            let is_dropped = |epoch, time_ms| dropped.iter().any(|id| (id.epoch, id.time_ms) == (epoch, time_ms));
            // A snapshot that cannot be removed now does no harm: it only takes space, and the next start removes it.
            let _ = remove_unless(&*parts.store, &parts.run, |epoch, time_ms| !is_dropped(epoch, time_ms));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_take_a_fifth_of_the_time_at_most() {
        assert_eq!(rest_after(Duration::ZERO), Duration::ZERO);
        assert_eq!(rest_after(Duration::from_micros(500)), Duration::from_millis(20));
        assert_eq!(rest_after(Duration::from_millis(10)), Duration::from_millis(40));
    }

    #[test]
    fn a_slow_disk_does_not_put_checkpoints_off_for_long() {
        assert_eq!(rest_after(Duration::from_secs(3)), Duration::from_millis(100));
        assert_eq!(rest_after(Duration::MAX), Duration::from_millis(100));
    }
}
