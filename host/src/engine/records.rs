//! What driver functions did in the batches that are not done, for tasks that run the functions again.
//!
//! Owns the records, by batch and name, as the shuffle owns buckets: a plan names a record and holds none. Never compares a
//! function with its record: see `plugin/replay.rs`.

use crate::lock::lock;
use crate::plugin::{RecordId, RecordedCall};
use crate::time::Time;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// The records. They take no memory of their own: their rows are stored, and the rest is counted by whoever records.
#[derive(Default)]
pub(super) struct RecordStore(Mutex<BTreeMap<(Time, RecordId), Arc<RecordedCall>>>);

impl RecordStore {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Time, RecordId), Arc<RecordedCall>>> {
        lock(&self.0)
    }

    /// Keeps what functions of a batch did so far, in place of what was kept of them.
    pub(super) fn put(&self, batch: Time, calls: &[RecordedCall]) {
        self.lock().extend(calls.iter().map(|call| ((batch, call.id()), Arc::new(call.clone()))));
    }

    /// What a function did. `None` if it did not run in this batch, or the batch is done.
    pub(super) fn get(&self, batch: Time, record: RecordId) -> Option<Arc<RecordedCall>> {
        self.lock().get(&(batch, record)).cloned()
    }

    /// Forgets the records of a batch that is done, and of those before.
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
