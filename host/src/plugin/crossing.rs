//! Conversion of rows to chunks, in which rows are passed to the plugin.

use super::bindings::millstream::plugin::types;
use super::failure::Failure;
use crate::data::chunk;
use crate::data::schema::RecordType;
use arrow::array::RecordBatch;

/// Converts rows to chunks, and uses the buffers of one chunk again for the next one.
#[derive(Default)]
pub(super) struct Crossing {
    extents: Vec<(u32, u32)>,
    data: Vec<u8>,
}

impl Crossing {
    /// Converts the rows to a chunk. The chunk keeps the data buffer until [`Crossing::take_back`].
    ///
    /// # Errors
    /// If the rows are not of type `ty`.
    pub(super) fn encode(&mut self, batch: &RecordBatch, ty: &RecordType) -> Result<types::Chunk, Failure> {
        let mut data = std::mem::take(&mut self.data);
        chunk::encode(batch, ty, &mut self.extents, &mut data)
            .map_err(|error| Failure::BrokenData(format!("input: {error}")))?;
        let rows = u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
        let extents = self.extents.iter().map(|&(offset, length)| types::Extent { offset, length }).collect();
        Ok(types::Chunk { rows, extents, data })
    }

    /// Takes back the buffer of a chunk that was passed to the plugin.
    pub(super) fn take_back(&mut self, chunk: types::Chunk) {
        self.data = chunk.data;
    }
}

/// Converts the rows to one chunk.
///
/// # Errors
/// If the rows are not of type `ty`.
pub(super) fn encode(batch: &RecordBatch, ty: &RecordType) -> Result<types::Chunk, Failure> {
    Crossing::default().encode(batch, ty)
}
