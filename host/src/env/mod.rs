//! Everything the host asks of the world: time, files, sockets, a terminal, and someone to run its actors and tasks.
//!
//! Owns the traits and their two implementations: the real one, and the simulated one that runs the whole host on one
//! thread from one seed. Nothing else in the host reads a clock, opens a socket or spawns anything.

mod real;
mod simulated;

pub use real::{RealExecutors, StopSignals, real};
pub use simulated::{Connection, Simulation, SimulationError};

use crate::time::{Duration, Time};
use futures::future::BoxFuture;
use std::io;
use std::path::{Path, PathBuf};
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
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Its full path.
    pub path: PathBuf,
    /// Its name; bytes that are not UTF-8 are replaced.
    pub name: String,
    /// Whether it is a directory itself. Links are followed.
    pub is_directory: bool,
    /// When it was last modified.
    pub modified: Time,
    /// Its size, in bytes.
    pub bytes: u64,
}

/// Reads files.
pub trait Disk: Send + Sync {
    /// The whole content of a file of at most `max_bytes`.
    ///
    /// # Errors
    /// What the file system says, or [`io::ErrorKind::FileTooLarge`].
    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>>;

    /// What a directory holds, by name. An entry that vanishes meanwhile is left out.
    ///
    /// # Errors
    /// What the file system says.
    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>>;

    /// A reader of a file from byte `start` on.
    ///
    /// # Errors
    /// What the file system says.
    fn open(&self, path: &Path, start: u64) -> io::Result<Box<dyn io::Read + Send>>;
}

/// A connection that data comes from.
pub trait Incoming: AsyncRead + Send + Unpin {}
impl<T: AsyncRead + Send + Unpin> Incoming for T {}

/// Connects to servers.
pub trait Network: Send + Sync {
    /// Connects to `address`, `host:port`, over TCP.
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Box<dyn Incoming>>>;
}

/// Runs futures to their end.
pub trait Executor: Send + Sync {
    /// Starts `future`; `name` is for logs. What it returns, it sends itself.
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>);
}

/// Where `print` writes.
pub trait Console: Send + Sync {
    /// Writes text at once.
    ///
    /// # Errors
    /// What the terminal, pipe or file says.
    fn write(&self, text: &str) -> io::Result<()>;
    /// Whether a person sees the text on a terminal, which control characters could fool.
    fn is_terminal(&self) -> bool;
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
    /// The terminal.
    pub console: Arc<dyn Console>,
    /// Runs receivers, the scheduler and other actors, which wait most of the time.
    pub control: Arc<dyn Executor>,
    /// Runs tasks, which compute. Plugin code runs nowhere else, so it cannot starve a receiver.
    pub engine: Arc<dyn Executor>,
}
