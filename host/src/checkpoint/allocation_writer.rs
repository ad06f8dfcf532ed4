//! Writes the allocation log, as an actor: what waits is written together, with one sync.
//!
//! Owns the order of events and who waits for them. Runs on the background executor, for writing waits for the disk.

use super::allocation_log::AllocationLog;
use super::allocations::{AllocationEvent, BatchPartitions, SavedBatch};
use super::trouble::Trouble;
use crate::block::ReadPart;
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::time::Time;
use tokio::sync::{mpsc, watch};

/// How many events may wait. More batches than this never wait for the scheduler, so whoever asks does not wait here.
const QUEUED_EVENTS_MAX: usize = 4096;
/// How many events are written together, at most.
const GROUP_MAX: usize = 1024;

/// How far the log is durable.
#[derive(Clone, Debug, Default)]
struct LogState {
    durable: u64,
    failed: Option<Error>,
}

/// Gives events to the actor.
pub struct AllocationWriter {
    events: mpsc::Sender<AllocationEvent>,
    sent: u64,
    state: watch::Receiver<LogState>,
}

/// Something that was written, or will be.
#[derive(Clone, Debug)]
pub struct Durable {
    sequence: u64,
    state: watch::Receiver<LogState>,
}

impl Durable {
    /// Waits until it is on stable storage.
    ///
    /// # Errors
    /// When it never will be.
    pub async fn wait(&mut self) -> Result<(), Error> {
        let reached = |state: &LogState| state.durable >= self.sequence || state.failed.is_some();
        match self.state.wait_for(reached).await {
            Ok(state) if state.durable >= self.sequence => Ok(()),
            Ok(state) => Err(state.failed.clone().unwrap_or_else(ended)),
            Err(_) => Err(ended()),
        }
    }
}

fn ended() -> Error {
    Error::new(ErrorKind::Internal, "the writer of the allocation log ended without a word").help("please report this")
}

impl AllocationWriter {
    /// Starts the actor, which writes `log`.
    pub fn start(env: &Env, log: AllocationLog, trouble: Trouble) -> Self {
        let (events, inbox) = mpsc::channel(QUEUED_EVENTS_MAX);
        let (publish, state) = watch::channel(LogState::default());
        env.background.spawn("allocation log", Box::pin(run(log, inbox, publish, trouble)));
        Self { events, sent: 0, state }
    }

    /// A batch has its data.
    pub async fn allocated(&mut self, batch: Time, partitions: &BatchPartitions) -> Durable {
        self.send(AllocationEvent::Allocated(SavedBatch::new(batch, partitions))).await
    }

    /// A batch has read parts of files through.
    pub async fn read(&mut self, batch: Time, parts: &[ReadPart]) -> Durable {
        self.send(AllocationEvent::read(batch, parts)).await
    }

    /// Nothing needs what the batches before this time read.
    pub async fn forgotten(&mut self, before: Time) {
        self.send(AllocationEvent::Forgotten { before_ms: before.as_ms() }).await;
    }

    /// The batches from one time through another are never made.
    pub async fn left_out(&mut self, from: Time, through: Time) -> Durable {
        self.send(AllocationEvent::Gap { from_ms: from.as_ms(), through_ms: through.as_ms() }).await
    }

    async fn send(&mut self, event: AllocationEvent) -> Durable {
        // An actor that has ended has said why in its state.
        let _ = self.events.send(event).await;
        self.sent += 1;
        Durable { sequence: self.sent, state: self.state.clone() }
    }
}

async fn run(
    mut log: AllocationLog,
    mut inbox: mpsc::Receiver<AllocationEvent>,
    publish: watch::Sender<LogState>,
    mut trouble: Trouble,
) {
    let mut group = Vec::new();
    loop {
        let count = inbox.recv_many(&mut group, GROUP_MAX).await;
        if count == 0 {
            return;
        }
        let events = std::mem::take(&mut group);
        let mut outcome = log.append(&events);
        while let Err(error) = outcome {
            if let Err(error) = trouble.wait(&error).await {
                publish.send_modify(|state| state.failed = Some(error));
                return;
            }
            outcome = log.append(&[]);
        }
        trouble.over();
        publish.send_modify(|state| state.durable += count as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::super::allocation_log::read;
    use super::super::allocations::Allocations;
    use super::super::allocations::tests::partitions;
    use super::super::trouble::OnTrouble;
    use super::*;
    use crate::env::{DiskStore, Simulation, Store};
    use crate::listener::ListenerBus;
    use std::sync::Arc;

    fn writer(simulation: &Simulation, policy: OnTrouble) -> (AllocationWriter, Arc<dyn Store>) {
        let env = simulation.env();
        let store: Arc<dyn Store> = Arc::new(DiskStore::new(env.disk.clone(), "/checkpoint".into()));
        let log = AllocationLog::new(store.clone(), Allocations::new(Time::default()), 1);
        let place = store.describe();
        let trouble = Trouble::new(env.clock.clone(), ListenerBus::default(), policy, "the allocation log", place);
        (AllocationWriter::start(&env, log, trouble), store)
    }

    #[test]
    fn a_full_disk_is_waited_for() {
        let simulation = Arc::new(Simulation::new(0, Time::default()));
        let (mut writer, store) = writer(&simulation, OnTrouble::Wait);
        let (world, env) = (simulation.clone(), simulation.env());
        simulation.disk_space(0);
        let main = async move {
            let mut first = writer.allocated(Time::from_ms(1), &partitions(0..1, false)).await;
            tokio::select! {
                biased;
                outcome = first.wait() => panic!("{outcome:?} without room"),
                () = env.clock.sleep_until(Time::from_ms(2500)) => {}
            }
            let mut second = writer.allocated(Time::from_ms(2), &partitions(1..2, false)).await;
            world.disk_space(1 << 20);
            (second.wait().await, first.wait().await)
        };
        assert_eq!(simulation.run(main).unwrap(), (Ok(()), Ok(())));
        assert_eq!(read(&*store).unwrap().unwrap().record.batch_count(), 2);
    }

    #[test]
    fn a_full_disk_ends_the_run_if_that_is_wanted() {
        let simulation = Simulation::new(0, Time::default());
        let (mut writer, _) = writer(&simulation, OnTrouble::Stop);
        simulation.disk_space(0);
        let main = async move {
            let mut first = writer.allocated(Time::from_ms(1), &partitions(0..1, false)).await;
            let mut second = writer.allocated(Time::from_ms(2), &partitions(1..2, false)).await;
            [first.wait().await, second.wait().await]
        };
        for outcome in simulation.run(main).unwrap() {
            assert_eq!(
                outcome.unwrap_err().to_string(),
                "cannot write the allocation log in checkpoint directory /checkpoint: no storage space\n\
                 help: nothing is lost: start the job again when the directory can be written"
            );
        }
    }
}
