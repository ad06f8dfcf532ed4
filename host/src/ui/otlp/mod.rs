//! Metrics and traces for a collector of OpenTelemetry: OTLP over HTTP, as JSON.
//!
//! Owns when something is sent, and how much waits for a collector that is away. The job never waits for the collector:
//! spans come through a queue, and what does not fit is dropped and counted.

mod encode;
mod spans;

use self::spans::{Spans, Waiting};
use super::error::UiError;
use super::metrics;
use super::monitor::Monitor;
use crate::clients::read_secret;
use crate::config::{OtlpServer, OtlpSettings};
use crate::env::Env;
use crate::http::{JsonRequest, post_json};
use crate::listener::QueuedListener;
use crate::shown::{Shown as _, counted};
use crate::time::Duration;
use std::sync::Arc;
use tokio::sync::watch;

/// How long a collector may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the end of a job waits for the collector.
const FAREWELL_MAX: Duration = Duration::from_secs(2);
/// The shortest time between two complaints about the collector.
const COMPLAINT_EVERY: Duration = Duration::from_secs(60);
/// The longest part of an answer that the log shows.
const ANSWER_CHARS_MAX: usize = 200;

/// The listener that makes spans of events. `None` if no traces are sent.
pub type SpansListener = Option<Box<dyn QueuedListener>>;

/// Sends metrics and traces as long as it lives.
pub struct Otlp {
    end: watch::Sender<bool>,
    ended: watch::Receiver<()>,
    env: Env,
}

/// What is sent, and to whom.
struct Exporter {
    env: Env,
    server: OtlpServer,
    authorization: Option<String>,
    interval: Duration,
    monitor: Monitor,
    job: String,
    spans: Arc<Waiting>,
    /// When the log last complained about the collector, and how many requests have failed since then.
    complained: Option<Duration>,
    failures: u64,
}

impl Otlp {
    /// Begins to send what `monitor` knows to the collector of the settings. Also returns the listener that makes spans of
    /// events; it belongs behind a queue. `None` if the settings name no collector.
    ///
    /// # Errors
    /// If the token cannot be read.
    pub fn start(
        env: &Env,
        job: &str,
        settings: &OtlpSettings,
        monitor: &Monitor,
    ) -> Result<Option<(Self, SpansListener)>, UiError> {
        let Some(server) = settings.server.clone() else { return Ok(None) };
        let token = settings.token.as_ref().map(|place| read_secret(env, "otlp", "token", place)?.token());
        let token = token.transpose()?.map(|token| format!("Bearer {}", String::from_utf8_lossy(&token)));
        let (end, ends) = watch::channel(false);
        let (alive, ended) = watch::channel(());
        let exporter = Exporter {
            env: env.clone(),
            server,
            authorization: token,
            interval: settings.interval,
            monitor: monitor.clone(),
            job: job.to_owned(),
            spans: Arc::default(),
            complained: None,
            failures: 0,
        };
        let listener = settings.traces.then(|| Box::new(Spans::new(job, &exporter.spans)) as Box<dyn QueuedListener>);
        let run = async move {
            exporter.run(ends).await;
            drop(alive);
        };
        env.background.spawn("otlp", Box::pin(run));
        Ok(Some((Self { end, ended, env: env.clone() }, listener)))
    }

    /// Sends what is left, and waits for that, but only for a bounded time.
    pub async fn finish(mut self) {
        self.end.send_replace(true);
        tokio::select! {
            biased;
            // An error means that everything was sent.
            _ = self.ended.changed() => {}
            () = self.env.clock.sleep(FAREWELL_MAX) => {}
        }
    }
}

impl Exporter {
    async fn run(mut self, mut ends: watch::Receiver<bool>) {
        loop {
            let is_last = tokio::select! {
                biased;
                _ = ends.wait_for(|is_end| *is_end) => true,
                () = self.env.clock.sleep(self.interval) => false,
            };
            self.send().await;
            if is_last {
                return;
            }
        }
    }

    /// Sends the metrics as they are now, and the spans that wait.
    async fn send(&mut self) {
        let now = self.env.clock.now();
        let metrics = {
            let asked = self.monitor.asked();
            let model = self.monitor.model();
            let status = model.summary.told(false);
            let since_ms = status.since_ms;
            encode::metrics(&self.job, since_ms, now.as_ms(), &metrics::all(&model, &status, &asked))
        };
        self.post("/v1/metrics", metrics.to_string()).await;
        let (spans, dropped) = self.spans.take();
        if dropped > 0 {
            tracing::warn!("{} for the collector were dropped: there are too many", counted(dropped, "span"));
        }
        if !spans.is_empty() && !self.post("/v1/traces", encode::traces(&self.job, &spans).to_string()).await {
            self.spans.put_back(spans);
        }
    }

    /// Returns whether the collector has taken the body.
    async fn post(&mut self, path: &str, body: String) -> bool {
        let path = format!("{}{path}", self.server.path);
        let authorization = self.authorization.as_deref();
        let request = JsonRequest { server: &self.server.address, path: &path, authorization, body };
        let problem = match post_json(&*self.env.network, &*self.env.clock, request, TIMEOUT).await {
            Ok((200..300, _)) => return true,
            Ok((status, answer)) => {
                let answer: String = answer.chars().take(ANSWER_CHARS_MAX).collect();
                format!("it answers {status}: {}", answer.shown())
            }
            Err(error) => error.to_string(),
        };
        self.failures += 1;
        let now = self.env.clock.monotonic();
        if self.complained.is_none_or(|last| now.saturating_sub(last) >= COMPLAINT_EVERY) {
            let failures = counted(std::mem::take(&mut self.failures), "request");
            self.complained = Some(now);
            tracing::warn!(
                "the collector at {} does not take {path}: {problem}; {failures} failed",
                self.server.address
            );
        }
        false
    }
}

#[cfg(test)]
mod tests;
