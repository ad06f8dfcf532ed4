//! Connections between the programs of a simulated machine: pipes in memory, which are found by name.

use super::Disk as _;
use super::local::{Duplex, LocalListener, LocalSockets};
use super::memory_disk::MemoryDisk;
use crate::lock::lock;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

/// How many connections may wait until they are accepted.
const BACKLOG: usize = 16;
/// How many bytes may be in a pipe, in each direction.
const PIPE_BYTES: usize = 64 << 10;

type Names = Arc<Mutex<BTreeMap<PathBuf, mpsc::Sender<Box<dyn Duplex>>>>>;

/// The names of a machine, and the disk that they belong to.
#[derive(Clone)]
pub(super) struct Pipes {
    disk: MemoryDisk,
    names: Names,
}

impl Pipes {
    pub(super) fn new(disk: MemoryDisk) -> Self {
        Self { disk, names: Names::default() }
    }
}

impl LocalSockets for Pipes {
    fn listen<'a>(
        &'a self,
        directory: &'a Path,
        name: &'a str,
    ) -> BoxFuture<'a, io::Result<Option<Box<dyn LocalListener>>>> {
        Box::pin(async move {
            // The first program that listens in the directory creates it.
            self.disk.check_writable(directory.parent().unwrap_or(directory))?;
            let path = directory.join(name);
            let mut names = lock(&self.names);
            if names.get(&path).is_some_and(|taken| !taken.is_closed()) {
                return Ok(None);
            }
            let (connect, connections) = mpsc::channel(BACKLOG);
            names.insert(path.clone(), connect);
            let listener = Pipe { path, names: self.names.clone(), connections: AsyncMutex::new(connections) };
            Ok(Some(Box::new(listener) as Box<dyn LocalListener>))
        })
    }

    fn connect<'a>(&'a self, directory: &'a Path, name: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Duplex>>> {
        Box::pin(async move {
            let names = lock(&self.names);
            let listener = names.get(&directory.join(name)).ok_or(io::ErrorKind::NotFound)?;
            let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
            listener.try_send(Box::new(theirs)).map_err(|_| io::ErrorKind::ConnectionRefused)?;
            Ok(Box::new(ours) as Box<dyn Duplex>)
        })
    }
}

struct Pipe {
    path: PathBuf,
    names: Names,
    connections: AsyncMutex<mpsc::Receiver<Box<dyn Duplex>>>,
}

impl LocalListener for Pipe {
    fn accept(&self) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>> {
        Box::pin(async move {
            let next = self.connections.lock().await.recv().await;
            match next {
                Some(connection) => Ok(connection),
                // The name of the listener is removed, so nobody can connect any more.
                None => std::future::pending().await,
            }
        })
    }

    fn close(&self) {
        lock(&self.names).remove(&self.path);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.close();
    }
}
