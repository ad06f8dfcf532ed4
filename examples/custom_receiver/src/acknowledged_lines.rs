//! A reliable receiver: lines from a TCP server that sends a line again unless it was acknowledged.
//!
//! The server sends `NUMBER TEXT` for each line, counting from 1, and `end` when there are no more. It begins with the
//! first line that was not acknowledged. `ack NUMBER` acknowledges this line and all before it.

use async_trait::async_trait;
use host::receiver::{Receiver, ReceiverContext, ReceiverError};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// How many lines are stored and acknowledged together, at most.
const LINES_MAX: usize = 1000;

/// Receives from one server.
pub struct AcknowledgedLines {
    address: String,
    /// The last line that was stored. After a new connection, a line whose acknowledgement was lost comes again.
    last: u64,
}

/// A message of the server.
enum Said {
    Line(u64, String),
    End,
    /// There are no more lines.
    NoMore,
}

impl AcknowledgedLines {
    /// Makes a receiver from the server at this address.
    pub fn new(address: String) -> Self {
        Self { address, last: 0 }
    }

    /// Stores lines, and then acknowledges them.
    async fn take(
        &mut self,
        lines: &mut Vec<(u64, String)>,
        context: &ReceiverContext,
        server: &mut OwnedWriteHalf,
    ) -> Result<(), ReceiverError> {
        lines.retain(|(number, _)| *number > self.last);
        let texts: Vec<&str> = lines.iter().map(|(_, text)| text.as_str()).collect();
        // When this call returns, the host is responsible for the lines. If it fails, the server still has them.
        context.store_lines(&texts).await?;
        self.last = lines.last().map_or(self.last, |(number, _)| *number);
        lines.clear();
        server.write_all(format!("ack {}\n", self.last).as_bytes()).await?;
        Ok(())
    }
}

#[async_trait]
impl Receiver for AcknowledgedLines {
    async fn run(&mut self, context: &ReceiverContext) -> Result<(), ReceiverError> {
        let connection = tokio::select! {
            biased;
            () = context.stopped() => return Ok(()),
            connection = TcpStream::connect(&self.address) => connection,
        };
        let cannot_connect = |error| ReceiverError::new(format!("cannot connect to {}: {error}", self.address));
        let (from_server, mut to_server) = connection.map_err(cannot_connect)?.into_split();
        context.connected();
        let mut from_server = BufReader::new(from_server);
        let mut lines = Vec::new();
        loop {
            let said = if lines.is_empty() {
                tokio::select! {
                    biased;
                    // Losing half a line is harmless, because the line was not acknowledged.
                    () = context.stopped() => return Ok(()),
                    said = read(&mut from_server) => said?,
                }
            } else if lines.len() < LINES_MAX && from_server.buffer().contains(&b'\n') {
                // More lines are here already: they can be stored together.
                read(&mut from_server).await?
            } else {
                Said::NoMore
            };
            match said {
                Said::Line(number, text) => lines.push((number, text)),
                Said::NoMore => self.take(&mut lines, context, &mut to_server).await?,
                Said::End => return self.take(&mut lines, context, &mut to_server).await,
            }
        }
    }
}

/// Reads the next message of the server.
async fn read(server: &mut BufReader<OwnedReadHalf>) -> Result<Said, ReceiverError> {
    let mut line = String::new();
    server.read_line(&mut line).await?;
    let Some(line) = line.strip_suffix('\n') else {
        return Err(ReceiverError::new("the server closed the connection"));
    };
    if line == "end" {
        return Ok(Said::End);
    }
    let numbered = line.split_once(' ').and_then(|(number, text)| Some((number.parse().ok()?, text)));
    match numbered {
        Some((number, text)) => Ok(Said::Line(number, text.to_owned())),
        None => Err(ReceiverError::new(format!("the server says {line:?}, not a number and a text"))),
    }
}
