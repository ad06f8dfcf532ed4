//! How far the records of each partition are stored: a record that comes again is recognised, and is not stored again.
//!
//! Owns which positions are remembered, and the label with which a block is stored, so that the memory survives a crash. A
//! position is forgotten when the group knows it: then the records before it come again only if somebody wants that. Never
//! sees a record.

use crate::env::{Offsets, TopicPartition};
use crate::lock::lock;
use std::sync::Mutex;

/// The characters between the partitions of a label, and between a partition and its offset. No topic has them.
const BETWEEN: char = ' ';
const BEFORE_OFFSET: char = ':';

/// The positions of one source.
#[derive(Default)]
pub(super) struct Positions {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether the positions from before a restart were recalled.
    is_recalled: bool,
    /// The offset after the last record of each partition that is stored, if the group may not know it.
    stored: Offsets,
}

impl Positions {
    /// Remembers the positions after blocks that are stored, by their labels, the oldest first.
    pub(super) fn recall(&self, labels: &[String]) {
        let mut state = lock(&self.state);
        if !std::mem::replace(&mut state.is_recalled, true) {
            state.stored.extend(labels.iter().flat_map(|label| parsed(label)));
        }
    }

    /// Whether a record is stored.
    pub(super) fn is_stored(&self, partition: &TopicPartition, offset: i64) -> bool {
        lock(&self.state).stored.get(partition).is_some_and(|stored| offset < *stored)
    }

    /// Notes that the host does not lose the records before these offsets any more.
    pub(super) fn stored(&self, offsets: &Offsets) {
        let mut state = lock(&self.state);
        for (partition, offset) in offsets {
            let known = state.stored.entry(partition.clone()).or_insert(*offset);
            *known = (*known).max(*offset);
        }
    }

    /// Notes that the group knows these offsets.
    pub(super) fn committed(&self, offsets: &Offsets) {
        lock(&self.state).stored.retain(|partition, stored| offsets.get(partition).is_none_or(|known| known < stored));
    }
}

/// The label of a block after which these offsets are stored.
pub(super) fn label(offsets: &Offsets) -> String {
    let words: Vec<String> =
        offsets.iter().map(|(partition, offset)| format!("{partition}{BEFORE_OFFSET}{offset}")).collect();
    words.join(&BETWEEN.to_string())
}

/// The offsets of a label. What is no label has none.
fn parsed(label: &str) -> Vec<(TopicPartition, i64)> {
    let word = |word: &str| {
        let (partition, offset) = word.rsplit_once(BEFORE_OFFSET)?;
        let (topic, number) = partition.rsplit_once('/')?;
        Some((TopicPartition { topic: topic.to_owned(), number: number.parse().ok()? }, offset.parse().ok()?))
    };
    label.split(BETWEEN).filter_map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(of: &[(&str, i32, i64)]) -> Offsets {
        let one = |(topic, number, offset): &(&str, i32, i64)| {
            (TopicPartition { topic: (*topic).to_owned(), number: *number }, *offset)
        };
        of.iter().map(one).collect()
    }

    #[test]
    fn positions_survive_a_restart_in_labels() {
        let labels = [offsets(&[("a.b-c", 0, 5), ("d", 12, 7)]), offsets(&[("a.b-c", 0, 9)])];
        let mut labels: Vec<String> = labels.iter().map(label).collect();
        assert_eq!(labels, ["a.b-c/0:5 d/12:7", "a.b-c/0:9"]);
        labels.insert(0, "no label".to_owned());
        let positions = Positions::default();
        positions.recall(&labels);
        // Only once: the labels are those of the start.
        positions.recall(&[label(&offsets(&[("d", 12, 100)]))]);
        let is_stored = |topic: &str, number, offset| {
            positions.is_stored(&TopicPartition { topic: topic.to_owned(), number }, offset)
        };
        assert!(is_stored("a.b-c", 0, 8) && !is_stored("a.b-c", 0, 9));
        assert!(is_stored("d", 12, 6) && !is_stored("d", 12, 7) && !is_stored("d", 1, 0));
    }

    #[test]
    fn what_the_group_knows_is_forgotten() {
        let positions = Positions::default();
        positions.stored(&offsets(&[("a", 0, 5), ("a", 1, 3)]));
        positions.stored(&offsets(&[("a", 0, 4)]));
        positions.committed(&offsets(&[("a", 0, 4), ("a", 1, 3)]));
        let is_stored = |number, offset| positions.is_stored(&TopicPartition { topic: "a".to_owned(), number }, offset);
        assert!(is_stored(0, 4) && !is_stored(0, 5) && !is_stored(1, 2));
        positions.committed(&offsets(&[("a", 0, 5)]));
        assert!(!is_stored(0, 4));
    }
}
