//! The one memory budget of a job: blocks, shuffles, data sets and operators all reserve memory from this budget.
//!
//! Owns the pool and its policy. For each run the budget sets aside the memory that the run's plugin instances may grow
//! to, so that an instance which grows below its limit never fails for lack of memory. Never allocates the memory
//! itself.

mod consumers;

use self::consumers::CountedPool;
use crate::lock::lock;
use datafusion_execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The budget has less memory left than was requested.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{asked} bytes do not fit into engine.memory = {budget} bytes, of which {reserved} are taken")]
pub struct NoRoom {
    asked: usize,
    budget: usize,
    reserved: usize,
}

/// The budget. Clones share it.
#[derive(Clone)]
pub struct MemoryBudget {
    pool: Arc<CountedPool>,
    budget: usize,
    /// The memory that is set aside for the plugin instances of all runs, in bytes.
    instances: Arc<AtomicUsize>,
    /// The memory that is set aside as long as the budget exists.
    _kept: Option<Arc<InstanceMemory>>,
}

impl MemoryBudget {
    /// A budget of `budget` bytes, of which `instances` bytes are reserved for plugin instances.
    ///
    /// # Errors
    /// Returns an error if the budget is smaller than the memory of the instances.
    pub fn new(budget: u64, instances: u64) -> Result<Self, NoRoom> {
        let budget = usize::try_from(budget).unwrap_or(usize::MAX);
        let pool = Arc::new(CountedPool::new(budget));
        let mut whole = Self { pool, budget, instances: Arc::default(), _kept: None };
        whole._kept = Some(Arc::new(whole.set_aside(instances)?));
        Ok(whole)
    }

    /// Sets `bytes` aside for the plugin instances of a run, until the result is dropped.
    ///
    /// # Errors
    /// Returns an error if the budget has less memory left.
    pub fn set_aside(&self, bytes: u64) -> Result<InstanceMemory, NoRoom> {
        let reservation = MemoryConsumer::new("plugin instances").register(&self.pool());
        let (asked, reserved) = (usize::try_from(bytes).unwrap_or(usize::MAX), self.pool.reserved());
        reservation.try_grow(asked).map_err(|_| NoRoom { asked, budget: self.budget, reserved })?;
        self.instances.fetch_add(asked, Ordering::Relaxed);
        Ok(InstanceMemory { reservation, of_all: self.instances.clone() })
    }

    /// The pool that operators reserve from.
    pub fn pool(&self) -> Arc<dyn MemoryPool> {
        self.pool.clone()
    }

    /// The whole budget, in bytes.
    pub fn bytes(&self) -> usize {
        self.budget
    }

    /// How many bytes each consumer has reserved, by the name of the consumer.
    pub fn consumers(&self) -> BTreeMap<String, usize> {
        self.pool.taken()
    }

    /// A reservation of `consumer`, of 0 bytes at first.
    pub fn room(&self, consumer: &str) -> Room {
        self.room_with(consumer, false)
    }

    /// A reservation of `consumer`, of 0 bytes at first and of at most three quarters of the memory for data. Operators
    /// such as sorts and joins need the rest.
    pub fn most_of_room(&self, consumer: &str) -> Room {
        self.room_with(consumer, true)
    }

    /// The memory for data, in bytes: the budget without the memory that is reserved for plugin instances.
    pub fn for_data(&self) -> usize {
        self.budget.saturating_sub(self.instances.load(Ordering::Relaxed))
    }

    /// A reservation for many small things, of which the first `uncounted` bytes are free.
    pub fn overhead(&self, consumer: &str, uncounted: usize) -> Overhead {
        Overhead { room: self.room(consumer), uncounted, bytes: Mutex::default() }
    }

    fn room_with(&self, consumer: &str, leaves_some: bool) -> Room {
        Room { reservation: MemoryConsumer::new(consumer).register(&self.pool()), leaves_some, budget: self.clone() }
    }
}

/// The memory that the plugin instances of a run may grow to. Dropping the value gives the memory back.
pub struct InstanceMemory {
    reservation: MemoryReservation,
    /// The sum of this memory over all runs, in bytes.
    of_all: Arc<AtomicUsize>,
}

impl Drop for InstanceMemory {
    fn drop(&mut self) {
        self.of_all.fetch_sub(self.reservation.size(), Ordering::Relaxed);
    }
}

/// The memory that one consumer has reserved. Dropping the value releases the memory.
pub struct Room {
    reservation: MemoryReservation,
    /// Whether this consumer leaves a quarter of the memory that is not set aside. Other consumers need that quarter.
    leaves_some: bool,
    budget: MemoryBudget,
}

impl Room {
    /// Reserves `bytes` more.
    ///
    /// # Errors
    /// Returns an error if the budget has less memory left.
    pub fn take(&self, bytes: usize) -> Result<(), NoRoom> {
        let allowed = self.reservation.size().saturating_add(bytes) <= self.limit();
        if allowed && self.reservation.try_grow(bytes).is_ok() {
            return Ok(());
        }
        Err(NoRoom { asked: bytes, budget: self.budget.budget, reserved: self.budget.pool.reserved() })
    }

    /// Whether `bytes` would fit if nothing were reserved.
    pub fn could_hold(&self, bytes: usize) -> bool {
        bytes <= self.limit()
    }

    /// Releases `bytes`, at most the reserved bytes.
    pub fn give_back(&self, bytes: usize) {
        self.reservation.shrink(bytes.min(self.reservation.size()));
    }

    /// The most that this consumer may take, in bytes.
    fn limit(&self) -> usize {
        if self.leaves_some { self.budget.for_data() / 4 * 3 } else { usize::MAX }
    }

    /// The reserved memory, in bytes.
    pub fn taken(&self) -> usize {
        self.reservation.size()
    }
}

/// The memory that many small things need together.
pub struct Overhead {
    room: Room,
    /// The bytes that are not counted against the budget.
    uncounted: usize,
    /// The sum of the sizes of these things.
    bytes: Mutex<usize>,
}

impl Overhead {
    /// Reserves `bytes` more.
    ///
    /// # Errors
    /// Returns an error if the budget has less memory left.
    pub fn add(&self, bytes: usize) -> Result<(), NoRoom> {
        let mut total = lock(&self.bytes);
        let counted = total.saturating_add(bytes).saturating_sub(self.uncounted);
        self.room.take(counted - total.saturating_sub(self.uncounted))?;
        *total = total.saturating_add(bytes);
        Ok(())
    }

    /// Releases `bytes`, at most the reserved bytes.
    pub fn remove(&self, bytes: usize) {
        let mut total = lock(&self.bytes);
        *total = total.saturating_sub(bytes);
        self.room.give_back(self.room.taken().saturating_sub(total.saturating_sub(self.uncounted)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_is_not_there_for_others() {
        let budget = MemoryBudget::new(1000, 400).unwrap();
        let room = budget.room("blocks");
        assert_eq!(
            room.take(601).unwrap_err().to_string(),
            "601 bytes do not fit into engine.memory = 1000 bytes, of which 400 are taken"
        );
        room.take(600).unwrap();
        room.give_back(100);
        assert_eq!(room.taken(), 500);
        drop(room);
        budget.room("others").take(600).unwrap();
        assert!(budget.most_of_room("blocks").take(451).is_err());
        budget.most_of_room("blocks").take(450).unwrap();
        assert!(MemoryBudget::new(1000, 1001).is_err());
    }

    #[test]
    fn each_run_has_memory_set_aside_for_its_own_instances() {
        let budget = MemoryBudget::new(1000, 0).unwrap();
        let rows = budget.most_of_room("rows");
        assert!(rows.could_hold(750) && !rows.could_hold(751));
        let first = budget.set_aside(400).unwrap();
        assert!(rows.could_hold(450) && !rows.could_hold(451));
        assert_eq!(
            budget.set_aside(601).err().unwrap().to_string(),
            "601 bytes do not fit into engine.memory = 1000 bytes, of which 400 are taken"
        );
        let second = budget.set_aside(200).unwrap();
        assert_eq!(budget.for_data(), 400);
        drop(first);
        assert_eq!(budget.for_data(), 800);
        drop(second);
        assert_eq!((budget.for_data(), budget.pool().reserved()), (1000, 0));
    }

    #[test]
    fn of_small_things_only_what_is_beyond_a_floor_counts() {
        let budget = MemoryBudget::new(100, 0).unwrap();
        let overhead = budget.overhead("small things", 50);
        overhead.add(40).unwrap();
        assert_eq!(budget.pool().reserved(), 0);
        overhead.add(40).unwrap();
        assert_eq!(budget.pool().reserved(), 30);
        assert!(overhead.add(71).is_err());
        overhead.remove(20);
        assert_eq!(budget.pool().reserved(), 10);
        overhead.add(90).unwrap();
        overhead.remove(150);
        assert_eq!(budget.pool().reserved(), 0);
    }
}
