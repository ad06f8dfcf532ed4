//! Reads ranges of the files of a log, by the identity of each file, whatever its name is now.

use super::followed::{Partition, Seen};
use crate::block::{LogRange, RangeError, RangeFaults, RangeReader, RangeRows};
use crate::data::checksum::Checksum;
use crate::data::decoded_lines::DecodedLines;
use crate::encoding::{Encoding, MARK_BYTES_MAX};
use crate::env::{Disk, advice, persistence};
use crate::error::{ErrorKind, Persistence};
use crate::lock::lock;
use crate::shown::Shown as _;
use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// How many bytes of a file are read at once.
pub(super) const READ_BYTES: usize = 64 * 1024;
/// The most bytes of a file that are read only to find the number of a line.
const NUMBER_BYTES_MAX: u64 = 256 << 20;
/// How often a file is searched that gets another name each time before it can be opened.
pub(super) const SEARCHES_MAX: u32 = 5;

/// Reads the ranges of one source.
pub(super) struct LogFileReader {
    pub disk: Arc<dyn Disk>,
    /// The path of the log.
    pub path: PathBuf,
    /// The encoding of files without a byte order mark.
    pub encoding: Encoding,
    /// The longest line that is accepted.
    pub max_line_bytes: usize,
    /// The names of the partitions whose content is gone, because their files were truncated.
    pub truncated: Mutex<BTreeSet<String>>,
}

impl LogFileReader {
    /// The directory of the log.
    pub(super) fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// The file that has the name of the log. `None` if there is none.
    pub(super) fn current(&self) -> io::Result<Option<Seen>> {
        match self.disk.entry(&self.path) {
            Ok(entry) if !entry.is_regular => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
            Ok(entry) => Ok(Some(Seen { id: entry.id, path: self.path.clone(), bytes: entry.bytes })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The regular files of the directory of the log.
    pub(super) fn others(&self) -> io::Result<Vec<Seen>> {
        let entries = self.disk.list(self.directory())?;
        let files = entries.into_iter().filter(|entry| entry.is_regular);
        Ok(files.map(|entry| Seen { id: entry.id, path: entry.path, bytes: entry.bytes }).collect())
    }

    /// Reads the bytes of a file in `range`. If the file has another name now, the error is
    /// [`io::ErrorKind::NotFound`].
    pub(super) fn bytes(&self, seen: &Seen, range: std::ops::Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = self.disk.open(&seen.path, range.start)?;
        if self.disk.entry(&seen.path)?.id != seen.id {
            return Err(io::ErrorKind::NotFound.into());
        }
        file.by_ref().take(range.end.saturating_sub(range.start)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Finds the file of a range, and opens it at the beginning and at the position of the range.
    fn open_file(&self, partition: &Partition, range: &LogRange) -> Result<Opened, RangeError> {
        let failed = |path: &Path, error: &io::Error| failed(path, error);
        for _ in 0..SEARCHES_MAX {
            let current = self.current().map_err(|error| failed(&self.path, &error))?;
            let mut seen = current.filter(|seen| partition.is(seen.id));
            if seen.is_none() {
                let others = self.others().map_err(|error| failed(self.directory(), &error))?;
                seen = others.into_iter().find(|seen| partition.is(seen.id));
            }
            let Some(seen) = seen else { break };
            let open = |from| self.disk.open(&seen.path, from);
            let opened = open(0).and_then(|head| Ok((head, open(position(range.from).saturating_sub(1))?)));
            match (opened, self.disk.entry(&seen.path)) {
                (Ok((head, file)), Ok(entry)) if partition.is(entry.id) => return Ok(Opened { seen, head, file }),
                (Err(error), _) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&seen.path, &error)),
                // The file was renamed meanwhile.
                _ => {}
            }
        }
        Err(changed(range, &format!("is not in {} any more", self.directory().shown())))
    }

    fn open_rows(&self, range: &LogRange) -> Result<Lines, RangeError> {
        let is_truncated = lock(&self.truncated).contains(&range.partition);
        let Some(partition) = Partition::named(&range.partition).filter(|_| !is_truncated) else {
            return Err(changed(range, "was truncated"));
        };
        let Opened { seen, head, mut file } = self.open_file(&partition, range)?;
        let failed = |error: io::Error| failed(&seen.path, &error);
        if seen.bytes < position(range.until) {
            return Err(changed(range, &format!("has only {} bytes", seen.bytes)));
        }
        let mut mark = Vec::with_capacity(MARK_BYTES_MAX);
        head.take(MARK_BYTES_MAX as u64).read_to_end(&mut mark).map_err(failed)?;
        let (encoding, mark) = self.encoding.at_start(&mark);
        if !encoding.has_line_bytes() {
            let problem = format!("{} begins with the byte order mark of {encoding}", seen.path.shown());
            return Err(RangeError {
                problem,
                kind: ErrorKind::User,
                lasting: Persistence::Permanent,
                help:
                    "let the log be written in UTF-8, or in another encoding in which each line ends with the byte 10"
                        .to_owned(),
            });
        }
        if range.from > 0 {
            let mut before = [0];
            file.read_exact(&mut before).map_err(failed)?;
            if before != [b'\n'] {
                return Err(changed(range, "was written over: a line does not begin there any more"));
            }
        }
        let mut lines = DecodedLines::new(self.encoding, self.max_line_bytes, READ_BYTES);
        lines.begin(encoding);
        Ok(Lines {
            path: seen.path,
            disk: self.disk.clone(),
            partition,
            left: position(range.until).saturating_sub(position(range.from)),
            mark: if range.from == 0 { mark } else { 0 },
            range: range.clone(),
            file,
            lines,
            checksum: Checksum::default(),
            buffer: vec![0; READ_BYTES],
            ready: VecDeque::new(),
            is_done: false,
        })
    }
}

/// An opened file.
struct Opened {
    seen: Seen,
    /// Reads from the beginning.
    head: Box<dyn Read + Send>,
    /// Reads from the byte before the range.
    file: Box<dyn Read + Send>,
}

impl RangeReader for LogFileReader {
    fn open(&self, range: &LogRange) -> Result<Box<dyn RangeRows>, RangeError> {
        Ok(Box::new(self.open_rows(range)?))
    }

    fn origin<'a>(&'a self, range: &'a LogRange, record: u64) -> BoxFuture<'a, Option<String>> {
        Box::pin(std::future::ready(self.line_of(range, record)))
    }
}

impl LogFileReader {
    /// The file and the line of a record of a range.
    pub(super) fn line_of(&self, range: &LogRange, record: u64) -> Option<String> {
        let mut lines = self.open_rows(range).ok()?;
        let mut rows = 0;
        while rows <= record {
            rows += lines.read().ok()??.num_rows() as u64;
        }
        let file = format!("file {}", lines.path.shown());
        match lines.lines_before() {
            // The records are counted without the lines that were dropped.
            Some(before) if lines.lines.faults().dropped.count == 0 => {
                Some(format!("{file}, line {}", before + record + 1))
            }
            _ => Some(file),
        }
    }
}

/// The lines of a range.
struct Lines {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    partition: Partition,
    range: LogRange,
    file: Box<dyn Read + Send>,
    /// How many bytes of the range were not read yet.
    left: u64,
    /// The length of the byte order mark, if it has not been skipped yet.
    mark: usize,
    lines: DecodedLines,
    checksum: Checksum,
    buffer: Vec<u8>,
    ready: VecDeque<RecordBatch>,
    is_done: bool,
}

impl Lines {
    fn read(&mut self) -> Result<Option<RecordBatch>, RangeError> {
        while self.ready.is_empty() && !self.is_done {
            let wanted = self.buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let buffer = self.buffer.get_mut(..wanted).unwrap_or_default();
            let count = match buffer {
                [] => 0,
                buffer => self.file.read(buffer).map_err(|error| failed(&self.path, &error))?,
            };
            if count == 0 {
                self.end()?;
                continue;
            }
            let bytes = self.buffer.get(..count).unwrap_or_default();
            self.checksum.add(bytes);
            self.lines.push(bytes.get(std::mem::take(&mut self.mark)..).unwrap_or_default());
            self.left = self.left.saturating_sub(count as u64);
            self.ready.extend(self.lines.take());
        }
        Ok(self.ready.pop_front())
    }

    /// Checks that the range has the content that the batch was given.
    fn end(&mut self) -> Result<(), RangeError> {
        let has_become_shorter = self
            .disk
            .entry(&self.path)
            .is_ok_and(|entry| self.partition.is(entry.id) && entry.bytes < position(self.range.until));
        if self.left > 0 || has_become_shorter {
            return Err(changed(&self.range, "was truncated while it was read"));
        }
        if self.range.checksum.is_some_and(|checksum| checksum != self.checksum.value()) {
            return Err(changed(&self.range, "holds something else there than when the range was read before"));
        }
        self.is_done = true;
        self.ready.extend(self.lines.finish());
        Ok(())
    }

    /// How many lines of the file end before the range. `None` if that takes too long to find out.
    fn lines_before(&self) -> Option<u64> {
        let from = position(self.range.from);
        if from > NUMBER_BYTES_MAX {
            return None;
        }
        let (mut before, mut lines) = (self.disk.open(&self.path, 0).ok()?.take(from), 0);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let count = before.read(&mut buffer).ok()?;
            if count == 0 {
                return Some(lines);
            }
            lines += memchr::memchr_iter(b'\n', buffer.get(..count).unwrap_or_default()).count() as u64;
        }
    }
}

impl RangeRows for Lines {
    fn next_chunk(&mut self) -> BoxFuture<'_, Result<Option<RecordBatch>, RangeError>> {
        Box::pin(std::future::ready(self.read()))
    }

    fn checksum(&self) -> Option<u64> {
        Some(self.checksum.value())
    }

    fn faults(&self) -> RangeFaults {
        let mut faults = self.lines.faults();
        let mut after_byte = position(self.range.from);
        if !faults.is_empty()
            && let Some(before) = self.lines_before()
        {
            after_byte = 0;
            faults.dropped.first += before;
            faults.replaced.first += before;
        }
        let (dropped, replaced) = (faults.dropped, faults.replaced);
        RangeFaults {
            file: self.path.clone(),
            encoding: self.lines.encoding(),
            after_byte,
            dropped,
            replaced,
            ..RangeFaults::default()
        }
    }
}

/// A position of a range as a number of bytes.
fn position(position: i64) -> u64 {
    u64::try_from(position).unwrap_or(0)
}

/// The error of a range whose content is not there any more. `problem` says what has happened to the file.
fn changed(range: &LogRange, problem: &str) -> RangeError {
    let LogRange { partition, from, until, .. } = range;
    RangeError {
        problem: format!("the file of partition {} {problem}; the batch reads its bytes {from} to {until}", partition.shown()),
        kind: ErrorKind::Unavailable,
        lasting: Persistence::Permanent,
        help: "a batch that runs again reads what it was given: bring the file back to the directory of the log; or set \
               job.on_error = \"continue\" to give up the batch; or start with --fresh, which goes on with the next batch"
            .to_owned(),
    }
}

/// The error of a file that cannot be read.
fn failed(path: &Path, error: &io::Error) -> RangeError {
    RangeError {
        problem: format!("cannot read {}: {error}", path.shown()),
        kind: ErrorKind::Unavailable,
        lasting: persistence(error),
        help: advice(error, &path.shown()),
    }
}
