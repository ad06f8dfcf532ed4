//! A queue of data sets, one for each batch. Spark's `queueStream`, read from a file of JSON lines.

use crate::block::Block;
use crate::data::json;
use crate::data::schema::RecordType;
use crate::data::text::escape_control;
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::ids::BlockId;
use arrow::array::RecordBatch;
use serde_json::Value;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// The largest queue file that is accepted.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Why a queue file was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// Its records are of a type that no file can hold.
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
    /// A line is not what it has to be.
    #[error("{place}: {problem}")]
    Line {
        /// The file, the line, and if known the column, from 1.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl From<QueueError> for Error {
    fn from(error: QueueError) -> Self {
        let help = match &error {
            QueueError::Unreadable { .. } => "a queue is a file of JSON lines: one array of records for each batch",
            QueueError::Opaque { .. } => {
                "let the stream have records that JSON can write, such as text, and make the plugin's own of them with `map`"
            }
            QueueError::Line { .. } => "each line is a JSON array of records; a tuple is an array",
        };
        Self::new(ErrorKind::User, error.to_string()).help(help)
    }
}

/// Gives one data set to each batch, and nothing when it is used up.
pub struct QueueInput {
    source: String,
    partitions: usize,
    batches: VecDeque<Vec<RecordBatch>>,
    next: u64,
}

impl QueueInput {
    /// Reads a queue of records of type `ty`. Each data set is split into `partitions` parts of equal size.
    ///
    /// # Errors
    /// See [`QueueError`].
    pub fn read(env: &Env, source: &str, path: &Path, ty: &RecordType, partitions: usize) -> Result<Self, QueueError> {
        if let Some(ty) = ty.opaque() {
            let ty = escape_control(ty).into_owned();
            return Err(QueueError::Opaque { path: path.to_owned(), name: source.to_owned(), ty });
        }
        let bytes = env
            .disk
            .read(path, FILE_BYTES_MAX)
            .map_err(|error| QueueError::Unreadable { path: path.to_owned(), error })?;
        let mut batches = VecDeque::new();
        let lines = bytes.split(|byte| *byte == b'\n').enumerate();
        for (at, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
            let refused = |place: String, problem: String| {
                let place = format!("{} line {}{place}", path.display(), at + 1);
                QueueError::Line { place, problem }
            };
            let records = parse(line).map_err(|(place, problem)| refused(place, problem))?;
            let rows = json::records(ty, &records).map_err(|error| refused(String::new(), error.to_string()))?;
            batches.push_back(split(&rows, partitions));
        }
        Ok(Self { source: source.to_owned(), partitions, batches, next: 0 })
    }

    /// The blocks of the next batch.
    pub fn next_batch(&mut self) -> Vec<Block> {
        let parts = self.batches.pop_front().unwrap_or_default();
        let first = self.next;
        self.next += self.partitions as u64;
        (first..)
            .zip(parts)
            .map(|(sequence, rows)| Block {
                id: BlockId { source: self.source.clone(), sequence },
                rows: vec![rows].into(),
            })
            .collect()
    }

    /// Whether all data sets were given.
    pub fn is_used_up(&self) -> bool {
        self.batches.is_empty()
    }
}

/// The records of a line, or where it is wrong and how.
fn parse(line: &[u8]) -> Result<Vec<Value>, (String, String)> {
    let value: Value = serde_json::from_slice(line).map_err(|error| {
        // The parser counts lines too, and there is only one.
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

/// Part `n` of `parts` holds the records from `n * count / parts` on, as Spark splits a collection.
fn split(rows: &RecordBatch, parts: usize) -> Vec<RecordBatch> {
    let parts = parts.max(1);
    let bound = |part: usize| part * rows.num_rows() / parts;
    (0..parts).map(|part| rows.slice(bound(part), bound(part + 1) - bound(part))).collect()
}
