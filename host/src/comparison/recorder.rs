//! Records the rows of an output while they are written.
//!
//! Owns what happens on the threads of the two runs. On the old side, rows are handed over without a copy, a lock or a
//! wait, and only as many as fit into the queue. On the new side, rows are stored at once, so that a new run that is fast
//! has to wait for the disk. Recording never fails: rows that cannot be recorded are not compared.

use super::reason::NotCompared;
use super::recorded::{ByteLimit, Held, Partition};
use super::{Shared, Side};
use crate::block::{RowsWriter, bytes_of, value_bytes};
use crate::time::Time;
use arrow::array::RecordBatch;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// What recorders tell the worker. Messages about the same recording come in the order of the events.
pub(super) enum Message {
    /// A side begins a batch of an output.
    Begin { recording: u64, output: usize, side: Side, batch: Time, failure: Failure },
    /// An attempt at a partition of the old side has more rows.
    Rows { recording: u64, writer: u64, rows: RecordBatch, held: Held },
    /// An attempt of the old side ends. Its rows are those of the partition.
    Finished { recording: u64, writer: u64, partition: u32 },
    /// An attempt of the new side ends. Its rows are those of the partition.
    Stored { recording: u64, partition: u32, stored: Partition },
    /// An attempt of the old side was given up.
    Dropped { writer: u64 },
    /// The output has committed this many partitions of the batch.
    Commit { recording: u64, partitions: u32 },
    /// The output of the batch failed.
    Abort { recording: u64 },
    /// A side has begun all its batches up to this one.
    Passed { side: Side, batch: Time },
    /// The comparison was finished or closed.
    Wake,
}

/// Why rows of a batch are missing. Empty if none are missing so far. Further rows are of no use then.
pub(super) type Failure = Arc<OnceLock<NotCompared>>;

/// Records one batch of an output of one side. Wraps the calls of a `BatchWrite`: a recorder of a partition for each
/// writer, and then `commit` or `abort`. A batch that is dropped before counts as aborted.
pub struct BatchRecorder {
    recording: Arc<Recording>,
    has_ended: AtomicBool,
}

/// What the recorders of a batch share.
struct Recording {
    shared: Arc<Shared>,
    id: u64,
    side: Side,
    failure: Failure,
}

impl BatchRecorder {
    /// `None` if the worker cannot be told of the batch.
    pub(super) fn new(shared: &Arc<Shared>, output: usize, side: Side, batch: Time) -> Option<Self> {
        let (shared, failure, id) = (shared.clone(), Failure::default(), shared.next_id());
        if !shared.send(Message::Begin { recording: id, output, side, batch, failure: failure.clone() }) {
            shared.missed(side, batch);
            return None;
        }
        Some(Self { recording: Arc::new(Recording { shared, id, side, failure }), has_ended: AtomicBool::new(false) })
    }

    /// Makes a recorder for an attempt at a partition. An attempt that finishes replaces earlier attempts.
    pub fn partition(&self, partition: u32) -> PartitionRecorder {
        let shared = &self.recording.shared;
        let stored = match self.recording.side {
            Side::Old => None,
            Side::New => Some(NewRows { writer: shared.storage.writer(1), held: Vec::new() }),
        };
        let writer = shared.next_id();
        PartitionRecorder { recording: self.recording.clone(), writer, partition, stored, has_finished: false }
    }

    /// The output has committed this many partitions.
    pub fn commit(&self, partitions: u32) {
        self.end(Message::Commit { recording: self.recording.id, partitions });
    }

    /// The output of the batch failed.
    pub fn abort(&self) {
        self.end(Message::Abort { recording: self.recording.id });
    }

    fn end(&self, message: Message) {
        if !self.has_ended.swap(true, Ordering::Relaxed) {
            self.recording.shared.send(message);
        }
    }
}

impl Drop for BatchRecorder {
    fn drop(&mut self) {
        self.abort();
    }
}

/// Rows that the new side stores itself.
struct NewRows {
    writer: RowsWriter,
    held: Vec<Held>,
}

/// Records the rows of one attempt at a partition, in order. If the recorder is dropped before it is finished, its rows
/// do not count.
pub struct PartitionRecorder {
    recording: Arc<Recording>,
    writer: u64,
    partition: u32,
    /// `None` on the old side.
    stored: Option<NewRows>,
    has_finished: bool,
}

impl PartitionRecorder {
    /// Records the next rows.
    pub fn write(&mut self, rows: &RecordBatch) {
        let Recording { shared, failure, .. } = &*self.recording;
        if rows.num_rows() == 0 || failure.get().is_some() || shared.is_closed() {
            return;
        }
        let recorded = match &mut self.stored {
            Some(new) => store(&mut new.writer, &shared.stored, rows).map(|held| new.held.push(held)),
            None => {
                let message = |held| {
                    let (recording, writer) = (self.recording.id, self.writer);
                    Message::Rows { recording, writer, rows: rows.clone(), held }
                };
                let held = shared.queued.hold_first(bytes_of(std::slice::from_ref(rows)) as u64);
                let is_sent = held.is_some_and(|held| shared.has_room_for_rows() && shared.send(message(held)));
                if is_sent { Ok(()) } else { Err(shared.too_fast()) }
            }
        };
        if let Err(reason) = recorded {
            // If the reason is known already, the first one counts.
            let _ = failure.set(reason);
        }
    }

    /// Ends the rows of the attempt.
    pub fn finish(mut self) {
        self.has_finished = true;
        let (recording, partition) = (self.recording.id, self.partition);
        let message = match self.stored.take() {
            Some(NewRows { writer, held }) => {
                Message::Stored { recording, partition, stored: Partition::new(writer.finish(), held) }
            }
            None => Message::Finished { recording, writer: self.writer, partition },
        };
        self.recording.shared.send(message);
    }
}

impl Drop for PartitionRecorder {
    fn drop(&mut self) {
        if !self.has_finished && self.recording.side == Side::Old {
            self.recording.shared.send(Message::Dropped { writer: self.writer });
        }
    }
}

/// Stores rows that wait to be compared.
pub(super) fn store(writer: &mut RowsWriter, limit: &ByteLimit, rows: &RecordBatch) -> Result<Held, NotCompared> {
    let held = limit.hold(value_bytes(rows)).ok_or(NotCompared::TooMany(limit.bytes_max()))?;
    writer.append(0, rows.clone())?;
    Ok(held)
}
