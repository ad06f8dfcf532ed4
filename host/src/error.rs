//! The error that a failed command ends with: who has to act, what failed, why, and what to do.
//!
//! Owns [`Error`], [`ErrorKind`] and [`Persistence`]. Sits at the bottom of the module graph, beside `shown`: each
//! other module has its own `thiserror` enum and converts it upward, choosing the kind there.

use crate::shown::lines;
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

    /// The name of the kind, for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Plugin => "plugin",
            Self::Unavailable => "unavailable",
            Self::Data => "data",
            Self::Internal => "internal",
        }
    }

    /// The kind with this name. `None` if there is no such kind.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind of the errors with which a program ends that has this exit code. `None` if there is no such kind.
    pub fn of_exit_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.exit_code() == code)
    }

    const ALL: [Self; 5] = [Self::User, Self::Plugin, Self::Unavailable, Self::Data, Self::Internal];
}

/// Whether the same attempt could succeed when it is made again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Persistence {
    /// The attempt could succeed later: the cause may be temporary, such as a server that does not answer.
    Transient,
    /// The attempt cannot succeed later: somebody has to change something first.
    Permanent,
}

/// A failure as the user sees it: a message that names the subject and the cause, and advice what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Who has to act.
    pub kind: ErrorKind,
    /// What failed and why: lower case, without a final period, with the subject's identity.
    pub message: String,
    /// What the reader can do, with real values.
    pub help: Option<String>,
    /// Whether the cause may be temporary.
    pub persistence: Persistence,
}

impl Error {
    /// An error without advice. Prefer adding advice with [`Error::help`]. The message is escaped by [`lines`]. An
    /// error of kind [`ErrorKind::Unavailable`] is transient, unless [`Error::lasting`] says something else. All other
    /// errors are permanent.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let persistence = match kind {
            ErrorKind::Unavailable => Persistence::Transient,
            _ => Persistence::Permanent,
        };
        Self { kind, message: lines(&message.into()).into_owned(), help: None, persistence }
    }

    /// Sets whether the cause may be temporary.
    #[must_use]
    pub const fn lasting(mut self, persistence: Persistence) -> Self {
        self.persistence = persistence;
        self
    }

    /// Adds what the reader can do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(lines(&help.into()).into_owned());
        self
    }

    /// An error of several mistakes that are reported at once. `message` has each mistake on lines of its own, in
    /// printable form. The caller has escaped all text from outside.
    pub const fn of_mistakes(kind: ErrorKind, message: String) -> Self {
        Self { kind, message, help: None, persistence: Persistence::Permanent }
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
