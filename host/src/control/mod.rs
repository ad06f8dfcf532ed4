//! Control of a job that runs, by other programs of the same user: how it is, and that it has to stop.
//!
//! Owns the socket's place, what is said on it, and both ends of the conversation. What is said is decided by pure functions
//! in `protocol.rs`. Whatever a client does, or does not, never holds up the job: clients are few, lines short, and whoever
//! is silent is let go. Never stops the job itself: it tells whoever started it.

mod client;
mod lines;
mod protocol;
mod server;

pub use client::{Client, ClientError};
pub use protocol::{Answer, Request, VERSION};
pub use server::{Control, Farewell};

use crate::data::key::hash;
use std::path::{Path, PathBuf};

/// The longest name of a job that is in the name of its socket as a whole.
const NAME_BYTES_MAX: usize = 64;
/// How much of a longer one is.
const NAME_BYTES_KEPT: usize = 47;

/// The directory below that of a job file in which its jobs listen. Only the user of the hosts can enter it.
const DIRECTORY: &str = ".millstream";

/// Where a job listens: a directory beside its job file, and the name of a socket there, `NAME.sock`. Of a long name the
/// end is replaced by its hash, so that it fits into the address of a socket.
pub fn socket_place(directory: &Path, job: &str) -> (PathBuf, String) {
    let name = match job.get(..NAME_BYTES_KEPT) {
        Some(start) if job.len() > NAME_BYTES_MAX => format!("{start}-{:016x}.sock", hash(job.as_bytes())),
        _ => format!("{job}.sock"),
    };
    (directory.join(DIRECTORY), name)
}

#[cfg(test)]
mod tests;
