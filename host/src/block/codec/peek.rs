//! A reader that can look at its next bytes without taking them.

use std::io::{self, BufRead, Read};

/// A reader, and the bytes that were read from it and not taken yet.
pub(super) struct Peek<R> {
    ahead: Vec<u8>,
    /// How many bytes of `ahead` were taken.
    taken: usize,
    reader: R,
}

impl<R: BufRead> Peek<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { ahead: Vec::new(), taken: 0, reader }
    }

    /// The next `count` bytes without taking them, or fewer at the end.
    pub(super) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        self.ahead.drain(..std::mem::take(&mut self.taken));
        if let Some(more) = count.checked_sub(self.ahead.len()) {
            self.reader.by_ref().take(more as u64).read_to_end(&mut self.ahead)?;
        }
        Ok(self.ahead.get(..count).unwrap_or(&self.ahead))
    }

    /// Takes `count` bytes and discards them.
    pub(super) fn skip(&mut self, count: u64) -> io::Result<()> {
        match io::copy(&mut self.by_ref().take(count), &mut io::sink())? {
            skipped if skipped == count => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl<R: BufRead> Read for Peek<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.ahead.len() {
            return self.reader.read(buffer);
        }
        let count = self.ahead.get(self.taken..).unwrap_or_default().read(buffer)?;
        self.taken += count;
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Peek<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.ahead.get(self.taken..) {
            Some(ahead) if !ahead.is_empty() => Ok(ahead),
            _ => self.reader.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        if self.taken == self.ahead.len() {
            self.reader.consume(count);
        } else {
            self.taken = (self.taken + count).min(self.ahead.len());
        }
    }
}
