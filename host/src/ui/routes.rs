//! What is at which path.
//!
//! Owns the table of paths. The answers are made elsewhere.

use super::answer::{json, problem, refused, whole, with};
use super::exhibit::Shown;
use super::guard::{self, Kind};
use super::live::Told as _;
use super::query::{Query, decoded};
use super::{assets, batch_view, graph_view, prometheus, spark, views};
use crate::http::{Body, Content, Head, Method, Response, Service};
use crate::ingest::StopRequest;
use crate::listener::RunState;
use async_trait::async_trait;
use std::sync::Arc;

/// Where the interface of this host begins.
const OWN: &str = "/api/millstream/v1/";
/// Where Spark's interface begins.
const SPARK: &str = "/api/v1/";
/// The longest span of the history, in milliseconds.
const SPAN_MAX_MS: u64 = 7 * 86_400_000;
/// The span of the history that is shown without a wish.
const SPAN_MS: u64 = 600_000;
/// The most batches in an answer, and their number without a wish.
const BATCHES_MAX: u64 = 1_000;
const BATCHES: u64 = 50;
/// The largest body of a request, in bytes. Bodies say nothing.
const BODY_BYTES_MAX: usize = 1 << 10;

/// Answers the requests for the page of a job.
pub(super) struct Routes {
    pub(super) shown: Arc<Shown>,
    pub(super) scheme: &'static str,
}

#[async_trait]
impl Service for Routes {
    async fn answer(&self, head: Head, mut body: Body) -> Response {
        let path = head.uri.path();
        if let Some(refusal) = guard::refusal(&head, kind_of(path), self.shown.token.as_ref(), self.scheme) {
            return refused(refusal);
        }
        if head.method == Method::POST {
            let mut bytes = 0;
            while let Some(Ok(piece)) = body.next().await {
                bytes += piece.len();
                if bytes > BODY_BYTES_MAX {
                    return problem(413, "the body of a request says nothing, and has to be empty");
                }
            }
        }
        self.found(path, &Query::read(head.uri.query().unwrap_or_default()))
    }

    async fn stopped(&self) {
        self.shown.closed().await;
    }
}

/// What a path shows or does.
fn kind_of(path: &str) -> Kind {
    match path.strip_prefix(OWN) {
        Some("stop" | "stop-now") => Kind::Action,
        Some(_) => Kind::Data,
        None if path.starts_with(SPARK) || path.starts_with("/metrics") => Kind::Data,
        None => Kind::Public,
    }
}

impl Routes {
    fn found(&self, path: &str, query: &Query) -> Response {
        if let Some((_, media_type, text)) = assets::find(path) {
            return whole(200, media_type, *text);
        }
        if let Some(rest) = path.strip_prefix(OWN) {
            return self.own(rest, query);
        }
        if let Some(rest) = path.strip_prefix(SPARK) {
            return self.spark(rest, query);
        }
        match path {
            "/metrics" => {
                let (asked, status) = (self.shown.parts.monitor.asked(), self.shown.status());
                let model = self.shown.parts.monitor.model();
                whole(200, prometheus::MEDIA_TYPE, prometheus::text(&model, &status, &asked))
            }
            "/metrics/prometheus" => {
                let status = self.shown.status();
                let model = self.shown.parts.monitor.model();
                whole(200, prometheus::MEDIA_TYPE, prometheus::spark_text(&model, &status))
            }
            "/health" => self.sign(|state| !matches!(state, RunState::Stopped)),
            "/ready" => self.sign(|state| matches!(state, RunState::Running)),
            _ => problem(404, "nothing is at this path"),
        }
    }

    /// A sign of life, for those who run containers.
    fn sign(&self, is_well: fn(RunState) -> bool) -> Response {
        let state = self.shown.status().state;
        whole(if is_well(state) { 200 } else { 503 }, "application/json", format!("{{\"state\":{}}}", named(state)))
    }

    fn own(&self, path: &str, query: &Query) -> Response {
        let shown = &self.shown;
        match path {
            "job" => whole(200, "application/json", shown.text()),
            "events" => match shown.live.open(&shown.clock, &**shown) {
                Some(pieces) => with(200, "text/event-stream", Content::Pieces(pieces)),
                None => problem(503, "too many pages are open"),
            },
            "history" => match query.number("span_ms", SPAN_MS) {
                Ok(span_ms) => {
                    let model = shown.parts.monitor.model();
                    json(&views::history(&model, shown.clock.now().as_ms(), span_ms.min(SPAN_MAX_MS)))
                }
                Err(error) => problem(400, &error),
            },
            "batches" => self.batches(query).unwrap_or_else(|error| problem(400, &error)),
            "graph" => json(&graph_view::graph(&shown.parts.monitor.model(), &shown.graph)),
            "log" => json(&views::log(&shown.parts.monitor.model())),
            "settings" => json(&views::settings(&shown.parts.given, &shown.parts.monitor.model())),
            "upgrade" => json(&shown.parts.monitor.upgrade()),
            "stop" => self.stop(StopRequest::Graceful),
            "stop-now" => self.stop(StopRequest::Now),
            "openapi.json" => whole(200, "application/json", include_str!("assets/openapi.json")),
            _ => match path.strip_prefix("batches/").map(str::parse::<u64>) {
                Some(Ok(time_ms)) => match batch_view::whole_batch(&shown.parts.monitor.model(), time_ms) {
                    Some(batch) => json(&batch),
                    None => problem(404, "this batch is not kept: the host keeps the last batches"),
                },
                Some(Err(_)) => problem(400, "a batch is named by its time in milliseconds"),
                None => problem(404, "nothing is at this path"),
            },
        }
    }

    fn batches(&self, query: &Query) -> Result<Response, String> {
        let limit = query.number("limit", BATCHES)?.min(BATCHES_MAX);
        let chosen = batch_view::Chosen {
            status: query.get("status").filter(|status| !status.is_empty()),
            longer_than_ms: query.number("longer_than_ms", 0)?,
            from_ms: query.number("from_ms", 0)?,
            until_ms: query.number("until_ms", u64::MAX)?,
        };
        batch_view::page(&self.shown.parts.monitor.model(), &chosen, query.number("offset", 0)?, limit)
            .map(|page| json(&page))
    }

    fn spark(&self, path: &str, query: &Query) -> Response {
        let Some(path) = decoded(path) else { return problem(400, "the path cannot be decoded") };
        let status = self.shown.status();
        let model = self.shown.parts.monitor.model();
        match (spark::Spark { model: &model, status: &status }).answer(&path, query) {
            Ok(value) => json(&value),
            Err((status, text)) => whole(status, "text/plain; charset=utf-8", text),
        }
    }

    fn stop(&self, request: StopRequest) -> Response {
        let Some(stop) = &self.shown.parts.stop else { return problem(409, "the job does not run in this host") };
        stop(request);
        whole(202, "application/json", "{\"stopping\":true}")
    }
}

/// The name of a state, as JSON.
fn named(state: RunState) -> String {
    serde_json::to_string(&state).unwrap_or_default()
}
