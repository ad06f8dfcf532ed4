//! Reads one consumer of a stream, from the connection to its end.
//!
//! Owns the pace: how many messages are asked for, and when a group of messages becomes a block. Nothing is asked for while
//! the host has no room, or while the rate lets nothing in.

use super::group::Group;
use super::sequences::OfStream;
use crate::block::{Scratch, bytes_of, row_count};
use crate::config::{NatsSettings, OnBadMessage};
use crate::env::{Env, Message, MessageConsumer, PullLimits, Receipt, Verdict};
use crate::listener::{Event, GivenUpInfo};
use crate::receiver::context::{ReceiverContext, TakenBlock};
use crate::receiver::error::ReceiverError;
use crate::receiver::payload::{Parsed, records_of_each};
use crate::time::Duration;
use arrow::array::RecordBatch;
use futures::stream::{FuturesUnordered, StreamExt as _};
use std::io;
use std::sync::Arc;
use tokio::sync::oneshot;

/// How long one pull waits while no message comes.
const IDLE_TIME: Duration = Duration::from_secs(5);
/// The longest time of any other pull.
const PULL_TIME: Duration = Duration::from_secs(1);
/// A pull ends before the end of a block interval by this part of the interval, so that its block is in the next batch.
const LEAD: u32 = 10;
/// The most messages and the most bytes of one pull.
const MESSAGES_MAX: usize = 8192;
const BYTES_MAX: usize = 4 << 20;
/// The pause before asking for memory again.
const MEMORY_PAUSE: Duration = Duration::from_millis(50);
/// Messages that have together at least this many bytes are parsed on a thread of their own, so that actors do not wait.
const OWN_THREAD_BYTES: usize = 64 << 10;
/// After this part of `ack_wait`, the server is told that messages are still at work.
const AT_WORK: u32 = 3;

/// The reading of one consumer.
pub(super) struct Reading<'a> {
    env: &'a Env,
    context: &'a ReceiverContext,
    settings: &'a NatsSettings,
    consumer: Arc<dyn MessageConsumer>,
    of_stream: Arc<OfStream>,
    /// The groups that are on their way into the store.
    storing: FuturesUnordered<oneshot::Receiver<io::Result<()>>>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        env: &'a Env,
        context: &'a ReceiverContext,
        settings: &'a NatsSettings,
        consumer: Arc<dyn MessageConsumer>,
        of_stream: Arc<OfStream>,
    ) -> Self {
        Self { env, context, settings, consumer, of_stream, storing: FuturesUnordered::new() }
    }

    /// Reads until the receiver has to stop, and finishes what has begun.
    pub(super) async fn run(mut self) -> Result<(), ReceiverError> {
        let mut is_idle = true;
        loop {
            let context = self.context;
            let Some(room) = self.unless_stopped(context.room()).await? else { break };
            room?;
            let bytes_max = context.block_bytes_max().await.min(BYTES_MAX);
            let mut group = Group::new(&self.of_stream);
            if is_idle {
                let limits = PullLimits { messages: 1, bytes: bytes_max, wait: IDLE_TIME };
                let consumer = self.consumer.clone();
                let Some(first) = self.unless_stopped(consumer.pull(limits)).await? else { break };
                group.add(first.map_err(|error| self.lost(&error))?);
                if group.is_empty() {
                    continue;
                }
            }
            let mut memory = context.store().scratch();
            let reserve = async {
                while memory.resize(bytes_max).is_err() {
                    context.sleep(MEMORY_PAUSE).await;
                }
            };
            let Some(()) = self.unless_stopped(reserve).await? else { break };
            self.fill(&mut group, bytes_max).await?;
            is_idle = group.is_empty();
            self.store(group, memory).await?;
        }
        while let Some(stored) = self.storing.next().await {
            self.checked(stored)?;
        }
        Ok(())
    }

    /// The result of a future. `None` if the receiver has to stop before. Meanwhile groups may be stored; if that fails,
    /// the reading fails.
    async fn unless_stopped<T>(&mut self, future: impl Future<Output = T>) -> Result<Option<T>, ReceiverError> {
        tokio::pin!(future);
        loop {
            tokio::select! {
                biased;
                () = self.context.stopped() => return Ok(None),
                Some(stored) = self.storing.next(), if !self.storing.is_empty() => {
                    self.checked(stored)?;
                }
                result = &mut future => return Ok(Some(result)),
            }
        }
    }

    /// Pulls messages until the block interval is nearly over, or until there are enough for a block.
    async fn fill(&self, group: &mut Group, bytes_max: usize) -> Result<(), ReceiverError> {
        let clock = &self.env.clock;
        let interval = self.context.block_interval();
        let lead = interval / LEAD;
        let ahead = clock.now() + lead;
        let until = clock.monotonic() + ahead.next_multiple(interval).since(ahead);
        loop {
            let wait = until.saturating_sub(clock.monotonic()).clamp(Duration::from_millis(1), PULL_TIME);
            let messages = self.messages_max().saturating_sub(group.messages.len());
            if messages == 0 {
                return Ok(());
            }
            let begun = clock.monotonic();
            let pulled = self.consumer.pull(PullLimits { messages, bytes: bytes_max, wait }).await;
            group.add(pulled.map_err(|error| self.lost(&error))?);
            let now = clock.monotonic();
            // A pull that ends early has as much as it asked for.
            let is_full = now.saturating_sub(begun) < wait || group.bytes >= bytes_max;
            if is_full || now >= until || self.context.is_stopped() {
                return Ok(());
            }
        }
    }

    /// The most messages of a block.
    fn messages_max(&self) -> usize {
        // While one block is stored, the next one comes.
        let most = MESSAGES_MAX.min(self.settings.max_ack_pending.div_ceil(2) as usize);
        let Some(rate) = self.context.rate_limit() else { return most };
        let of_interval = u128::from(rate).saturating_mul(self.context.block_interval().as_millis()) / 1000;
        usize::try_from(of_interval).unwrap_or(most).clamp(1, most)
    }

    /// Stores a group, and waits until the host has taken it.
    async fn store(&self, mut group: Group, mut memory: Scratch) -> Result<(), ReceiverError> {
        if group.is_empty() {
            return Ok(());
        }
        let (rows, refused) = self.rows(&mut group).await?;
        // The memory of the messages serves their rows, too. What does not fit is in the store soon.
        let _ = memory.resize(bytes_of(&rows));
        let Group { messages, claim, again, .. } = group;
        let receipts: Vec<Receipt> = messages.into_iter().map(|message| message.receipt).collect();
        let at_work = AtWork::new(self.env, &self.consumer, self.settings.ack_wait);
        let taken = match row_count(&rows) {
            0 => None,
            _ => Some(at_work.while_waiting(&receipts, self.context.take_block(rows, Some(claim.label()))).await?),
        };
        drop(memory);
        let (consumer, of_stream) = (self.consumer.clone(), self.of_stream.clone());
        let (tell, told) = oneshot::channel();
        let run = async move {
            // Nobody waits any more after the reading has failed.
            let _ = tell.send(
                async {
                    if let Some(taken) = taken
                        && at_work.while_waiting(&receipts, TakenBlock::recorded(taken)).await.is_err()
                    {
                        // The receiver was stopped. The messages come again.
                        return Ok(());
                    }
                    let numbers = claim.stored();
                    consumer.settle(&[again, receipts].concat(), Verdict::Stored).await?;
                    of_stream.confirmed(&numbers);
                    Ok(())
                }
                .await,
            );
        };
        self.env.control.spawn("nats acknowledgement", Box::pin(run));
        self.storing.push(told);
        match refused {
            None => Ok(()),
            Some(message) => Err(ReceiverError::new(message).and_stop()),
        }
    }

    /// The rows of the messages of a group. Takes messages out that are no records; if the receiver has to stop because of
    /// them, returns the reason.
    async fn rows(&self, group: &mut Group) -> Result<(Vec<RecordBatch>, Option<String>), ReceiverError> {
        let payloads = group.messages.iter_mut().map(|message| std::mem::take(&mut message.payload)).collect();
        let Parsed { rows, refused } = self.parsed(payloads, group.bytes).await?;
        let Some((_, problem)) = refused.first() else { return Ok((rows, None)) };
        let problem = problem.to_string();
        let places: Vec<usize> = refused.iter().map(|(at, _)| *at).collect();
        let bad = group.take_out(&places);
        let Some(first) = bad.first() else { return Ok((rows, None)) };
        let stream = &self.settings.stream;
        let refused =
            format!("message {} of stream `{stream}`, {}, is no record: {problem}", first.sequence, first.subject);
        match self.settings.on_bad_message {
            OnBadMessage::Stop => {
                let message =
                    format!("{refused}; the receiver stops, as sources.{}.on_bad_message says", self.context.source());
                Ok((rows, Some(message)))
            }
            OnBadMessage::Terminate => {
                self.give_up(&bad, problem).await?;
                Ok((rows, None))
            }
        }
    }

    /// Tells the server not to deliver messages again, and listeners that the messages are lost to the job.
    async fn give_up(&self, bad: &[Message], problem: String) -> Result<(), ReceiverError> {
        let receipts: Vec<Receipt> = bad.iter().map(|message| message.receipt.clone()).collect();
        let told = self.consumer.settle(&receipts, Verdict::GivenUp).await;
        told.map_err(|error| self.lost(&error))?;
        let Some(first) = bad.first() else { return Ok(()) };
        self.context.post(&Event::MessagesGivenUp(GivenUpInfo {
            source: self.context.source().to_owned(),
            stream: self.settings.stream.clone(),
            messages: bad.len() as u64,
            first_sequence: first.sequence,
            problem,
        }));
        Ok(())
    }

    /// The records of payloads that have `bytes` together.
    async fn parsed(&self, payloads: Vec<Vec<u8>>, bytes: usize) -> Result<Parsed, ReceiverError> {
        let (format, ty) = (self.settings.format, self.context.record_type().clone());
        let parse = move || records_of_each(format, &ty, &payloads);
        if bytes < OWN_THREAD_BYTES {
            return Ok(parse());
        }
        let (send, receive) = oneshot::channel();
        let run = async move {
            // Nobody waits if the receiver was dropped.
            let _ = send.send(parse());
        };
        self.env.background.spawn("nats messages", Box::pin(run));
        receive.await.map_err(|_| ReceiverError::new("the messages could not be parsed"))
    }

    /// The error if a group could not be acknowledged.
    fn checked(&self, stored: Result<io::Result<()>, oneshot::error::RecvError>) -> Result<(), ReceiverError> {
        // Without an answer, the host is ending.
        stored.unwrap_or(Ok(())).map_err(|error| self.lost(&error))
    }

    fn lost(&self, error: &io::Error) -> ReceiverError {
        ReceiverError::new(format!("lost stream `{}`: {error}", self.settings.stream))
    }
}

/// Asks the server for more time while messages wait for the host.
struct AtWork {
    env: Env,
    consumer: Arc<dyn MessageConsumer>,
    pause: Duration,
}

impl AtWork {
    fn new(env: &Env, consumer: &Arc<dyn MessageConsumer>, ack_wait: Duration) -> Self {
        Self { env: env.clone(), consumer: consumer.clone(), pause: ack_wait / AT_WORK }
    }

    /// The result of a future for which messages wait.
    async fn while_waiting<T>(&self, receipts: &[Receipt], future: impl Future<Output = T>) -> T {
        tokio::pin!(future);
        loop {
            tokio::select! {
                biased;
                result = &mut future => return result,
                () = self.env.clock.sleep(self.pause) => {}
            }
            tokio::select! {
                biased;
                result = &mut future => return result,
                // If that fails, the server delivers the messages again, and they are recognised.
                _ = self.consumer.settle(receipts, Verdict::AtWork) => {}
            }
        }
    }
}
