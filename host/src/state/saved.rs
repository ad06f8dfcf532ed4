//! State in the form that snapshots have: writes the rows of a snapshot as bytes, and makes a version from such rows.
//!
//! Owns the form of the rows: an Arrow IPC stream of the columns of `layout.rs`, compressed with LZ4. Snapshots and
//! their files are in `checkpoint/snapshots.rs`.

use super::error::StateError;
use super::first_hash;
use super::layout::{self, Layout};
use super::merged_parts::{MergedParts, ReadParts};
use super::page::Page;
use super::partition::PartitionWriter;
use super::store::Version;
use crate::block::RowStorage;
use crate::time::Time;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::error::ArrowError;
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use std::collections::VecDeque;
use std::sync::Arc;

/// A part of a snapshot has at least this many rows, unless it is the last part.
const PART_ROWS: usize = 64 * 1024;
/// A part of a snapshot has at least this many bytes, unless it is the last part or has enough rows.
const PART_BYTES: usize = 4 * 1024 * 1024;

/// Writes rows of state as bytes.
///
/// # Errors
/// Returns an error if Arrow refuses the rows.
pub fn encode(rows: &RecordBatch) -> Result<Vec<u8>, StateError> {
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), rows.schema_ref(), options)?;
    writer.write(rows)?;
    Ok(writer.into_inner()?)
}

/// Reads rows of state from bytes.
///
/// # Errors
/// Returns an error if the bytes are not rows of this layout.
pub fn decode(layout: &Layout, bytes: &[u8]) -> Result<RecordBatch, StateError> {
    let reader = StreamReader::try_new(bytes, None)?;
    if reader.schema().fields() != layout.schema().fields() {
        return Err(ArrowError::SchemaError("the columns are not those of the state".to_owned()).into());
    }
    let batches = reader.collect::<Result<Vec<_>, _>>()?;
    let rows = concat_batches(layout.schema(), &batches)?;
    let hashes = layout::hashes(&rows).values();
    if hashes.windows(2).any(|pair| pair[0] > pair[1]) {
        return Err(ArrowError::InvalidArgumentError("the rows are not sorted".to_owned()).into());
    }
    Ok(rows)
}

impl Version {
    /// The rows of a snapshot, sorted, in parts: all keys, or the keys that changed or were removed after a time.
    pub fn saved(&self, after: Option<Time>) -> Parts {
        let after_ms = after.map(Time::as_ms);
        let of_partition = |partition: &super::PartitionState| -> Vec<Arc<Page>> {
            match after_ms {
                Some(after_ms) => partition.changed_after(after_ms).cloned().collect(),
                None => partition.pages().filter_map(|at| at.page.cloned()).collect(),
            }
        };
        let pages = self.partitions.iter().flat_map(of_partition).collect();
        Parts { layout: self.layout.clone(), pages, after_ms }
    }
}

/// The rows of a snapshot, in parts. Each part is read when it is needed.
pub struct Parts {
    layout: Arc<Layout>,
    pages: VecDeque<Arc<Page>>,
    after_ms: Option<u64>,
}

impl Parts {
    fn rows_of(&self, page: &Page) -> Result<RecordBatch, StateError> {
        let Some(after_ms) = self.after_ms else { return layout::live(&page.open(&self.layout)?.newest(u64::MAX)?) };
        page.changed_after(&self.layout, after_ms)
    }
}

impl Iterator for Parts {
    type Item = Result<RecordBatch, StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut part, mut rows, mut bytes) = (Vec::new(), 0, 0);
        while rows < PART_ROWS && bytes < PART_BYTES {
            let Some(page) = self.pages.pop_front() else { break };
            match self.rows_of(&page) {
                Ok(of_page) if of_page.num_rows() == 0 => {}
                Ok(of_page) => {
                    rows += of_page.num_rows();
                    bytes += crate::data::chunk::row_bytes(&of_page, 0..of_page.num_rows());
                    part.push(of_page);
                }
                Err(error) => return Some(Err(error)),
            }
        }
        (rows > 0).then(|| Ok(concat_batches(self.layout.schema(), &part)?))
    }
}

/// Makes a version from a full snapshot and the snapshots of changes after it, the oldest first. The version has
/// `partitions` partitions, however many there were when the snapshots were taken.
///
/// # Errors
/// Returns an error if a part cannot be read, or if the rows cannot be stored.
pub fn restore<'a, E: From<StateError>>(
    storage: &RowStorage,
    layout: &Arc<Layout>,
    batch: Time,
    partitions: u32,
    snapshots: Vec<ReadParts<'a, E>>,
) -> Result<Version, E> {
    let mut writers: Vec<PartitionWriter> =
        (0..partitions).map(|_| PartitionWriter::new(storage, layout, u64::MAX)).collect();
    for rows in MergedParts::new(layout, snapshots) {
        distribute(&rows?, &mut writers)?;
    }
    let partitions = writers.into_iter().map(PartitionWriter::finish).collect();
    Ok(Version { batch, layout: layout.clone(), partitions })
}

/// Adds sorted rows to the partitions of their keys.
fn distribute(rows: &RecordBatch, writers: &mut [PartitionWriter]) -> Result<(), StateError> {
    let hashes = layout::hashes(rows).values();
    let partitions = u32::try_from(writers.len()).unwrap_or(u32::MAX);
    let mut start = 0;
    for (partition, writer) in (0..).zip(writers) {
        let next = first_hash(partition + 1, partitions);
        let end = next.map_or(hashes.len(), |next| hashes.partition_point(|hash| *hash < next)).max(start);
        if start < end {
            let positions: arrow::array::UInt64Array = (start as u64..end as u64).collect();
            let rows = arrow::compute::take_record_batch(rows, &positions).map_err(StateError::from)?;
            writer.write(hashes.get(start).copied().unwrap_or(0), rows)?;
        }
        start = end;
    }
    Ok(())
}
