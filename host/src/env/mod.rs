//! Everything the host asks of the world: time, files, sockets, a terminal, and someone to run its actors and tasks.
//!
//! Owns the traits and their two implementations: the real one, and the simulated one that runs the whole host on one
//! thread from one seed. Nothing else in the host reads a clock, opens a socket or spawns anything.

mod alarm;
mod disk;
mod failure;
mod last_resort;
mod local;
mod machine_time;
mod memory_disk;
mod objects;
mod panics;
mod processes;
mod real;
mod real_disk;
mod real_local;
mod s3;
mod signals;
mod simulated;
mod simulated_local;
mod simulated_objects;
mod store;
mod virtual_clock;

#[cfg(test)]
mod contract;

pub use disk::{DirectoryEntry, Disk, FileId, OutputFile, ScratchFile};
pub use failure::{StoreError, StoreFault, advice, persistence, persistence_of_kind};
pub use last_resort::LastResort;
pub use local::{Duplex, LocalListener, LocalSockets};
pub use objects::{Objects, UPLOAD_PIECE_BYTES, Upload};
pub use panics::{Panic, Panics, catch_panic, catch_panic_of};
pub use real::{RealExecutors, real};
pub use signals::{hear_stop_signals, outlive_file_size_limit};
pub use simulated::{Connection, Simulation, SimulationError};
pub use store::{Appender, DiskStore, LockGuard, Store, StoredPiece};

use crate::time::{Duration, Time};
use futures::future::BoxFuture;
use std::io;
use std::sync::Arc;
use tokio::io::AsyncRead;

/// Tells the time, and waits for it.
pub trait Clock: Send + Sync {
    /// The current time. May jump when the machine's clock is set.
    fn now(&self) -> Time;
    /// How long it is since some fixed point. Never goes back.
    fn monotonic(&self) -> Duration;
    /// Waits until [`Clock::now`] is not before `time`.
    fn sleep_until(&self, time: Time) -> BoxFuture<'static, ()>;
    /// Waits for a span, whatever [`Clock::now`] is set to meanwhile.
    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()>;
}

/// A connection that data comes from.
pub trait Incoming: AsyncRead + Send + Unpin {}
impl<T: AsyncRead + Send + Unpin> Incoming for T {}

/// Connects to servers.
pub trait Network: Send + Sync {
    /// Connects to `address`, `host:port`, over TCP. When the other side vanishes without a word, reading from the
    /// connection fails after two minutes.
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Box<dyn Incoming>>>;
}

/// Runs futures to their end. On each executor of a world a future may wait for the clock, for servers and for sockets,
/// and may start other futures on every executor.
pub trait Executor: Send + Sync {
    /// Starts `future`; `name` is for logs. The future itself sends what it has found out. If it panics, it ends, and
    /// [`Env::panics`] records the panic.
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>);
}

/// Writes text in pieces to what it is given.
pub type WritePieces<'a> = dyn FnMut(&mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()> + 'a;

/// Where `print` writes.
pub trait Console: Send + Sync {
    /// Writes text at once.
    ///
    /// # Errors
    /// What the terminal, pipe or file says.
    fn write(&self, text: &str) -> io::Result<()>;
    /// Calls `write` with what takes text, piece by piece, and lets nobody else write between the pieces.
    ///
    /// # Errors
    /// What the terminal, pipe or file says, or `write`.
    fn write_pieces(&self, write: &mut WritePieces<'_>) -> io::Result<()> {
        write(&mut |text| self.write(text))
    }
    /// Whether a person sees the text on a terminal, which control characters could fool.
    fn is_terminal(&self) -> bool;
    /// Whether a program reads the text, and wants one JSON object a line.
    fn takes_json(&self) -> bool {
        false
    }
}

/// Tells processes apart.
pub trait Processes: Send + Sync {
    /// What no other process is called, now or later, on this machine or another. Nothing if the system does not say.
    fn this(&self) -> Option<String>;
    /// Whether the process that was called so is known to have ended.
    fn has_ended(&self, process: &str) -> bool;
}

/// Opens stores behind a network.
pub trait ObjectStores: Send + Sync {
    /// The store at a URL such as `s3://bucket/prefix`. Nothing is asked of the network yet.
    ///
    /// # Errors
    /// When the environment does not say how to reach it, and what is missing.
    fn open(&self, url: &str) -> io::Result<Arc<dyn Store>>;

    /// The same place, for outputs.
    ///
    /// # Errors
    /// When the environment does not say how to reach it, and what is missing.
    fn outputs(&self, url: &str) -> io::Result<Arc<dyn Objects>>;
}

/// The world, as one run of the host sees it.
#[derive(Clone)]
pub struct Env {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Servers.
    pub network: Arc<dyn Network>,
    /// Other programs of the user on this machine.
    pub local: Arc<dyn LocalSockets>,
    /// The terminal.
    pub console: Arc<dyn Console>,
    /// Runs receivers, the scheduler and other actors, which wait most of the time.
    pub control: Arc<dyn Executor>,
    /// Runs tasks, which compute. Plugin code runs nowhere else, so it cannot starve a receiver.
    pub engine: Arc<dyn Executor>,
    /// Who this is, for people: a process and its machine.
    pub identity: Arc<str>,
    /// Whether processes of this machine have ended.
    pub processes: Arc<dyn Processes>,
    /// Stores behind a network.
    pub objects: Arc<dyn ObjectStores>,
    /// Runs what waits for a disk, a pipe or a terminal while nobody waits for it: a thread each.
    pub background: Arc<dyn Executor>,
    /// Which host code has panicked.
    pub panics: Panics,
}
