//! Finds bytes in a text, sixteen or sixty-four bytes at a time: a mask has one bit for each byte.
//!
//! Owns the masks. Never knows what is done with the bytes that are found.

/// How many bytes a mask covers.
pub(super) const BLOCK: usize = 64;
/// How many bytes are compared at once.
const PIECE: usize = 16;

/// The bytes of a block of `readable`, from `at` on. Bytes behind the end of `readable` are zeros.
#[inline(always)]
fn block(readable: &[u8], at: usize) -> [u8; BLOCK] {
    match readable.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
        Some(block) => *block,
        None => last_block(readable.get(at..).unwrap_or_default()),
    }
}

#[cold]
#[inline(never)]
fn last_block(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

/// Finds `byte` in the block of `readable` that begins at `at`. The first byte of the block is the lowest bit. `byte`
/// is not 0.
#[inline(always)]
pub(super) fn places_of(byte: u8, readable: &[u8], at: usize) -> u64 {
    let block = block(readable, at);
    let (pieces, _) = block.as_chunks::<PIECE>();
    pieces.iter().rev().fold(0, |mask, piece| mask << 16 | u64::from(equal(byte, piece)))
}

/// Finds the first `byte` among the first `length` bytes of `readable`. Most texts in which one byte is looked for are
/// short, or have the byte near their beginning.
#[inline(always)]
pub(super) fn first_of(byte: u8, readable: &[u8], length: usize) -> Option<usize> {
    let Some(piece) = readable.first_chunk::<PIECE>() else {
        return readable[..length].iter().position(|other| *other == byte);
    };
    let mask = equal(byte, piece);
    if mask == 0 && length > PIECE {
        return first_behind(byte, &readable[PIECE..length]).map(|at| at.wrapping_add(PIECE));
    }
    let at = mask.trailing_zeros() as usize;
    (at < length).then_some(at)
}

#[inline(never)]
fn first_behind(byte: u8, text: &[u8]) -> Option<usize> {
    let (pieces, rest) = text.as_chunks::<PIECE>();
    for (index, piece) in pieces.iter().enumerate() {
        let mask = equal(byte, piece);
        if mask != 0 {
            return Some(index * PIECE + mask.trailing_zeros() as usize);
        }
    }
    let at = rest.iter().position(|other| *other == byte)?;
    Some(pieces.len() * PIECE + at)
}

/// Finds, in the block of `readable` at `at`, the bytes that are ASCII white space, and the bytes that are not ASCII.
#[inline(always)]
pub(super) fn white_space(readable: &[u8], at: usize) -> (u64, u64) {
    let block = block(readable, at);
    let (pieces, _) = block.as_chunks::<PIECE>();
    pieces.iter().rev().fold((0, 0), |(spaces, others), piece| {
        // Tab, line feed, vertical tab, form feed and carriage return are consecutive in ASCII.
        let space = equal(b' ', piece) | between(b'\t', b'\r', piece);
        (spaces << 16 | u64::from(space), others << 16 | u64::from(high_bits(piece)))
    })
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod lanes {
    use core::arch::wasm32::{i8x16_bitmask, i8x16_eq, u8x16_ge, u8x16_le, u8x16_splat, u64x2, v128, v128_and};

    #[inline(always)]
    fn load(piece: &[u8; 16]) -> v128 {
        let whole = u128::from_le_bytes(*piece);
        u64x2(whole as u64, (whole >> 64) as u64)
    }

    #[inline(always)]
    pub(super) fn equal(byte: u8, piece: &[u8; 16]) -> u16 {
        i8x16_bitmask(i8x16_eq(load(piece), u8x16_splat(byte)))
    }

    #[inline(always)]
    pub(super) fn between(first: u8, last: u8, piece: &[u8; 16]) -> u16 {
        let lanes = load(piece);
        i8x16_bitmask(v128_and(u8x16_ge(lanes, u8x16_splat(first)), u8x16_le(lanes, u8x16_splat(last))))
    }

    #[inline(always)]
    pub(super) fn high_bits(piece: &[u8; 16]) -> u16 {
        i8x16_bitmask(load(piece))
    }
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod lanes {
    /// A mask with a bit for each byte, in a form that the compiler vectorises well.
    #[inline(always)]
    fn bits(piece: &[u8; 16], is_one: impl Fn(u8) -> bool) -> u16 {
        piece.iter().rev().fold(0, |mask, byte| mask << 1 | u16::from(is_one(*byte)))
    }

    #[inline(always)]
    pub(super) fn equal(byte: u8, piece: &[u8; 16]) -> u16 {
        bits(piece, |other| other == byte)
    }

    #[inline(always)]
    pub(super) fn between(first: u8, last: u8, piece: &[u8; 16]) -> u16 {
        bits(piece, |byte| (first..=last).contains(&byte))
    }

    #[inline(always)]
    pub(super) fn high_bits(piece: &[u8; 16]) -> u16 {
        bits(piece, |byte| !byte.is_ascii())
    }
}

use lanes::{between, equal, high_bits};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_mask_has_a_bit_for_each_byte(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..200, byte in 1u8..) {
            let block: Vec<u8> = bytes.iter().copied().skip(at).chain(std::iter::repeat(0)).take(BLOCK).collect();
            let bits = |is_one: &dyn Fn(u8) -> bool| {
                block.iter().enumerate().fold(0u64, |mask, (at, byte)| mask | u64::from(is_one(*byte)) << at)
            };
            prop_assert_eq!(places_of(byte, &bytes, at), bits(&|other| other == byte));
            let is_space = |byte: u8| byte.is_ascii() && char::from(byte).is_whitespace();
            for length in [bytes.len(), at.min(bytes.len())] {
                let first = bytes[..length].iter().position(|other| *other == byte);
                prop_assert_eq!(first_of(byte, &bytes, length), first);
            }
            prop_assert_eq!(white_space(&bytes, at), (bits(&is_space), bits(&|byte| byte >= 128)));
        }
    }
}
