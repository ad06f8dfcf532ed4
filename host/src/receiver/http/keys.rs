//! The idempotency keys of recent requests: a request that is sent again is recognised, and its records are not taken
//! again.
//!
//! Owns which keys are remembered, in bounded memory, and for each key whether its records are still on their way. Also
//! owns the label with which the records of a request are stored, so that keys survive a crash. Never sees a record.

use super::fate::{Fate, Outcome};
use crate::lock::lock;
use futures::FutureExt as _;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// The longest key, in bytes.
pub(super) const KEY_BYTES_MAX: usize = 255;
/// The memory of all keys that are remembered, in bytes: about 50,000 keys of 36 characters.
const MEMORY_BYTES: usize = 8 << 20;
/// The memory of one key besides its bytes: two entries of collections and the outcome.
const OVERHEAD_BYTES: usize = 128;
/// The characters between the labels of a block, and between the parts of a label. No key has a space.
const BETWEEN_LABELS: &str = " ";
const BETWEEN_PARTS: char = ':';

/// The keys of one source.
#[derive(Default)]
pub(super) struct Keys {
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    entries: HashMap<Arc<[u8]>, Entry>,
    /// The keys whose records were taken, oldest first, each with the number of its entry.
    order: VecDeque<(u64, Arc<[u8]>)>,
    /// The memory of the keys in `order`.
    bytes: usize,
    next: u64,
}

struct Entry {
    /// The checksum of the body that came with the key.
    body: u64,
    state: State,
}

enum State {
    /// A request with the key is being received, or waits for room. The channel ends when the claim does.
    Claimed(watch::Receiver<()>),
    /// The records of the request were taken.
    Taken { number: u64, records: u64, outcome: Outcome },
}

/// What is known of a key.
pub(super) enum Found {
    /// No request with the key has been taken, so this one may be.
    New(Claim),
    /// Another request with the key is on its way. The channel ends when it was taken or refused.
    Claimed(watch::Receiver<()>),
    /// A request with the key and the same body was taken.
    Taken {
        /// The number of its records.
        records: u64,
        /// What became of them.
        outcome: Outcome,
    },
    /// A request with the key had another body.
    OtherBody,
}

/// The right to use a key. If it is dropped without [`Claim::taken`], the key is free again.
pub(super) struct Claim {
    keys: Arc<Keys>,
    key: Arc<[u8]>,
    body: u64,
    /// `None` if the records were taken.
    ends: Option<watch::Sender<()>>,
}

impl Keys {
    /// Looks up a key that came with a body of this checksum, and claims the key if it is new.
    pub(super) fn look(self: &Arc<Self>, key: &[u8], body: u64) -> Found {
        let mut memory = lock(&self.memory);
        if let Some(entry) = memory.entries.get(key) {
            match &entry.state {
                // The host did not store the records, so that they may come again.
                State::Taken { outcome, .. } if outcome.peek().is_some_and(|fate| *fate != Fate::Stored) => {}
                _ if entry.body != body => return Found::OtherBody,
                State::Claimed(end) => return Found::Claimed(end.clone()),
                State::Taken { records, outcome, .. } => {
                    return Found::Taken { records: *records, outcome: outcome.clone() };
                }
            }
        }
        let key: Arc<[u8]> = key.into();
        let (ends, end) = watch::channel(());
        memory.entries.insert(key.clone(), Entry { body, state: State::Claimed(end) });
        Found::New(Claim { keys: self.clone(), key, body, ends: Some(ends) })
    }

    /// Remembers the keys of blocks that are stored, oldest first: see [`of_block`]. Keys that are known already stay as
    /// they are, and what is no label is ignored.
    pub(super) fn recall(&self, of_blocks: &[String]) {
        let mut memory = lock(&self.memory);
        for label in of_blocks.iter().flat_map(|labels| labels.split(BETWEEN_LABELS)) {
            let Some((body, records, key)) = parsed(label) else { continue };
            if !memory.entries.contains_key(key) {
                memory.take(key.into(), body, records, std::future::ready(Fate::Stored).boxed().shared());
            }
        }
    }
}

impl Memory {
    fn take(&mut self, key: Arc<[u8]>, body: u64, records: u64, outcome: Outcome) {
        let number = self.next;
        self.next += 1;
        self.bytes += cost(&key);
        self.order.push_back((number, key.clone()));
        self.entries.insert(key, Entry { body, state: State::Taken { number, records, outcome } });
        while self.bytes > MEMORY_BYTES
            && let Some((number, key)) = self.order.pop_front()
        {
            self.bytes -= cost(&key);
            // The key may have been taken again since.
            let is_oldest =
                |entry: &Entry| matches!(&entry.state, State::Taken { number: current, .. } if *current == number);
            if self.entries.get(&key).is_some_and(is_oldest) {
                self.entries.remove(&key);
            }
        }
    }
}

const fn cost(key: &[u8]) -> usize {
    key.len() + OVERHEAD_BYTES
}

impl Claim {
    /// The label with which the records of the request are stored: the checksum of the body, the number of records, and
    /// the key.
    pub(super) fn label(&self, records: u64) -> String {
        let (body, key) = (self.body, String::from_utf8_lossy(&self.key));
        format!("{body:016x}{BETWEEN_PARTS}{records}{BETWEEN_PARTS}{key}")
    }

    /// Notes that the records are on their way into the store. `outcome` says what becomes of them.
    pub(super) fn taken(mut self, records: u64, outcome: Outcome) {
        lock(&self.keys.memory).take(self.key.clone(), self.body, records, outcome);
        // Those who wait look again.
        self.ends = None;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.ends.is_some() {
            lock(&self.keys.memory).entries.remove(&self.key);
        }
    }
}

/// The key of a block with the records of requests that have these labels.
pub(super) fn of_block(labels: &[String]) -> String {
    labels.join(BETWEEN_LABELS)
}

/// The checksum of the body, the number of records, and the key. `None` if the text is no label.
fn parsed(label: &str) -> Option<(u64, u64, &[u8])> {
    let mut parts = label.splitn(3, BETWEEN_PARTS);
    let body = u64::from_str_radix(parts.next()?, 16).ok()?;
    let records = parts.next()?.parse().ok()?;
    let key = parts.next()?.as_bytes();
    is_key(key).then_some((body, records, key))
}

fn is_key(key: &[u8]) -> bool {
    (1..=KEY_BYTES_MAX).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic)
}

/// The key in the value of a header `Idempotency-Key`: a string in quotation marks, as the draft of the IETF has it, or
/// the key as it is. `None` if it is empty or longer than [`KEY_BYTES_MAX`], or if it has other characters than letters,
/// digits and signs of ASCII.
pub(super) fn key_of(value: &[u8]) -> Option<Vec<u8>> {
    let value = value.trim_ascii();
    let key = match value.strip_prefix(b"\"") {
        None => value.to_vec(),
        Some(quoted) => {
            let mut inner = quoted.strip_suffix(b"\"")?.iter();
            let mut key = Vec::new();
            while let Some(&byte) = inner.next() {
                match byte {
                    b'\\' => key.push(*inner.next().filter(|next| b"\"\\".contains(next))?),
                    b'"' => return None,
                    byte => key.push(byte),
                }
            }
            key
        }
    };
    is_key(&key).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn ready(fate: Fate) -> Outcome {
        let outcome = std::future::ready(fate.clone()).boxed().shared();
        assert_eq!(outcome.clone().now_or_never(), Some(fate));
        outcome
    }

    #[test]
    fn keys_are_read_from_headers_with_and_without_quotation_marks() {
        let key = |value: &str| key_of(value.as_bytes()).map(|key| String::from_utf8(key).unwrap());
        assert_eq!(key("\"8e03978e-40d5\""), Some("8e03978e-40d5".into()));
        assert_eq!(key(" 8e03978e-40d5 "), Some("8e03978e-40d5".into()));
        assert_eq!(key(r#""a\"b\\c""#), Some("a\"b\\c".into()));
        assert_eq!(key(&"k".repeat(255)).map(|key| key.len()), Some(255));
        for bad in ["", "\"\"", "\"", "\"a", r#""a"b""#, r#""a\b""#, r#""a\"#, "a b", "é", &"k".repeat(256)] {
            assert_eq!(key(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_claim_that_is_given_up_frees_its_key_and_wakes_those_who_wait() {
        let keys = Arc::new(Keys::default());
        let Found::New(claim) = keys.look(b"k", 1) else { panic!("it is new") };
        let Found::Claimed(mut end) = keys.look(b"k", 1) else { panic!("it is claimed") };
        assert!(matches!(keys.look(b"k", 2), Found::OtherBody));
        assert!(end.changed().now_or_never().is_none());
        drop(claim);
        assert!(end.changed().now_or_never().is_some());
        assert!(matches!(keys.look(b"k", 2), Found::New(_)));
    }

    #[test]
    fn what_was_not_stored_may_come_again() {
        let keys = Arc::new(Keys::default());
        let Found::New(claim) = keys.look(b"k", 1) else { panic!("it is new") };
        claim.taken(1, ready(Fate::NoRoom));
        let Found::New(claim) = keys.look(b"k", 1) else { panic!("it may come again") };
        claim.taken(1, ready(Fate::Stored));
        assert!(matches!(keys.look(b"k", 1), Found::Taken { records: 1, .. }));
    }

    #[test]
    fn labels_bring_keys_back() {
        let keys = Arc::new(Keys::default());
        let Found::New(claim) = keys.look(b"a:key", 7) else { panic!("it is new") };
        let Found::New(other) = keys.look(&[b'k'; 255], 8) else { panic!("it is new") };
        let labels = of_block(&[claim.label(3), other.label(1)]);
        let later = Arc::new(Keys::default());
        let bad = ["", "7:1:", "x:1:k", "7:x:k", "7:1", "7:1:k\u{e9}", "no label"].map(str::to_owned);
        later.recall(&bad);
        later.recall(&[labels.clone(), labels]);
        assert!(matches!(later.look(b"a:key", 7), Found::Taken { records: 3, .. }));
        assert!(matches!(later.look(b"a:key", 8), Found::OtherBody));
        assert!(matches!(later.look(&[b'k'; 255], 8), Found::Taken { records: 1, .. }));
        assert_eq!(lock(&later.memory).entries.len(), 2);
    }

    #[test]
    fn the_memory_of_keys_is_bounded_and_the_newest_are_kept() {
        let keys = Arc::new(Keys::default());
        let count = 2 * MEMORY_BYTES / OVERHEAD_BYTES;
        for number in 0..count {
            let Found::New(claim) = keys.look(&number.to_le_bytes(), 0) else { panic!("it is new") };
            claim.taken(1, ready(Fate::Stored));
        }
        assert!(matches!(keys.look(&(count - 1).to_le_bytes(), 0), Found::Taken { .. }));
        assert!(matches!(keys.look(&0_usize.to_le_bytes(), 0), Found::New(_)));
        let memory = lock(&keys.memory);
        assert!(memory.bytes <= MEMORY_BYTES && memory.order.len() >= MEMORY_BYTES / (OVERHEAD_BYTES + 8));
        assert_eq!(memory.entries.len(), memory.order.len());
    }

    proptest! {
        /// A model with a plain map: whatever is claimed, taken or given up, a key is taken at most once.
        #[test]
        fn a_key_is_taken_once(steps in prop::collection::vec((0..4_u8, 0..2_u64, 0..3_u8), 0..60)) {
            let keys = Arc::new(Keys::default());
            let (mut taken, mut open) = (BTreeMap::new(), BTreeMap::new());
            for (key, body, step) in steps {
                match keys.look(&[key], body) {
                    Found::New(claim) => {
                        prop_assert!(!taken.contains_key(&key) && !open.contains_key(&key));
                        match step {
                            0 => drop(claim),
                            1 => drop(open.insert(key, (body, claim))),
                            _ => {
                                claim.taken(body, ready(Fate::Stored));
                                taken.insert(key, body);
                            }
                        }
                    }
                    Found::Claimed(_) => {
                        let (claimed, claim) = open.remove(&key).unwrap();
                        prop_assert_eq!(claimed, body);
                        if step > 0 {
                            claim.taken(body, ready(Fate::Stored));
                            taken.insert(key, body);
                        }
                    }
                    Found::Taken { records, .. } => {
                        prop_assert_eq!(Some(&records), taken.get(&key));
                        prop_assert_eq!(records, body);
                    }
                    Found::OtherBody => {
                        let known = taken.get(&key).or_else(|| open.get(&key).map(|(body, _)| body));
                        prop_assert!(known.is_some_and(|known| *known != body));
                    }
                }
            }
        }
    }
}
