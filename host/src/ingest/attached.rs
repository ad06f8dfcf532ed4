//! The list of the runs that read batches. The batch clock uses it.
//!
//! Owns which runs get the next batch, and what happens to a run that does not take a batch. Never makes a batch.

use super::batch_taker::{BatchTaker, GivenBatch, NotTaken};
use crate::ids::RunId;
use crate::tracker::TrackerHandle;
use std::sync::Arc;

/// What happens when too many batches wait for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backlog {
    /// The batch clock waits, and so all runs wait.
    Wait,
    /// The run gets no more batches. Other runs are not affected.
    LeaveBehind,
}

/// A run that reads batches.
pub struct AttachedRun {
    /// The number of the run.
    pub run: RunId,
    /// What happens when too many batches wait for the run.
    pub backlog: Backlog,
    /// Takes the batches of the run.
    pub taker: Arc<dyn BatchTaker>,
}

/// All runs that read batches, in the order in which they were attached.
pub(super) struct AttachedRuns {
    runs: Vec<AttachedRun>,
    tracker: TrackerHandle,
}

impl AttachedRuns {
    /// Makes the list with the first run of a job, which the tracker knows from the beginning.
    pub(super) fn new(first: Arc<dyn BatchTaker>, tracker: TrackerHandle) -> Self {
        let first = AttachedRun { run: RunId::FIRST, backlog: Backlog::Wait, taker: first };
        Self { runs: vec![first], tracker }
    }

    /// Adds a run that gets the batches from the next one on. The tracker must know the run.
    pub(super) fn add(&mut self, run: AttachedRun) {
        self.runs.push(run);
    }

    /// Removes a run: it gets no more batches. It does not matter whether the run is in the list.
    pub(super) async fn detach(&mut self, run: RunId) {
        self.runs.retain(|attached| attached.run != run);
        self.tracker.detach(run).await;
    }

    /// Makes the batch clock wait for `run`, and for no other run, when too many batches wait for it.
    pub(super) fn wait_for(&mut self, run: RunId) {
        for attached in &mut self.runs {
            attached.backlog = if attached.run == run { Backlog::Wait } else { Backlog::LeaveBehind };
        }
    }

    /// Calls `tell` for the taker of each run.
    pub(super) fn each(&self, tell: impl Fn(&dyn BatchTaker)) {
        self.runs.iter().for_each(|attached| tell(&*attached.taker));
    }

    /// Gives a batch that was allocated to each run. Removes a run that has ended, or for which too many batches wait.
    /// Returns false if no run is left.
    pub(super) async fn give(&mut self, given: &GivenBatch) -> bool {
        let mut gone = Vec::new();
        for attached in &self.runs {
            let taken = match attached.backlog {
                Backlog::Wait if attached.taker.take(given.clone()).await => Ok(()),
                Backlog::Wait => Err(NotTaken::Ended),
                Backlog::LeaveBehind => attached.taker.take_at_once(given.clone()),
            };
            if let Err(why) = taken {
                if why == NotTaken::Full {
                    attached.taker.left_behind(given.batch);
                }
                gone.push(attached.run);
            }
        }
        for run in gone {
            // The run frees the data of its batches when it ends.
            self.detach(run).await;
        }
        !self.runs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch_taker::Purpose;
    use super::super::{Ingest, IngestParts, Rates, Sources};
    use super::*;
    use crate::block::{BlockStore, RowStorage, SpillSettings};
    use crate::checkpoint::Durable;
    use crate::env::Simulation;
    use crate::listener::ListenerBus;
    use crate::memory::MemoryBudget;
    use crate::time::{Duration, Time};
    use crate::tracker::Allocated;
    use futures::future::BoxFuture;
    use std::sync::Mutex;

    /// A run for which only a few batches may wait, and which does not process them.
    #[derive(Default)]
    struct Waiting {
        room: usize,
        has_ended: bool,
        taken: Mutex<Vec<u64>>,
        left_behind: Mutex<Vec<u64>>,
    }

    impl BatchTaker for Waiting {
        fn generated(&self, _: Time, _: &Allocated) {}

        fn passed_over(&self, _: Time, _: Time, _: Option<Durable>) {}

        fn take(&self, given: GivenBatch) -> BoxFuture<'_, bool> {
            let is_taken = self.take_at_once(given).is_ok();
            Box::pin(async move { is_taken })
        }

        fn take_at_once(&self, given: GivenBatch) -> Result<(), NotTaken> {
            let mut taken = self.taken.lock().unwrap();
            match (self.has_ended, taken.len() < self.room) {
                (true, _) => Err(NotTaken::Ended),
                (false, false) => Err(NotTaken::Full),
                (false, true) => {
                    taken.push(given.batch.as_ms());
                    Ok(())
                }
            }
        }

        fn left_behind(&self, batch: Time) {
            self.left_behind.lock().unwrap().push(batch.as_ms());
        }
    }

    #[test]
    fn a_run_that_does_not_keep_up_is_left_behind_and_others_do_not_notice() {
        let simulation = Simulation::new(1, Time::default());
        let env = simulation.env();
        let spill = SpillSettings { directory: None, limit_bytes: 0, compressed: false };
        let storage = RowStorage::new(&MemoryBudget::new(1 << 20, 0).unwrap(), env.disk.clone(), spill);
        let ingest = Ingest::start(IngestParts {
            env,
            blocks: BlockStore::new(storage, 1 << 20),
            sources: Sources::default(),
            listeners: ListenerBus::default(),
            rates: Rates::unlimited(),
            history: None,
            ownership: None,
        });
        let waiting = |room, has_ended| Arc::new(Waiting { room, has_ended, ..Waiting::default() });
        let (first, slow, gone) = (waiting(100, false), waiting(2, false), waiting(100, true));
        let takers = (first.clone(), slow.clone(), gone.clone());
        let main = async move {
            let tracker = ingest.handle().tracker().clone();
            let mut runs = AttachedRuns::new(takers.0, tracker.clone());
            let beside: [(u32, Arc<dyn BatchTaker>); 2] = [(1, takers.1), (2, takers.2)];
            for (run, taker) in beside {
                let attached = AttachedRun { run: RunId(run), backlog: Backlog::LeaveBehind, taker };
                tracker.attach(attached.run, None).await;
                runs.add(attached);
            }
            for ms in 1..=4 {
                let batch = Time::from_ms(ms);
                let allocated = tracker.allocate(batch).await;
                let (submission_time, submitted) = (batch, Duration::ZERO);
                let given = GivenBatch { batch, purpose: Purpose::Run, allocated, submission_time, submitted };
                assert!(runs.give(&given).await);
            }
            runs.runs.iter().map(|attached| attached.run.0).collect::<Vec<_>>()
        };
        assert_eq!(simulation.run(main).unwrap(), [0]);
        assert_eq!(*first.taken.lock().unwrap(), [1, 2, 3, 4]);
        assert_eq!(
            (slow.taken.lock().unwrap().clone(), slow.left_behind.lock().unwrap().clone()),
            (vec![1, 2], vec![3])
        );
        assert!(gone.taken.lock().unwrap().is_empty() && gone.left_behind.lock().unwrap().is_empty());
    }
}
