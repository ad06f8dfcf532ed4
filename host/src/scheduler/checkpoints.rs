//! Decides when metadata checkpoints of a run are written: after a batch was made, and after a batch is done, while the
//! next batch runs.
//!
//! Owns the progress of the run, and the actor that writes the progress. Changes that happen while a checkpoint is
//! written go into the next checkpoint. So a checkpoint never holds up a batch. Also checks, before an output is shown,
//! whether this host may show it.

use super::job_set::files_begun;
use crate::block::InputPartition;
use crate::checkpoint::{
    Durable, Metadata, OwnerError, Ownership, Retention, RunDescription, RunProgress, Trouble, write_checkpoint,
};
use crate::env::{Env, Store};
use crate::error::Error;
use crate::graph::Intervals;
use crate::ids::RunId;
use crate::listener::Event;
use crate::lock::lock;
use crate::time::Time;
use crate::tracker::{Allocated, Needed, TrackerHandle};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
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
    shared: Arc<Shared>,
    written: watch::Receiver<Written>,
}

struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    ownership: Arc<Ownership>,
    /// Handles failures to find out which host has the checkpoint directory.
    trouble: Trouble,
}

struct State {
    progress: RunProgress,
    /// The number of changes so far.
    version: u64,
    /// Waits until the data of the last batch is on stable storage. A checkpoint must not contain a batch that the
    /// allocation log does not contain.
    durable: Option<Durable>,
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
        let state = State { progress: parts.progress.clone(), version: 0, durable: None };
        let (changed, changes) = watch::channel(0);
        let (publish, written) = watch::channel(Written::default());
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed,
            ownership: parts.ownership.clone(),
            trouble: parts.owner_trouble.clone(),
        });
        let writer = Writer { shared: Arc::downgrade(&shared), number: parts.last_number, parts };
        let background = writer.parts.env.background.clone();
        background.spawn("checkpoints", Box::pin(writer.run(changes, publish)));
        Self { shared, written }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let version = {
            let mut state = self.shared.lock();
            change(&mut state);
            state.version += 1;
            state.version
        };
        self.shared.changed.send_replace(version);
    }

    /// Records that a batch was made and given its data.
    pub fn generated(&self, batch: Time, allocated: &Allocated) {
        let next_block = |partition: &InputPartition| match partition {
            InputPartition::Block { id, .. } => Some(id.sequence + 1),
            InputPartition::Split(_) => None,
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

    /// Records that a batch is done.
    pub fn completed(&self, batch: Time) {
        self.change(|state| state.progress.batch_completed(batch));
    }

    /// Checks that this host may still show results. If the storage fails, this may wait until the storage works again.
    ///
    /// # Errors
    /// Returns an error if another host has the directory, or if the storage fails and such a failure ends the run.
    pub async fn check_owner(&self) -> Result<(), Error> {
        let mut trouble = self.shared.trouble.clone();
        check_owner(&self.shared.ownership, &mut trouble).await
    }

    /// The error that another host has the directory. `None` if this host has it, or if the storage does not say.
    pub fn lost_ownership(&self) -> Option<Error> {
        match self.shared.ownership.check() {
            Ok(()) | Err(OwnerError::Store { .. }) => None,
            Err(error) => Some(error.into()),
        }
    }

    /// Waits until all changes so far are on stable storage.
    ///
    /// # Errors
    /// Returns an error if they will never be on stable storage.
    pub async fn finish(mut self) -> Result<(), Error> {
        let version = self.shared.lock().version;
        let reached = |written: &Written| written.version >= version || written.failed.is_some();
        match self.written.wait_for(reached).await {
            Ok(written) => written.failed.clone().map_or(Ok(()), Err),
            // The program is going away.
            Err(_) => Ok(()),
        }
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
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
            let (progress, version, durable) = {
                let state = shared.lock();
                (state.progress.clone(), state.version, state.durable.clone())
            };
            drop(shared);
            let failed = self.write(&progress, durable).await.err();
            let has_failed = failed.is_some();
            publish.send_replace(Written { version, failed });
            if has_failed {
                return;
            }
        }
    }

    async fn write(&mut self, progress: &RunProgress, durable: Option<Durable>) -> Result<(), Error> {
        if let Some(mut durable) = durable {
            durable.wait().await?;
        }
        let parts = &mut self.parts;
        self.number += 1;
        loop {
            check_owner(&parts.ownership, &mut parts.owner_trouble).await?;
            let now = parts.env.clock.now();
            let metadata = Metadata::new(parts.ownership.epoch(), now, parts.description.clone(), progress.clone());
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
        parts.kept.add(newest);
        if let Some(newest) = newest {
            let zero = parts.description.zero();
            let needed = |done| parts.intervals.inputs_needed_after(done, zero) + interval;
            let (by_all, by_newest) = (parts.kept.done_in_all().map_or(Time::default(), needed), needed(newest));
            parts.tracker.forget(parts.id, Needed { from: by_all, files_from: by_newest }).await;
        }
        Ok(())
    }
}
