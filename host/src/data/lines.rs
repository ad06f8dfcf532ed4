//! Lines of text from a stream of bytes.
//!
//! Owns where a line ends, and what happens to lines that are too long or not UTF-8. Never reads a socket or a file,
//! nor text in another encoding: see `decoded_lines.rs`. The lines do not depend on how the stream is cut into pushes.

use super::schema::RecordType;
use super::utf8::text_array;
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer};
use std::sync::Arc;

/// The longest line and the largest chunk that can be requested, in bytes. A replaced byte becomes three bytes, and
/// three times this size fits an `i32`.
const BYTES_MAX: usize = 1 << 29;

/// How many of its dropped lines a chunk remembers one by one.
const DROPPED_AT_MAX: usize = 1024;

/// Lines that were dropped or changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BadLines {
    /// The number of lines.
    pub count: u64,
    /// The number of the first such line, from 1; 0 if there is none.
    pub first: u64,
}

impl BadLines {
    fn add(&mut self, number: u64) {
        if self.count == 0 {
            self.first = number;
        }
        self.count += 1;
    }
}

/// The faults of the lines of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineFaults {
    /// Lines that were dropped because they were too long.
    pub dropped: BadLines,
    /// Lines in which bytes that are not text were replaced.
    pub replaced: BadLines,
}

impl LineFaults {
    /// Whether no line was dropped or changed.
    pub fn is_empty(&self) -> bool {
        self.dropped.count + self.replaced.count == 0
    }
}

/// Splits a stream of bytes into lines.
///
/// A line ends with `\n` or `\r\n`; a `\r` elsewhere belongs to it. Empty lines are lines. Every part of a line that is
/// not UTF-8 is replaced by U+FFFD, as [`String::from_utf8_lossy`] does. A line that is too long is dropped as a whole.
#[derive(Debug)]
pub struct LineSplitter {
    max_line_bytes: usize,
    target_chunk_bytes: usize,
    /// The start of a line whose end has not come yet.
    partial: Vec<u8>,
    /// Whether the line whose end has not come yet is already known to be too long.
    dropping: bool,
    /// The bytes of complete lines, without line ends.
    values: Vec<u8>,
    /// Where each line in `values` starts, and where the last line ends.
    offsets: Vec<i32>,
    complete: Vec<RecordBatch>,
    /// How many lines of the stream came before those in `values`.
    lines_before: u64,
    /// For each line that was dropped since then: the number of lines in `values` that came before it.
    dropped_at: Vec<usize>,
    faults: LineFaults,
}

impl LineSplitter {
    /// A splitter for lines of at most `max_line_bytes`, without the line end, into chunks of about
    /// `target_chunk_bytes`. Both sizes count as at least 1 byte and at most 512 MiB.
    pub fn new(max_line_bytes: usize, target_chunk_bytes: usize) -> Self {
        Self {
            max_line_bytes: max_line_bytes.clamp(1, BYTES_MAX),
            target_chunk_bytes: target_chunk_bytes.clamp(1, BYTES_MAX),
            partial: Vec::new(),
            dropping: false,
            values: Vec::new(),
            offsets: vec![0],
            complete: Vec::new(),
            lines_before: 0,
            dropped_at: Vec::new(),
            faults: LineFaults::default(),
        }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, mut bytes: &[u8]) {
        if self.dropping || !self.partial.is_empty() {
            let Some((end, rest)) = split_line(bytes) else {
                self.push_partial(bytes);
                return;
            };
            self.push_partial(end);
            if std::mem::take(&mut self.dropping) {
                self.drop_line();
            } else {
                let mut line = std::mem::take(&mut self.partial);
                self.push_line(&line);
                line.clear();
                self.partial = line;
            }
            bytes = rest;
        }
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            self.push_line(bytes.get(start..end).unwrap_or_default());
            start = end + 1;
        }
        self.push_partial(bytes.get(start..).unwrap_or_default());
    }

    /// The complete lines that came since the last call, in order, as batches of [`RecordType::text`]. A batch takes at
    /// most about the target size, but holds at least one line.
    pub fn take(&mut self) -> Vec<RecordBatch> {
        self.cut();
        std::mem::take(&mut self.complete)
    }

    /// Ends the stream: returns the lines of [`LineSplitter::take`], and the last line even if it has no line end. A
    /// new stream may follow; the numbers of its lines continue those of this stream.
    pub fn finish(&mut self) -> Vec<RecordBatch> {
        let last = std::mem::take(&mut self.partial);
        if std::mem::take(&mut self.dropping) || last.len() > self.max_line_bytes {
            self.drop_line();
        } else if !last.is_empty() {
            self.append(&last);
        }
        self.take()
    }

    /// Drops the beginning of a line whose end will not come. A new stream may follow; the numbers of its lines
    /// continue.
    pub fn abandon(&mut self) {
        self.partial.clear();
        self.dropping = false;
    }

    /// Drops the line whose end has not come yet, as if the line were too long, because there is no memory for it.
    pub fn drop_partial_line(&mut self) {
        if !self.partial.is_empty() {
            self.partial = Vec::new();
            self.dropping = true;
        }
    }

    /// The faults of the lines that were taken since the last call of [`LineSplitter::take_faults`].
    pub fn faults(&self) -> LineFaults {
        self.faults
    }

    /// Returns [`LineSplitter::faults`], and sets its counts to zero. The numbers of lines go on.
    pub fn take_faults(&mut self) -> LineFaults {
        std::mem::take(&mut self.faults)
    }

    /// Whether the splitter holds the beginning of a line whose end has not come.
    pub fn has_partial_line(&self) -> bool {
        !self.partial.is_empty() || self.dropping
    }

    /// About how many bytes the splitter holds that were not taken yet.
    pub fn buffered_bytes(&self) -> usize {
        let complete: usize = self.complete.iter().map(RecordBatch::get_array_memory_size).sum();
        complete + self.partial.len() + self.values.len() + self.offsets.len() * size_of::<i32>()
    }

    /// Adds to the line whose end has not come yet.
    fn push_partial(&mut self, bytes: &[u8]) {
        if self.dropping {
            return;
        }
        let length = self.partial.len() + bytes.len();
        // One byte more may be the `\r` of the line end.
        let may_fit = length <= self.max_line_bytes || (length == self.max_line_bytes + 1 && bytes.ends_with(b"\r"));
        if may_fit || bytes.is_empty() {
            self.partial.extend_from_slice(bytes);
        } else {
            self.dropping = true;
            self.partial = Vec::new();
        }
    }

    /// Adds a complete line, given without its `\n`.
    #[inline]
    fn push_line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > self.max_line_bytes {
            self.drop_line();
        } else {
            self.append(line);
        }
    }

    #[cold]
    fn drop_line(&mut self) {
        if self.dropped_at.len() >= DROPPED_AT_MAX {
            self.cut();
        }
        let rows = self.offsets.len() - 1;
        self.faults.dropped.add(self.lines_before + (rows + self.dropped_at.len()) as u64 + 1);
        self.dropped_at.push(rows);
    }

    #[inline]
    fn append(&mut self, line: &[u8]) {
        let offset_bytes = self.offsets.len() * size_of::<i32>();
        if self.offsets.len() > 1 && self.values.len() + line.len() + offset_bytes > self.target_chunk_bytes {
            self.cut();
        }
        self.values.extend_from_slice(line);
        // The length fits an `i32`: see `BYTES_MAX`.
        self.offsets.push(self.values.len() as i32);
    }

    /// Makes a batch of the complete lines.
    fn cut(&mut self) {
        let rows = self.offsets.len() - 1;
        if rows > 0 {
            self.cut_rows();
        }
        self.lines_before += (rows + self.dropped_at.len()) as u64;
        self.dropped_at.clear();
    }

    fn cut_rows(&mut self) {
        let next_offsets = Vec::with_capacity(self.offsets.len() + self.offsets.len() / 8);
        let next_values = Vec::with_capacity(self.values.len() + self.values.len() / 8);
        let offsets = OffsetBuffer::new(std::mem::replace(&mut self.offsets, next_offsets).into());
        self.offsets.push(0);
        let values = Buffer::from_vec(std::mem::replace(&mut self.values, next_values));
        let array = text_array(offsets.clone(), &values, None).unwrap_or_else(|_| self.replace(&offsets, &values));
        let columns = vec![Arc::new(array) as ArrayRef];
        // Cannot fail: the type is one column of text without absent values.
        self.complete.extend(RecordBatch::try_new(Arc::clone(RecordType::text().arrow()), columns));
    }

    /// Makes text of lines that are not all UTF-8.
    fn replace(&mut self, offsets: &[i32], values: &[u8]) -> StringArray {
        let lines = offsets.iter().zip(offsets.iter().skip(1)).enumerate().map(|(row, (&start, &end))| {
            let line = values.get(start as usize..end as usize).unwrap_or_default();
            let text = String::from_utf8_lossy(line);
            if matches!(text, std::borrow::Cow::Owned(_)) {
                let dropped = self.dropped_at.partition_point(|at| *at <= row);
                self.faults.replaced.add(self.lines_before + (row + dropped) as u64 + 1);
            }
            text
        });
        StringArray::from_iter_values(lines)
    }
}

/// The bytes before the first `\n`, and the bytes after it. `None` if there is no `\n`.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', bytes)?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

#[cfg(test)]
mod tests;
