//! The content of a file of frames, one after the other, with frames between them that hold no content.
//!
//! Owns the way from frame to frame. What is in a frame is the business of a [`FrameFormat`].

use super::Scratch;
use super::peek::Peek;
use std::io::{self, BufRead, Read};

/// How many bytes say what a frame is.
pub(super) const MAGIC_BYTES: usize = 4;

/// A format of frames.
pub(super) trait FrameFormat {
    /// The first bytes of a frame.
    const MAGIC: [u8; MAGIC_BYTES];
    /// How many bytes, at most, say how much memory a frame needs.
    const START_BYTES: usize;

    /// Decompresses one frame.
    type Decoder<R: BufRead>: Read;

    /// The memory that the decoder of a frame needs which begins with `start`, in bytes.
    ///
    /// # Errors
    /// If the file ends within the beginning of the frame.
    fn memory(start: &[u8]) -> io::Result<usize>;

    /// A decoder of the frame at which the file is.
    ///
    /// # Errors
    /// If it cannot be made.
    fn open<R: BufRead>(file: Peek<R>) -> io::Result<Self::Decoder<R>>;

    /// Takes the file back from a decoder that has no more content.
    ///
    /// # Errors
    /// If the file ended within the frame.
    fn close<R: BufRead>(decoder: Self::Decoder<R>) -> io::Result<Peek<R>>;

    /// What is wrong with bytes where a frame should begin.
    fn refuse(magic: &[u8]) -> io::Error;
}

/// Whether a frame holds what is not content. All formats have such frames alike.
pub(super) fn is_skippable(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Passes over a frame that holds no content: four bytes, its length in four more, the lowest first, and so many bytes.
fn skip_frame<R: BufRead>(file: &mut Peek<R>) -> io::Result<()> {
    let Some(&[_, _, _, _, a, b, c, d]) = file.peek(8)?.first_chunk() else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    file.skip(8 + u64::from(u32::from_le_bytes([a, b, c, d])))
}

/// The content of frames.
pub(super) struct Frames<F: FrameFormat, R: BufRead> {
    scratch: Scratch,
    /// `None` at the end of the file, and after an error.
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

    /// Goes to the content of the next frame. `None` at the end of the file.
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
