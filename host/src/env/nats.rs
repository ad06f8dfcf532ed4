//! Streams of NATS JetStream.
//!
//! Owns the crate `async_nats`: no other module uses it. A consumer has a connection of its own, and one subscription to
//! which the messages of all its pulls come, so that a message that comes late is not lost. The library does not
//! reconnect: whoever uses a consumer learns that the connection is lost, and decides what follows.

mod connection;
mod consumer;

use self::connection::connect;
use self::consumer::DurableConsumer;
use super::{ConsumerPlace, MessageConsumer, MessageStreams};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::io;
use std::sync::Arc;

/// Connects to NATS servers.
pub(super) struct Nats;

impl MessageStreams for Nats {
    fn consume(&self, place: &ConsumerPlace) -> BoxFuture<'static, io::Result<Arc<dyn MessageConsumer>>> {
        let place = place.clone();
        async move {
            let connection = connect(&place).await?;
            Ok(Arc::new(DurableConsumer::open(connection, &place).await?) as Arc<dyn MessageConsumer>)
        }
        .boxed()
    }
}

#[cfg(test)]
pub(super) mod tests;
