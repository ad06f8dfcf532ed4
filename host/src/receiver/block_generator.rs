//! Cuts what a source sends into blocks.
//!
//! Owns the records that are received and not yet in a block. A record is in exactly one block.

use crate::block::Block;
use crate::data::lines::LineSplitter;
use crate::ids::BlockId;

/// Chunks of a block are about this long. Long enough that crossing into the plugin costs nothing, short enough to stay
/// in the processor's cache.
const CHUNK_BYTES: usize = 256 * 1024;
/// A block that grows to this is cut before its time, so that one partition never outgrows a task.
const BLOCK_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Makes blocks of the lines of one source.
pub struct BlockGenerator {
    source: String,
    next: u64,
    lines: LineSplitter,
    bytes: usize,
    skipped: (u64, u64),
}

impl BlockGenerator {
    /// For the source with this name, whose lines are at most `max_line_bytes` long.
    pub fn new(source: &str, max_line_bytes: usize) -> Self {
        Self {
            source: source.to_owned(),
            next: 0,
            lines: LineSplitter::new(max_line_bytes, CHUNK_BYTES),
            bytes: 0,
            skipped: (0, 0),
        }
    }

    /// Takes bytes as they come. True if a block should be cut now.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        self.lines.push(bytes);
        self.bytes += bytes.len();
        self.bytes >= BLOCK_BYTES_MAX
    }

    /// The complete lines so far as a block. Nothing if there are none.
    pub fn cut(&mut self) -> Option<Block> {
        let rows = self.lines.take();
        self.block(rows)
    }

    /// Everything so far, a last line without end included. The next byte begins a new line.
    pub fn finish(&mut self) -> Option<Block> {
        let rows = self.lines.finish();
        self.block(rows)
    }

    /// The complete lines so far as a block, and whether the beginning of another was dropped, whose end will not come.
    pub fn abandon(&mut self) -> (Option<Block>, bool) {
        let block = self.cut();
        let is_cut_off = self.lines.has_partial_line();
        self.lines.abandon();
        (block, is_cut_off)
    }

    /// Lines that were dropped because they were too long, and lines that were not UTF-8, since the last call.
    pub fn take_skipped(&mut self) -> (u64, u64) {
        let before = self.skipped;
        self.skipped = (self.lines.dropped_lines(), self.lines.replaced_lines());
        (self.skipped.0 - before.0, self.skipped.1 - before.1)
    }

    fn block(&mut self, rows: Vec<arrow::array::RecordBatch>) -> Option<Block> {
        self.bytes = 0;
        if rows.is_empty() {
            return None;
        }
        let id = BlockId { source: self.source.clone(), sequence: self.next };
        self.next += 1;
        Some(Block { id, rows: rows.into() })
    }
}
