//! The two ends of the code of a task. A head has to see all input rows before it gives the first row; a tail takes the
//! rows that come out.
//!
//! Owns the tail that emits rows, and the size of the chunks that leave a task. What a task emits depends on its input
//! alone: columns are emptied when they reach fixed sizes.

use crate::chain::{Chain, Rows};
use crate::chunk::{Chunk, Malformed};
use crate::ids::NodeId;
use crate::record::{Builder, Record, write_chunk};
use crate::runtime;

/// An emitted chunk has at most about this many bytes.
const CHUNK_BYTES: usize = 256 * 1024;
/// An emitted chunk has at most this many rows: the limit of `wit/types.wit`. Rows of a single bit would exceed the
/// limit without this check.
const CHUNK_ROWS: usize = 1 << 20;

/// Why a task cannot continue. The cases are those of `wit/task.wit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TaskError {
    Unsupported(String),
    Chunk(String),
}

impl From<Malformed> for TaskError {
    fn from(malformed: Malformed) -> Self {
        Self::Chunk(malformed.to_string())
    }
}

/// The end of a chain: takes the rows that come out of the chain.
pub(crate) trait Tail {
    fn push(&mut self, rows: &Rows);
    /// Ends the partition, whose rows came from the node `leaf`.
    fn finish(&mut self, leaf: NodeId);
}

/// The beginning of a stage that has to see all its input before the first row comes out.
pub(crate) trait Head {
    fn push(&mut self, chunk: Chunk) -> Result<(), Malformed>;
    /// Passes the result to `out`, in chunks.
    fn finish(&mut self, out: &mut dyn FnMut(Chunk) -> Result<(), TaskError>) -> Result<(), TaskError>;
}

/// Emits the rows unchanged.
pub(crate) struct EmitTail<C: Chain> {
    chain: C,
    builder: <C::Out as Record>::Builder,
    rows: usize,
}

impl<C: Chain> EmitTail<C> {
    pub fn new(chain: C) -> Self {
        Self { chain, builder: Default::default(), rows: 0 }
    }
}

impl<C: Chain> Tail for EmitTail<C> {
    fn push(&mut self, rows: &Rows) {
        let Self { chain, builder, rows: count } = self;
        chain.run(rows, &mut |value| push_row(builder, count, value));
    }

    fn finish(&mut self, leaf: NodeId) {
        let Self { chain, builder, rows } = self;
        chain.finish(leaf, &mut |value| push_row(builder, rows, value));
        if self.rows > 0 {
            runtime::emit(write_chunk(&mut self.builder, self.rows));
            self.rows = 0;
        }
    }
}

/// Collects rows, and emits them in chunks.
pub(crate) struct Emitter<T: Record> {
    builder: T::Builder,
    rows: usize,
}

impl<T: Record> Default for Emitter<T> {
    fn default() -> Self {
        Self { builder: T::Builder::default(), rows: 0 }
    }
}

impl<T: Record> Emitter<T> {
    /// Adds a row.
    #[inline]
    pub fn push(&mut self, row: T) {
        push_row(&mut self.builder, &mut self.rows, row);
    }

    /// Emits the rows that are left.
    pub fn flush(&mut self) {
        if self.rows > 0 {
            runtime::emit(write_chunk(&mut self.builder, self.rows));
            self.rows = 0;
        }
    }
}

/// Whether the collected rows have to be emitted before another row is added.
#[inline]
pub(crate) fn is_chunk(builder: &impl Builder, rows: usize) -> bool {
    builder.bytes() >= CHUNK_BYTES || rows >= CHUNK_ROWS
}

/// Appends a row, and emits the collected rows if they fill a chunk.
#[inline]
fn push_row<B: Builder>(builder: &mut B, rows: &mut usize, value: B::Item) {
    builder.push(value);
    *rows += 1;
    if is_chunk(builder, *rows) {
        runtime::emit(write_chunk(builder, *rows));
        *rows = 0;
    }
}
