//! What a simulation has behind its network and around its program: object stores on its disk, and processes that end.
//!
//! Owns the store without locks. A bucket is a directory of the simulated disk, so that whatever befalls the disk befalls
//! it, too. Never fails in a way of its own.

use super::memory_disk::MemoryDisk;
use super::{Appender, DiskStore, LockGuard, ObjectStores, Processes, Store, StoredPiece};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The directory of all buckets.
const BUCKETS: &str = "/buckets";

impl ObjectStores for MemoryDisk {
    fn open(&self, url: &str) -> io::Result<Arc<dyn Store>> {
        let place = url.strip_prefix("s3://").ok_or(io::ErrorKind::InvalidInput)?;
        let store = DiskStore::new(Arc::new(self.clone()), Path::new(BUCKETS).join(place));
        Ok(Arc::new(Bucket { store, url: url.to_owned() }))
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
}

/// A store in a directory in which nothing can be locked.
struct Bucket {
    store: DiskStore,
    url: String,
}

impl Store for Bucket {
    fn read(&self, name: &str, max_bytes: u64) -> io::Result<Vec<u8>> {
        self.store.read(name, max_bytes)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<StoredPiece>> {
        self.store.list(directory)
    }

    fn directories(&self, directory: &str) -> io::Result<Vec<String>> {
        self.store.directories(directory)
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
