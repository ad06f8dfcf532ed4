//! Puts the records of requests that come at about the same time into one block, because each block becomes a task of a
//! batch.
//!
//! Owns the pace of blocks: a request that comes alone is stored at once, and under load a block is made every few
//! milliseconds. The records of a request are in one block. Whoever joins a group learns what became of it, and the group
//! is stored even if no client waits any more.

use super::fate::{Fate, Outcome};
use super::keys::of_block;
use super::room::Memory;
use crate::env::Env;
use crate::lock::lock;
use crate::receiver::context::ReceiverContext;
use crate::receiver::error::StoreError;
use crate::time::Duration;
use arrow::array::RecordBatch;
use futures::FutureExt as _;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// The least time between two groups, unless a group is full.
const PACE: Duration = Duration::from_millis(5);
/// A group is full when its rows have this many bytes, or when it has the records of this many requests.
const BYTES_MAX: usize = 1 << 20;
const REQUESTS_MAX: usize = 64;

/// The groups of one source.
pub(super) struct Groups {
    env: Env,
    context: ReceiverContext,
    /// How long a group waits for room.
    max_wait: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The group that requests join; `None` if the next request begins one.
    open: Option<Group>,
    /// The number of groups that have begun.
    begun: u64,
    /// When the last group was closed, on the clock that never goes back.
    closed: Option<Duration>,
}

struct Group {
    number: u64,
    rows: Vec<RecordBatch>,
    /// The labels of the requests that have keys.
    labels: Vec<String>,
    /// The memory of the rows.
    memory: Vec<Memory>,
    bytes: usize,
    outcome: Outcome,
    tell: oneshot::Sender<Fate>,
}

impl Group {
    fn new(number: u64) -> Self {
        let (tell, told) = oneshot::channel();
        let outcome = told.map(|fate| fate.unwrap_or(Fate::Stopped)).boxed().shared();
        Self { number, rows: Vec::new(), labels: Vec::new(), memory: Vec::new(), bytes: 0, outcome, tell }
    }
}

impl Groups {
    pub(super) fn new(env: &Env, context: &ReceiverContext, max_wait: Duration) -> Arc<Self> {
        Arc::new(Self { env: env.clone(), context: context.clone(), max_wait, state: Mutex::default() })
    }

    /// Adds the rows of a request, of `bytes`, and the label of its key, if it has one.
    pub(super) fn join(
        self: &Arc<Self>,
        rows: Vec<RecordBatch>,
        bytes: usize,
        label: Option<String>,
        memory: Memory,
    ) -> Outcome {
        let mut state = lock(&self.state);
        if state.open.as_ref().is_some_and(|group| group.bytes.saturating_add(bytes) > BYTES_MAX) {
            self.close(&mut state);
        }
        let mut group = state.open.take().unwrap_or_else(|| self.begin(&mut state));
        group.rows.extend(rows);
        group.labels.extend(label);
        group.memory.push(memory);
        group.bytes = group.bytes.saturating_add(bytes);
        let outcome = group.outcome.clone();
        let is_full = group.bytes >= BYTES_MAX || group.memory.len() >= REQUESTS_MAX;
        state.open = Some(group);
        if is_full {
            self.close(&mut state);
        }
        outcome
    }

    /// Begins a group, which is closed when its time has come.
    fn begin(self: &Arc<Self>, state: &mut State) -> Group {
        state.begun += 1;
        let number = state.begun;
        let now = self.env.clock.monotonic();
        let pause = state.closed.map_or(Duration::ZERO, |closed| (closed + PACE).saturating_sub(now));
        let groups = self.clone();
        let run = async move {
            if !pause.is_zero() {
                groups.env.clock.sleep(pause).await;
            }
            let mut state = lock(&groups.state);
            if state.open.as_ref().is_some_and(|group| group.number == number) {
                groups.close(&mut state);
            }
        };
        self.env.control.spawn("http group", Box::pin(run));
        Group::new(number)
    }

    /// Stores the open group. The next request begins another one.
    fn close(self: &Arc<Self>, state: &mut State) {
        let Some(group) = state.open.take() else { return };
        state.closed = Some(self.env.clock.monotonic());
        let groups = self.clone();
        let run = async move {
            let Group { rows, labels, memory, tell, .. } = group;
            // Nobody may be waiting any more.
            let _ = tell.send(groups.stored(rows, &labels, memory).await);
        };
        self.env.control.spawn("http group", Box::pin(run));
    }

    async fn stored(&self, rows: Vec<RecordBatch>, labels: &[String], memory: Vec<Memory>) -> Fate {
        let key = (!labels.is_empty()).then(|| of_block(labels));
        let taken = tokio::select! {
            biased;
            taken = self.context.take_block(rows, key) => taken,
            () = self.env.clock.sleep(self.max_wait) => return Fate::NoRoom,
        };
        drop(memory);
        let recorded = match taken {
            Ok(taken) => taken.recorded().await,
            Err(error) => Err(error),
        };
        match recorded {
            Ok(()) => Fate::Stored,
            Err(StoreError::Stopped) => Fate::Stopped,
            Err(error) => Fate::Failed(error.to_string()),
        }
    }
}
