//! Why state cannot be looked at, and what to do about it.

use crate::checkpoint::{OwnerError, RunsError, SnapshotError};
use crate::error::{Error, ErrorKind};
use crate::shown;
use crate::state::StateError;
use crate::time::Time;

/// Why state cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum StateReadError {
    /// Which run is the current one cannot be read.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// The storage of the checkpoint directory fails.
    #[error(transparent)]
    Runs(#[from] RunsError),
    /// A snapshot cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The job has removed the snapshot, because it has written newer ones.
    #[error("the snapshot after batch {batch} in checkpoint directory {place} was removed while it was read")]
    Replaced {
        /// The batch.
        batch: Time,
        /// The checkpoint directory.
        place: String,
    },
    /// There is no run whose checkpoint can be read.
    #[error("checkpoint directory {place} has no run whose checkpoint can be read")]
    NoRun {
        /// The checkpoint directory.
        place: String,
    },
    /// The run has no snapshot of state.
    #[error("run {run} in checkpoint directory {place} has no snapshot of state")]
    NoSnapshot {
        /// The run.
        run: String,
        /// The checkpoint directory.
        place: String,
    },
    /// No operator of the job has state.
    #[error("no operator of the job keeps state")]
    NoOperator,
    /// No operator has this name.
    #[error("no operator with state is called {}", shown::name(wanted))]
    UnknownOperator {
        /// The text that was to name an operator.
        wanted: String,
        /// The operators with state, in words.
        known: Vec<String>,
    },
    /// Several operators have state, and it is not clear which of them is meant.
    #[error("several operators keep state")]
    SeveralOperators {
        /// These operators, in words.
        known: Vec<String>,
    },
    /// A text is no key of an operator.
    #[error("`{}` is no key of operator {operator}: {why}", shown::value(text))]
    Key {
        /// The text.
        text: String,
        /// The operator, in words.
        operator: String,
        /// What is wrong with the text.
        why: String,
        /// The type of the keys.
        key_type: String,
    },
    /// The state of an operator has a type that this host does not know.
    #[error("the state of operator {operator} has a type that this host does not know")]
    UnknownType {
        /// The operator, in words.
        operator: String,
    },
    /// Rows of state cannot be read.
    #[error("the state of operator {operator} cannot be read: {error}")]
    Rows {
        /// The operator, in words.
        operator: String,
        /// Why.
        error: StateError,
    },
}

impl From<StateReadError> for Error {
    fn from(failed: StateReadError) -> Self {
        let message = failed.to_string();
        let (kind, help) = match failed {
            StateReadError::Owner(error) => return error.into(),
            StateReadError::Runs(error) => return error.into(),
            StateReadError::Snapshot(error) => return error.into(),
            StateReadError::Replaced { .. } => {
                (ErrorKind::Unavailable, "run the command again: there are newer snapshots".to_owned())
            }
            StateReadError::NoRun { .. } => (
                ErrorKind::User,
                "name the directory in job.checkpoint; `host checkpoint verify` says what is in a directory".to_owned(),
            ),
            StateReadError::NoSnapshot { .. } => (
                ErrorKind::User,
                "the job writes a snapshot when the checkpoint interval of an operator with state ends, and when it is \
                 stopped"
                    .to_owned(),
            ),
            StateReadError::NoOperator => {
                (ErrorKind::User, "docs/state.md lists the operators that keep state".to_owned())
            }
            StateReadError::UnknownOperator { known, .. } | StateReadError::SeveralOperators { known } => {
                (ErrorKind::User, format!("give --operator one of these, by name: {}", known.join(", ")))
            }
            StateReadError::Key { key_type, .. } => {
                (ErrorKind::User, format!("give --key {}", super::key::form(&key_type)))
            }
            StateReadError::UnknownType { .. } => {
                (ErrorKind::User, "use the version of `host` that has written the snapshot".to_owned())
            }
            StateReadError::Rows { .. } => {
                (ErrorKind::Unavailable, "run the command again, or read the last snapshot".to_owned())
            }
        };
        Self::new(kind, message).help(help)
    }
}
