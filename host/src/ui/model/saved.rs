//! What is kept of a job when its host ends, for the next host and for readers after the end.
//!
//! Owns the form: JSON, of bounded size. A form of another version is not read. Never reads or writes a file.

use super::{Batch, Batches, History, Model, Notes, OutputName, Source, Stage, Stages, Totals};
use crate::listener::{Attention, Status, Summary};
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the form.
const FORM: u32 = 1;
/// The most batches that are kept.
const BATCHES_MAX: usize = 1_000;

/// A job as its host has left it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::ui) struct Saved {
    form: u32,
    pub(in crate::ui) saved_ms: u64,
    started_ms: Option<u64>,
    ended_ms: Option<u64>,
    batch_interval_ms: u64,
    behind_since_ms: Option<u64>,
    pub(in crate::ui) status: Status,
    totals: Totals,
    sources: BTreeMap<u32, Source>,
    outputs: BTreeMap<usize, OutputName>,
    /// The newest last.
    batches: Vec<Batch>,
    stages: Vec<(u32, u32, Stage)>,
    history: History,
    notes: Notes,
    set: BTreeMap<String, String>,
}

impl Saved {
    /// What is kept of a model at `now`.
    pub(in crate::ui) fn of(model: &Model, now: Time, is_stopping: bool) -> Self {
        let mut batches: Vec<Batch> = model.batches.done().take(BATCHES_MAX).cloned().collect();
        batches.reverse();
        Self {
            form: FORM,
            saved_ms: now.as_ms(),
            started_ms: model.started_ms,
            ended_ms: model.ended_ms,
            batch_interval_ms: model.batch_interval_ms,
            behind_since_ms: model.behind_since_ms,
            status: model.summary.told(is_stopping),
            totals: model.totals.clone(),
            sources: model.sources.clone(),
            outputs: model.outputs.clone(),
            batches,
            stages: model.stages.all().map(|((run, number), stage)| (run, number, stage.clone())).collect(),
            history: model.history.clone(),
            notes: model.notes.clone(),
            set: model.set.clone(),
        }
    }

    /// Reads what was kept.
    ///
    /// # Errors
    /// If it is damaged, or of another version.
    pub(in crate::ui) fn read(bytes: &[u8]) -> Result<Self, String> {
        let saved: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match saved.form {
            FORM if saved.history.is_current() => Ok(saved),
            FORM => Err("its history has another form".to_owned()),
            other => Err(format!("it has form {other}, and this host reads form {FORM}")),
        }
    }

    fn kept_batches(batches: Vec<Batch>) -> Batches {
        let mut kept = Batches::default();
        batches.into_iter().for_each(|batch| kept.keep(batch));
        kept
    }

    /// The model of the job as its host has left it.
    pub(in crate::ui) fn into_model(self) -> Model {
        let mut stages = Stages::default();
        self.stages.into_iter().for_each(|(run, number, stage)| stages.restore(run, number, stage));
        Model {
            started_ms: self.started_ms,
            batch_interval_ms: self.batch_interval_ms,
            ended_ms: self.ended_ms,
            totals: self.totals,
            sources: self.sources,
            outputs: self.outputs,
            batches: Self::kept_batches(self.batches),
            history: self.history,
            stages,
            notes: self.notes,
            behind_since_ms: self.behind_since_ms,
            set: self.set,
            summary: Summary::restored(self.status),
            ..Model::new(Time::default(), "", None)
        }
    }
}

impl Model {
    /// The job goes on after its host has ended: its past is shown, and its numbers count from the start of this host.
    pub(in crate::ui) fn resume(&mut self, now: Time, saved: Saved) {
        self.batches = Saved::kept_batches(saved.batches);
        self.history = saved.history;
        self.notes = saved.notes;
        self.notes.add(
            now.as_ms(),
            Attention::Notice,
            "the host was started again; what is older is of an earlier host",
        );
    }
}
