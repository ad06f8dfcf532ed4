//! [`Record`]: the types that elements of a stream can have, and how their values are laid out in columns.
//!
//! Owns the trait, and its implementations for types of Rust. Never knows operators or the plugin boundary.

use crate::chunk::{Chunk, ChunkReader, ChunkWriter, Malformed};
use std::borrow::Cow;

/// One field of a row type, as `wit/types.wit` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name of the field. The members of a tuple are named `0`, `1` and so on, the item of a list `item`.
    pub name: String,
    /// The type of the field's values, by its name in `wit/types.wit`.
    pub kind: Cow<'static, str>,
    /// Whether the value may be absent.
    pub nullable: bool,
    /// How many of the fields that follow are children of this field.
    pub children: u32,
    /// Metadata that identifies a type whose values are encoded as bytes.
    pub metadata: Vec<(&'static str, String)>,
}

impl Field {
    /// Makes a field without children.
    pub fn leaf(name: &str, kind: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.to_owned(), kind: kind.into(), nullable: false, children: 0, metadata: Vec::new() }
    }

    /// Makes a struct field. The fields of its members follow it.
    pub fn group(name: &str, members: u32) -> Self {
        Self { children: members, ..Self::leaf(name, "struct") }
    }
}

/// A type that elements of a stream can have: booleans, numbers, text, bytes, dates, times, decimals, options, lists
/// and tuples of them, and types of your own with `#[derive(Record)]`.
///
/// ```
/// use millstream::{Key, Record, Text, testing};
///
/// #[derive(Record, Key, Clone, PartialEq, Debug)]
/// enum Level {
///     Info,
///     Error,
/// }
///
/// #[derive(Record, Clone, PartialEq, Debug)]
/// struct Line {
///     level: Level,
///     words: Vec<Text>,
/// }
///
/// let line = |level, text: &str| Line { level, words: Text::from(text).split(' ').collect() };
/// let lines = vec![vec![line(Level::Error, "a b"), line(Level::Info, "c"), line(Level::Error, "d")]];
/// let out = testing::run(lines, |lines| lines.map(|line| (line.level, line.words.len() as u64)).reduce_by_key(|a, b| a + b));
/// assert_eq!(out, [vec![(Level::Error, 3), (Level::Info, 1)]]);
/// ```
///
/// | type | travels as |
/// |---|---|
/// | struct | columns, named as the fields are; the fields must be records |
/// | enum whose variants hold no data | text: the name of the variant |
/// | enum whose variants hold data | a text `type`, and a column for the data of each variant |
/// | any type with `#[record(serde)]` | bytes, in serde's encoding |
///
/// Some types have no columns: a type that contains itself, a type of another crate. Values of such types are sent in
/// serde's encoding:
///
/// ```
/// use millstream::{Record, testing};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Record, Serialize, Deserialize, Clone, PartialEq, Debug)]
/// #[record(serde, version = 1)]
/// enum Event {
///     Start,
///     Moved { by: i64 },
/// }
///
/// let out = testing::run(vec![vec![0i64, 5]], |numbers| {
///     numbers.map(|n| if n == 0 { Event::Start } else { Event::Moved { by: n } })
/// });
/// assert_eq!(out, [vec![Event::Start, Event::Moved { by: 5 }]]);
/// ```
///
/// The host gets the type's name, its `version` (1 if none is given) and a hash of its structure. The hash is computed
/// from the definition as written: field and variant names, types of fields and serde's attributes. The hash does not
/// cover the definitions of other types that the definition names. When one of those types changes, increase `version`.
///
/// The encoding is [postcard's](https://postcard.jamesmunns.com/wire-format), which is compact and does not store names
/// or types. So serde's `untagged`, `tag`, `flatten` and `skip_serializing_if` cannot be used with this encoding.
///
/// A type that contains itself is refused without `#[record(serde)]`:
///
/// ```compile_fail
/// #[derive(millstream::Record)]
/// enum Tree {
///     Leaf(i64),
///     Node(Vec<Tree>),
/// }
/// ```
///
/// A type that borrows is refused, and so is a type with type parameters:
///
/// ```compile_fail
/// #[derive(millstream::Record)]
/// struct Line<'a> {
///     text: &'a str,
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be in a stream: it is not a `Record`",
    label = "not a record",
    note = "for a type of yours: `#[derive(millstream::Record)]`, or with serde's derives also `#[record(serde)]`",
    note = "for a type of another crate: put it into a struct of yours with `#[derive(Record)]` and `#[record(serde)]`",
    note = "instead of a `&str` use `Text`; instead of `usize` use `u64`; instead of a map use a list of pairs"
)]
pub trait Record: Sized + 'static {
    /// A column of values of this type, read from a chunk.
    type Column: Column<Item = Self>;
    /// A column of values of this type that is being built for a chunk.
    type Builder: Builder<Item = Self>;
    /// Whether the type has a value that means absence, as `None`.
    const NULLABLE: bool = false;
    /// Whether values of a row type are laid out as several columns. True for tuples.
    const FLAT: bool = false;

    /// Appends the fields of this type in pre-order. The first of them gets the name `name`.
    fn describe(name: &str, fields: &mut Vec<Field>);

    /// Appends the value in the form in which `print` shows it.
    fn show(&self, out: &mut String);
}

/// The type `X`, if `R` is a record. Otherwise it is no type at all: when a function returns what is no record, the
/// compiler says so once, and not again at each operator that follows.
pub type IfRecord<R, X> = <<R as Record>::Column as If<X>>::Then;

/// Makes [`IfRecord`] of the column of a record.
pub trait If<X> {
    /// The type `X`.
    type Then;
}

impl<C, X> If<X> for C {
    type Then = X;
}

/// Reads values of one type from a chunk.
pub trait Column: Sized + 'static {
    /// The type of the values.
    type Item;
    /// Reads the buffers that belong to this column. `root` is true if the type is the row type itself.
    fn read(source: &mut ChunkReader, rows: usize, root: bool) -> Result<Self, Malformed>;
    /// Returns the value of a row. `row` is less than the number of rows that the column was read with.
    fn get(&self, row: usize) -> Self::Item;
}

/// Collects values of one type for a chunk.
pub trait Builder: Default + 'static {
    /// The type of the values.
    type Item;
    /// Appends a value.
    fn push(&mut self, item: Self::Item);
    /// Appends a placeholder for an absent value.
    fn push_absent(&mut self);
    /// About how many bytes the collected values take.
    fn bytes(&self) -> usize;
    /// Moves the collected values into a chunk, and leaves the builder empty. `root` is true if the type is the row
    /// type itself.
    fn write(&mut self, out: &mut ChunkWriter, root: bool);
}

/// The fields of a row type.
pub(crate) fn fields_of<T: Record>() -> Vec<Field> {
    let mut fields = Vec::new();
    T::describe("value", &mut fields);
    fields
}

/// Reads all rows of a chunk as one column, and returns the column and the number of rows.
pub(crate) fn read_column<T: Record>(chunk: Chunk) -> Result<(T::Column, usize), Malformed> {
    let rows = chunk.rows as usize;
    let column = T::Column::read(&mut ChunkReader::new(chunk), rows, true)?;
    Ok((column, rows))
}

/// Moves the `rows` values of a builder into a chunk.
pub(crate) fn write_chunk<B: Builder>(builder: &mut B, rows: usize) -> Chunk {
    let mut writer = ChunkWriter::default();
    builder.write(&mut writer, true);
    writer.finish(rows)
}

/// Makes a chunk of rows, for tests.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn chunk_of<T: Record>(rows: Vec<T>) -> Chunk {
    let mut builder = T::Builder::default();
    let count = rows.len();
    rows.into_iter().for_each(|row| builder.push(row));
    write_chunk(&mut builder, count)
}

/// The rows of a chunk, for tests.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn rows_of<T: Record>(chunk: Chunk) -> Vec<T> {
    let (column, rows) = read_column::<T>(chunk).unwrap_or_else(|error| panic!("a chunk is malformed: {error}"));
    (0..rows).map(|row| column.get(row)).collect()
}

pub(crate) mod fixed {
    use super::*;
    use std::rc::Rc;

    /// A column of numbers.
    pub struct FixedColumn<T> {
        data: Rc<Vec<u8>>,
        start: usize,
        kind: std::marker::PhantomData<T>,
    }

    /// Collects numbers, little-endian.
    pub struct FixedBuilder<T> {
        bytes: Vec<u8>,
        kind: std::marker::PhantomData<T>,
    }

    impl<T> Default for FixedBuilder<T> {
        fn default() -> Self {
            Self { bytes: Vec::new(), kind: std::marker::PhantomData }
        }
    }

    macro_rules! fixed {
        ($($type:ty, $kind:literal, $width:literal, $show:expr;)*) => {$(
            fixed_columns!($type, $width);

            impl Record for $type {
                type Column = FixedColumn<$type>;
                type Builder = FixedBuilder<$type>;
                fn describe(name: &str, fields: &mut Vec<Field>) {
                    fields.push(Field::leaf(name, $kind));
                }
                fn show(&self, out: &mut String) {
                    let show: fn($type, &mut String) = $show;
                    show(*self, out);
                }
            }
        )*};
    }

    macro_rules! fixed_columns {
        ($type:ty, $width:literal) => {
            impl Column for FixedColumn<$type> {
                type Item = $type;
                fn read(source: &mut ChunkReader, rows: usize, _: bool) -> Result<Self, Malformed> {
                    source.buffer()?;
                    let values = source.buffer_of(rows.saturating_mul($width))?;
                    Ok(Self { data: Rc::clone(&source.data), start: values.start, kind: std::marker::PhantomData })
                }
                #[inline]
                fn get(&self, row: usize) -> $type {
                    let at = self.start + row * $width;
                    let mut bytes = [0; $width];
                    bytes.copy_from_slice(&self.data[at..at + $width]);
                    <$type>::from_le_bytes(bytes)
                }
            }

            impl Builder for FixedBuilder<$type> {
                type Item = $type;
                #[inline]
                fn push(&mut self, item: $type) {
                    self.bytes.extend_from_slice(&item.to_le_bytes());
                }
                fn push_absent(&mut self) {
                    self.bytes.extend_from_slice(&[0; $width]);
                }
                #[inline]
                fn bytes(&self) -> usize {
                    self.bytes.len()
                }
                fn write(&mut self, out: &mut ChunkWriter, _: bool) {
                    out.field();
                    out.buffer(&self.bytes);
                    self.bytes.clear();
                }
            }
        };
    }

    // Decimals travel as such numbers.
    fixed_columns!(i128, 16);

    fixed! {
        i8, "i8", 1, |n, out| out.push_str(&n.to_string());
        i16, "i16", 2, |n, out| out.push_str(&n.to_string());
        i32, "i32", 4, |n, out| out.push_str(&n.to_string());
        i64, "i64", 8, |n, out| out.push_str(&n.to_string());
        u8, "u8", 1, |n, out| out.push_str(&n.to_string());
        u16, "u16", 2, |n, out| out.push_str(&n.to_string());
        u32, "u32", 4, |n, out| out.push_str(&n.to_string());
        u64, "u64", 8, |n, out| out.push_str(&n.to_string());
        f32, "f32", 4, |n, out| {
            let two_digits = || Some(format!("{n:.1e}")).filter(|two| two.parse() == Ok(n));
            show_float(f64::from(n), &format!("{n:e}"), two_digits, out);
        };
        f64, "f64", 8, |n, out| {
            let two_digits = || Some(format!("{n:.1e}")).filter(|two| two.parse() == Ok(n));
            show_float(n, &format!("{n:e}"), two_digits, out);
        };
    }

    /// Writes a float as Java prints it: without an exponent from 0.001 to below ten million, and with an exponent
    /// otherwise. At least two digits are written. `two_digits` gives the closest form with two digits. The host does
    /// the same in `data/text.rs`.
    fn show_float(value: f64, shortest: &str, two_digits: impl FnOnce() -> Option<String>, out: &mut String) {
        if value.is_nan() {
            out.push_str("NaN");
            return;
        }
        if value.is_sign_negative() {
            out.push('-');
        }
        let magnitude = value.abs();
        if magnitude.is_infinite() {
            out.push_str("Infinity");
            return;
        }
        let replaced = if shortest.contains('.') { None } else { two_digits() };
        let scientific = replaced.as_deref().unwrap_or(shortest).trim_start_matches('-');
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
        if magnitude != 0.0 && !(1e-3..1e7).contains(&magnitude) {
            out.push_str(mantissa);
            if !mantissa.contains('.') {
                out.push_str(".0");
            }
            out.push('E');
            out.push_str(exponent);
            return;
        }
        let exponent: i32 = exponent.parse().unwrap_or_default();
        let mut digits = mantissa.bytes().filter(u8::is_ascii_digit).map(char::from);
        if exponent < 0 {
            out.push_str("0.");
            (1..exponent.unsigned_abs()).for_each(|_| out.push('0'));
        } else {
            (0..=exponent).for_each(|_| out.push(digits.next().unwrap_or('0')));
            out.push('.');
        }
        out.push(digits.next().unwrap_or('0'));
        // Only `two_digits` gives a form that ends with a zero. The digit before the zero was the only digit then.
        let rest: String = digits.collect();
        out.push_str(rest.trim_end_matches('0'));
    }
}

mod bool_record {
    use super::*;
    use std::rc::Rc;

    /// A column of bits, one for each row, least significant bit first.
    pub struct BitColumn {
        data: Rc<Vec<u8>>,
        start: usize,
    }

    /// Collects bits, one for each row, least significant bit first.
    #[derive(Default)]
    pub struct BitBuilder {
        bytes: Vec<u8>,
        rows: usize,
    }

    impl BitBuilder {
        pub(super) fn take(&mut self) -> Vec<u8> {
            self.rows = 0;
            std::mem::take(&mut self.bytes)
        }

        pub(super) fn bit(&mut self, set: bool) {
            if self.rows.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= u8::from(set) << (self.rows % 8);
            }
            self.rows += 1;
        }
    }

    impl BitColumn {
        pub(super) fn new(data: Rc<Vec<u8>>, start: usize) -> Self {
            Self { data, start }
        }

        #[inline]
        pub(super) fn bit(&self, row: usize) -> bool {
            self.data[self.start + row / 8] >> (row % 8) & 1 == 1
        }
    }

    impl Record for bool {
        type Column = BitColumn;
        type Builder = BitBuilder;
        fn describe(name: &str, fields: &mut Vec<Field>) {
            fields.push(Field::leaf(name, "bool"));
        }
        fn show(&self, out: &mut String) {
            out.push_str(if *self { "true" } else { "false" });
        }
    }

    impl Column for BitColumn {
        type Item = bool;
        fn read(source: &mut ChunkReader, rows: usize, _: bool) -> Result<Self, Malformed> {
            source.buffer()?;
            let bits = source.buffer_of(rows.div_ceil(8))?;
            Ok(Self::new(Rc::clone(&source.data), bits.start))
        }
        #[inline]
        fn get(&self, row: usize) -> bool {
            self.bit(row)
        }
    }

    impl Builder for BitBuilder {
        type Item = bool;
        fn push(&mut self, item: bool) {
            self.bit(item);
        }
        fn push_absent(&mut self) {
            self.bit(false);
        }
        fn bytes(&self) -> usize {
            self.bytes.len()
        }
        fn write(&mut self, out: &mut ChunkWriter, _: bool) {
            out.field();
            out.buffer(&self.take());
        }
    }
}

pub mod choice;
mod list;
#[cfg(feature = "serde")]
pub mod serde;
#[cfg(all(test, feature = "serde"))]
mod tests;
mod variable;

pub(crate) use variable::UNIT;
pub use variable::{Bytes, read_group, write_group};
