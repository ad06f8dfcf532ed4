//! Spark's REST interface to streaming jobs: `/api/v1/applications/ID/streaming/...`, so that tools for Spark work.
//!
//! Owns Spark's names, units and messages: members that Spark leaves out when they are not known are left out. The id of
//! the application is the name of the job. Never adds a member that Spark does not have.

use super::date::as_in_spark as date;
use super::model::{Batch, BatchStatus, Model, Output};
use super::query::Query;
use crate::listener::{ReceiverStatus, Status};
use serde::Serialize;
use serde_json::{Value, json};

/// How many batches that are done Spark keeps.
const RETAINED_BATCHES: usize = 1000;

/// An answer that is not there, with its status code and its text.
pub(super) type Missing = (u16, String);

/// Whole milliseconds of microseconds, rounded down, as Spark counts them.
const fn whole_ms(us: u64) -> u64 {
    us / 1000
}

fn average(values: impl Iterator<Item = u64>) -> Option<u64> {
    let (sum, count) = values.fold((0u64, 0u64), |(sum, count), value| (sum.saturating_add(value), count + 1));
    sum.checked_div(count)
}

/// The model of a job with its status.
pub(super) struct Spark<'a> {
    pub(super) model: &'a Model,
    pub(super) status: &'a Status,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchInfo<'a> {
    batch_id: u64,
    batch_time: String,
    status: &'static str,
    batch_duration: u64,
    input_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduling_delay: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processing_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_delay: Option<u64>,
    num_active_output_ops: usize,
    num_completed_output_ops: usize,
    num_failed_output_ops: usize,
    num_total_output_ops: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_failure_reason: Option<&'a str>,
}

const fn status_name(status: BatchStatus) -> &'static str {
    match status {
        BatchStatus::Queued => "QUEUED",
        BatchStatus::Processing => "PROCESSING",
        BatchStatus::Completed => "COMPLETED",
    }
}

impl<'a> Spark<'a> {
    /// The answer to a path below `/api/v1/`.
    ///
    /// # Errors
    /// If nothing is at the path, with Spark's words.
    pub(super) fn answer(&self, path: &str, query: &Query) -> Result<Value, Missing> {
        let parts: Vec<&str> = path.split('/').collect();
        let id = self.status.job.as_str();
        match parts.as_slice() {
            ["version"] => Ok(json!({ "spark": env!("CARGO_PKG_VERSION") })),
            ["applications"] => Ok(json!([self.application()])),
            ["applications", app, ..] if *app != id => Err((404, format!("unknown app {app}"))),
            ["applications", _] => Ok(self.application()),
            ["applications", _, "streaming", rest @ ..] => self.streaming(rest, query),
            _ => Err((404, "HTTP 404 Not Found".to_owned())),
        }
    }

    fn streaming(&self, path: &[&str], query: &Query) -> Result<Value, Missing> {
        match path {
            ["statistics"] => Ok(self.statistics()),
            ["receivers"] => Ok(self.status.receivers.iter().map(|receiver| self.receiver(receiver)).collect()),
            ["receivers", id] => {
                let number: u32 = numbered(id)?;
                let found = self.status.receivers.iter().find(|receiver| receiver.stream_id == number);
                found.map(|found| self.receiver(found)).ok_or_else(|| (404, format!("unknown receiver: {id}")))
            }
            ["batches"] => self.batches(query),
            ["batches", id] => self.find(id).map(|batch| json!(self.batch(batch))),
            ["batches", id, "operations"] => {
                let batch = self.find(id)?;
                Ok(batch.outputs.iter().map(|output| self.output(output)).collect())
            }
            ["batches", id, "operations", operation] => {
                let (batch, number) = (self.find(id)?, numbered::<usize>(operation)?);
                let found = batch.outputs.iter().find(|output| output.id == number);
                found
                    .map(|found| self.output(found))
                    .ok_or_else(|| (404, format!("unknown output operation: {operation}")))
            }
            _ => Err((404, "HTTP 404 Not Found".to_owned())),
        }
    }

    fn application(&self) -> Value {
        let (start_ms, end_ms) = (self.status.since_ms, self.model.ended_ms);
        let last_ms =
            end_ms.or_else(|| self.model.batches.done().next().and_then(|batch| batch.end_ms)).unwrap_or(start_ms);
        let shown_end = end_ms.map_or_else(|| "1969-12-31T23:59:59.999GMT".to_owned(), date);
        json!({
            "id": self.status.job,
            "name": self.status.job,
            "attempts": [{
                "startTime": date(start_ms),
                "endTime": shown_end,
                "lastUpdated": date(last_ms),
                "duration": last_ms.saturating_sub(start_ms),
                "sparkUser": "",
                "completed": end_ms.is_some(),
                "appSparkVersion": env!("CARGO_PKG_VERSION"),
                "startTimeEpoch": start_ms,
                "endTimeEpoch": end_ms.map_or(-1, |ms| i64::try_from(ms).unwrap_or(-1)),
                "lastUpdatedEpoch": last_ms,
            }],
        })
    }

    /// The batches that Spark would keep, the newest last.
    fn retained(&self) -> Vec<&'a Batch> {
        let mut retained: Vec<_> = self.model.batches.done().take(RETAINED_BATCHES).collect();
        retained.reverse();
        retained.extend(self.model.batches.undone());
        retained
    }

    fn statistics(&self) -> Value {
        let (model, retained) = (self.model, self.retained());
        let active = self.status.receivers.iter().filter(|receiver| receiver.active).count();
        let done = retained.iter().filter(|batch| batch.status() == BatchStatus::Completed).count();
        let rate = |records: u64| {
            if model.batch_interval_ms == 0 { 0.0 } else { records as f64 * 1e3 / model.batch_interval_ms as f64 }
        };
        let rates: f64 = retained.iter().map(|batch| rate(batch.records())).sum();
        let mut all = json!({
            "startTime": date(model.started_ms.unwrap_or(self.status.since_ms)),
            "batchDuration": model.batch_interval_ms,
            "numReceivers": self.status.receivers.len(),
            "numActiveReceivers": active,
            "numInactiveReceivers": self.status.receivers.len() - active,
            "numTotalCompletedBatches": model.totals.batches_done,
            "numRetainedCompletedBatches": done,
            "numActiveBatches": self.status.pending,
            "numProcessedRecords": model.totals.records_processed,
            "numReceivedRecords": model.totals.records_received.max(model.totals.records_processed),
        });
        let spans =
            |of: fn(&Batch) -> Option<u64>| average(retained.iter().filter_map(|batch| of(batch).map(whole_ms)));
        let optional = [
            ("avgInputRate", (!retained.is_empty()).then(|| json!(rates / retained.len() as f64))),
            ("avgSchedulingDelay", spans(|batch| batch.scheduling_us).map(Value::from)),
            ("avgProcessingTime", spans(|batch| batch.processing_us).map(Value::from)),
            ("avgTotalDelay", spans(Batch::total_us).map(Value::from)),
        ];
        if let Value::Object(members) = &mut all {
            members.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        }
        all
    }

    fn receiver(&self, receiver: &ReceiverStatus) -> Value {
        let interval_ms = self.model.batch_interval_ms.max(1);
        let rates: Vec<(u64, f64)> = self
            .retained()
            .into_iter()
            .map(|batch| {
                let inputs = batch.inputs.iter().filter(|input| input.source == receiver.stream_id);
                let records: u64 = inputs.map(|input| input.records).sum();
                (batch.time_ms, records as f64 * 1e3 / interval_ms as f64)
            })
            .collect();
        let mut all = json!({
            "streamId": receiver.stream_id,
            "streamName": receiver.name,
            "isActive": receiver.active,
            "executorId": receiver.location,
            "executorHost": "localhost",
            "eventRates": rates,
        });
        let average = rates.iter().map(|(_, rate)| rate).sum::<f64>() / rates.len().max(1) as f64;
        let optional = [
            ("lastErrorTime", receiver.last_error_ms.map(|ms| json!(date(ms)))),
            ("lastErrorMessage", receiver.last_error.as_ref().map(|error| json!(error))),
            ("lastError", receiver.last_error.as_ref().map(|error| json!(error))),
            ("avgEventRate", (!rates.is_empty()).then(|| json!(average))),
        ];
        if let Value::Object(members) = &mut all {
            members.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        }
        all
    }

    fn batches(&self, query: &Query) -> Result<Value, Missing> {
        let names = [BatchStatus::Completed, BatchStatus::Queued, BatchStatus::Processing].map(status_name);
        let wanted: Vec<&str> = query.all("status").collect();
        if let Some(strange) = wanted.iter().find(|wanted| !names.iter().any(|name| name.eq_ignore_ascii_case(wanted)))
        {
            return Err((404, format!("unknown status: {strange}")));
        }
        let is_wanted = |batch: &&&Batch| {
            let name = status_name(batch.status());
            wanted.is_empty() || wanted.iter().any(|wanted| name.eq_ignore_ascii_case(wanted))
        };
        Ok(self.retained().iter().rev().filter(is_wanted).map(|batch| json!(self.batch(batch))).collect())
    }

    fn find(&self, id: &str) -> Result<&'a Batch, Missing> {
        let time_ms = numbered(id)?;
        self.model.batches.find(time_ms).ok_or_else(|| (404, format!("unknown batch: {id}")))
    }

    fn batch(&self, batch: &'a Batch) -> BatchInfo<'a> {
        let failed = batch.failed().count();
        let ended = batch.outputs.iter().filter(|output| output.end_ms.is_some()).count();
        BatchInfo {
            batch_id: batch.time_ms,
            batch_time: date(batch.time_ms),
            status: status_name(batch.status()),
            batch_duration: self.model.batch_interval_ms,
            input_size: batch.records(),
            scheduling_delay: batch.scheduling_us.map(whole_ms),
            processing_time: batch.processing_us.map(whole_ms),
            total_delay: batch.total_us().map(whole_ms),
            num_active_output_ops: batch.outputs.len() - ended.min(batch.outputs.len()),
            num_completed_output_ops: ended.saturating_sub(failed),
            num_failed_output_ops: failed,
            num_total_output_ops: batch.outputs.len(),
            first_failure_reason: batch.failed().find_map(|output| output.failure.as_deref()),
        }
    }

    fn output(&self, output: &Output) -> Value {
        let known = self.model.outputs.get(&output.id);
        let text = |of: fn(&super::model::OutputName) -> &str| known.map_or("", of);
        let mut all = json!({
            "outputOpId": output.id,
            "name": text(|known| &known.name),
            "description": text(|known| &known.description),
            "jobIds": [],
        });
        let optional = [
            ("startTime", output.start_ms.map(|ms| json!(date(ms)))),
            ("endTime", output.end_ms.map(|ms| json!(date(ms)))),
            ("duration", output.duration_us.map(|us| json!(whole_ms(us)))),
            ("failureReason", output.failure.as_deref().map(|reason| json!(reason))),
        ];
        if let Value::Object(members) = &mut all {
            members.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        }
        all
    }
}

fn numbered<T: std::str::FromStr>(text: &str) -> Result<T, Missing> {
    text.parse().map_err(|_| (404, "HTTP 404 Not Found".to_owned()))
}
