//! The results of a comparison, in the form in which they are shown and sent.
//!
//! Owns what is counted, and the totals over batches. The names of the members are part of `--json` and of report
//! files. Later versions may add members, so all members have defaults. Never reads rows.

use crate::shown::{Shown as _, counted};
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The result of the comparison of one batch of one output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Both sides have the same rows in the same order.
    #[default]
    Equal,
    /// Both sides have the same rows, but in different orders.
    OrderDiffers,
    /// The rows of the sides differ.
    RowsDiffer,
    /// Both sides had a result, but the host could not compare the rows.
    NotCompared,
    /// Only the old side has a result for this batch time.
    OnlyOld,
    /// Only the new side has a result for this batch time.
    OnlyNew,
    /// The output of the old side failed.
    OldFailed,
    /// The output of the new side failed.
    NewFailed,
}

/// The comparison of one batch of one output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BatchComparison {
    /// The name of the output.
    pub output: String,
    /// The batch.
    pub batch_ms: u64,
    /// The result.
    pub outcome: Outcome,
    /// Why the rows were not compared. `None` if they were.
    pub reason: Option<String>,
    /// The numbers of rows. They are zero if the sides had no result to count.
    #[serde(flatten)]
    pub rows: RowCounts,
    /// Examples of differences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
}

/// Numbers of rows of both sides, and of the differences between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RowCounts {
    /// The rows of the old side.
    pub rows_old: u64,
    /// The rows of the new side.
    pub rows_new: u64,
    /// The rows that only the old side has. A row that the old side has three times and the new side once counts as
    /// two. Where rows are pairs, rows whose key has other values on the new side do not count here.
    pub rows_only_old: u64,
    /// The rows that only the new side has, counted in the same way.
    pub rows_only_new: u64,
    /// Where rows are pairs: the keys that both sides have, with different values. Each such key counts once.
    pub keys_changed: u64,
    /// Whether there may be more differences than are counted here, because a batch had too many to count them all.
    pub is_minimum: bool,
}

impl RowCounts {
    /// How many differences there are: rows that only one side has, and keys whose values changed.
    pub const fn differences(&self) -> u64 {
        self.rows_only_old.saturating_add(self.rows_only_new).saturating_add(self.keys_changed)
    }

    fn add(&mut self, other: &Self) {
        self.rows_old = self.rows_old.saturating_add(other.rows_old);
        self.rows_new = self.rows_new.saturating_add(other.rows_new);
        self.rows_only_old = self.rows_only_old.saturating_add(other.rows_only_old);
        self.rows_only_new = self.rows_only_new.saturating_add(other.rows_only_new);
        self.keys_changed = self.keys_changed.saturating_add(other.keys_changed);
        self.is_minimum |= other.is_minimum;
    }
}

/// What a sample shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SampleKind {
    /// A row that only the old side has.
    #[default]
    OnlyOld,
    /// A row that only the new side has.
    OnlyNew,
    /// A key that has different values on the two sides.
    Changed,
    /// The first place at which equal rows have another order.
    Order,
}

impl SampleKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::OnlyOld, Self::OnlyNew, Self::Changed, Self::Order];
}

/// An example of a difference. Texts are short, and harmless to a terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// The batch.
    pub batch_ms: u64,
    /// What the sample shows.
    pub kind: SampleKind,
    /// The position of the row in the batch, from 0. `None` if the sample does not show an order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// The key. `None` if rows are not pairs, or if the sample shows an order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The row of the old side, or the values of the key there. `None` if the old side has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// The row of the new side, or the values of the key there. `None` if the new side has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// Which sides have an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Both sides have it.
    #[default]
    Both,
    /// Only the old side has it.
    OnlyOld,
    /// Only the new side has it.
    OnlyNew,
}

/// The comparison of an output over all batches so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutputComparison {
    /// The name of the output.
    pub output: String,
    /// Which sides have the output.
    pub presence: Presence,
    /// The type of the rows of the old side. `None` if that side does not have the output.
    pub type_old: Option<String>,
    /// The type of the rows of the new side. `None` if that side does not have the output.
    pub type_new: Option<String>,
    /// Whether the sides have rows of different types. Then rows are counted and not compared.
    pub types_differ: bool,
    /// The batches whose rows were compared: those that are equal, and those that differ in order or in rows.
    pub batches_compared: u64,
    /// The batches with the same rows in the same order.
    pub batches_equal: u64,
    /// The batches with the same rows in different orders.
    pub batches_order_different: u64,
    /// The batches with different rows.
    pub batches_different: u64,
    /// The batches for which both sides had a result, and which were not compared.
    pub batches_not_compared: u64,
    /// Why the last of these was not compared. `None` if there is none.
    pub not_compared_reason: Option<String>,
    /// The batch times at which only the old side had a result.
    pub batches_only_old: u64,
    /// The batch times at which only the new side had a result.
    pub batches_only_new: u64,
    /// The batches whose output failed on the old side.
    pub batches_failed_old: u64,
    /// The batches whose output failed on the new side.
    pub batches_failed_new: u64,
    /// The rows of all batches that were compared.
    #[serde(flatten)]
    pub rows: RowCounts,
    /// The first batch that differs, in rows or in order. `None` if there is none.
    pub first_different_ms: Option<u64>,
    /// The last batch that differs, in rows or in order. `None` if there is none.
    pub last_different_ms: Option<u64>,
    /// The last batch that was compared. `None` if there is none.
    pub last_compared_ms: Option<u64>,
    /// The first examples of each kind of difference.
    pub samples: Vec<Sample>,
}

impl OutputComparison {
    /// Adds the comparison of one batch. Of each kind, at most `samples_max` samples are kept.
    pub(super) fn add(&mut self, batch: &BatchComparison, samples_max: usize) {
        match batch.outcome {
            Outcome::Equal => self.batches_equal += 1,
            Outcome::OrderDiffers => self.batches_order_different += 1,
            Outcome::RowsDiffer => self.batches_different += 1,
            Outcome::NotCompared => self.batches_not_compared += 1,
            Outcome::OnlyOld => self.batches_only_old += 1,
            Outcome::OnlyNew => self.batches_only_new += 1,
            Outcome::OldFailed => self.batches_failed_old += 1,
            Outcome::NewFailed => self.batches_failed_new += 1,
        }
        self.batches_compared = self.batches_equal + self.batches_order_different + self.batches_different;
        self.rows.add(&batch.rows);
        if batch.reason.is_some() {
            self.not_compared_reason.clone_from(&batch.reason);
        }
        let is_different = matches!(batch.outcome, Outcome::OrderDiffers | Outcome::RowsDiffer);
        if is_different || batch.outcome == Outcome::Equal {
            self.last_compared_ms = self.last_compared_ms.max(Some(batch.batch_ms));
        }
        if is_different {
            self.first_different_ms = self.first_different_ms.or(Some(batch.batch_ms)).min(Some(batch.batch_ms));
            self.last_different_ms = self.last_different_ms.max(Some(batch.batch_ms));
        }
        for sample in &batch.samples {
            if self.samples_of(sample.kind) < samples_max {
                self.samples.push(sample.clone());
            }
        }
    }

    /// How many samples of a kind are kept.
    pub(super) fn samples_of(&self, kind: SampleKind) -> usize {
        self.samples.iter().filter(|sample| sample.kind == kind).count()
    }

    /// Whether at least one batch was compared, and everything that both sides showed is equal: rows, order, and which
    /// batches have a result. Batches that were not compared are not known to be equal.
    pub fn is_equal(&self) -> bool {
        let compared = self.batches_compared > 0 && self.batches_compared == self.batches_equal;
        let only_one = self.batches_only_old + self.batches_only_new;
        let failed = self.batches_failed_old + self.batches_failed_new;
        compared && self.presence == Presence::Both && self.batches_not_compared + only_one + failed == 0
    }
}

/// A line for each output, and below it a line for each fact that a person may have to judge.
impl fmt::Display for OutputComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.output.shown();
        match self.presence {
            Presence::OnlyOld => return writeln!(f, "{name}: only the old version has this output"),
            Presence::OnlyNew => return writeln!(f, "{name}: only the new version has this output"),
            Presence::Both => {}
        }
        let compared = counted(self.batches_compared, "batch");
        writeln!(f, "{name}: {compared} compared, {} equal", self.batches_equal)?;
        if self.types_differ {
            let ty = |ty: &Option<String>| ty.as_deref().unwrap_or("none").shown().into_owned();
            writeln!(f, "  the types of rows differ: {} and {}", ty(&self.type_old), ty(&self.type_new))?;
        }
        let RowCounts { rows_old, rows_new, rows_only_old, rows_only_new, keys_changed, is_minimum } = self.rows;
        writeln!(f, "  {} of the old version, {} of the new one", counted(rows_old, "row"), counted(rows_new, "row"))?;
        if self.batches_different > 0 {
            let least = if is_minimum { "at least " } else { "" };
            writeln!(
                f,
                "  {} with different rows: {least}{rows_only_old} only old, {rows_only_new} only new, {} changed",
                counted(self.batches_different, "batch"),
                counted(keys_changed, "key"),
            )?;
        }
        if self.batches_order_different > 0 {
            let batches = counted(self.batches_order_different, "batch");
            writeln!(f, "  {batches} with the same rows in another order")?;
        }
        if let (Some(first), Some(last)) = (self.first_different_ms, self.last_different_ms) {
            let (first, last) = (Time::from_ms(first), Time::from_ms(last));
            writeln!(f, "  the first batch that differs is {first}, the last one is {last}")?;
        }
        if self.batches_not_compared > 0 {
            let batches = counted(self.batches_not_compared, "batch");
            let reason = self.not_compared_reason.as_deref().unwrap_or("unknown").shown();
            writeln!(f, "  {batches} not compared: {reason}")?;
        }
        let only = [(self.batches_only_old, "old"), (self.batches_only_new, "new")];
        for (batches, side) in only.into_iter().filter(|(batches, _)| *batches > 0) {
            writeln!(f, "  {} with a result of the {side} version only", counted(batches, "batch"))?;
        }
        let failed = [(self.batches_failed_old, "old"), (self.batches_failed_new, "new")];
        for (batches, side) in failed.into_iter().filter(|(batches, _)| *batches > 0) {
            writeln!(f, "  {} whose output failed in the {side} version", counted(batches, "batch"))?;
        }
        self.samples.iter().try_for_each(|sample| writeln!(f, "  {sample}"))
    }
}

/// Shows a sample as `batch 2026-11-27T09:00:00Z: key hello: old 1, new 2`.
impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch {}: ", Time::from_ms(self.batch_ms))?;
        if let Some(row) = self.row {
            write!(f, "the order differs from row {row} on: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "key {}: ", key.shown())?;
        }
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "old {}, new {}", old.shown(), new.shown()),
            (Some(old), None) => write!(f, "only old: {}", old.shown()),
            (None, Some(new)) => write!(f, "only new: {}", new.shown()),
            (None, None) => Ok(()),
        }
    }
}
