//! Enums as keys. The key of an enum without data has the encoding of a text: the name of the variant. The key of an enum
//! with data begins with this text.

use crate::key::{decode_bytes, encode_bytes};
use crate::record::choice::{Choice, Named, name_of, position_of, unknown};

/// Encodes the name of a value's variant as a text.
pub fn encode<T: Named>(value: &T, last: bool, out: &mut Vec<u8>) {
    encode_bytes(name_of(value).as_bytes(), last, out);
}

/// Compares two values by the names of their variants.
pub fn compare<T: Named>(a: &T, b: &T) -> std::cmp::Ordering {
    name_of(a).cmp(name_of(b))
}

/// Decodes the position of the variant that `bytes` begins with, and removes its encoding from the front of `bytes`.
///
/// # Panics
/// If `bytes` begins with the encoding of another type.
pub fn decode_position<T: Named>(bytes: &mut &[u8], last: bool) -> usize {
    let name = decode_bytes(bytes, last);
    position_of::<T>(name).unwrap_or_else(|| panic!("{}", unknown::<T>(name)))
}

/// Decodes the value that `bytes` begins with, and removes its encoding from the front of `bytes`.
///
/// # Panics
/// If `bytes` begins with the encoding of another type.
pub fn decode<T: Choice>(bytes: &mut &[u8], last: bool) -> T {
    T::at(decode_position::<T>(bytes, last)).unwrap_or_else(|| panic!("{}", unknown::<T>(b"")))
}
