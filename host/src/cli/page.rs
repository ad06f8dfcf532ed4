//! What `host run` tells others of a job: its page, and the metrics and traces for a collector.

use super::stopper::Stopper;
use crate::config::Settings;
use crate::context::checkpoint_store;
use crate::env::Env;
use crate::error::Error;
use crate::graph::Explanation;
use crate::listener::{Event, ListenerBus, QueuedListener, StatusListener};
use crate::shown::Shown as _;
use crate::ui::{JobParts, Monitor, Otlp, Ui, UiParts};
use std::sync::Arc;

/// A listener that belongs behind a queue, and its name in the log.
pub(super) type Queued = (&'static str, Box<dyn QueuedListener>);

/// The page of a job and the messages to a collector, as far as the job has them. Dropping the value ends them.
pub(super) struct Monitoring {
    monitor: Monitor,
    has_page: bool,
    /// Dropping it closes the page.
    _page: Option<Ui>,
    otlp: Option<Otlp>,
}

impl Monitoring {
    /// Begins to send to the collector of the settings, if they name one. Also returns the listeners that have to hear the
    /// events of the job.
    pub(super) fn start(env: &Env, settings: &Settings) -> Result<(Self, Vec<Queued>), Error> {
        let now = env.clock.now();
        let mut monitor = Monitor::new(now, &settings.job.name, Some(std::process::id()));
        let has_page = settings.ui.address.is_some();
        if has_page && settings.job.checkpoint.is_some() {
            monitor = monitor.kept_in(checkpoint_store(env, settings)?, now);
        }
        let (otlp, spans) = Otlp::start(env, &settings.job.name, &settings.otlp, &monitor)?.unzip();
        let mut listeners: Vec<Queued> = Vec::new();
        if has_page || otlp.is_some() {
            listeners.push(("the page of the job", monitor.listener()));
        }
        listeners.extend(spans.flatten().map(|spans| ("the collector", spans)));
        Ok((Self { monitor, has_page, _page: None, otlp }, listeners))
    }

    /// Serves the page, if the job has one, and reports where. Requests to stop that come from the page go to `stopper`.
    pub(super) async fn open(
        &mut self,
        env: &Env,
        (settings, status, graph): (&Settings, Arc<StatusListener>, Explanation),
        stopper: &Arc<Stopper>,
        listeners: &ListenerBus,
    ) -> Result<(), Error> {
        if self.has_page {
            let stopper = stopper.clone();
            let stop = Box::new(move |request| stopper.request("the page of the job", request));
            let parts = UiParts {
                settings: settings.ui.clone(),
                given: (settings.job.file.shown().into_owned(), settings.given.clone()),
                monitor: self.monitor.clone(),
                saved: None,
                status: Some(status),
                graph: Some(graph),
                stop: Some(stop),
            };
            let page = Ui::start(env, parts).await?;
            listeners.post(&Event::PageListens { url: page.url().to_owned() });
            self._page = Some(page);
        }
        Ok(())
    }

    /// The job runs.
    pub(super) fn attach(&self, job: JobParts) {
        self.monitor.attach(job);
    }

    /// The job has ended: sends what is left to the collector.
    pub(super) async fn finish(self) {
        if let Some(otlp) = self.otlp {
            otlp.finish().await;
        }
    }
}
