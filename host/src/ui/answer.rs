//! Answers to requests, with the headers that keep pages of other sites away.
//!
//! Owns these headers. Everything that the page needs comes from the host itself: scripts, styles and data.

use super::guard::Refusal;
use crate::http::{Content, Response};
use serde::Serialize;
use serde_json::json;

/// What the browser lets the page do.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// An answer with this body.
pub(super) fn whole(status: u16, media_type: &str, body: impl Into<bytes::Bytes>) -> Response {
    with(status, media_type, Content::Whole(body.into()))
}

/// An answer with this content.
pub(super) fn with(status: u16, media_type: &str, content: Content) -> Response {
    let headers = [
        ("content-type", media_type),
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cache-control", "no-store"),
    ];
    Response { status, headers: headers.map(|(name, value)| (name, value.to_owned())).into(), content }
}

/// A value as JSON.
pub(super) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => whole(200, "application/json", body),
        // Numbers, texts, lists and objects with text keys can always be written as JSON.
        Err(error) => problem(500, &error.to_string()),
    }
}

/// Says why there is no answer.
pub(super) fn problem(status: u16, problem: &str) -> Response {
    whole(status, "application/json", json!({ "error": problem }).to_string())
}

/// Refuses a request.
pub(super) fn refused(refusal: Refusal) -> Response {
    let mut response = problem(refusal.status(), refusal.words());
    if refusal == Refusal::Unauthorized {
        response.headers.push(("www-authenticate", "Bearer".to_owned()));
    }
    response
}
