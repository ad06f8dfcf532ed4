//! Records in serde's encoding as keys. The key has the encoding of bytes: the bytes of the record's encoding.

use crate::key::{decode_bytes, encode_bytes};
use crate::record::serde::{self, SerdeRecord};

/// Encodes a value as bytes: the bytes of its encoding.
pub fn encode<T: SerdeRecord>(value: &T, last: bool, out: &mut Vec<u8>) {
    if last {
        return serde::encode(value, out);
    }
    let mut bytes = Vec::new();
    serde::encode(value, &mut bytes);
    encode_bytes(&bytes, last, out);
}

/// Compares two values by the bytes of their encodings, because the host sees only these bytes.
pub fn compare<T: SerdeRecord>(a: &T, b: &T) -> std::cmp::Ordering {
    let bytes = |value| {
        let mut bytes = Vec::new();
        serde::encode(value, &mut bytes);
        bytes
    };
    bytes(a).cmp(&bytes(b))
}

/// Decodes the value that `bytes` begins with, and removes its encoding from the front of `bytes`.
///
/// # Panics
/// If `bytes` begins with the encoding of another type.
pub fn decode<T: SerdeRecord>(bytes: &mut &[u8], last: bool) -> T {
    serde::decode(decode_bytes(bytes, last)).unwrap_or_else(|error| panic!("{error}"))
}
