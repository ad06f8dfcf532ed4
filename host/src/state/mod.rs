//! The state of stateful nodes: a value for each key, as it is after a batch.
//!
//! Owns how state is stored, found, changed and versioned. State is rows in columns, sorted by the hash of the key and
//! cut into pages, in the storage of all rows: in memory while there is room, then in files. A version is immutable: a
//! batch makes the next version beside it. Never calls a plugin, and never decides which keys change: see
//! `engine/state`.

mod error;
mod layout;
mod merge;
mod merged_parts;
mod page;
mod page_rows;
mod partition;
mod patch;
mod saved;
mod sought;
mod store;
mod touched;

pub use error::StateError;
pub use layout::{Layout, hash_range, hashes, keys, live, removed, states, times};
pub use merge::merged;
pub use merged_parts::{MergedParts, ReadParts};
pub use page::{Found, OpenPage, Page};
pub use partition::{PageRange, PartitionState, PartitionWriter};
pub use saved::{Parts, decode, encode, restore};
pub use sought::SoughtKey;
pub use store::{StateStore, Version};
pub use touched::Touched;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::state_of_one_key;

use crate::data::key::{KEY_GROUPS, partition_of};

/// The smallest hash of the keys of a partition, of `partitions`. Hashes are ordered as key groups are, so that a
/// partition has all hashes from this one up to that of the next partition. `None` if no hash is that large.
pub fn first_hash(partition: u32, partitions: u32) -> Option<u64> {
    let groups = 0..=u8::MAX;
    let mut groups = groups.filter(|group| partition_of(*group, partitions as usize) >= partition as usize);
    groups.next().map(|group| u64::from(group) << (u64::BITS - KEY_GROUPS.trailing_zeros()))
}

/// Whether the key of this hash belongs to a partition, of `partitions`.
pub fn is_of_partition(hash: u64, partition: u32, partitions: u32) -> bool {
    partition_of(crate::data::key::group_of(hash), partitions as usize) == partition as usize
}
