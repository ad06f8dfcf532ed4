//! A group of the log that is encoded before it is written.
//!
//! Owns the encoded pieces, and whether they are those of the group that is written next. Never writes them.

use super::record::{Encoder, Entry};
use crate::ids::BlockId;

/// At most this many vectors are kept for later groups.
const SPARE_MAX: usize = 8;

/// The next group, encoded, or nothing.
#[derive(Default)]
pub(super) struct Prepared {
    /// The group, if there is one.
    ready: Option<Ready>,
    /// Vectors of pieces that were written.
    spare: Vec<Vec<u8>>,
}

struct Ready {
    /// The number of the group in its segment.
    group: u64,
    blocks: Vec<BlockId>,
    /// The bytes of the group, in order.
    pieces: Vec<Vec<u8>>,
}

impl Prepared {
    /// Encodes blocks as a group of this number. If the blocks cannot be encoded, nothing is prepared: whoever writes the
    /// group encodes it again, and gets the error.
    pub(super) fn prepare(&mut self, encoder: &mut Encoder, entries: &[Entry], group: u64) {
        let mut pieces = Vec::new();
        let encoded = encoder.group(entries, group, &mut |piece| {
            pieces.push(std::mem::replace(piece, self.spare.pop().unwrap_or_default()));
            Ok(())
        });
        let blocks = entries.iter().map(|entry| entry.id.clone()).collect();
        self.ready = encoded.is_ok().then_some(Ready { group, blocks, pieces });
    }

    /// The pieces of the group with this number and these blocks. `None` if another group, or none, is prepared.
    pub(super) fn take(&mut self, entries: &[Entry], group: u64) -> Option<Vec<Vec<u8>>> {
        let ready = self.ready.take()?;
        let fits = ready.group == group && ready.blocks.iter().eq(entries.iter().map(|entry| &entry.id));
        fits.then_some(ready.pieces)
    }

    /// Keeps vectors for later groups.
    pub(super) fn recycle(&mut self, pieces: Vec<Vec<u8>>) {
        self.spare.extend(pieces);
        self.spare.truncate(SPARE_MAX);
    }

    /// Forgets the group and the vectors.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}
