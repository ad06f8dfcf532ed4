//! [`Key`]: records that rows can be grouped by, and their one canonical byte encoding.
//!
//! Owns the encoding on the plugin's side. The host computes the same bytes from columns; the specification is in
//! `host/src/data/key.rs`. A test there and a test here hold the same examples.

use crate::record::{Builder, Bytes, Record, UNIT};
use crate::text::Text;
use std::cmp::Ordering;

/// A record that can be a key, so that rows can be grouped and sorted by it. Equal keys have equal encodings. `-0.0`
/// counts as `0.0`, and all NaN values count as the same value.
///
/// ```
/// use millstream::{Key, Record, testing};
///
/// #[derive(Record, Key, Clone, PartialEq, Debug)]
/// struct Place(i32, i32);
///
/// let out = testing::run(vec![vec![Place(1, 2), Place(0, 0), Place(1, 2)]], |places| places.count_by_value());
/// assert_eq!(out, [vec![(Place(1, 2), 2), (Place(0, 0), 1)]]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key: it does not implement `Key`",
    label = "not a key",
    note = "for a type of yours: `#[derive(millstream::Record, millstream::Key)]`"
)]
pub trait Key: Record {
    /// Appends the canonical encoding of the key. `last` says that no further value follows in the whole key.
    fn encode(&self, last: bool, out: &mut Vec<u8>);

    /// Compares two keys. Every sort uses this order: the sorts of the host, and `top`, `take_ordered`, `min` and
    /// `max`.
    ///
    /// Numbers are ordered by value. `-0.0` equals `0.0`. All NaN values are equal, and NaN is larger than all other
    /// values, infinity included. An absent value is smaller than a value that is there. Dates and times are ordered as
    /// they pass, and decimals by value. Texts and bytes are ordered
    /// byte by byte, lists item by item, tuples and structs member by member. Enums are ordered by the names of their
    /// variants, and values with `#[record(serde)]` by their encodings. A `PartialOrd` or `Ord` that the plugin's
    /// author implements has no influence. A descending order is the reverse, so NaN comes first.
    ///
    /// ```
    /// use millstream::Key;
    /// use std::cmp::Ordering;
    /// assert_eq!(f64::NAN.compare(&f64::INFINITY), Ordering::Greater);
    /// assert_eq!((0.0, 'a' as u32).compare(&(-0.0, 'b' as u32)), Ordering::Less);
    /// ```
    fn compare(&self, other: &Self) -> Ordering;

    /// Decodes the key that `bytes` begins with, and removes its encoding from the front of `bytes`.
    fn decode(bytes: &mut &[u8], last: bool) -> Self;

    /// Returns bytes that begin with the encoding of the whole key, and the length of the encoding. The bytes behind
    /// the encoding mean nothing; they allow a reader to load the beginning of a short key at once. `short` and `long`
    /// are buffers that the method may use.
    #[doc(hidden)]
    #[inline]
    fn readable<'a>(&'a self, short: &'a mut [u8; 16], long: &'a mut Vec<u8>) -> (&'a [u8], usize) {
        long.clear();
        self.encode(true, long);
        let length = long.len();
        long.extend_from_slice(short);
        (long, length)
    }

    /// Appends a key to a column. `bytes` is the encoding of the key.
    #[inline]
    fn push_encoded(mut bytes: &[u8], builder: &mut Self::Builder) {
        builder.push(Self::decode(&mut bytes, true));
    }
}

/// Removes `count` bytes from the front of `bytes`. An encoding is only read by the type that wrote it, in the same
/// task.
pub(crate) fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (front, rest) = bytes.split_at(count.min(bytes.len()));
    *bytes = rest;
    front
}

fn take_array<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let mut array = [0; N];
    let front = take(bytes, N);
    array[..front.len()].copy_from_slice(front);
    array
}

pub(crate) fn encode_bytes(bytes: &[u8], last: bool, out: &mut Vec<u8>) {
    if !last {
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    }
    out.extend_from_slice(bytes);
}

pub(crate) fn decode_bytes<'a>(bytes: &mut &'a [u8], last: bool) -> &'a [u8] {
    let count = if last { bytes.len() } else { u32::from_le_bytes(take_array(bytes)) as usize };
    take(bytes, count)
}

/// Compares floats. If `<` does not order two floats, they are equal, or one of them is NaN. NaN is larger.
fn compare_floats<T: PartialOrd + Copy>(a: T, b: T) -> Ordering {
    // Only NaN is not equal to itself.
    let is_nan = |float: T| float.partial_cmp(&float).is_none();
    a.partial_cmp(&b).unwrap_or_else(|| is_nan(a).cmp(&is_nan(b)))
}

macro_rules! fixed_key {
    ($($type:ty, |$value:ident| $canonical:expr, $compare:expr;)*) => {$(
        impl Key for $type {
            #[inline]
            fn encode(&self, _: bool, out: &mut Vec<u8>) {
                let $value = *self;
                out.extend_from_slice(&$canonical.to_le_bytes());
            }
            #[inline]
            fn compare(&self, other: &Self) -> Ordering {
                let compare: fn(&Self, &Self) -> Ordering = $compare;
                compare(self, other)
            }
            fn decode(bytes: &mut &[u8], _: bool) -> Self {
                Self::from_le_bytes(take_array(bytes))
            }
            #[inline(always)]
            fn readable<'a>(&'a self, short: &'a mut [u8; 16], _: &'a mut Vec<u8>) -> (&'a [u8], usize) {
                let $value = *self;
                let bytes = $canonical.to_le_bytes();
                short[..bytes.len()].copy_from_slice(&bytes);
                (short, bytes.len())
            }
        }
    )*};
}

fixed_key! {
    i8, |n| n, Ord::cmp;
    i16, |n| n, Ord::cmp;
    i32, |n| n, Ord::cmp;
    i64, |n| n, Ord::cmp;
    u8, |n| n, Ord::cmp;
    u16, |n| n, Ord::cmp;
    u32, |n| n, Ord::cmp;
    u64, |n| n, Ord::cmp;
    f32, |n| if n.is_nan() { f32::from_bits(0x7fc0_0000) } else if n == 0.0 { 0.0 } else { n }, |a, b| compare_floats(*a, *b);
    f64, |n| if n.is_nan() { f64::from_bits(0x7ff8_0000_0000_0000) } else if n == 0.0 { 0.0 } else { n }, |a, b| compare_floats(*a, *b);
}

impl Key for bool {
    fn encode(&self, _: bool, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn compare(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }
    fn decode(bytes: &mut &[u8], _: bool) -> Self {
        take_array::<1>(bytes) != [0]
    }
}

impl Key for Text {
    #[inline]
    fn encode(&self, last: bool, out: &mut Vec<u8>) {
        encode_bytes(self.as_bytes(), last, out);
    }
    fn compare(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }
    fn decode(bytes: &mut &[u8], last: bool) -> Self {
        Self::from(String::decode(bytes, last))
    }
    #[inline(always)]
    fn readable<'a>(&'a self, _: &'a mut [u8; 16], _: &'a mut Vec<u8>) -> (&'a [u8], usize) {
        (self.with_rest_of_chunk(), self.len())
    }
    #[inline]
    fn push_encoded(bytes: &[u8], builder: &mut Self::Builder) {
        builder.push_bytes(bytes);
    }
}

impl Key for String {
    fn encode(&self, last: bool, out: &mut Vec<u8>) {
        encode_bytes(self.as_bytes(), last, out);
    }
    fn compare(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }
    fn decode(bytes: &mut &[u8], last: bool) -> Self {
        String::from_utf8_lossy(decode_bytes(bytes, last)).into_owned()
    }
    fn readable<'a>(&'a self, _: &'a mut [u8; 16], _: &'a mut Vec<u8>) -> (&'a [u8], usize) {
        (self.as_bytes(), self.len())
    }
    fn push_encoded(bytes: &[u8], builder: &mut Self::Builder) {
        builder.push_bytes(bytes);
    }
}

impl Key for char {
    fn encode(&self, last: bool, out: &mut Vec<u8>) {
        encode_bytes(self.encode_utf8(&mut [0; 4]).as_bytes(), last, out);
    }
    fn compare(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }
    fn decode(bytes: &mut &[u8], last: bool) -> Self {
        String::decode(bytes, last).chars().next().unwrap_or_default()
    }
}

/// Encodes `()` as the text that it is to the host.
impl Key for () {
    fn encode(&self, last: bool, out: &mut Vec<u8>) {
        encode_bytes(UNIT, last, out);
    }
    fn compare(&self, (): &Self) -> Ordering {
        Ordering::Equal
    }
    fn decode(bytes: &mut &[u8], last: bool) -> Self {
        decode_bytes(bytes, last);
    }
}

impl Key for Bytes {
    fn encode(&self, last: bool, out: &mut Vec<u8>) {
        encode_bytes(&self.0, last, out);
    }
    fn compare(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
    fn decode(bytes: &mut &[u8], last: bool) -> Self {
        Self(decode_bytes(bytes, last).to_vec())
    }
}

impl<K: Key> Key for Option<K> {
    fn encode(&self, last: bool, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(value) = self {
            value.encode(last, out);
        }
    }
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Some(a), Some(b)) => a.compare(b),
            _ => self.is_some().cmp(&other.is_some()),
        }
    }
    fn decode(bytes: &mut &[u8], last: bool) -> Self {
        bool::decode(bytes, false).then(|| K::decode(bytes, last))
    }
}

impl<K: Key> Key for Vec<K> {
    fn encode(&self, _: bool, out: &mut Vec<u8>) {
        encode_list(self, out);
    }
    fn compare(&self, other: &Self) -> Ordering {
        compare_lists(self, other)
    }
    fn decode(bytes: &mut &[u8], _: bool) -> Self {
        (0..u32::from_le_bytes(take_array(bytes))).map(|_| K::decode(bytes, false)).collect()
    }
}

impl<K: Key, const N: usize> Key for [K; N] {
    fn encode(&self, _: bool, out: &mut Vec<u8>) {
        encode_list(self, out);
    }
    fn compare(&self, other: &Self) -> Ordering {
        compare_lists(self, other)
    }
    fn decode(bytes: &mut &[u8], _: bool) -> Self {
        let _length: [u8; 4] = take_array(bytes);
        std::array::from_fn(|_| K::decode(bytes, false))
    }
}

fn encode_list<K: Key>(items: &[K], out: &mut Vec<u8>) {
    out.extend_from_slice(&(items.len() as u32).to_le_bytes());
    items.iter().for_each(|item| item.encode(false, out));
}

fn compare_lists<K: Key>(a: &[K], b: &[K]) -> Ordering {
    let different = a.iter().zip(b).map(|(a, b)| a.compare(b)).find(|order| order.is_ne());
    different.unwrap_or_else(|| a.len().cmp(&b.len()))
}

macro_rules! tuple_key {
    ($(($($type:ident $at:tt),* => $last:ident $last_at:tt);)*) => {$(
        impl<$($type: Key,)* $last: Key> Key for ($($type,)* $last,) {
            fn encode(&self, last: bool, out: &mut Vec<u8>) {
                $(self.$at.encode(false, out);)*
                self.$last_at.encode(last, out);
            }
            fn compare(&self, other: &Self) -> Ordering {
                let order = Ordering::Equal;
                $(let order = order.then_with(|| self.$at.compare(&other.$at));)*
                order.then_with(|| self.$last_at.compare(&other.$last_at))
            }
            fn decode(bytes: &mut &[u8], last: bool) -> Self {
                ($($type::decode(bytes, false),)* $last::decode(bytes, last),)
            }
        }
    )*};
}

tuple_key! {
    (=> A 0);
    (A 0 => B 1);
    (A 0, B 1 => C 2);
    (A 0, B 1, C 2 => D 3);
    (A 0, B 1, C 2, D 3 => E 4);
    (A 0, B 1, C 2, D 3, E 4 => F 5);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(key: impl Key) -> Vec<u8> {
        let (mut short, mut long) = ([0; 16], Vec::new());
        let (readable, length) = key.readable(&mut short, &mut long);
        readable[..length].to_vec()
    }

    /// The same examples as in the host's `data/key.rs`.
    #[test]
    fn encodings_are_those_of_the_specification() {
        assert_eq!(encoded(Text::from("ab")), b"ab");
        assert_eq!(encoded((Text::from("ab"), 1u16)), b"\x02\0\0\0ab\x01\0");
        assert_eq!(encoded((1u16, Text::from("ab"))), b"\x01\0ab");
        assert_eq!(encoded(-1i32), [0xff; 4]);
        assert_eq!(encoded(-0.0f64), [0; 8]);
        assert_eq!(encoded(-f64::NAN), 0x7ff8_0000_0000_0000u64.to_le_bytes());
        assert_eq!(encoded(None::<u8>), [0]);
        assert_eq!(encoded(Some(7u8)), [1, 7]);
        assert_eq!(encoded(vec![Text::from("a")]), b"\x01\0\0\0\x01\0\0\0a");
    }

    /// Checks that the groups are in ascending order, and that the keys inside a group are equal.
    fn check_order<K: Key + std::fmt::Debug>(groups: &[&[K]]) {
        let keys: Vec<(usize, &K)> =
            (0..).zip(groups).flat_map(|(at, group)| group.iter().map(move |key| (at, key))).collect();
        for (at, a) in &keys {
            for (other, b) in &keys {
                assert_eq!(a.compare(b), at.cmp(other), "{a:?} {b:?}");
            }
        }
    }

    /// The same examples as in the host's `data/key/tests.rs`.
    #[test]
    fn the_order_is_that_of_the_specification() {
        let nan = f64::NAN;
        check_order(&[&[f64::NEG_INFINITY], &[-1.0], &[-0.0, 0.0], &[1.0], &[f64::INFINITY], &[nan, -nan]]);
        check_order(&[&[f32::NEG_INFINITY], &[-0.0, 0.0], &[f32::INFINITY], &[f32::NAN, -f32::NAN]]);
        check_order(&[&[None], &[Some(f64::NEG_INFINITY)], &[Some(nan), Some(-nan)]]);
        check_order(&[&[vec![]], &[vec![-0.0], vec![0.0]], &[vec![0.0, 1.0]], &[vec![-nan]], &[vec![nan, 1.0]]]);
        check_order(&[
            &[(-0.0, 1u8), (0.0, 1)],
            &[(0.0, 2)],
            &[(f64::INFINITY, 0)],
            &[(-nan, 0), (nan, 0)],
            &[(-nan, 1)],
        ]);
        check_order(&[&[false], &[true]]);
        check_order(&[&[-2i64], &[-1], &[0], &[1]]);
        check_order(&[&[Text::from("")], &[Text::from("B")], &[Text::from("a")], &[Text::from("a ")]]);
        check_order(&[&[Bytes(vec![])], &[Bytes(vec![1, 255])], &[Bytes(vec![2])]]);
    }

    proptest! {
        #[test]
        fn keys_are_equal_in_order_exactly_if_their_encodings_are(
            a in any::<(f64, Option<f32>, Vec<Option<f64>>, String)>(),
            b in any::<(f64, Option<f32>, Vec<Option<f64>>, String)>(),
        ) {
            prop_assert_eq!(a.compare(&b).is_eq(), encoded(a.clone()) == encoded(b.clone()));
            prop_assert_eq!(a.compare(&b), b.compare(&a).reverse());
            prop_assert!(a.compare(&a).is_eq());
        }

        #[test]
        fn decoding_gives_the_key_back(key in any::<(String, Option<i64>, Vec<String>, bool, String)>()) {
            let bytes = encoded(key.clone());
            prop_assert_eq!(<(String, Option<i64>, Vec<String>, bool, String)>::decode(&mut bytes.as_slice(), true), key);
        }

        #[test]
        fn different_keys_have_different_encodings(a in any::<(String, Vec<u8>, String)>(), b in any::<(String, Vec<u8>, String)>()) {
            prop_assert_eq!(a == b, encoded(a) == encoded(b));
        }
    }
}
