//! Lines from a TCP server. Spark's `SocketReceiver`.

use super::Receiver;
use super::context::ReceiverContext;
use super::error::ReceiverError;
use super::registry::MakeReceiver;
use crate::env::Network;
use crate::time::Duration;
use async_trait::async_trait;
use std::sync::Arc;
use tokio::io::AsyncReadExt as _;

/// How many bytes are read at once.
const READ_BYTES: usize = 64 * 1024;

/// Makes receivers of lines from the TCP server at `address`, which is `host:port`. The receivers are unreliable,
/// because the protocol has no acknowledgements. If a connection gets no data for `idle_timeout`, it counts as lost.
pub fn socket(network: Arc<dyn Network>, address: &str, idle_timeout: Option<Duration>) -> Arc<MakeReceiver> {
    let address = address.to_owned();
    Arc::new(move |_| Ok(Box::new(Socket { network: network.clone(), address: address.clone(), idle_timeout })))
}

struct Socket {
    network: Arc<dyn Network>,
    address: String,
    idle_timeout: Option<Duration>,
}

/// Resolves when no data has come for `timeout`.
async fn idle(context: &ReceiverContext, timeout: Option<Duration>) -> Duration {
    match timeout {
        Some(timeout) => {
            context.sleep(timeout).await;
            timeout
        }
        None => std::future::pending().await,
    }
}

#[async_trait]
impl Receiver for Socket {
    async fn run(&mut self, context: &ReceiverContext) -> Result<(), ReceiverError> {
        let address = &self.address;
        let connection = tokio::select! {
            biased;
            () = context.stopped() => return Ok(()),
            connection = self.network.connect(address) => connection,
        };
        let mut connection =
            connection.map_err(|error| ReceiverError::new(format!("cannot connect to {address}: {error}")))?;
        context.connected();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let count = tokio::select! {
                biased;
                // Half a line is not a record, because it could have another meaning than the whole line. So it is
                // dropped.
                () = context.stopped() => return Ok(()),
                count = connection.read(&mut buffer) => count,
                silence = idle(context, self.idle_timeout) => {
                    let (source, silence) = (context.source(), silence.as_secs_f64());
                    let message = format!("lost {address}: it sent nothing for sources.{source}.idle_timeout = {silence} s");
                    return Err(ReceiverError::new(message));
                }
            };
            match count {
                Ok(0) => {
                    // If the server closes the connection, its last line is complete. If the connection is lost, the
                    // last line is not.
                    context.end_line().await?;
                    return Err(ReceiverError::new(format!("{address} closed the connection")));
                }
                Ok(count) => context.store_bytes(buffer.get(..count).unwrap_or_default()).await?,
                Err(error) => return Err(ReceiverError::new(format!("lost {address}: {error}"))),
            }
        }
    }
}
