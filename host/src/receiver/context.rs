//! What a receiver can call: store records, tell of errors, learn that it is to stop.
//!
//! Owns what one receiver has given and the tracker does not know yet, in order. A block that was cut stays here until
//! it is reported, so dropping a future that stores loses nothing and stores nothing twice.

use super::block_generator::BlockGenerator;
use super::error::StoreError;
use super::settings::{ReceiverSettings, StopReceiver};
use super::{BlockReport, StoredBlock};
use crate::block::{Block, BlockStore, OpenBlock};
use crate::config::WhenFull;
use crate::data::json;
use crate::data::lines::BadLines;
use crate::data::schema::RecordType;
use crate::env::Clock;
use crate::listener::{Event, LinesInfo, ListenerBus, ReceiverReporter};
use crate::lock::lock;
use crate::time::{Duration, Time};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use futures::FutureExt as _;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, oneshot, watch};

/// The host, as a receiver sees it. Clones are the same.
#[derive(Clone)]
pub struct ReceiverContext {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    settings: ReceiverSettings,
    store: BlockStore,
    reports: mpsc::Sender<BlockReport>,
    listeners: ListenerBus,
    reporter: Mutex<ReceiverReporter>,
    is_connected: AtomicBool,
    /// Nothing is taken any more.
    is_closed: AtomicBool,
    stop: watch::Receiver<StopReceiver>,
    /// How many calls of the receiver wait for the host to take a block, or to record it.
    waiting: AtomicUsize,
    /// Held while a block waits for room: whatever comes next has to wait too.
    blocks: tokio::sync::Mutex<Blocks>,
}

struct Blocks {
    generator: BlockGenerator,
    /// The memory that what is held takes.
    open: OpenBlock,
    /// Blocks that were cut and are not reported yet, in order.
    cut: VecDeque<CutBlock>,
}

struct CutBlock {
    block: Block,
    is_stored: bool,
    /// To be told when it is recorded. There is one if its receiver waits for that.
    recorded: Option<oneshot::Sender<()>>,
}

impl ReceiverContext {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        settings: ReceiverSettings,
        store: BlockStore,
        reports: mpsc::Sender<BlockReport>,
        listeners: ListenerBus,
        stop: watch::Receiver<StopReceiver>,
    ) -> Self {
        let generator = BlockGenerator::new(&settings.source, settings.encoding, settings.max_line_bytes);
        let blocks = Blocks { generator, open: store.open(), cut: VecDeque::new() };
        let reporter = ReceiverReporter::new(listeners.clone(), settings.stream_id, &settings.source);
        let shared = Shared {
            clock,
            settings,
            store,
            reports,
            listeners,
            reporter: Mutex::new(reporter),
            is_connected: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            stop,
            waiting: AtomicUsize::new(0),
            blocks: tokio::sync::Mutex::new(blocks),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The name of the source.
    pub fn source(&self) -> &str {
        &self.shared.settings.source
    }

    /// The type of the records that the plugin reads from the source.
    pub fn record_type(&self) -> &RecordType {
        &self.shared.settings.rows
    }

    /// Resolves when the receiver is to stop. Spark's `onStop`. May be awaited again and again.
    pub async fn stopped(&self) {
        let mut stop = self.shared.stop.clone();
        // An error means that nobody can ask for it any more.
        let _ = stop.wait_for(|stop| *stop != StopReceiver::No).await;
    }

    /// Whether the receiver is to stop.
    pub fn is_stopped(&self) -> bool {
        *self.shared.stop.borrow() != StopReceiver::No
    }

    /// Waits. In a simulation this takes no time.
    pub async fn sleep(&self, duration: Duration) {
        let clock = &self.shared.clock;
        clock.sleep_until(clock.now() + duration).await;
    }

    /// Tells listeners that the source is reached. Storing something tells it too.
    pub fn connected(&self) {
        if !self.is_closed() && !self.shared.is_connected.swap(true, Ordering::SeqCst) {
            self.reporter(ReceiverReporter::started);
        }
    }

    /// Whether the source is reached. Spark's `isStarted`.
    pub fn is_connected(&self) -> bool {
        self.shared.is_connected.load(Ordering::SeqCst)
    }

    /// Tells listeners of an error after which the receiver goes on. Spark's `reportError`.
    pub fn report_error(&self, message: impl Into<String>) {
        let now = self.shared.clock.now();
        self.reporter(|reporter| reporter.erred(now, message.into()));
    }

    /// Stores a line of text, given without its end, soon: with others, in the next block. Unreliable. Spark's
    /// `store(single)`. A text that holds line ends is as many lines.
    ///
    /// # Errors
    /// When the source's records are not text, or the receiver was stopped.
    pub async fn store_line(&self, line: &str) -> Result<(), StoreError> {
        self.require_text()?;
        let mut blocks = self.open().await?;
        blocks.generator.push_line(line);
        self.cut_if_full(&mut blocks).await
    }

    /// Stores lines of text that come as bytes in the source's encoding, in any pieces. What follows the last line end waits for the rest of its
    /// line. Unreliable. Spark's `store(bytes)`.
    ///
    /// # Errors
    /// As [`Self::store_line`].
    pub async fn store_bytes(&self, bytes: &[u8]) -> Result<(), StoreError> {
        self.require_text()?;
        let mut blocks = self.open().await?;
        blocks.generator.push_bytes(bytes);
        self.cut_if_full(&mut blocks).await
    }

    /// What [`Self::store_bytes`] got is complete, even if the last line has no end.
    ///
    /// # Errors
    /// When the receiver was stopped.
    pub async fn end_line(&self) -> Result<(), StoreError> {
        self.open().await?.generator.end_line();
        Ok(())
    }

    /// Stores rows soon, with others, in the next block. Unreliable.
    ///
    /// # Errors
    /// When their columns are not those of [`Self::record_type`], or the receiver was stopped.
    pub async fn store_rows(&self, rows: RecordBatch) -> Result<(), StoreError> {
        let rows = self.checked(rows)?;
        let mut blocks = self.open().await?;
        blocks.generator.push_rows(rows);
        self.cut_if_full(&mut blocks).await
    }

    /// Stores rows as a block of their own, which becomes one partition of one batch, and returns when the host answers
    /// for them: a reliable receiver acknowledges them then. It waits while there is no room. What was stored before
    /// comes first. Spark's `store(iterator)`.
    ///
    /// # Errors
    /// As [`Self::store_rows`]; then nothing must be acknowledged.
    pub async fn store_block(&self, rows: Vec<RecordBatch>) -> Result<(), StoreError> {
        let rows = rows.into_iter().map(|rows| self.checked(rows)).collect::<Result<Vec<_>, _>>()?;
        let mut blocks = self.open().await?;
        blocks.cut();
        let Some(block) = blocks.generator.block(rows) else { return self.deliver(&mut blocks).await };
        let (recorded, answer) = oneshot::channel();
        blocks.cut.push_back(CutBlock { block, is_stored: false, recorded: Some(recorded) });
        self.deliver(&mut blocks).await?;
        drop(blocks);
        let _waiting = Waiting::begin(&self.shared.waiting);
        answer.await.map_err(|_| StoreError::Stopped)
    }

    /// As [`Self::store_block`], for lines of text, given without their ends. A text is one record, whatever it holds.
    ///
    /// # Errors
    /// As [`Self::store_line`]; then nothing must be acknowledged.
    pub async fn store_lines<T: AsRef<str>>(&self, lines: &[T]) -> Result<(), StoreError> {
        self.require_text()?;
        let column: ArrayRef = Arc::new(StringArray::from_iter_values(lines));
        let rows = RecordBatch::try_new(self.record_type().arrow().clone(), vec![column]);
        self.store_block(vec![rows.map_err(|error| self.no_rows(&error))?]).await
    }

    /// Rows of JSON values, one for each record: objects for structs, arrays for tuples and lists. Convenient, not fast.
    ///
    /// # Errors
    /// When a value does not fit [`Self::record_type`].
    pub fn rows_of_json(&self, records: &[serde_json::Value]) -> Result<RecordBatch, StoreError> {
        json::records(self.record_type(), records).map_err(|error| self.no_rows(&error))
    }

    fn no_rows(&self, error: &dyn std::fmt::Display) -> StoreError {
        StoreError::Rows { name: self.source().to_owned(), problem: error.to_string() }
    }

    fn require_text(&self) -> Result<(), StoreError> {
        if *self.record_type() == RecordType::text() {
            return Ok(());
        }
        Err(StoreError::NotText { name: self.source().to_owned(), expected: self.record_type().to_string() })
    }

    /// The rows with the source's columns, if they have these types and no values are absent that must be there.
    fn checked(&self, rows: RecordBatch) -> Result<RecordBatch, StoreError> {
        let wanted = self.record_type().arrow();
        if rows.schema_ref() == wanted {
            return Ok(rows);
        }
        let columns: Vec<String> =
            rows.schema_ref().fields().iter().map(|field| format!("{}: {}", field.name(), field.data_type())).collect();
        RecordBatch::try_new(wanted.clone(), rows.columns().to_vec()).map_err(|_| StoreError::WrongType {
            name: self.source().to_owned(),
            expected: self.record_type().to_string(),
            found: format!("({})", columns.join(", ")),
        })
    }

    /// What is held, unless nothing is taken any more.
    async fn open(&self) -> Result<tokio::sync::MutexGuard<'_, Blocks>, StoreError> {
        let blocks = self.shared.blocks.lock().await;
        self.connected();
        if self.is_closed() { Err(StoreError::Stopped) } else { Ok(blocks) }
    }

    fn is_closed(&self) -> bool {
        self.shared.is_closed.load(Ordering::SeqCst)
    }

    async fn cut_if_full(&self, blocks: &mut Blocks) -> Result<(), StoreError> {
        let has_room = blocks.open.hold(blocks.generator.held_bytes()).is_ok();
        if has_room && !blocks.generator.is_full(blocks.open.bytes_max()) {
            return Ok(());
        }
        blocks.cut();
        self.deliver(blocks).await
    }

    /// Cuts a block at each multiple of the block interval, so that the last one of a batch is cut at the batch's end.
    pub(super) async fn keep_cutting(&self) {
        let Shared { clock, settings, .. } = &*self.shared;
        loop {
            let next: Time = clock.now().next_multiple(settings.block_interval);
            clock.sleep_until(next).await;
            self.flush().await;
        }
    }

    /// Stores and reports the complete records that are held.
    pub(super) async fn flush(&self) {
        let mut blocks = self.shared.blocks.lock().await;
        blocks.cut();
        // An error means that the run is over, and the block with it.
        let _ = self.deliver(&mut blocks).await;
    }

    /// Stores what is complete and forgets the beginning of a line. Half a line is not a record.
    pub(super) async fn abandon_line(&self) {
        if self.shared.blocks.lock().await.generator.abandon_line() {
            self.shared.listeners.post(&Event::LineCutOff { source: self.source().to_owned() });
        }
        self.flush().await;
    }

    /// Nothing is taken any more.
    pub(super) fn close(&self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
    }

    /// It has lost its source, or never reached it.
    pub(super) fn failed(&self, message: String, retry_in: Option<Duration>) {
        self.shared.is_connected.store(false, Ordering::SeqCst);
        let now = self.shared.clock.now();
        self.reporter(|reporter| reporter.failed(now, message, retry_in));
    }

    /// Tells listeners what the receiver is doing.
    pub(super) fn reporter(&self, tell: impl FnOnce(&mut ReceiverReporter)) {
        tell(&mut lock(&self.shared.reporter));
    }

    /// Stores and reports the blocks that were cut. Goes on where it was when it was dropped.
    async fn deliver(&self, blocks: &mut Blocks) -> Result<(), StoreError> {
        let _waiting = Waiting::begin(&self.shared.waiting);
        self.tell_of_faults(&mut blocks.generator);
        let Shared { store, reports, settings, .. } = &*self.shared;
        while let Some(first) = blocks.cut.front_mut() {
            if !first.is_stored {
                let put = store.put(first.block.clone());
                if settings.when_full == WhenFull::DropNewest && first.recorded.is_none() {
                    if put.now_or_never().is_none() {
                        let records = first.block.row_count();
                        let source = self.source().to_owned();
                        self.shared.listeners.post(&Event::RecordsDropped { source, records });
                        blocks.cut.pop_front();
                        continue;
                    }
                } else {
                    put.await;
                }
                first.is_stored = true;
            }
            // A store that was closed takes nothing, and no batch would read it.
            let is_kept = store.get(&first.block.id).is_some();
            let permit = reports.reserve().await.ok().filter(|_| is_kept);
            let (Some(permit), Some(CutBlock { block, recorded, .. })) = (permit, blocks.cut.pop_front()) else {
                self.close();
                blocks.cut.clear();
                return Err(StoreError::Stopped);
            };
            permit.send(BlockReport { block: StoredBlock { rows: block.row_count(), id: block.id }, recorded });
        }
        // What is left is the beginning of a line.
        if blocks.open.hold(blocks.generator.held_bytes()).is_err() {
            blocks.generator.drop_line();
        }
        Ok(())
    }

    /// Whether the receiver waits for the host, not the other way round.
    pub(super) fn waits_for_host(&self) -> bool {
        self.shared.waiting.load(Ordering::SeqCst) > 0
    }

    fn tell_of_faults(&self, generator: &mut BlockGenerator) {
        let (faults, encoding) = generator.take_faults();
        let lines = |bad: BadLines| LinesInfo { lines: bad.count, file: None, first_line: bad.first, after_byte: None };
        if faults.dropped.count > 0 {
            let (source, lines) = (self.source().to_owned(), lines(faults.dropped));
            self.shared.listeners.post(&Event::LinesDropped { source, lines });
        }
        if faults.replaced.count > 0 {
            let (source, lines) = (Some(self.source().to_owned()), lines(faults.replaced));
            self.shared.listeners.post(&Event::TextReplaced { source, encoding: encoding.to_string(), lines });
        }
    }
}

/// Counts a call while it waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Blocks {
    /// Makes a block of the complete records that are held.
    fn cut(&mut self) {
        let block = self.generator.cut();
        self.open.cut();
        self.cut.extend(block.map(|block| CutBlock { block, is_stored: false, recorded: None }));
    }
}
