//! The checksum of bytes that come in pieces: XXH3-64 with seed 0, as the hash of keys.

use twox_hash::XxHash3_64;

/// A checksum of bytes that are added piece by piece. The checksum does not depend on how the bytes are cut into
/// pieces.
#[derive(Clone)]
pub struct Checksum(XxHash3_64);

impl Default for Checksum {
    fn default() -> Self {
        Self(XxHash3_64::with_seed(0))
    }
}

impl Checksum {
    /// Takes the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        std::hash::Hasher::write(&mut self.0, bytes);
    }

    /// The checksum of all bytes so far.
    pub fn value(&self) -> u64 {
        std::hash::Hasher::finish(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::key::hash;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_make_no_difference(bytes: Vec<u8>, at: prop::sample::Index) {
            let (first, second) = bytes.split_at(at.index(bytes.len() + 1));
            let mut checksum = Checksum::default();
            checksum.add(first);
            checksum.add(second);
            prop_assert_eq!(checksum.value(), hash(&bytes));
        }
    }
}
