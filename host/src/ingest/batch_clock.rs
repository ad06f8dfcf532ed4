//! The batch clock: makes a batch at each multiple of the interval, and the last one when the job stops.
//!
//! Owns batch times. Batch times are multiples of the interval, in order and without gaps, and never go back. Each
//! batch goes to all attached runs: see `attached.rs`. Runs are attached and detached between two batches.

use super::attached::{AttachedRun, AttachedRuns, Backlog};
use super::batch_taker::{BatchTaker, GivenBatch, Purpose};
use crate::checkpoint::Durable;
use crate::env::Env;
use crate::ids::RunId;
use crate::listener::{Event, ListenerBus};
use crate::time::{Duration, Time, whole_ms};
use crate::tracker::{Allocated, Needed, PassedOver, TrackerHandle};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// The least time by which a clock must be set back to be reported.
const SET_BACK_MIN: Duration = Duration::from_secs(1);

/// How a job or a run is asked to stop. The values are ordered: a later one is stronger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopRequest {
    /// There is no request to stop.
    #[default]
    None,
    /// Stop after all received data is processed.
    Graceful,
    /// Stop at once.
    Now,
}

/// What a job that resumes from a checkpoint does first, with its first run.
#[derive(Clone, Debug, Default)]
pub struct CatchUp {
    /// Whether batches were made before the restart.
    pub is_resumed: bool,
    /// The batches that are done and whose data sets are computed again, in order.
    pub restore: Vec<Time>,
    /// The batches that run again, in order.
    pub rerun: Vec<Time>,
    /// The first and the last of batches between and after these that had no work, in order.
    pub passed_over: Vec<(Time, Time)>,
    /// The batches that are never made: the first and the last.
    pub left_out: Option<(Time, Time)>,
    /// Batches up to this time are late. A late batch without work completes without a job.
    pub late_through: Time,
    /// How far back in time a batch reads data. `None` if some operator has work to do without data.
    pub reach: Option<Duration>,
    /// The batches that have data.
    pub with_data: BTreeSet<Time>,
}

impl CatchUp {
    /// The first batch that is restored, runs again or is left out. `None` if there is none.
    pub fn first(&self) -> Option<Time> {
        let left_out = self.left_out.as_ref().map(|(from, _)| from);
        self.restore.first().or(self.rerun.first()).or(left_out).copied()
    }
}

/// The settings of a batch clock.
#[derive(Clone, Debug)]
pub struct ClockSettings {
    /// The first new batch.
    pub first: Time,
    /// What is done before the first new batch.
    pub catch_up: CatchUp,
    /// The batch interval.
    pub interval: Duration,
    /// Stop gracefully after this many batches. The last of them takes all data that was received.
    pub stop_after: Option<u64>,
    /// Stop gracefully when no source can bring more data.
    pub stop_when_idle: bool,
}

/// The parts of the host that a batch clock uses.
pub struct ClockParts {
    /// The environment, with the clock.
    pub env: Env,
    /// The tracker that gives batches their data.
    pub tracker: TrackerHandle,
    /// The listeners that are told of batches without work and of a clock that was set back.
    pub listeners: ListenerBus,
}

/// Makes the taker of a run. Gets the time of the last batch before the run begins, and the time after which the run has
/// the data of batches, which may be earlier.
pub type MakeTaker = Box<dyn FnOnce(Time, Time) -> Arc<dyn BatchTaker> + Send>;

/// A run joins the batches of an ingest.
pub struct Joining {
    /// The number of the run.
    pub run: RunId,
    /// What happens when too many batches wait for the run.
    pub backlog: Backlog,
    /// Whether the run can be restarted. Then the data that it is given is kept until the run says that a restart does
    /// not need it.
    pub can_restart: bool,
    /// How far back before a batch the windows of the run reach.
    pub reach: Duration,
    /// Makes the taker of the run. It is called between two batches, so it must not wait.
    pub make: MakeTaker,
}

/// The most earlier batches that a run which joins is given again.
const PAST_MAX: u32 = 500;

/// Requests to the batch clock, which are served between two batches.
pub(super) enum Request {
    /// Attach a run, which gets the batches from the next one on. The reply is the time of the last batch that the run
    /// does not get.
    Attach(Joining, oneshot::Sender<Time>),
    /// Detach a run. The reply is the time of the last batch that the run can have got.
    Detach(RunId, oneshot::Sender<Time>),
    /// Call this function with the time of the last batch. The reply is this time.
    Between(Box<dyn FnOnce(Time) + Send>, oneshot::Sender<Time>),
    /// Wait for this run, and for no other run, when too many batches wait for it.
    WaitFor(RunId),
}

/// The batch clock, as an actor.
pub struct BatchClock {
    parts: ClockParts,
    settings: ClockSettings,
    runs: AttachedRuns,
    requests: mpsc::Receiver<Request>,
    stop: watch::Receiver<StopRequest>,
    /// The batches without work since the last batch with work: the first, the last, and their number.
    nothing: Option<(Time, Time, u64)>,
}

impl BatchClock {
    /// Makes an actor that gives each batch to `first` and to the runs that `requests` attach, until `stop` asks it to
    /// stop.
    pub(super) fn new(
        parts: ClockParts,
        settings: ClockSettings,
        first: Arc<dyn BatchTaker>,
        requests: mpsc::Receiver<Request>,
        stop: watch::Receiver<StopRequest>,
    ) -> Self {
        let runs = AttachedRuns::new(first, parts.tracker.clone());
        Self { parts, settings, runs, requests, stop, nothing: None }
    }

    /// Makes batches until the job stops. When this returns, the last batch was given to the runs.
    pub async fn run(mut self) {
        self.make_batches().await;
        self.tell_nothing();
    }

    async fn make_batches(&mut self) {
        if !self.catch_up().await {
            return;
        }
        let interval = self.settings.interval;
        let mut next = self.settings.first;
        let mut left = self.settings.stop_after;
        if self.settings.catch_up.is_resumed && self.is_idle().await {
            return;
        }
        loop {
            if left == Some(0) {
                self.let_receivers_end().await;
                return;
            }
            match self.wait_until(next).await {
                StopRequest::Now => return,
                StopRequest::Graceful => return self.finish(next, left).await,
                StopRequest::None => {}
            }
            let (last, outcome) = match self.pass_over(next).await {
                Some((through, outcome)) => (through, outcome),
                None => {
                    // The last batch takes all data that was received, because no batch follows.
                    if left == Some(1) && !self.let_receivers_end().await {
                        return;
                    }
                    (next, self.make(next).await)
                }
            };
            if !self.note(outcome, next, last, &mut left) {
                return;
            }
            next = last + interval;
            if self.is_idle().await {
                return;
            }
        }
    }

    /// Counts the batches from `first` to `last`. `left` is the number of batches that are still to be made. Returns
    /// false if no more batches can be made.
    fn note(&mut self, made: Made, first: Time, last: Time, left: &mut Option<u64>) -> bool {
        match made {
            Made::Batch => {
                *left = left.map(|left| left.saturating_sub(1));
                self.tell_nothing();
            }
            Made::Nothing => self.had_nothing(first, last),
            Made::Ended => return false,
        }
        true
    }

    /// Waits until the receivers have stored the data that they hold, and have ended. Returns false if the job is to
    /// stop at once.
    async fn let_receivers_end(&mut self) -> bool {
        let tracker = self.parts.tracker.clone();
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|stop| *stop == StopRequest::Now) => false,
            _ = tracker.stop_receivers() => true,
        }
    }

    /// Remembers batches without work. They are reported together with those before and after.
    fn had_nothing(&mut self, first: Time, last: Time) {
        let (_, through, batches) = self.nothing.get_or_insert((first, last, 0));
        *batches += whole_ms(last.since(first)) / whole_ms(self.settings.interval).max(1) + 1;
        *through = last;
    }

    /// Makes the late batches from `from` on that are known to have no work, all of them at once. Returns the time of
    /// the last one. `None` if there are none.
    async fn pass_over(&mut self, from: Time) -> Option<(Time, Made)> {
        if !self.is_known_quiet(from) {
            return None;
        }
        let interval = self.settings.interval;
        let through = self.settings.catch_up.late_through.floor(interval);
        let PassedOver { through, durable } = self.parts.tracker.pass_over(from, through, interval).await?;
        let is_taken = self.send_quiet(from, through, durable).await;
        Some((through, if is_taken { Made::Nothing } else { Made::Ended }))
    }

    /// Whether a late batch is known to have no work unless it has data itself.
    fn is_known_quiet(&self, batch: Time) -> bool {
        let CatchUp { late_through, reach, with_data, .. } = &self.settings.catch_up;
        let has_data = |reach: &Duration| with_data.range(batch - *reach..=batch).next().is_some();
        batch <= *late_through && !reach.as_ref().is_none_or(has_data)
    }

    /// Gives batches without work to the runs. For later windows, the data sets of these batches are empty.
    async fn send_quiet(&mut self, from: Time, through: Time, durable: Option<Durable>) -> bool {
        self.runs.each(|run| run.passed_over(from, through, durable.clone()));
        self.send(through, Purpose::Nothing(from), Allocated::default()).await
    }

    /// Reports the batches without work, if there were any.
    fn tell_nothing(&mut self) {
        if let Some((from, through, batches)) = self.nothing.take() {
            self.parts.listeners.post(&Event::BatchesWithoutData { from, through, batches });
        }
    }

    /// Whether no source can bring more data, and the job is to end in that case.
    async fn is_idle(&self) -> bool {
        self.settings.stop_when_idle && self.parts.tracker.is_idle().await
    }

    /// Sends the batches that a restart has to run again, in order. Returns false if no run takes batches any more.
    async fn catch_up(&mut self) -> bool {
        let interval = self.settings.interval;
        let CatchUp { restore, rerun, passed_over, left_out, .. } = self.settings.catch_up.clone();
        let mut passed_over = passed_over.into_iter().peekable();
        let unknown = restore.first().map_or(Time::default(), |first| *first - interval);
        for batch in restore {
            if !self.restore(batch, unknown).await {
                return false;
            }
        }
        let mut rest = &rerun[..];
        while let Some((first, after)) = rest.split_first() {
            if self.is_stopped_now() {
                return false;
            }
            while let Some((from, through)) = passed_over.next_if(|(from, _)| from < first) {
                if !self.send_quiet(from, through, None).await {
                    return false;
                }
            }
            let follows =
                |(at, batch): &(u32, &Time)| **batch == *first + interval * *at && self.is_known_quiet(**batch);
            let quiet = (0..).zip(rest).take_while(follows).count();
            let is_taken = match rest.get(..quiet).and_then(<[Time]>::last) {
                Some(last) => {
                    self.had_nothing(*first, *last);
                    self.send_quiet(*first, *last, None).await
                }
                None => self.make(*first).await != Made::Ended,
            };
            if !is_taken {
                return false;
            }
            rest = rest.get(quiet..).filter(|_| quiet > 0).unwrap_or(after);
        }
        for (from, through) in passed_over {
            if !self.send_quiet(from, through, None).await {
                return false;
            }
        }
        if let Some((from, through)) = left_out {
            let durable = self.parts.tracker.leave_out(from, through).await;
            return self.send_quiet(from, through, durable).await;
        }
        true
    }

    fn is_stopped_now(&self) -> bool {
        *self.stop.borrow() == StopRequest::Now
    }

    /// Sends a batch whose data sets are computed again. Returns false if no run takes batches any more.
    async fn restore(&mut self, batch: Time, unknown: Time) -> bool {
        if self.is_stopped_now() {
            return false;
        }
        self.parts.env.panics.works_on(batch);
        let allocated = self.parts.tracker.allocate(batch).await;
        let purpose =
            if self.has_nothing_to_do(batch, &allocated) { Purpose::Nothing(batch) } else { Purpose::Restore(unknown) };
        self.send(batch, purpose, allocated).await
    }

    /// Whether a late batch has no data and no work without data. Remembers the batches that have data.
    fn has_nothing_to_do(&mut self, batch: Time, allocated: &Allocated) -> bool {
        let catch_up = &mut self.settings.catch_up;
        if batch <= catch_up.late_through && !allocated.allocation.partitions.is_empty() {
            catch_up.with_data.insert(batch);
        }
        self.is_known_quiet(batch)
    }

    /// Waits for the time of a batch, or for a request to stop. Attaches and detaches runs in the meantime.
    async fn wait_until(&mut self, time: Time) -> StopRequest {
        // No run is attached before the late batches are made: only the first run knows which of them have no work.
        let is_late = time <= self.settings.catch_up.late_through;
        loop {
            let stop = &mut self.stop;
            let request = tokio::select! {
                biased;
                changed = stop.wait_for(|stop| *stop != StopRequest::None) => return match changed {
                    Ok(request) => *request,
                    Err(_) => StopRequest::Now,
                },
                Some(request) = self.requests.recv(), if !is_late => request,
                () = batch_time(&self.parts, time) => return StopRequest::None,
            };
            self.serve(request, time - self.settings.interval).await;
        }
    }

    /// Serves a request. `last` is the last batch that was made.
    async fn serve(&mut self, request: Request, last: Time) {
        match request {
            Request::Attach(joining, reply) => {
                let run = joining.run;
                self.attach(joining, last).await;
                if reply.send(last).is_err() {
                    // The caller does not wait for the run any more.
                    self.runs.detach(run).await;
                }
            }
            Request::Detach(run, reply) => {
                self.runs.detach(run).await;
                // It is not an error if nobody waits for the answer.
                let _ = reply.send(last);
            }
            Request::Between(call, reply) => {
                call(last);
                // It is not an error if nobody waits for the answer.
                let _ = reply.send(last);
            }
            Request::WaitFor(run) => self.runs.wait_for(run),
        }
    }

    /// Attaches a run after the batch `last`. The run is first given the earlier batches that its windows need, as far as
    /// their inputs can be read again.
    async fn attach(&mut self, joining: Joining, last: Time) {
        let Joining { run, backlog, can_restart, reach, make } = joining;
        let interval = self.settings.interval;
        let tracker = self.parts.tracker.clone();
        let reach = reach.min(interval.saturating_mul(PAST_MAX));
        tracker.attach(run, can_restart.then(|| Needed { from: last - reach, files_from: last - reach })).await;
        let past = tracker.read_past(run, last - reach, interval).await;
        let data_after = past.first().map_or(last, |(first, _)| *first - interval);
        let taker = make(last, data_after);
        let clock = self.parts.env.clock.clone();
        for (batch, allocation) in past {
            let allocated = Allocated { allocation, durable: None };
            let (submission_time, submitted) = (clock.now(), clock.monotonic());
            let purpose = Purpose::Restore(data_after);
            let given = GivenBatch { batch, purpose, allocated, submission_time, submitted };
            // The queue of the run has room for more batches than these.
            let _ = taker.take_at_once(given);
        }
        self.runs.add(AttachedRun { run, backlog, taker });
    }

    /// Lets receivers store and report the data that they hold, then makes the last batch from this data. In the
    /// meantime, batches are made as usual, except the last one of those that are `left`. That batch takes all
    /// remaining data.
    async fn finish(&mut self, mut next: Time, mut left: Option<u64>) {
        let tracker = self.parts.tracker.clone();
        let stopping = tracker.stop_receivers();
        tokio::pin!(stopping);
        let has_data = loop {
            let batch_is_due = tokio::select! {
                biased;
                has_data = &mut stopping => break has_data,
                is_due = self.wait_for_last(next, left == Some(1)) => is_due,
            };
            if !batch_is_due {
                return;
            }
            let made = self.make(next).await;
            if !self.note(made, next, next, &mut left) {
                return;
            }
            next = next + self.settings.interval;
        };
        if has_data && self.wait_for_last(next, false).await {
            let made = self.make(next).await;
            self.note(made, next, next, &mut left);
        }
    }

    /// Waits for the time of the last batch. With `for_ever`, waits for a request to stop only. Returns false if the
    /// job is to stop at once.
    async fn wait_for_last(&mut self, time: Time, for_ever: bool) -> bool {
        let stop = &mut self.stop;
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop == StopRequest::Now) => false,
            () = batch_time(&self.parts, time), if !for_ever => true,
        }
    }

    /// Gives a batch its data, and gives the batch to the runs.
    async fn make(&mut self, batch: Time) -> Made {
        self.parts.env.panics.works_on(batch);
        let allocated = self.parts.tracker.allocate(batch).await;
        let nothing = self.has_nothing_to_do(batch, &allocated);
        self.runs.each(|run| run.generated(batch, &allocated));
        let purpose = if nothing { Purpose::Nothing(batch) } else { Purpose::Run };
        match (self.send(batch, purpose, allocated).await, nothing) {
            (false, _) => Made::Ended,
            (true, true) => Made::Nothing,
            (true, false) => Made::Batch,
        }
    }

    /// Gives a batch to the runs. Returns false if no run takes batches any more.
    async fn send(&mut self, batch: Time, purpose: Purpose, allocated: Allocated) -> bool {
        let clock = &self.parts.env.clock;
        let (submission_time, submitted) = (clock.now(), clock.monotonic());
        self.runs.give(&GivenBatch { batch, purpose, allocated, submission_time, submitted }).await
    }
}

/// Resolves at the time of a batch. Reports if that takes longer because the clock was set back.
async fn batch_time(parts: &ClockParts, batch: Time) {
    let clock = &parts.env.clock;
    let (began, began_at) = (clock.now(), clock.monotonic());
    let come = clock.sleep_until(batch);
    tokio::pin!(come);
    tokio::select! {
        biased;
        () = &mut come => return,
        () = clock.sleep(batch.since(began) + SET_BACK_MIN) => {}
    }
    let (from, to) = (began + clock.monotonic().saturating_sub(began_at), clock.now());
    parts.listeners.post(&Event::ClockSetBack { from, to, next_batch: batch });
    come.await;
}

/// The result of making a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// The batch waits in the queues of the runs.
    Batch,
    /// The batch has no work.
    Nothing,
    /// No run takes batches any more.
    Ended,
}
