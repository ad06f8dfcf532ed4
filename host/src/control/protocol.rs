//! The protocol of a control socket: requests and answers, one JSON object a line.
//!
//! Owns the form of the lines. Each line has `version`. Later versions may add members: both sides ignore members that
//! they do not know. A request of another version is refused, and the answer names the version that is understood.
//! Never reads or writes a connection.

use crate::listener::OperatorState;
use crate::state_reader::KeyState;
use crate::upgrade::{SetKey, UpgradeOptions, UpgradeStatus};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of all lines.
pub const VERSION: u64 = 1;

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Asks for the status of the job.
    Status,
    /// Asks the job to stop. A second answer follows when the job has ended.
    Stop {
        /// Whether the job stops at once, without processing the records that were received.
        #[serde(default)]
        now: bool,
    },
    /// Asks for the operators with state.
    Operators,
    /// Asks for the state of one key.
    KeyState {
        /// The operator, by name. May be left out if there is one operator with state.
        #[serde(default)]
        operator: Option<String>,
        /// The key, as text.
        key: String,
    },
    /// Begins an upgrade.
    Upgrade {
        /// What the user asks for.
        options: Box<UpgradeOptions>,
    },
    /// Asks for the status of the upgrade that goes on, or of the last one.
    UpgradeStatus,
    /// Asks the new run to take the job over.
    UpgradeCommit {
        /// Whether the new run takes the job over even if it is not ready.
        #[serde(default)]
        force: bool,
    },
    /// Ends the new run before it takes the job over.
    UpgradeAbort,
    /// Asks the old run to take the job back.
    Rollback,
    /// Sets a key of the job file for the running job.
    Set {
        /// The key, dotted.
        key: String,
        /// The value, as TOML or text.
        value: String,
    },
}

/// An answer of a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The status of the job: a [`crate::listener::Status`], with the members that a later version may add.
    Status {
        /// The status.
        status: Value,
    },
    /// The job will stop.
    Stopping,
    /// The job has ended. The connection stays open until the host is gone.
    Ended {
        /// The error that ended the job; `None` if the job was stopped.
        error: Option<String>,
    },
    /// The operators with state.
    Operators {
        /// The operators.
        operators: Vec<OperatorState>,
    },
    /// The state of a key.
    KeyState {
        /// The state.
        found: Box<KeyState>,
    },
    /// The status of an upgrade.
    Upgrade {
        /// The status.
        status: Box<UpgradeStatus>,
    },
    /// A key was set.
    Set {
        /// The key, with its values.
        set: SetKey,
    },
    /// The request is understood, and cannot be answered.
    Failed {
        /// Why.
        error: String,
        /// What the user can do.
        help: String,
        /// Whether the same request may be answered later.
        #[serde(default)]
        is_temporary: bool,
    },
    /// The request is not understood.
    Refused {
        /// The reason.
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
/// Returns a text that says why, if the line is not such a value or has another version.
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
