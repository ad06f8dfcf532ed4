//! The outside of a simulated program: object stores, which are kept on the simulated disk, and processes that end.
//!
//! Owns the store without locks. A bucket is a directory of the simulated disk, so that faults of the disk also affect
//! the bucket. Never adds faults of its own.

use super::memory_disk::MemoryDisk;
use super::{Appender, DiskStore, LockGuard, ObjectStores, Objects, Processes, Store, StoredPiece, Upload};
use futures::future::BoxFuture;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The directory of all buckets.
const BUCKETS: &str = "/buckets";

impl ObjectStores for MemoryDisk {
    fn open(&self, url: &str) -> io::Result<Arc<dyn Store>> {
        Ok(Arc::new(Bucket::new(self, url)?))
    }

    fn outputs(&self, url: &str) -> io::Result<Arc<dyn Objects>> {
        Ok(Arc::new(Arc::new(Bucket::new(self, url)?)))
    }
}

impl Processes for MemoryDisk {
    fn this(&self) -> Option<String> {
        Some(format!("process {}", self.killed()))
    }

    fn has_ended(&self, process: &str) -> bool {
        let number = process.strip_prefix("process ").and_then(|number| number.parse().ok());
        number.is_some_and(|number: u64| number < self.killed())
    }

    /// The simulation has no environment variables.
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

/// A store in a directory in which nothing can be locked.
struct Bucket {
    store: DiskStore,
    url: String,
}

impl Bucket {
    fn new(disk: &MemoryDisk, url: &str) -> io::Result<Self> {
        let place = url.strip_prefix("s3://").ok_or(io::ErrorKind::InvalidInput)?;
        let store = DiskStore::new(Arc::new(disk.clone()), Path::new(BUCKETS).join(place));
        Ok(Self { store, url: url.to_owned() })
    }

    /// Whether there is an object somewhere below a directory. An object store has no directories: the names of
    /// directories are parts of the names of objects.
    fn has_objects(&self, directory: &str) -> io::Result<bool> {
        if !self.store.list(directory)?.is_empty() {
            return Ok(true);
        }
        for below in self.store.directories(directory)? {
            if self.has_objects(&format!("{directory}/{below}"))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Store for Bucket {
    fn read(&self, name: &str, max_bytes: u64) -> io::Result<Vec<u8>> {
        self.store.read(name, max_bytes)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<StoredPiece>> {
        self.store.list(directory)
    }

    fn directories(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut names = self.store.directories(directory)?;
        let mut outcome = Ok(());
        names.retain(|name| match self.has_objects(&format!("{directory}/{name}")) {
            Ok(has_objects) => has_objects,
            Err(error) => {
                outcome = Err(error);
                false
            }
        });
        outcome.map(|()| names)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.store.put(name, bytes)
    }

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.store.create(name, bytes)
    }

    fn appender(&self, name: &str) -> io::Result<Box<dyn Appender>> {
        self.store.appender(name)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.store.remove(name)
    }

    fn lock(&self, _: &str) -> io::Result<Option<LockGuard>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn describe(&self) -> String {
        self.url.clone()
    }
}

impl Objects for Arc<Bucket> {
    fn list(&self, directory: &str) -> BoxFuture<'_, io::Result<Vec<StoredPiece>>> {
        let listed = self.store.list(directory).and_then(|mut pieces| {
            let directories = Store::directories(&**self, directory)?.into_iter();
            pieces.extend(directories.map(|name| StoredPiece { name: name + "/", bytes: 0 }));
            Ok(pieces)
        });
        Box::pin(async move { listed })
    }

    fn put(&self, name: &str, bytes: Vec<u8>) -> BoxFuture<'_, io::Result<()>> {
        let name = name.to_owned();
        Box::pin(async move { self.store.put(&name, &bytes) })
    }

    fn upload(&self, name: &str) -> BoxFuture<'_, io::Result<Box<dyn Upload>>> {
        let upload = Pieces { bucket: self.clone(), name: name.to_owned(), bytes: Vec::new() };
        Box::pin(async move { Ok(Box::new(upload) as Box<dyn Upload>) })
    }

    fn remove(&self, names: Vec<String>) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move { names.iter().try_for_each(|name| self.store.remove(name)) })
    }
}

/// The pieces of an object that were uploaded so far.
struct Pieces {
    bucket: Arc<Bucket>,
    name: String,
    bytes: Vec<u8>,
}

impl Upload for Pieces {
    fn add(&mut self, bytes: Vec<u8>) -> BoxFuture<'_, io::Result<()>> {
        self.bytes.extend(bytes);
        Box::pin(async { Ok(()) })
    }

    fn complete(self: Box<Self>) -> BoxFuture<'static, io::Result<()>> {
        Box::pin(async move { self.bucket.store.put(&self.name, &self.bytes) })
    }
}
