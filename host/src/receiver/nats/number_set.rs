//! A set of whole numbers, as ranges.
//!
//! Owns that neighbouring numbers take the room of one.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;

/// A set of numbers. Its memory follows from the number of its ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NumberSet {
    /// The first and the last number of each range. Between two ranges there is at least one number that is not in the
    /// set.
    ranges: BTreeMap<u64, u64>,
}

impl NumberSet {
    /// Whether a number is in the set.
    pub(super) fn contains(&self, number: u64) -> bool {
        self.ranges.range(..=number).next_back().is_some_and(|(_, last)| *last >= number)
    }

    /// Adds the numbers from `first` to `last`.
    pub(super) fn insert(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        let (mut first, mut last) = (first, last);
        // All ranges that begin before the end of the new one, and reach its beginning, become part of it.
        while let Some((&begin, &end)) = self.ranges.range(..=last.saturating_add(1)).next_back()
            && end.saturating_add(1) >= first
        {
            self.ranges.remove(&begin);
            (first, last) = (first.min(begin), last.max(end));
        }
        self.ranges.insert(first, last);
    }

    /// Removes a number.
    pub(super) fn remove(&mut self, number: u64) {
        let Some((&first, &last)) = self.ranges.range(..=number).next_back() else { return };
        if last < number {
            return;
        }
        self.ranges.remove(&first);
        if let Some(before) = number.checked_sub(1).filter(|before| *before >= first) {
            self.ranges.insert(first, before);
        }
        if let Some(after) = number.checked_add(1).filter(|after| *after <= last) {
            self.ranges.insert(after, last);
        }
    }

    /// The first and the last number of each range, in order.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ranges.iter().map(|(first, last)| (*first, *last))
    }

    /// Removes the lowest ranges, so that at most `count` are left.
    pub(super) fn keep_highest(&mut self, count: usize) {
        while self.ranges.len() > count {
            self.ranges.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// The set does what a plain set of numbers does, with as few ranges as possible.
        #[test]
        fn a_set_is_like_a_plain_set(steps in prop::collection::vec((0..3_u8, 0..30_u64, 0..6_u64), 0..60)) {
            let (mut set, mut model) = (NumberSet::default(), BTreeSet::new());
            for (step, number, more) in steps {
                if step == 0 {
                    set.remove(number);
                    model.remove(&number);
                } else {
                    set.insert(number, number + more);
                    model.extend(number..=number + more);
                }
                for number in 0..40 {
                    prop_assert_eq!(set.contains(number), model.contains(&number));
                }
                let begins = model.iter().filter(|number| **number == 0 || !model.contains(&(*number - 1)));
                prop_assert_eq!(set.ranges().count(), begins.count());
            }
        }
    }

    #[test]
    fn the_ends_of_the_numbers_are_numbers() {
        let mut set = NumberSet::default();
        set.insert(u64::MAX, u64::MAX);
        set.insert(0, 0);
        set.insert(u64::MAX - 1, u64::MAX - 1);
        set.insert(5, 4);
        assert_eq!(set.ranges().collect::<Vec<_>>(), [(0, 0), (u64::MAX - 1, u64::MAX)]);
        set.remove(0);
        set.remove(u64::MAX);
        assert_eq!(set.ranges().collect::<Vec<_>>(), [(u64::MAX - 1, u64::MAX - 1)]);
        set.insert(1, 2);
        set.keep_highest(1);
        assert_eq!(set.ranges().collect::<Vec<_>>(), [(u64::MAX - 1, u64::MAX - 1)]);
    }
}
