//! Objects as outputs save them: whole, by name, and seen only when they are complete.
//!
//! Owns the traits. Nothing here waits on the thread that asks. Never knows what the objects hold.

use super::StoredPiece;
use futures::future::BoxFuture;
use std::io;

/// What begins with a prefix in a bucket. Names are paths with `/`, relative to it.
pub trait Objects: Send + Sync {
    /// What stands right below a directory, in no order; the names of directories end with `/`. A directory that is not
    /// there is empty.
    fn list(&self, directory: &str) -> BoxFuture<'_, io::Result<Vec<StoredPiece>>>;

    /// Stores an object, in place of the one that had the name.
    fn put(&self, name: &str, bytes: Vec<u8>) -> BoxFuture<'_, io::Result<()>>;

    /// Begins an object that is brought in pieces.
    fn upload(&self, name: &str) -> BoxFuture<'_, io::Result<Box<dyn Upload>>>;

    /// Removes objects. It is no error if they are not there.
    fn remove(&self, names: Vec<String>) -> BoxFuture<'_, io::Result<()>>;
}

/// An object that is brought in pieces. Nothing is seen of it until it is complete; dropped before that, it is given up.
pub trait Upload: Send {
    /// Brings the next piece: all but the last one of [`UPLOAD_PIECE_BYTES`].
    fn add(&mut self, bytes: Vec<u8>) -> BoxFuture<'_, io::Result<()>>;

    /// Makes it seen, in place of the object that had the name.
    fn complete(self: Box<Self>) -> BoxFuture<'static, io::Result<()>>;
}

/// The size of the pieces of an object. Stores take 10,000 of them, and none but the last below 5 MiB.
pub const UPLOAD_PIECE_BYTES: usize = 8 << 20;
