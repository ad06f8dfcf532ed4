//! Numbers of short decimal text, eight characters at a time.
//!
//! Owns the ways to read a number that need no loop. Each function gives exactly the number that `str::parse` gives, or
//! `None`; `None` means that `str::parse` has to decide. Never knows why a text is no number.

/// How many characters a word holds.
const WORD: usize = 8;
/// How many digits always fit into a `u64`.
const DIGITS_MAX: usize = 19;
/// `0` in each byte.
const ZEROS: u64 = 0x3030_3030_3030_3030;
/// `.` in each byte.
const POINTS: u64 = 0x2e2e_2e2e_2e2e_2e2e;
const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// The powers of ten, as integers.
const POWERS: [u64; WORD + 1] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// The bytes of `readable` from `at` on, the first one lowest. Bytes behind the end of `readable` are zeros.
#[inline(always)]
fn word(readable: &[u8], at: usize) -> u64 {
    match readable.get(at..).and_then(|rest| rest.first_chunk::<WORD>()) {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => last_word(readable.get(at..).unwrap_or_default()),
    }
}

#[cold]
#[inline(never)]
fn last_word(rest: &[u8]) -> u64 {
    let mut bytes = [0; WORD];
    bytes[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(bytes)
}

/// By how many bits a word is shifted so that its first `length` characters, at least one, become its last ones.
#[inline(always)]
fn shift_of(length: usize) -> u32 {
    (WORD.wrapping_sub(length) as u32).wrapping_mul(8)
}

/// The number that eight decimal digits make. `digits` holds their values, 0 to 9, the first one lowest. `None` if one
/// of them is not below ten.
#[inline(always)]
fn eight_digits(digits: u64) -> Option<u64> {
    // A byte above 9 sets its high bit here, or has its high bit set itself.
    if (digits.wrapping_add(0x7676_7676_7676_7676) | digits) & HIGH_BITS != 0 {
        return None;
    }
    // Neighbours become numbers of two digits, those become numbers of four digits, and those the whole number.
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let first = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let second = (pairs >> 16 & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    Some(first.wrapping_add(second) >> 32)
}

/// The number that the first `length` bytes of `readable` make, if they are 1 to 16 decimal digits.
#[inline(always)]
pub(super) fn unsigned(readable: &[u8], length: usize) -> Option<u64> {
    match length {
        1..=8 => eight_digits((word(readable, 0) ^ ZEROS).wrapping_shl(shift_of(length))),
        9..=16 => {
            let rest = length.wrapping_sub(WORD);
            let first = eight_digits(word(readable, 0) ^ ZEROS)?;
            let second = eight_digits((word(readable, WORD) ^ ZEROS).wrapping_shl(shift_of(rest)))?;
            Some(first.wrapping_mul(POWERS[rest]).wrapping_add(second))
        }
        _ => None,
    }
}

/// The number that the first `length` bytes of `readable` make, if they are 1 to 16 decimal digits, or `-` and such
/// digits.
#[inline(always)]
pub(super) fn signed(readable: &[u8], length: usize) -> Option<i64> {
    // Sixteen digits are far below 2^63.
    match readable.first() {
        Some(b'-') if length > 1 => unsigned(&readable[1..], length.wrapping_sub(1)).map(|number| -(number as i64)),
        _ => unsigned(readable, length).map(|number| number as i64),
    }
}

/// A decimal number: `mantissa` / 10^`fraction`.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Decimal {
    mantissa: u64,
    /// How many digits stand behind the point, at most [`DIGITS_MAX`].
    fraction: usize,
}

/// The number that the first `length` bytes of `readable` make, if they are decimal digits with at most one point.
#[inline(always)]
fn decimal(readable: &[u8], length: usize) -> Option<Decimal> {
    if length == 0 || length > WORD {
        return long_decimal(readable.get(..length)?);
    }
    let text = word(readable, 0).wrapping_shl(shift_of(length));
    // The high bit of the first byte that is a point. Bytes behind the first point may be taken for points as well.
    let other = text ^ POINTS;
    let points = other.wrapping_sub(LOW_BITS) & !other & HIGH_BITS;
    // Without a branch, because a point is as common as none: without one, all bytes are before the point.
    let point = points & points.wrapping_neg();
    let is_point = u32::from(point != 0);
    let before = (point >> 7).wrapping_sub(1);
    let up_to_point = point.wrapping_shl(1).wrapping_sub(1);
    let digits = (text & before).wrapping_shl(8u32.wrapping_mul(is_point)) | text & !up_to_point;
    // If the point is the only character, this shift is one by all bits, which is none: no byte is a digit then.
    let shift = shift_of(length).wrapping_add(8u32.wrapping_mul(is_point));
    let mantissa = eight_digits(digits ^ ZEROS.wrapping_shl(shift))?;
    let behind = (point.leading_zeros() / 8).wrapping_mul(is_point);
    Some(Decimal { mantissa, fraction: behind as usize })
}

/// As [`decimal`], character by character.
#[inline(never)]
fn long_decimal(text: &[u8]) -> Option<Decimal> {
    let point = text.iter().position(|byte| *byte == b'.');
    let digits = text.len() - usize::from(point.is_some());
    if digits == 0 || digits > DIGITS_MAX {
        return None;
    }
    let mut mantissa = 0u64;
    for (at, byte) in text.iter().enumerate() {
        if Some(at) != point {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        }
    }
    Some(Decimal { mantissa, fraction: point.map_or(0, |point| text.len() - point - 1) })
}

macro_rules! float {
    ($(#[$doc:meta])* $name:ident, $type:ty, $powers:ident, $count:literal, [$($power:literal)*]) => {
        /// The powers of ten that the type holds exactly.
        const $powers: [$type; $count] = [$($power),*];

        $(#[$doc])*
        #[inline(always)]
        pub(super) fn $name(readable: &[u8], length: usize) -> Option<$type> {
            let is_negative = length > 0 && readable.first() == Some(&b'-');
            let number = match is_negative {
                true => decimal(&readable[1..], length.wrapping_sub(1)),
                false => decimal(readable, length),
            }?;
            // The type holds both numbers exactly, so that the quotient is rounded once, as the text has to be.
            if number.mantissa >> <$type>::MANTISSA_DIGITS != 0 {
                return None;
            }
            let float = number.mantissa as i64 as $type / *$powers.get(number.fraction)?;
            Some(if is_negative { -float } else { float })
        }
    };
}

float! {
    /// The `f64` that the first `length` bytes of `readable` make, if they are few decimal digits with or without a
    /// sign and a point.
    float64, f64, POWERS_64, 23,
    [1e0 1e1 1e2 1e3 1e4 1e5 1e6 1e7 1e8 1e9 1e10 1e11 1e12 1e13 1e14 1e15 1e16 1e17 1e18 1e19 1e20 1e21 1e22]
}
float! {
    /// The `f32` that the first `length` bytes of `readable` make, if they are few decimal digits with or without a
    /// sign and a point.
    float32, f32, POWERS_32, 11, [1e0 1e1 1e2 1e3 1e4 1e5 1e6 1e7 1e8 1e9 1e10]
}
