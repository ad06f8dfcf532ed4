//! A world for benchmarks: the real engine and disk, with a clock that moves on to the next batch as soon as a batch is
//! done.

use host::env::{Clock, Console};
use host::listener::{Event, SnapshotInfo, StreamingListener};
use host::time::{Duration, Time};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// The batch interval.
const SECOND: Duration = Duration::from_secs(1);

/// The measurements of a run.
#[derive(Default)]
pub struct PacedWorld(Mutex<Seen>);

/// What a run has shown so far.
#[derive(Default)]
pub struct Seen {
    now: Time,
    /// The number of batches that are not done.
    waiting: u64,
    sleepers: Vec<Waker>,
    /// The least time of the machine between two batches.
    pace: Duration,
    /// When this clock moved last, on the monotonic clock of the machine.
    moved: Duration,
    /// Measures how long things take.
    machine: Option<Arc<dyn Clock>>,
    /// When the first batch began, on the monotonic clock of the machine.
    pub first_batch: Option<Duration>,
    /// The processing time of each batch.
    pub processing_ms: Vec<f64>,
    /// The snapshots of state that were written.
    pub snapshots: Vec<SnapshotInfo>,
    /// The bytes that were spilled to files.
    pub spilled_bytes: u64,
    /// The last text that the job printed.
    pub printed: String,
    /// Why a task ran again. `None` if no task did.
    pub failed: Option<String>,
}

impl Seen {
    /// The time until the next batch may begin.
    fn early(&self, now: Duration) -> Duration {
        (self.moved + self.pace).saturating_sub(now)
    }
}

impl PacedWorld {
    /// A world in which it is this late at the start. At least `pace` lies between two batches, on the machine's clock.
    pub fn starting_at(now: Time, pace: Duration) -> Self {
        Self(Mutex::new(Seen { now, pace, ..Seen::default() }))
    }

    /// The clock of this world. `machine` measures how long things take.
    pub fn clock(self: &Arc<Self>, machine: Arc<dyn Clock>) -> Arc<dyn Clock> {
        self.lock().machine = Some(machine.clone());
        Arc::new(ManualClock { world: self.clone(), machine })
    }

    /// What the run has shown so far.
    pub fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock that moves on to the next batch when all batches are done.
struct ManualClock {
    world: Arc<PacedWorld>,
    machine: Arc<dyn Clock>,
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        self.world.lock().now
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic()
    }

    fn sleep_until(&self, time: Time) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (world, machine) = (self.world.clone(), self.machine.clone());
        Box::pin(async move {
            loop {
                let early = std::future::poll_fn(|context| {
                    let mut seen = world.lock();
                    let early = seen.early(machine.monotonic());
                    if seen.waiting == 0 && time <= seen.now + SECOND && time > seen.now && early.is_zero() {
                        seen.now = time;
                        seen.moved = machine.monotonic();
                    }
                    if seen.now >= time {
                        return Poll::Ready(Duration::ZERO);
                    }
                    if seen.waiting == 0 && !early.is_zero() {
                        return Poll::Ready(early);
                    }
                    seen.sleepers.push(context.waker().clone());
                    Poll::Pending
                });
                match early.await {
                    Duration::ZERO => return,
                    early => machine.sleep(early).await,
                }
            }
        })
    }

    /// Sleeps for a span of the machine's time.
    fn sleep(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.machine.sleep(span)
    }
}

impl Console for PacedWorld {
    fn write(&self, text: &str) -> io::Result<()> {
        // Only the last write is needed.
        let mut seen = self.lock();
        seen.printed.clear();
        seen.printed.push_str(text);
        Ok(())
    }

    fn is_terminal(&self) -> bool {
        false
    }
}

impl StreamingListener for PacedWorld {
    fn on_event(&self, event: &Event) {
        let mut seen = self.lock();
        match event {
            Event::BatchSubmitted(_) => seen.waiting += 1,
            Event::BatchStarted(_) if seen.first_batch.is_none() => {
                seen.first_batch = seen.machine.as_ref().map(|machine| machine.monotonic());
            }
            Event::BatchCompleted(batch) => {
                seen.processing_ms.extend(batch.processing_delay.map(|delay| delay.as_secs_f64() * 1000.0));
                seen.waiting -= 1;
                seen.sleepers.drain(..).for_each(Waker::wake);
            }
            Event::SnapshotWritten(info) => seen.snapshots.push(info.clone()),
            Event::DataSpilled { bytes, .. } => seen.spilled_bytes += bytes,
            Event::TaskRetried { reason, .. } => seen.failed = Some(reason.clone()),
            _ => {}
        }
    }
}

/// The largest resident memory of this process, in MiB.
///
/// # Errors
/// Returns an error if the system does not say how much memory the process has.
pub fn peak_mib() -> Result<u64, String> {
    let status =
        std::fs::read_to_string("/proc/self/status").map_err(|error| format!("cannot read memory: {error}"))?;
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    peak.map(|kib| kib / 1024).ok_or_else(|| "this system does not tell the resident memory".to_owned())
}
