//! Errors of the client library as errors of the host.

use super::super::LogFault;
use super::config::Context;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::io;

/// The error of a call that the cluster did not answer well.
pub(super) fn failed(context: &Context, error: &KafkaError) -> io::Error {
    let code = error.rdkafka_error_code();
    let kind = match code {
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::Authentication,
        ) => io::ErrorKind::PermissionDenied,
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition,
        ) => io::ErrorKind::NotFound,
        _ => io::ErrorKind::TimedOut,
    };
    let said = code.map_or_else(|| error.to_string(), |code| code.to_string());
    // What the library says of a connection is more than that there was no answer.
    let message = match context.last_error().filter(|_| kind == io::ErrorKind::TimedOut) {
        Some(last) => format!("{said}; {last}"),
        None => said,
    };
    io::Error::new(kind, message)
}

/// The fault that ends reading after an error of a partition. `None` if the library goes on by itself.
pub(super) fn fault(context: &Context, code: RDKafkaErrorCode, said: &str) -> Option<LogFault> {
    match code {
        RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => Some(LogFault::OutOfRange),
        RDKafkaErrorCode::UnknownTopicOrPartition
        | RDKafkaErrorCode::UnknownTopic
        | RDKafkaErrorCode::UnknownPartition
        | RDKafkaErrorCode::UnknownTopicId => Some(LogFault::NoPartition),
        RDKafkaErrorCode::TopicAuthorizationFailed => {
            Some(io::Error::new(io::ErrorKind::PermissionDenied, said.to_owned()).into())
        }
        RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::InvalidMessage => {
            Some(io::Error::new(io::ErrorKind::InvalidData, said.to_owned()).into())
        }
        _ => {
            context.remember(said);
            None
        }
    }
}

/// Whether a member of a group cannot go on after an error.
pub(super) fn is_lost(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::Fatal
                | RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SaslAuthenticationFailed
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::UnknownTopicOrPartition
        )
    )
}
