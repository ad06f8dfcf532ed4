//! Accumulators by name: their types, their values, and how values are added.
//!
//! Owns the sums. The order of additions decides the last bits of a sum of floating-point numbers and the order of a
//! collection, so the caller adds in a fixed order.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::error::{VARIABLES_MAX, Variable, VariableError, check_name, named};
use crate::block::{RowStorage, SpillError, StoredRows};
use crate::data::schema::RecordType;
use arrow::array::RecordBatch;
use std::collections::BTreeMap;
use std::fmt;

/// The cost of a piece of a collection besides its values, in bytes. With this cost, many small pieces reach a limit as
/// well.
const PIECE_BYTES: u64 = 512;
/// A collection with more pieces than this is put together again.
const PIECES_MAX: usize = 64;

/// The type of an accumulator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccumulatorKind {
    /// The wrapping sum of integers.
    Long,
    /// The sum of floating-point numbers.
    Double,
    /// A list of values of this type.
    Collection(RecordType),
}

impl fmt::Display for AccumulatorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long => f.write_str("a long accumulator"),
            Self::Double => f.write_str("a double accumulator"),
            Self::Collection(ty) => write!(f, "a collection accumulator of {ty}"),
        }
    }
}

/// A sum, and the number of values in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum<N> {
    /// The sum.
    pub sum: N,
    /// The number of values that were added.
    pub count: u64,
}

/// The value of an accumulator, or a part of it.
#[derive(Clone, Debug)]
pub enum Total {
    /// A sum of integers.
    Long(Sum<i64>),
    /// A sum of floating-point numbers.
    Double(Sum<f64>),
    /// Values.
    Collection(Collection),
}

/// Values in order, as stored rows. A clone shares the rows.
#[derive(Clone)]
pub struct Collection {
    ty: RecordType,
    pieces: Vec<StoredRows>,
    rows: u64,
    bytes: u64,
}

impl fmt::Debug for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} values of {}", self.rows, self.ty)
    }
}

impl Collection {
    /// A collection without values.
    pub const fn new(ty: RecordType) -> Self {
        Self { ty, pieces: Vec::new(), rows: 0, bytes: 0 }
    }

    /// The type of the values.
    pub const fn ty(&self) -> &RecordType {
        &self.ty
    }

    /// The number of values.
    pub const fn len(&self) -> u64 {
        self.rows
    }

    /// Whether there are no values.
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The stored rows, in order.
    pub fn pieces(&self) -> &[StoredRows] {
        &self.pieces
    }

    /// Appends values.
    ///
    /// # Errors
    /// If there is no room for them.
    pub fn append(&mut self, rows: RecordBatch, storage: &RowStorage) -> Result<(), SpillError> {
        let mut writer = storage.writer(1);
        writer.append(0, rows)?;
        self.take(writer.finish());
        Ok(())
    }

    fn take(&mut self, piece: StoredRows) {
        let size = piece.bucket_size(0);
        self.rows = self.rows.saturating_add(size.rows);
        self.bytes = self.bytes.saturating_add(size.bytes).saturating_add(PIECE_BYTES);
        self.pieces.push(piece);
    }

    /// Puts all pieces together into one piece if there are many.
    ///
    /// # Errors
    /// If there is no room for the piece.
    fn put_together(&mut self, storage: &RowStorage) -> Result<(), SpillError> {
        if self.pieces.len() <= PIECES_MAX {
            return Ok(());
        }
        let mut writer = storage.writer(1);
        for rows in self.pieces.iter().flat_map(|piece| piece.read(0)) {
            writer.append(0, rows?)?;
        }
        let mut whole = Self::new(self.ty.clone());
        whole.take(writer.finish());
        *self = whole;
        Ok(())
    }
}

impl Total {
    /// The value of an accumulator to which nothing was added.
    pub fn zero(kind: &AccumulatorKind) -> Self {
        match kind {
            AccumulatorKind::Long => Self::Long(Sum::default()),
            AccumulatorKind::Double => Self::Double(Sum::default()),
            AccumulatorKind::Collection(ty) => Self::Collection(Collection::new(ty.clone())),
        }
    }

    /// The type of the accumulator.
    pub fn kind(&self) -> AccumulatorKind {
        match self {
            Self::Long(_) => AccumulatorKind::Long,
            Self::Double(_) => AccumulatorKind::Double,
            Self::Collection(values) => AccumulatorKind::Collection(values.ty.clone()),
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Collection(values) => values.bytes,
            Self::Long(_) | Self::Double(_) => 0,
        }
    }

    /// Adds a value of the same type. A value of another type is ignored.
    fn add(&mut self, by: Self) {
        match (self, by) {
            (Self::Long(total), Self::Long(by)) => {
                total.sum = total.sum.wrapping_add(by.sum);
                total.count = total.count.saturating_add(by.count);
            }
            (Self::Double(total), Self::Double(by)) => {
                total.sum += by.sum;
                total.count = total.count.saturating_add(by.count);
            }
            (Self::Collection(values), Self::Collection(by)) => {
                by.pieces.into_iter().for_each(|piece| values.take(piece))
            }
            _ => {}
        }
    }
}

/// Values of accumulators, by name: the updates of a task or of a stage, or the values of a run.
#[derive(Clone, Debug, Default)]
pub struct Updates {
    totals: BTreeMap<String, Total>,
}

impl Updates {
    /// Whether no accumulator has a value.
    pub fn is_empty(&self) -> bool {
        self.totals.is_empty()
    }

    /// The names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Total)> {
        self.totals.iter().map(|(name, total)| (name.as_str(), total))
    }

    /// The value of an accumulator. Zero if the accumulator is new.
    ///
    /// # Errors
    /// If the name is not valid, if the accumulator has another type, or if there are too many accumulators.
    pub(super) fn entry(&mut self, name: &str, kind: &AccumulatorKind) -> Result<&mut Total, VariableError> {
        self.check(name, kind)?;
        Ok(self.totals.entry(name.to_owned()).or_insert_with(|| Total::zero(kind)))
    }

    fn check(&self, name: &str, kind: &AccumulatorKind) -> Result<(), VariableError> {
        let what = Variable::Accumulator;
        match self.totals.get(name).map(Total::kind) {
            Some(is) if is != *kind => {
                let (is, used) = (is.to_string(), kind.to_string());
                Err(VariableError::OtherType { what, name: named(name), is, used })
            }
            None if self.totals.len() >= VARIABLES_MAX => Err(VariableError::TooMany { what, name: named(name) }),
            Some(_) => Ok(()),
            None => check_name(what, name),
        }
    }

    /// Adds to an accumulator, whose values may have `limit` bytes at most.
    ///
    /// # Errors
    /// If the name is not valid, if the accumulator has another type or too many values, or if there are too many
    /// accumulators. Then nothing is added.
    pub fn add(&mut self, name: &str, by: Total, limit: u64) -> Result<(), VariableError> {
        self.check_addition(name, &by, limit)?;
        self.entry(name, &by.kind())?.add(by);
        Ok(())
    }

    fn check_addition(&self, name: &str, by: &Total, limit: u64) -> Result<(), VariableError> {
        self.check(name, &by.kind())?;
        let bytes = self.totals.get(name).map_or(0, Total::bytes);
        if by.bytes() > 0 && bytes.saturating_add(by.bytes()) > limit {
            return Err(VariableError::TooLarge { what: Variable::Accumulator, name: named(name), limit });
        }
        Ok(())
    }

    /// Adds all updates of `other`.
    ///
    /// # Errors
    /// The errors of [`Self::add`]. Then nothing is added.
    pub fn absorb(&mut self, other: Self, limit: u64) -> Result<(), VariableError> {
        let mut new = 0_usize;
        for (name, by) in &other.totals {
            self.check_addition(name, by, limit)?;
            new = new.saturating_add(usize::from(!self.totals.contains_key(name)));
            if self.totals.len().saturating_add(new) > VARIABLES_MAX {
                return Err(VariableError::TooMany { what: Variable::Accumulator, name: named(name) });
            }
        }
        other.totals.into_iter().try_for_each(|(name, by)| self.add(&name, by, limit))
    }

    /// Puts collections of many pieces together, as far as there is room for that.
    pub(super) fn put_together(&mut self, storage: &RowStorage) {
        for total in self.totals.values_mut() {
            if let Total::Collection(values) = total
                && let Err(error) = values.put_together(storage)
            {
                tracing::debug!("the pieces of a collection stay apart: {error}");
            }
        }
    }
}
