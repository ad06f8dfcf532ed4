//! Writes snapshots of the state of a run, beside the batches.
//!
//! Owns the choice between a full snapshot and one of changes, and the actor that writes. A version of state never
//! changes, so that it can be written while the next batches run. Never decides when a snapshot is needed for a restart:
//! see `graph/needs.rs`.

use super::recorder::Recorder;
use crate::checkpoint::{SavedState, Snapshot, SnapshotId, Trouble, write_part, write_snapshot};
use crate::env::{Env, Store};
use crate::error::Error;
use crate::graph::{Graph, Intervals};
use crate::ids::NodeId;
use crate::listener::{Event, SnapshotInfo};
use crate::lock::lock;
use crate::state::{StateError, StateStore, Version, encode, hash_range};
use crate::time::Time;
use std::io;
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};

/// A full snapshot follows after this many snapshots of changes.
const CHANGES_MAX: usize = 10;
/// How many versions may wait to be written. If there are more, a snapshot is left out.
const WAITING_MAX: usize = 1;

/// The parts from which the snapshots of a run are made.
pub(super) struct SnapshotParts {
    pub env: Env,
    pub store: Arc<dyn Store>,
    /// The name of the run's directory.
    pub run: String,
    /// The epoch of this host.
    pub epoch: u64,
    pub graph: Arc<Graph>,
    pub intervals: Arc<Intervals>,
    pub state: StateStore,
    /// The snapshots that exist.
    pub known: Vec<SnapshotId>,
    pub trouble: Trouble,
}

/// The versions of all stateful nodes after a batch.
struct Taken {
    batch: Time,
    versions: Vec<(NodeId, Version)>,
}

/// Takes snapshots. Clones use the same actor.
#[derive(Clone)]
pub(super) struct Snapshots {
    intervals: Arc<Intervals>,
    state: StateStore,
    /// Where versions wait. `None` after the end of the run.
    waiting: Arc<Mutex<Option<mpsc::Sender<Taken>>>>,
    written: watch::Receiver<Written>,
}

/// The last batch whose snapshot is written, and whether the actor has ended.
#[derive(Clone, Debug, Default)]
struct Written {
    through: Time,
    has_ended: bool,
    failed: Option<Error>,
}

impl Snapshots {
    /// Starts the actor, which tells `recorder` of each snapshot.
    pub(super) fn start(parts: SnapshotParts, recorder: Recorder) -> Self {
        let (waiting, taken) = mpsc::channel(WAITING_MAX);
        let last = parts.known.last().map(SnapshotId::time).unwrap_or_default();
        // What changed since the last snapshot is known only if all states began with that snapshot.
        let is_known = parts.intervals.stateful().all(|node| parts.state.saved(node) == last);
        let (publish, written) = watch::channel(Written { through: last, ..Written::default() });
        let (intervals, state) = (parts.intervals.clone(), parts.state.clone());
        let low_priority = parts.env.low_priority.clone();
        let changes = parts.known.iter().rev().take_while(|snapshot| !snapshot.is_full).count();
        let begun = is_known && parts.known.iter().any(|snapshot| snapshot.is_full);
        let writer =
            Writer { last: begun.then_some(last), changes, full_rows: u64::MAX, changed_rows: 0, recorder, parts };
        low_priority.spawn("snapshots", Box::pin(writer.run(taken, publish)));
        Self { intervals, state, waiting: Arc::new(Mutex::new(Some(waiting))), written }
    }

    /// Takes a snapshot after a batch, if one is due. If snapshots still wait to be written, this one is left out.
    pub(super) fn batch_done(&self, batch: Time, zero: Time) {
        if !self.intervals.is_snapshot_due(batch, zero) {
            return;
        }
        if let (Some(waiting), Some(taken)) = (&*lock(&self.waiting), self.take(batch)) {
            // The queue may be full: then the next snapshot has the changes too.
            let _ = waiting.try_send(taken);
        }
    }

    /// Takes a snapshot after a batch before the first batch of the run, and waits until it is written.
    ///
    /// # Errors
    /// Returns an error if the snapshot cannot be written and never will be.
    pub(super) async fn save(&self, batch: Time) -> Result<(), Error> {
        let waiting = lock(&self.waiting).clone();
        if let (Some(waiting), Some(taken)) = (waiting, self.take(batch)) {
            // The actor may have ended with an error, which is reported below.
            let _ = waiting.send(taken).await;
        }
        let mut written = self.written.clone();
        match written.wait_for(|written| written.through >= batch || written.has_ended).await {
            Ok(written) => written.failed.clone().map_or(Ok(()), Err),
            // The program is going away.
            Err(_) => Ok(()),
        }
    }

    /// The versions of all nodes after a batch. `None` if a node has the version of a later batch already.
    fn take(&self, batch: Time) -> Option<Taken> {
        let version = |node| Some((node, self.state.version(node)?));
        let versions: Vec<_> = self.intervals.stateful().filter_map(version).collect();
        versions.iter().all(|(_, version)| version.batch <= batch).then_some(Taken { batch, versions })
    }

    /// Takes a last snapshot after the batch `done`, the last one that is done together with all batches before it. Waits
    /// until all snapshots are written.
    ///
    /// # Errors
    /// Returns an error if a snapshot cannot be written and never will be.
    pub(super) async fn finish(mut self, done: Option<Time>) -> Result<(), Error> {
        let waiting = lock(&self.waiting).take();
        let Some(waiting) = waiting else { return Ok(()) };
        let taken = done.and_then(|done| self.take(done));
        let is_new =
            |taken: &Taken| taken.versions.iter().any(|(_, version)| version.batch > self.written.borrow().through);
        if let Some(taken) = taken.filter(is_new) {
            // The actor may have ended with an error, which is reported below.
            let _ = waiting.send(taken).await;
        }
        drop(waiting);
        match self.written.wait_for(|written| written.has_ended).await {
            Ok(written) => written.failed.clone().map_or(Ok(()), Err),
            // The program is going away.
            Err(_) => Ok(()),
        }
    }
}

/// The actor that writes snapshots.
struct Writer {
    parts: SnapshotParts,
    recorder: Recorder,
    /// The time of the last snapshot. `None` if there is no full snapshot yet.
    last: Option<Time>,
    /// How many snapshots of changes follow the last full snapshot.
    changes: usize,
    /// The number of rows of the last full snapshot.
    full_rows: u64,
    /// The number of rows of the snapshots of changes after the last full one.
    changed_rows: u64,
}

/// Why a snapshot was not written.
enum Failed {
    Store(io::Error),
    State(StateError),
}

impl Writer {
    async fn run(mut self, mut waiting: mpsc::Receiver<Taken>, publish: watch::Sender<Written>) {
        let mut failed = None;
        while let Some(taken) = waiting.recv().await {
            // A batch has one snapshot. The end of a run may ask for the snapshot of a batch again while it is being written.
            if self.last.is_some_and(|last| taken.batch <= last) {
                continue;
            }
            failed = self.write(&taken).await.err();
            if failed.is_some() {
                break;
            }
            publish.send_modify(|written| written.through = taken.batch);
        }
        waiting.close();
        publish.send_modify(|written| {
            written.has_ended = true;
            written.failed = failed;
        });
    }

    async fn write(&mut self, taken: &Taken) -> Result<(), Error> {
        let is_full = self.last.is_none() || self.changes >= CHANGES_MAX || self.changed_rows > self.full_rows;
        let id = SnapshotId { time_ms: taken.batch.as_ms(), epoch: self.parts.epoch, is_full };
        let clock = self.parts.env.clock.clone();
        let started = clock.monotonic();
        let snapshot = loop {
            match self.try_write(&id, taken) {
                Ok(snapshot) => break snapshot,
                Err(Failed::Store(error)) => self.parts.trouble.wait(&error).await?,
                Err(Failed::State(error)) => {
                    self.parts.trouble.wait_for(format!("a snapshot of state cannot be made: {error}")).await?;
                }
            }
        };
        self.parts.trouble.over();
        let total = |count: fn(&SavedState) -> u64| snapshot.nodes.iter().map(count).sum::<u64>();
        let rows = total(|node| node.rows);
        if is_full {
            (self.full_rows, self.changed_rows, self.changes) = (rows, 0, 0);
        } else {
            (self.changed_rows, self.changes) = (self.changed_rows.saturating_add(rows), self.changes + 1);
        }
        self.last = Some(taken.batch);
        self.recorder.snapshot_written(id);
        for (node, _) in &taken.versions {
            self.parts.state.has_saved(*node, taken.batch);
        }
        self.parts.trouble.tell(&Event::SnapshotWritten(SnapshotInfo {
            batch: taken.batch,
            is_full,
            keys: total(|node| node.keys),
            rows,
            bytes: total(|node| node.bytes),
            duration: clock.monotonic().saturating_sub(started),
        }));
        Ok(())
    }

    fn try_write(&self, id: &SnapshotId, taken: &Taken) -> Result<Snapshot, Failed> {
        let SnapshotParts { store, run, graph, env, .. } = &self.parts;
        let after = if id.is_full { None } else { self.last };
        let mut nodes = Vec::new();
        for (node, version) in &taken.versions {
            let Some(described) = graph.node(*node) else { continue };
            let (name, kind) = (described.name.as_deref(), &described.kind);
            let mut saved = SavedState::new(*node, name, kind, version.layout.pair(), version.keys(), version.batch);
            for part in version.saved(after) {
                let part = part.map_err(Failed::State)?;
                let Some(hashes) = hash_range(&part) else { continue };
                let rows = encode(&part).map_err(Failed::State)?;
                let written = write_part(&**store, run, id, (node.0, saved.parts), &rows).map_err(Failed::Store)?;
                saved.add_part(part.num_rows() as u64, written, hashes);
            }
            nodes.push(saved);
        }
        let snapshot = Snapshot::new(env.clock.now(), nodes);
        write_snapshot(&**store, run, id, &snapshot).map_err(Failed::Store)?;
        Ok(snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorder::{Shared, State};
    use super::*;
    use crate::checkpoint::{OnTrouble, Ownership, RunProgress, read_snapshot};
    use crate::env::{DiskStore, Simulation};
    use crate::graph::stateful_graph;
    use crate::listener::ListenerBus;
    use crate::state::state_of_one_key;
    use crate::time::Duration;

    const RUN: &str = "run-1";

    /// The snapshots of a run whose last batch with state is at ten seconds, when a snapshot is due. Calls `end` with what
    /// takes the snapshots. Returns the snapshots that a checkpoint would name, each with its number of rows.
    fn snapshots_of<F: Future<Output = ()> + Send + 'static>(
        end: impl FnOnce(Snapshots, Time) -> F + Send + 'static,
    ) -> Vec<(Time, u64)> {
        let batch = Time::from_ms(10_000);
        let simulation = Simulation::new(0, batch);
        let env = simulation.env();
        let store: Arc<dyn Store> = Arc::new(DiskStore::new(env.disk.clone(), "/checkpoint".into()));
        let ownership = Arc::new(Ownership::take(store.clone(), &env).unwrap());
        let trouble =
            Trouble::new(env.clock.clone(), ListenerBus::default(), OnTrouble::Stop, "a snapshot", store.describe());
        let state = State { progress: RunProgress::default(), snapshots: Vec::new(), version: 0, durable: None };
        let (changed, _) = watch::channel(0);
        let shared = Arc::new(Shared { state: Mutex::new(state), changed, ownership, trouble: trouble.clone() });
        let graph = Arc::new(stateful_graph());
        let intervals = Arc::new(Intervals::of(&graph, Duration::from_secs(1)).unwrap());
        let state = state_of_one_key(batch);
        let (known, epoch) = (Vec::new(), 1);
        let parts = SnapshotParts {
            env,
            store: store.clone(),
            run: RUN.to_owned(),
            epoch,
            graph,
            intervals,
            state,
            known,
            trouble,
        };
        let recorder = Recorder { shared: shared.clone() };
        simulation.run(async move { end(Snapshots::start(parts, recorder), batch).await }).unwrap();
        let named = shared.lock().snapshots.clone();
        let rows = |id: &SnapshotId| read_snapshot(&*store, RUN, id).unwrap().nodes.iter().map(|node| node.rows).sum();
        named.iter().map(|id| (id.time(), rows(id))).collect()
    }

    /// The end of a run asks for the snapshot of a batch that waits to be written.
    #[test]
    fn a_batch_has_one_snapshot() {
        let named = snapshots_of(|snapshots, batch| async move {
            snapshots.batch_done(batch, Time::default());
            snapshots.finish(Some(batch)).await.unwrap();
        });
        assert_eq!(named, [(Time::from_ms(10_000), 1)]);
    }

    /// A run may end while batches were made and are not done. One of them may have changed state.
    #[test]
    fn state_of_a_batch_that_is_not_done_is_not_saved() {
        let ended_after = |done: u64| {
            snapshots_of(move |snapshots, _| async move { snapshots.finish(Some(Time::from_ms(done))).await.unwrap() })
        };
        assert_eq!(ended_after(9_000), []);
        assert_eq!(ended_after(10_000), [(Time::from_ms(10_000), 1)]);
    }
}
