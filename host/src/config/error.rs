//! What `load` answers when the settings are wrong: every mistake at once, each with its place and its remedy.
//!
//! Owns [`ConfigError`] and [`ConfigErrors`], and how several of them read as one [`Error`]. Never decides what is a
//! mistake.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// One mistake in the job file or on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where it is, to be copied: `job.toml line 4`, `job.toml line 4, column 9`, `job.toml` or
    /// `--set sources.lines.address`.
    pub place: String,
    /// The line in the job file, counted from 1; none for a mistake on the command line or of the file as a whole.
    pub line: Option<usize>,
    /// What is wrong: lower case, one line, without a final period.
    pub message: String,
    /// What to do about it, with real values: one line.
    pub help: String,
}

/// Prints `job.toml line 4: <message>`, then `help: <help>` on a line of its own.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\nhelp: {}", self.place, self.message, self.help)
    }
}

/// All mistakes found, at least one: first those with a line, by line; then those of the file as a whole; then those
/// of the command line, in its order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", joined(.errors))]
pub struct ConfigErrors {
    /// The mistakes in the order in which they are printed.
    pub errors: Vec<ConfigError>,
}

/// All errors under each other. The caller puts `error: ` before the first, as it does for any error.
fn joined(errors: &[ConfigError]) -> String {
    errors.iter().map(ConfigError::to_string).collect::<Vec<_>>().join("\nerror: ")
}

/// Becomes one error of kind `User` that prints as [`ConfigErrors`] does: the last help is the `help` of the error,
/// the others stand under their message.
impl From<ConfigErrors> for Error {
    fn from(all: ConfigErrors) -> Self {
        let text = all.to_string();
        match all.errors.last() {
            None => Self::new(ErrorKind::User, text),
            Some(last) => {
                let message = text.strip_suffix(&format!("\nhelp: {}", last.help)).unwrap_or(&text);
                Self::of_mistakes(ErrorKind::User, message.to_owned()).help(&last.help)
            }
        }
    }
}
