//! Connections between programs of one user on one machine.
//!
//! Owns the traits. Never decides what is said on a connection, nor who may say it: only programs of the same user and of
//! the superuser can connect at all.

use futures::future::BoxFuture;
use std::io;
use std::path::Path;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Waits for other programs to connect. Its name is gone when it is dropped or closed.
pub trait LocalListener: Send + Sync {
    /// Waits for the next connection.
    fn accept(&self) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>>;

    /// Removes the name. Connections stay.
    fn close(&self);
}

/// Listens and connects by names in directories.
pub trait LocalSockets: Send + Sync {
    /// Listens under a name in a directory, which is made if it is not there, and which other users cannot enter
    /// afterwards. A name that a program left behind that is gone is taken over. `None` if a program still listens there.
    fn listen<'a>(
        &'a self,
        directory: &'a Path,
        name: &'a str,
    ) -> BoxFuture<'a, io::Result<Option<Box<dyn LocalListener>>>>;

    /// Connects to who listens under a name in a directory, if that is a program of the same user or of the superuser; the
    /// superuser connects to everybody.
    fn connect<'a>(&'a self, directory: &'a Path, name: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Duplex>>>;
}
