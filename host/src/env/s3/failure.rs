//! Conversion of object stores' errors to errors of files, for callers that know only files.

use super::super::{StoreError, StoreFault};
use crate::shown::Shown as _;
use object_store::Error as ObjectError;
use std::io;

/// Converts an error of an object store to an error of files.
pub(super) fn failure(error: ObjectError) -> io::Error {
    let text = error.to_string();
    let mut cause: &dyn std::error::Error = &error;
    let mut of_system = None;
    while let Some(source) = cause.source() {
        cause = source;
        of_system = of_system.or(cause.downcast_ref::<io::Error>().map(io::Error::kind));
    }
    let fault = element(&text, "Code").and_then(StoreFault::of_code).unwrap_or(match &error {
        ObjectError::Unauthenticated { .. } => StoreFault::Credentials,
        ObjectError::PermissionDenied { .. } => StoreFault::Forbidden,
        ObjectError::InvalidPath { .. } | ObjectError::NotSupported { .. } | ObjectError::NotImplemented { .. } => {
            StoreFault::Request
        }
        _ => StoreFault::Unavailable,
    });
    let kind = match &error {
        // A reader takes "not found" for an empty store, which is no error. A missing bucket is another case.
        ObjectError::NotFound { .. } if fault == StoreFault::NoBucket => io::ErrorKind::Other,
        ObjectError::NotFound { .. } => return io::ErrorKind::NotFound.into(),
        ObjectError::AlreadyExists { .. } => return io::ErrorKind::AlreadyExists.into(),
        ObjectError::PermissionDenied { .. } | ObjectError::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
        ObjectError::NotSupported { .. } | ObjectError::NotImplemented { .. } => io::ErrorKind::Unsupported,
        ObjectError::InvalidPath { .. } => io::ErrorKind::InvalidInput,
        _ => of_system.unwrap_or(io::ErrorKind::Other),
    };
    let cause = cause.to_string();
    let what = match (element(&text, "Code"), element(&text, "Message")) {
        (Some(code), Some(message)) => format!("{} ({code})", message.trim_end_matches('.')),
        (Some(code), None) => code.to_owned(),
        _ => cause,
    };
    // The rest of the text describes the request, not the fault.
    let server = text.split_whitespace().find(|word| word.starts_with("http://") || word.starts_with("https://"));
    let server = server.and_then(|url| url.match_indices('/').nth(2).map_or(Some(url), |(end, _)| url.get(..end)));
    let says = server.map_or(what.clone(), |server| format!("{server} says: {what}"));
    io::Error::new(kind, StoreError { fault, text: says.shown().into_owned() })
}

/// The content of an XML element; `None` if there is no such element.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(inside, _)| inside)
}
