//! Lines on a connection, of bounded length and in bounded time.

use crate::env::{Clock, Duplex};
use crate::time::Duration;
use std::io;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

/// A connection, line by line.
pub(super) struct Lines {
    stream: BufReader<Box<dyn Duplex>>,
    /// The line that is being read. Kept when the future of a read is dropped in the middle of a line.
    line: Vec<u8>,
    bytes_max: usize,
}

impl Lines {
    /// Lines of at most `bytes_max`.
    pub(super) fn new(stream: Box<dyn Duplex>, bytes_max: usize) -> Self {
        Self { stream: BufReader::new(stream), line: Vec::new(), bytes_max }
    }

    /// The next line, without its end. `None` when the other side has closed the connection. The future can be dropped,
    /// and `next` called again.
    ///
    /// # Errors
    /// Returns the error of the connection, or [`io::ErrorKind::InvalidData`] for a line that is too long.
    pub(super) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let room = self.bytes_max.saturating_sub(self.line.len());
            if room == 0 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long"));
            }
            let read = (&mut self.stream).take(room as u64).read_until(b'\n', &mut self.line).await?;
            if self.line.last() == Some(&b'\n') {
                self.line.pop();
                return Ok(Some(std::mem::take(&mut self.line)));
            }
            if read == 0 {
                return Ok(None);
            }
        }
    }

    /// Writes a line.
    ///
    /// # Errors
    /// The error of the connection, or [`io::ErrorKind::TimedOut`] if the other side does not take the line within
    /// `timeout`.
    pub(super) async fn write(&mut self, line: &str, clock: &dyn Clock, timeout: Duration) -> io::Result<()> {
        tokio::select! {
            biased;
            written = async {
                self.stream.write_all(line.as_bytes()).await?;
                self.stream.flush().await
            } => written,
            () = clock.sleep_until(clock.now() + timeout) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// The connection itself. Bytes that were read ahead are lost.
    pub(super) fn into_stream(self) -> Box<dyn Duplex> {
        self.stream.into_inner()
    }
}
