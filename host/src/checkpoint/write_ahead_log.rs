//! The write-ahead log: received blocks, on stable storage before a batch reads them or a receiver acknowledges them.
//!
//! Owns the segments `ingest/received-EPOCH-NUMBER`, when a segment is begun, and when a segment is removed. A segment
//! holds groups of blocks; the blocks of a group are on stable storage together. Each owner of the directory begins
//! segments of its own. So an owner that was replaced never writes to a segment of its successor. Never decides which
//! batch reads a block.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod index;
mod keys;
mod prepared;
mod record;
mod recover;
mod retained;
mod segment;

pub use index::LogIndex;
pub use record::{Entry, ReadRows};
pub use recover::{LogContent, Need, RecoverError, Recovery, recover};
pub(super) use segment::read_documents;

use crate::data::schema::RecordType;
use crate::env::{Appender, Call, Executor, Store};
use crate::time::{Duration, Time};
use keys::Keys;
use prepared::Prepared;
use record::Encoder;
use segment::{DIRECTORY, SegmentNumber, name};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// A segment is closed when it has at least this many bytes.
const SEGMENT_BYTES: u64 = 32 << 20;
/// A segment is closed when it is at least this old. The value is Spark's `rollingIntervalSecs`.
const SEGMENT_AGE: Duration = Duration::from_secs(60);

/// How a log is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogOptions {
    /// The number of the owner of the directory.
    pub epoch: u64,
    /// Whether each group gets a segment of its own: some file systems store a file only when the file is closed.
    pub closes_after_write: bool,
    /// Whether the keys of blocks are remembered after their segments were removed.
    pub keeps_keys: bool,
}

/// An executor, and blocks that it encodes while the disk stores others.
pub type Ahead<'a> = (&'a dyn Executor, &'a [Entry]);

/// Writes the log, for the owner of a directory.
pub struct WriteAheadLog {
    index: LogIndex,
    options: LogOptions,
    next_number: u64,
    /// The keys of the blocks in the log, and of earlier ones.
    keys: Keys,
    open: Option<OpenSegment>,
    encoder: Encoder,
    /// The next group, if it is encoded.
    prepared: Prepared,
}

struct OpenSegment {
    number: SegmentNumber,
    begun: Time,
    appenders: Vec<Box<dyn Appender>>,
    bytes: u64,
    /// The number of the next group.
    group: u64,
}

impl WriteAheadLog {
    /// Makes the log that goes on after the segments of earlier owners, with their `content`. Each of the `stores` gets
    /// everything. `types` are the types of the rows of each source.
    pub fn new(
        stores: Vec<Arc<dyn Store>>,
        types: BTreeMap<String, RecordType>,
        options: LogOptions,
        content: &LogContent,
    ) -> Self {
        let index = LogIndex::new(stores, types, content);
        let keys = if options.keeps_keys { content.keys.clone() } else { Keys::default() };
        Self {
            index,
            options,
            next_number: 0,
            keys,
            open: None,
            encoder: Encoder::default(),
            prepared: Prepared::default(),
        }
    }

    /// The record of the blocks that are in the log.
    pub fn index(&self) -> LogIndex {
        self.index.clone()
    }

    /// Writes blocks, and waits until they are on stable storage in all stores. After an error, a part of the blocks may be
    /// in a segment that is not used any more: the next call has to bring all these blocks again.
    ///
    /// # Errors
    /// The error of a store.
    pub fn append(&mut self, now: Time, entries: &[Entry]) -> io::Result<()> {
        self.append_ahead(now, entries, None)
    }

    /// Writes blocks as [`WriteAheadLog::append`] does. While the disk stores them, the executor encodes other blocks:
    /// those that the next call is expected to bring.
    ///
    /// # Errors
    /// The error of a store.
    pub fn append_ahead(&mut self, now: Time, entries: &[Entry], next: Option<Ahead<'_>>) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        // After an error, nothing is known about the end of the segment. So the segment is not used any more.
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(now)?,
        };
        let written = self.write(&mut open, entries).and_then(|closes| {
            let closes = closes || now.since(open.begun) >= SEGMENT_AGE;
            let group = if closes { 0 } else { open.group.saturating_add(1) };
            self.sync(&mut open, next, group).map(|()| closes)
        });
        let closes = match written {
            Ok(closes) => closes,
            Err(error) => {
                self.prepared.forget();
                self.close(open.number);
                return Err(error);
            }
        };
        open.group = open.group.saturating_add(1);
        self.index.update(|retained| {
            entries.iter().for_each(|entry| retained.added(open.number, entry.id.clone()));
        });
        if self.options.keeps_keys {
            for entry in entries {
                entry.key.iter().for_each(|key| self.keys.add(&entry.id.source, key));
            }
        }
        if closes {
            self.close(open.number);
        } else {
            self.open = Some(open);
        }
        Ok(())
    }

    /// Writes a group, encoded before or now. Returns whether the segment is then closed for its length.
    fn write(&mut self, open: &mut OpenSegment, entries: &[Entry]) -> io::Result<bool> {
        let (bytes, appenders) = (&mut open.bytes, &mut open.appenders);
        let mut write = |piece: &mut Vec<u8>| {
            *bytes = bytes.saturating_add(piece.len() as u64);
            appenders.iter_mut().try_for_each(|appender| appender.write(piece))
        };
        match self.prepared.take(entries, open.group) {
            Some(mut pieces) => {
                let written = pieces.iter_mut().try_for_each(write);
                self.prepared.recycle(pieces);
                written?;
            }
            None => self.encoder.group(entries, open.group, &mut write)?,
        }
        let is_long = open.bytes >= SEGMENT_BYTES || open.appenders.iter().any(|appender| appender.is_long());
        Ok(self.options.closes_after_write || is_long)
    }

    /// Waits until what was written is on stable storage, and encodes the next group meanwhile.
    fn sync(&mut self, open: &mut OpenSegment, next: Option<Ahead<'_>>, group: u64) -> io::Result<()> {
        let mut sync = || open.appenders.iter_mut().try_for_each(|appender| appender.sync());
        let Some((executor, next)) = next else {
            self.prepared.forget();
            return sync();
        };
        let mut synced = Ok(());
        let (encoder, prepared) = (&mut self.encoder, &mut self.prepared);
        let calls: Vec<Call<'_>> =
            vec![Box::new(|| synced = sync()), Box::new(move || prepared.prepare(encoder, next, group))];
        executor.call_all(calls);
        synced
    }

    fn begin(&mut self, now: Time) -> io::Result<OpenSegment> {
        let number = (self.options.epoch, self.next_number);
        self.next_number = self.next_number.saturating_add(1);
        let name = format!("{DIRECTORY}/{}", name(number));
        let mut appenders =
            self.index.stores().iter().map(|store| store.appender(&name)).collect::<io::Result<Vec<_>>>()?;
        let mut bytes = 0;
        if !self.keys.is_empty() {
            let keys = self.keys.encode().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            // The keys become durable together with the first group.
            appenders.iter_mut().try_for_each(|appender| appender.write(&keys))?;
            bytes = keys.len() as u64;
        }
        Ok(OpenSegment { number, begun: now, appenders, bytes, group: 0 })
    }

    fn close(&mut self, number: SegmentNumber) {
        self.index.update(|retained| retained.closed(number));
    }

    /// Removes the segments that hold no needed block, but for the newest one if it has keys. A segment that cannot be
    /// removed now is removed by the next owner.
    pub fn remove_unneeded(&mut self, now: Time) {
        if let Some(open) = self.open.take_if(|open| now.since(open.begun) >= SEGMENT_AGE) {
            self.close(open.number);
        }
        let keeps_newest = !self.keys.is_empty();
        for number in self.index.update(|retained| retained.take_unneeded(keeps_newest)) {
            let name = format!("{DIRECTORY}/{}", name(number));
            for store in self.index.stores() {
                let _ = store.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests;
