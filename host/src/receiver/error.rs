//! How receivers fail, and why what they give is not stored.

use crate::time::Duration;
use std::fmt;

/// Why a receiver gave up, and whether it is started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverError {
    pub(super) message: String,
    pub(super) restart: Restart,
}

/// What follows an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    /// It is started again after the delay that the job file says.
    AsConfigured,
    /// After this one.
    After(Duration),
    /// Never.
    Never,
}

impl ReceiverError {
    /// An error after which the receiver is started again, when the source's delay is over. Spark's `restart(message)`.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), restart: Restart::AsConfigured }
    }

    /// Starts it again after this delay instead.
    #[must_use]
    pub fn restart_after(mut self, delay: Duration) -> Self {
        self.restart = Restart::After(delay);
        self
    }

    /// Does not start it again. Spark's `stop(message)`. The job goes on without it.
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
            // The next try would bring the same.
            StoreError::NotText { .. } | StoreError::WrongType { .. } | StoreError::Rows { .. } => {
                Self::new(message).and_stop()
            }
        }
    }
}

/// Why something was not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No batch will read it any more. A reliable receiver must not acknowledge it.
    #[error("the receiver was stopped: what it gave is not stored")]
    Stopped,
    /// Lines were given to a source of other records.
    #[error("the plugin reads {expected} from source `{name}`, but its receiver gives lines of text")]
    NotText {
        /// The source.
        name: String,
        /// The type of its records.
        expected: String,
    },
    /// Rows of another type than that of the source.
    #[error("the plugin reads {expected} from source `{name}`, but its receiver gives columns {found}")]
    WrongType {
        /// The source.
        name: String,
        /// The type of its records.
        expected: String,
        /// The columns that were given.
        found: String,
    },
    /// JSON values that are not records of the source's type.
    #[error("source `{name}`: {problem}")]
    Rows {
        /// The source.
        name: String,
        /// What is wrong with them.
        problem: String,
    },
}

/// Why a receiver cannot be made of its options.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// One is missing.
    #[error("`sources.{source_name}.options.{option}` is missing")]
    Missing {
        /// The source.
        source_name: String,
        /// The option.
        option: String,
    },
    /// One has a value that the receiver does not take.
    #[error("sources.{source_name}.options.{option} = {value:?} {problem}")]
    Value {
        /// The source.
        source_name: String,
        /// The option.
        option: String,
        /// Its value.
        value: String,
        /// What is wrong with it, such as `is not a port`.
        problem: String,
    },
    /// One is given that the receiver did not ask for.
    #[error("unknown option `sources.{source_name}.options.{option}`")]
    Unknown {
        /// The source.
        source_name: String,
        /// The option.
        option: String,
        /// Those that the receiver asks for.
        known: Vec<String>,
    },
    /// Nobody has registered a receiver of this name.
    #[error("there is no receiver `{receiver}` for source `{source_name}`")]
    NoReceiver {
        /// The source.
        source_name: String,
        /// The receiver.
        receiver: String,
        /// Those that there are.
        known: Vec<String>,
    },
}

impl OptionError {
    /// What can be done about it.
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
