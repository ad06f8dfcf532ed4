//! The messages of a stream that were taken, by their numbers: a message that is delivered again is recognised, and its
//! records are not taken again.
//!
//! Owns which messages are remembered, and the label with which a block is stored, so that the memory survives a crash. A
//! message is remembered until the server has confirmed that the message is acknowledged, and for a while after that: a
//! server that crashes may forget acknowledgements. Never sees a record.

use super::number_set::NumberSet;
use crate::lock::lock;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

/// How many ranges of acknowledged messages are remembered. The messages of a whole stream are one range.
const CONFIRMED_MAX: usize = 1 << 16;
/// The character between the stream and the numbers in a label, and that between the numbers.
const AFTER_STREAM: char = ':';
const BETWEEN_NUMBERS: char = '.';

/// The messages of one source.
#[derive(Default)]
pub(super) struct Sequences {
    /// The messages of the stream that was read last. `None` if none was read.
    current: Mutex<Option<Arc<OfStream>>>,
}

/// The messages of one stream.
pub(super) struct OfStream {
    /// Distinguishes the stream from others, also from an earlier one of the same name, whose messages have the same
    /// numbers.
    stream: String,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// The messages whose records are on their way into the store.
    on_way: NumberSet,
    /// The messages whose records the host does not lose, and that may not be acknowledged.
    stored: NumberSet,
    /// The messages that the server knows to be acknowledged.
    confirmed: NumberSet,
}

/// What is known of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The message was not taken. It belongs to the claim now.
    New,
    /// Another claim has the message.
    OnItsWay,
    /// The records of the message are stored.
    Stored,
}

impl Sequences {
    /// Remembers the messages of blocks that are stored, by their labels, the oldest first. What is no label is ignored.
    pub(super) fn recall(&self, labels: &[String]) {
        let mut current = lock(&self.current);
        if current.is_some() {
            return;
        }
        let Some((stream, _)) = labels.iter().rev().find_map(|label| parsed(label)) else { return };
        let mut memory = Memory::default();
        for (_, numbers) in labels.iter().filter_map(|label| parsed(label)).filter(|(of, _)| *of == stream) {
            numbers.ranges().for_each(|(first, last)| memory.stored.insert(first, last));
        }
        *current = Some(Arc::new(OfStream { stream: stream.to_owned(), memory: Mutex::new(memory) }));
    }

    /// The messages of a stream. Those of any other stream are forgotten.
    pub(super) fn of(&self, stream: &str) -> Arc<OfStream> {
        let mut current = lock(&self.current);
        match &*current {
            Some(known) if known.stream == stream => known.clone(),
            _ => current.insert(Arc::new(OfStream { stream: stream.to_owned(), memory: Mutex::default() })).clone(),
        }
    }

    /// The stream, and the number of its first message that may not have been taken. `None` if nothing is known.
    pub(super) fn resume(&self) -> Option<(String, u64)> {
        let known = lock(&self.current).clone()?;
        let memory = lock(&known.memory);
        let mut all = memory.stored.clone();
        memory.confirmed.ranges().for_each(|(first, last)| all.insert(first, last));
        let (_, last) = all.ranges().next()?;
        Some((known.stream.clone(), last.saturating_add(1)))
    }
}

impl OfStream {
    /// Begins a claim without messages.
    pub(super) fn claim(self: &Arc<Self>) -> Claim {
        Claim { of: self.clone(), numbers: NumberSet::default() }
    }

    /// Notes that the server knows that messages are acknowledged.
    pub(super) fn confirmed(&self, numbers: &NumberSet) {
        let mut memory = lock(&self.memory);
        for (first, last) in numbers.ranges() {
            (first..=last).for_each(|number| memory.stored.remove(number));
            memory.confirmed.insert(first, last);
        }
        memory.confirmed.keep_highest(CONFIRMED_MAX);
    }
}

/// The right to store the records of messages. If it is dropped without [`Claim::stored`], the messages are free again.
pub(super) struct Claim {
    of: Arc<OfStream>,
    numbers: NumberSet,
}

impl Claim {
    /// Looks up a message, and adds the message to the claim if it is new.
    pub(super) fn look(&mut self, number: u64) -> Found {
        let mut memory = lock(&self.of.memory);
        if memory.on_way.contains(number) {
            Found::OnItsWay
        } else if memory.stored.contains(number) || memory.confirmed.contains(number) {
            Found::Stored
        } else {
            memory.on_way.insert(number, number);
            self.numbers.insert(number, number);
            Found::New
        }
    }

    /// Frees a message of the claim.
    pub(super) fn free(&mut self, number: u64) {
        if self.numbers.contains(number) {
            self.numbers.remove(number);
            lock(&self.of.memory).on_way.remove(number);
        }
    }

    /// The label of a block with the records of the messages: the stream, the number of the first message, and then in
    /// turn how many messages are in the block and how many are not.
    pub(super) fn label(&self) -> String {
        let mut label = format!("{}{AFTER_STREAM}", self.of.stream);
        let mut before: Option<u64> = None;
        for (first, last) in self.numbers.ranges() {
            let gap = before.map_or(first, |before| first.saturating_sub(before).saturating_sub(1));
            let between = if before.is_some() { "." } else { "" };
            let count = last.saturating_sub(first).saturating_add(1);
            // Writing into a string does not fail.
            let _ = write!(label, "{between}{gap}{BETWEEN_NUMBERS}{count}");
            before = Some(last);
        }
        label
    }

    /// Notes that the host does not lose the records any more. Returns the numbers of the messages.
    pub(super) fn stored(mut self) -> NumberSet {
        let numbers = std::mem::take(&mut self.numbers);
        let mut memory = lock(&self.of.memory);
        for (first, last) in numbers.ranges() {
            (first..=last).for_each(|number| memory.on_way.remove(number));
            memory.stored.insert(first, last);
        }
        drop(memory);
        numbers
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut memory = lock(&self.of.memory);
        for (first, last) in self.numbers.ranges() {
            (first..=last).for_each(|number| memory.on_way.remove(number));
        }
    }
}

/// The stream of a label and the numbers of its messages. `None` if the text is no label.
fn parsed(label: &str) -> Option<(&str, NumberSet)> {
    let (stream, numbers) = label.rsplit_once(AFTER_STREAM)?;
    let mut set = NumberSet::default();
    let mut numbers = numbers.split(BETWEEN_NUMBERS).map(str::parse::<u64>);
    let mut next: u64 = 0;
    while let Some(gap) = numbers.next() {
        let (first, count) = (next.checked_add(gap.ok()?)?, numbers.next()?.ok()?);
        let last = first.checked_add(count.checked_sub(1)?)?;
        set.insert(first, last);
        next = last.checked_add(1)?;
    }
    Some((stream, set))
}

#[cfg(test)]
mod tests;
