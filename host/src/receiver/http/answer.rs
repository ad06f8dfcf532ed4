//! The answers to requests: status codes, and a short text in JSON.
//!
//! Owns the words that clients read. A client may send a request again if the status is 408, 429 or 5xx.

use crate::http::{Content, Response};
use serde_json::json;

/// The seconds after which a client should try again.
const RETRY_AFTER_SECONDS: u32 = 1;

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status code.
    pub(super) status: u16,
    /// The body: an object of JSON.
    pub(super) body: String,
    /// A header besides those that every answer has.
    pub(super) header: Option<(&'static str, String)>,
    /// Why the request was refused, for the log. `None` if it was not.
    pub(super) problem: Option<String>,
}

impl Answer {
    /// The host does not lose the records.
    pub(super) fn stored(records: u64) -> Self {
        Self { status: 200, body: json!({ "records": records }).to_string(), header: None, problem: None }
    }

    fn refused(status: u16, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self { status, body: json!({ "error": problem }).to_string(), header: None, problem: Some(problem) }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.header = Some((name, value.into()));
        self
    }

    /// The request or its content is wrong, and will be wrong again.
    pub(super) fn bad(problem: impl Into<String>) -> Self {
        Self::refused(400, problem)
    }

    /// The client does not know the token.
    pub(super) fn unauthorized() -> Self {
        Self::refused(401, "the request needs the header `Authorization: Bearer TOKEN` with the token of this source")
            .with("www-authenticate", "Bearer")
    }

    /// Nothing is at the path of the request.
    pub(super) fn not_found(path: &str) -> Self {
        Self::refused(404, format!("records are taken at {path}"))
    }

    /// The request has another method than POST.
    pub(super) fn wrong_method() -> Self {
        Self::refused(405, "records are sent with POST").with("allow", "POST")
    }

    /// The client did not send the whole request in time.
    pub(super) fn too_slow() -> Self {
        Self::refused(408, "the rest of the request did not come in time").with("connection", "close")
    }

    /// The body is larger than `bytes_max`.
    pub(super) fn too_large(bytes_max: u64) -> Self {
        Self::refused(413, format!("a request has at most {bytes_max} bytes; send several"))
    }

    /// The body is in a form that is not read.
    pub(super) fn unsupported(problem: &str) -> Self {
        Self::refused(415, problem)
    }

    /// The key came with another body before.
    pub(super) fn other_body() -> Self {
        Self::refused(422, "the Idempotency-Key came with another body before; each request needs a key of its own")
    }

    /// A defect of the host.
    pub(super) fn failed(problem: impl Into<String>) -> Self {
        Self::refused(500, problem)
    }

    /// The host has no room at the moment.
    pub(super) fn busy(problem: &str) -> Self {
        Self::refused(503, problem).with("retry-after", RETRY_AFTER_SECONDS.to_string())
    }

    /// The host stops. The records were not stored.
    pub(super) fn stopping() -> Self {
        Self::busy("the host stops; the records were not stored")
    }
}

impl From<Answer> for Response {
    fn from(answer: Answer) -> Self {
        let mut headers = vec![("content-type", "application/json".to_owned())];
        headers.extend(answer.header);
        Self { status: answer.status, headers, content: Content::Whole(answer.body.into()) }
    }
}
