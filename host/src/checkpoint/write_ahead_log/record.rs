//! The form of received blocks in the write-ahead log.
//!
//! Owns the written type. A block is one or more documents, its pieces. A document has the identity of the block, the
//! place of the piece in its group, and rows as a chunk of `data/chunk`. A written type never changes: a new version of it
//! is a new type. Never reads or writes a file.

use super::super::codec::{self, CodecError, RECEIVED};
use crate::block::SpillError;
use crate::data::chunk::{self, ChunkError, chunks};
use crate::data::schema::{RecordType, schema_id};
use crate::ids::BlockId;
use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// A piece has at least one row, and about this many bytes at most if it has several rows.
const PIECE_BYTES: usize = 4 << 20;

/// Reads the rows of a block, chunk by chunk. The rows may be in memory or in a file.
pub type ReadRows = dyn Fn() -> Box<dyn Iterator<Item = Result<RecordBatch, SpillError>>> + Send + Sync;

/// A block for the log.
#[derive(Clone)]
pub struct Entry {
    /// The block.
    pub id: BlockId,
    /// The rows of the block.
    pub rows: Arc<ReadRows>,
    /// The type of the rows.
    pub ty: RecordType,
    /// The key by which the sender of the rows recognises them, so that rows that are sent again are not stored again.
    /// `None` if the source has no such keys.
    pub key: Option<String>,
}

/// What a document says of its piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    /// The number of the group in its segment.
    pub(super) group: u64,
    /// Whether the piece is the last of its group.
    pub(super) ends_group: bool,
    source: String,
    sequence: u64,
    pub(super) schema_id: [u8; 32],
    /// The number of rows of the piece.
    pub(super) rows: u32,
    /// The places of the buffers of the chunk.
    directory: Vec<(u32, u32)>,
    /// Whether the piece is the first of its block.
    pub(super) begins_block: bool,
    /// Whether the piece is the last of its block.
    pub(super) ends_block: bool,
    pub(super) key: Option<String>,
}

impl Piece {
    /// The block that the piece belongs to.
    pub(super) fn block(&self) -> BlockId {
        BlockId { source: self.source.clone(), sequence: self.sequence }
    }
}

/// Rows of at least this many bytes are written without another copy. Shorter documents are written together.
const LONG_BYTES: usize = 64 << 10;

/// Encodes groups of blocks. The encoder keeps buffers for one piece.
#[derive(Default)]
pub(super) struct Encoder {
    /// The documents, or the beginning of one, that are not written yet.
    documents: Vec<u8>,
    /// The rows of a piece.
    data: Vec<u8>,
}

/// Takes the next bytes of the documents. May take the vector, and leaves any other one, whose content is ignored.
pub(super) type Write<'a> = dyn FnMut(&mut Vec<u8>) -> io::Result<()> + 'a;

impl Encoder {
    /// Encodes the blocks of a group, piece by piece. The calls of `write` get the bytes of the group in order, cut
    /// anywhere. After an error, the encoder can be used again.
    ///
    /// # Errors
    /// The error of `write`, or an error of kind [`io::ErrorKind::InvalidData`] if rows cannot be encoded.
    pub(super) fn group(&mut self, entries: &[Entry], group: u64, write: &mut Write<'_>) -> io::Result<()> {
        self.documents.clear();
        for (at, entry) in entries.iter().enumerate() {
            let (id, schema_id) = (&entry.id, schema_id(entry.ty.fields()));
            let is_last_entry = at.saturating_add(1) == entries.len();
            let mut pieces = Pieces { rows: (entry.rows)(), chunks: VecDeque::new() };
            let (mut begins_block, mut next) = (true, pieces.take()?);
            // A block without rows is one piece.
            loop {
                let rows = next.take();
                next = pieces.take()?;
                let ends_block = next.is_none();
                let mut directory = Vec::new();
                if let Some(rows) = &rows {
                    chunk::encode(rows, &entry.ty, &mut directory, &mut self.data).map_err(invalid)?;
                }
                let piece = Piece {
                    group,
                    ends_group: is_last_entry && ends_block,
                    source: id.source.clone(),
                    sequence: id.sequence,
                    schema_id,
                    rows: rows.as_ref().map_or(0, |rows| u32::try_from(rows.num_rows()).unwrap_or(u32::MAX)),
                    directory,
                    begins_block,
                    ends_block,
                    key: entry.key.clone().filter(|_| begins_block),
                };
                if rows.is_none() {
                    self.data.clear();
                }
                codec::append_before(RECEIVED, &mut self.documents, &piece, &self.data).map_err(invalid)?;
                if self.data.len() < LONG_BYTES {
                    self.documents.extend_from_slice(&self.data);
                } else {
                    write(&mut self.documents)?;
                    self.documents.clear();
                    write(&mut self.data)?;
                }
                if self.documents.len() >= LONG_BYTES {
                    write(&mut self.documents)?;
                    self.documents.clear();
                }
                begins_block = false;
                if ends_block {
                    break;
                }
            }
        }
        if !self.documents.is_empty() {
            write(&mut self.documents)?;
        }
        // A single row may have been much larger than pieces are.
        self.data.shrink_to(PIECE_BYTES);
        Ok(())
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The rows of a block in pieces.
struct Pieces {
    rows: Box<dyn Iterator<Item = Result<RecordBatch, SpillError>>>,
    chunks: VecDeque<RecordBatch>,
}

impl Pieces {
    /// The next piece. `None` if there are no more rows.
    fn take(&mut self) -> io::Result<Option<RecordBatch>> {
        while self.chunks.is_empty() {
            let Some(batch) = self.rows.next() else { return Ok(None) };
            self.chunks.extend(chunks(&batch.map_err(io::Error::other)?, PIECE_BYTES));
        }
        Ok(self.chunks.pop_front())
    }
}

/// Reads the document at the beginning of `bytes`. Returns what it says, the bytes of its rows and its length.
pub(super) fn decode(bytes: &[u8]) -> Result<(Piece, &[u8], usize), CodecError> {
    codec::decode_with(RECEIVED, bytes)
}

/// Reads the rows of a piece, which must be of this type.
pub(super) fn rows(piece: &Piece, data: &[u8], ty: &RecordType) -> Result<Option<RecordBatch>, ChunkError> {
    if piece.rows == 0 {
        return Ok(None);
    }
    chunk::decode(ty, piece.rows, &piece.directory, data.to_vec()).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn texts(values: &[String]) -> RecordBatch {
        let column = Arc::new(StringArray::from(values.to_vec()));
        RecordBatch::try_new(RecordType::text().arrow().clone(), vec![column]).unwrap()
    }

    /// An entry with these rows, and the documents of its group.
    fn encoded(batches: &[Vec<String>]) -> (Entry, Vec<Vec<u8>>) {
        let rows: Vec<RecordBatch> = batches.iter().map(|values| texts(values)).collect();
        let rows: Arc<ReadRows> = Arc::new(move || Box::new(rows.clone().into_iter().map(Ok)));
        let id = BlockId { source: "s".into(), sequence: 7 };
        let entry = Entry { id, rows, ty: RecordType::text(), key: Some("k".into()) };
        let mut written = Vec::new();
        let mut write = |bytes: &mut Vec<u8>| {
            written.extend_from_slice(bytes);
            Ok(())
        };
        Encoder::default().group(std::slice::from_ref(&entry), 3, &mut write).unwrap();
        let mut documents = Vec::new();
        while !written.is_empty() {
            let rest = written.split_off(decode(&written).unwrap().2);
            documents.push(std::mem::replace(&mut written, rest));
        }
        (entry, documents)
    }

    fn values(rows: &RecordBatch) -> Vec<String> {
        let column = rows.column(0).as_any().downcast_ref::<StringArray>().unwrap().clone();
        column.iter().map(|text| text.unwrap().to_owned()).collect()
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(batches in prop::collection::vec(prop::collection::vec(".{0,9}", 0..20), 0..6)) {
            let (entry, documents) = encoded(&batches);
            let mut found = Vec::new();
            for document in &documents {
                let (piece, bytes, end) = decode(document).unwrap();
                prop_assert_eq!((end, piece.block(), piece.group), (document.len(), entry.id.clone(), 3));
                prop_assert_eq!(piece.schema_id, schema_id(RecordType::text().fields()));
                found.extend(rows(&piece, bytes, &RecordType::text()).unwrap().iter().flat_map(values));
            }
            prop_assert_eq!(found, batches.concat());
        }

        /// For any data, reading ends with rows or an error.
        #[test]
        fn any_rows_are_read_or_refused(data: Vec<u8>, count: u32, directory: Vec<(u32, u32)>) {
            let (_, documents) = encoded(&[vec!["one".into(), "two".into()]]);
            let (piece, ..) = decode(&documents[0]).unwrap();
            let _ = rows(&piece, &data, &RecordType::text());
            let _ = rows(&Piece { rows: count, directory, ..piece }, &data, &RecordType::text());
        }
    }

    #[test]
    fn a_large_block_is_written_in_pieces() {
        let long = |of: usize| "x".repeat(of);
        let batches = vec![vec![long(3 << 20); 3], vec![long(10)], vec![long(9 << 20)]];
        let (_, documents) = encoded(&batches);
        let pieces: Vec<Piece> = documents.iter().map(|document| decode(document).unwrap().0).collect();
        assert_eq!(pieces.iter().map(|piece| piece.rows).collect::<Vec<_>>(), [1, 1, 1, 1, 1]);
        let flags = |flag: fn(&Piece) -> bool| pieces.iter().map(flag).collect::<Vec<_>>();
        assert_eq!(flags(|piece| piece.begins_block), [true, false, false, false, false]);
        assert_eq!(flags(|piece| piece.ends_block && piece.ends_group), [false, false, false, false, true]);
        assert_eq!(flags(|piece| piece.key.is_some()), [true, false, false, false, false]);
    }
}
