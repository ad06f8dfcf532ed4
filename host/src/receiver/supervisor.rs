//! Keeps a receiver running: connects, reads, cuts blocks, connects again, stops.
//!
//! Owns the life of one receiver, as an actor. When it is told to stop, what it has received is in the store and
//! reported before it ends.

use super::StoredBlock;
use super::block_generator::BlockGenerator;
use super::socket::Socket;
use crate::block::{Block, BlockStore};
use crate::env::Env;
use crate::listener::{Event, ListenerBus, ReceiverReporter};
use crate::time::{Duration, Time};
use std::io;
use tokio::sync::{mpsc, oneshot, watch};

/// What a receiver needs to know.
#[derive(Clone, Debug)]
pub struct ReceiverSettings {
    /// The source's name in the job file.
    pub source: String,
    /// The source's number, for listeners.
    pub stream_id: u32,
    /// The server, `host:port`.
    pub address: String,
    /// How long to wait before it connects again.
    pub reconnect_delay: Duration,
    /// The longest line that is accepted.
    pub max_line_bytes: usize,
    /// How often a block is cut.
    pub block_interval: Duration,
}

/// A running receiver.
pub struct ReceiverHandle {
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<()>,
}

impl ReceiverHandle {
    /// Stops it and waits until all it received is stored and reported.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // An error means that it is gone already.
        let _ = self.ended.await;
    }
}

/// Starts a receiver. It reports each stored block to `stored`.
pub fn start(
    env: &Env,
    settings: ReceiverSettings,
    store: BlockStore,
    stored: mpsc::Sender<StoredBlock>,
    listeners: ListenerBus,
) -> ReceiverHandle {
    let (stop, stopping) = watch::channel(false);
    let (end, ended) = oneshot::channel();
    let blocks = BlockGenerator::new(&settings.source, settings.max_line_bytes);
    let reporter = ReceiverReporter::new(listeners.clone(), settings.stream_id, &settings.source);
    let receiver = Receiver { env: env.clone(), settings, store, stored, listeners, reporter, stopping, blocks };
    env.control.spawn(
        "receiver",
        Box::pin(async move {
            receiver.run().await;
            // Nobody waits any more: the run ended another way.
            let _ = end.send(());
        }),
    );
    ReceiverHandle { stop, ended }
}

struct Receiver {
    env: Env,
    settings: ReceiverSettings,
    store: BlockStore,
    stored: mpsc::Sender<StoredBlock>,
    listeners: ListenerBus,
    reporter: ReceiverReporter,
    stopping: watch::Receiver<bool>,
    blocks: BlockGenerator,
}

/// Why reading came to an end.
enum End {
    Stopped,
    Lost(io::Error),
}

impl Receiver {
    async fn run(mut self) {
        while !*self.stopping.borrow() {
            let End::Lost(error) = self.connect_and_read().await else { break };
            // A server that ends its connection has ended its last line; one that is lost has not.
            if error.kind() == io::ErrorKind::UnexpectedEof {
                let rest = self.blocks.finish();
                self.store_block(rest).await;
            } else {
                self.abandon_line().await;
            }
            let retry_in = self.settings.reconnect_delay;
            let now = self.env.clock.now();
            self.reporter.failed(now, error.to_string(), retry_in);
            let retry_at = now + retry_in;
            tokio::select! {
                biased;
                _ = self.stopping.changed() => {}
                () = self.env.clock.sleep_until(retry_at) => {}
            }
        }
        self.abandon_line().await;
        self.reporter.stopped();
    }

    async fn connect_and_read(&mut self) -> End {
        let mut socket = tokio::select! {
            biased;
            _ = self.stopping.changed() => return End::Stopped,
            socket = Socket::connect(&self.env, &self.settings.address) => match socket {
                Ok(socket) => socket,
                Err(error) => return End::Lost(io::Error::new(error.kind(), format!("cannot connect to {}: {error}", self.settings.address))),
            },
        };
        self.reporter.started();
        let mut cut_at = self.next_cut();
        loop {
            let full = tokio::select! {
                biased;
                _ = self.stopping.changed() => return End::Stopped,
                () = self.env.clock.sleep_until(cut_at) => true,
                bytes = socket.read() => match bytes {
                    Ok([]) => return End::Lost(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{} closed the connection", self.settings.address))),
                    Ok(bytes) => self.blocks.push(bytes),
                    Err(error) => return End::Lost(io::Error::new(error.kind(), format!("lost {}: {error}", self.settings.address))),
                },
            };
            if full {
                cut_at = self.next_cut();
                let block = self.blocks.cut();
                self.store_block(block).await;
            }
        }
    }

    /// Blocks end at multiples of the block interval, so that the last block of a batch is cut at the batch's end.
    fn next_cut(&self) -> Time {
        self.env.clock.now().next_multiple(self.settings.block_interval)
    }

    /// Stores what is complete. Half a line is not a record: it could mean something else than the whole.
    async fn abandon_line(&mut self) {
        let (rest, is_cut_off) = self.blocks.abandon();
        if is_cut_off {
            self.listeners.post(&Event::LineCutOff { source: self.settings.source.clone() });
        }
        self.store_block(rest).await;
    }

    async fn store_block(&mut self, block: Option<Block>) {
        let (too_long, not_utf8) = self.blocks.take_skipped();
        if too_long + not_utf8 > 0 {
            let source = self.settings.source.clone();
            self.listeners.post(&Event::LinesSkipped { source, too_long, not_utf8 });
        }
        let Some(block) = block else { return };
        let report = StoredBlock { id: block.id.clone(), rows: block.row_count() };
        self.store.put(block).await;
        // A closed channel means that the run is over, and the block with it.
        let _ = self.stored.send(report).await;
    }
}
