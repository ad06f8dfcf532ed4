//! Parts of files that driver functions load. A part is a descriptor from which a task can read rows, in this process
//! or elsewhere.
//!
//! Owns the check that all readers of a file read the same file. The size and the modification time are noted when the
//! driver function asks for the file; reading a file that differs fails. Owns also where in a file a wrong record
//! stands. Never decides which files are read.

mod columns;

use super::codec::{Codec, Damaged, NO_ROOM_HELP};
use super::file_stamp::{FileStamp, WRITE_WHOLE};
use super::partition::{FileSplit, LinePlace, PART_BYTES, SplitReader, part_ranges};
use crate::data::csv::CsvReader;
use crate::data::json::{self, named_records};
use crate::data::loading::Fault;
use crate::data::schema::RecordType;
use crate::encoding::{Encoding, StreamDecoder};
use crate::env::{DirectoryEntry, Disk, persistence};
use crate::error::{Error, ErrorKind, Persistence};
use crate::memory::MemoryBudget;
use crate::shown::Shown as _;
use crate::time::Time;
use arrow::array::{Array as _, AsArray as _, RecordBatch};
use columns::ColumnsReader;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest line that is accepted.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many bytes of a file are read at once.
const READ_BYTES: usize = 64 * 1024;

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadedFormat {
    /// Lines of text.
    Text,
    /// CSV; the first line names the columns.
    Csv,
    /// One JSON object a line.
    Json,
    /// Parquet.
    Parquet,
}

/// The state of a file when a driver function asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileVersion {
    /// The path of the file.
    pub path: PathBuf,
    /// The size of the file.
    pub bytes: u64,
    /// When the file was modified.
    pub modified: Time,
    /// The identity of the file, and its modification time at the highest known resolution.
    pub stamp: FileStamp,
}

impl From<DirectoryEntry> for FileVersion {
    fn from(entry: DirectoryEntry) -> Self {
        let stamp = FileStamp::from(&entry);
        Self { path: entry.path, bytes: entry.bytes, modified: entry.modified, stamp }
    }
}

impl FileVersion {
    /// Checks that the file has not changed.
    fn check(&self, disk: &dyn Disk) -> Result<(), LoadError> {
        let found = match disk.entry(&self.path) {
            Ok(entry) => Self::from(entry),
            Err(error) => return Err(self.unreadable(error)),
        };
        if found == *self {
            Ok(())
        } else {
            Err(LoadError::Changed { was: Box::new(self.clone()), is: Box::new(found) })
        }
    }

    fn unreadable(&self, error: io::Error) -> LoadError {
        LoadError::new(&self.path, error)
    }
}

/// The records of a file that begin in a range of the file's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedPart {
    /// The file.
    pub file: FileVersion,
    /// The format of the file.
    pub format: LoadedFormat,
    /// The first byte of the range.
    pub start: u64,
    /// The first byte after the range.
    pub end: u64,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Reading the file fails.
    #[error("cannot read {}: {error}", path.shown())]
    Disk {
        /// The path of the file.
        path: PathBuf,
        /// The error of the file system.
        error: io::Error,
    },
    /// The file is compressed, and it is cut off or damaged.
    #[error("cannot read {}: {damage}", path.shown())]
    Damaged {
        /// The path of the file.
        path: PathBuf,
        /// The damage.
        damage: Damaged,
    },
    /// There is not enough memory to decompress the file.
    #[error("cannot decompress {}: {error}", path.shown())]
    NoRoom {
        /// The path of the file.
        path: PathBuf,
        /// The error of the memory budget.
        error: io::Error,
    },
    /// The path now names another file, or the file has changed.
    #[error(
        "{} changed while the batch read it: it had {} bytes, modified at {}, and has {} bytes, modified at {}",
        was.path.shown(), was.bytes, was.modified, is.bytes, is.modified
    )]
    Changed {
        /// The file that the driver function asked for.
        was: Box<FileVersion>,
        /// The file that is there now.
        is: Box<FileVersion>,
    },
    /// A record is wrong.
    #[error("{}, {place}: {problem}", path.shown())]
    Record {
        /// The path of the file.
        path: PathBuf,
        /// The line or row, and the column if it is known.
        place: String,
        /// The fault.
        problem: String,
    },
    /// The file as a whole is wrong.
    #[error("{} cannot be read: {problem}", path.shown())]
    Content {
        /// The path of the file.
        path: PathBuf,
        /// The fault.
        problem: String,
    },
}

impl LoadError {
    /// Converts an error of reading a file.
    pub fn new(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match Damaged::of(&error) {
            Some(damage) => Self::Damaged { path, damage: damage.clone() },
            None if error.kind() == io::ErrorKind::OutOfMemory => Self::NoRoom { path, error },
            None => Self::Disk { path, error },
        }
    }
}

impl From<&LoadError> for Error {
    fn from(error: &LoadError) -> Self {
        let (kind, help) = match error {
            LoadError::Disk { .. } => (ErrorKind::Unavailable, "is the file there, and can the host read it?"),
            LoadError::NoRoom { .. } => (ErrorKind::Unavailable, NO_ROOM_HELP),
            LoadError::Damaged { .. } => (ErrorKind::User, WRITE_WHOLE),
            LoadError::Changed { .. } => (
                ErrorKind::User,
                "all reads of a batch must see the same file: give each new version a new name, or set job.on_error = \
                 \"continue\" to go on with the next batch, which reads the new version",
            ),
            LoadError::Record { .. } | LoadError::Content { .. } => {
                (ErrorKind::User, "correct the file, or the record that the plugin reads it as")
            }
        };
        let lasts = match error {
            LoadError::Disk { error, .. } => persistence(error),
            // Other tasks will give memory back.
            LoadError::NoRoom { .. } => Persistence::Transient,
            _ => Persistence::Permanent,
        };
        Self::new(kind, error.to_string()).help(help).lasting(lasts)
    }
}

impl LoadedPart {
    /// Divides a file into parts. A CSV file is one part, because its records may contain line ends in quotes. A
    /// compressed file is one part, too.
    pub fn parts(file: &FileVersion, format: LoadedFormat) -> Vec<Self> {
        let part = |start, end| Self { file: file.clone(), format, start, end };
        match format {
            LoadedFormat::Csv => vec![part(0, file.bytes)],
            LoadedFormat::Parquet if file.bytes == 0 => vec![part(0, 0)],
            LoadedFormat::Parquet => {
                let count = file.bytes.div_ceil(PART_BYTES);
                (0..count).map(|at| part(at * PART_BYTES, ((at + 1) * PART_BYTES).min(file.bytes))).collect()
            }
            LoadedFormat::Text | LoadedFormat::Json => {
                part_ranges(&file.path, file.bytes, Encoding::UTF_8).map(|(start, end)| part(start, end)).collect()
            }
        }
    }

    /// Opens the file. The memory for decompressing it is taken from `budget`.
    ///
    /// # Errors
    /// If the file cannot be read, or is not the file that the driver function asked for.
    pub fn read(
        &self,
        disk: &Arc<dyn Disk>,
        budget: &MemoryBudget,
        ty: &RecordType,
    ) -> Result<LoadedReader, LoadError> {
        self.file.check(&**disk)?;
        let unreadable = |error| self.file.unreadable(error);
        let lines = || self.lines(&**disk, budget).map_err(unreadable);
        let records = match self.format {
            LoadedFormat::Text => Records::Text(lines()?),
            LoadedFormat::Json => Records::Json { lines: lines()?, line: 0 },
            LoadedFormat::Csv => {
                let mut file = disk.open(&self.file.path, 0).map_err(unreadable)?;
                if let Some(codec) = Codec::of(&self.file.path) {
                    file = codec.read(file, budget.room("compressed files")).map_err(unreadable)?;
                }
                let decoder = StreamDecoder::new(Encoding::UTF_8);
                Records::Csv { file, decoder, reader: Box::new(CsvReader::new(ty)), is_done: false }
            }
            LoadedFormat::Parquet => Records::Columns(ColumnsReader::open(disk.clone(), self, ty)?),
        };
        Ok(LoadedReader { part: self.clone(), ty: ty.clone(), disk: disk.clone(), records, ready: VecDeque::new() })
    }

    fn lines(&self, disk: &dyn Disk, budget: &MemoryBudget) -> io::Result<SplitReader> {
        self.split().read(disk, Encoding::UTF_8, budget)
    }

    /// The lines that begin in the range of the part.
    fn split(&self) -> FileSplit {
        FileSplit {
            source: String::new(),
            path: self.file.path.clone(),
            start: self.start,
            end: self.end,
            file_bytes: self.file.bytes,
            // The version of the file was compared before.
            stamp: self.file.stamp,
            checksum: None,
            max_line_bytes: LINE_BYTES_MAX,
        }
    }

    fn wrong(&self, what: &str, number: u64, fault: Fault) -> LoadError {
        let column = if fault.column.is_empty() { String::new() } else { format!(", column `{}`", fault.column) };
        let place = format!("{what} {number}{column}");
        LoadError::Record { path: self.file.path.clone(), place, problem: fault.problem }
    }

    fn content(&self, problem: impl Into<String>) -> LoadError {
        LoadError::Content { path: self.file.path.clone(), problem: problem.into() }
    }
}

/// The reader of the records, by format.
enum Records {
    Text(SplitReader),
    /// A reader of JSON lines, with the number of lines so far.
    Json {
        lines: SplitReader,
        line: u64,
    },
    Csv {
        file: Box<dyn Read + Send>,
        decoder: StreamDecoder,
        reader: Box<CsvReader>,
        is_done: bool,
    },
    Columns(ColumnsReader),
}

/// The number of lines with bytes that are not valid in the encoding, the encoding, and the place of the first such
/// line.
pub type ReplacedLines = (u64, Encoding, LinePlace);

/// Reads the rows of a [`LoadedPart`], chunk by chunk.
pub struct LoadedReader {
    part: LoadedPart,
    ty: RecordType,
    disk: Arc<dyn Disk>,
    records: Records,
    ready: VecDeque<RecordBatch>,
}

impl LoadedReader {
    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.part.file.path
    }

    /// The lines so far that contain bytes which are not valid text. Such bytes are replaced. The result has also the
    /// encoding of the file and the place of the first such line; `None` if there is no such line.
    pub fn replaced_lines(&self) -> Option<ReplacedLines> {
        let Records::Text(lines) = &self.records else { return None };
        let replaced = lines.faults().replaced;
        let place = |replaced| lines.split().place(replaced, &*self.disk);
        (replaced.count > 0).then(|| (replaced.count, lines.encoding(), place(replaced)))
    }

    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// If the file cannot be read or has changed, or if a record is wrong.
    pub fn next_chunk(&mut self) -> Result<Option<RecordBatch>, LoadError> {
        let next = self.read();
        if !matches!(next, Ok(Some(_))) {
            // If the file has changed, that is the reason for any other problem.
            self.part.file.check(&*self.disk)?;
        }
        next
    }

    fn read(&mut self) -> Result<Option<RecordBatch>, LoadError> {
        let Self { part, ty, disk, records, ready } = self;
        let unreadable = |error| part.file.unreadable(error);
        match records {
            Records::Text(lines) => {
                let chunk = lines.next_chunk().map_err(unreadable)?;
                checked_length(part, lines)?;
                Ok(chunk)
            }
            Records::Json { lines, line } => {
                let chunk = lines.next_chunk().map_err(unreadable)?;
                checked_length(part, lines)?;
                let replaced = lines.faults().replaced;
                if replaced.count > 0 {
                    let before = part.split().lines_before(&**disk).map_err(unreadable)?;
                    let problem = format!("the text is not {}", lines.encoding());
                    return Err(part.wrong(
                        "line",
                        before + replaced.first,
                        Fault { row: 0, column: String::new(), problem },
                    ));
                }
                let Some(chunk) = chunk else { return Ok(None) };
                let first = *line;
                *line += chunk.num_rows() as u64;
                objects(ty, &chunk).map(Some).map_err(|(at, fault)| match part.split().lines_before(&**disk) {
                    Ok(before) => part.wrong("line", before + first + at + 1, fault),
                    Err(error) => unreadable(error),
                })
            }
            Records::Csv { file, decoder, reader, is_done } => {
                let mut buffer = vec![0; READ_BYTES];
                while ready.is_empty() && !*is_done {
                    let count = file.read(&mut buffer).map_err(unreadable)?;
                    *is_done = count == 0;
                    let bytes = buffer.get(..count).unwrap_or_default();
                    let pushed = match *is_done {
                        true => reader.push(decoder.finish()).and_then(|()| reader.finish()),
                        false => reader.push(decoder.push(bytes)),
                    };
                    pushed.map_err(|(line, fault)| part.wrong("line", line, fault))?;
                    ready.extend(reader.take());
                }
                Ok(ready.pop_front())
            }
            Records::Columns(columns) => columns.next_chunk(part, ty),
        }
    }
}

/// Fails if a line was skipped because of its length: a file gives all of its rows or none.
fn checked_length(part: &LoadedPart, lines: &SplitReader) -> Result<(), LoadError> {
    let too_long = || part.content(format!("it has a line of more than {LINE_BYTES_MAX} bytes"));
    if lines.faults().dropped.count == 0 { Ok(()) } else { Err(too_long()) }
}

/// Converts lines of JSON to rows; empty lines give none. Fails with the number of the wrong line, from 0, and its
/// fault.
fn objects(ty: &RecordType, lines: &RecordBatch) -> Result<RecordBatch, (u64, Fault)> {
    let fault = |problem: String| Fault { row: 0, column: String::new(), problem };
    let texts = lines.columns().first().and_then(|column| column.as_string_opt::<i32>());
    let texts = texts.ok_or_else(|| (0, fault("it is no text".to_owned())))?;
    let (mut values, mut numbers) = (Vec::with_capacity(texts.len()), Vec::with_capacity(texts.len()));
    for (number, line) in (0..).zip(texts.iter().flatten()) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let value = json::parse(line.as_bytes()).map_err(|error| {
            // Each line is parsed as a text of its own, so the line in the parser's message is always 1. Only the
            // column says something.
            let problem = error.to_string();
            let problem = problem.split(" at line ").next().unwrap_or_default();
            (number, fault(format!("{problem}, at character {}", error.column())))
        })?;
        values.push(value);
        numbers.push(number);
    }
    named_records(ty, values).map_err(|fault| (numbers.get(fault.row).copied().unwrap_or_default(), fault))
}

#[cfg(test)]
mod tests;
