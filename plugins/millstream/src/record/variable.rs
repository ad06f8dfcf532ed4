//! Records whose values vary in size: text and bytes. Also records made of other records: options and tuples.

use super::bool_record::{BitBuilder, BitColumn};
use super::{Builder, ChunkReader, ChunkWriter, Column, Field, Malformed, Record};
use crate::text::Text;
use std::fmt::Write as _;
use std::rc::Rc;

/// Offsets into a list of items. The items of row `n` are at `offset(n)..offset(n + 1)`.
pub(super) struct Offsets {
    data: Rc<Vec<u8>>,
    start: usize,
}

impl Offsets {
    pub(super) fn read(source: &mut ChunkReader, rows: usize) -> Result<Self, Malformed> {
        let range = source.buffer()?;
        if rows > 0 && range.len() < (rows + 1).saturating_mul(4) {
            return Err(Malformed::from("an offsets buffer is too short for its rows"));
        }
        Ok(Self { data: Rc::clone(&source.data), start: range.start })
    }

    #[inline(always)]
    pub(super) fn get(&self, at: usize) -> usize {
        let at = self.start + at * 4;
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.data[at..at + 4]);
        u32::from_le_bytes(bytes) as usize
    }
}

/// Appends the end of a row to an offsets buffer, whose first offset is 0.
#[inline]
pub(super) fn push_offset(offsets: &mut Vec<u8>, end: usize) {
    if offsets.is_empty() {
        offsets.extend_from_slice(&[0; 4]);
    }
    offsets.extend_from_slice(&(end as u32).to_le_bytes());
}

/// A column of texts or bytes, one piece for each row.
pub struct BytesColumn<T> {
    offsets: Offsets,
    data: Rc<Vec<u8>>,
    start: usize,
    kind: std::marker::PhantomData<T>,
}

/// Collects texts or bytes, one piece for each row.
pub struct BytesBuilder<T> {
    offsets: Vec<u8>,
    bytes: Vec<u8>,
    kind: std::marker::PhantomData<T>,
}

impl<T> Default for BytesBuilder<T> {
    fn default() -> Self {
        Self { offsets: Vec::new(), bytes: Vec::new(), kind: std::marker::PhantomData }
    }
}

impl<T> BytesBuilder<T> {
    /// Appends a row of these bytes. The bytes must be valid for the type.
    #[inline]
    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        push_offset(&mut self.offsets, self.bytes.len());
    }

    /// About how many bytes the rows take.
    #[inline]
    pub(crate) fn held(&self) -> usize {
        self.bytes.len() + self.offsets.len()
    }

    /// Moves the rows into a chunk as a column of text or bytes, and leaves the builder empty.
    pub(crate) fn write_pieces(&mut self, out: &mut ChunkWriter) {
        out.field();
        out.buffer(&self.offsets);
        out.buffer(&self.bytes);
        self.offsets.clear();
        self.bytes.clear();
    }
}

/// Appends two lower-case hexadecimal digits for each byte, as `print` shows bytes.
pub(crate) fn show_bytes(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
}

/// Bytes whose meaning the host does not know. They are printed as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub Vec<u8>);

macro_rules! bytes_record {
    ($($type:ty, $kind:literal, |$self:ident, $row:ident| $get:expr, |$item:ident| $bytes:expr, |$value:ident, $out:ident| $show:expr;)*) => {$(
        impl Record for $type {
            type Column = BytesColumn<$type>;
            type Builder = BytesBuilder<$type>;
            fn describe(name: &str, fields: &mut Vec<Field>) {
                fields.push(Field::leaf(name, $kind));
            }
            fn show(&self, $out: &mut String) {
                let $value = self;
                $show;
            }
        }

        impl Column for BytesColumn<$type> {
            type Item = $type;
            fn read(source: &mut ChunkReader, rows: usize, _: bool) -> Result<Self, Malformed> {
                Self::read_pieces(source, rows)
            }
            // Inlined by force: in a component, a call would cost more than the work of this function.
            #[inline(always)]
            fn get(&$self, $row: usize) -> Self::Item {
                $get
            }
        }

        impl Builder for BytesBuilder<$type> {
            type Item = $type;
            #[inline]
            fn push(&mut self, $item: $type) {
                self.push_bytes($bytes);
            }
            fn push_absent(&mut self) {
                self.push_bytes(&[]);
            }
            #[inline]
            fn bytes(&self) -> usize {
                self.held()
            }
            fn write(&mut self, out: &mut ChunkWriter, _: bool) {
                self.write_pieces(out);
            }
        }
    )*};
}

impl<T> BytesColumn<T> {
    /// Reads the buffers of a column of text or bytes.
    pub(crate) fn read_pieces(source: &mut ChunkReader, rows: usize) -> Result<Self, Malformed> {
        source.buffer()?;
        let offsets = Offsets::read(source, rows)?;
        let bytes = source.buffer()?;
        if rows > 0 && offsets.get(rows) > bytes.len() {
            return Err(Malformed::from("an offset lies outside of its bytes"));
        }
        Ok(Self { offsets, data: Rc::clone(&source.data), start: bytes.start, kind: std::marker::PhantomData })
    }

    /// The bytes of a row. `row` is less than the number of rows that the column was read with.
    pub(crate) fn piece(&self, row: usize) -> &[u8] {
        let (start, end) = self.range(row);
        &self.data[start..end]
    }

    #[inline(always)]
    fn range(&self, row: usize) -> (usize, usize) {
        (self.start + self.offsets.get(row), self.start + self.offsets.get(row + 1))
    }
}

bytes_record! {
    Text, "text",
        |self, row| {
            let (start, end) = self.range(row);
            // SAFETY: the host checks every text that it sends, and `Builder` for text only receives whole texts.
            unsafe { Text::from_shared(Rc::clone(&self.data), start, end) }
        },
        |item| item.as_bytes(),
        |value, out| out.push_str(value);
    String, "text",
        |self, row| {
            let (start, end) = self.range(row);
            String::from_utf8_lossy(&self.data[start..end]).into_owned()
        },
        |item| item.as_bytes(),
        |value, out| out.push_str(value);
    Bytes, "bytes",
        |self, row| {
            let (start, end) = self.range(row);
            Bytes(self.data[start..end].to_vec())
        },
        |item| &item.0,
        |value, out| show_bytes(&value.0, out);
    char, "text",
        |self, row| {
            let (start, end) = self.range(row);
            single_char(&self.data[start..end])
        },
        |item| item.encode_utf8(&mut [0; 4]).as_bytes(),
        |value, out| out.push(*value);
    (), "text",
        |self, row| {
            let (start, end) = self.range(row);
            check_unit(&self.data[start..end]);
        },
        |_item| UNIT,
        |_value, out| out.push_str("()");
}

/// The text as which `()` travels.
pub(crate) const UNIT: &[u8] = b"()";

/// Panics if a text is not that of `()`.
fn check_unit(text: &[u8]) {
    assert!(text == UNIT, "{:?} is not `()`: the record has a `()` here", String::from_utf8_lossy(text));
}

/// The only character of a text.
fn single_char(text: &[u8]) -> char {
    let text = String::from_utf8_lossy(text);
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(only), None) => only,
        _ => panic!("{text:?} is not a single character: the record has a `char` here"),
    }
}

/// Reads the buffers of a struct that come before the buffers of its members.
pub fn read_group(source: &mut ChunkReader, root: bool) -> Result<(), Malformed> {
    if !root {
        source.buffer()?;
    }
    Ok(())
}

/// Writes the buffers of a struct that come before the buffers of its members.
pub fn write_group(out: &mut ChunkWriter, root: bool) {
    if !root {
        out.field();
    }
}

/// A column of values that may be absent.
pub struct OptionColumn<T: Record> {
    present: Option<BitColumn>,
    values: T::Column,
}

/// Collects values that may be absent.
pub struct OptionBuilder<T: Record> {
    present: BitBuilder,
    values: T::Builder,
}

impl<T: Record> Default for OptionBuilder<T> {
    fn default() -> Self {
        Self { present: BitBuilder::default(), values: T::Builder::default() }
    }
}

impl<T: Record> Record for Option<T> {
    type Column = OptionColumn<T>;
    type Builder = OptionBuilder<T>;
    const NULLABLE: bool = true;

    /// Describes the option. An option of an option is a struct that may be absent and has one field.
    fn describe(name: &str, fields: &mut Vec<Field>) {
        if T::NULLABLE {
            fields.push(Field { nullable: true, ..Field::group(name, 1) });
            T::describe("value", fields);
        } else {
            let at = fields.len();
            T::describe(name, fields);
            fields[at].nullable = true;
        }
    }

    fn show(&self, out: &mut String) {
        match self {
            Some(value) => {
                out.push_str("Some(");
                value.show(out);
                out.push(')');
            }
            None => out.push_str("None"),
        }
    }
}

impl<T: Record> Column for OptionColumn<T> {
    type Item = Option<T>;
    fn read(source: &mut ChunkReader, rows: usize, _: bool) -> Result<Self, Malformed> {
        let bits = source.buffer()?;
        let present = (!bits.is_empty()).then(|| BitColumn::new(Rc::clone(&source.data), bits.start));
        if present.is_some() && bits.len() < rows.div_ceil(8) {
            return Err(Malformed::from("a validity bitmap is too short for its rows"));
        }
        if !T::NULLABLE {
            source.put_back();
        }
        Ok(Self { present, values: T::Column::read(source, rows, false)? })
    }
    #[inline]
    fn get(&self, row: usize) -> Option<T> {
        self.present.as_ref().is_none_or(|bits| bits.bit(row)).then(|| self.values.get(row))
    }
}

impl<T: Record> Builder for OptionBuilder<T> {
    type Item = Option<T>;
    #[inline]
    fn push(&mut self, item: Option<T>) {
        self.present.bit(item.is_some());
        match item {
            Some(value) => self.values.push(value),
            None => self.values.push_absent(),
        }
    }
    fn push_absent(&mut self) {
        self.push(None);
    }
    fn bytes(&self) -> usize {
        self.present.bytes() + self.values.bytes()
    }
    fn write(&mut self, out: &mut ChunkWriter, _: bool) {
        out.set_validity(self.present.take());
        if T::NULLABLE {
            out.field();
        }
        self.values.write(out, false);
    }
}

macro_rules! tuple_record {
    ($(($count:literal; $($type:ident $at:tt $name:literal),+);)*) => {$(
        impl<$($type: Record),+> Record for ($($type,)+) {
            type Column = ($($type::Column,)+);
            type Builder = ($($type::Builder,)+);
            const FLAT: bool = true;
            fn describe(name: &str, fields: &mut Vec<Field>) {
                fields.push(Field::group(name, $count));
                $($type::describe($name, fields);)+
            }
            fn show(&self, out: &mut String) {
                out.push('(');
                $(
                    if $at > 0 {
                        out.push(',');
                    }
                    self.$at.show(out);
                )+
                out.push(')');
            }
        }

        impl<$($type: Column),+> Column for ($($type,)+) {
            type Item = ($($type::Item,)+);
            fn read(source: &mut ChunkReader, rows: usize, root: bool) -> Result<Self, Malformed> {
                read_group(source, root)?;
                Ok(($($type::read(source, rows, false)?,)+))
            }
            #[inline]
            fn get(&self, row: usize) -> Self::Item {
                ($(self.$at.get(row),)+)
            }
        }

        impl<$($type: Builder),+> Builder for ($($type,)+) {
            type Item = ($($type::Item,)+);
            #[inline]
            fn push(&mut self, item: Self::Item) {
                $(self.$at.push(item.$at);)+
            }
            fn push_absent(&mut self) {
                $(self.$at.push_absent();)+
            }
            #[inline]
            fn bytes(&self) -> usize {
                0 $(+ self.$at.bytes())+
            }
            fn write(&mut self, out: &mut ChunkWriter, root: bool) {
                write_group(out, root);
                $(self.$at.write(out, false);)+
            }
        }
    )*};
}

tuple_record! {
    (1; A 0 "0");
    (2; A 0 "0", B 1 "1");
    (3; A 0 "0", B 1 "1", C 2 "2");
    (4; A 0 "0", B 1 "1", C 2 "2", D 3 "3");
    (5; A 0 "0", B 1 "1", C 2 "2", D 3 "3", E 4 "4");
    (6; A 0 "0", B 1 "1", C 2 "2", D 3 "3", E 4 "4", F 5 "5");
}
