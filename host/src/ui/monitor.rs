//! The model of one job, shared by the listener that fills it and the page that shows it.
//!
//! Owns the lock of the model. Only the thread of the listener, that of the page and that of the collector take it: the job
//! never waits for it.

use super::health::{self, Facts, Health};
use super::model::{Model, Saved};
use crate::env::Store;
use crate::error::{Error, ErrorKind};
use crate::ids::RunId;
use crate::listener::{Event, OperatorState, QueuedListener, RunState, Status};
use crate::lock::lock;
use crate::memory::MemoryBudget;
use crate::state_reader::LiveStates;
use crate::time::{Duration, Time};
use crate::upgrade::{UpgradeControl, UpgradeStatus};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

/// Over how many of the last batches the health of a job is judged.
const JUDGED: usize = 20;

/// Where the model is kept in a checkpoint directory.
const KEPT_AS: &str = "ui/history.json";
/// How often the model is written there.
const KEPT_EVERY: Duration = Duration::from_secs(60);
/// The most bytes that are read from there.
const KEPT_BYTES_MAX: u64 = 32 << 20;

/// What tells of a job that runs what its events do not tell.
pub struct JobParts {
    /// The state of the job.
    pub states: LiveStates,
    /// The upgrades of the job.
    pub upgrades: Arc<dyn UpgradeControl>,
    /// The memory of the job.
    pub memory: MemoryBudget,
}

/// The memory of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Memory {
    pub(super) budget_bytes: usize,
    /// The bytes that each consumer has reserved.
    pub(super) consumers: BTreeMap<String, usize>,
}

/// What the parts of a job say when somebody looks. All is empty if the job does not run.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) operators: Vec<OperatorState>,
    pub(super) memory: Option<Memory>,
}

/// The model of a job. Clones show the same job.
#[derive(Clone)]
pub struct Monitor {
    model: Arc<Mutex<Model>>,
    job: Arc<OnceLock<JobParts>>,
    /// The checkpoint directory in which the model is kept. `None` if the job has none.
    store: Option<Arc<dyn Store>>,
}

/// Why nothing is known of a job that has ended.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The host of the job had no page.
    #[error("{0} has no history of a page")]
    None(String),
    /// The file cannot be read.
    #[error("cannot read {KEPT_AS} in {0}: {1}")]
    Unreadable(String, String),
}

impl From<KeptError> for Error {
    fn from(error: KeptError) -> Self {
        let (kind, help) = match &error {
            KeptError::None(_) => (
                ErrorKind::User,
                "name the checkpoint directory of a job that ran with --ui or with ui.address; the history is written \
                 every minute and at the end",
            ),
            KeptError::Unreadable(..) => {
                (ErrorKind::Data, "remove the file: only the page reads it, and the next host writes it again")
            }
        };
        Self::new(kind, error.to_string()).help(help)
    }
}

impl Monitor {
    /// The model of a job that is about to start at `now` in the process `pid`.
    pub fn new(now: Time, job: &str, pid: Option<u32>) -> Self {
        Self::of(Model::new(now, job, pid))
    }

    /// Keeps the model in a checkpoint directory, and goes on with what an earlier host of the job has kept there. What
    /// cannot be read is left out: only pages need it.
    #[must_use]
    pub fn kept_in(self, store: Arc<dyn Store>, now: Time) -> Self {
        match kept(&*store) {
            Ok(saved) if saved.status.job == self.model().summary.told(false).job => self.model().resume(now, saved),
            Ok(_) | Err(KeptError::None(_)) => {}
            Err(error) => tracing::warn!("the page begins without a past: {error}"),
        }
        Self { store: Some(store), ..self }
    }

    /// The model of a job that has ended, from its checkpoint directory; and when the model was written.
    ///
    /// # Errors
    /// If the directory has no such model, or if the model cannot be read.
    pub fn of_ended(store: &dyn Store) -> Result<(Self, Time), KeptError> {
        let saved = kept(store)?;
        let saved_at = Time::from_ms(saved.saved_ms);
        Ok((Self::of(saved.into_model()), saved_at))
    }

    /// The listener that fills the model. It belongs behind a queue.
    pub fn listener(&self) -> Box<dyn QueuedListener> {
        Box::new(Hears { monitor: self.clone(), kept: None })
    }

    /// The job runs.
    pub fn attach(&self, job: JobParts) {
        // A job starts once.
        let _ = self.job.set(job);
    }

    fn of(model: Model) -> Self {
        Self { model: Arc::new(Mutex::new(model)), job: Arc::default(), store: None }
    }

    pub(super) fn model(&self) -> MutexGuard<'_, Model> {
        lock(&self.model)
    }

    /// Asks the parts of the job. Never call it with the model in hand: they have locks of their own.
    pub(super) fn asked(&self) -> Asked {
        let Some(JobParts { states, memory, .. }) = self.job.get() else { return Asked::default() };
        let memory = Memory { budget_bytes: memory.bytes(), consumers: memory.consumers() };
        Asked { operators: states.list(), memory: Some(memory) }
    }

    /// The status of the upgrade that goes on, or of the last one. `None` if there is none.
    pub(super) fn upgrade(&self) -> Option<UpgradeStatus> {
        self.job.get()?.upgrades.status().ok()
    }
}

fn kept(store: &dyn Store) -> Result<Saved, KeptError> {
    let unreadable = |problem: String| KeptError::Unreadable(store.describe(), problem);
    match store.read(KEPT_AS, KEPT_BYTES_MAX) {
        Ok(bytes) => Saved::read(&bytes).map_err(unreadable),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(KeptError::None(store.describe())),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

struct Hears {
    monitor: Monitor,
    /// When the model was last kept; `None` before the first event.
    kept: Option<Time>,
}

impl Hears {
    /// Writes the model to the checkpoint directory, if it is time for that.
    fn keep(&mut self, at: Time, is_end: bool) {
        let Some(store) = &self.monitor.store else { return };
        let last = *self.kept.get_or_insert(at);
        if is_end || at.since(last) >= KEPT_EVERY {
            self.kept = Some(at);
            let saved = Saved::of(&self.monitor.model(), at, false);
            // Numbers, texts, lists and objects can always be written as JSON.
            let written =
                serde_json::to_vec(&saved).map_err(io::Error::from).and_then(|bytes| store.put(KEPT_AS, &bytes));
            if let Err(error) = written {
                tracing::debug!("cannot keep the history of the page: {error}");
            }
        }
    }
}

impl QueuedListener for Hears {
    fn on_event(&mut self, at: Time, run: RunId, event: &Event) {
        self.monitor.model().hear(at, run, event);
        self.keep(at, matches!(event, Event::StreamingStopped { .. }));
    }
}

/// How the job is.
pub(super) fn health(model: &Model, status: &Status) -> Health {
    let last = || model.batches.done().take(JUDGED);
    let mut stages_us: BTreeMap<(u32, u32), u64> = BTreeMap::new();
    for (run, stage) in last().flat_map(|batch| batch.stages.iter().map(move |stage| (batch.run, stage))) {
        *stages_us.entry((run, stage.stage)).or_default() += stage.work.duration_us;
    }
    // By run, and by node: several operators may have the same label.
    let mut parts_us: BTreeMap<(u32, (u32, String)), u64> = BTreeMap::new();
    for ((run, number), us) in stages_us {
        for (part, us) in model.stages.find(run, number).map(|stage| stage.parts(us)).unwrap_or_default() {
            *parts_us.entry((run, part)).or_default() += us;
        }
    }
    let failing = status.checkpoint.iter().flat_map(|checkpoint| checkpoint.failing.values());
    let away = status.receivers.iter().filter(|receiver| !receiver.active);
    health::judge(&Facts {
        state: status.state,
        batch_interval_us: model.batch_interval_ms.saturating_mul(1000),
        behind_since_ms: model.behind_since_ms,
        waiting: status.pending,
        last_us: last().map(|batch| (batch.scheduling_us.unwrap_or(0), batch.processing_us.unwrap_or(0))).collect(),
        failed: last().filter(|batch| batch.failed().next().is_some()).count(),
        all_us: last().flat_map(|batch| &batch.stages).map(|stage| stage.work.duration_us).sum(),
        parts_us: parts_us.into_iter().map(|((_, (_, label)), us)| (label, us)).collect(),
        away: if status.state == RunState::Running {
            away.map(|receiver| receiver.name.clone()).collect()
        } else {
            Vec::new()
        },
        checkpoints_fail_since_ms: failing.map(|trouble| trouble.since_ms).min(),
        error: status.error.clone(),
    })
}
