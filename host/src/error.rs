//! The error every command ends with: who has to act, what failed, why, and what to do.
//!
//! Owns [`Error`] and [`ErrorKind`]. Sits at the bottom of the module graph and names no other module: each module
//! has its own `thiserror` enum and converts it upward, choosing the kind there.

use std::fmt;

/// Who has to act on an error. Decides the exit code of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The job file, the command line or a file they name is wrong: the person who wrote it has to change it.
    User,
    /// Plugin code trapped, timed out, exceeded a limit or returned something invalid: its author has to act.
    Plugin,
    /// Something outside did not answer: trying again later may help.
    Unavailable,
    /// Bytes that Millstream wrote earlier cannot be read back.
    Data,
    /// A defect of the host itself.
    Internal,
}

impl ErrorKind {
    /// The exit code of a program that ends with an error of this kind.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::User => 2,
            Self::Plugin => 3,
            Self::Unavailable => 4,
            Self::Data => 5,
            Self::Internal => 70,
        }
    }
}

/// A failure as its reader sees it: a message that names the subject and the cause, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Who has to act.
    pub kind: ErrorKind,
    /// What failed and why: lower case, without a final period, with the subject's identity.
    pub message: String,
    /// What the reader can do, with real values.
    pub help: Option<String>,
}

impl Error {
    /// An error without advice. Prefer adding some with [`Error::help`].
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), help: None }
    }

    /// Adds what the reader can do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Prints `message`, then `help: ...` on a line of its own. The caller puts `error: ` before it.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(help) = &self.help {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
