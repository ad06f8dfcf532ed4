//! Finds the groups of rows that differ, whatever the order of the rows: in bounded memory.
//!
//! A group is a key, where rows are pairs, and else a row. A first pass over the rows of both sides makes sums of hashes
//! for each of many ranges of groups. Only ranges whose sums differ are looked at again. Each of the following passes
//! counts the groups of a part of these ranges, as many groups as there is memory for.
//!
//! Rows and keys are told apart by 64-bit hashes. Two groups with the same hash count as one. That hardly ever happens:
//! among a million groups, once in more than thirty million batches.

use super::Side;
use super::hashes::RowHash;
use super::reason::NotCompared;
use super::result::RowCounts;
use std::collections::BTreeMap;

/// How many ranges of groups have sums of their own.
const RANGES: usize = 4096;
/// About how many bytes a group takes while it is counted.
pub(super) const GROUP_BYTES: usize = 64;

/// Calls a function for the hashes of all rows of a side.
pub(super) type EachHash<'a> = dyn FnMut(Side, &mut dyn FnMut(&[RowHash])) -> Result<(), NotCompared> + 'a;

/// The rows of a group, or of a range of groups, in sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    old: u64,
    new: u64,
    /// The sum of the hashes of the old rows without those of the new rows. Zero if the sides have the same rows.
    difference: u64,
}

impl Sums {
    const fn add(&mut self, side: Side, row: u64) {
        match side {
            Side::Old => {
                self.old += 1;
                self.difference = self.difference.wrapping_add(row);
            }
            Side::New => {
                self.new += 1;
                self.difference = self.difference.wrapping_sub(row);
            }
        }
    }

    const fn is_equal(&self) -> bool {
        self.old == self.new && self.difference == 0
    }
}

/// How a group differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupDifference {
    /// Only the old side has this many rows.
    OnlyOld(u64),
    /// Only the new side has this many rows.
    OnlyNew(u64),
    /// Both sides have rows with this key, with different values.
    Changed,
}

impl GroupDifference {
    /// `None` if the group does not differ.
    const fn of(sums: &Sums, is_pair: bool) -> Option<Self> {
        if sums.is_equal() {
            return None;
        }
        // All rows of a group are equal if rows are not pairs.
        let common = if is_pair {
            0
        } else if sums.old < sums.new {
            sums.old
        } else {
            sums.new
        };
        Some(match (sums.old - common, sums.new - common) {
            (old, 0) => Self::OnlyOld(old),
            (0, new) => Self::OnlyNew(new),
            _ => Self::Changed,
        })
    }
}

/// Which ranges of groups differ.
pub(super) struct DifferentRanges(Vec<bool>);

impl DifferentRanges {
    /// Finds them in one pass over the rows of both sides.
    pub(super) fn find(each: &mut EachHash<'_>) -> Result<Self, NotCompared> {
        let mut ranges = vec![Sums::default(); RANGES];
        for side in [Side::Old, Side::New] {
            each(side, &mut |hashes| {
                for hash in hashes {
                    if let Some(range) = ranges.get_mut(range_of(hash.group)) {
                        range.add(side, hash.row);
                    }
                }
            })?;
        }
        Ok(Self(ranges.iter().map(|sums| !sums.is_equal()).collect()))
    }

    /// Whether no range differs, so that both sides have the same rows.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|differs| !differs)
    }

    fn has(&self, group: u64) -> bool {
        self.0.get(range_of(group)).copied().unwrap_or_default()
    }
}

fn range_of(group: u64) -> usize {
    usize::try_from(group / (u64::MAX / RANGES as u64 + 1)).unwrap_or_default()
}

/// How the groups of the ranges are counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passes {
    /// The most groups in memory at a time.
    pub(super) groups_max: usize,
    /// The most passes.
    pub(super) passes_max: usize,
    pub(super) is_pair: bool,
}

impl Passes {
    /// Counts the groups that differ, and calls `found` for each, in the order of their hashes.
    pub(super) fn count(
        self,
        ranges: &DifferentRanges,
        each: &mut EachHash<'_>,
        counts: &mut RowCounts,
        found: &mut dyn FnMut(u64, GroupDifference),
    ) -> Result<(), NotCompared> {
        let mut start = 0;
        for _ in 0..self.passes_max {
            let (groups, next) = self.pass(start, ranges, each)?;
            for (group, sums) in groups {
                let Some(difference) = GroupDifference::of(&sums, self.is_pair) else { continue };
                match difference {
                    GroupDifference::OnlyOld(rows) => counts.rows_only_old += rows,
                    GroupDifference::OnlyNew(rows) => counts.rows_only_new += rows,
                    GroupDifference::Changed => counts.keys_changed += 1,
                }
                found(group, difference);
            }
            match next {
                Some(next) => start = next,
                None => return Ok(()),
            }
        }
        counts.is_minimum = true;
        Ok(())
    }

    /// Counts the first groups from `start` on, as many as fit. Returns the first group that does not fit; `None` if all
    /// fit.
    fn pass(
        self,
        start: u64,
        ranges: &DifferentRanges,
        each: &mut EachHash<'_>,
    ) -> Result<(BTreeMap<u64, Sums>, Option<u64>), NotCompared> {
        let mut groups: BTreeMap<u64, Sums> = BTreeMap::new();
        // Whenever a group does not fit, the last group leaves, and no group from there on is counted any more. So each
        // group that stays was counted from its first row on.
        let mut end: Option<u64> = None;
        for side in [Side::Old, Side::New] {
            each(side, &mut |hashes| {
                for hash in hashes {
                    let is_in_pass = hash.group >= start && end.is_none_or(|end| hash.group < end);
                    if !is_in_pass || !ranges.has(hash.group) {
                        continue;
                    }
                    groups.entry(hash.group).or_default().add(side, hash.row);
                    if groups.len() > self.groups_max.max(1)
                        && let Some((last, _)) = groups.pop_last()
                    {
                        end = Some(last);
                    }
                }
            })?;
        }
        Ok((groups, end))
    }
}
