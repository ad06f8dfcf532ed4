//! The requests of driver functions for shared variables, and the answers.
//!
//! Owns the form in which a request is recorded and compared when the function runs again: its words and a hash.

use super::broadcasts::BroadcastId;
use super::error::named;
use super::totals::{AccumulatorKind, Sum, Total};
use crate::data::key;
use crate::data::schema::RecordType;
use arrow::array::RecordBatch;

/// Rows from a plugin.
#[derive(Clone, Debug)]
pub struct Content {
    /// The type of the rows.
    pub ty: RecordType,
    /// The rows.
    pub rows: RecordBatch,
    /// The hash of the bytes in which the plugin gave the rows.
    pub hash: u64,
}

impl Content {
    fn digest(&self) -> Vec<u8> {
        [self.hash.to_le_bytes().as_slice(), self.ty.to_string().as_bytes()].concat()
    }
}

/// A request of a driver function.
#[derive(Clone, Debug)]
pub enum VariableCall {
    /// Add integers to an accumulator.
    AddLong(String, Sum<i64>),
    /// Add floating-point numbers to an accumulator.
    AddDouble(String, Sum<f64>),
    /// Add values to an accumulator.
    AddValues(String, Content),
    /// The value of an accumulator.
    Value(String, AccumulatorKind),
    /// Set an accumulator to zero.
    Reset(String, AccumulatorKind),
    /// The id of a broadcast variable.
    Find(String, RecordType),
    /// Make a broadcast variable.
    Broadcast(String, Content),
    /// Remove a broadcast variable.
    Unpersist(BroadcastId),
}

impl VariableCall {
    /// What the function asks for, in the form `the value of accumulator x`.
    pub fn words(&self) -> String {
        match self {
            Self::AddLong(name, _) | Self::AddDouble(name, _) | Self::AddValues(name, _) => {
                format!("an update of accumulator {}", named(name))
            }
            Self::Value(name, _) => format!("the value of accumulator {}", named(name)),
            Self::Reset(name, _) => format!("a reset of accumulator {}", named(name)),
            Self::Find(name, _) => format!("broadcast variable {}", named(name)),
            Self::Broadcast(name, _) => format!("a new value of broadcast variable {}", named(name)),
            Self::Unpersist(id) => format!("the removal of broadcast variable {}", id.0),
        }
    }

    /// A hash of the whole request.
    pub fn hash(&self) -> u64 {
        let hash = |tag: u8, name: &str, more: &[u8]| {
            key::hash(&[&[tag], name.len().to_le_bytes().as_slice(), name.as_bytes(), more].concat())
        };
        match self {
            Self::AddLong(name, by) => hash(0, name, &[by.sum.to_le_bytes(), by.count.to_le_bytes()].concat()),
            Self::AddDouble(name, by) => {
                hash(1, name, &[by.sum.to_bits().to_le_bytes(), by.count.to_le_bytes()].concat())
            }
            Self::AddValues(name, by) => hash(2, name, &by.digest()),
            Self::Value(name, kind) => hash(3, name, kind.to_string().as_bytes()),
            Self::Reset(name, kind) => hash(4, name, kind.to_string().as_bytes()),
            Self::Find(name, ty) => hash(5, name, ty.to_string().as_bytes()),
            Self::Broadcast(name, value) => hash(6, name, &value.digest()),
            Self::Unpersist(id) => hash(7, "", &id.0.to_le_bytes()),
        }
    }
}

/// The answer to a [`VariableCall`].
#[derive(Clone, Debug)]
pub enum VariableAnswer {
    /// The request is done.
    Done,
    /// The value of an accumulator.
    Value(Total),
    /// The id of a broadcast variable. `None` if there is no variable of this name.
    Found(Option<BroadcastId>),
    /// The id of a new broadcast variable.
    Made(BroadcastId),
}
