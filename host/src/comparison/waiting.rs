//! Which batches of an output wait for the other side, and what becomes of them.
//!
//! Owns a pure record: facts go in, and settled batches come out. Each side takes the batches of an output in order. So
//! a side that has begun a later batch has no result for an earlier batch that it has not begun.

use super::Side;
use crate::time::Time;
use std::collections::BTreeMap;

/// What a side has of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Result<R> {
    /// The rows of a committed batch.
    Rows(R),
    /// The batch is committed, but its rows are not there, for this reason.
    NoRows(String),
    /// The output failed.
    Failed,
}

/// A batch about which everything is known that ever will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Settled<R> {
    /// Both sides have a result.
    Both { batch: Time, old: Result<R>, new: Result<R> },
    /// Only this side has a result.
    Only { batch: Time, side: Side, result: Result<R> },
    /// One side is too far behind. Its result, if it will have one, is not waited for.
    Dropped { batch: Time },
}

/// The batches of one side that are not settled. `None` stands for a batch that has begun.
struct Batches<R> {
    open: BTreeMap<Time, Option<Result<R>>>,
    /// The last batch that has begun.
    last: Option<Time>,
    /// No batch up to this one will begin any more.
    passed: Option<Time>,
}

impl<R> Batches<R> {
    /// Whether the side has no result for a batch, and will have none.
    fn has_skipped(&self, batch: Time) -> bool {
        let is_past = self.last.is_some_and(|last| last > batch) || self.passed.is_some_and(|passed| passed >= batch);
        is_past && !self.open.contains_key(&batch)
    }

    fn is_done(&self, batch: Time) -> bool {
        matches!(self.open.get(&batch), Some(Some(_)))
    }

    /// How many results wait.
    fn results(&self) -> usize {
        self.open.values().filter(|result| result.is_some()).count()
    }
}

/// The batches of an output that are not settled.
pub(super) struct Waiting<R> {
    old: Batches<R>,
    new: Batches<R>,
    /// The last batch that is settled.
    settled: Option<Time>,
    /// How many results of a side may wait for the other side.
    results_max: usize,
}

impl<R> Waiting<R> {
    pub(super) fn new(results_max: usize) -> Self {
        let batches = || Batches { open: BTreeMap::new(), last: None, passed: None };
        Self { old: batches(), new: batches(), settled: None, results_max }
    }

    /// A side begins a batch. Rows of the same batch that the side has had before are dropped. Returns whether the rows
    /// are of use.
    pub(super) fn begin(&mut self, side: Side, batch: Time) -> bool {
        let settled = self.settled;
        let batches = self.side(side);
        batches.last = batches.last.max(Some(batch));
        if settled.is_some_and(|settled| batch <= settled) {
            return false;
        }
        batches.open.insert(batch, None);
        true
    }

    /// A side has a result for a batch. The result is dropped if the batch is settled.
    pub(super) fn done(&mut self, side: Side, batch: Time, result: Result<R>) {
        if let Some(open) = self.side(side).open.get_mut(&batch) {
            *open = Some(result);
        }
    }

    /// A side has begun all its batches up to this one. Batches that it has not begun have no result on this side.
    pub(super) fn passed(&mut self, side: Side, batch: Time) {
        let batches = self.side(side);
        batches.passed = batches.passed.max(Some(batch));
    }

    /// Removes the batches that are settled, in order.
    pub(super) fn settle(&mut self) -> Vec<Settled<R>> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Removes the first batch, if it can be settled now.
    fn next(&mut self) -> Option<Settled<R>> {
        let firsts = [&self.old, &self.new].map(|batches| batches.open.keys().next().copied());
        let batch = firsts.into_iter().flatten().min()?;
        let is_done = [&self.old, &self.new].map(|batches| batches.is_done(batch));
        let has_skipped = [&self.old, &self.new].map(|batches| batches.has_skipped(batch));
        let too_many = [&self.old, &self.new].map(|batches| batches.results() > self.results_max);
        let is_known =
            matches!((is_done, has_skipped), ([true, true], _) | ([true, _], [_, true]) | ([_, true], [true, _]));
        if !is_known && too_many == [false, false] {
            return None;
        }
        self.settled = self.settled.max(Some(batch));
        let old = self.old.open.remove(&batch).flatten();
        let new = self.new.open.remove(&batch).flatten();
        Some(match (old, new) {
            (Some(old), Some(new)) => Settled::Both { batch, old, new },
            (Some(result), None) if is_known => Settled::Only { batch, side: Side::Old, result },
            (None, Some(result)) if is_known => Settled::Only { batch, side: Side::New, result },
            _ => Settled::Dropped { batch },
        })
    }

    fn side(&mut self, side: Side) -> &mut Batches<R> {
        match side {
            Side::Old => &mut self.old,
            Side::New => &mut self.new,
        }
    }
}
