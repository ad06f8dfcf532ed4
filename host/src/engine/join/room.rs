//! The memory and the storage that a join may use.

use crate::block::RowStorage;
use crate::memory::MemoryBudget;

/// The smallest and the largest memory of a part, in bytes.
const PART_BYTES_MIN: usize = 64 * 1024;
const PART_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Memory that a join uses without a reservation. So a join can go on even where stored rows have taken all memory.
/// This is enough for a part of the smallest size.
pub(super) const UNCOUNTED_BYTES: usize = 2 * PART_BYTES_MIN;

/// The storage and the memory limit of joins. An extension of the task context.
pub(in crate::engine) struct JoinRoom {
    /// The storage for parts.
    pub(in crate::engine) storage: RowStorage,
    /// The most memory of a part, in bytes.
    pub(super) part_bytes: usize,
}

impl JoinRoom {
    /// Makes the room of joins. A part takes at most 8 MiB. It takes less if the parts of `slots` tasks would otherwise
    /// take more than half of the memory that is left beside the stored rows.
    pub(in crate::engine) fn new(storage: RowStorage, budget: &MemoryBudget, slots: usize) -> Self {
        let part_bytes = (budget.for_data() / 8 / slots.max(1)).clamp(PART_BYTES_MIN, PART_BYTES_MAX);
        Self { storage, part_bytes }
    }
}
