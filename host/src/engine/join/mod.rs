//! Joins and cogroups: bring rows of several streams together by key, after a shuffle of each stream by key.
//!
//! Owns how a join works in bounded memory, and the order of the rows that come out. Two keys are equal if their
//! encodings are equal. Never shuffles: a task gets the same reduce partition of each parent.
//!
//! # Order
//!
//! * A join takes the left rows in their order. Each left row is paired with the right rows of its key, in their order.
//!   After that come the right rows without a left row, in their order. The key is the key of the left row if there is one.
//! * A cogroup takes the keys in the order in which they first appear: in the rows of the first parent, then in the rows of
//!   the next parent. The key of a group is the one that appeared first. The values are in the order of their rows.
//! * The right rows of a partition may take more memory than a part may have. (In a cogroup, the rows of all parents
//!   count.) Then all rows are divided by the hash of their keys into 16 parts. The parts are joined one after the other,
//!   and a part that is still too large is divided again.
//! * Dividing does not help if many right rows have one key. Then a join takes the right rows block by block. For each
//!   block come the pairs, and then the right rows without a left row. After the last block come the left rows without a
//!   right row.
//!
//! The limit of a part follows from the job file, and the memory that a part takes follows from its rows. Neither
//! depends on what else is in memory. Parts are stored where shuffles are stored, so they are spilled in the same way.

mod assemble;
mod exec;
mod groups;
mod input;
mod pairs;
mod parts;
mod room;
mod run;
mod table;

#[cfg(test)]
mod tests;

pub(super) use exec::JoinExec;
pub(super) use input::{Input, Taken};
pub(super) use parts::{Divider, Division, LEVELS_MAX, PARTS, PartFacts};
pub(super) use room::JoinRoom;
pub(super) use run::JoinError;

use super::{external, internal};
use crate::data::key::KeyEncoder;
use crate::data::schema::RecordType;
use crate::graph::JoinKind;
use arrow::datatypes::SchemaRef;

/// The join of one node of the graph.
#[derive(Debug)]
pub(super) struct Join {
    pub kind: JoinKind,
    pub keys: KeyEncoder,
    /// The columns of the joined rows.
    pub schema: SchemaRef,
}

impl Join {
    pub(super) fn new(kind: JoinKind, key: &RecordType, rows: &RecordType) -> Self {
        Self { kind, keys: KeyEncoder::new(key), schema: rows.arrow().clone() }
    }

    /// Whether a left row without a right row comes out.
    const fn keeps_left(&self) -> bool {
        matches!(self.kind, JoinKind::LeftOuter | JoinKind::FullOuter)
    }

    /// Whether a right row without a left row comes out.
    const fn keeps_right(&self) -> bool {
        matches!(self.kind, JoinKind::RightOuter | JoinKind::FullOuter)
    }
}
