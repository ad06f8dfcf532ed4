//! The answer to an action of a driver function: the first rows of a data set.

use super::bindings::millstream::plugin::types;
use super::crossing::encode;
use super::failure::Failure;
use crate::block::{RowStorage, SpillError, StoredRows};
use crate::data::chunk;
use crate::data::schema::RecordType;
use std::fmt;
use std::sync::Arc;

/// Rows are passed to the plugin in chunks of at most about this many bytes.
pub(super) const CHUNK_BYTES: usize = 1024 * 1024;

/// The first rows of a data set.
#[derive(Clone)]
pub struct Answer {
    /// The rows of the data set's partitions, in order.
    pub partitions: Arc<[StoredRows]>,
    /// The largest number of rows.
    pub limit: usize,
    /// The type of the rows.
    pub ty: RecordType,
    /// Lends the memory in which the rows are converted to chunks.
    pub storage: RowStorage,
}

impl Answer {
    /// Converts the rows to chunks, which have at most `limit` bytes together.
    pub(super) fn chunks(&self, limit: u64) -> Result<Vec<types::Chunk>, Failure> {
        let not_kept = |error: SpillError| Failure::NotKept(error.to_string());
        let mut scratch = self.storage.scratch();
        let (mut chunks, mut bytes, mut left) = (Vec::new(), 0, self.limit);
        for rows in self.partitions.iter().flat_map(|partition| partition.read(0)) {
            let rows = rows.map_err(not_kept)?;
            let rows = rows.slice(0, rows.num_rows().min(left));
            left -= rows.num_rows();
            for rows in chunk::chunks(&rows, CHUNK_BYTES) {
                let chunk = encode(&rows, &self.ty)?;
                bytes += chunk.data.len();
                if bytes as u64 > limit {
                    return Err(Failure::AnswerTooLarge(limit));
                }
                scratch.resize(bytes).map_err(not_kept)?;
                chunks.push(chunk);
            }
            if left == 0 {
                break;
            }
        }
        Ok(chunks)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer: {} partitions of {}", self.partitions.len(), self.ty)
    }
}
