//! How many bytes rows take in memory.

use arrow::array::{ArrayData, RecordBatch};
use arrow::datatypes::DataType;
use std::collections::HashSet;

/// The number of arrays that rows consist of.
pub(super) fn arrays(batch: &RecordBatch) -> usize {
    fn count(ty: &DataType) -> usize {
        match ty {
            DataType::Struct(members) => 1 + members.iter().map(|member| count(member.data_type())).sum::<usize>(),
            DataType::List(item) => 1 + count(item.data_type()),
            _ => 1,
        }
    }
    batch.schema_ref().fields().iter().map(|field| count(field.data_type())).sum()
}

/// The bytes of the values of rows, without the parts of shared allocations that belong to other rows.
pub fn value_bytes(batch: &RecordBatch) -> u64 {
    let columns = batch.columns().iter();
    columns.map(|column| column.to_data().get_slice_memory_size().unwrap_or(0) as u64).sum()
}

/// The bytes that rows take in memory. Each allocation is counted once.
pub fn bytes_of(rows: &[RecordBatch]) -> usize {
    let mut counted = HashSet::new();
    let mut count = |allocation, bytes| if counted.insert(allocation) { bytes } else { 0 };
    rows.iter().map(|batch| allocations(batch, &mut count)).sum()
}

/// The sum of the results of `count`, which is called with the address and the size of each allocation.
pub(super) fn allocations(batch: &RecordBatch, count: &mut dyn FnMut(usize, usize) -> usize) -> usize {
    fn visit(data: &ArrayData, count: &mut dyn FnMut(usize, usize) -> usize) -> usize {
        let validity = data.nulls().map(|nulls| nulls.buffer());
        let buffers = data.buffers().iter().chain(validity);
        let own: usize = buffers.map(|buffer| count(buffer.data_ptr().addr().get(), buffer.capacity())).sum();
        own + data.child_data().iter().map(|child| visit(child, count)).sum::<usize>()
    }
    batch.columns().iter().map(|column| visit(&column.to_data(), count)).sum()
}
