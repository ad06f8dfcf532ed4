//! The secrets of a source or a connection, such as a token or a password: how they are read.
//!
//! Owns where a secret may be: in a file, or in an environment variable. Never shows a secret: not in messages, events or
//! settings.

use crate::config::Secret;
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::shown::Shown as _;
use std::io;
use std::path::PathBuf;

/// The largest file with a secret, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 10;

/// Why a secret cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("{of}: cannot read its `{key}`, {}: {error}", path.shown())]
    Unreadable {
        /// The table that names the secret: ``source `lines` ``.
        of: String,
        /// The key that names the file.
        key: String,
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The environment variable is not set.
    #[error("{of}: the environment variable {variable} is not set")]
    NoVariable {
        /// The table that names the secret: ``source `lines` ``.
        of: String,
        /// The key that names the variable.
        key: String,
        /// The variable.
        variable: String,
    },
    /// The file or the variable holds something else.
    #[error("{of}: {place} holds no {expected}")]
    Unfit {
        /// The table that names the secret: ``source `lines` ``.
        of: String,
        /// The file or the variable.
        place: String,
        /// What it should hold.
        expected: &'static str,
        /// What the reader can do.
        help: &'static str,
    },
}

/// A secret as it was read.
pub struct Found {
    /// The table that names the secret.
    of: String,
    /// The file or the variable, for people.
    place: String,
    /// The secret, without the white space around it.
    bytes: Vec<u8>,
}

/// Reads the secret that `key` of a table names. `of` is the table, for people: ``source `lines` ``.
///
/// # Errors
/// If the file cannot be read, or if the environment variable is not set.
pub fn read(env: &Env, of: &str, key: &str, secret: &Secret) -> Result<Found, SecretError> {
    let (of, key) = (of.to_owned(), key.to_owned());
    let (place, bytes) = match secret {
        Secret::File(path) => match env.disk.read(path, FILE_BYTES_MAX) {
            Ok(bytes) => (path.shown().to_string(), bytes),
            Err(error) => return Err(SecretError::Unreadable { of, key, path: path.clone(), error }),
        },
        Secret::Variable(variable) => match env.processes.variable(variable) {
            Some(text) => (format!("the environment variable {variable}"), text.into_bytes()),
            None => return Err(SecretError::NoVariable { of, key, variable: variable.clone() }),
        },
    };
    Ok(Found { of, place, bytes: bytes.trim_ascii().to_vec() })
}

impl Found {
    /// The secret as one word of ASCII letters, digits and signs.
    ///
    /// # Errors
    /// If the secret is anything else.
    pub fn token(self) -> Result<Vec<u8>, SecretError> {
        if self.bytes.is_empty() || !self.bytes.iter().all(u8::is_ascii_graphic) {
            let help = "write a token such as that of `openssl rand -hex 32`, and nothing else";
            return Err(self.unfit("token: one word of ASCII letters, digits and signs", help));
        }
        Ok(self.bytes)
    }

    /// The secret as a text that is not empty and fulfils a condition. If it does not, the place of the secret holds none
    /// of what is `expected`.
    ///
    /// # Errors
    /// If the secret is empty, is not UTF-8, or does not fulfil the condition.
    pub fn text(
        self,
        expected: &'static str,
        help: &'static str,
        is_fit: impl FnOnce(&str) -> bool,
    ) -> Result<String, SecretError> {
        match std::str::from_utf8(&self.bytes) {
            Ok(text) if !text.is_empty() && is_fit(text) => Ok(text.to_owned()),
            _ => Err(self.unfit(expected, help)),
        }
    }

    fn unfit(self, expected: &'static str, help: &'static str) -> SecretError {
        SecretError::Unfit { of: self.of, place: self.place, expected, help }
    }
}

impl From<SecretError> for Error {
    fn from(error: SecretError) -> Self {
        let help = match &error {
            SecretError::Unreadable { .. } => {
                "the path is relative to the job file, and the host must be allowed to read it".to_owned()
            }
            SecretError::NoVariable { key, .. } => {
                format!("set it for the host, or name a file as in `{key} = \"file:{key}.txt\"`")
            }
            SecretError::Unfit { help, .. } => (*help).to_owned(),
        };
        Self::new(ErrorKind::User, error.to_string()).help(help)
    }
}
