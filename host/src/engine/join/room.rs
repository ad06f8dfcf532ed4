//! The memory and the storage that joins may use.

use crate::block::Storage;
use crate::memory::MemoryBudget;

/// The least and the most that a part may take.
const PART_BYTES_MIN: usize = 64 * 1024;
const PART_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a join takes in any case, so that it goes on where stored rows have all the memory: a part of the least size.
pub(super) const UNCOUNTED_BYTES: usize = 2 * PART_BYTES_MIN;

/// Where joins keep rows: an extension of the task context.
pub(in crate::engine) struct JoinRoom {
    /// Where parts are.
    pub(in crate::engine) storage: Storage,
    /// What a part may take of the memory.
    pub(super) part_bytes: usize,
}

impl JoinRoom {
    /// A part takes at most 8 MiB, and less where `slots` tasks would take more than half of what is left beside the
    /// stored rows.
    pub(in crate::engine) fn new(storage: Storage, budget: &MemoryBudget, slots: usize) -> Self {
        let part_bytes = (budget.for_data() / 8 / slots.max(1)).clamp(PART_BYTES_MIN, PART_BYTES_MAX);
        Self { storage, part_bytes }
    }
}
