//! The records of driver functions in the batches that are not done, for tasks that run the functions again.
//!
//! Owns the records, by batch and record id. A plan holds only the id of a record. Never compares a function with its
//! record: see `plugin/replay.rs`.

use crate::lock::lock;
use crate::plugin::{RecordId, RecordedCall};
use crate::time::Time;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// The records. The store reserves no memory: rows of a record are in the storage, and the maker of a record reserves
/// the rest.
#[derive(Default)]
pub(super) struct RecordStore(Mutex<BTreeMap<(Time, RecordId), Arc<RecordedCall>>>);

impl RecordStore {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Time, RecordId), Arc<RecordedCall>>> {
        lock(&self.0)
    }

    /// Stores the records of functions of a batch. An earlier record of the same function is replaced.
    pub(super) fn put(&self, batch: Time, calls: &[RecordedCall]) {
        self.lock().extend(calls.iter().map(|call| ((batch, call.id()), Arc::new(call.clone()))));
    }

    /// The record of a function. `None` if the function did not run in this batch, or if the batch is done.
    pub(super) fn get(&self, batch: Time, record: RecordId) -> Option<Arc<RecordedCall>> {
        self.lock().get(&(batch, record)).cloned()
    }

    /// Removes the records of a batch that is done, and of the batches before it.
    pub(super) fn forget(&self, batch: Time) {
        self.lock().retain(|(time, _), _| *time > batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;

    #[test]
    fn a_record_is_replaced_and_forgotten_with_its_batch() {
        let record = |seed| RecordedCall { node: NodeId(1), first: NodeId(7), seed, steps: Vec::new(), end: None };
        let (store, id) = (RecordStore::default(), record(0).id());
        let seed = |ms| store.get(Time::from_ms(ms), id).map(|record| record.seed);
        (1..=3).for_each(|ms| store.put(Time::from_ms(ms), &[record(ms)]));
        store.put(Time::from_ms(2), &[record(20)]);
        assert_eq!([1, 2, 3].map(seed), [Some(1), Some(20), Some(3)]);
        store.forget(Time::from_ms(2));
        assert_eq!([1, 2, 3].map(seed), [None, None, Some(3)]);
    }
}
