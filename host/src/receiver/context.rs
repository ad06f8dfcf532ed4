//! The calls of a receiver to the host: store records, report errors, and learn that the receiver has to stop.
//!
//! Owns the records that one receiver has stored and the tracker does not know yet, in order. A block that was cut
//! stays here until it is reported. So if a future that stores records is dropped, nothing is lost and nothing is
//! stored twice.

mod taken;

pub use taken::TakenBlock;

use super::admission::{Admission, Records};
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

/// The host, as a receiver sees it. Clones stand for the same receiver.
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
    /// Whether nothing is accepted any more.
    is_closed: AtomicBool,
    stop: watch::Receiver<StopReceiver>,
    /// How many calls of the receiver wait until the host takes a block or records it.
    waiting: AtomicUsize,
    /// Locked while a block waits for room, so that later records wait, too.
    blocks: tokio::sync::Mutex<Blocks>,
}

struct Blocks {
    /// Lets records into the generator.
    admission: Admission,
    generator: BlockGenerator,
    /// The share of memory for the open block.
    open: OpenBlock,
    /// The blocks that were cut and are not reported yet, in order.
    cut: VecDeque<CutBlock>,
}

struct CutBlock {
    block: Block,
    /// See [`ReceiverContext::take_block`].
    key: Option<String>,
    is_stored: bool,
    /// Sends a message when the block is recorded. `None` if the receiver does not wait for that.
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
        let generator =
            BlockGenerator::new(&settings.source, settings.first_block, settings.encoding, settings.max_line_bytes);
        let admission = Admission::new(*settings.rate_limit.borrow(), clock.monotonic());
        let blocks = Blocks { admission, generator, open: store.open(), cut: VecDeque::new() };
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

    /// Resolves when the receiver has to stop. Spark's `onStop`. May be awaited several times.
    pub async fn stopped(&self) {
        let mut stop = self.shared.stop.clone();
        // An error means that nobody can ask the receiver to stop any more.
        let _ = stop.wait_for(|stop| *stop != StopReceiver::No).await;
    }

    /// Whether the receiver has to stop.
    pub fn is_stopped(&self) -> bool {
        *self.shared.stop.borrow() != StopReceiver::No
    }

    /// How often a block is cut.
    pub(super) fn block_interval(&self) -> Duration {
        self.shared.settings.block_interval
    }

    /// The most bytes of a block, which follow from the memory of the job and the number of its receivers.
    pub(super) async fn block_bytes_max(&self) -> usize {
        self.shared.blocks.lock().await.open.bytes_max()
    }

    /// The most records a second that the receiver takes at present. `None` if there is no limit.
    pub(super) fn rate_limit(&self) -> Option<u64> {
        *self.shared.settings.rate_limit.borrow()
    }

    /// Tells listeners of an event.
    pub(super) fn post(&self, event: &Event) {
        self.shared.listeners.post(event);
    }

    /// Waits for `duration`. In a simulation this takes no real time.
    pub async fn sleep(&self, duration: Duration) {
        let clock = &self.shared.clock;
        clock.sleep_until(clock.now() + duration).await;
    }

    /// Tells listeners that the source is connected. Storing records has the same effect.
    pub fn connected(&self) {
        if !self.is_closed() && !self.shared.is_connected.swap(true, Ordering::SeqCst) {
            self.reporter(ReceiverReporter::started);
        }
    }

    /// Tells listeners that the receiver takes requests at `url`.
    pub fn listens(&self, url: String) {
        self.shared.listeners.post(&Event::ReceiverListens { source: self.source().to_owned(), url });
        self.connected();
    }

    /// Whether the source is connected. Spark's `isStarted`.
    pub fn is_connected(&self) -> bool {
        self.shared.is_connected.load(Ordering::SeqCst)
    }

    /// Tells listeners of an error. The receiver continues after it. Spark's `reportError`.
    pub fn report_error(&self, message: impl Into<String>) {
        let now = self.shared.clock.now();
        self.reporter(|reporter| reporter.erred(now, message.into()));
    }

    /// Stores a line of text soon, together with others in the next block. `line` does not contain the line end. Not
    /// reliable. Spark's `store(single)`. If the text contains line ends, it is stored as several lines.
    ///
    /// # Errors
    /// If the records of the source are not text, or if the receiver was stopped.
    pub async fn store_line(&self, line: &str) -> Result<(), StoreError> {
        self.require_text()?;
        self.admit(Records::Line(line)).await
    }

    /// Stores lines of text, given as bytes in the source's encoding, in any pieces. The bytes after the last line end
    /// wait for the rest of their line. Not reliable. Spark's `store(bytes)`.
    ///
    /// # Errors
    /// As [`Self::store_line`].
    pub async fn store_bytes(&self, bytes: &[u8]) -> Result<(), StoreError> {
        self.require_text()?;
        self.admit(Records::Bytes(bytes)).await
    }

    /// Says that the bytes given to [`Self::store_bytes`] are complete, even if the last line has no line end.
    ///
    /// # Errors
    /// If the receiver was stopped.
    pub async fn end_line(&self) -> Result<(), StoreError> {
        let mut blocks = self.open().await?;
        let Blocks { admission, generator, .. } = &mut *blocks;
        admission.release_all(generator);
        generator.end_line();
        Ok(())
    }

    /// Stores rows soon, together with others in the next block. Not reliable.
    ///
    /// # Errors
    /// If the columns of the rows are not those of [`Self::record_type`], or if the receiver was stopped.
    pub async fn store_rows(&self, rows: RecordBatch) -> Result<(), StoreError> {
        let rows = self.checked(rows)?;
        self.admit(Records::Rows(rows)).await
    }

    /// As [`Self::store_block`], for lines of text, given without line ends. Each text is one record, whatever it
    /// contains.
    ///
    /// # Errors
    /// As [`Self::store_line`]. After an error, the receiver must not acknowledge anything.
    pub async fn store_lines<T: AsRef<str>>(&self, lines: &[T]) -> Result<(), StoreError> {
        self.require_text()?;
        let column: ArrayRef = Arc::new(StringArray::from_iter_values(lines));
        let rows = RecordBatch::try_new(self.record_type().arrow().clone(), vec![column]);
        self.store_block(vec![rows.map_err(|error| self.no_rows(&error))?]).await
    }

    /// Makes rows of JSON values, one for each record: objects for structs, arrays for tuples and lists. Convenient,
    /// not fast.
    ///
    /// # Errors
    /// If a value does not fit [`Self::record_type`].
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

    /// Gives the rows the source's columns. Fails if the types differ, or if a value is absent that must not be.
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

    /// Locks the blocks. Fails if nothing is accepted any more.
    async fn open(&self) -> Result<tokio::sync::MutexGuard<'_, Blocks>, StoreError> {
        let blocks = self.shared.blocks.lock().await;
        self.connected();
        if self.is_closed() { Err(StoreError::Stopped) } else { Ok(blocks) }
    }

    fn is_closed(&self) -> bool {
        self.shared.is_closed.load(Ordering::SeqCst)
    }

    /// Lets records in, as the rate of the receiver allows. Returns when all are in.
    async fn admit(&self, records: Records<'_>) -> Result<(), StoreError> {
        let mut blocks = self.open().await?;
        let Blocks { admission, generator, .. } = &mut *blocks;
        let now = self.shared.clock.monotonic();
        admission.set_limit(*self.shared.settings.rate_limit.borrow(), now);
        let call = admission.accept(records, now, generator);
        self.cut_if_full(&mut blocks).await?;
        if blocks.admission.is_in(call) {
            return Ok(());
        }
        let mut limit = self.shared.settings.rate_limit.clone();
        loop {
            limit.mark_unchanged();
            self.release(&mut blocks);
            self.cut_if_full(&mut blocks).await?;
            if blocks.admission.is_in(call) {
                return Ok(());
            }
            let wait = blocks.admission.wait(self.shared.clock.monotonic());
            drop(blocks);
            self.wait_for_rate(wait, &mut limit).await;
            blocks = self.open().await?;
        }
    }

    /// Waits until the rate of the receiver allows a block of this many records, which come in together. Returns the
    /// locked blocks.
    async fn admit_whole(&self, records: u64) -> Result<tokio::sync::MutexGuard<'_, Blocks>, StoreError> {
        let mut limit = self.shared.settings.rate_limit.clone();
        loop {
            let mut blocks = self.open().await?;
            limit.mark_unchanged();
            self.release(&mut blocks);
            let wait = blocks.admission.take_whole(records, self.shared.clock.monotonic());
            let Some(wait) = wait.filter(|_| !self.is_stopped()) else { return Ok(blocks) };
            drop(blocks);
            self.wait_for_rate(wait, &mut limit).await;
        }
    }

    /// Waits for a time, or until the limit is another one, or until the receiver has to stop.
    async fn wait_for_rate(&self, wait: Duration, limit: &mut watch::Receiver<Option<u64>>) {
        let changed = async {
            // An error means that the limit stays as it is.
            if limit.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = self.stopped() => {}
            () = changed => {}
            () = self.shared.clock.sleep(wait) => {}
        }
    }

    /// Lets in the records that the rate allows. If the receiver has to stop, lets all records in: they were received.
    fn release(&self, blocks: &mut Blocks) {
        let Blocks { admission, generator, .. } = blocks;
        let now = self.shared.clock.monotonic();
        if self.is_stopped() {
            admission.release_all(generator);
        } else {
            admission.set_limit(*self.shared.settings.rate_limit.borrow(), now);
            admission.release(now, generator);
        }
    }

    async fn cut_if_full(&self, blocks: &mut Blocks) -> Result<(), StoreError> {
        let has_room = blocks.open.hold(blocks.generator.held_bytes()).is_ok();
        if has_room && !blocks.generator.is_full(blocks.open.bytes_max()) {
            return Ok(());
        }
        blocks.cut();
        self.deliver(blocks).await
    }

    /// Cuts a block at each multiple of the block interval, so that the last block of a batch is cut when the batch
    /// ends.
    pub(super) async fn keep_cutting(&self) {
        let Shared { clock, settings, .. } = &*self.shared;
        loop {
            let next: Time = clock.now().next_multiple(settings.block_interval);
            clock.sleep_until(next).await;
            self.flush().await;
        }
    }

    /// Stores and reports the complete records that are not in a block yet.
    pub(super) async fn flush(&self) {
        let mut blocks = self.shared.blocks.lock().await;
        self.release(&mut blocks);
        blocks.cut();
        // An error means that the run is over. The block is lost with it.
        let _ = self.deliver(&mut blocks).await;
    }

    /// Stores the complete records and discards an incomplete line. Half a line is not a record.
    pub(super) async fn abandon_line(&self) {
        let mut blocks = self.shared.blocks.lock().await;
        let Blocks { admission, generator, .. } = &mut *blocks;
        admission.release_all(generator);
        let is_cut_off = generator.abandon_line();
        drop(blocks);
        if is_cut_off {
            self.shared.listeners.post(&Event::LineCutOff { source: self.source().to_owned() });
        }
        self.flush().await;
    }

    /// From here on, nothing is accepted any more.
    pub(super) fn close(&self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
    }

    /// Tells listeners that the receiver has lost its source, or could not connect to it.
    pub(super) fn failed(&self, message: String, retry_in: Option<Duration>) {
        self.shared.is_connected.store(false, Ordering::SeqCst);
        let now = self.shared.clock.now();
        self.reporter(|reporter| reporter.failed(now, message, retry_in));
    }

    /// Tells listeners what the receiver is doing.
    pub(super) fn reporter(&self, tell: impl FnOnce(&mut ReceiverReporter)) {
        tell(&mut lock(&self.shared.reporter));
    }

    /// Stores and reports the blocks that were cut. After it was dropped, a new call continues at the same place.
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
            // A store that is closed takes nothing, and no batch would read the block.
            let is_kept = store.get(&first.block.id).is_some();
            let permit = reports.reserve().await.ok().filter(|_| is_kept);
            let (Some(permit), Some(CutBlock { block, key, recorded, .. })) = (permit, blocks.cut.pop_front()) else {
                self.close();
                blocks.cut.clear();
                return Err(StoreError::Stopped);
            };
            let stored = StoredBlock { rows: block.row_count(), id: block.id };
            permit.send(BlockReport { block: stored, key, recorded });
        }
        // The rest is the beginning of a line.
        if blocks.open.hold(blocks.generator.held_bytes()).is_err() {
            blocks.generator.drop_line();
        }
        Ok(())
    }

    /// The store of the blocks.
    pub(super) fn store(&self) -> &BlockStore {
        &self.shared.store
    }

    /// Whether the receiver waits for the host, not the host for the receiver.
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

/// Counts a waiting call, as long as the value exists.
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
    /// Makes a block of the complete records that are not in a block yet.
    fn cut(&mut self) {
        let block = self.generator.cut();
        self.open.cut();
        self.cut.extend(block.map(|block| CutBlock { block, key: None, is_stored: false, recorded: None }));
    }
}
