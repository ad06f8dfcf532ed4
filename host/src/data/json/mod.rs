//! Rows as JSON: the form of queue files and of tests, and the form that tools read.
//!
//! Owns which JSON value represents which value of a type. The type directs the reading, so no value is guessed. An
//! object that has a name twice is refused.
//!
//! | type | JSON |
//! |---|---|
//! | `bool`, numbers | boolean, number; a float may also be `"NaN"`, `"Infinity"` or `"-Infinity"` |
//! | `text` | string |
//! | `bytes` | string of hexadecimal digits, two a byte |
//! | dates and times | string, as [`super::temporal`] writes it |
//! | `decimal(..)` | string of digits, as `"-12.50"`; a number is read, too, if it has at most 15 digits |
//! | `list`, tuple | array |
//! | enum whose variants hold data | `"Start"`, and `{"Moved": ..}` for a variant with data |
//! | other `struct` | object; a member that may be absent may be left out |
//! | absent value | `null` |

mod named;
mod objects;
mod read;
mod strict;
mod write;

#[cfg(test)]
mod tests;

pub use named::named_records;
pub use objects::ObjectWriter;
pub(in crate::data) use objects::write_value;
pub use read::records;
pub use strict::parse;
pub use write::row_to_json;

/// Why JSON values are no rows of a type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// A value of the wrong form.
    #[error("record {record}{}: expected {expected}, found {found}", at(.path))]
    Value {
        /// The record, counted from 0.
        record: usize,
        /// The place in the record, such as `1[2].name`; empty for the record itself.
        path: String,
        /// The type, or what is missing.
        expected: String,
        /// The value that was found, shortened.
        found: String,
    },
    /// There is more text, or there are more bytes or list items, than one column can hold.
    #[error("the records are too large: a column of one data set holds at most 2147483647 bytes or list items")]
    TooLarge,
    /// Arrow refused columns that the host had checked: a defect of the host.
    #[error("arrow refuses the columns: {0}")]
    Arrow(String),
}

fn at(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" at `{path}`") }
}
