//! Joins and cogroups: rows of several streams brought together by key, after each was shuffled by it.
//!
//! Owns how this is done in bounded memory, and the order of the rows that come out. Keys are equal if their encodings
//! are. Never shuffles: a task has the same reduce partition of each parent.
//!
//! # Order
//!
//! * A join takes the left rows in their order, each with the right rows of its key in theirs; after them come the
//!   right rows without a left one, in their order. The key is the left one where there is one.
//! * A cogroup takes the keys in the order in which they first appear, in the rows of the first parent, then in those
//!   of the next. The key is the one that appeared first; values are in the order of their rows.
//! * Where the right rows of a partition (those of all parents, for a cogroup) take more memory than a part may, all are
//!   divided by the hash of their keys into 16 parts, and each is treated so, one after the other; a part that is still
//!   too large is divided again.
//! * Where division does not help because many right rows have one key, a join takes the right rows block by block: the
//!   pairs of the first, its right rows without a left one, then the next, and at the end the left rows without a right
//!   one.
//!
//! What a part may take follows from the job file, and what it does take from the rows. Neither depends on what else is
//! in memory. Parts are kept where shuffles are, so they are spilled as these are.

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
pub(super) use input::Input;
pub(super) use parts::{Divider, LEVELS_MAX, PARTS, PartFacts};
pub(super) use room::JoinRoom;
pub(super) use run::JoinError;

use super::{external, internal};
use crate::data::key::KeyEncoder;
use crate::data::schema::RecordType;
use crate::graph::JoinKind;
use arrow::datatypes::SchemaRef;

/// What a join does, for one node.
#[derive(Debug)]
pub(super) struct Join {
    pub kind: JoinKind,
    pub keys: KeyEncoder,
    /// The columns that come out.
    pub schema: SchemaRef,
}

impl Join {
    pub(super) fn new(kind: JoinKind, key: &RecordType, rows: &RecordType) -> Self {
        Self { kind, keys: KeyEncoder::new(key), schema: rows.arrow().clone() }
    }

    /// Whether a left row without a right one comes out.
    const fn keeps_left(&self) -> bool {
        matches!(self.kind, JoinKind::LeftOuter | JoinKind::FullOuter)
    }

    /// Whether a right row without a left one comes out.
    const fn keeps_right(&self) -> bool {
        matches!(self.kind, JoinKind::RightOuter | JoinKind::FullOuter)
    }
}
