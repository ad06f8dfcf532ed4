//! The keys of recent blocks, by which senders recognise rows that they send again.
//!
//! Owns which keys are remembered, in bounded memory, and their written form. A segment begins with the keys that are
//! remembered at that time, so that keys outlive the segments of their blocks. A written type never changes: a new version
//! of it is a new type.

use super::super::codec::{self, CodecError, RECEIVED_KEYS};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// The bytes of the keys of one source that are remembered: about 20,000 keys of 50 bytes.
const BYTES_MAX: usize = 1 << 20;

/// The keys of the blocks of each source, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Keys {
    sources: BTreeMap<String, Recent>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Recent {
    keys: VecDeque<String>,
    bytes: usize,
}

/// The keys at the beginning of a segment.
#[derive(Serialize, Deserialize)]
struct SavedKeys {
    sources: Vec<(String, Vec<String>)>,
}

impl Keys {
    /// Whether there is no key.
    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Remembers a key. The oldest keys of the source are forgotten if there are too many.
    pub(super) fn add(&mut self, source: &str, key: &str) {
        let recent = self.sources.entry(source.to_owned()).or_default();
        recent.bytes = recent.bytes.saturating_add(key.len());
        recent.keys.push_back(key.to_owned());
        while recent.bytes > BYTES_MAX && recent.keys.len() > 1 {
            let oldest = recent.keys.pop_front().unwrap_or_default();
            recent.bytes = recent.bytes.saturating_sub(oldest.len());
        }
    }

    /// The keys of a source, the oldest first.
    pub(super) fn of(&self, source: &str) -> Vec<String> {
        self.sources.get(source).into_iter().flat_map(|recent| recent.keys.iter().cloned()).collect()
    }

    /// Writes the keys as a document.
    pub(super) fn encode(&self) -> Result<Vec<u8>, CodecError> {
        let source = |(name, recent): (&String, &Recent)| (name.clone(), recent.keys.iter().cloned().collect());
        codec::encode(RECEIVED_KEYS, &SavedKeys { sources: self.sources.iter().map(source).collect() })
    }

    /// Reads the document at the beginning of `bytes`. Returns the keys and the length of the document.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, usize), CodecError> {
        let (saved, length) = codec::decode::<SavedKeys>(RECEIVED_KEYS, bytes)?;
        let mut keys = Self::default();
        for (source, of_source) in &saved.sources {
            of_source.iter().for_each(|key| keys.add(source, key));
        }
        Ok((keys, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(added in prop::collection::vec(("[a-c]", ".{0,20}"), 0..30)) {
            let mut keys = Keys::default();
            added.iter().for_each(|(source, key)| keys.add(source, key));
            let bytes = keys.encode().unwrap();
            prop_assert_eq!(Keys::decode(&bytes), Ok((keys, bytes.len())));
        }
    }

    #[test]
    fn the_oldest_keys_are_forgotten() {
        let mut keys = Keys::default();
        let long = |number| format!("{number}{}", "x".repeat(100_000));
        (0..30).for_each(|number| keys.add("s", &long(number)));
        keys.add("other", "k");
        assert_eq!(keys.of("s").first(), Some(&long(20)));
        assert_eq!((keys.of("s").len(), keys.of("other").len()), (10, 1));
    }
}
