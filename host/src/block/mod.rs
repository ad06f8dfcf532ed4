//! Stored data: received blocks until their batch is done, and data sets until nothing needs them.
//!
//! Owns the stores, how they take memory from the memory budget, and how they spill to disk. Never decides which batch
//! a block belongs to: see `tracker`.

mod checked_split;
mod codec;
mod data_set;
mod file_stamp;
mod loaded;
mod open;
mod partition;
mod range;
mod row_bytes;
mod spill;
mod storage;
mod store;

pub use checked_split::{CheckedSplit, ReadPart};
pub use codec::{Codec, Damaged};
pub use data_set::DataSetStore;
pub use file_stamp::{FileStamp, SplitError};
pub use loaded::{FileVersion, LoadError, LoadedFormat, LoadedPart, LoadedReader, ReplacedLines};
pub use open::OpenBlock;
pub use partition::{FileSplit, InputPartition, LinePlace, PART_BYTES, SplitReader, part_ranges};
pub use range::{Gone, LogRange, OffsetRange, RangeError, RangeFaults, RangeReader, RangeReaders, RangeRows, Refused};
pub use row_bytes::{bytes_of, value_bytes};
pub use spill::{SpillError, SpillSettings};
pub use storage::{BucketSize, Described, RowStorage, RowsReader, RowsWriter, Scratch, StoredRows};
pub use store::{Block, BlockStore};

use arrow::array::RecordBatch;

/// Rows of one partition, in order.
pub type Rows = std::sync::Arc<[RecordBatch]>;

/// The number of rows.
pub fn row_count(rows: &[RecordBatch]) -> u64 {
    rows.iter().map(|batch| batch.num_rows() as u64).sum()
}
