//! What batches did over minutes, hours and days, in bounded memory: sums over spans of time that are longer the older
//! they are.
//!
//! Owns the lengths of these spans. Every batch counts in each ring, so that the rings never disagree.

use super::histogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The length of the slots of each ring, in milliseconds, and their number: ten minutes, six hours, a week.
const RINGS: [(u64, usize); 3] = [(1_000, 600), (30_000, 720), (900_000, 672)];
/// The most sources whose records a slot tells apart.
const SOURCES_MAX: usize = 32;

/// A batch that is done.
#[derive(Clone, Debug)]
pub(in crate::ui) struct DoneBatch {
    pub(in crate::ui) time_ms: u64,
    /// The records of each source.
    pub(in crate::ui) records: Vec<(u32, u64)>,
    pub(in crate::ui) scheduling_us: u64,
    pub(in crate::ui) processing_us: u64,
    pub(in crate::ui) has_failed: bool,
}

/// The sum and the largest of some spans, and their distribution.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::ui) struct Spans {
    pub(in crate::ui) sum_us: u64,
    pub(in crate::ui) max_us: u64,
    pub(in crate::ui) histogram: Histogram,
}

impl Spans {
    /// Counts a span.
    pub(in crate::ui) fn add(&mut self, us: u64) {
        self.sum_us = self.sum_us.saturating_add(us);
        self.max_us = self.max_us.max(us);
        self.histogram.add(us);
    }
}

/// The batches of one span of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::ui) struct Slot {
    /// The beginning of the span of time.
    pub(in crate::ui) start_ms: u64,
    pub(in crate::ui) batches: u64,
    pub(in crate::ui) batches_failed: u64,
    /// The records of each source.
    pub(in crate::ui) records: Vec<(u32, u64)>,
    pub(in crate::ui) scheduling: Spans,
    pub(in crate::ui) processing: Spans,
    pub(in crate::ui) total: Spans,
}

impl Slot {
    fn add(&mut self, batch: &DoneBatch) {
        self.batches = self.batches.saturating_add(1);
        self.batches_failed = self.batches_failed.saturating_add(u64::from(batch.has_failed));
        for (source, records) in &batch.records {
            let has_room = self.records.len() < SOURCES_MAX;
            match self.records.iter_mut().find(|(known, _)| known == source) {
                Some((_, sum)) => *sum = sum.saturating_add(*records),
                None if has_room => self.records.push((*source, *records)),
                None => {}
            }
        }
        self.scheduling.add(batch.scheduling_us);
        self.processing.add(batch.processing_us);
        self.total.add(batch.scheduling_us.saturating_add(batch.processing_us));
    }
}

/// The slots of one length, in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::ui) struct Ring {
    pub(in crate::ui) slot_ms: u64,
    pub(in crate::ui) slots: VecDeque<Slot>,
}

impl Ring {
    fn add(&mut self, slots_max: usize, batch: &DoneBatch) {
        let start_ms = batch.time_ms - batch.time_ms % self.slot_ms.max(1);
        match self.slots.back_mut() {
            // Batch times do not go back in a run. After a hand-over back, the same batch is never done twice.
            Some(last) if last.start_ms >= start_ms => last.add(batch),
            _ => {
                let mut slot = Slot { start_ms, ..Slot::default() };
                slot.add(batch);
                self.slots.push_back(slot);
            }
        }
        while self.slots.len() > slots_max {
            self.slots.pop_front();
        }
    }
}

/// The rings, the shortest slots first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::ui) struct History {
    rings: Vec<Ring>,
}

impl Default for History {
    fn default() -> Self {
        Self { rings: RINGS.iter().map(|(slot_ms, _)| Ring { slot_ms: *slot_ms, slots: VecDeque::new() }).collect() }
    }
}

impl History {
    /// Counts a batch.
    pub(in crate::ui) fn add(&mut self, batch: &DoneBatch) {
        for (ring, (_, slots_max)) in self.rings.iter_mut().zip(RINGS) {
            ring.add(slots_max, batch);
        }
    }

    /// The ring whose slots are shortest among those that cover `span_ms`; else the longest.
    pub(in crate::ui) fn ring(&self, span_ms: u64) -> Option<&Ring> {
        let covers = |(slot_ms, slots): &(u64, usize)| slot_ms.saturating_mul(*slots as u64) >= span_ms;
        let at = RINGS.iter().position(covers).unwrap_or(RINGS.len() - 1);
        self.rings.get(at)
    }

    /// The slots of the ring of shortest slots that begin at `from_ms` or later.
    pub(in crate::ui) fn newest(&self, from_ms: u64) -> impl Iterator<Item = &Slot> {
        let slots = self.rings.first().map(|ring| &ring.slots);
        slots.into_iter().flatten().skip_while(move |slot| slot.start_ms < from_ms)
    }

    /// Whether the rings are those that this version keeps: a history that was read may be that of another version.
    pub(in crate::ui) fn is_current(&self) -> bool {
        let has =
            |(ring, (slot_ms, slots)): (&Ring, (u64, usize))| ring.slot_ms == slot_ms && ring.slots.len() <= slots;
        self.rings.len() == RINGS.len() && self.rings.iter().zip(RINGS).all(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn batch(time_ms: u64, us: u64) -> DoneBatch {
        DoneBatch {
            time_ms,
            records: vec![(0, 5)],
            scheduling_us: us,
            processing_us: us,
            has_failed: us.is_multiple_of(3),
        }
    }

    #[test]
    fn a_span_of_time_chooses_the_finest_ring_that_covers_it() {
        let history = History::default();
        let slot = |span_ms| history.ring(span_ms).unwrap().slot_ms;
        assert_eq!((slot(600_000), slot(600_001), slot(u64::MAX)), (1_000, 30_000, 900_000));
        assert!(history.is_current());
    }

    proptest! {
        /// Whatever the pace of batches: slots are in order, of bounded number, aligned, and as long as none was dropped,
        /// the slots of each ring count each batch once.
        #[test]
        fn rings_count_every_batch_once(gaps_ms in prop::collection::vec(1u64..5_000_000, 1..400), us in 0u64..10_000_000) {
            let mut history = History::default();
            let mut time_ms = 1_700_000_000_000;
            for gap in &gaps_ms {
                time_ms += gap;
                history.add(&batch(time_ms, us));
            }
            for (ring, (slot_ms, slots_max)) in history.rings.iter().zip(RINGS) {
                let starts: Vec<u64> = ring.slots.iter().map(|slot| slot.start_ms).collect();
                prop_assert!(starts.windows(2).all(|pair| pair[0] < pair[1]) && starts.len() <= slots_max);
                prop_assert!(starts.iter().all(|start| start % slot_ms == 0));
                let count: u64 = ring.slots.iter().map(|slot| slot.batches).sum();
                let records: u64 = ring.slots.iter().flat_map(|slot| &slot.records).map(|(_, records)| records).sum();
                prop_assert!(ring.slots.iter().all(|slot| slot.total.histogram.count() == slot.batches));
                prop_assert_eq!(records, count * 5);
                if ring.slots.len() < slots_max {
                    prop_assert_eq!(count, gaps_ms.len() as u64);
                }
            }
        }
    }
}
