//! Reads ranges of offsets of partitions.
//!
//! Owns how a range ends: at its last offset, or where it is known that no record follows before it. Owns what happens when
//! records of a range are gone, and when a message is no record.

use super::commits::Commits;
use super::partition_of;
use crate::block::{Gone, LogRange, OffsetRange, RangeError, RangeFaults, RangeReader, RangeRows, Refused};
use crate::config::{OnBadKafkaMessage, OnDataLoss};
use crate::env::{KafkaLog, LogFault, LogPlace, LogRecord, TopicPartition, persistence};
use crate::error::{Error, ErrorKind, Persistence};
use crate::messages::{Form, Messages, Misfit};
use crate::time::Time;
use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// The rows of one chunk have about this many bytes, and at most [`CHUNK_ROWS`].
const CHUNK_BYTES: usize = 64 * 1024;
const CHUNK_ROWS: usize = 8192;

/// Reads the ranges of one source.
pub(super) struct KafkaReader {
    pub log: Arc<dyn KafkaLog>,
    pub form: Form,
    pub on_data_loss: OnDataLoss,
    pub on_bad_message: OnBadKafkaMessage,
    pub commits: Commits,
}

impl RangeReader for KafkaReader {
    fn open(&self, range: &LogRange) -> Result<Box<dyn RangeRows>, RangeError> {
        let Some(partition) = partition_of(&range.partition) else {
            return Err(RangeError {
                problem: format!("`{}` is no partition", range.partition),
                kind: ErrorKind::Internal,
                lasting: Persistence::Permanent,
                help: "the checkpoint directory is of another version of the host".to_owned(),
            });
        };
        Ok(Box::new(Rows {
            log: self.log.clone(),
            messages: Messages::new(self.form.clone()),
            partition,
            range: range.clone(),
            position: range.from,
            on_data_loss: self.on_data_loss,
            on_bad_message: self.on_bad_message,
            ready: VecDeque::new(),
            faults: RangeFaults::default(),
        }))
    }

    fn offsets(&self, range: &LogRange) -> Option<OffsetRange> {
        let TopicPartition { topic, number } = partition_of(&range.partition)?;
        Some(OffsetRange { topic, partition: number, first: range.from, end: range.until })
    }

    fn commit(&self, batch: Time, ranges: &[OffsetRange]) -> Result<(), Error> {
        self.commits.add(batch, ranges)
    }

    /// Reads the range again: its offsets may have gaps, and messages may be left out.
    fn origin<'a>(&'a self, range: &'a LogRange, record: u64) -> BoxFuture<'a, Option<String>> {
        Box::pin(async move {
            let partition = partition_of(&range.partition)?;
            let (mut position, mut left, mut found) = (range.from, record, None);
            while found.is_none() && position < range.until {
                let mut messages = Messages::new(self.form.clone());
                let mut take = |record: &LogRecord<'_>| {
                    if record.offset >= range.until || messages.len() >= CHUNK_ROWS || found.is_some() {
                        return false;
                    }
                    match messages.add(&partition, record) {
                        Ok(()) if left == 0 => found = Some(record.offset),
                        Ok(()) => left -= 1,
                        Err(_) => {}
                    }
                    true
                };
                position = self.log.read(&partition, position, &mut take).await.ok()?;
            }
            found.map(|offset| format!("partition {partition}, offset {offset}"))
        })
    }
}

/// The rows of a range.
struct Rows {
    log: Arc<dyn KafkaLog>,
    partition: TopicPartition,
    range: LogRange,
    /// There are no more records of the range before this offset.
    position: i64,
    messages: Messages,
    on_data_loss: OnDataLoss,
    on_bad_message: OnBadKafkaMessage,
    ready: VecDeque<RecordBatch>,
    faults: RangeFaults,
}

impl Rows {
    async fn next(&mut self) -> Result<Option<RecordBatch>, RangeError> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Ok(Some(chunk));
            }
            if self.position >= self.range.until {
                if self.messages.is_empty() {
                    return Ok(None);
                }
                self.finish_chunk()?;
                continue;
            }
            self.read().await?;
        }
    }

    /// Reads the next records.
    async fn read(&mut self) -> Result<(), RangeError> {
        let (until, on_bad) = (self.range.until, self.on_bad_message);
        let mut misfits = Vec::new();
        let (partition, messages) = (&self.partition, &mut self.messages);
        let mut take = |record: &LogRecord<'_>| {
            if record.offset >= until || messages.bytes() >= CHUNK_BYTES || messages.len() >= CHUNK_ROWS {
                return false;
            }
            match messages.add(partition, record) {
                Ok(()) => true,
                Err(misfit) => {
                    misfits.push(misfit);
                    on_bad == OnBadKafkaMessage::Skip
                }
            }
        };
        let read = self.log.read(&self.partition, self.position, &mut take).await;
        for misfit in misfits {
            self.refuse(misfit)?;
        }
        match read {
            Ok(position) => self.position = position,
            Err(LogFault::OutOfRange) => return self.lost().await,
            Err(LogFault::NoPartition) => {
                let problem = format!("partition {} does not exist", self.partition);
                return Err(self.error(problem, Persistence::Transient, "make the topic again, or"));
            }
            Err(LogFault::Io(error)) => return Err(self.unreadable(&error)),
        }
        if self.messages.bytes() >= CHUNK_BYTES || self.messages.len() >= CHUNK_ROWS {
            self.finish_chunk()?;
        }
        Ok(())
    }

    fn finish_chunk(&mut self) -> Result<(), RangeError> {
        let (rows, misfits) = self.messages.rows().map_err(|problem| RangeError {
            problem: format!("records of partition {} have no columns: {problem}", self.partition),
            kind: ErrorKind::Internal,
            lasting: Persistence::Permanent,
            help: "please report this".to_owned(),
        })?;
        for misfit in misfits {
            self.refuse(misfit)?;
        }
        if rows.num_rows() > 0 {
            self.ready.push_back(rows);
        }
        Ok(())
    }

    /// Takes note of a message that is no record.
    fn refuse(&mut self, misfit: Misfit) -> Result<(), RangeError> {
        let Misfit { offset, problem } = misfit;
        if self.on_bad_message == OnBadKafkaMessage::Fail {
            return Err(RangeError {
                problem: format!("offset {offset} of partition {} is no record: {problem}", self.partition),
                kind: ErrorKind::User,
                lasting: Persistence::Permanent,
                help: "correct what is sent to the topic; set on_bad_message = \"skip\" for the source to leave such \
                       messages out; or read bytes and decide in the plugin"
                    .to_owned(),
            });
        }
        let refused = self.faults.refused.get_or_insert(Refused { messages: 0, first: offset, problem });
        refused.messages += 1;
        Ok(())
    }

    /// Decides what follows when the partition does not have the next offset.
    async fn lost(&mut self) -> Result<(), RangeError> {
        let of = |place| vec![(self.partition.clone(), place)];
        let (starts, ends) = (self.log.offsets(of(LogPlace::Start)).await, self.log.offsets(of(LogPlace::End)).await);
        let start = starts.map_err(|error| self.unreadable(&error))?.get(&self.partition).copied();
        let end = ends.map_err(|error| self.unreadable(&error))?.get(&self.partition).copied();
        let (Some(start), Some(end)) = (start, end) else {
            let problem = format!("partition {} does not exist", self.partition);
            return Err(self.error(problem, Persistence::Transient, "make the topic again, or"));
        };
        if (start..=end).contains(&self.position) {
            let problem = format!("partition {} did not have offset {} for a moment", self.partition, self.position);
            return Err(self.error(problem, Persistence::Transient, "wait until the brokers agree, or"));
        }
        // The next record that is there, or the end of the range.
        let next = if self.position < start { start.min(self.range.until) } else { self.range.until };
        if self.on_data_loss == OnDataLoss::Skip {
            let gone = self.faults.gone.get_or_insert(Gone { from: self.position, until: next, start, end });
            gone.until = next;
            self.position = next;
            return Ok(());
        }
        let problem = format!(
            "partition {} has offsets {start} to {end}, and the batch reads {} to {}",
            self.partition, self.position, self.range.until,
        );
        let why = if end < self.position {
            "the topic was made again or was truncated"
        } else {
            "older records were removed"
        };
        Err(self.error(format!("{problem}: {why}"), Persistence::Permanent, "bring the records back,"))
    }

    /// An error about records that are not there.
    fn error(&self, problem: String, lasting: Persistence, first: &str) -> RangeError {
        RangeError {
            problem,
            kind: ErrorKind::Unavailable,
            lasting,
            help: format!(
                "{first} set on_data_loss = \"skip\" for the source to go on with the records that are there, or start with \
                 --fresh, which begins where `start` says"
            ),
        }
    }

    /// An error of the brokers.
    fn unreadable(&self, error: &io::Error) -> RangeError {
        let lasting = match error.kind() {
            // Brokers come back.
            io::ErrorKind::TimedOut => Persistence::Transient,
            _ => persistence(error),
        };
        RangeError {
            problem: format!("partition {} cannot be read from offset {}: {error}", self.partition, self.position),
            kind: ErrorKind::Unavailable,
            lasting,
            help: "check that the brokers run and let the host in; the batch reads the same offsets when it runs again"
                .to_owned(),
        }
    }
}

impl RangeRows for Rows {
    fn next_chunk(&mut self) -> BoxFuture<'_, Result<Option<RecordBatch>, RangeError>> {
        Box::pin(self.next())
    }

    fn faults(&self) -> RangeFaults {
        self.faults.clone()
    }
}
