//! Ranges of logs: data that a source keeps in order, and that a batch reads by position.
//!
//! Owns the descriptor of a range, and the traits through which a task reads the range from its source. Never reads
//! anything: each source that gives ranges has a reader of its own.

use crate::data::lines::BadLines;
use crate::encoding::Encoding;
use crate::error::{Error, ErrorKind, Persistence};
use crate::shown::Shown as _;
use crate::time::Time;
use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// The records of one partition of a log from one position to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRange {
    /// The source's name in the job file.
    pub source: String,
    /// The name of the partition. The source chooses the name, which no other partition of the source ever has.
    pub partition: String,
    /// The position at which the range begins.
    pub from: i64,
    /// The position after the range. The range ends at this position, however many records there are before it.
    pub until: i64,
    /// Whether the partition has no records after this range, and never will have any.
    pub is_last: bool,
    /// The checksum of the range, if the range was read to its end before. A range that is read again must have this
    /// checksum. Always `None` if the source cannot change records.
    pub checksum: Option<u64>,
}

impl LogRange {
    /// Whether the range has no records.
    pub const fn is_empty(&self) -> bool {
        self.until <= self.from
    }
}

impl fmt::Display for LogRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {} to {}", self.partition.shown(), self.from, self.until)
    }
}

/// Reads the ranges of one source. All runs of a job use the same reader, so a reader can keep one connection to its
/// source.
pub trait RangeReader: Send + Sync {
    /// Makes a reader of the records of a range. A range may be read several times, also at the same time, and has the
    /// same records each time.
    ///
    /// # Errors
    /// Returns an error if it is known already that the range cannot be read.
    fn open(&self, range: &LogRange) -> Result<Box<dyn RangeRows>, RangeError>;

    /// Describes the origin of a record of a range, in the form `file app.log, line 8`. Records are counted from 0.
    /// `None` if the origin is not known.
    fn origin<'a>(&'a self, range: &'a LogRange, record: u64) -> BoxFuture<'a, Option<String>>;

    /// The range as users see it. `None` if the source has no topics.
    fn offsets(&self, _: &LogRange) -> Option<OffsetRange> {
        None
    }

    /// Takes note that the servers are to be told, when a batch is done, that everything before the ends of the ranges is
    /// processed.
    ///
    /// # Errors
    /// Returns an error if the servers are not told of what users say.
    fn commit(&self, _batch: Time, _ranges: &[OffsetRange]) -> Result<(), Error> {
        Err(Error::new(ErrorKind::User, "the source has no consumer group").help("name a source of type `kafka`"))
    }
}

/// The records of a partition of a topic that a batch reads: what users see of a range.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OffsetRange {
    /// The topic.
    pub topic: String,
    /// The number of the partition.
    pub partition: i32,
    /// The offset of the first record.
    pub first: i64,
    /// The offset after the last record.
    pub end: i64,
}

/// The readers of the sources that are read by ranges, by name.
pub type RangeReaders = Arc<BTreeMap<String, Arc<dyn RangeReader>>>;

/// The records of a range, chunk by chunk. A caller must not keep any of the records before it has reached the end:
/// only at the end it is known that the records are the right ones.
pub trait RangeRows: Send {
    /// The next chunk of records; `None` at the end.
    fn next_chunk(&mut self) -> BoxFuture<'_, Result<Option<RecordBatch>, RangeError>>;

    /// The checksum of a range that was read to its end. `None` if the source cannot change records.
    fn checksum(&self) -> Option<u64> {
        None
    }

    /// The faults of the text of a range that was read to its end.
    fn faults(&self) -> RangeFaults {
        RangeFaults::default()
    }
}

/// The faults of the records of a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeFaults {
    /// The file that has the lines.
    pub file: PathBuf,
    /// The encoding of the lines.
    pub encoding: Encoding,
    /// The position of the range, from which lines are counted.
    pub after_byte: u64,
    /// The lines that were dropped because they are too long.
    pub dropped: BadLines,
    /// The lines in which bytes were replaced.
    pub replaced: BadLines,
    /// The messages that were left out because they are no records.
    pub refused: Option<Refused>,
    /// The records that were left out because the source does not have them any more.
    pub gone: Option<Gone>,
}

/// Messages of a range that are no records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// How many there are.
    pub messages: u64,
    /// The position of the first one.
    pub first: i64,
    /// What is wrong with the first one.
    pub problem: String,
}

/// Records of a range that the source does not have any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// The position of the first of them.
    pub from: i64,
    /// The position after the last of them.
    pub until: i64,
    /// The first position that the source has.
    pub start: i64,
    /// The position after the last one that the source has.
    pub end: i64,
}

/// Why a range was not read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{problem}")]
pub struct RangeError {
    /// The problem, in words. The words name the place of the data, and not the source.
    pub problem: String,
    /// The kind of the error.
    pub kind: ErrorKind,
    /// Whether the same attempt may succeed later.
    pub lasting: Persistence,
    /// What the user can do.
    pub help: String,
}

impl RangeError {
    /// The error that is reported, with the batch and the source, which this error does not contain.
    pub fn explain(&self, source: &str, batch: Time) -> Error {
        let message = format!("source `{}` cannot read batch {batch}: {}", source.shown(), self.problem);
        Error::new(self.kind, message).help(self.help.clone()).lasting(self.lasting)
    }
}
