//! A queue of data sets, one for each batch, read from a file of JSON lines. Spark calls this `queueStream`.

use super::{Input, InputHistory, NewData};
use crate::block::{Block, InputPartition};
use crate::data::json;
use crate::data::key::hash;
use crate::data::schema::RecordType;
use crate::encoding::{Encoding, decode_all};
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::ids::BlockId;
use crate::shown::{Shown as _, counted, escape_control};
use crate::time::Time;
use arrow::array::RecordBatch;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The largest queue file that is accepted, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Why a queue file was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: std::io::Error,
    },
    /// The records of the source are of a type that a queue file cannot hold.
    #[error(
        "{path} cannot hold the records of source `{name}`: \
         `{ty}` is a type of the plugin's own, whose bytes only the plugin can read"
    )]
    Opaque {
        /// The file.
        path: PathBuf,
        /// The source.
        name: String,
        /// The type, as the plugin calls it.
        ty: String,
    },
    /// The file is not the file that batches have read before.
    #[error("{} is not the file that the job has read: {problem}", path.shown())]
    Changed {
        /// The file.
        path: PathBuf,
        /// The difference.
        problem: String,
    },
    /// A line is not valid.
    #[error("{place}: {problem}")]
    Line {
        /// The file, the line and, if it is known, the column. Line and column are counted from 1.
        place: String,
        /// What is wrong with the line.
        problem: String,
    },
}

impl From<QueueError> for Error {
    fn from(error: QueueError) -> Self {
        let help = match &error {
            QueueError::Unreadable { .. } => "a queue is a file of JSON lines: one array of records for each batch",
            QueueError::Opaque { .. } => {
                "let the stream have records that JSON can write, such as text, and convert them to the plugin's own \
                 type with `map`"
            }
            QueueError::Changed { .. } => {
                "bring the file back as it was, with new data sets behind the old ones; or name a new file with a new \
                 job.checkpoint, which begins with its first line"
            }
            QueueError::Line { .. } => "each line is a JSON array of records; a tuple is an array",
        };
        Self::new(ErrorKind::User, error.to_string()).help(help)
    }
}

/// The most parts of a line. The number of a block is the number of its line, times this, plus the number of its part.
/// Lines are counted from 0, and empty lines are not counted.
const PARTS_MAX: u64 = 1 << 20;

/// Gives one data set to each batch, and no data when the queue is used up. The lines are kept as text. Lines that
/// earlier batches were given are not parsed again.
pub struct QueueInput {
    source: String,
    path: PathBuf,
    ty: RecordType,
    partitions: usize,
    text: Vec<u8>,
    /// The ranges of the lines in the text, without empty lines.
    lines: Vec<Range<usize>>,
    /// For each line, the checksum of the line and all lines before it.
    checksums: Vec<u64>,
    /// The index of the line for the next batch.
    next: u64,
}

impl QueueInput {
    /// Reads a queue of records of type `ty`. The file has the given encoding, unless a byte order mark names another
    /// one. Each data set is split into `partitions` parts of equal size. Lines are not checked here: see
    /// [`Input::check`].
    ///
    /// # Errors
    /// Returns a [`QueueError`].
    pub fn read(
        env: &Env,
        source: &str,
        path: &Path,
        encoding: Encoding,
        ty: &RecordType,
        partitions: usize,
    ) -> Result<Self, QueueError> {
        if let Some(ty) = ty.opaque() {
            let ty = escape_control(ty).into_owned();
            return Err(QueueError::Opaque { path: path.to_owned(), name: source.to_owned(), ty });
        }
        let text = env
            .disk
            .read(path, FILE_BYTES_MAX)
            .map_err(|error| QueueError::Unreadable { path: path.to_owned(), error })?;
        let text = decode_all(encoding, text);
        let ends = memchr::memchr_iter(b'\n', &text).chain([text.len()]);
        let mut start = 0;
        let lines = ends.map(|end| std::mem::replace(&mut start, end + 1)..end);
        let lines: Vec<_> = lines.filter(|line| !text[line.clone()].trim_ascii().is_empty()).collect();
        let mut above = 0;
        let checksum = |line: &Range<usize>| {
            above = chained(above, text[line.clone()].trim_ascii());
            above
        };
        let checksums = lines.iter().map(checksum).collect();
        let (source, path, ty) = (source.to_owned(), path.to_owned(), ty.clone());
        Ok(Self { source, path, ty, partitions, text, lines, checksums, next: 0 })
    }

    /// The rows of a line.
    fn rows(&self, line: &Range<usize>) -> Result<RecordBatch, QueueError> {
        let refused = |place: String, problem: String| {
            let above = memchr::memchr_iter(b'\n', &self.text[..line.start]).count();
            let place = format!("{} line {}{place}", self.path.shown(), above + 1);
            QueueError::Line { place, problem }
        };
        let records = parse(&self.text[line.clone()]).map_err(|(place, problem)| refused(place, problem))?;
        json::records(&self.ty, &records).map_err(|error| refused(String::new(), error.to_string()))
    }

    /// The rows of the line with this index. `None` if there is no such line, or if [`Input::check`] would refuse the
    /// line.
    fn rows_of(&self, line: u64) -> Option<RecordBatch> {
        self.rows(self.lines.get(usize::try_from(line).ok()?)?).ok()
    }

    /// The blocks of a line that is split into `parts` parts. Empty if there is no such line any more.
    fn blocks(&self, line: u64, parts: usize) -> Vec<Block> {
        let Some(rows) = self.rows_of(line) else { return Vec::new() };
        let block =
            |(sequence, rows)| Block { id: BlockId { source: self.source.clone(), sequence }, rows: vec![rows].into() };
        (line.saturating_mul(PARTS_MAX)..).zip(split(&rows, parts)).map(block).collect()
    }

    fn checksum_of(&self, line: u64) -> Option<u64> {
        self.checksums.get(usize::try_from(line).ok()?).copied()
    }

    /// Goes on at the block with this number, if the lines before it have this checksum. `needed` are the blocks for
    /// which [`Input::again`] will be called.
    fn go_on(&mut self, next_block: u64, checksum: Option<u64>, needed: &[InputPartition]) -> Result<(), QueueError> {
        let changed = |line: u64, problem: &str| QueueError::Changed {
            path: self.path.clone(),
            problem: format!("data set {}: {problem} when the job read it before", line + 1),
        };
        self.next = next_block.div_ceil(PARTS_MAX);
        if (self.lines.len() as u64) < self.next {
            return Err(changed(self.next - 1, "it is not there, but was"));
        }
        let mut rows_by_line: BTreeMap<u64, u64> = BTreeMap::new();
        for partition in needed {
            let InputPartition::Block { id, rows, checksum } = partition else { continue };
            let line = id.sequence / PARTS_MAX;
            if checksum.is_some() && self.checksum_of(line) != *checksum {
                return Err(changed(line, "it or an earlier data set was different"));
            }
            *rows_by_line.entry(line).or_default() += rows;
        }
        if let Some(last) = self.next.checked_sub(1)
            && checksum.is_some()
            && self.checksum_of(last) != checksum
        {
            return Err(changed(last, "it or an earlier data set was different"));
        }
        for (line, rows) in &rows_by_line {
            let found = self.rows_of(*line).map_or(0, |rows| rows.num_rows() as u64);
            if found != *rows {
                return Err(changed(*line, &format!("it has {}, but had {rows}", counted(found, "record"))));
            }
        }
        Ok(())
    }
}

impl Input for QueueInput {
    fn source(&self) -> &str {
        &self.source
    }

    fn check(&self) -> Result<(), Error> {
        let next = usize::try_from(self.next).unwrap_or(usize::MAX);
        Ok(self.lines.iter().skip(next).try_for_each(|line| self.rows(line).map(drop))?)
    }

    fn resume(&mut self, history: InputHistory<'_>) -> Result<(), Error> {
        Ok(self.go_on(history.next_block, history.checksum, &history.needed)?)
    }

    fn read(&mut self, _: &Env, _: Time) -> Result<NewData, String> {
        let line = self.next;
        self.next += 1;
        let blocks = self.blocks(line, self.partitions);
        let checksum = self.checksum_of(line);
        let partition =
            |block: &Block| InputPartition::Block { id: block.id.clone(), rows: block.row_count(), checksum };
        Ok(NewData { partitions: blocks.iter().map(partition).collect(), blocks, events: Vec::new() })
    }

    fn again(&self, given: &[&BlockId]) -> Vec<Block> {
        let mut parts: BTreeMap<u64, usize> = BTreeMap::new();
        for block in given {
            *parts.entry(block.sequence / PARTS_MAX).or_default() += 1;
        }
        parts.into_iter().flat_map(|(line, parts)| self.blocks(line, parts)).collect()
    }

    fn next_data(&mut self, _: &Env, from: Time) -> Option<Time> {
        (!self.is_used_up()).then_some(from)
    }

    fn is_used_up(&self) -> bool {
        self.next >= self.lines.len() as u64
    }
}

/// The checksum of a line and all lines before it. `above` is the checksum of the lines before it.
fn chained(above: u64, line: &[u8]) -> u64 {
    let mut both = above.to_le_bytes().to_vec();
    both.extend_from_slice(&hash(line).to_le_bytes());
    hash(&both)
}

/// The records of a line. If the line is not valid, the place and the reason.
fn parse(line: &[u8]) -> Result<Vec<Value>, (String, String)> {
    let value: Value = json::parse(line).map_err(|error| {
        // The parser counts lines too, but there is only one line.
        let said = error.to_string();
        let problem = said.rsplit_once(" at line ").map_or(said.as_str(), |(problem, _)| problem);
        (format!(", column {}", error.column()), problem.to_owned())
    })?;
    let found = match value {
        Value::Array(records) => return Ok(records),
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Object(_) => "an object",
    };
    Err((String::new(), format!("expected an array of records, found {found}")))
}

/// Splits rows into parts. Part `n` of `parts` has the records from `n * count / parts` on, as Spark splits a
/// collection.
fn split(rows: &RecordBatch, parts: usize) -> Vec<RecordBatch> {
    let parts = parts.max(1);
    let bound = |part: usize| part * rows.num_rows() / parts;
    (0..parts).map(|part| rows.slice(bound(part), bound(part + 1) - bound(part))).collect()
}
