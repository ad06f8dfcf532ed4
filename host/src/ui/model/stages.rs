//! What is known of the stages of a job over all batches: their operators, rows and times.
//!
//! Owns the sums. The sums of a stage never go back.

use super::batches::us;
use crate::listener::{SampleInfo, StageInfo, StageRows};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// The most stages that are told apart. Stages of driver functions may be many.
const STAGES_MAX: usize = 512;
/// The most samples that wait for the end of their stage.
const EARLY_MAX: usize = 64;

/// A part of an operator that runs in a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::ui) struct Operator {
    pub(in crate::ui) node: u32,
    pub(in crate::ui) name: Option<String>,
    pub(in crate::ui) kind: String,
    pub(in crate::ui) role: String,
    /// The rows that tasks read while the operator was timed, and its time meanwhile.
    #[serde(default)]
    pub(in crate::ui) sampled_rows: u64,
    #[serde(default)]
    pub(in crate::ui) sampled_us: f64,
}

impl Operator {
    /// The name that the plugin gives to the operator, or else its kind.
    pub(in crate::ui) fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.kind)
    }
}

/// Rows that went into a stage or out of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ui) struct Rows {
    pub(in crate::ui) kind: String,
    pub(in crate::ui) node: u32,
    pub(in crate::ui) rows: u64,
}

impl From<&StageRows> for Rows {
    fn from(rows: &StageRows) -> Self {
        Self { kind: rows.kind.to_owned(), node: rows.node.0, rows: 0 }
    }
}

/// A stage, over all batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::ui) struct Stage {
    pub(in crate::ui) operators: Vec<Operator>,
    pub(in crate::ui) inputs: Vec<Rows>,
    pub(in crate::ui) output: Rows,
    pub(in crate::ui) runs: u64,
    pub(in crate::ui) failures: u64,
    pub(in crate::ui) tasks: u64,
    pub(in crate::ui) retries: u64,
    pub(in crate::ui) duration_us: u64,
    pub(in crate::ui) task_time_us: u64,
    /// The part of it in code of the plugin.
    #[serde(default)]
    pub(in crate::ui) plugin_us: u64,
    /// How many functions of the plugin were called.
    #[serde(default)]
    pub(in crate::ui) plugin_calls: u64,
    /// The largest memory of an instance of the plugin.
    #[serde(default)]
    pub(in crate::ui) plugin_memory_bytes: u64,
    pub(in crate::ui) shuffle_bytes: u64,
}

impl Stage {
    fn new(info: &StageInfo) -> Self {
        let operators = info.operators.iter().map(|operator| Operator {
            node: operator.node.0,
            name: operator.name.clone(),
            kind: operator.kind.clone(),
            role: operator.role.to_owned(),
            sampled_rows: 0,
            sampled_us: 0.0,
        });
        Self {
            operators: operators.collect(),
            inputs: info.inputs.iter().map(Rows::from).collect(),
            output: Rows::from(&info.output),
            runs: 0,
            failures: 0,
            tasks: 0,
            retries: 0,
            duration_us: 0,
            task_time_us: 0,
            plugin_us: 0,
            plugin_calls: 0,
            plugin_memory_bytes: 0,
            shuffle_bytes: 0,
        }
    }

    /// The operator that gives the stage its name: the last one that the plugin names, or else the last.
    pub(in crate::ui) fn label(&self) -> String {
        let named = self.operators.iter().rev().find(|operator| operator.name.is_some());
        let operator = named.or(self.operators.last());
        operator.map_or_else(|| self.output.kind.clone(), |operator| operator.label().to_owned())
    }

    /// The share of an operator in the time that the stage spends in code of the plugin, from 0 to 1. `None` if the operators of
    /// the stage were not timed yet.
    pub(in crate::ui) fn share(&self, operator: &Operator) -> Option<f64> {
        let all: f64 = self.operators.iter().map(|operator| operator.sampled_us).sum();
        (all > 0.0).then(|| operator.sampled_us / all)
    }

    /// Divides a time of the stage among its operators, with their nodes and labels. What the host takes is in no part. If the
    /// operators were not timed yet, all is the part of the last node of the stage, with the label of the stage.
    pub(in crate::ui) fn parts(&self, us: u64) -> Vec<((u32, String), u64)> {
        let part = |operator: &Operator| {
            let part = us as f64 * self.plugin_part() * self.share(operator)?;
            Some(((operator.node, operator.label().to_owned()), part as u64))
        };
        let parts: Option<Vec<_>> = self.operators.iter().map(part).collect();
        let of_all = || {
            let last = self.operators.last().map_or(self.output.node, |operator| operator.node);
            vec![((last, self.label()), us)]
        };
        parts.filter(|parts| !parts.is_empty()).unwrap_or_else(of_all)
    }

    /// The part of the time of tasks that is spent in code of the plugin, from 0 to 1.
    pub(in crate::ui) fn plugin_part(&self) -> f64 {
        if self.task_time_us == 0 { 0.0 } else { (self.plugin_us as f64 / self.task_time_us as f64).min(1.0) }
    }

    /// Adds a sample to the operators that it has timed. Returns whether there are any.
    fn tell_sample(&mut self, info: &SampleInfo) -> bool {
        let mut is_mine = false;
        for operator in &mut self.operators {
            let is_same = |node: u32, role: &str| operator.node == node && operator.role == role;
            if let Some(sample) = info.operators.iter().find(|sample| is_same(sample.node.0, sample.role)) {
                operator.sampled_rows = operator.sampled_rows.saturating_add(info.rows);
                operator.sampled_us += sample.time.as_secs_f64() * 1e6;
                is_mine = true;
            }
        }
        is_mine
    }

    /// The rows of all inputs.
    pub(in crate::ui) fn rows_read(&self) -> u64 {
        self.inputs.iter().map(|input| input.rows).sum()
    }
}

/// The stages, by run and number.
#[derive(Debug, Default)]
pub(in crate::ui) struct Stages {
    known: BTreeMap<(u32, u32), Stage>,
    /// Samples of stages that have not run yet, by run. A sample of the first task of a stage comes before the stage has ended.
    early: VecDeque<(u32, SampleInfo)>,
}

impl Stages {
    /// A stage has run.
    pub(in crate::ui) fn tell(&mut self, run: u32, info: &StageInfo) {
        let key = (run, info.stage_id.0);
        if self.known.len() >= STAGES_MAX && !self.known.contains_key(&key) {
            return;
        }
        let early = self.early.iter().filter(|(of_run, _)| *of_run == run).map(|(_, sample)| sample);
        let stage = self.known.entry(key).or_insert_with(|| {
            let mut stage = Stage::new(info);
            for sample in early {
                stage.tell_sample(sample);
            }
            stage
        });
        stage.runs += 1;
        stage.failures += u64::from(info.failure_reason.is_some());
        stage.tasks += u64::from(info.num_tasks);
        stage.duration_us = stage.duration_us.saturating_add(us(info.duration));
        stage.task_time_us = stage.task_time_us.saturating_add(us(info.task_time));
        stage.plugin_us = stage.plugin_us.saturating_add(us(info.plugin.time));
        stage.plugin_calls = stage.plugin_calls.saturating_add(info.plugin.calls);
        stage.plugin_memory_bytes = stage.plugin_memory_bytes.max(info.plugin.memory_bytes);
        stage.shuffle_bytes = stage.shuffle_bytes.saturating_add(info.shuffle_bytes_written);
        for (known, input) in stage.inputs.iter_mut().zip(&info.inputs) {
            known.rows = known.rows.saturating_add(input.rows);
        }
        stage.output.rows = stage.output.rows.saturating_add(info.output.rows);
    }

    /// Operators were timed. An operator of a sample runs in the stages of the run that have the same part of the operator.
    pub(in crate::ui) fn tell_sample(&mut self, run: u32, info: &SampleInfo) {
        let stages = self.known.iter_mut().filter(|((of_run, _), _)| *of_run == run);
        let is_known = stages.fold(false, |is_known, (_, stage)| stage.tell_sample(info) || is_known);
        if !is_known {
            self.early.push_back((run, info.clone()));
            let more = self.early.len().saturating_sub(EARLY_MAX);
            self.early.drain(..more);
        }
    }

    /// What was known of a stage when a host ended.
    pub(super) fn restore(&mut self, run: u32, number: u32, stage: Stage) {
        self.known.insert((run, number), stage);
    }

    /// A task of a stage runs again.
    pub(in crate::ui) fn tell_retry(&mut self, run: u32, stage: u32) {
        if let Some(stage) = self.known.get_mut(&(run, stage)) {
            stage.retries += 1;
        }
    }

    /// The stages of all runs, by run and number.
    pub(in crate::ui) fn all(&self) -> impl Iterator<Item = ((u32, u32), &Stage)> {
        self.known.iter().map(|(key, stage)| (*key, stage))
    }

    /// One stage.
    pub(in crate::ui) fn find(&self, run: u32, stage: u32) -> Option<&Stage> {
        self.known.get(&(run, stage))
    }
}
