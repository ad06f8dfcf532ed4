//! Takes what recorders tell, stores the rows of the old side, and finds out which batches can be compared.

use super::reason::NotCompared;
use super::recorded::{Held, Partition, Recorded};
use super::recorder::{Failure, Message, store};
use super::result::Outcome;
use super::waiting::{self, Settled, Waiting};
use super::{Limits, Shared, Side};
use crate::block::{RowsWriter, StoredRows};
use crate::time::Time;
use arrow::array::RecordBatch;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::mpsc;

/// A batch of an output that is ready.
pub(super) struct Ready {
    pub(super) output: usize,
    pub(super) batch: Time,
    pub(super) what: What,
}

/// What is known of a batch.
pub(super) enum What {
    /// The rows of both sides, to be compared.
    Rows { old: Recorded, new: Recorded },
    /// A result without a comparison of rows, and the reason if there should have been one.
    Told(Outcome, Option<String>),
}

/// A batch that a side records.
struct Recording {
    output: usize,
    side: Side,
    batch: Time,
    failure: Failure,
    partitions: BTreeMap<u32, Partition>,
}

impl Recording {
    /// The rows of the first `partitions` partitions.
    fn recorded(mut self, partitions: u32) -> waiting::Result<Recorded> {
        if let Some(reason) = self.failure.get() {
            return waiting::Result::NoRows(reason.to_string());
        }
        let take = |partition| self.partitions.remove(&partition).ok_or(NotCompared::Partition(partition));
        match (0..partitions).map(take).collect() {
            Ok(partitions) => waiting::Result::Rows(Recorded { partitions }),
            Err(reason) => waiting::Result::NoRows(reason.to_string()),
        }
    }
}

/// Rows of an attempt of the old side that are being stored.
struct OldRows {
    recording: u64,
    writer: RowsWriter,
    held: Vec<Held>,
}

/// Takes the messages of recorders.
pub(super) struct Intake {
    shared: Arc<Shared>,
    messages: mpsc::Receiver<Message>,
    limits: Limits,
    recordings: BTreeMap<u64, Recording>,
    writers: BTreeMap<u64, OldRows>,
    /// For each output, the batches that are not ready.
    waiting: Vec<Waiting<Recorded>>,
    pub(super) ready: VecDeque<Ready>,
    /// Whether there will be no more messages.
    pub(super) is_finished: bool,
}

impl Intake {
    pub(super) fn new(shared: Arc<Shared>, messages: mpsc::Receiver<Message>, limits: Limits, outputs: usize) -> Self {
        Self {
            shared,
            messages,
            limits,
            recordings: BTreeMap::new(),
            writers: BTreeMap::new(),
            waiting: (0..outputs).map(|_| Waiting::new(limits.waiting_batches)).collect(),
            ready: VecDeque::new(),
            is_finished: false,
        }
    }

    /// Takes all messages that have come so far.
    pub(super) fn drain(&mut self) {
        while let Ok(message) = self.messages.try_recv() {
            self.take(message);
        }
    }

    /// Waits for a message and takes it. If there will be no more messages, the intake is finished.
    pub(super) async fn wait(&mut self) {
        match self.messages.recv().await {
            Some(message) => self.take(message),
            None => self.is_finished = true,
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Begin { recording, output, side, batch, failure } => {
                self.begin(recording, output, side, batch, failure);
            }
            Message::Rows { recording, writer, rows, held } => {
                self.store(recording, writer, &rows);
                drop(held);
            }
            Message::Finished { recording, writer, partition } => {
                let stored = match self.writers.remove(&writer) {
                    Some(OldRows { writer, held, .. }) => Partition::new(writer.finish(), held),
                    // The attempt had no rows.
                    None => Partition::new(StoredRows::default(), Vec::new()),
                };
                self.stored(recording, partition, stored);
            }
            Message::Stored { recording, partition, stored } => self.stored(recording, partition, stored),
            Message::Dropped { writer } => drop(self.writers.remove(&writer)),
            Message::Commit { recording, partitions } => {
                self.end(recording, |recording| recording.recorded(partitions));
            }
            Message::Abort { recording } => self.end(recording, |_| waiting::Result::Failed),
            Message::Passed { side, batch } => {
                self.waiting.iter_mut().for_each(|waiting| waiting.passed(side, batch));
                (0..self.waiting.len()).for_each(|output| self.settle(output));
            }
            Message::Wake => {}
        }
    }

    fn begin(&mut self, id: u64, output: usize, side: Side, batch: Time, failure: Failure) {
        // The batch may have been begun before and never ended.
        self.recordings.retain(|_, other| (other.output, other.side, other.batch) != (output, side, batch));
        let Some(waiting) = self.waiting.get_mut(output) else { return };
        if waiting.begin(side, batch) {
            let recording = Recording { output, side, batch, failure, partitions: BTreeMap::new() };
            self.recordings.insert(id, recording);
        } else {
            fail(&failure, NotCompared::Behind(self.limits.waiting_batches));
        }
        self.settle(output);
    }

    /// Stores rows of the old side.
    fn store(&mut self, id: u64, writer: u64, rows: &RecordBatch) {
        // Rows of a recording that is over, or that has failed, are of no use.
        if self.recordings.get(&id).is_none_or(|recording| recording.failure.get().is_some()) {
            return;
        }
        let shared = &self.shared;
        let old = self.writers.entry(writer).or_insert_with(|| OldRows {
            recording: id,
            writer: shared.storage.writer(1),
            held: Vec::new(),
        });
        match store(&mut old.writer, &shared.stored, rows) {
            Ok(held) => old.held.push(held),
            Err(reason) => self.fail(id, reason),
        }
    }

    fn stored(&mut self, id: u64, partition: u32, stored: Partition) {
        if let Some(recording) = self.recordings.get_mut(&id).filter(|recording| recording.failure.get().is_none()) {
            recording.partitions.insert(partition, stored);
        }
    }

    fn fail(&mut self, id: u64, reason: NotCompared) {
        self.writers.retain(|_, writer| writer.recording != id);
        if let Some(recording) = self.recordings.get_mut(&id) {
            fail(&recording.failure, reason);
            recording.partitions.clear();
        }
    }

    fn end(&mut self, id: u64, result: impl FnOnce(Recording) -> waiting::Result<Recorded>) {
        self.writers.retain(|_, writer| writer.recording != id);
        let Some(recording) = self.recordings.remove(&id) else { return };
        let (output, side, batch) = (recording.output, recording.side, recording.batch);
        if let Some(waiting) = self.waiting.get_mut(output) {
            waiting.done(side, batch, result(recording));
        }
        self.settle(output);
    }

    /// Adds the batches of an output that are settled to those that are ready.
    fn settle(&mut self, output: usize) {
        let Some(waiting) = self.waiting.get_mut(output) else { return };
        for settled in waiting.settle() {
            let (batch, what) = match settled {
                Settled::Both { batch, old, new } => (batch, both(old, new)),
                Settled::Only { batch, side, .. } if self.shared.has_missed(side.other(), batch) => {
                    let reason = self.shared.too_fast().to_string();
                    (batch, What::Told(Outcome::NotCompared, Some(reason)))
                }
                Settled::Only { batch, side, result } => (batch, only(side, &result)),
                Settled::Dropped { batch } => {
                    let reason = NotCompared::Behind(self.limits.waiting_batches);
                    (batch, What::Told(Outcome::NotCompared, Some(reason.to_string())))
                }
            };
            // A recording of a batch that is settled is of no use.
            self.recordings.retain(|_, recording| {
                let is_over = recording.output == output && recording.batch <= batch;
                if is_over {
                    fail(&recording.failure, NotCompared::Behind(self.limits.waiting_batches));
                }
                !is_over
            });
            self.ready.push_back(Ready { output, batch, what });
        }
        self.limit_ready();
    }

    /// Gives up comparing the first batches if too many are ready.
    fn limit_ready(&mut self) {
        let has_rows = |ready: &Ready| matches!(ready.what, What::Rows { .. });
        let too_many = self.ready.iter().filter(|ready| has_rows(ready)).count();
        let too_many = too_many.saturating_sub(self.limits.waiting_batches.saturating_mul(self.waiting.len()));
        let reason = NotCompared::Slow(self.limits.waiting_batches);
        for ready in self.ready.iter_mut().filter(|ready| has_rows(ready)).take(too_many) {
            ready.what = What::Told(Outcome::NotCompared, Some(reason.to_string()));
        }
    }
}

/// Notes why rows of a batch are missing. If a reason is known already, it stays.
fn fail(failure: &Failure, reason: NotCompared) {
    let _ = failure.set(reason);
}

fn both(old: waiting::Result<Recorded>, new: waiting::Result<Recorded>) -> What {
    use waiting::Result::{Failed, NoRows, Rows};
    match (old, new) {
        (Rows(old), Rows(new)) => What::Rows { old, new },
        (Failed, _) => What::Told(Outcome::OldFailed, None),
        (_, Failed) => What::Told(Outcome::NewFailed, None),
        (NoRows(reason), _) | (_, NoRows(reason)) => What::Told(Outcome::NotCompared, Some(reason)),
    }
}

fn only(side: Side, result: &waiting::Result<Recorded>) -> What {
    let outcome = match (side, result) {
        (Side::Old, waiting::Result::Failed) => Outcome::OldFailed,
        (Side::New, waiting::Result::Failed) => Outcome::NewFailed,
        (Side::Old, _) => Outcome::OnlyOld,
        (Side::New, _) => Outcome::OnlyNew,
    };
    What::Told(outcome, None)
}
