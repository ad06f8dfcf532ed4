//! Enums without data as keys: the encoding of the text that they travel as.

use crate::key::{decode_bytes, encode_bytes};
use crate::record::choice::{Choice, name_of, position_of, unknown};

/// Encodes a value as the text that it travels as.
pub fn encode<T: Choice>(value: &T, last: bool, out: &mut Vec<u8>) {
    encode_bytes(name_of(value).as_bytes(), last, out);
}

/// Compares two values by their names.
pub fn compare<T: Choice>(a: &T, b: &T) -> std::cmp::Ordering {
    name_of(a).cmp(name_of(b))
}

/// Takes a value off the front of its encoding.
///
/// # Panics
/// If the encoding is of another type.
pub fn decode<T: Choice>(bytes: &mut &[u8], last: bool) -> T {
    let name = decode_bytes(bytes, last);
    position_of::<T>(name).and_then(T::at).unwrap_or_else(|| panic!("{}", unknown::<T>(name)))
}
