//! The content of a file that consists of frames, one after the other. Between them there may be frames without
//! content.
//!
//! Owns going from frame to frame. The inside of a frame is the responsibility of a [`FrameFormat`].

use super::Scratch;
use super::peek::Peek;
use std::io::{self, BufRead, Read};

/// The number of bytes at the beginning of a frame that identify its kind.
pub(super) const MAGIC_BYTES: usize = 4;

/// A format of frames.
pub(super) trait FrameFormat {
    /// The first bytes of a frame of this format.
    const MAGIC: [u8; MAGIC_BYTES];
    /// The most bytes at the beginning of a frame that are needed to know how much memory the frame needs.
    const START_BYTES: usize;

    /// Decompresses one frame.
    type Decoder<R: BufRead>: Read;

    /// The memory in bytes that the decoder of a frame needs. `start` is the beginning of the frame.
    ///
    /// # Errors
    /// If `start` ends within the header of the frame.
    fn memory(start: &[u8]) -> io::Result<usize>;

    /// Makes a decoder of the frame at the current position of the file.
    ///
    /// # Errors
    /// If the decoder cannot be made.
    fn open<R: BufRead>(file: Peek<R>) -> io::Result<Self::Decoder<R>>;

    /// Takes the file back from a decoder that has given all its content.
    ///
    /// # Errors
    /// If the file ended within the frame.
    fn close<R: BufRead>(decoder: Self::Decoder<R>) -> io::Result<Peek<R>>;

    /// The error of a file in which other bytes stand where a frame should begin.
    fn refuse(magic: &[u8]) -> io::Error;
}

/// Whether a frame is one that holds no content. Such frames are the same in all formats.
pub(super) fn is_skippable(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Skips a frame that holds no content. It consists of four bytes, four bytes of length, little-endian, and as many
/// bytes as the length says.
fn skip_frame<R: BufRead>(file: &mut Peek<R>) -> io::Result<()> {
    let Some(&[_, _, _, _, a, b, c, d]) = file.peek(8)?.first_chunk() else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    file.skip(8 + u64::from(u32::from_le_bytes([a, b, c, d])))
}

/// Reads the content of frames.
pub(super) struct Frames<F: FrameFormat, R: BufRead> {
    scratch: Scratch,
    /// The state of reading. `None` at the end of the file, and after an error.
    state: Option<State<F, R>>,
}

enum State<F: FrameFormat, R: BufRead> {
    Between(Peek<R>),
    Within(F::Decoder<R>),
}

impl<F: FrameFormat, R: BufRead> Frames<F, R> {
    pub(super) fn new(file: Peek<R>, scratch: Scratch) -> Self {
        Self { scratch, state: Some(State::Between(file)) }
    }

    /// Goes to the content of the next frame. Returns `None` at the end of the file.
    fn next_frame(&self, mut file: Peek<R>) -> io::Result<Option<State<F, R>>> {
        loop {
            let start = file.peek(F::START_BYTES)?;
            match start.get(..MAGIC_BYTES) {
                _ if start.is_empty() => return Ok(None),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(magic) if is_skippable(magic) => skip_frame(&mut file)?,
                Some(magic) if magic == F::MAGIC => {
                    let memory = F::memory(start)?;
                    self.scratch.hold(memory.saturating_add(super::READ_BYTES))?;
                    return Ok(Some(State::Within(F::open(file)?)));
                }
                Some(magic) => return Err(F::refuse(magic)),
            }
        }
    }
}

impl<F: FrameFormat, R: BufRead> Read for Frames<F, R> {
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
            self.state = Some(State::Between(F::close(decoder)?));
        }
    }
}
