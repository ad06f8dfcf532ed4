//! LZ4 frames, one after the other, as the program `lz4` writes them.
//!
//! Owns the end of a frame: the decoder of frames takes the end of the file for it, and so would not notice a file that is
//! cut off between two blocks.

use super::Scratch;
use super::peek::Peek;
use lz4_flex::frame::FrameDecoder;
use std::io::{self, BufRead, Read};

/// The first bytes of a frame, and how many say how large its blocks are.
const FRAME: &[u8] = b"\x04\x22\x4d\x18";
const FRAME_START_BYTES: usize = 6;
/// The first bytes of the frames of the format's first version.
const OLD_FRAME: &[u8] = b"\x02\x21\x4c\x18";
/// The window of a decoder, and some room.
const WINDOW_BYTES: usize = 128 * 1024;

/// Whether a file begins with a frame.
fn is_frame(start: &[u8]) -> bool {
    start == FRAME || start == OLD_FRAME || is_skippable(start)
}

/// Whether a frame holds what is not content.
pub(super) fn is_skippable(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Decompresses a block without a frame, and says how long its content is.
pub(super) fn decompress_block(block: &[u8], into: &mut [u8]) -> io::Result<usize> {
    lz4_flex::block::decompress_into(block, into).map_err(io::Error::other)
}

/// A file that remembers whether its end was met.
struct ToEnd<R> {
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

/// The content of frames.
pub(super) struct Lz4Frames<R: BufRead> {
    scratch: Scratch,
    state: Option<State<R>>,
}

enum State<R: BufRead> {
    Between(Peek<R>),
    Within(Box<FrameDecoder<ToEnd<Peek<R>>>>),
}

impl<R: BufRead> Lz4Frames<R> {
    /// Whether a file begins with a frame.
    pub(super) fn begin(file: &mut Peek<R>) -> io::Result<bool> {
        Ok(is_frame(file.peek(FRAME.len())?))
    }

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
                Some(OLD_FRAME) => return Err(io::Error::other("it is in the old (legacy) format, which is not read")),
                Some(FRAME) => {
                    let size = start.get(FRAME_START_BYTES - 1).map_or(0, |size| size >> 4 & 7);
                    // 64 KiB, 256 KiB, 1 MiB or 4 MiB; a decoder holds three of them.
                    let block = 1usize << (8 + 2 * usize::from(size.max(4)));
                    self.scratch.hold(super::READ_BYTES + 3 * block + WINDOW_BYTES)?;
                    let decoder = FrameDecoder::new(ToEnd { file, has_ended: false });
                    return Ok(Some(State::Within(Box::new(decoder))));
                }
                Some(_) => return Err(io::Error::other("there is something else behind a frame")),
            }
        }
    }
}

/// Passes over a frame that holds no content: four bytes, its length in four more, the lowest first, and so many bytes.
pub(super) fn skip_frame<R: BufRead>(file: &mut Peek<R>) -> io::Result<()> {
    let Some(&[_, _, _, _, a, b, c, d]) = file.peek(8)?.first_chunk() else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    file.skip(8 + u64::from(u32::from_le_bytes([a, b, c, d])))
}

impl<R: BufRead> Read for Lz4Frames<R> {
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
            if count > 0 {
                self.state = Some(State::Within(decoder));
                return Ok(count);
            }
            let ToEnd { file, has_ended } = decoder.into_inner();
            if has_ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.state = Some(State::Between(file));
        }
    }
}
