//! LZ4 frames, one after the other, as the program `lz4` writes them.
//!
//! Owns the check that a frame is complete. The library's decoder accepts the end of the file as the end of a frame,
//! and so would not notice a file that is cut off between two blocks.

use super::frames::{FrameFormat, MAGIC_BYTES, is_skippable};
use super::peek::Peek;
use lz4_flex::frame::FrameDecoder;
use std::io::{self, BufRead, Read};

/// The first bytes of a frame in the oldest version of the format.
const OLD_MAGIC: [u8; MAGIC_BYTES] = *b"\x02\x21\x4c\x18";
/// The memory of a decoder's window, and a reserve.
const WINDOW_BYTES: usize = 128 * 1024;

/// Decompresses a block that has no frame, and returns the length of its content.
pub(super) fn decompress_block(block: &[u8], into: &mut [u8]) -> io::Result<usize> {
    lz4_flex::block::decompress_into(block, into).map_err(io::Error::other)
}

/// A file that remembers whether its end was reached.
pub(super) struct ToEnd<R> {
    file: R,
    has_ended: bool,
}

impl<R: Read> Read for ToEnd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.has_ended |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}

/// The format of LZ4 frames.
pub(super) struct Lz4Frames;

impl Lz4Frames {
    /// Whether a file begins with a frame.
    pub(super) fn begin<R: BufRead>(file: &mut Peek<R>) -> io::Result<bool> {
        let start = file.peek(MAGIC_BYTES)?;
        Ok(start == Self::MAGIC || start == OLD_MAGIC || is_skippable(start))
    }
}

impl FrameFormat for Lz4Frames {
    const MAGIC: [u8; MAGIC_BYTES] = *b"\x04\x22\x4d\x18";
    const START_BYTES: usize = 6;

    type Decoder<R: BufRead> = Box<FrameDecoder<ToEnd<Peek<R>>>>;

    fn memory(start: &[u8]) -> io::Result<usize> {
        let size = start.get(Self::START_BYTES - 1).map_or(0, |size| size >> 4 & 7);
        // A block has 64 KiB, 256 KiB, 1 MiB or 4 MiB. A decoder holds three of them.
        let block = 1usize << (8 + 2 * usize::from(size.max(4)));
        Ok(3 * block + WINDOW_BYTES)
    }

    fn open<R: BufRead>(file: Peek<R>) -> io::Result<Self::Decoder<R>> {
        Ok(Box::new(FrameDecoder::new(ToEnd { file, has_ended: false })))
    }

    fn close<R: BufRead>(decoder: Self::Decoder<R>) -> io::Result<Peek<R>> {
        match decoder.into_inner() {
            ToEnd { has_ended: true, .. } => Err(io::ErrorKind::UnexpectedEof.into()),
            ToEnd { file, .. } => Ok(file),
        }
    }

    fn refuse(magic: &[u8]) -> io::Error {
        io::Error::other(match magic == OLD_MAGIC {
            true => "it is in the old (legacy) format, which is not read",
            false => "there is something else behind a frame",
        })
    }
}
