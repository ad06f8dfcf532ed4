//! Enums whose variants hold no data as keys. The key has the encoding of a text: the name of the variant.

use crate::key::{decode_bytes, encode_bytes};
use crate::record::choice::{Choice, name_of, position_of, unknown};

/// Encodes a value as a text: the name of its variant.
pub fn encode<T: Choice>(value: &T, last: bool, out: &mut Vec<u8>) {
    encode_bytes(name_of(value).as_bytes(), last, out);
}

/// Compares two values by the names of their variants.
pub fn compare<T: Choice>(a: &T, b: &T) -> std::cmp::Ordering {
    name_of(a).cmp(name_of(b))
}

/// Decodes the value that `bytes` begins with, and removes its encoding from the front of `bytes`.
///
/// # Panics
/// If `bytes` begins with the encoding of another type.
pub fn decode<T: Choice>(bytes: &mut &[u8], last: bool) -> T {
    let name = decode_bytes(bytes, last);
    position_of::<T>(name).and_then(T::at).unwrap_or_else(|| panic!("{}", unknown::<T>(name)))
}
