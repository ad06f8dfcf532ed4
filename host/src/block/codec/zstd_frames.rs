//! Zstandard frames, one after the other.
//!
//! Owns how much memory a frame needs. The header of the frame says how much, and the memory is taken from the budget
//! before the frame is read.

use super::frames::{FrameFormat, MAGIC_BYTES};
use super::peek::Peek;
use std::io::{self, BufRead};
use zstd::stream::read::Decoder;

/// The largest window of the format that a decoder accepts, as a power of two.
const WINDOW_LOG_MAX: u32 = 31;
/// The memory of a decoder besides the window: its tables, and blocks of 128 KiB.
const DECODER_BYTES: usize = 640 * 1024;

/// The format of Zstandard frames.
pub(super) struct ZstdFrames;

impl FrameFormat for ZstdFrames {
    const MAGIC: [u8; MAGIC_BYTES] = *b"\x28\xb5\x2f\xfd";
    const START_BYTES: usize = 17;

    type Decoder<R: BufRead> = Decoder<'static, Peek<R>>;

    fn memory(start: &[u8]) -> io::Result<usize> {
        let window = window_bytes(start).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(usize::try_from(window).unwrap_or(usize::MAX).saturating_add(DECODER_BYTES))
    }

    fn open<R: BufRead>(file: Peek<R>) -> io::Result<Self::Decoder<R>> {
        let mut decoder = Decoder::with_buffer(file)?.single_frame();
        decoder.window_log_max(WINDOW_LOG_MAX)?;
        Ok(decoder)
    }

    fn close<R: BufRead>(decoder: Self::Decoder<R>) -> io::Result<Peek<R>> {
        Ok(decoder.finish())
    }

    fn refuse(_: &[u8]) -> io::Error {
        io::Error::other("there is something else where a frame should begin")
    }
}

/// The size of a frame's window, as in RFC 8878, 3.1.1.1. `None` if `start` is too short to contain the size.
fn window_bytes(start: &[u8]) -> Option<u64> {
    let descriptor = *start.get(4)?;
    let is_one_segment = descriptor & 0x20 != 0;
    if !is_one_segment {
        let window = *start.get(5)?;
        let base = 1u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // The window is as large as the content. The size of the content stands behind the id of the dictionary.
    let at = 5 + [0, 1, 2, 4][usize::from(descriptor & 3)];
    let field = |length: usize| {
        let bytes = start.get(at..at + length)?;
        Some(bytes.iter().rev().fold(0, |size, byte| size << 8 | u64::from(*byte)))
    };
    match descriptor >> 6 {
        0 => field(1),
        1 => Some(field(2)? + 256),
        2 => field(4),
        _ => field(8),
    }
}
