//! Zstandard frames, one after the other.
//!
//! Owns how much memory a frame needs: its header says it, and the budget has to have it before the frame is read.

use super::Scratch;
use super::lz4_frames::{is_skippable, skip_frame};
use super::peek::Peek;
use std::io::{self, BufRead, Read};
use zstd::stream::read::Decoder;

/// The first bytes of a frame.
const FRAME: &[u8] = b"\x28\xb5\x2f\xfd";
/// The longest beginning of a frame that says how large its window is.
const FRAME_START_BYTES: usize = 17;
/// The largest window of the format that a decoder accepts, as a power of two.
const WINDOW_LOG_MAX: u32 = 31;
/// What a decoder holds beside the window: its tables, and blocks of 128 KiB.
const DECODER_BYTES: usize = 640 * 1024;

/// The content of frames.
pub(super) struct ZstdFrames<R> {
    scratch: Scratch,
    state: Option<State<R>>,
}

enum State<R> {
    Between(Peek<R>),
    Within(Decoder<'static, Peek<R>>),
}

impl<R: BufRead> ZstdFrames<R> {
    pub(super) fn new(file: Peek<R>, scratch: Scratch) -> Self {
        Self { scratch, state: Some(State::Between(file)) }
    }

    /// Goes to the content of the next frame. `None` at the end of the file.
    fn next_frame(&self, mut file: Peek<R>) -> io::Result<Option<State<R>>> {
        loop {
            let start = file.peek(FRAME_START_BYTES)?;
            match start.get(..FRAME.len()) {
                _ if start.is_empty() => return Ok(None),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(magic) if is_skippable(magic) => skip_frame(&mut file)?,
                Some(FRAME) => {
                    let window = window_bytes(start).ok_or(io::ErrorKind::UnexpectedEof)?;
                    let window = usize::try_from(window).unwrap_or(usize::MAX);
                    self.scratch.hold(window.saturating_add(super::READ_BYTES + DECODER_BYTES))?;
                    let mut decoder = Decoder::with_buffer(file)?.single_frame();
                    decoder.window_log_max(WINDOW_LOG_MAX)?;
                    return Ok(Some(State::Within(decoder)));
                }
                Some(_) => return Err(io::Error::other("there is something else where a frame should begin")),
            }
        }
    }
}

/// How large the window of a frame is, as RFC 8878 has it in 3.1.1.1. `None` if the start is too short to say it.
fn window_bytes(start: &[u8]) -> Option<u64> {
    let descriptor = *start.get(4)?;
    let is_one_segment = descriptor & 0x20 != 0;
    if !is_one_segment {
        let window = *start.get(5)?;
        let base = 1u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // The window is the content: its size stands behind the id of the dictionary.
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

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let mut decoder = match self.state.take() {
                None => return Ok(0),
                Some(State::Between(file)) => {
                    self.state = self.next_frame(file)?;
                    continue;
                }
                Some(State::Within(decoder)) => decoder,
            };
            let count = decoder.read(buffer)?;
            self.state = Some(match count {
                0 => State::Between(decoder.finish()),
                _ => State::Within(decoder),
            });
            if count > 0 {
                return Ok(count);
            }
        }
    }
}
