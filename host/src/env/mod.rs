//! Everything that the host needs from the outside world: time, files, sockets, a terminal, and executors for its
//! actors and tasks.
//!
//! Owns the traits and their two implementations. One is the real world. The other is the simulated world, which runs
//! the whole host on one thread, from one seed. Nothing else in the host reads a clock, opens a socket or spawns
//! anything.

mod alarm;
mod child_process;
mod disk;
mod early_sync;
mod failure;
mod kafka;
mod kafka_topics;
mod last_resort;
mod local;
mod machine_time;
mod memory_disk;
mod message_producers;
mod message_streams;
mod nats;
mod notify_socket;
mod objects;
mod panics;
mod priority;
mod processes;
mod real;
mod real_disk;
mod real_local;
mod s3;
mod signals;
mod simulated;
mod simulated_kafka;
mod simulated_local;
mod simulated_network;
mod simulated_objects;
mod simulated_producers;
mod simulated_streams;
mod store;
mod virtual_clock;

#[cfg(test)]
mod contract;

pub use child_process::{ChildCommand, ChildProcess, Ended, Happening, end_with_supervisor};
pub use disk::{DirectoryEntry, Disk, FileId, OutputFile, ScratchFile};
pub use failure::{StoreError, StoreFault, advice, persistence, persistence_of_kind};
pub use kafka_topics::{
    GroupRecord, KafkaClusters, KafkaLog, KafkaMember, KafkaPlace, KafkaValue, LogFault, LogPlace, LogRecord, Offsets,
    TakeRecord, TopicPartition,
};
pub use last_resort::LastResort;
pub use local::{Duplex, LocalListener, LocalSockets};
pub use machine_time::machine_time;
pub use message_producers::{
    MessageProducer, MessageProducers, OutgoingMessage, OutgoingMessages, PRODUCER_QUEUE_BYTES, ProduceError,
    ProducerPlace, SendOne,
};
pub use message_streams::{
    ConsumerPlace, FirstMessage, Hidden, Login, Message, MessageConsumer, MessageStreams, PullLimits, Receipt, Verdict,
};
pub use notify_socket::{NotifySocket, watchdog_interval};
pub use objects::{Objects, UPLOAD_PIECE_BYTES, Upload};
pub use panics::{Panic, Panics, catch_panic, catch_panic_of};
pub use priority::{Precedence, Priority, UnderWay, timed};
pub use real::{RealExecutors, real};
pub use signals::{EarlySignals, StopSignal, hear_stop_signals, outlive_file_size_limit};
pub use simulated::{Simulation, SimulationError};
pub use simulated_network::Connection;
pub use simulated_producers::WrittenMessage;
pub use store::{Appender, DiskStore, LockGuard, Store, StoredPiece};

use crate::time::{Duration, Time};
use futures::future::BoxFuture;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Tells the time, and waits for a time.
pub trait Clock: Send + Sync {
    /// The current time. May jump when the machine's clock is set.
    fn now(&self) -> Time;
    /// The time since some fixed point. It never goes back.
    fn monotonic(&self) -> Duration;
    /// Waits until [`Clock::now`] is not before `time`.
    fn sleep_until(&self, time: Time) -> BoxFuture<'static, ()>;
    /// Waits for a span of time, even if [`Clock::now`] is set meanwhile.
    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()>;
}

/// Connects to servers, and lets clients connect to this host.
pub trait Network: Send + Sync {
    /// Connects to `address`, which is `host:port`, over TCP. If the other side disappears without closing the
    /// connection, reading from the connection fails after two minutes.
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Box<dyn Duplex>>>;

    /// Listens at an address over TCP. Port 0 stands for any free port.
    fn listen(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Listener>>>;
}

/// Waits until clients connect. When the listener is dropped, further clients are refused, and open connections stay
/// open.
pub trait Listener: Send + Sync {
    /// The address at which the listener listens. Its port is never 0.
    fn address(&self) -> SocketAddr;

    /// Waits for the next connection. After an error, the next call may succeed: the client may have gone, or the
    /// system may have no more files at the moment. If a client disappears without closing the connection, reading from
    /// the connection fails after two minutes.
    fn accept(&self) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>>;
}

/// Runs futures to their end. On every executor of a world, a future may wait for the clock, for servers and for
/// sockets, and may start other futures on any executor.
pub trait Executor: Send + Sync {
    /// Starts `future`. `name` is for logs. The future itself sends its result to whoever needs it. If the future
    /// panics, it ends, and [`Env::panics`] records the panic.
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>);

    /// Calls all functions, and returns when all have returned. An executor with several threads may call some of them at
    /// the same time.
    fn call_all(&self, calls: Vec<Call<'_>>) {
        calls.into_iter().for_each(|call| call());
    }
}

/// A function for [`Executor::call_all`].
pub type Call<'a> = Box<dyn FnOnce() + Send + 'a>;

/// A function that writes text in pieces, by calling the function that it gets.
pub type WritePieces<'a> = dyn FnMut(&mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()> + 'a;

/// The terminal, pipe or file to which `print` writes.
pub trait Console: Send + Sync {
    /// Writes text in one piece.
    ///
    /// # Errors
    /// The error of the terminal, pipe or file.
    fn write(&self, text: &str) -> io::Result<()>;
    /// Calls `write` with a function that writes one piece of text. Nobody else can write between the pieces.
    ///
    /// # Errors
    /// The error of the terminal, pipe or file, or the error that `write` returns.
    fn write_pieces(&self, write: &mut WritePieces<'_>) -> io::Result<()> {
        write(&mut |text| self.write(text))
    }
    /// Whether a person reads the text on a terminal. Control characters could deceive such a reader.
    fn is_terminal(&self) -> bool;
    /// Whether a program reads the text and wants one JSON object a line.
    fn takes_json(&self) -> bool {
        false
    }
}

/// Distinguishes processes, and knows the environment of this one.
pub trait Processes: Send + Sync {
    /// A name of this process that no other process has, now or later, on this machine or another. `None` if the system
    /// does not give one.
    fn this(&self) -> Option<String>;
    /// Whether the process with this name is known to have ended.
    fn has_ended(&self, process: &str) -> bool;
    /// The value of an environment variable of this process. `None` if the variable is not set, or is not text.
    fn variable(&self, name: &str) -> Option<String>;
}

/// Opens stores behind a network.
pub trait ObjectStores: Send + Sync {
    /// Opens the store at a URL such as `s3://bucket/prefix`. No request is sent yet.
    ///
    /// # Errors
    /// If the environment variables do not say how to reach the store. The error says what is missing.
    fn open(&self, url: &str) -> io::Result<Arc<dyn Store>>;

    /// Opens the same place for outputs.
    ///
    /// # Errors
    /// If the environment variables do not say how to reach the store. The error says what is missing.
    fn outputs(&self, url: &str) -> io::Result<Arc<dyn Objects>>;
}

/// The world, as one run of the host sees it.
#[derive(Clone)]
pub struct Env {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The files.
    pub disk: Arc<dyn Disk>,
    /// Connections to servers.
    pub network: Arc<dyn Network>,
    /// Connections to other programs of the user on this machine.
    pub local: Arc<dyn LocalSockets>,
    /// The terminal, pipe or file for printed batches.
    pub console: Arc<dyn Console>,
    /// Runs receivers, the scheduler and other actors. These wait most of the time.
    pub control: Arc<dyn Executor>,
    /// Runs tasks, which compute. Plugin code runs only here, so that it cannot delay a receiver.
    pub engine: Arc<dyn Executor>,
    /// Runs tasks as `engine` does, on threads that leave the processors to all other threads.
    pub low_engine: Arc<dyn Executor>,
    /// The process and the machine on which this host runs, for people.
    pub identity: Arc<str>,
    /// Whether processes of this machine have ended.
    pub processes: Arc<dyn Processes>,
    /// Stores behind a network.
    pub objects: Arc<dyn ObjectStores>,
    /// Streams of messages behind a network.
    pub message_streams: Arc<dyn MessageStreams>,
    /// Clusters of Kafka behind a network.
    pub kafka: Arc<dyn KafkaClusters>,
    /// Producers of messages, to write to topics behind a network.
    pub message_producers: Arc<dyn MessageProducers>,
    /// Runs futures that may wait long for a disk, a pipe or a terminal: each has a thread of its own.
    pub background: Arc<dyn Executor>,
    /// Runs futures as `background` does, on threads that leave the processors to all other threads. A future that is
    /// run here must not hold a lock for long.
    pub low_priority: Arc<dyn Executor>,
    /// The priority of the tasks of the run to which this world belongs.
    pub priority: Priority,
    /// The panics of host code.
    pub panics: Panics,
}
