//! Answers requests: checks the head, reads the body, stores the records, and answers when the host does not lose them.
//!
//! Owns the order of these steps and how long each may take. A request that was refused has stored nothing. A request
//! whose client disappears is stored if its whole body came.

use super::answer::Answer;
use super::fate::{Fate, Outcome};
use super::groups::Groups;
use super::keys::{Claim, Found, Keys, key_of};
use super::refusals::Refusals;
use super::room::{Memory, Place, Room};
use crate::block::{bytes_of, row_count};
use crate::config::{HttpSettings, PayloadFormat};
use crate::data::key::hash;
use crate::data::schema::RecordType;
use crate::env::Env;
use crate::http::{Body, Head, Method, Response, Service, Token, header};
use crate::lock::lock;
use crate::receiver::context::ReceiverContext;
use crate::receiver::payload;
use crate::time::Duration;
use arrow::array::RecordBatch;
use async_trait::async_trait;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// A body from this size on is parsed on a thread of its own, so that actors do not wait for it.
const OWN_THREAD_BYTES: usize = 64 * 1024;
/// How much of the body of a refused request is read, so that its client reads the answer before the connection closes.
const DRAINED_BYTES_MAX: u64 = 64 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// How long a client may still take to send a body when the receiver has to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(3);
const KEY_HEADER: &str = "idempotency-key";

/// Answers the requests of one source.
pub(super) struct Requests {
    pub(super) env: Env,
    pub(super) context: ReceiverContext,
    pub(super) settings: HttpSettings,
    pub(super) token: Option<Token>,
    pub(super) keys: Arc<Keys>,
    pub(super) room: Room,
    pub(super) groups: Arc<Groups>,
    pub(super) refusals: Mutex<Refusals>,
}

#[async_trait]
impl Service for Requests {
    async fn answer(&self, head: Head, mut body: Body) -> Response {
        let answer = match self.checked(&head) {
            Ok(key) => self.received(key, &mut body).await.unwrap_or_else(|refused| refused),
            Err(refused) => {
                if announced_bytes(&head).is_some_and(|bytes| bytes <= DRAINED_BYTES_MAX) {
                    self.within(DRAIN_TIME, async { while let Some(Ok(_)) = body.next().await {} }).await;
                }
                refused
            }
        };
        if let Some(problem) = &answer.problem {
            let now = self.env.clock.monotonic();
            let report = lock(&self.refusals).refused(now, answer.status, problem);
            report.into_iter().for_each(|report| self.context.report_error(report));
        }
        answer.into()
    }

    async fn stopped(&self) {
        self.context.stopped().await;
    }
}

impl Requests {
    /// The key of a request whose head is in order.
    fn checked(&self, head: &Head) -> Result<Option<Vec<u8>>, Answer> {
        let header = |name| head.headers.get(name).map(header::HeaderValue::as_bytes);
        if self.token.as_ref().is_some_and(|token| !token.is_known(header(header::AUTHORIZATION))) {
            return Err(Answer::unauthorized());
        }
        if head.uri.path() != self.settings.path {
            return Err(Answer::not_found(&self.settings.path));
        }
        if head.method != Method::POST {
            return Err(Answer::wrong_method());
        }
        if header(header::CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
            return Err(Answer::unsupported("compressed bodies are not read: send the body as it is"));
        }
        let is_text = self.settings.format != PayloadFormat::Whole || *self.context.record_type() == RecordType::text();
        if let Some(problem) = header(header::CONTENT_TYPE).and_then(|value| unsupported(value, is_text)) {
            return Err(Answer::unsupported(problem));
        }
        if announced_bytes(head).is_some_and(|bytes| bytes > self.settings.max_body_bytes) {
            return Err(Answer::too_large(self.settings.max_body_bytes));
        }
        let mut keys = head.headers.get_all(KEY_HEADER).iter();
        let key = keys.next().map(|value| key_of(value.as_bytes()));
        if key == Some(None) || keys.next().is_some() {
            return Err(Answer::bad("the Idempotency-Key is not one string of 1 to 255 letters, digits and signs"));
        }
        if self.context.is_stopped() {
            return Err(Answer::stopping());
        }
        Ok(key.flatten())
    }

    /// Reads the body of a request, and stores its records.
    async fn received(&self, key: Option<Vec<u8>>, incoming: &mut Body) -> Result<Answer, Answer> {
        let place = self.within(self.settings.max_wait, self.room.enter()).await.flatten();
        let mut place = place.ok_or_else(|| Answer::busy("there are `max_requests` requests already"))?;
        let stops = async {
            self.context.stopped().await;
            self.env.clock.sleep(STOP_PATIENCE).await;
        };
        let body = tokio::select! {
            biased;
            body = self.body(incoming, &mut place.memory) => body?,
            () = self.env.clock.sleep(self.settings.request_timeout) => return Err(Answer::too_slow()),
            () = stops => return Err(Answer::stopping()),
        };
        let Some(key) = key else { return self.take(body, None, place).await };
        let checksum = hash(&body);
        loop {
            match self.keys.look(&key, checksum) {
                Found::New(claim) => return self.take(body, Some(claim), place).await,
                Found::Claimed(mut end) => {
                    // The end of the channel means that the other request was taken or refused.
                    let ended = self.within(self.settings.max_wait, end.changed()).await;
                    let _ =
                        ended.ok_or_else(|| Answer::busy("another request with the Idempotency-Key is on its way"))?;
                }
                Found::Taken { records, outcome } => return self.soon(records, outcome).await,
                Found::OtherBody => return Err(Answer::other_body()),
            }
        }
    }

    /// Reads a body.
    async fn body(&self, incoming: &mut Body, memory: &mut Memory) -> Result<Vec<u8>, Answer> {
        let no_room = || Answer::busy("the host has no memory for the body");
        let mut body = Vec::new();
        while let Some(data) = incoming.next().await {
            let data = data.map_err(|error| Answer::bad(format!("the body broke off: {error}")))?;
            let bytes = body.len().saturating_add(data.len());
            if bytes as u64 > self.settings.max_body_bytes {
                return Err(Answer::too_large(self.settings.max_body_bytes));
            }
            let room = self.within(self.settings.max_wait, self.room.grow(memory, bytes)).await.flatten();
            room.ok_or_else(no_room)?;
            memory.hold(bytes).map_err(|_| no_room())?;
            body.extend_from_slice(&data);
        }
        Ok(body)
    }

    /// Stores the records of a body.
    async fn take(&self, body: Vec<u8>, claim: Option<Claim>, place: Place) -> Result<Answer, Answer> {
        let rows = self.rows(body).await?;
        let records = row_count(&rows);
        if records == 0 {
            return Ok(Answer::stored(0));
        }
        let Place { mut memory, _request } = place;
        let bytes = bytes_of(&rows);
        memory.hold(bytes).map_err(|_| Answer::busy("the host has no memory for the records"))?;
        let label = claim.as_ref().map(|claim| claim.label(records));
        let outcome = self.groups.join(rows, bytes, label, memory);
        match claim {
            Some(claim) => {
                claim.taken(records, outcome.clone());
                self.soon(records, outcome).await
            }
            // The client could not know whether to send the records again. So it waits until the host knows.
            None => answered(records, outcome.await),
        }
    }

    /// The answer to a request whose records are on their way into the store. If that takes long, the client may ask
    /// again with the same key.
    async fn soon(&self, records: u64, outcome: Outcome) -> Result<Answer, Answer> {
        // The records may wait for room first.
        match self.within(self.settings.max_wait.saturating_mul(2), outcome).await {
            Some(fate) => answered(records, fate),
            None => Err(Answer::busy("the host has not stored the records yet; ask again with the same key")),
        }
    }

    async fn rows(&self, body: Vec<u8>) -> Result<Vec<RecordBatch>, Answer> {
        let (format, ty) = (self.settings.format, self.context.record_type().clone());
        let is_small = body.len() < OWN_THREAD_BYTES;
        let parse = move || payload::records(format, &ty, &body).map_err(|error| Answer::bad(error.to_string()));
        if is_small {
            return parse();
        }
        let (send, receive) = oneshot::channel();
        let run = async move {
            // Nobody waits if the receiver was dropped.
            let _ = send.send(parse());
        };
        self.env.background.spawn("http body", Box::pin(run));
        receive.await.unwrap_or_else(|_| Err(Answer::stopping()))
    }

    /// The result of a future; `None` if it takes longer than `limit`.
    async fn within<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            result = future => Some(result),
            () = self.env.clock.sleep(limit) => None,
        }
    }
}

fn answered(records: u64, fate: Fate) -> Result<Answer, Answer> {
    match fate {
        Fate::Stored => Ok(Answer::stored(records)),
        Fate::NoRoom => Err(Answer::busy("the host has no room for more records at the moment")),
        Fate::Stopped => Err(Answer::stopping()),
        Fate::Failed(problem) => Err(Answer::failed(problem)),
    }
}

/// The size of the body that the head announces, in bytes; `None` if it does not.
fn announced_bytes(head: &Head) -> Option<u64> {
    head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Why bodies of a media type are not read; `None` if they are. Clients that name no suitable type are believed: many
/// tools send text under any name.
fn unsupported(content_type: &[u8], is_text: bool) -> Option<&'static str> {
    let value = String::from_utf8_lossy(content_type).to_ascii_lowercase();
    let (media, parameters) = value.split_once(';').unwrap_or((&value, ""));
    if media.trim().starts_with("multipart/") {
        return Some("forms of several parts are not read: send the records as the body");
    }
    let charsets = parameters.split(';').filter_map(|parameter| parameter.trim().strip_prefix("charset="));
    let mut charsets = charsets.map(|charset| charset.trim_matches('"'));
    let is_other = |charset| !["utf-8", "utf8", "us-ascii"].contains(&charset);
    (is_text && charsets.any(is_other)).then_some("text is read as UTF-8 only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_that_say_another_form_are_refused() {
        let refused = |value: &str, is_text| unsupported(value.as_bytes(), is_text).is_some();
        for fine in
            ["text/plain", "application/x-ndjson", "text/plain; charset=UTF-8", "text/csv;charset=\"utf-8\"", "x"]
        {
            assert!(!refused(fine, true), "{fine}");
        }
        assert!(refused("multipart/form-data; boundary=x", true) && refused("Multipart/Mixed", false));
        assert!(refused("text/plain; format=flowed; charset=latin1", true));
        assert!(!refused("application/octet-stream; charset=latin1", false));
    }
}
