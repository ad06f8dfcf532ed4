//! The errors of receivers, and why records of a receiver are not stored.

use crate::time::Duration;
use std::fmt;

/// Why a receiver gave up, and whether it is started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverError {
    pub(super) message: String,
    pub(super) restart: Restart,
}

/// Whether and when the receiver is started again after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    /// The receiver is started again after the delay that the job file sets.
    AsConfigured,
    /// The receiver is started again after this delay.
    After(Duration),
    /// The receiver is not started again.
    Never,
}

impl ReceiverError {
    /// Makes an error after which the receiver is started again, after the source's delay. Spark's `restart(message)`.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), restart: Restart::AsConfigured }
    }

    /// Changes the delay after which the receiver is started again.
    #[must_use]
    pub fn restart_after(mut self, delay: Duration) -> Self {
        self.restart = Restart::After(delay);
        self
    }

    /// Makes this error final: the receiver is not started again, and the job goes on without it. Spark's
    /// `stop(message)`.
    #[must_use]
    pub fn and_stop(mut self) -> Self {
        self.restart = Restart::Never;
        self
    }
}

impl fmt::Display for ReceiverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReceiverError {}

impl From<std::io::Error> for ReceiverError {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<StoreError> for ReceiverError {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Stopped => Self::new(message),
            // Another attempt would give the same error.
            StoreError::NotText { .. } | StoreError::WrongType { .. } | StoreError::Rows { .. } => {
                Self::new(message).and_stop()
            }
        }
    }
}

/// Why records were not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No batch will read the records any more. A reliable receiver must not acknowledge them.
    #[error("the receiver was stopped: what it gave is not stored")]
    Stopped,
    /// The receiver stores lines, but the records of the source are not text.
    #[error("the plugin reads {expected} from source `{name}`, but its receiver gives lines of text")]
    NotText {
        /// The name of the source.
        name: String,
        /// The type of the source's records.
        expected: String,
    },
    /// The rows have another type than the records of the source.
    #[error("the plugin reads {expected} from source `{name}`, but its receiver gives columns {found}")]
    WrongType {
        /// The name of the source.
        name: String,
        /// The type of the source's records.
        expected: String,
        /// The columns of the rows.
        found: String,
    },
    /// JSON values that are not records of the source's type.
    #[error("source `{name}`: {problem}")]
    Rows {
        /// The name of the source.
        name: String,
        /// The fault of the values.
        problem: String,
    },
}

/// Why a receiver cannot be made with the given options.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// A required option is missing.
    #[error("`sources.{source_name}.options.{option}` is missing")]
    Missing {
        /// The name of the source.
        source_name: String,
        /// The name of the option.
        option: String,
    },
    /// An option has a value that the receiver does not accept.
    #[error("sources.{source_name}.options.{option} = {value:?} {problem}")]
    Value {
        /// The name of the source.
        source_name: String,
        /// The name of the option.
        option: String,
        /// The value of the option.
        value: String,
        /// The fault of the value, such as `is not a port`.
        problem: String,
    },
    /// There is an option that the receiver does not know.
    #[error("unknown option `sources.{source_name}.options.{option}`")]
    Unknown {
        /// The name of the source.
        source_name: String,
        /// The name of the option.
        option: String,
        /// The options that the receiver knows.
        known: Vec<String>,
    },
    /// No receiver of this name is registered.
    #[error("there is no receiver `{receiver}` for source `{source_name}`")]
    NoReceiver {
        /// The name of the source.
        source_name: String,
        /// The name of the receiver.
        receiver: String,
        /// The names of the registered receivers.
        known: Vec<String>,
    },
}

impl OptionError {
    /// What the user can do about the error.
    pub fn help(&self) -> String {
        let listed = |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        match self {
            Self::Missing { source_name, option } => {
                format!("add `{option} = \"...\"` to `options` of [sources.{source_name}]")
            }
            Self::Value { .. } => "the receiver's documentation says what it takes".to_owned(),
            Self::Unknown { known, .. } if known.is_empty() => "remove it: the receiver has no options".to_owned(),
            Self::Unknown { known, .. } => format!("the receiver has the options {}", listed(known)),
            Self::NoReceiver { known, .. } if known.is_empty() => {
                "the program `host` has no receivers of its own: embed the host in a program that registers this one, as \
                 examples/custom_receiver does"
                    .to_owned()
            }
            Self::NoReceiver { known, .. } => format!("this program has the receivers {}", listed(known)),
        }
    }
}
