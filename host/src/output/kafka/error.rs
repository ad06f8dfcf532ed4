//! Why a batch was not written, and what to do about it.

use crate::block::SpillError;
use crate::clients::KafkaClientError;
use crate::data::view::ViewError;
use crate::env::ProduceError;
use crate::error::{Error, ErrorKind, Persistence};
use crate::time::Time;

/// Why a batch was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error(transparent)]
    Produce(#[from] ProduceError),
    #[error("{}", .0.message)]
    Client(Error),
    #[error(transparent)]
    Room(#[from] SpillError),
    #[error(transparent)]
    Rows(#[from] ViewError),
}

impl From<KafkaClientError> for WriteError {
    fn from(error: KafkaClientError) -> Self {
        Self::Client(error.into())
    }
}

impl WriteError {
    /// The error that is reported, with the output, the batch and the place.
    pub(super) fn of_output(&self, label: &str, batch: Time, place: &str) -> Error {
        let (kind, help, persistence) = self.meaning();
        let message = format!("output {label} did not write batch {batch} to {place}: {self}");
        let error = Error::new(kind, message).lasting(persistence);
        if help.is_empty() { error } else { error.help(help) }
    }

    /// The error without the output.
    pub(super) fn into_error(self) -> Error {
        let (kind, help, persistence) = self.meaning();
        Error::new(kind, self.to_string()).help(help).lasting(persistence)
    }

    fn meaning(&self) -> (ErrorKind, String, Persistence) {
        match self {
            Self::Produce(ProduceError::Fenced(_)) => (
                ErrorKind::Unavailable,
                "does another job have this transactional id? set `transactional_id` in one of them".to_owned(),
                Persistence::Transient,
            ),
            Self::Produce(ProduceError::Refused { help, persistence, .. }) => {
                (ErrorKind::Unavailable, (*help).to_owned(), *persistence)
            }
            Self::Produce(ProduceError::Messages(error)) => {
                (error.kind, error.help.clone().unwrap_or_default(), error.persistence)
            }
            Self::Client(error) => (error.kind, error.help.clone().unwrap_or_default(), error.persistence),
            Self::Room(error) => {
                (ErrorKind::Unavailable, "raise engine.memory, or engine.spill_limit".to_owned(), error.persistence())
            }
            Self::Rows(_) => (ErrorKind::Internal, "please report this".to_owned(), Persistence::Permanent),
        }
    }
}
