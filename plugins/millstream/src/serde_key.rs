//! Records through serde as keys: the encoding of the bytes that they travel as.

use crate::key::{decode_bytes, encode_bytes};
use crate::record::serde::{self, SerdeRecord};

/// Encodes a value as the bytes that it travels as.
pub fn encode<T: SerdeRecord>(value: &T, last: bool, out: &mut Vec<u8>) {
    if last {
        return serde::encode(value, out);
    }
    let mut bytes = Vec::new();
    serde::encode(value, &mut bytes);
    encode_bytes(&bytes, last, out);
}

/// Compares two values by the bytes that they travel as: those are all that the host sees of them.
pub fn compare<T: SerdeRecord>(a: &T, b: &T) -> std::cmp::Ordering {
    let bytes = |value| {
        let mut bytes = Vec::new();
        serde::encode(value, &mut bytes);
        bytes
    };
    bytes(a).cmp(&bytes(b))
}

/// Takes a value off the front of its encoding.
///
/// # Panics
/// If the encoding is of another type.
pub fn decode<T: SerdeRecord>(bytes: &mut &[u8], last: bool) -> T {
    serde::decode(decode_bytes(bytes, last)).unwrap_or_else(|error| panic!("{error}"))
}
