//! What is said on a control socket: one JSON object a line, a request and its answer.
//!
//! Owns the lines. Each has `version`. Members may be added: both sides ignore what they do not know. A request of another
//! version is refused with the version that is understood.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of all lines.
pub const VERSION: u64 = 1;

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// To know how the job is.
    Status,
    /// That the job ends. The client is told when it has.
    Stop {
        /// Without processing what was received.
        #[serde(default)]
        now: bool,
    },
}

/// What a host says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// How the job is: a [`crate::listener::Status`], with whatever a later host adds.
    Status {
        /// The status.
        status: Value,
    },
    /// The job will stop.
    Stopping,
    /// The job has ended. The connection stays open until the host is gone.
    Ended {
        /// What ended it, if it was not the stop.
        error: Option<String>,
    },
    /// The request is not understood.
    Refused {
        /// Why.
        error: String,
    },
}

/// A value as a line, with its version.
pub(super) fn line<T: Serialize>(value: &T) -> String {
    let mut value = serde_json::to_value(value).unwrap_or_default();
    if let Value::Object(members) = &mut value {
        members.insert("version".to_owned(), VERSION.into());
    }
    format!("{value}\n")
}

/// Reads a line.
///
/// # Errors
/// Why it is not what is expected.
pub(super) fn read<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| format!("it is no JSON object: {error}"))?;
    match value.get("version").and_then(Value::as_u64) {
        Some(VERSION) => serde_json::from_value(value).map_err(|error| error.to_string()),
        Some(other) => Err(format!("it has version {other}, and this host speaks version {VERSION}")),
        None => Err("it has no `version`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_json_objects_with_a_version() {
        let line = line(&Request::Stop { now: true });
        assert_eq!(line, "{\"now\":true,\"request\":\"stop\",\"version\":1}\n");
        assert_eq!(read(line.as_bytes()), Ok(Request::Stop { now: true }));
        assert_eq!(read(b"{\"version\": 1, \"request\": \"stop\", \"novel\": []}"), Ok(Request::Stop { now: false }));
        let error = |line: &str| read::<Request>(line.as_bytes()).unwrap_err();
        assert_eq!(
            error("{\"version\": 2, \"request\": \"status\"}"),
            "it has version 2, and this host speaks version 1"
        );
        assert_eq!(error("{\"request\": \"status\"}"), "it has no `version`");
        assert!(error("{\"version\": 1, \"request\": \"format\"}").contains("unknown variant `format`"));
    }

    proptest! {
        #[test]
        fn any_line_is_a_request_or_refused(line: Vec<u8>, text: String) {
            let _ = read::<Request>(&line);
            let _ = read::<Answer>(text.as_bytes());
        }

        #[test]
        fn answers_are_read_as_they_were_written(error: Option<String>) {
            let answer = Answer::Ended { error };
            prop_assert_eq!(read(line(&answer).as_bytes()), Ok(answer));
        }
    }
}
