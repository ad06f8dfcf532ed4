//! Lines from a TCP server.

use crate::env::{Env, Incoming};
use std::io;
use tokio::io::AsyncReadExt as _;

/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;

/// A connection to a server that sends lines.
pub(super) struct Socket {
    stream: Box<dyn Incoming>,
    buffer: Vec<u8>,
}

impl Socket {
    pub(super) async fn connect(env: &Env, address: &str) -> io::Result<Self> {
        Ok(Self { stream: env.network.connect(address).await?, buffer: vec![0; READ_BYTES] })
    }

    /// The next bytes; none at the end. Safe to drop while it waits: no byte is lost.
    pub(super) async fn read(&mut self) -> io::Result<&[u8]> {
        let count = self.stream.read(&mut self.buffer).await?;
        Ok(&self.buffer[..count])
    }
}
