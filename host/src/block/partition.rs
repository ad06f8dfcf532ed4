//! One partition of a batch's input: a descriptor from which a task can read the rows, in this process or elsewhere.

use super::codec::Codec;
use super::file_stamp::FileStamp;
use super::range::LogRange;
use crate::data::checksum::Checksum;
use crate::data::decoded_lines::DecodedLines;
use crate::data::lines::{BadLines, LineFaults};
use crate::encoding::{Encoding, MARK_BYTES_MAX};
use crate::env::Disk;
use crate::ids::BlockId;
use crate::memory::MemoryBudget;
use crate::shown::Shown as _;
use arrow::array::RecordBatch;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// How many bytes of a file are read at once, which is about the length of a chunk. The chunks are short, because each
/// of them passes through several buffers. Larger buffers would push the plugin's data out of the cache.
const READ_BYTES: usize = 64 * 1024;

/// Files are split into partitions of about this size.
pub const PART_BYTES: u64 = 32 * 1024 * 1024;

/// The most bytes of a file that are read only to find the number of a line.
const NUMBER_BYTES_MAX: u64 = 8 * PART_BYTES;

/// The lines of a file that begin in a range of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSplit {
    /// The source's name in the job file.
    pub source: String,
    /// The path of the file.
    pub path: PathBuf,
    /// The first byte of the range.
    pub start: u64,
    /// The first byte after the range. A line that begins before this byte is read to its end.
    pub end: u64,
    /// The size of the file when it was found. Data that is appended later is not read.
    pub file_bytes: u64,
    /// The identity of the file, and its modification time when it was found.
    pub stamp: FileStamp,
    /// The checksum of these lines, if they were read to their end before. Lines that are read again must have this
    /// checksum.
    pub checksum: Option<u64>,
    /// The longest line that is accepted, in bytes.
    pub max_line_bytes: usize,
}

/// The input of one partition of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputPartition {
    /// A received block.
    Block {
        /// The name of the block.
        id: BlockId,
        /// The number of rows of the block.
        rows: u64,
        /// The checksum of the source's content up to the end of this block. `None` if the source is not a file.
        checksum: Option<u64>,
    },
    /// A part of a file.
    Split(FileSplit),
    /// A range of a log.
    Range(LogRange),
}

impl InputPartition {
    /// The id of the block. `None` if the partition is not a block.
    pub fn block_id(&self) -> Option<&BlockId> {
        match self {
            Self::Block { id, .. } => Some(id),
            Self::Split(_) | Self::Range(_) => None,
        }
    }
}

/// Divides a file of lines into ranges without gaps, one for each part. A compressed file is one part. So is a file in
/// an encoding in which line ends cannot be found from the middle of the file.
pub fn part_ranges(path: &Path, bytes: u64, encoding: Encoding) -> impl Iterator<Item = (u64, u64)> {
    let codec = Codec::of(path);
    let (part, count) = match codec.is_some() || !encoding.has_line_bytes() {
        // A compressed file of no bytes is an error, which the reader of the part reports.
        true => (bytes, u64::from(bytes > 0 || codec.is_some())),
        false => (PART_BYTES, bytes.div_ceil(PART_BYTES)),
    };
    (0..count).map(move |at| (at * part, ((at + 1) * part).min(bytes)))
}

impl FileSplit {
    /// Opens the file and goes to the first line of the range. If the file's name says that the file is compressed, it
    /// is decompressed. The encoding is the one of the file's byte order mark; if the file has no mark, the encoding is
    /// `expected`. If no line can be found from the middle of such a file, the part at the beginning of the file has
    /// all of its lines, and other parts have none.
    ///
    /// # Errors
    /// If the file cannot be read, is shorter than it was, or is [`super::Damaged`].
    pub fn read(&self, disk: &dyn Disk, expected: Encoding, budget: &MemoryBudget) -> io::Result<SplitReader> {
        let codec = Codec::of(&self.path);
        // The byte before the range says whether a line begins at the first byte of the range.
        let from = self.start.saturating_sub(1);
        let mut file = disk.open(&self.path, 0)?;
        if let Some(codec) = codec {
            file = codec.read(Box::new(file.take(self.file_bytes)), budget.room("compressed files"))?;
        }
        let mut head = Vec::with_capacity(MARK_BYTES_MAX);
        file.by_ref().take(MARK_BYTES_MAX as u64).read_to_end(&mut head)?;
        let (encoding, mark) = expected.at_start(&head);
        let is_whole = codec.is_some() || !encoding.has_line_bytes();
        let mut lines = DecodedLines::new(expected, self.max_line_bytes, READ_BYTES);
        lines.begin(encoding);
        let file: Box<dyn Read + Send> = match from {
            0 => Box::new(io::Cursor::new(head).chain(file)),
            from => disk.open(&self.path, from)?,
        };
        Ok(SplitReader {
            file,
            position: from,
            mark: if self.start == 0 { mark } else { 0 },
            bytes: codec.is_none().then_some(self.file_bytes),
            window: LineWindow { skipping: self.start > 0, end: if is_whole { u64::MAX } else { self.end } },
            split: self.clone(),
            lines,
            checksum: Checksum::default(),
            buffer: vec![0; READ_BYTES],
            ready: VecDeque::new(),
            done: if is_whole { self.start > 0 || (self.end == 0 && codec.is_none()) } else { self.start >= self.end },
        })
    }

    /// How many lines of the file end before the first line of the range.
    ///
    /// # Errors
    /// If the file cannot be read.
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
        // The line in whose middle the range begins does not belong to the range.
        Ok(lines + u64::from(last != b'\n'))
    }

    /// The place in the file of the first of these lines. [`SplitReader`] counts the lines from the beginning of the
    /// range.
    pub fn place(&self, lines: BadLines, disk: &dyn Disk) -> LinePlace {
        let before = match self.start {
            0 => Ok(0),
            start if start <= NUMBER_BYTES_MAX => self.lines_before(disk),
            _ => Err(io::ErrorKind::FileTooLarge.into()),
        };
        match before {
            Ok(before) => LinePlace { line: before + lines.first, after_byte: 0 },
            Err(_) => LinePlace { line: lines.first, after_byte: self.start },
        }
    }
}

/// The place of a line in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinePlace {
    /// The number of the line, from 1.
    pub line: u64,
    /// Lines are counted from the first line that begins at or after this byte.
    pub after_byte: u64,
}

/// Finds the bytes of the lines that begin in a range. The bytes come in consecutive pieces.
#[derive(Clone, Copy, Debug)]
struct LineWindow {
    /// Whether the line that began before the range has not ended yet.
    skipping: bool,
    /// The first byte after the range.
    end: u64,
}

impl LineWindow {
    /// Returns the part of `bytes` that belongs to the range, and whether this was the last part. `at` is the position
    /// of `bytes` in the file.
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
        // The last line of the range ends with the first line end at or after the last byte of the range.
        let last = usize::try_from((self.end - 1).saturating_sub(at)).unwrap_or(usize::MAX).max(from);
        let end = bytes.get(last..).and_then(|rest| memchr::memchr(b'\n', rest));
        match end {
            Some(end) => (bytes.get(from..=last + end).unwrap_or_default(), true),
            None => (bytes.get(from..).unwrap_or_default(), false),
        }
    }
}

/// Reads the lines of a [`FileSplit`], chunk by chunk.
pub struct SplitReader {
    file: Box<dyn Read + Send>,
    /// Where the next read begins, in the file or, if the file is compressed, in its content.
    position: u64,
    /// The length of the byte order mark, if it has not been skipped yet.
    mark: usize,
    /// The size of the file; `None` if it is compressed.
    bytes: Option<u64>,
    window: LineWindow,
    split: FileSplit,
    lines: DecodedLines,
    checksum: Checksum,
    buffer: Vec<u8>,
    ready: VecDeque<RecordBatch>,
    done: bool,
}

impl SplitReader {
    /// The faults of the lines so far. Lines are counted from the beginning of the range.
    pub fn faults(&self) -> LineFaults {
        self.lines.faults()
    }

    /// The split that is read.
    pub fn split(&self) -> &FileSplit {
        &self.split
    }

    /// The encoding of the file.
    pub fn encoding(&self) -> Encoding {
        self.lines.encoding()
    }

    /// The checksum of the lines that were read so far.
    pub fn checksum(&self) -> u64 {
        self.checksum.value()
    }

    /// The next chunk of lines; `None` at the end.
    ///
    /// # Errors
    /// If the file cannot be read, or is shorter than it was.
    pub fn next_chunk(&mut self) -> io::Result<Option<RecordBatch>> {
        while self.ready.is_empty() && !self.done {
            self.read()?;
        }
        Ok(self.ready.pop_front())
    }

    fn read(&mut self) -> io::Result<()> {
        let left = self.bytes.map_or(u64::MAX, |bytes| bytes.saturating_sub(self.position));
        let wanted = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let buffer = self.buffer.get_mut(..wanted).unwrap_or_default();
        let count = if wanted == 0 { 0 } else { self.file.read(buffer)? };
        if count == 0 && left > 0 && self.bytes.is_some() {
            let message = format!("{} is {left} bytes shorter than when it was found", self.split.path.shown());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        let (bytes, complete) = self.window.cut(self.position, self.buffer.get(..count).unwrap_or_default());
        self.checksum.add(bytes);
        self.lines.push(bytes.get(std::mem::take(&mut self.mark)..).unwrap_or_default());
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

    fn budget() -> MemoryBudget {
        MemoryBudget::new(1 << 24, 0).unwrap()
    }

    fn lines(content: &[u8], encoding: Encoding, start: u64, end: u64) -> (Vec<String>, Option<LinePlace>) {
        let simulation = Simulation::new(0, Time::default());
        simulation.file("/file", content);
        let file_bytes = content.len() as u64;
        let path = PathBuf::from("/file");
        let split = FileSplit {
            source: "s".into(),
            path,
            start,
            end,
            file_bytes,
            stamp: FileStamp::modified_at(Time::default()),
            checksum: None,
            max_line_bytes: 1000,
        };
        let disk = simulation.env().disk;
        let mut reader = split.read(&*disk, encoding, &budget()).unwrap();
        let mut lines = Vec::new();
        while let Some(chunk) = reader.next_chunk().unwrap() {
            lines.extend(chunk.column(0).as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        let replaced = reader.faults().replaced;
        (lines, (replaced.count > 0).then(|| split.place(replaced, &*disk)))
    }

    /// The lines of a file that is split at these places, and where the first is that had to be changed.
    fn lines_of_parts(content: &[u8], encoding: Encoding, cuts: &[u64]) -> (Vec<String>, Option<LinePlace>) {
        let length = content.len() as u64;
        let mut bounds: Vec<u64> = cuts.iter().map(|cut| *cut.min(&length)).chain([0, length]).collect();
        bounds.sort_unstable();
        let parts = bounds.windows(2).map(|range| lines(content, encoding, range[0], range[1]));
        let (parts, places): (Vec<_>, Vec<_>) = parts.unzip();
        (parts.concat(), places.into_iter().flatten().next())
    }

    proptest! {
        /// However a file is split, its lines come once and in order.
        #[test]
        fn splits_give_each_line_once(text in "[ab\n]{0,60}", cuts in prop::collection::vec(0u64..61, 0..6)) {
            let (split, _) = lines_of_parts(text.as_bytes(), Encoding::UTF_8, &cuts);
            let whole: Vec<&str> = text.lines().collect();
            prop_assert_eq!(split, whole);
        }

        /// A file that is split gives the same lines in every encoding: with and without a byte order mark, whatever
        /// encoding the job file expects, and with bytes that are not valid in the encoding.
        #[test]
        fn splits_give_each_line_in_any_encoding(
            text in "[aé日\u{10a}\u{a0a}\n]{0,30}", cuts in prop::collection::vec(0u64..70, 0..6),
            name in prop::sample::select(&["utf-8", "utf-16", "utf-16be", "latin-1", "shift_jis", "iso-2022-jp"]),
            mark in any::<bool>(), bad in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let encoding = Encoding::named(name).unwrap();
            let (in_mark, content) = match name {
                "utf-16" => ("\u{feff}", text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
                "utf-16be" => ("\u{feff}", text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>()),
                _ => ("", text.clone().into_bytes()),
            };
            let mark: Vec<u8> = match (mark, name) {
                (true, "utf-16") => in_mark.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                (true, "utf-16be") => in_mark.encode_utf16().flat_map(u16::to_be_bytes).collect(),
                (true, _) => b"\xef\xbb\xbf".to_vec(),
                (false, _) => Vec::new(),
            };
            let mut bytes = [mark.clone(), content].concat();
            if let Some(bad) = bad.filter(|_| bytes.len() > mark.len()) {
                let at = mark.len() + bad.index(bytes.len() - mark.len());
                bytes[at] = 0x80;
            }
            // The result of decoding the whole file with the library.
            let whole = crate::encoding::decode_all(encoding, bytes.clone());
            let expected: Vec<String> = String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect();
            let expecting = if mark.is_empty() { encoding } else { Encoding::UTF_8 };
            let (found, place) = lines_of_parts(&bytes, expecting, &cuts);
            prop_assert_eq!(&found, &expected);
            let bad = whole.split(|byte| *byte == b'\n').position(|line| std::str::from_utf8(line).is_err());
            prop_assert_eq!(place, bad.map(|line| LinePlace { line: line as u64 + 1, after_byte: 0 }));
        }
    }

    #[test]
    fn a_file_whose_middle_cannot_be_read_is_one_part() {
        let ranges = |name: &str, bytes, encoding: &str| {
            part_ranges(Path::new(name), bytes, Encoding::named(encoding).unwrap()).collect::<Vec<_>>()
        };
        let large = 2 * PART_BYTES + 5;
        let parts = [(0, PART_BYTES), (PART_BYTES, 2 * PART_BYTES), (2 * PART_BYTES, large)];
        for encoding in ["utf-8", "latin-1", "shift_jis", "gb18030"] {
            assert_eq!(ranges("a.txt", large, encoding), parts);
        }
        assert_eq!(ranges("a.txt", large, "utf-16"), [(0, large)]);
        assert_eq!(ranges("a.txt", large, "iso-2022-jp"), [(0, large)]);
        assert_eq!(ranges("a.txt.gz", large, "utf-8"), [(0, large)]);
        // An empty file has no parts. A compressed file of no bytes has one, because reading it is an error.
        assert_eq!(ranges("a.txt", 0, "utf-8"), []);
        assert_eq!(ranges("a.txt", 0, "utf-16"), []);
        assert_eq!(ranges("a.gz", 0, "utf-8"), [(0, 0)]);
    }

    #[test]
    fn the_place_of_a_line_far_behind_counts_from_its_part() {
        let split = FileSplit {
            source: "s".into(),
            path: "/file".into(),
            start: NUMBER_BYTES_MAX + 1,
            end: NUMBER_BYTES_MAX + 2,
            file_bytes: NUMBER_BYTES_MAX + 2,
            stamp: FileStamp::modified_at(Time::default()),
            checksum: None,
            max_line_bytes: 9,
        };
        let disk = Simulation::new(0, Time::default()).env().disk;
        let place = split.place(BadLines { count: 2, first: 3 }, &*disk);
        assert_eq!(place, LinePlace { line: 3, after_byte: NUMBER_BYTES_MAX + 1 });
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
        let mut reader = split.read(&*simulation.env().disk, Encoding::UTF_8, &budget()).unwrap();
        let error = loop {
            match reader.next_chunk() {
                Ok(chunk) => assert!(chunk.is_none_or(|chunk| chunk.num_rows() == 1)),
                Err(error) => break error,
            }
        };
        assert_eq!(error.to_string(), "/file is 7 bytes shorter than when it was found");
    }
}
