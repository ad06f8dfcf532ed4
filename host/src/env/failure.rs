//! The meaning of failures outside the host: whether they may pass, and what the reader of the error can do.
//!
//! Owns the classification of [`io::Error`] by its kind, and of the errors of stores behind a network by
//! [`StoreFault`]. All functions here are pure functions of the error. Never decides whether an operation is tried
//! again.

use crate::error::Persistence;
use std::io;

/// Why a store behind a network refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreFault {
    /// The bucket does not exist.
    NoBucket,
    /// The store does not know the access key, the secret does not belong to the key, or the credentials have expired.
    Credentials,
    /// The store knows the access key and does not allow the request.
    Forbidden,
    /// The request is wrong: the store does not have the region, the endpoint or the name.
    Request,
    /// The store did not answer, or has an internal failure.
    Unavailable,
}

/// An error of a store behind a network. It is the inner error of an [`io::Error`].
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub struct StoreError {
    /// Why the store refused the request.
    pub fault: StoreFault,
    /// The message of the store, on one line.
    pub text: String,
}

impl StoreError {
    /// The fault in an error; `None` if the error does not come from a store behind a network.
    pub fn fault_of(error: &io::Error) -> Option<StoreFault> {
        error.get_ref()?.downcast_ref::<Self>().map(|error| error.fault)
    }
}

impl StoreFault {
    /// The meaning of an error code of the S3 protocol. `None` if the code has no such meaning; then the status of the
    /// answer decides.
    pub fn of_code(code: &str) -> Option<Self> {
        Some(match code {
            "NoSuchBucket" => Self::NoBucket,
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "InvalidToken"
            | "TokenRefreshRequired"
            | "RequestTimeTooSkewed"
            | "InvalidSecurity"
            | "NotSignedUp" => Self::Credentials,
            "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "MethodNotAllowed" => Self::Forbidden,
            "AuthorizationHeaderMalformed"
            | "PermanentRedirect"
            | "InvalidBucketName"
            | "InvalidArgument"
            | "InvalidRequest"
            | "InvalidURI"
            | "EntityTooLarge"
            | "KeyTooLongError"
            | "NotImplemented" => Self::Request,
            "InternalError"
            | "ServiceUnavailable"
            | "SlowDown"
            | "RequestTimeout"
            | "OperationAborted"
            | "Busy"
            | "Throttling"
            | "RequestLimitExceeded" => Self::Unavailable,
            _ => return None,
        })
    }

    /// Whether a store that has refused a request for this reason may accept it later.
    pub const fn persistence(self) -> Persistence {
        match self {
            Self::Unavailable => Persistence::Transient,
            Self::NoBucket | Self::Credentials | Self::Forbidden | Self::Request => Persistence::Permanent,
        }
    }
}

/// Whether an operation that fails with this error may succeed later.
pub fn persistence(error: &io::Error) -> Persistence {
    StoreError::fault_of(error).map_or_else(|| persistence_of_kind(error.kind()), StoreFault::persistence)
}

/// Whether an operation that fails with an error of this kind may succeed later. Kinds that this host does not know
/// count as transient.
pub const fn persistence_of_kind(kind: io::ErrorKind) -> Persistence {
    use io::ErrorKind as Kind;
    match kind {
        Kind::NotFound
        | Kind::PermissionDenied
        | Kind::AlreadyExists
        | Kind::NotADirectory
        | Kind::IsADirectory
        | Kind::DirectoryNotEmpty
        | Kind::ReadOnlyFilesystem
        | Kind::InvalidInput
        | Kind::InvalidData
        | Kind::InvalidFilename
        | Kind::UnexpectedEof
        | Kind::FileTooLarge
        | Kind::NotSeekable
        | Kind::CrossesDevices
        | Kind::TooManyLinks
        | Kind::ArgumentListTooLong
        | Kind::AddrNotAvailable
        | Kind::Unsupported => Persistence::Permanent,
        _ => Persistence::Transient,
    }
}

/// Whether a place in a message is a URL of a store behind a network, not a directory.
fn is_url(place: &str) -> bool {
    place.contains("://")
}

/// What the reader of an error can do. `place` is the directory or the URL that the host could not read or write.
pub fn advice(error: &io::Error, place: &str) -> String {
    match StoreError::fault_of(error) {
        Some(StoreFault::NoBucket) => return format!("make the bucket, or correct the URL {place}"),
        Some(StoreFault::Credentials) => {
            return "correct AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN in the environment of the host"
                .to_owned();
        }
        Some(StoreFault::Forbidden) => {
            return format!("the key of the host needs the right to list, read, write and remove below {place}");
        }
        Some(StoreFault::Request) => {
            return "correct AWS_REGION and AWS_ENDPOINT_URL in the environment of the host, or the URL".to_owned();
        }
        Some(StoreFault::Unavailable) | None => {}
    }
    match error.kind() {
        io::ErrorKind::InvalidInput if is_url(place) => {
            "docs/object_stores.md says which variables the environment of the host needs".to_owned()
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            format!("whoever runs the host needs the right to read and write in {place}")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!("make room on the disk of {place}"),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            format!("is there a file, or a link to nowhere, where {place} should be a directory?")
        }
        _ if is_url(place) => "is the object store up, and can this machine reach it?".to_owned(),
        _ => format!("is {place} still there, and its disk in order?"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every error kind of the standard library that a file system, a socket or a decoder returns.
    #[test]
    fn kinds_are_transient_or_permanent() {
        use io::ErrorKind as Kind;
        let permanent = [
            Kind::NotFound,
            Kind::PermissionDenied,
            Kind::AlreadyExists,
            Kind::NotADirectory,
            Kind::IsADirectory,
            Kind::ReadOnlyFilesystem,
            Kind::InvalidInput,
            Kind::InvalidData,
            Kind::UnexpectedEof,
            Kind::FileTooLarge,
            Kind::Unsupported,
        ];
        let transient = [
            Kind::TimedOut,
            Kind::ConnectionRefused,
            Kind::ConnectionReset,
            Kind::ConnectionAborted,
            Kind::NetworkUnreachable,
            Kind::HostUnreachable,
            Kind::NetworkDown,
            Kind::BrokenPipe,
            Kind::Interrupted,
            Kind::WouldBlock,
            Kind::StorageFull,
            Kind::QuotaExceeded,
            Kind::StaleNetworkFileHandle,
            Kind::ResourceBusy,
            Kind::OutOfMemory,
            Kind::Other,
        ];
        for kind in permanent {
            assert_eq!(persistence(&kind.into()), Persistence::Permanent, "{kind}");
        }
        for kind in transient {
            assert_eq!(persistence(&kind.into()), Persistence::Transient, "{kind}");
        }
        // EIO and EMFILE have no error kind of their own.
        for code in [5, 24] {
            assert_eq!(persistence(&io::Error::from_raw_os_error(code)), Persistence::Transient, "{code}");
        }
    }

    fn store(kind: io::ErrorKind, fault: StoreFault) -> io::Error {
        io::Error::new(kind, StoreError { fault, text: "no".to_owned() })
    }

    #[test]
    fn what_a_store_says_counts_more_than_the_kind() {
        let gone = store(io::ErrorKind::Other, StoreFault::NoBucket);
        assert_eq!(persistence(&gone), Persistence::Permanent);
        assert_eq!(advice(&gone, "s3://b/p"), "make the bucket, or correct the URL s3://b/p");
        let busy = store(io::ErrorKind::Other, StoreFault::Unavailable);
        assert_eq!(persistence(&busy), Persistence::Transient);
        assert_eq!(advice(&busy, "s3://b/p"), "is the object store up, and can this machine reach it?");
        assert_eq!(StoreFault::of_code("SlowDown"), Some(StoreFault::Unavailable));
        assert_eq!(StoreFault::of_code("SignatureDoesNotMatch"), Some(StoreFault::Credentials));
        assert_eq!(StoreFault::of_code("NoSuchKey"), None);
    }

    #[test]
    fn advice_is_about_the_place() {
        let full = io::ErrorKind::StorageFull.into();
        assert_eq!(advice(&full, "checkpoint"), "make room on the disk of checkpoint");
        let io = io::Error::from_raw_os_error(5);
        assert_eq!(advice(&io, "checkpoint"), "is checkpoint still there, and its disk in order?");
    }
}
