//! The columns in which the state of a node is stored.
//!
//! A row of state has a key's hash, the time of the batch that changed the row last, whether the key was removed, the
//! key and its state. Rows are sorted by hash, and then by the encoding of the key. A row of a removed key says that
//! older rows of the key do not count; its state is the last one. Snapshots need such rows until the removal is saved.

use super::error::StateError;
use crate::data::key::{EncodedKeys, KeyEncoder};
use crate::data::schema::RecordType;
use crate::data::view::ViewError;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StructArray, UInt64Array, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, UInt64Type};
use std::cell::OnceCell;
use std::sync::Arc;

/// The columns of state, by position.
pub(super) const HASH: usize = 0;
pub(super) const TIME: usize = 1;
pub(super) const REMOVED: usize = 2;
pub(super) const KEY: usize = 3;
pub(super) const STATE: usize = 4;

/// How the state of a node is stored.
#[derive(Debug)]
pub struct Layout {
    pair: RecordType,
    encoder: KeyEncoder,
    /// The stored columns.
    schema: SchemaRef,
    /// The members of an optional state, if the state itself may be absent: an option of an option is a struct.
    wrapped: Option<Fields>,
}

/// Rows of state that are looked at.
pub struct Open {
    pub rows: RecordBatch,
    pub hashes: UInt64Array,
    pub times: UInt64Array,
    pub removed: BooleanArray,
    encoder: KeyEncoder,
    /// The encodings of the keys, once they are needed.
    keys: OnceCell<EncodedKeys>,
}

impl Layout {
    /// Makes the layout for pairs of key and state. `None` if `pair` is no type of pairs.
    pub fn new(pair: &RecordType) -> Option<Self> {
        let (key, state) = pair.pair()?;
        let [key_field, state_field] = pair.arrow().fields().as_ref() else { return None };
        let schema = Schema::new(vec![
            Field::new("hash", DataType::UInt64, false),
            Field::new("time", DataType::UInt64, false),
            Field::new("removed", DataType::Boolean, false),
            key_field.as_ref().clone().with_name("key"),
            state_field.as_ref().clone().with_name("state").with_nullable(true),
        ]);
        let wrapped = state.is_optional().then(|| {
            let member = Field::new("value", state_field.data_type().clone(), true);
            Fields::from(vec![member])
        });
        Some(Self { pair: pair.clone(), encoder: KeyEncoder::new(&key), schema: Arc::new(schema), wrapped })
    }

    /// The type of the pairs of key and state.
    pub fn pair(&self) -> &RecordType {
        &self.pair
    }

    /// The stored columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The encoder of the keys.
    pub fn encoder(&self) -> &KeyEncoder {
        &self.encoder
    }

    /// Makes rows of state.
    ///
    /// # Errors
    /// Returns an error if the columns do not have the stored types.
    pub fn rows(
        &self,
        hashes: UInt64Array,
        times: UInt64Array,
        removed: Option<BooleanArray>,
        keys: ArrayRef,
        states: ArrayRef,
    ) -> Result<RecordBatch, StateError> {
        let removed = removed.unwrap_or_else(|| vec![false; hashes.len()].into());
        let columns: Vec<ArrayRef> = vec![Arc::new(hashes), Arc::new(times), Arc::new(removed), keys, states];
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }

    /// The pairs of key and state of rows without removed keys.
    ///
    /// # Errors
    /// Returns an error if a state is absent that must be there.
    pub fn pairs(&self, live: &RecordBatch) -> Result<RecordBatch, StateError> {
        let columns = vec![live.column(KEY).clone(), live.column(STATE).clone()];
        Ok(RecordBatch::try_new(self.pair.arrow().clone(), columns)?)
    }

    /// Makes a column in which a state may be absent. `exists` says which states exist; if `exists` is `None`, all
    /// states exist. In `states`, the values of all other states are absent already.
    pub fn optional(&self, states: ArrayRef, exists: Option<NullBuffer>) -> ArrayRef {
        match &self.wrapped {
            None => states,
            Some(fields) => Arc::new(StructArray::new(fields.clone(), vec![states], exists)),
        }
    }

    /// Takes apart a column in which a state may be absent: returns the states, and which of them exist.
    pub fn states(&self, optional: &ArrayRef) -> (ArrayRef, Option<NullBuffer>) {
        let exists = optional.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
        match (&self.wrapped, optional.as_struct_opt()) {
            (Some(_), Some(wrapped)) => (wrapped.column(0).clone(), exists),
            _ => (optional.clone(), exists),
        }
    }

    /// A column with one state, which is absent.
    pub fn no_state(&self) -> ArrayRef {
        new_null_array(self.schema.field(STATE).data_type(), 1)
    }

    /// Looks at rows of state.
    pub(super) fn open(&self, rows: RecordBatch) -> Open {
        let (hashes, times) = (rows.column(HASH).as_primitive::<UInt64Type>(), rows.column(TIME).as_primitive());
        let (hashes, times, removed) = (hashes.clone(), times.clone(), rows.column(REMOVED).as_boolean().clone());
        Open { rows, hashes, times, removed, encoder: self.encoder.clone(), keys: OnceCell::new() }
    }
}

impl Open {
    /// The encodings of the keys.
    pub fn keys(&self) -> Result<&EncodedKeys, ViewError> {
        if let Some(keys) = self.keys.get() {
            return Ok(keys);
        }
        let keys = self.encoder.encode_column(self.rows.column(KEY))?;
        Ok(self.keys.get_or_init(|| keys))
    }
}

/// The hashes of rows of state.
pub fn hashes(rows: &RecordBatch) -> &UInt64Array {
    rows.column(HASH).as_primitive()
}

/// The smallest and the largest hash of sorted rows of state. `None` if there are no rows.
pub fn hash_range(rows: &RecordBatch) -> Option<(u64, u64)> {
    let hashes = hashes(rows).values();
    Some((*hashes.first()?, *hashes.last()?))
}

/// The times of rows of state.
pub fn times(rows: &RecordBatch) -> &UInt64Array {
    rows.column(TIME).as_primitive()
}

/// Whether the key of each row was removed.
pub fn removed(rows: &RecordBatch) -> &BooleanArray {
    rows.column(REMOVED).as_boolean()
}

/// The keys of rows of state.
pub fn keys(rows: &RecordBatch) -> &ArrayRef {
    rows.column(KEY)
}

/// The states of rows of state.
pub fn states(rows: &RecordBatch) -> &ArrayRef {
    rows.column(STATE)
}

/// The rows of keys that were not removed.
///
/// # Errors
/// Returns an error if Arrow cannot make the columns.
pub fn live(rows: &RecordBatch) -> Result<RecordBatch, StateError> {
    let removed = removed(rows);
    if removed.true_count() == 0 { Ok(rows.clone()) } else { Ok(filter_record_batch(rows, &not(removed)?)?) }
}
