//! What the page shows, and what it needs for that.
//!
//! Owns the answer to what is known at the moment. Never listens to anybody.

use super::live::{Live, Told};
use super::monitor::{Asked, Monitor};
use super::views;
use crate::config::UiSettings;
use crate::env::Clock;
use crate::graph::Explanation;
use crate::http::Token;
use crate::ingest::StopRequest;
use crate::listener::{Status, StatusListener};
use crate::time::Time;
use async_trait::async_trait;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// What the page needs before the job starts.
pub struct UiParts {
    /// Where the page is served, and who may look.
    pub settings: UiSettings,
    /// The path of the job file, and the keys that were given with their values.
    pub given: (String, BTreeMap<String, String>),
    /// The model of the job.
    pub monitor: Monitor,
    /// When the model was written; `None` if the job runs in this process.
    pub saved: Option<Time>,
    /// Knows whether the job was asked to stop. `None` if the job does not run in this process.
    pub status: Option<Arc<StatusListener>>,
    /// The graph of the job. `None` if it is not known.
    pub graph: Option<Explanation>,
    /// Asks the job to stop. `None` if the job does not run in this process.
    pub stop: Option<Box<dyn Fn(StopRequest) + Send + Sync>>,
}

/// What the page shows.
pub(super) struct Shown {
    pub(super) parts: UiParts,
    /// The graph as JSON.
    pub(super) graph: Value,
    pub(super) token: Option<Token>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) live: Live,
    /// Closed when the page is.
    pub(super) open: watch::Receiver<()>,
}

impl Shown {
    fn is_stopping(&self) -> bool {
        self.parts.status.as_ref().is_some_and(|status| status.is_stopping())
    }

    /// The status of the job, without its operators.
    pub(super) fn status(&self) -> Status {
        self.parts.monitor.model().summary.told(self.is_stopping())
    }
}

#[async_trait]
impl Told for Shown {
    fn version(&self) -> (u64, bool) {
        (self.parts.monitor.model().version, self.is_stopping())
    }

    fn text(&self) -> String {
        let Asked { operators, memory } = self.parts.monitor.asked();
        let mut status = self.status();
        if !operators.is_empty() {
            status.operators = operators;
        }
        let model = self.parts.monitor.model();
        let can_stop = self.token.is_some() && self.parts.stop.is_some();
        let view = views::job(&model, (&status, memory), (self.clock.now(), self.parts.saved), can_stop);
        // Numbers, texts, lists and objects with text keys can always be written as JSON.
        serde_json::to_string(&view).unwrap_or_default()
    }

    async fn closed(&self) {
        let mut open = self.open.clone();
        while open.changed().await.is_ok() {}
    }
}
