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
use crate::env::Env;
use std::io;
use std::path::{Path, PathBuf};

/// The longest job name that is used as a whole in the name of the socket, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// How many bytes of a longer job name are used.
const NAME_BYTES_KEPT: usize = 47;

/// The longest answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The directory, beside a job file, in which jobs listen. Only the user of the hosts can enter this directory.
const DIRECTORY: &str = ".millstream";

/// The end of the name of each socket.
const EXTENSION: &str = ".sock";

/// Where a job listens: a directory beside its job file, and the name of a socket in this directory, `NAME.sock`. The
/// end of a long job name is replaced by a hash, so that the path fits into the address of a socket.
pub fn socket_place(directory: &Path, job: &str) -> (PathBuf, String) {
    let name = match job.get(..NAME_BYTES_KEPT) {
        Some(start) if job.len() > NAME_BYTES_MAX => format!("{start}-{:016x}{EXTENSION}", hash(job.as_bytes())),
        _ => format!("{job}{EXTENSION}"),
    };
    (directory.join(DIRECTORY), name)
}

/// The sockets of the jobs whose files are in a directory: the directory in which the jobs listen, and the names of the
/// sockets in it. A job that was killed leaves its socket behind.
///
/// # Errors
/// The error of the file system, for example if the directory of the sockets belongs to another user. No error if no job
/// ever ran.
pub fn sockets(env: &Env, directory: &Path) -> io::Result<(PathBuf, Vec<String>)> {
    let place = directory.join(DIRECTORY);
    let entries = match env.disk.list(&place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        entries => entries?,
    };
    let names = entries.into_iter().filter(|entry| !entry.is_directory).map(|entry| entry.name);
    Ok((place, names.filter(|name| name.ends_with(EXTENSION)).collect()))
}

#[cfg(test)]
mod tests;
