//! The errors of `load` if the settings are wrong: all mistakes at once, each with its place and what to do about it.
//!
//! Owns [`ConfigError`] and [`ConfigErrors`], and how several mistakes become one [`Error`]. Never decides what is a
//! mistake.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// One mistake in the job file or on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The place of the mistake, in a form that can be copied: `job.toml line 4`, `job.toml line 4, column 9`,
    /// `job.toml` or `--set sources.lines.address`.
    pub place: String,
    /// The line in the job file, counted from 1. `None` for a mistake on the command line or of the file as a whole.
    pub line: Option<usize>,
    /// The mistake: lower case, one line, without a final period.
    pub message: String,
    /// What to do about the mistake, with real values: one line.
    pub help: String,
}

/// Shows a mistake as `job.toml line 4: <message>`, then `help: <help>` on a line of its own.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\nhelp: {}", self.place, self.message, self.help)
    }
}

/// All mistakes; there is at least one. First come mistakes with a line, ordered by line. Then come mistakes of the
/// file as a whole. Then come mistakes on the command line, in its order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", joined(.errors))]
pub struct ConfigErrors {
    /// The mistakes in the order in which they are printed.
    pub errors: Vec<ConfigError>,
}

/// Joins all mistakes, one below the other. The caller writes `error: ` before the first, as before every error.
fn joined(errors: &[ConfigError]) -> String {
    errors.iter().map(ConfigError::to_string).collect::<Vec<_>>().join("\nerror: ")
}

/// Converts the mistakes to one error of kind `User` that prints as [`ConfigErrors`] does. The help of the last mistake
/// becomes the `help` of the error. The help of any other mistake stands below its message.
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
