//! The form of everything that checkpoints hold: a header with kind, version, size and checksum, then bincode.
//!
//! Owns bincode: no other file names it. A document is the 24 bytes of its header and its payload; a log is documents,
//! one after the other. All numbers of the header are little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0 to 3 | the kind, four letters |
//! | 4, 5 | the version of the payload |
//! | 6, 7 | zero |
//! | 8 to 15 | the size of the payload |
//! | 16 to 23 | XXH3-64 of bytes 0 to 15 and the payload |
//!
//! The payload is bincode 2 with variable-length integers. Decoding never trusts a length: a document of whatever bytes
//! becomes a value or an error.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::data::checksum::Checksum;
use crate::data::key::hash;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The size of a header.
const HEADER_BYTES: usize = 24;
/// The largest payload that is read or written.
const PAYLOAD_BYTES_MAX: usize = 256 << 20;

/// A kind of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// The first four bytes of such a document.
    magic: [u8; 4],
    /// The version of the payload.
    version: u16,
}

/// A metadata checkpoint.
pub(super) const METADATA: Kind = Kind { magic: *b"MSmd", version: 3 };
/// The same in version 2, in which a run had the data of all batches since its beginning.
pub(super) const METADATA_2: Kind = Kind { magic: *b"MSmd", version: 2 };
/// The same in version 1, which knew no state.
pub(super) const METADATA_1: Kind = Kind { magic: *b"MSmd", version: 1 };
/// The description of a snapshot of state.
pub(super) const SNAPSHOT: Kind = Kind { magic: *b"MSsn", version: 2 };
/// The same in version 1, which did not say which hashes the parts have.
pub(super) const SNAPSHOT_1: Kind = Kind { magic: *b"MSsn", version: 1 };
/// Rows of a snapshot of state.
pub(super) const SNAPSHOT_ROWS: Kind = Kind { magic: *b"MSsr", version: 1 };
/// A group of records of the allocation log.
pub(super) const ALLOCATIONS: Kind = Kind { magic: *b"MSal", version: 3 };
/// The same in version 2, which held no ranges of logs.
pub(super) const ALLOCATIONS_2: Kind = Kind { magic: *b"MSal", version: 2 };
/// The same in version 1, which did not distinguish files by identity and held no checksums.
pub(super) const ALLOCATIONS_1: Kind = Kind { magic: *b"MSal", version: 1 };
/// A piece of a received block in the write-ahead log.
pub(super) const RECEIVED: Kind = Kind { magic: *b"MSrb", version: 1 };
/// The keys of received blocks, at the beginning of a segment of the write-ahead log.
pub(super) const RECEIVED_KEYS: Kind = Kind { magic: *b"MSrk", version: 1 };
/// Who owns a checkpoint directory.
pub(super) const OWNER: Kind = Kind { magic: *b"MSow", version: 3 };
/// The same in version 2, in which a run could not hand over to another run.
pub(super) const OWNER_2: Kind = Kind { magic: *b"MSow", version: 2 };
/// The same in version 1, which did not name the process.
pub(super) const OWNER_1: Kind = Kind { magic: *b"MSow", version: 1 };

/// Why bytes cannot be read as a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes end before the document does.
    #[error("it ends after {found} of {expected} bytes")]
    Short {
        /// How many bytes there are.
        found: u64,
        /// How many there should be.
        expected: u64,
    },
    /// The bytes begin with those of another kind of file.
    #[error("its first bytes are not those of a file that Millstream wrote")]
    Kind,
    /// A later version of the host wrote the document.
    #[error("it has version {0}, which this host does not know: a later one wrote it")]
    Version(u16),
    /// The bytes are not those that were written.
    #[error("its checksum is wrong")]
    Checksum,
    /// The header claims a size that no document has.
    #[error("it claims to have {0} bytes, which is more than any such file has")]
    Large(u64),
    /// The payload cannot be decoded.
    #[error("its content cannot be decoded: {0}")]
    Payload(String),
}

/// Writes a value as a document.
pub(super) fn encode<T: Serialize>(kind: Kind, value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    append_before(kind, &mut bytes, value, &[])?;
    Ok(bytes)
}

/// Writes a document to the end of `bytes`, except for its last part. The payload is a value, and `data` after it. The
/// caller writes `data` after `bytes`, so that long data is not copied.
pub(super) fn append_before<T: Serialize>(
    kind: Kind,
    bytes: &mut Vec<u8>,
    value: &T,
    data: &[u8],
) -> Result<(), CodecError> {
    let start = bytes.len();
    bytes.resize(start.saturating_add(HEADER_BYTES), 0);
    bincode::serde::encode_into_std_write(value, bytes, bincode::config::standard())
        .map_err(|error| CodecError::Payload(error.to_string()))?;
    let Some(document) = bytes.get_mut(start..) else { return Ok(()) };
    let size = document.len().saturating_sub(HEADER_BYTES).saturating_add(data.len());
    if size > PAYLOAD_BYTES_MAX {
        return Err(CodecError::Large(size as u64));
    }
    let head = head(kind, size as u64);
    let mut payload = Checksum::default();
    payload.add(document.get(HEADER_BYTES..).unwrap_or_default());
    payload.add(data);
    let header = head.into_iter().chain(checksum(&head, payload.value()).to_le_bytes());
    document.iter_mut().zip(header).for_each(|(byte, of_header)| *byte = of_header);
    Ok(())
}

/// Reads the document at the beginning of `bytes` that [`append_before`] has begun. Returns the value, the bytes after the
/// value, and the length of the document.
pub(super) fn decode_with<T: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<(T, &[u8], usize), CodecError> {
    let (payload, end) = payload(kind, bytes)?;
    let config = bincode::config::standard().with_limit::<PAYLOAD_BYTES_MAX>();
    let (value, used) =
        bincode::serde::decode_from_slice(payload, config).map_err(|error| CodecError::Payload(error.to_string()))?;
    Ok((value, payload.get(used..).unwrap_or_default(), end))
}

/// Writes a document whose payload is these bytes.
pub(super) fn seal(kind: Kind, payload: &[u8]) -> Result<Vec<u8>, CodecError> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(CodecError::Large(payload.len() as u64));
    }
    let head = head(kind, payload.len() as u64);
    let mut bytes = Vec::with_capacity(HEADER_BYTES.saturating_add(payload.len()));
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(&checksum(&head, hash(payload)).to_le_bytes());
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

/// The payload of a document, as bytes. `bytes` must hold this document and nothing else.
pub(super) fn unseal(kind: Kind, mut bytes: Vec<u8>) -> Result<Vec<u8>, CodecError> {
    let (_, end) = payload(kind, &bytes)?;
    if end != bytes.len() {
        return Err(CodecError::Payload(format!("{} bytes follow it", bytes.len().saturating_sub(end))));
    }
    bytes.drain(..HEADER_BYTES);
    Ok(bytes)
}

fn head(kind: Kind, size: u64) -> [u8; 16] {
    let mut head = [0; 16];
    head[..4].copy_from_slice(&kind.magic);
    head[4..6].copy_from_slice(&kind.version.to_le_bytes());
    head[8..].copy_from_slice(&size.to_le_bytes());
    head
}

/// The checksum of a document whose payload has this hash.
fn checksum(head: &[u8; 16], payload: u64) -> u64 {
    // The checksum covers the header too. So a payload with another header does not pass the check.
    let mut both = hash(head).to_le_bytes().to_vec();
    both.extend_from_slice(&payload.to_le_bytes());
    hash(&both)
}

/// Computes the checksums again of documents whose payloads a test or a fuzzer has changed.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn reseal(mut bytes: &mut [u8]) {
    while let Some(header) = bytes.first_chunk::<HEADER_BYTES>() {
        let (mut head, mut size) = ([0; 16], [0; 8]);
        head.copy_from_slice(&header[..16]);
        size.copy_from_slice(&head[8..]);
        let size = usize::try_from(u64::from_le_bytes(size)).unwrap_or(usize::MAX);
        let Some((document, rest)) = bytes.split_at_mut_checked(HEADER_BYTES.saturating_add(size)) else { return };
        let sum = checksum(&head, hash(document.get(HEADER_BYTES..).unwrap_or_default()));
        document.iter_mut().skip(16).zip(sum.to_le_bytes()).for_each(|(byte, of_sum)| *byte = of_sum);
        bytes = rest;
    }
}

/// Reads the document at the beginning of `bytes`. Returns the value and the length of the document.
pub(super) fn decode<T: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<(T, usize), CodecError> {
    let (value, rest, end) = decode_with(kind, bytes)?;
    if !rest.is_empty() {
        return Err(CodecError::Payload(format!("{} bytes are left over", rest.len())));
    }
    Ok((value, end))
}

/// Reads a document. `bytes` must hold this document and nothing else.
pub(super) fn decode_whole<T: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<T, CodecError> {
    let (value, end) = decode(kind, bytes)?;
    match bytes.len().saturating_sub(end) {
        0 => Ok(value),
        more => Err(CodecError::Payload(format!("{more} bytes follow it"))),
    }
}

/// Checks the document at the beginning of `bytes`. Returns its payload and its length.
fn payload(kind: Kind, bytes: &[u8]) -> Result<(&[u8], usize), CodecError> {
    let short = |expected: u64| CodecError::Short { found: bytes.len() as u64, expected };
    let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(if bytes.starts_with(&kind.magic) || bytes.len() < 4 {
            short(HEADER_BYTES as u64)
        } else {
            CodecError::Kind
        });
    };
    if !header.starts_with(&kind.magic) {
        return Err(CodecError::Kind);
    }
    let number = |from: usize, to: usize| {
        let mut wide = [0; 8];
        wide.iter_mut().zip(header.get(from..to).unwrap_or_default()).for_each(|(wide, byte)| *wide = *byte);
        u64::from_le_bytes(wide)
    };
    let size = number(8, 16);
    let Some(size) = usize::try_from(size).ok().filter(|size| *size <= PAYLOAD_BYTES_MAX) else {
        return Err(CodecError::Large(size));
    };
    let Some(payload) = rest.get(..size) else { return Err(short(HEADER_BYTES.saturating_add(size) as u64)) };
    let mut head = [0; 16];
    head.copy_from_slice(header.get(..16).unwrap_or(&[0; 16]));
    if checksum(&head, hash(payload)) != number(16, 24) {
        return Err(CodecError::Checksum);
    }
    let version = number(4, 6) as u16;
    if version != kind.version {
        return Err(CodecError::Version(version));
    }
    Ok((payload, HEADER_BYTES.saturating_add(size)))
}

/// The offset of the first whole document at or after `start`. `None` if there is none.
pub(super) fn find(kind: Kind, bytes: &[u8], start: usize) -> Option<usize> {
    let rest = bytes.get(start..)?;
    let begins = memchr::memmem::find_iter(rest, &kind.magic).map(|at| start.saturating_add(at));
    begins.filter(|at| bytes.get(*at..).is_some_and(|tail| payload(kind, tail).is_ok())).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn document(numbers: &[u64]) -> Vec<u8> {
        encode(METADATA, &numbers.to_vec()).unwrap()
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(numbers: Vec<u64>, behind: Vec<u8>) {
            let mut bytes = document(&numbers);
            let end = bytes.len();
            prop_assert_eq!(decode_whole::<Vec<u64>>(METADATA, &bytes), Ok(numbers.clone()));
            bytes.extend(behind);
            prop_assert_eq!(decode::<Vec<u64>>(METADATA, &bytes), Ok((numbers, end)));
        }

        /// A document that lost its end, or one byte of which was changed, is an error and not a panic.
        #[test]
        fn what_is_damaged_is_refused(numbers: Vec<u64>, at: prop::sample::Index, bits in 1u8..) {
            let bytes = document(&numbers);
            let at = at.index(bytes.len());
            prop_assert!(decode::<Vec<u64>>(METADATA, &bytes[..at]).is_err());
            let mut damaged = bytes;
            damaged[at] ^= bits;
            prop_assert!(decode::<Vec<u64>>(METADATA, &damaged).is_err());
        }

        /// For any bytes, decoding ends, and uses no more memory than a multiple of their size.
        #[test]
        fn any_bytes_are_a_value_or_an_error(payload: Vec<u8>, claimed: Option<u64>) {
            let size = claimed.unwrap_or(payload.len() as u64);
            let head = head(METADATA, size);
            let mut bytes = head.to_vec();
            bytes.extend(checksum(&head, hash(&payload)).to_le_bytes());
            bytes.extend(payload);
            let _ = decode::<Vec<Vec<String>>>(METADATA, &bytes);
        }

        #[test]
        fn the_next_document_is_found(before: Vec<u8>, numbers: Vec<u64>) {
            let mut bytes = before.clone();
            bytes.extend(document(&numbers));
            prop_assert_eq!(find(METADATA, &bytes, 0), Some(before.len()));
            prop_assert_eq!(find(METADATA, &bytes, before.len() + 1), None);
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let bytes = document(&[1, 2, 3]);
        let error = |bytes: &[u8]| decode_whole::<Vec<u64>>(METADATA, bytes).unwrap_err().to_string();
        assert_eq!(error(b"{}"), "it ends after 2 of 24 bytes");
        assert_eq!(
            error(b"{\"a\": \"json\", \"b\": 1234567}"),
            "its first bytes are not those of a file that Millstream wrote"
        );
        assert_eq!(error(&bytes[..26]), "it ends after 26 of 28 bytes");
        let later = Kind { version: 9, ..METADATA };
        assert_eq!(
            error(&encode(later, &vec![1u64]).unwrap()),
            "it has version 9, which this host does not know: a later one wrote it"
        );
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(error(&longer), "its content cannot be decoded: 1 bytes follow it");
    }
}
