//! Records in serde's encoding: types without columns, such as enums whose variants hold data. A value is encoded as
//! bytes.
//!
//! Owns the encoding, which is postcard's (its wire format is specified). Owns also the metadata that the host gets
//! about the type: `type`, `version` and `structure`, as `wit/types.wit` says. If a value cannot be decoded, its chunk
//! is malformed.

use super::variable::{BytesBuilder, BytesColumn, show_bytes};
use super::{Builder, ChunkReader, ChunkWriter, Column, Field, Malformed};
use crate::record::Bytes;
use crate::text::Text;
use ::serde::de::{DeserializeOwned, Error, SeqAccess, Visitor};
use ::serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::Cell;
use std::fmt;

/// A type whose values are encoded with serde. `#[derive(Record)]` with `#[record(serde)]` implements the trait.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a record in serde's encoding",
    note = "`#[derive(serde::Serialize, serde::Deserialize, millstream::Record)]` and `#[record(serde)]`"
)]
pub trait SerdeRecord: Serialize + DeserializeOwned + 'static {
    /// The name of the type.
    const TYPE: &'static str;
    /// The version of the type, which its author counts.
    const VERSION: u32;
    /// The hash of the structure of the type.
    const STRUCTURE: &'static str;
}

/// Makes the field of a type: bytes, with the metadata that identifies the type.
pub fn field<T: SerdeRecord>(name: &str) -> Field {
    let metadata =
        vec![("type", T::TYPE.to_owned()), ("version", T::VERSION.to_string()), ("structure", T::STRUCTURE.to_owned())];
    Field { metadata, ..Field::leaf(name, "bytes") }
}

/// Appends the encoding of a value.
///
/// # Panics
/// If serde cannot encode the value: its `Serialize` returned an error, or needs another format.
pub(crate) fn encode<T: SerdeRecord>(value: &T, out: &mut Vec<u8>) {
    match postcard::to_extend(value, std::mem::take(out)) {
        Ok(bytes) => *out = bytes,
        Err(error) => panic!("a `{}` cannot be encoded: {}", T::TYPE, explain(&error)),
    }
}

/// Decodes a value.
///
/// # Errors
/// If the bytes are not the encoding of a value of this type.
pub(crate) fn decode<T: SerdeRecord>(bytes: &[u8]) -> Result<T, String> {
    let refused = |why: &str| format!("{} bytes are no `{}` of version {}: {why}", bytes.len(), T::TYPE, T::VERSION);
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(refused(&format!("{} bytes are left over", rest.len()))),
        Err(error) => Err(refused(&explain(&error))),
    }
}

fn explain(error: &postcard::Error) -> String {
    match error {
        postcard::Error::WontImplement | postcard::Error::SerializeSeqLengthUnknown => format!(
            "{error}: the type needs a format that names what it holds, as JSON does, and this compact one does not"
        ),
        _ => error.to_string(),
    }
}

/// A column of values that were decoded when their chunk was read.
pub struct SerdeColumn<T> {
    bytes: BytesColumn<T>,
    /// The value of each row, which is given away only once. `None` if the row has no bytes, as where an optional value
    /// is absent.
    values: Vec<Cell<Option<T>>>,
}

impl<T: SerdeRecord> Column for SerdeColumn<T> {
    type Item = T;
    fn read(source: &mut ChunkReader, rows: usize, _: bool) -> Result<Self, Malformed> {
        let bytes = BytesColumn::read_pieces(source, rows)?;
        let value = |row| match bytes.piece(row) {
            [] => Ok(Cell::new(None)),
            piece => decode(piece).map(|value| Cell::new(Some(value))).map_err(|error| Malformed(error.into())),
        };
        let values = (0..rows).map(value).collect::<Result<_, _>>()?;
        Ok(Self { bytes, values })
    }
    fn get(&self, row: usize) -> T {
        let decoded = || decode(self.bytes.piece(row)).unwrap_or_else(|error| panic!("{error}"));
        self.values[row].take().unwrap_or_else(decoded)
    }
}

/// Collects encoded values, one for each row.
pub struct SerdeBuilder<T> {
    bytes: BytesBuilder<T>,
    scratch: Vec<u8>,
}

impl<T> Default for SerdeBuilder<T> {
    fn default() -> Self {
        Self { bytes: BytesBuilder::default(), scratch: Vec::new() }
    }
}

impl<T: SerdeRecord> Builder for SerdeBuilder<T> {
    type Item = T;
    fn push(&mut self, item: T) {
        self.scratch.clear();
        encode(&item, &mut self.scratch);
        self.bytes.push_bytes(&self.scratch);
    }
    fn push_absent(&mut self) {
        self.bytes.push_bytes(&[]);
    }
    fn bytes(&self) -> usize {
        self.bytes.held()
    }
    fn write(&mut self, out: &mut ChunkWriter, _: bool) {
        self.bytes.write_pieces(out);
    }
}

/// Appends the value in the form in which the host prints it: the bytes of its encoding.
pub fn show<T: SerdeRecord>(value: &T, out: &mut String) {
    let mut bytes = Vec::new();
    encode(value, &mut bytes);
    show_bytes(&bytes, out);
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BytesVisitor)
    }
}

/// Visits bytes in every form in which a format gives them.
struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }
    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes(bytes.to_vec()))
    }
    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(Bytes(bytes))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Bytes, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = items.next_element()? {
            bytes.push(byte);
        }
        Ok(Bytes(bytes))
    }
}
