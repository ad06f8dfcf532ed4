//! Connections between programs of one user on one machine.
//!
//! Owns the traits. Never decides what is sent on a connection, nor who may send it: only programs of the same user and
//! of the superuser can connect at all.

use futures::future::BoxFuture;
use std::io;
use std::path::Path;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Waits until other programs connect. When the listener is dropped or closed, its name is removed.
pub trait LocalListener: Send + Sync {
    /// Waits for the next connection.
    fn accept(&self) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>>;

    /// Removes the name. Open connections stay open.
    fn close(&self);
}

/// Listens and connects by names in directories.
pub trait LocalSockets: Send + Sync {
    /// Listens under a name in a directory. The directory is created if it does not exist, and other users cannot enter
    /// it afterwards. If a program that has ended has left the name, the name is taken over. `None` if a program still
    /// listens under the name.
    fn listen<'a>(
        &'a self,
        directory: &'a Path,
        name: &'a str,
    ) -> BoxFuture<'a, io::Result<Option<Box<dyn LocalListener>>>>;

    /// Connects to the program that listens under a name in a directory. This works only if the program belongs to the
    /// same user or to the superuser; the superuser can connect to programs of all users.
    fn connect<'a>(&'a self, directory: &'a Path, name: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Duplex>>>;
}
