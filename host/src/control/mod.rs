//! Control of a running job by other programs of the same user: they ask for its status and its state, and request
//! a stop.
//!
//! Owns the place of the socket, the protocol, and both ends of the connection. Pure functions in `protocol.rs` define
//! the protocol. A client can never delay the job: clients are few, lines are short, and a silent client is
//! disconnected. Never stops the job itself: it hands the request to the code that started the job.

mod client;
mod lines;
mod protocol;
mod server;

pub use client::{Client, ClientError};
pub use protocol::{Answer, Request, VERSION};
pub use server::{Control, Farewell};

use crate::data::key::hash;
use std::path::{Path, PathBuf};

/// The longest job name that is used as a whole in the name of the socket, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// How many bytes of a longer job name are used.
const NAME_BYTES_KEPT: usize = 47;

/// The longest answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The directory, beside a job file, in which jobs listen. Only the user of the hosts can enter this directory.
const DIRECTORY: &str = ".millstream";

/// Where a job listens: a directory beside its job file, and the name of a socket in this directory, `NAME.sock`. The
/// end of a long job name is replaced by a hash, so that the path fits into the address of a socket.
pub fn socket_place(directory: &Path, job: &str) -> (PathBuf, String) {
    let name = match job.get(..NAME_BYTES_KEPT) {
        Some(start) if job.len() > NAME_BYTES_MAX => format!("{start}-{:016x}.sock", hash(job.as_bytes())),
        _ => format!("{job}.sock"),
    };
    (directory.join(DIRECTORY), name)
}

#[cfg(test)]
mod tests;
