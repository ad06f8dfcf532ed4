//! [`Record`]: what an element of a stream can be, and how its values lie in columns.
//!
//! Owns the trait and the types of Rust that have it. Never knows operators or the boundary.

use crate::chunk::{Chunk, ChunkReader, ChunkWriter, Malformed};

/// One field of a row type, as `wit/types.wit` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name; what a tuple or list names by itself is `0`, `1` and so on, and `item`.
    pub name: String,
    /// What its values are.
    pub kind: &'static str,
    /// Whether a value may be absent.
    pub nullable: bool,
    /// How many of the fields that follow are its own.
    pub children: u32,
    /// What identifies a type that travels as bytes.
    pub metadata: Vec<(&'static str, String)>,
}

impl Field {
    /// A field without children.
    pub fn leaf(name: &str, kind: &'static str) -> Self {
        Self { name: name.to_owned(), kind, nullable: false, children: 0, metadata: Vec::new() }
    }

    /// A struct, whose members follow.
    pub fn group(name: &str, members: u32) -> Self {
        Self { children: members, ..Self::leaf(name, "struct") }
    }
}

/// A type that elements of a stream can have: booleans, numbers, text, bytes, options, lists and tuples of them, and
/// types of your own with `#[derive(Record)]`.
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
/// | any type with `#[record(serde)]` | bytes, in serde's encoding |
///
/// What has no columns, such as an enum whose variants hold data, a type that contains itself or a type of another
/// crate, travels in serde's encoding:
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
/// The host is told the type's name, its `version` (1 if none is given) and a hash of its structure. The hash is
/// computed from the definition as it is written: field and variant names, types of fields and serde's attributes. It
/// does not follow the types that the definition names: when one of those changes, count `version` up.
///
/// The encoding is [postcard's](https://postcard.jamesmunns.com/wire-format), which is compact and does not name what it
/// holds: serde's `untagged`, `tag`, `flatten` and `skip_serializing_if` cannot be used with it.
///
/// An enum with data and without `#[record(serde)]` is refused:
///
/// ```compile_fail
/// #[derive(millstream::Record)]
/// enum Event {
///     Start,
///     Moved { by: i64 },
/// }
/// ```
///
/// So is a type that borrows, and one with type parameters:
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
    /// Values of this type, as they came in a chunk.
    type Column: Column<Item = Self>;
    /// Values of this type, on their way into a chunk.
    type Builder: Builder<Item = Self>;
    /// Whether the type has a value that stands for absence.
    const NULLABLE: bool = false;
    /// Whether values at the root are laid out as several columns. True for tuples.
    const FLAT: bool = false;

    /// Appends this type's fields in pre-order, the first of them called `name`.
    fn describe(name: &str, fields: &mut Vec<Field>);

    /// Appends the value as `print` shows it.
    fn show(&self, out: &mut String);
}

/// Reads values of one type from a chunk.
pub trait Column: Sized + 'static {
    /// The type.
    type Item;
    /// Takes the buffers that belong to this column. `root` is true for the row type itself.
    fn read(source: &mut ChunkReader, rows: usize, root: bool) -> Result<Self, Malformed>;
    /// The value of a row below the number of rows that the column was read with.
    fn get(&self, row: usize) -> Self::Item;
}

/// Collects values of one type for a chunk.
pub trait Builder: Default + 'static {
    /// The type.
    type Item;
    /// Appends a value.
    fn push(&mut self, item: Self::Item);
    /// Takes the place of an absent value.
    fn push_absent(&mut self);
    /// About how many bytes the values take.
    fn bytes(&self) -> usize;
    /// Moves the values into a chunk and is empty again. `root` is true for the row type itself.
    fn write(&mut self, out: &mut ChunkWriter, root: bool);
}

/// The fields of a row type.
pub(crate) fn fields_of<T: Record>() -> Vec<Field> {
    let mut fields = Vec::new();
    T::describe("value", &mut fields);
    fields
}

/// Reads all rows of a chunk as one column.
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

mod fixed {
    use super::*;
    use std::rc::Rc;

    /// Numbers, one after the other.
    pub struct FixedColumn<T> {
        data: Rc<Vec<u8>>,
        start: usize,
        kind: std::marker::PhantomData<T>,
    }

    /// Numbers, one after the other, little-endian.
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
        )*};
    }

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

    /// Writes a float as Java prints it: plain from 0.001 to below ten million, else with an exponent, and never with
    /// less than two digits. `two_digits` gives its closest form of two. The same as in the host's `data/text.rs`.
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
        // A last zero can only come from `two_digits`, and then the digit before it was all there is.
        let rest: String = digits.collect();
        out.push_str(rest.trim_end_matches('0'));
    }
}

mod bool_record {
    use super::*;
    use std::rc::Rc;

    /// One bit a row, least significant bit first.
    pub struct BitColumn {
        data: Rc<Vec<u8>>,
        start: usize,
    }

    /// One bit a row, least significant bit first.
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
#[cfg(feature = "serde")]
pub mod serde;
#[cfg(all(test, feature = "serde"))]
mod tests;
mod variable;

pub use variable::{Bytes, read_group, write_group};
