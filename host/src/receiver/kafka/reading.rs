//! Reads as one member of a group, from the join to the end.
//!
//! Owns the pace: the records of one block interval become one block. Nothing is asked for while the host has no room, or
//! while the rate lets nothing in. One block is stored at a time, so that offsets are committed in order.

use super::positions::{Positions, label};
use crate::config::{KafkaReceiverSettings, OnBadKafkaMessage};
use crate::env::{Env, GroupRecord, KafkaMember, Offsets, PullLimits};
use crate::listener::{Event, GivenUpInfo};
use crate::messages::{Form, Messages, Misfit};
use crate::receiver::context::ReceiverContext;
use crate::receiver::error::ReceiverError;
use crate::time::Duration;
use std::io;
use std::sync::Arc;

/// How long one poll waits while no record comes.
const IDLE_TIME: Duration = Duration::from_secs(1);
/// The most records and the most bytes of a block.
const RECORDS_MAX: usize = 8192;
const BYTES_MAX: usize = 4 << 20;
/// The pause before asking for memory again.
const MEMORY_PAUSE: Duration = Duration::from_millis(50);

/// The reading of one member.
pub(super) struct Reading<'a> {
    env: &'a Env,
    context: &'a ReceiverContext,
    settings: &'a KafkaReceiverSettings,
    form: Form,
    member: Arc<dyn KafkaMember>,
    positions: Arc<Positions>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        env: &'a Env,
        context: &'a ReceiverContext,
        settings: &'a KafkaReceiverSettings,
        form: Form,
        member: Arc<dyn KafkaMember>,
        positions: Arc<Positions>,
    ) -> Self {
        Self { env, context, settings, form, member, positions }
    }

    /// Reads until the receiver has to stop.
    pub(super) async fn run(self) -> Result<(), ReceiverError> {
        loop {
            let context = self.context;
            let Some(room) = self.unless_stopped(context.room()).await else { return Ok(()) };
            room?;
            let bytes_max = context.block_bytes_max().await.min(BYTES_MAX);
            // Records that came are not thrown away when the receiver has to stop: they are not committed, and come again.
            let first = PullLimits { messages: 1, bytes: bytes_max, wait: IDLE_TIME };
            let Some(first) = self.unless_stopped(self.member.poll(first)).await else { return Ok(()) };
            let mut records = first.map_err(|error| self.lost(&error))?;
            if records.is_empty() {
                continue;
            }
            let mut memory = context.store().scratch();
            let reserve = async {
                while memory.resize(bytes_max).is_err() {
                    context.sleep(MEMORY_PAUSE).await;
                }
            };
            if self.unless_stopped(reserve).await.is_none() {
                return Ok(());
            }
            self.fill(&mut records, bytes_max).await?;
            self.store(records).await?;
        }
    }

    /// The result of a future. `None` if the receiver has to stop before.
    async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.context.stopped() => None,
            result = future => Some(result),
        }
    }

    /// Polls until the block interval is over, or until there is enough for a block.
    async fn fill(&self, records: &mut Vec<GroupRecord>, bytes_max: usize) -> Result<(), ReceiverError> {
        let clock = &self.env.clock;
        let interval = self.context.block_interval();
        let now = clock.now();
        let wait = now.next_multiple(interval).since(now);
        let limits = PullLimits { messages: self.records_max().saturating_sub(records.len()), bytes: bytes_max, wait };
        if limits.messages > 0 && !self.context.is_stopped() {
            let polled = self.member.poll(limits).await;
            records.extend(polled.map_err(|error| self.lost(&error))?);
        }
        Ok(())
    }

    /// The most records of a block.
    fn records_max(&self) -> usize {
        let Some(rate) = self.context.rate_limit() else { return RECORDS_MAX };
        let of_interval = u128::from(rate).saturating_mul(self.context.block_interval().as_millis()) / 1000;
        usize::try_from(of_interval).unwrap_or(RECORDS_MAX).clamp(1, RECORDS_MAX)
    }

    /// Stores records, waits until the host does not lose them, and commits their offsets.
    async fn store(&self, records: Vec<GroupRecord>) -> Result<(), ReceiverError> {
        let mut offsets = Offsets::new();
        let mut messages = Messages::new(self.form.clone());
        let mut misfits = Vec::new();
        for record in &records {
            offsets.insert(record.partition.clone(), record.offset + 1);
            if !self.positions.is_stored(&record.partition, record.offset)
                && let Err(misfit) = messages.add(&record.partition, &record.as_record())
            {
                misfits.push((record.partition.to_string(), misfit));
            }
        }
        let first = records.first().map(|record| record.partition.to_string()).unwrap_or_default();
        drop(records);
        let (rows, late) = messages.rows().map_err(ReceiverError::new)?;
        misfits.extend(late.into_iter().map(|misfit| (first.clone(), misfit)));
        self.refuse(&misfits)?;
        if rows.num_rows() > 0 {
            let taken = self.context.take_block(vec![rows], Some(label(&offsets))).await?;
            taken.recorded().await?;
        }
        self.positions.stored(&offsets);
        self.member.commit(offsets.clone()).await.map_err(|error| self.lost(&error))?;
        self.positions.committed(&offsets);
        Ok(())
    }

    /// Reports messages that are no records, or ends the receiver because of them.
    fn refuse(&self, misfits: &[(String, Misfit)]) -> Result<(), ReceiverError> {
        let Some((partition, Misfit { offset, problem })) = misfits.first() else { return Ok(()) };
        if self.settings.on_bad_message == OnBadKafkaMessage::Fail {
            let source = self.context.source();
            return Err(ReceiverError::new(format!(
                "offset {offset} of partition {partition} is no record: {problem}; the receiver stops, as \
                 sources.{source}.on_bad_message says"
            ))
            .and_stop());
        }
        self.context.post(&Event::MessagesGivenUp(GivenUpInfo {
            source: self.context.source().to_owned(),
            stream: partition.clone(),
            messages: misfits.len() as u64,
            first_sequence: offset.unsigned_abs(),
            problem: problem.clone(),
        }));
        Ok(())
    }

    fn lost(&self, error: &io::Error) -> ReceiverError {
        ReceiverError::new(format!("lost group `{}`: {error}", self.settings.group))
    }
}
