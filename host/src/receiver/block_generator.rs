//! Cuts the records of a source into blocks.
//!
//! Owns the records that are received and not yet in a block. A record is in exactly one block, and records keep their
//! order.

use crate::block::Block;
use crate::data::decoded_lines::DecodedLines;
use crate::data::lines::LineFaults;
use crate::encoding::Encoding;
use crate::ids::BlockId;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;

/// Chunks of a block have about this many bytes. They are long enough that passing them to the plugin costs little, and
/// short enough to stay in the processor's cache.
const CHUNK_BYTES: usize = 256 * 1024;

/// Makes blocks of the records of one source.
pub(super) struct BlockGenerator {
    source: String,
    next: u64,
    lines: DecodedLines,
    /// The rows that came before the lines.
    rows: Vec<RecordBatch>,
    bytes: usize,
    /// The memory of these rows, in bytes.
    rows_bytes: usize,
}

impl BlockGenerator {
    /// Makes the generator of the source with this name, whose first block has the number `first`. Its lines are in this
    /// encoding and have at most `max_line_bytes`.
    pub(super) fn new(source: &str, first: u64, encoding: Encoding, max_line_bytes: usize) -> Self {
        Self {
            source: source.to_owned(),
            next: first,
            lines: DecodedLines::new(encoding, max_line_bytes, CHUNK_BYTES),
            rows: Vec::new(),
            bytes: 0,
            rows_bytes: 0,
        }
    }

    /// Takes bytes of lines, in any pieces.
    pub(super) fn push_bytes(&mut self, bytes: &[u8]) {
        self.lines.push(bytes);
        self.bytes += bytes.len();
    }

    /// Takes a line that is text already. `line` does not contain the line end.
    pub(super) fn push_line(&mut self, line: &str) {
        self.lines.push_text(line);
        self.bytes += line.len() + 1;
    }

    /// Ends the line that came last. The next byte begins a new line.
    pub(super) fn end_line(&mut self) {
        let lines = self.lines.finish();
        self.add(lines);
    }

    fn add(&mut self, rows: impl IntoIterator<Item = RecordBatch>) {
        for rows in rows {
            self.rows_bytes += rows.get_array_memory_size();
            self.rows.push(rows);
        }
    }

    /// Takes rows. An incomplete line comes after the rows.
    pub(super) fn push_rows(&mut self, rows: RecordBatch) {
        let lines = self.lines.take();
        self.add(lines);
        self.bytes += rows.get_array_memory_size();
        self.add([rows]);
    }

    /// Whether a block should be cut now, if a block may have this many bytes.
    pub(super) const fn is_full(&self, bytes_max: usize) -> bool {
        self.bytes >= bytes_max
    }

    /// How many bytes the records have that are in no block yet.
    pub(super) fn held_bytes(&self) -> usize {
        self.rows_bytes + self.lines.buffered_bytes()
    }

    /// Drops the incomplete line because there is no memory for it. It counts as a line that is too long.
    pub(super) fn drop_line(&mut self) {
        self.lines.drop_partial_line();
    }

    /// Makes a block of the complete records so far. `None` if there are none.
    pub(super) fn cut(&mut self) -> Option<Block> {
        self.rows.extend(self.lines.take());
        (self.bytes, self.rows_bytes) = (0, 0);
        let rows = std::mem::take(&mut self.rows);
        self.block(rows)
    }

    /// Makes a block of these rows only. `None` if there are none.
    pub(super) fn block(&mut self, rows: Vec<RecordBatch>) -> Option<Block> {
        let rows = joined(rows);
        if rows.is_empty() {
            return None;
        }
        let id = BlockId { source: self.source.clone(), sequence: self.next };
        self.next += 1;
        Some(Block { id, rows: rows.into() })
    }

    /// Discards the incomplete line, whose end will not come. Returns whether there was one.
    pub(super) fn abandon_line(&mut self) -> bool {
        self.lines.abandon()
    }

    /// The faults of the lines since the last call, and the encoding of the last lines.
    pub(super) fn take_faults(&mut self) -> (LineFaults, Encoding) {
        (self.lines.take_faults(), self.lines.encoding())
    }
}

/// Returns the same rows, with neighbouring small chunks joined. Receivers may store records one by one, which gives
/// small chunks.
fn joined(rows: Vec<RecordBatch>) -> Vec<RecordBatch> {
    let mut chunks: Vec<RecordBatch> = Vec::new();
    let mut run: Vec<RecordBatch> = Vec::new();
    let mut run_bytes = 0;
    for batch in rows.into_iter().filter(|batch| batch.num_rows() > 0) {
        let bytes = batch.get_array_memory_size();
        if run_bytes + bytes > CHUNK_BYTES {
            finish_run(&mut chunks, &mut run);
            run_bytes = 0;
        }
        run_bytes += bytes;
        run.push(batch);
    }
    finish_run(&mut chunks, &mut run);
    chunks
}

fn finish_run(chunks: &mut Vec<RecordBatch>, run: &mut Vec<RecordBatch>) {
    let run = std::mem::take(run);
    match run.as_slice() {
        [first, _, ..] => match concat_batches(&first.schema(), &run) {
            Ok(one) => chunks.push(one),
            // The rows are more than one column can hold, so the chunks stay separate.
            Err(_) => chunks.extend(run),
        },
        _ => chunks.extend(run),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::schema::RecordType;
    use arrow::array::{Array as _, StringArray};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn texts(rows: &[RecordBatch]) -> Vec<String> {
        let column = |rows: &RecordBatch| rows.column(0).as_any().downcast_ref::<StringArray>().unwrap().clone();
        let of = |rows: &RecordBatch| column(rows).iter().map(|text| text.unwrap().to_owned()).collect::<Vec<_>>();
        rows.iter().flat_map(of).collect()
    }

    fn rows(texts: &[String]) -> RecordBatch {
        let column = Arc::new(StringArray::from(texts.to_vec()));
        RecordBatch::try_new(RecordType::text().arrow().clone(), vec![column]).unwrap()
    }

    #[derive(Clone, Debug)]
    enum Step {
        Line(String),
        Rows(Vec<String>),
        Cut,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            "[a-z]{0,5}".prop_map(Step::Line),
            prop::collection::vec("[a-z]{0,5}", 0..4).prop_map(Step::Rows),
            Just(Step::Cut),
        ]
    }

    proptest! {
        /// Every record is in one block, in the order in which it came, however lines, rows and cuts are mixed.
        #[test]
        fn blocks_hold_every_record_once_and_in_order(steps in prop::collection::vec(step(), 0..40)) {
            let mut blocks = BlockGenerator::new("s", 0, Encoding::UTF_8, 100);
            let (mut given, mut got, mut sequences) = (Vec::new(), Vec::new(), Vec::new());
            let mut take = |block: Option<Block>| {
                if let Some(block) = block {
                    assert!(block.row_count() > 0);
                    sequences.push(block.id.sequence);
                    got.extend(texts(&block.rows));
                }
            };
            for step in steps {
                match step {
                    Step::Line(text) => {
                        blocks.push_bytes(format!("{text}\n").as_bytes());
                        given.push(text);
                    }
                    Step::Rows(texts) => {
                        blocks.push_rows(rows(&texts));
                        given.extend(texts);
                    }
                    Step::Cut => take(blocks.cut()),
                }
            }
            take(blocks.cut());
            prop_assert_eq!(got, given);
            prop_assert_eq!(&sequences, &(0..sequences.len() as u64).collect::<Vec<_>>());
        }
    }

    #[test]
    fn records_that_come_one_by_one_become_one_chunk() {
        let mut blocks = BlockGenerator::new("s", 0, Encoding::UTF_8, 100);
        (0..1000).for_each(|number| blocks.push_rows(rows(&[number.to_string()])));
        let block = blocks.cut().unwrap();
        assert_eq!((block.row_count(), block.rows.len()), (1000, 1));
    }
}
