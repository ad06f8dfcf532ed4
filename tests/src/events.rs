//! The events file of a running host: its batches, its addresses, and the steps of upgrades.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// A batch that is done.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The batch.
    pub time_ms: u64,
    /// When its first output began.
    pub start_ms: u64,
    /// When its last output ended.
    pub end_ms: u64,
    /// How long its outputs took.
    pub processing_ms: f64,
    /// The time from submission to completion.
    pub total_ms: f64,
    /// The number of records.
    pub records: u64,
    /// The number of outputs that failed.
    pub failures: usize,
}

impl Batch {
    /// The time from the end of the batch's interval to the end of its last output.
    pub fn lateness_ms(&self) -> f64 {
        self.end_ms.saturating_sub(self.time_ms) as f64
    }
}

/// A step of an upgrade.
#[derive(Clone, Debug)]
pub struct Step {
    /// When the step began.
    pub at_ms: u64,
    /// The name of the step.
    pub step: String,
    /// The last batch before the new run shows results. `None` in all steps but `handed over`.
    pub after_ms: Option<u64>,
}

/// The events that were read so far.
pub struct Events {
    path: PathBuf,
    read_bytes: u64,
    /// The batches, in the order in which they were done.
    pub batches: Vec<Batch>,
    /// The steps of all upgrades.
    pub steps: Vec<Step>,
    /// The address at which each receiver of requests listens, by source.
    pub addresses: BTreeMap<String, String>,
    /// How many events the host has dropped.
    pub dropped: u64,
}

impl Events {
    /// The events of a file, which need not exist yet.
    pub fn of(path: PathBuf) -> Self {
        Self { path, read_bytes: 0, batches: Vec::new(), steps: Vec::new(), addresses: BTreeMap::new(), dropped: 0 }
    }

    /// Reads the lines that were written since the last time.
    ///
    /// # Errors
    /// Returns an error if an event cannot be read.
    pub fn read(&mut self) -> Result<(), String> {
        let Ok(mut file) = File::open(&self.path) else { return Ok(()) };
        let failed = |error: std::io::Error| format!("cannot read events: {error}");
        file.seek(SeekFrom::Start(self.read_bytes)).map_err(failed)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        // The last line may not be complete yet.
        let complete = text.rfind('\n').map_or(0, |end| end + 1);
        self.read_bytes += complete as u64;
        text[..complete].lines().try_for_each(|line| self.add(line))
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        let event: Value =
            serde_json::from_str(line).map_err(|error| format!("an event is not JSON: {error}: {line}"))?;
        match event["event"].as_str() {
            Some("BatchCompleted") => {
                let batch = batch(&event["batch"]).ok_or_else(|| format!("a batch lacks a member: {line}"))?;
                self.batches.push(batch);
            }
            Some("UpgradeChanged") => self.steps.push(Step {
                at_ms: event["time_ms"].as_u64().unwrap_or_default(),
                step: event["step"].as_str().unwrap_or_default().to_owned(),
                after_ms: event["after_batch_time_ms"].as_u64(),
            }),
            Some("ReceiverListens") => {
                let url = event["url"].as_str().unwrap_or_default();
                let address = url.split_once("://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
                let source = event["source"].as_str().unwrap_or_default();
                self.addresses.insert(source.to_owned(), address.to_owned());
            }
            Some("EventsDropped") => self.dropped += event["count"].as_u64().unwrap_or(1),
            _ => {}
        }
        Ok(())
    }

    /// The batches that began between two points in time.
    pub fn between(&self, from_ms: u64, to_ms: u64) -> Vec<&Batch> {
        self.batches.iter().filter(|batch| (from_ms..to_ms).contains(&batch.start_ms)).collect()
    }
}

fn batch(batch: &Value) -> Option<Batch> {
    let outputs = batch["output_operations"].as_array()?;
    Some(Batch {
        time_ms: batch["batch_time_ms"].as_u64()?,
        start_ms: batch["processing_start_time_ms"].as_u64()?,
        end_ms: batch["processing_end_time_ms"].as_u64()?,
        processing_ms: batch["processing_time_ms"].as_f64()?,
        total_ms: batch["total_delay_ms"].as_f64()?,
        records: batch["inputs"].as_array()?.iter().filter_map(|input| input["num_records"].as_u64()).sum(),
        failures: outputs.iter().filter(|output| !output["failure_reason"].is_null()).count(),
    })
}
