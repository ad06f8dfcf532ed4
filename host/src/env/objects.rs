//! Objects that outputs save: whole objects, by name, which are visible only when they are complete.
//!
//! Owns the traits. No method blocks the thread that calls it. Never knows the content of the objects.

use super::StoredPiece;
use futures::future::BoxFuture;
use std::io;

/// The objects whose names begin with a prefix in a bucket. Names are paths with `/`, relative to the prefix.
pub trait Objects: Send + Sync {
    /// The objects and directories directly in a directory, in any order. The names of directories end with `/`. A
    /// directory that does not exist counts as empty.
    fn list(&self, directory: &str) -> BoxFuture<'_, io::Result<Vec<StoredPiece>>>;

    /// Stores an object. An existing object with the name is replaced.
    fn put(&self, name: &str, bytes: Vec<u8>) -> BoxFuture<'_, io::Result<()>>;

    /// Begins an object that is uploaded in pieces.
    fn upload(&self, name: &str) -> BoxFuture<'_, io::Result<Box<dyn Upload>>>;

    /// Removes objects. If some of them do not exist, that is not an error.
    fn remove(&self, names: Vec<String>) -> BoxFuture<'_, io::Result<()>>;
}

/// An object that is uploaded in pieces. It becomes visible only when it is complete. If it is dropped before, the
/// upload is given up.
pub trait Upload: Send {
    /// Uploads the next piece. All pieces except the last have [`UPLOAD_PIECE_BYTES`].
    fn add(&mut self, bytes: Vec<u8>) -> BoxFuture<'_, io::Result<()>>;

    /// Makes the object visible. An existing object with the name is replaced.
    fn complete(self: Box<Self>) -> BoxFuture<'static, io::Result<()>>;
}

/// The size of the pieces of an object. Stores accept at most 10,000 pieces, and only the last may be below 5 MiB.
pub const UPLOAD_PIECE_BYTES: usize = 8 << 20;
