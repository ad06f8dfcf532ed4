//! What one partition of a batch's input is: a descriptor from which a task can read it, here or elsewhere.

use super::file_stamp::FileStamp;
use crate::data::checksum::Checksum;
use crate::data::lines::LineSplitter;
use crate::env::Disk;
use crate::ids::BlockId;
use crate::shown::Shown as _;
use arrow::array::RecordBatch;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::PathBuf;

/// How much of a file is read at once, and about how long a chunk is. Short, because each chunk passes through several
/// buffers, which push what the plugin works with out of the cache.
const READ_BYTES: usize = 64 * 1024;

/// The lines of a file that begin in a range of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSplit {
    /// The source's name in the job file.
    pub source: String,
    /// The file.
    pub path: PathBuf,
    /// The first byte of the range.
    pub start: u64,
    /// The first byte after it. A line that begins before it is read to its end.
    pub end: u64,
    /// The size of the file when it was found. What is appended later is not read.
    pub file_bytes: u64,
    /// Which file it was when it was found, and when it had been modified.
    pub stamp: FileStamp,
    /// The checksum of these lines, if they were read through before: they are read again only if they have it.
    pub checksum: Option<u64>,
    /// The longest line that is accepted, in bytes.
    pub max_line_bytes: usize,
}

/// What one partition of a batch reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputPartition {
    /// A received block.
    Block {
        /// Its name.
        id: BlockId,
        /// The number of its rows.
        rows: u64,
        /// What identifies the content of its source up to here, if the source is a file.
        checksum: Option<u64>,
    },
    /// A part of a file.
    Split(FileSplit),
}

impl FileSplit {
    /// Opens the file and goes to the first line of the range.
    ///
    /// # Errors
    /// When the file cannot be read, or is shorter than it was.
    pub fn read(&self, disk: &dyn Disk) -> io::Result<SplitReader> {
        // The byte before the range says whether its first byte begins a line.
        let from = self.start.saturating_sub(1);
        Ok(SplitReader {
            file: disk.open(&self.path, from)?,
            position: from,
            window: LineWindow { skipping: self.start > 0, end: self.end },
            split: self.clone(),
            lines: LineSplitter::new(self.max_line_bytes, READ_BYTES),
            checksum: Checksum::default(),
            buffer: vec![0; READ_BYTES],
            ready: VecDeque::new(),
            done: self.start >= self.end,
        })
    }

    /// How many lines of the file end before the first one of the range.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn lines_before(&self, disk: &dyn Disk) -> io::Result<u64> {
        let mut before = disk.open(&self.path, 0)?.take(self.start);
        let (mut lines, mut last, mut buffer) = (0, b'\n', vec![0; READ_BYTES]);
        loop {
            let count = before.read(&mut buffer)?;
            let bytes = buffer.get(..count).unwrap_or_default();
            let Some(end) = bytes.last() else { break };
            last = *end;
            lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        }
        // The line in whose middle the range begins is not of the range.
        Ok(lines + u64::from(last != b'\n'))
    }
}

/// Finds the bytes of the lines that begin in a range, in pieces that come one after the other.
#[derive(Clone, Copy, Debug)]
struct LineWindow {
    /// Whether the end of a line is still to be found that began before the range.
    skipping: bool,
    /// The first byte after the range.
    end: u64,
}

impl LineWindow {
    /// The part of `bytes`, which stand at `at` in the file, that belongs to the range, and whether that was the last.
    fn cut<'a>(&mut self, at: u64, bytes: &'a [u8]) -> (&'a [u8], bool) {
        let mut from = 0;
        if self.skipping {
            let Some(end) = memchr::memchr(b'\n', bytes) else { return (&[], false) };
            self.skipping = false;
            from = end + 1;
            if at + from as u64 >= self.end {
                return (&[], true);
            }
        }
        // The last line of the range ends with the first line end at or after the range's last byte.
        let last = usize::try_from((self.end - 1).saturating_sub(at)).unwrap_or(usize::MAX).max(from);
        let end = bytes.get(last..).and_then(|rest| memchr::memchr(b'\n', rest));
        match end {
            Some(end) => (bytes.get(from..=last + end).unwrap_or_default(), true),
            None => (bytes.get(from..).unwrap_or_default(), false),
        }
    }
}

/// Gives the lines of a [`FileSplit`], chunk by chunk.
pub struct SplitReader {
    file: Box<dyn Read + Send>,
    /// Where in the file the next read begins.
    position: u64,
    window: LineWindow,
    split: FileSplit,
    lines: LineSplitter,
    checksum: Checksum,
    buffer: Vec<u8>,
    ready: VecDeque<RecordBatch>,
    done: bool,
}

impl SplitReader {
    /// Lines that were dropped because they were too long, and lines that were not UTF-8, so far.
    pub fn skipped(&self) -> (u64, u64) {
        (self.lines.dropped_lines(), self.lines.replaced_lines())
    }

    /// The checksum of the lines that were read so far.
    pub fn checksum(&self) -> u64 {
        self.checksum.value()
    }

    /// The next chunk of lines; nothing at the end.
    ///
    /// # Errors
    /// When the file cannot be read, or is shorter than it was.
    pub fn next_chunk(&mut self) -> io::Result<Option<RecordBatch>> {
        while self.ready.is_empty() && !self.done {
            self.read()?;
        }
        Ok(self.ready.pop_front())
    }

    fn read(&mut self) -> io::Result<()> {
        let left = self.split.file_bytes.saturating_sub(self.position);
        let wanted = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let buffer = self.buffer.get_mut(..wanted).unwrap_or_default();
        let count = if wanted == 0 { 0 } else { self.file.read(buffer)? };
        if count == 0 && left > 0 {
            let message = format!("{} is {left} bytes shorter than when it was found", self.split.path.shown());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        let (bytes, complete) = self.window.cut(self.position, self.buffer.get(..count).unwrap_or_default());
        self.checksum.add(bytes);
        self.lines.push(bytes);
        self.position += count as u64;
        self.done = complete || count == 0;
        self.ready.extend(if self.done { self.lines.finish() } else { self.lines.take() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Simulation;
    use crate::time::Time;
    use arrow::array::AsArray;
    use proptest::prelude::*;

    fn lines(text: &str, start: u64, end: u64) -> Vec<String> {
        let simulation = Simulation::new(0, Time::default());
        simulation.file("/file", text);
        let file_bytes = text.len() as u64;
        let path = PathBuf::from("/file");
        let split = FileSplit {
            source: "s".into(),
            path,
            start,
            end,
            file_bytes,
            stamp: FileStamp::modified_at(Time::default()),
            checksum: None,
            max_line_bytes: 100,
        };
        let mut reader = split.read(&*simulation.env().disk).unwrap();
        let mut lines = Vec::new();
        while let Some(chunk) = reader.next_chunk().unwrap() {
            lines.extend(chunk.column(0).as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        lines
    }

    proptest! {
        /// However a file is split, its lines come once and in order.
        #[test]
        fn splits_give_each_line_once(text in "[ab\n]{0,60}", cuts in prop::collection::vec(0u64..61, 0..6)) {
            let length = text.len() as u64;
            let mut bounds: Vec<u64> = cuts.into_iter().map(|cut| cut.min(length)).chain([0, length]).collect();
            bounds.sort_unstable();
            let split: Vec<String> = bounds.windows(2).flat_map(|range| lines(&text, range[0], range[1])).collect();
            let whole: Vec<&str> = text.lines().collect();
            prop_assert_eq!(split, whole);
        }
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error() {
        let simulation = Simulation::new(0, Time::default());
        simulation.file("/file", "ab");
        let path = PathBuf::from("/file");
        let split = FileSplit {
            source: "s".into(),
            path,
            start: 0,
            end: 9,
            file_bytes: 9,
            stamp: FileStamp::modified_at(Time::default()),
            checksum: None,
            max_line_bytes: 9,
        };
        let mut reader = split.read(&*simulation.env().disk).unwrap();
        let error = loop {
            match reader.next_chunk() {
                Ok(chunk) => assert!(chunk.is_none_or(|chunk| chunk.num_rows() == 1)),
                Err(error) => break error,
            }
        };
        assert_eq!(error.to_string(), "/file is 7 bytes shorter than when it was found");
    }
}
