//! `host checkpoint show`: prints the owner, the runs, and what batches read.

use super::super::{count, print};
use super::state::StateOfRun;
use crate::checkpoint::{
    Allocations, LogError, Metadata, Owner, ReadLog, RunsError, SavedNode, SavedRun, current_owner, is_locked,
    read_log, read_run, run_names,
};
use crate::env::{Env, Store};
use crate::error::Error;
use crate::shown::{self, counted, escape_control};
use crate::time::{Time, whole_ms};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::process::ExitCode;

/// How many batches and gaps are listed one by one to a person.
const LISTED_MAX: usize = 20;
/// How many characters of the id of a type are shown to a person.
const ID_CHARS: usize = 12;
/// How often the log is read again if its owner began a new segment during the read.
const TRIES_MAX: usize = 5;

/// The data that `show` prints.
struct Shown {
    place: String,
    now: Time,
    owner: Option<Owner>,
    is_locked: Option<bool>,
    /// The runs with their state, and which of them the next start resumes.
    runs: Vec<(SavedRun, StateOfRun)>,
    current: Option<String>,
    log: Result<Option<ReadLog>, String>,
    with_graph: bool,
}

/// Tells what is there.
pub(super) fn show(store: &dyn Store, env: &Env, with_graph: bool, json: bool) -> Result<ExitCode, Error> {
    let owner = current_owner(store)?;
    let names = run_names(store)?;
    let runs = names.iter().map(|name| read_run(store, name, false)).collect::<Result<Vec<_>, _>>()?;
    let runs = runs.into_iter().map(|run| {
        let snapshots = run.newest.as_ref().map(|(.., metadata)| metadata.snapshots.as_slice()).unwrap_or_default();
        let state = StateOfRun::read(store, &run.name, snapshots);
        (run, state)
    });
    let runs = runs.collect();
    let current = owner.as_ref().map(|owner| owner.run.clone()).filter(|run| names.contains(run));
    let shown = Shown {
        place: store.describe(),
        now: env.clock.now(),
        // This machine cannot see whether a process on another machine holds the lock.
        is_locked: if owner.as_ref().is_some_and(|owner| machine(&owner.holder) == machine(&env.identity)) {
            is_locked(store).unwrap_or_default()
        } else {
            None
        },
        owner,
        runs,
        current: current.or_else(|| names.last().cloned()),
        log: log(store)?,
        with_graph,
    };
    print(&if json { format!("{}\n", shown::json(&shown.as_json().to_string())) } else { shown.as_text() })
}

/// `m` of `process 17 on m`.
fn machine(holder: &str) -> Option<&str> {
    Some(holder.split_once(" on ")?.1)
}

/// The log, or what is wrong with it.
fn log(store: &dyn Store) -> Result<Result<Option<ReadLog>, String>, Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        match read_log(store) {
            Ok(log) => return Ok(Ok(log)),
            // The owner of the log has begun another segment.
            Err(LogError::Store { error, .. }) if error.kind() == std::io::ErrorKind::NotFound && tries < TRIES_MAX => {
            }
            Err(LogError::Store { name, error }) => {
                return Err(RunsError { name, place: store.describe(), error }.into());
            }
            Err(error @ LogError::Damaged { .. }) => return Ok(Err(error.to_string())),
        }
    }
}

fn ms(time: Time) -> u64 {
    time.as_ms()
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Shown {
    fn as_json(&self) -> Value {
        let owner = self.owner.as_ref().map(|owner| {
            json!({
                "epoch": owner.epoch,
                "run": owner.run,
                "holder": owner.holder,
                "since_ms": ms(owner.since()),
                "released": owner.is_released(),
                "locked": self.is_locked,
            })
        });
        let ingest = match &self.log {
            Ok(None) => Value::Null,
            Ok(Some(log)) => ingest_as_json(log),
            Err(error) => json!({ "error": error }),
        };
        let runs: Vec<Value> = self.runs.iter().map(|(run, state)| self.run_as_json(run, state)).collect();
        json!({ "directory": self.place, "owner": owner, "runs": runs, "ingest": ingest })
    }

    fn run_as_json(&self, run: &SavedRun, state: &StateOfRun) -> Value {
        let unreadable: Vec<Value> =
            run.unreadable.iter().map(|bad| json!({ "name": bad.name, "error": bad.error.to_string() })).collect();
        let mut object = json!({
            "name": run.name,
            "current": self.current.as_ref() == Some(&run.name),
            "checkpoints": run.count,
            "unreadable": unreadable,
            "state": state.as_json(),
        });
        if let (Value::Object(members), Some((name, bytes, metadata))) = (&mut object, &run.newest)
            && let Value::Object(more) = metadata_as_json(metadata, self.with_graph)
        {
            members.insert("checkpoint".to_owned(), json!(name));
            members.insert("bytes".to_owned(), json!(bytes));
            members.extend(more);
        }
        object
    }

    fn as_text(&self) -> String {
        let mut text = format!("checkpoint directory {}\n", escape_control(&self.place));
        match &self.owner {
            None => text.push_str("owner: none\n"),
            Some(owner) => text.push_str(&self.owner_as_text(owner)),
        }
        self.runs.iter().for_each(|(run, state)| self.run_as_text(run, state, &mut text));
        if self.runs.is_empty() {
            text.push_str("no runs\n");
        }
        // Writing to a string cannot fail.
        let _ = match &self.log {
            Ok(None) => writeln!(text, "allocation log: none"),
            Ok(Some(log)) => {
                ingest_as_text(log, &mut text);
                Ok(())
            }
            Err(error) => {
                writeln!(text, "allocation log: {}; `host checkpoint verify` says more", escape_control(error))
            }
        };
        text
    }

    fn at(&self, time: Time) -> String {
        format!("{time} ({:.1} s ago)", self.now.since(time).as_secs_f64())
    }

    fn owner_as_text(&self, owner: &Owner) -> String {
        let state = match (owner.is_released(), self.is_locked) {
            (_, Some(true)) => "a host holds its lock right now",
            (true, _) => "given back",
            (false, Some(false)) => "no host on this machine holds its lock: the last one ended without giving it back",
            (false, None) => "not given back; whether a host still has it cannot be known from here",
        };
        let run = if owner.run.is_empty() { "none" } else { owner.run.as_str() };
        format!(
            "owner: epoch {}, {}, since {}; {state}\n  run: {}\n",
            owner.epoch,
            escape_control(&owner.holder),
            self.at(owner.since()),
            escape_control(run)
        )
    }

    fn run_as_text(&self, run: &SavedRun, state: &StateOfRun, text: &mut String) {
        let current = if self.current.as_ref() == Some(&run.name) { ", the current one" } else { "" };
        let _ = writeln!(text, "run {}{current}", escape_control(&run.name));
        for bad in &run.unreadable {
            let _ = writeln!(
                text,
                "  passed over: {}: {}",
                escape_control(&bad.name),
                escape_control(&bad.error.to_string())
            );
        }
        let Some((name, bytes, metadata)) = &run.newest else {
            let _ = writeln!(text, "  no checkpoint of it can be read");
            return;
        };
        let mut line = |what: &str, value: &str| write_line(text, what, value);
        let Metadata { run: what, progress, .. } = metadata;
        let optional = |time: Option<Time>| time.map_or_else(|| "none".to_owned(), |time| time.to_string());
        let written = self.at(metadata.written());
        let owner = metadata.epoch;
        line("checkpoints", &run.count.to_string());
        line("newest", &format!("{name}, {bytes} bytes, written {written} by owner {owner}"));
        line("job", &format!("{}, host {}", what.job, what.host_version));
        line("plugin", &what.plugin_digest);
        line("zero time", &what.beginning().zero.to_string());
        line("batch interval", &format!("{} ms", whole_ms(what.batch_interval())));
        line("last batch made", &optional(progress.generated()));
        line("done through", &optional(progress.completed(what.batch_interval())));
        line("pending", &times(progress.pending()));
        let positions: Vec<String> =
            progress.positions().map(|(source, next)| format!("`{source}` up to block {next}")).collect();
        line("read", &format!("{}{}", listed(&positions), files(progress.files_seen())));
        state.lines(|time| self.at(time)).iter().for_each(|(what, value)| line(what, value));
        let settings: Vec<String> = what.settings.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        line("settings", if settings.is_empty() { "none" } else { "" });
        settings.iter().for_each(|setting| line("", setting));
        line("graph", &count(what.nodes.len(), "node"));
        if self.with_graph {
            what.nodes.iter().enumerate().for_each(|(at, node)| line("", &node_as_text(at, node)));
            line("stages", "");
            what.stages.lines().for_each(|stage| line("", stage));
        }
    }
}

/// Writes a line of a section. A line without a name continues the line before.
fn write_line(text: &mut String, what: &str, value: &str) {
    let value = escape_control(value);
    let line = match (what, &*value) {
        ("", value) => format!("    {value}"),
        (what, "") => format!("  {what}:"),
        (what, value) => format!("  {what}: {value}"),
    };
    text.push_str(line.trim_end());
    text.push('\n');
}

fn files(seen: u64) -> String {
    match seen {
        0 => String::new(),
        seen => format!("; {}", counted(seen, "file")),
    }
}

fn listed(items: &[String]) -> String {
    if items.is_empty() { "nothing in blocks".to_owned() } else { items.join(", ") }
}

/// A text of batch times, at most [`LISTED_MAX`].
fn times(times: impl Iterator<Item = Time>) -> String {
    let times: Vec<String> = times.map(|time| time.to_string()).collect();
    match times.len() {
        0 => "none".to_owned(),
        many if many > LISTED_MAX => {
            let first: Vec<String> = times.iter().take(LISTED_MAX).cloned().collect();
            format!("{many}: {} and {} more", first.join(", "), many - LISTED_MAX)
        }
        many => format!("{many}: {}", times.join(", ")),
    }
}

fn node_as_text(at: usize, node: &SavedNode) -> String {
    let id = |id: &Option<[u8; 32]>| id.map_or_else(|| "-".to_owned(), |id| hex(&id).chars().take(ID_CHARS).collect());
    let name = node.name.as_ref().map_or_else(String::new, |name| format!(" `{name}`"));
    let parents: Vec<String> = node.parents.iter().map(u32::to_string).collect();
    let parameters: Vec<String> = node.parameters.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    let exchanged = node.exchanged_id.map_or_else(String::new, |_| format!(", shuffles {}", id(&node.exchanged_id)));
    format!(
        "{at} {}{name} reads [{}]{}, rows {}{exchanged}",
        node.kind,
        parents.join(", "),
        parameters.concat(),
        id(&node.schema_id)
    )
}

fn metadata_as_json(metadata: &Metadata, with_graph: bool) -> Value {
    let Metadata { run, progress, .. } = metadata;
    let positions: serde_json::Map<String, Value> =
        progress.positions().map(|(source, next)| (source.to_owned(), json!(next))).collect();
    let mut object = json!({
        "epoch": metadata.epoch,
        "written_ms": ms(metadata.written()),
        "job": run.job,
        "host_version": run.host_version,
        "plugin_digest": run.plugin_digest,
        "zero_time_ms": ms(run.beginning().zero),
        "batch_interval_ms": whole_ms(run.batch_interval()),
        "last_batch_ms": progress.generated().map(ms),
        "done_through_ms": progress.completed(run.batch_interval()).map(ms),
        "pending_ms": progress.pending().map(ms).collect::<Vec<_>>(),
        "positions": positions,
        "files_seen": progress.files_seen(),
        "settings": run.settings,
        "nodes": run.nodes.len(),
    });
    if let (true, Value::Object(members)) = (with_graph, &mut object) {
        let node = |node: &SavedNode| {
            json!({
                "kind": node.kind,
                "name": node.name,
                "parents": node.parents,
                "parameters": node.parameters,
                "schema_id": node.schema_id.map(|id| hex(&id)),
                "exchanged_id": node.exchanged_id.map(|id| hex(&id)),
            })
        };
        members.insert("graph".to_owned(), run.nodes.iter().map(node).collect());
        members.insert("stages".to_owned(), json!(run.stages));
    }
    object
}

/// For each batch, the number of partitions that it reads of each source.
fn partitions(record: &Allocations) -> impl Iterator<Item = (Time, Vec<(String, usize)>)> {
    record.batches().map(|(batch, sources)| {
        (batch, sources.into_iter().map(|(source, partitions)| (source, partitions.len())).collect())
    })
}

fn ingest_as_json(log: &ReadLog) -> Value {
    let record = &log.record;
    let batches = partitions(record).map(|(batch, sources)| {
        let sources: serde_json::Map<String, Value> =
            sources.into_iter().map(|(source, count)| (source, json!(count))).collect();
        json!({ "batch_time_ms": ms(batch), "partitions": sources })
    });
    let positions: serde_json::Map<String, Value> =
        record.positions().map(|(source, next)| (source.to_owned(), json!(next))).collect();
    let log_positions: serde_json::Map<String, Value> =
        record.sources_with_ranges().map(|source| (source.to_owned(), json!(record.log_positions(source)))).collect();
    let torn: Vec<Value> =
        log.torn.iter().map(|torn| json!({ "name": torn.name, "at": torn.at, "bytes": torn.bytes })).collect();
    json!({
        "started_ms": ms(record.started()),
        "last_batch_ms": record.last().map(ms),
        "forgotten_before_ms": ms(record.forgotten_before()),
        "batches": batches.collect::<Vec<_>>(),
        "positions": positions,
        "log_positions": log_positions,
        "gaps_ms": record.gaps().map(|(from, through)| [ms(from), ms(through)]).collect::<Vec<_>>(),
        "segments": log.segments.iter().map(|(name, bytes)| json!({ "name": name, "bytes": bytes })).collect::<Vec<_>>(),
        "torn": torn,
    })
}

fn ingest_as_text(log: &ReadLog, text: &mut String) {
    let record = &log.record;
    let segments: Vec<String> = log.segments.iter().map(|(name, bytes)| format!("{name}, {bytes} bytes")).collect();
    text.push_str("allocation log\n");
    let mut line = |what: &str, value: &str| write_line(text, what, value);
    line("read from", &segments.join("; "));
    line("started", &record.started().to_string());
    line("last batch", &record.last().map_or_else(|| "none".to_owned(), |last| last.to_string()));
    line("forgotten before", &record.forgotten_before().to_string());
    let positions: Vec<String> =
        record.positions().map(|(source, next)| format!("`{source}` up to block {next}")).collect();
    let log_positions = record.sources_with_ranges().flat_map(|source| {
        let positions = record.log_positions(source).into_iter();
        positions.map(move |(partition, position)| format!("`{source}` up to position {position} of {partition}"))
    });
    let read: Vec<String> = positions.into_iter().chain(log_positions).collect();
    line("read", &listed(&read));
    line("batches that read anything", &record.batch_count().to_string());
    for (batch, sources) in partitions(record).take(LISTED_MAX) {
        let sources: Vec<String> = sources.iter().map(|(source, count)| format!("`{source}` {count}")).collect();
        line("", &format!("{batch}: partitions of {}", sources.join(", ")));
    }
    if let more @ 1.. = record.batch_count().saturating_sub(LISTED_MAX) {
        line("", &format!("and {more} more"));
    }
    for (from, through) in record.gaps().take(LISTED_MAX) {
        line("left out", &format!("{from} to {through}"));
    }
    if let more @ 1.. = record.gaps().count().saturating_sub(LISTED_MAX) {
        line("left out", &format!("and {more} more stretches"));
    }
    for torn in &log.torn {
        line("torn", &format!("{} at byte {}: {} bytes were never finished", torn.name, torn.at, torn.bytes));
    }
}
