//! Decides whether a job can resume a run: whether plugin, job file and graph are those of the run, as far as results
//! depend on them.

use crate::checkpoint::{Metadata, SavedNode};
use crate::config::{Change, Settings, changes};
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::graph::{DescribedNode, Graph, Intervals};
use crate::shown::Shown as _;

/// The facts about a job that its checkpoints need.
pub(super) struct JobFacts<'a> {
    pub(super) env: &'a Env,
    pub(super) settings: &'a Settings,
    pub(super) plugin_digest: &'a str,
    pub(super) nodes: &'a [DescribedNode],
    pub(super) graph: &'a Graph,
    pub(super) intervals: &'a Intervals,
}

/// Checks whether a job can resume a run.
pub(super) fn check_fit(facts: &JobFacts<'_>, run: &str, place: &str, metadata: &Metadata) -> Result<(), Error> {
    let saved = &metadata.run;
    if saved.plugin_digest != facts.plugin_digest {
        let message = format!(
            "run {run} in {place} belongs to another plugin: that plugin has digest {}, and {} has {}",
            saved.plugin_digest,
            facts.settings.job.plugin.shown(),
            facts.plugin_digest
        );
        let help = "bring the old plugin back; to replace it without a gap, start the job with the old plugin and run \
                    `host upgrade JOB.TOML --plugin NEW.wasm`, which compares both before it hands over; or start a new \
                    run of the new one with --fresh: it goes on with the next batch, with empty windows and without \
                    state; or run the new one beside the old one with a checkpoint directory of its own, if its sources \
                    can be read twice";
        return Err(Error::new(ErrorKind::User, message).help(help));
    }
    let mut fresh = Vec::new();
    for change in changes(&saved.settings, &facts.settings.given) {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "not given".to_owned());
        let told = format!("{} was {} and is {}", change.key, value(&change.before), value(&change.after));
        match change.change {
            Change::Harmless => tracing::info!("{told}: results are the same"),
            Change::Restart => {
                tracing::warn!("{told}: the new value applies from now on, also to batches that run again");
            }
            Change::Fresh => fresh.push(told),
        }
    }
    if !fresh.is_empty() {
        let message = format!("run {run} in {place} does not fit this job file: {}", fresh.join("; "));
        return Err(Error::new(ErrorKind::User, message)
            .help("bring the old values back, or start a new run with --fresh: it goes on with the next batch"));
    }
    let nodes: Vec<_> = facts.nodes.iter().map(SavedNode::new).collect();
    if saved.nodes != nodes {
        let at = saved.nodes.iter().zip(&nodes).position(|(saved, node)| saved != node);
        let at = at.unwrap_or(saved.nodes.len().min(nodes.len()));
        let message = format!(
            "run {run} in {place} has another graph, from node {at} on: with these arguments the plugin describes \
             {} nodes, and there were {}",
            nodes.len(),
            saved.nodes.len()
        );
        return Err(Error::new(ErrorKind::User, message)
            .help("bring the old job.args back, or start a new run with --fresh: it goes on with the next batch"));
    }
    Ok(())
}

/// Checks that a job whose plugin has state also has a checkpoint directory.
///
/// # Errors
/// Returns an error that names the first operator with state.
pub(super) fn check_state(graph: &Graph, settings: &Settings) -> Result<(), Error> {
    let stateful = graph.nodes().iter().find(|node| node.operation.stateful().is_some());
    match stateful {
        Some(node) if settings.job.checkpoint.is_none() => {
            let name = &settings.job.name;
            let message = format!("operator {node} keeps state, and job {name} has no checkpoint directory");
            let help = format!("write `checkpoint = \"checkpoints/{name}\"` in the table [job] of the job file");
            Err(Error::new(ErrorKind::User, message).help(help))
        }
        _ => Ok(()),
    }
}
