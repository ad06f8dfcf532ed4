//! A connection that notes since when the other side has not taken what is written.
//!
//! Owns this note. Never closes the connection.

use crate::env::{Clock, Duplex};
use crate::lock::lock;
use crate::time::Duration;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Since when the other side has taken nothing; `None` if nothing waits to be taken. Clones share the note.
#[derive(Clone, Default)]
pub(super) struct Stuck(Arc<Mutex<Option<Duration>>>);

impl Stuck {
    /// Since when the other side has taken nothing, on the clock that never goes back.
    pub(super) fn since(&self) -> Option<Duration> {
        *lock(&self.0)
    }
}

/// A connection with its note.
pub(super) struct Watched {
    pub(super) connection: Box<dyn Duplex>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stuck: Stuck,
}

impl Watched {
    fn noted<T>(&self, written: Poll<T>) -> Poll<T> {
        let mut since = lock(&self.stuck.0);
        match &written {
            Poll::Ready(_) => *since = None,
            Poll::Pending => _ = since.get_or_insert_with(|| self.clock.monotonic()),
        }
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.connection).poll_read(context, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.connection).poll_write(context, bytes);
        self.noted(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut *self.connection).poll_flush(context);
        self.noted(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut *self.connection).poll_shutdown(context);
        self.noted(shut)
    }
}
