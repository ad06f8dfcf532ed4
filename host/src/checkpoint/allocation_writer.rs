//! Writes the allocation log, as an actor. All events that wait are written together, with one sync. Events for which
//! no batch waits are written together with the next event for which one does.
//!
//! Owns the order of the events, and the answers to those who wait for an event. Runs on the background executor,
//! because writing waits for the disk.

use super::allocation_log::AllocationLog;
use super::allocations::{AllocationEvent, BatchPartitions, SavedBatch};
use super::trouble::Trouble;
use crate::block::ReadPart;
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::time::Time;
use tokio::sync::{mpsc, watch};

/// How many events may wait. This is more than the number of batches that can wait for the scheduler, so a caller does
/// not wait here.
const QUEUED_EVENTS_MAX: usize = 4096;
/// The most events that are written together.
const GROUP_MAX: usize = 1024;

/// Up to which event the log is durable.
#[derive(Clone, Debug, Default)]
struct LogState {
    durable: u64,
    failed: Option<Error>,
}

/// Sends events to the actor.
pub struct AllocationWriter {
    events: mpsc::Sender<AllocationEvent>,
    sent: u64,
    state: watch::Receiver<LogState>,
}

/// Waits for one event of the log to become durable.
#[derive(Clone, Debug)]
pub struct Durable {
    sequence: u64,
    state: watch::Receiver<LogState>,
}

impl Durable {
    /// Stands for an event that will never be on stable storage.
    pub fn failed(error: Error) -> Self {
        let (_, state) = watch::channel(LogState { durable: 0, failed: Some(error) });
        Self { sequence: 1, state }
    }

    /// Waits until the event is on stable storage.
    ///
    /// # Errors
    /// Returns an error if the event will never be on stable storage.
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
    /// Starts the actor that writes `log`.
    pub fn start(env: &Env, log: AllocationLog, trouble: Trouble) -> Self {
        let (events, inbox) = mpsc::channel(QUEUED_EVENTS_MAX);
        let (publish, state) = watch::channel(LogState::default());
        env.background.spawn("allocation log", Box::pin(run(log, inbox, publish, trouble)));
        Self { events, sent: 0, state }
    }

    /// Writes that a batch was given its data.
    pub async fn allocated(&mut self, batch: Time, partitions: &BatchPartitions) -> Durable {
        self.send(AllocationEvent::Allocated(SavedBatch::new(batch, partitions))).await
    }

    /// Writes that a batch has read parts of files to their ends.
    pub async fn read(&mut self, batch: Time, parts: &[ReadPart]) -> Durable {
        self.send(AllocationEvent::read(batch, parts)).await
    }

    /// Writes that nothing needs the data of the batches before this time.
    pub async fn forgotten(&mut self, before: Time) {
        self.send(AllocationEvent::Forgotten { before_ms: before.as_ms() }).await;
    }

    /// Writes that the batches `from` to `through` are never made.
    pub async fn left_out(&mut self, from: Time, through: Time) -> Durable {
        self.send(AllocationEvent::Gap { from_ms: from.as_ms(), through_ms: through.as_ms() }).await
    }

    async fn send(&mut self, event: AllocationEvent) -> Durable {
        // If the actor has ended, its state holds the reason.
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
        let received = inbox.recv_many(&mut group, GROUP_MAX).await;
        if received == 0 {
            // Nobody waits for the events that are left, and a restart does without them.
            if !group.is_empty() {
                let _ = log.append(&group);
            }
            return;
        }
        // The sync of events for which nobody waits would hold up the next event, for which a batch waits.
        if group.len() < GROUP_MAX && group.iter().all(is_for_later) {
            continue;
        }
        let events = std::mem::take(&mut group);
        let count = events.len();
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

/// Whether nobody waits until the event is on stable storage. Such an event is written together with the next other
/// event.
fn is_for_later(event: &AllocationEvent) -> bool {
    matches!(event, AllocationEvent::Forgotten { .. })
}

#[cfg(test)]
mod tests {
    use super::super::allocation_segments::read;
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
    fn events_for_which_nobody_waits_are_written_with_the_next_event() {
        let simulation = Arc::new(Simulation::new(0, Time::default()));
        let (mut writer, store) = writer(&simulation, OnTrouble::Stop);
        let (env, second) = (simulation.env(), Time::from_ms(1000));
        let main = async move {
            let batches = || read(&*store).unwrap().unwrap().record.batch_count();
            for ms in 1..=2 {
                writer.allocated(Time::from_ms(ms), &partitions(ms - 1..ms, false)).await.wait().await.unwrap();
            }
            writer.forgotten(Time::from_ms(2)).await;
            env.clock.sleep_until(second).await;
            let alone = batches();
            writer.allocated(Time::from_ms(3), &partitions(2..3, false)).await.wait().await.unwrap();
            let together = batches();
            writer.forgotten(Time::from_ms(4)).await;
            drop(writer);
            env.clock.sleep_until(second + second.since(Time::default())).await;
            (alone, together, batches())
        };
        // The last events are written when the actor ends.
        assert_eq!(simulation.run(main).unwrap(), (2, 2, 0));
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
