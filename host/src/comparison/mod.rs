//! Compares what two runs output: row by row, batch by batch, beside both runs.
//!
//! Owns the rows of both sides until they are compared, and the results. The **old** side is the run that shows its
//! outputs, the **new** side is the run that is to replace it. The old side must not notice the comparison: its rows are
//! handed over without a wait, and everything else happens on a thread of low priority, with the memory and the disk of
//! the new run. If anything is short, the rows of a batch are not compared, and the result says why. A comparison is
//! never a reason for an output to fail.
//!
//! A caller makes a [`Comparison`] with its [`ComparisonWorker`], runs the worker, and gets a [`BatchRecorder`] for each
//! batch of each output of both sides. The recorder sees the rows that the output's writers take. Rows with the same
//! batch time are compared. What only one side has is counted, and dropped when the other side is past it.
//!
//! The memory is bounded whatever the outputs hold: by [`Limits`]. Rows are read several times, and each time only as
//! many are looked at as there is memory for: see `groups.rs`.

mod compare;
mod groups;
mod hashes;
mod in_order;
mod intake;
mod reason;
mod recorded;
mod recorder;
mod result;
mod samples;
mod waiting;
mod worker;

pub use recorder::{BatchRecorder, PartitionRecorder};
pub use result::{BatchComparison, Outcome, OutputComparison, Presence, RowCounts, Sample, SampleKind};
pub use worker::ComparisonWorker;

use self::groups::GROUP_BYTES;
use self::intake::Intake;
use self::reason::NotCompared;
use self::recorded::ByteLimit;
use self::recorder::Message;
use crate::block::RowStorage;
use crate::data::schema::RecordType;
use crate::lock::lock;
use crate::time::Time;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// The queue and the counted groups may each have this much memory, even if the budget has no memory for data.
const BYTES_MIN: usize = 1024 * 1024;
/// The queue and the counted groups may each have this part of the memory for data.
const PART_OF_MEMORY: usize = 8;

/// How many messages may wait for the worker. That is many times as many as come while the worker does one step.
const MESSAGES_MAX: usize = 4096;
/// Pieces of rows leave this much room for other messages.
const ROOM_FOR_OTHERS: usize = MESSAGES_MAX / 4;

/// One of the two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The run that shows its outputs.
    Old,
    /// The run that is to replace the old one.
    New,
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Old => Self::New,
            Self::New => Self::Old,
        }
    }
}

/// How much a comparison may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many samples are kept of each kind of difference, for each output.
    pub samples: usize,
    /// How many batches of an output may wait for the other side, and how many may wait to be compared.
    pub waiting_batches: usize,
    /// How many bytes of rows of the old side may wait to be stored. They are in memory, at most an eighth of it.
    pub queued_bytes: u64,
    /// How many bytes of rows may be stored at a time. They are in memory or in scratch files.
    pub stored_bytes: u64,
    /// How many rows or keys are counted at a time. They are in memory, at most an eighth of it.
    pub groups: usize,
    /// How many times at most the rows of a batch are read to count differences. If that is not enough, the numbers are
    /// minimums.
    pub passes: usize,
}

impl Limits {
    /// The limits where there is this much memory for data.
    fn within(self, bytes: usize) -> Self {
        let bytes = (bytes / PART_OF_MEMORY).max(BYTES_MIN);
        Self { queued_bytes: self.queued_bytes.min(bytes as u64), groups: self.groups.min(bytes / GROUP_BYTES), ..self }
    }

    /// The bytes that are in memory besides the rows that are compared at the moment.
    fn memory_bytes(&self) -> usize {
        let queued = usize::try_from(self.queued_bytes).unwrap_or(usize::MAX);
        queued.saturating_add(self.groups.saturating_mul(GROUP_BYTES))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            samples: 5,
            waiting_batches: 16,
            queued_bytes: 32 * 1024 * 1024,
            stored_bytes: 1024 * 1024 * 1024,
            groups: 8 * 1024 * 1024 / GROUP_BYTES,
            passes: 32,
        }
    }
}

/// An output that the comparison knows.
#[derive(Clone, Debug)]
struct ComparedOutput {
    name: String,
    /// The type of the rows of the old side. `None` if that side does not have the output.
    old: Option<RecordType>,
    /// The type of the rows of the new side. `None` if that side does not have the output.
    new: Option<RecordType>,
}

/// What recorders and the worker share.
struct Shared {
    storage: RowStorage,
    messages: mpsc::Sender<Message>,
    next_id: AtomicU64,
    /// The bytes of rows that wait to be stored.
    queued: ByteLimit,
    /// The bytes of rows that are stored.
    stored: ByteLimit,
    /// Batches before this one are not recorded.
    first_ms: AtomicU64,
    /// The last batch of each side of which the worker could not be told, plus one millisecond. Zero if there is none.
    missed_ms: [AtomicU64; 2],
    is_finishing: AtomicBool,
    is_closed: AtomicBool,
    results: Mutex<Vec<OutputComparison>>,
    samples_max: usize,
}

impl Shared {
    /// Sends a message, without a wait. Returns whether there was room for it. After the worker has ended, nobody needs
    /// the message.
    fn send(&self, message: Message) -> bool {
        !matches!(self.messages.try_send(message), Err(mpsc::error::TrySendError::Full(_)))
    }

    fn has_room_for_rows(&self) -> bool {
        self.messages.capacity() > ROOM_FOR_OTHERS
    }

    /// The worker could not be told that a side begins a batch.
    fn missed(&self, side: Side, batch: Time) {
        self.missed_ms[side as usize].fetch_max(batch.as_ms().saturating_add(1), Ordering::Relaxed);
    }

    /// Whether a side may have begun a batch of which the worker was not told.
    fn has_missed(&self, side: Side, batch: Time) -> bool {
        self.missed_ms[side as usize].load(Ordering::Relaxed) > batch.as_ms()
    }

    fn too_fast(&self) -> NotCompared {
        NotCompared::TooFast { bytes: self.queued.bytes_max(), pieces: MESSAGES_MAX - ROOM_FOR_OTHERS }
    }

    fn is_finishing(&self) -> bool {
        self.is_finishing.load(Ordering::Acquire)
    }

    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    fn add(&self, result: &BatchComparison) {
        let mut results = lock(&self.results);
        if let Some(output) = results.iter_mut().find(|output| output.output == result.output) {
            output.add(result, self.samples_max);
        }
    }

    /// How many more samples of a kind an output needs.
    fn samples_wanted(&self, output: usize, kind: SampleKind) -> usize {
        let kept = lock(&self.results).get(output).map_or(0, |output| output.samples_of(kind));
        self.samples_max.saturating_sub(kept)
    }
}

/// Compares the outputs of two runs. Clones share the comparison.
#[derive(Clone)]
pub struct Comparison {
    shared: Arc<Shared>,
    outputs: Arc<[ComparedOutput]>,
}

impl Comparison {
    /// Makes a comparison of the outputs of two runs, each with its name and the type of its rows, and the worker that
    /// does the comparing. Rows are stored in `storage`, which should use the memory budget of the new run.
    pub fn new(
        storage: &RowStorage,
        limits: Limits,
        old: &[(String, RecordType)],
        new: &[(String, RecordType)],
    ) -> (Self, ComparisonWorker) {
        let outputs = outputs(old, new);
        let limits = limits.within(storage.for_data());
        let mut memory = storage.scratch();
        if let Err(error) = memory.resize(limits.memory_bytes()) {
            tracing::warn!("{error}; the comparison takes {} bytes beyond engine.memory", limits.memory_bytes());
        }
        let (messages, received) = mpsc::channel(MESSAGES_MAX);
        let shared = Arc::new(Shared {
            storage: storage.clone(),
            messages,
            next_id: AtomicU64::new(0),
            queued: ByteLimit::new(limits.queued_bytes),
            stored: ByteLimit::new(limits.stored_bytes),
            first_ms: AtomicU64::new(0),
            missed_ms: [const { AtomicU64::new(0) }; 2],
            is_finishing: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            results: Mutex::new(outputs.iter().map(nothing_compared).collect()),
            samples_max: limits.samples,
        });
        let intake = Intake::new(shared.clone(), received, limits, outputs.len());
        let worker =
            ComparisonWorker { shared: shared.clone(), intake, _memory: memory, limits, outputs: outputs.clone() };
        (Self { shared, outputs }, worker)
    }

    /// From now on, records only batches from `first` on: for a new run that warms up. At first, all batches are
    /// recorded.
    pub fn record_from(&self, first: Time) {
        self.shared.first_ms.store(first.as_ms(), Ordering::Relaxed);
    }

    /// Begins to record a batch of an output of a side. `None` if the rows are of no use: the other side does not have
    /// the output, the batch is too early, or the comparison has ended. Never waits.
    pub fn recorder(&self, side: Side, output: &str, batch: Time) -> Option<BatchRecorder> {
        let is_early = batch.as_ms() < self.shared.first_ms.load(Ordering::Relaxed);
        if is_early || self.shared.is_closed() {
            return None;
        }
        let is_compared = |known: &ComparedOutput| known.name == output && known.old.is_some() && known.new.is_some();
        let output = self.outputs.iter().position(is_compared)?;
        BatchRecorder::new(&self.shared, output, side, batch)
    }

    /// A side has begun the outputs of all batches up to `batch`, as far as they are due. So results of the other side
    /// for other batch times up to `batch` need not wait any longer.
    pub fn passed(&self, side: Side, batch: Time) {
        if !self.shared.is_closed() {
            self.shared.send(Message::Passed { side, batch });
        }
    }

    /// The results so far, by the names of the outputs.
    pub fn results(&self) -> Vec<OutputComparison> {
        lock(&self.shared.results).clone()
    }

    /// Ends the comparison after the batches that both sides have committed so far. The worker ends when it has compared
    /// them.
    pub fn finish(&self) {
        self.shared.is_finishing.store(true, Ordering::Release);
        self.shared.send(Message::Wake);
    }

    /// Ends the comparison now. The worker ends soon, and drops all rows.
    pub fn close(&self) {
        self.shared.is_closed.store(true, Ordering::Relaxed);
        self.shared.send(Message::Wake);
    }
}

/// The outputs of both sides, by name.
fn outputs(old: &[(String, RecordType)], new: &[(String, RecordType)]) -> Arc<[ComparedOutput]> {
    let mut types: BTreeMap<&String, (Option<RecordType>, Option<RecordType>)> = BTreeMap::new();
    old.iter().for_each(|(name, ty)| types.entry(name).or_default().0 = Some(ty.clone()));
    new.iter().for_each(|(name, ty)| types.entry(name).or_default().1 = Some(ty.clone()));
    types.into_iter().map(|(name, (old, new))| ComparedOutput { name: name.clone(), old, new }).collect()
}

fn nothing_compared(output: &ComparedOutput) -> OutputComparison {
    let presence = match (&output.old, &output.new) {
        (Some(_), None) => Presence::OnlyOld,
        (None, Some(_)) => Presence::OnlyNew,
        _ => Presence::Both,
    };
    OutputComparison {
        output: output.name.clone(),
        presence,
        type_old: output.old.as_ref().map(ToString::to_string),
        type_new: output.new.as_ref().map(ToString::to_string),
        types_differ: presence == Presence::Both && output.old != output.new,
        ..OutputComparison::default()
    }
}

#[cfg(test)]
mod tests;
