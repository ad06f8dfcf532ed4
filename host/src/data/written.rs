//! The largest size of rows when they are written as text, CSV or JSON.
//!
//! Owns an upper bound that follows from type and length alone. A row of a few bytes can become a text many times as
//! long, so a writer reserves the memory of the bound first. Never writes anything.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use std::ops::Range;

/// The most bytes of a number, a date or a time, in any form. The longest is a decimal in quotes.
const NUMBER_BYTES: usize = 48;
/// The most bytes around a value: brackets, separators, `Some` and `None`.
const AROUND_BYTES: usize = 10;
/// The most bytes that one byte of text becomes when it is escaped, as in `\u{1b}`.
const ESCAPED_BYTES: usize = 6;

/// The most bytes that these rows take as text, as CSV or as JSON, all together.
pub fn written_bytes_max(batch: &RecordBatch, rows: Range<usize>) -> usize {
    let schema = batch.schema_ref();
    let column = |(field, column): (&_, &ArrayRef)| named(field, rows.len()) + bytes(column, rows.clone());
    let columns = schema.fields().iter().map(|field| field.name().as_str()).zip(batch.columns()).map(column);
    columns.fold(AROUND_BYTES * rows.len(), usize::saturating_add)
}

/// The most bytes that the name of a member takes in this many rows.
fn named(name: &str, rows: usize) -> usize {
    (name.len() * ESCAPED_BYTES + AROUND_BYTES).saturating_mul(rows)
}

/// The most bytes that the values of these rows take.
fn bytes(array: &ArrayRef, rows: Range<usize>) -> usize {
    let count = rows.len();
    let within = |offsets: &[i32]| {
        let at = |row: usize| offsets.get(row).map_or(0, |&offset| usize::try_from(offset).unwrap_or_default());
        at(rows.start)..at(rows.end)
    };
    let values = match array.data_type() {
        DataType::Utf8 => array.as_string_opt::<i32>().map_or(0, |array| within(array.value_offsets()).len()),
        DataType::Binary => array.as_binary_opt::<i32>().map_or(0, |array| within(array.value_offsets()).len()),
        DataType::List(_) => {
            let items = array.as_list_opt::<i32>().map_or(0, |list| {
                let items = within(list.value_offsets());
                bytes(list.values(), items)
            });
            return items.saturating_add(AROUND_BYTES * count);
        }
        DataType::Struct(_) => {
            let members = array.as_struct_opt().map_or(0, |members| {
                let names = members.fields().iter().map(|field| field.name().as_str());
                let member = |(name, column): (&str, &ArrayRef)| named(name, count) + bytes(column, rows.clone());
                names.zip(members.columns()).map(member).fold(0, usize::saturating_add)
            });
            return members.saturating_add(AROUND_BYTES * count);
        }
        _ => return (NUMBER_BYTES + AROUND_BYTES).saturating_mul(count),
    };
    values.saturating_mul(ESCAPED_BYTES).saturating_add(AROUND_BYTES * count)
}

#[cfg(test)]
mod tests {
    use super::super::arbitrary::rows;
    use super::super::csv::CsvWriter;
    use super::super::json::{ObjectWriter, row_to_json};
    use super::super::text::write_row;
    use super::*;
    use crate::shown::escape_control;
    use proptest::prelude::*;

    proptest! {
        /// However a row is written, it is not longer than the bound.
        #[test]
        fn no_row_is_longer((ty, values, batch) in rows(6)) {
            for row in 0..values.len() {
                let most = written_bytes_max(&batch, row..row + 1);
                let mut text = String::new();
                write_row(&batch, &ty, row, &mut text).unwrap();
                prop_assert!(escape_control(&text).len() <= most, "{text}");
                prop_assert!(row_to_json(&batch, &ty, row).unwrap().to_string().len() <= most);
                let mut object = String::new();
                ObjectWriter::new(&batch, &ty).unwrap().write(row, &mut object).unwrap();
                prop_assert!(object.len() <= most, "{object}");
                let mut line = String::new();
                CsvWriter::new(&batch, &ty).unwrap().write(row, &mut line).unwrap();
                prop_assert!(line.len() <= most, "{line}");
            }
        }
    }
}
