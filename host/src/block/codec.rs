//! Compressed files: the format of a file, which follows from its name, and its content, decompressed as it is read.
//!
//! Owns the formats, the memory that they take from the memory budget, and the errors of a file that is cut off or
//! damaged. A file is never held in memory as a whole, neither compressed nor decompressed. Never knows the meaning of
//! a file's content.

mod frames;
mod hadoop_blocks;
mod lz4_frames;
mod peek;
mod zstd_frames;

use crate::memory::Room;
use frames::Frames;
use hadoop_blocks::HadoopBlocks;
use lz4_frames::Lz4Frames;
use peek::Peek;
use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use zstd_frames::ZstdFrames;

/// How many bytes of a compressed file are read at once.
const READ_BYTES: usize = 64 * 1024;
/// The memory of a gzip decoder: a window of 32 KiB and its tables.
const GZIP_BYTES: usize = 64 * 1024;
/// The memory of a bzip2 decoder for the largest blocks.
const BZIP2_BYTES: usize = 4 * 1024 * 1024;
/// The memory of a decoder of Snappy frames: a block, compressed and decompressed.
const SNAPPY_BYTES: usize = 192 * 1024;
/// The first bytes of a file of Snappy frames.
const SNAPPY_FRAMES: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// The help for a file whose decoder needs more memory than is free.
pub(super) const NO_ROOM_HELP: &str = "raise engine.memory, or compress the file with a smaller window";

/// A format of compressed files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// `.gz`, with one or more members.
    Gzip,
    /// `.bz2`, with one or more streams.
    Bzip2,
    /// `.zst`, with one or more frames.
    Zstd,
    /// `.lz4`: frames, or the blocks that Hadoop writes.
    Lz4,
    /// `.snappy` and `.sz`: frames, or the blocks that Hadoop writes.
    Snappy,
}

impl Codec {
    /// The format that the extension of a file's name stands for, in upper or lower case; `None` if the file is not
    /// compressed.
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "gz" => Self::Gzip,
            "bz2" => Self::Bzip2,
            "zst" => Self::Zstd,
            "lz4" => Self::Lz4,
            "snappy" | "sz" => Self::Snappy,
            _ => return None,
        })
    }

    /// Returns a reader of the content of a file. The memory of the decoder is taken from `room`.
    ///
    /// # Errors
    /// The error of reading the file; [`io::ErrorKind::OutOfMemory`] if the memory budget has no room; an error that
    /// contains [`Damaged`] if the file is damaged.
    pub fn read(self, file: Box<dyn Read + Send>, room: Room) -> io::Result<Box<dyn Read + Send>> {
        let has_failed = Arc::new(AtomicBool::new(false));
        let file = BufReader::with_capacity(READ_BYTES, Watched { file, has_failed: has_failed.clone() });
        let content: Box<dyn Read + Send> = Box::new(io::empty());
        let mut read = Decompressed { codec: self, content, has_failed, given: 0 };
        read.content = self.decoder(file, Scratch(room)).map_err(|error| read.explained(error))?;
        Ok(Box::new(read))
    }

    fn decoder(self, file: BufReader<Watched>, scratch: Scratch) -> io::Result<Box<dyn Read + Send>> {
        let mut file = Peek::new(file);
        // Every compressed file has at least a header, even if its content is empty.
        if file.fill_buf()?.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        scratch.hold(READ_BYTES)?;
        Ok(match self {
            Self::Gzip => {
                scratch.hold(READ_BYTES + GZIP_BYTES)?;
                Box::new(Held { _scratch: scratch, content: flate2::bufread::MultiGzDecoder::new(file) })
            }
            Self::Bzip2 => {
                scratch.hold(READ_BYTES + BZIP2_BYTES)?;
                Box::new(Held { _scratch: scratch, content: bzip2::bufread::MultiBzDecoder::new(file) })
            }
            Self::Zstd => Box::new(Frames::<ZstdFrames, _>::new(file, scratch)),
            Self::Lz4 if Lz4Frames::begin(&mut file)? => Box::new(Frames::<Lz4Frames, _>::new(file, scratch)),
            Self::Lz4 => Box::new(HadoopBlocks::new(file, scratch, lz4_frames::decompress_block)),
            // A file that ends within these bytes is a file of frames that is cut off.
            Self::Snappy if SNAPPY_FRAMES.starts_with(file.peek(SNAPPY_FRAMES.len())?) => {
                scratch.hold(READ_BYTES + SNAPPY_BYTES)?;
                Box::new(Held { _scratch: scratch, content: snap::read::FrameDecoder::new(file) })
            }
            Self::Snappy => Box::new(HadoopBlocks::new(file, scratch, decompress_snappy)),
        })
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Snappy => "snappy",
        })
    }
}

/// Decompresses one block of Snappy into `into`, and returns the length of its content.
fn decompress_snappy(block: &[u8], into: &mut [u8]) -> io::Result<usize> {
    snap::raw::Decoder::new().decompress(block, into).map_err(io::Error::other)
}

/// A fault of a compressed file itself, not of the disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Damaged {
    codec: Codec,
    /// How many bytes of its content could be decompressed before the fault.
    after: u64,
    /// The fault; `None` if the end of the file is missing.
    problem: Option<String>,
}

impl Damaged {
    /// The damage that an error contains; `None` if the error has another cause.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { codec, after, problem } = self;
        match problem {
            None => write!(f, "its {codec} data is cut off, after {after} bytes of content"),
            Some(problem) => write!(f, "its {codec} data is damaged, after {after} bytes of content: {problem}"),
        }
    }
}

/// The memory that one decoder holds of the memory budget.
struct Scratch(Room);

impl Scratch {
    /// Changes the held memory to this many bytes.
    fn hold(&self, bytes: usize) -> io::Result<()> {
        let taken = self.0.taken();
        match bytes.checked_sub(taken) {
            Some(more) => self.0.take(more).map_err(|error| io::Error::new(io::ErrorKind::OutOfMemory, error)),
            None => {
                self.0.give_back(taken - bytes);
                Ok(())
            }
        }
    }
}

/// A decoder whose memory always has the same size.
struct Held<D> {
    _scratch: Scratch,
    content: D,
}

impl<D: Read> Read for Held<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.content.read(buffer)
    }
}

/// A file that remembers whether reading it has failed.
struct Watched {
    file: Box<dyn Read + Send>,
    has_failed: Arc<AtomicBool>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer);
        if read.is_err() {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        read
    }
}

/// The content of a file. Its errors say whether the file is damaged.
struct Decompressed {
    codec: Codec,
    content: Box<dyn Read + Send>,
    has_failed: Arc<AtomicBool>,
    given: u64,
}

impl Decompressed {
    fn explained(&self, error: io::Error) -> io::Error {
        if self.has_failed.load(Ordering::Relaxed) || error.kind() == io::ErrorKind::OutOfMemory {
            return error;
        }
        let problem = (error.kind() != io::ErrorKind::UnexpectedEof).then(|| error.to_string());
        io::Error::new(io::ErrorKind::InvalidData, Damaged { codec: self.codec, after: self.given, problem })
    }
}

impl Read for Decompressed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer).map_err(|error| self.explained(error))?;
        self.given += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
