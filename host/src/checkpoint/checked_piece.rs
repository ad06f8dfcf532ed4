//! [`CheckedPiece`]: a file of a checkpoint directory that was read, and what is wrong with its documents.

use super::allocation_segments::{DocumentState, SegmentDocument};

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The document is whole.
    Whole,
    /// The last document of a segment is unfinished. It was being written when the host or the machine went down, or it
    /// is being written now.
    Torn,
    /// The document was whole before, or these bytes were never a document.
    Damaged(String),
}

/// One document of a file in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedDocument {
    /// The offset at which the document begins, in bytes.
    pub at: u64,
    /// The size in bytes. If the end of the document is not known, the number of bytes that are left.
    pub bytes: u64,
    /// The content in words. Empty if the document cannot be read.
    pub what: String,
    /// Whether the document is whole.
    pub condition: Condition,
}

/// The purpose of a file in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceKind {
    /// A claim to the directory.
    Claim,
    /// A checkpoint of a run.
    Checkpoint,
    /// The description of a snapshot of state, or a part of its rows.
    Snapshot,
    /// A segment of the allocation log.
    Segment,
    /// A segment of the write-ahead log.
    Received,
}

/// A file in the directory, and its documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedPiece {
    /// The name of the file.
    pub name: String,
    /// The size of the file, in bytes.
    pub bytes: u64,
    /// The purpose of the file.
    pub kind: PieceKind,
    /// Whether the next start reads this file, as far as the file is whole.
    pub is_used: bool,
    /// The documents, in order. After a torn or damaged document the list ends, unless the beginning of another
    /// document can be found.
    pub documents: Vec<CheckedDocument>,
}

impl CheckedPiece {
    /// Makes the entry of a file that is one document.
    pub(super) fn single(name: String, kind: PieceKind, bytes: u64, what: Result<String, String>) -> Self {
        let (what, condition) = match what {
            Ok(what) => (what, Condition::Whole),
            Err(error) => (String::new(), Condition::Damaged(error)),
        };
        Self { name, bytes, kind, is_used: false, documents: vec![CheckedDocument { at: 0, bytes, what, condition }] }
    }

    /// Makes the entry of a segment of a log.
    pub(super) fn segment(name: String, kind: PieceKind, bytes: u64, documents: Vec<SegmentDocument>) -> Self {
        let document = |document: SegmentDocument| CheckedDocument {
            at: document.at as u64,
            bytes: document.bytes as u64,
            what: document.what,
            condition: match document.state {
                DocumentState::Whole => Condition::Whole,
                DocumentState::Torn => Condition::Torn,
                DocumentState::Damaged(error) => Condition::Damaged(error.to_string()),
            },
        };
        Self { name, bytes, kind, is_used: false, documents: documents.into_iter().map(document).collect() }
    }

    /// Whether any document is damaged.
    pub fn is_damaged(&self) -> bool {
        self.documents.iter().any(|document| matches!(document.condition, Condition::Damaged(_)))
    }
}
