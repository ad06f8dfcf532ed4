//! [`Text::parse`]: as [`str::parse`], and faster for numbers.
//!
//! Owns which types have a fast way. Never decides that a text is no number: `str::parse` does, and words the error.

use super::{Text, number};
use std::any::TypeId;
use std::marker::PhantomData;
use std::str::FromStr;

impl Text {
    /// Parses the text, as [`str::parse`] does and with the same results. Integers of up to 16 digits and short decimal
    /// numbers are parsed several times as fast as `str` parses them.
    ///
    /// ```
    /// use millstream::Text;
    /// let (key, value) = Text::from("17 0.25").split_once(' ').unwrap();
    /// assert_eq!((key.parse(), value.parse()), (Ok(17u64), Ok(0.25)));
    /// assert!(value.parse::<u64>().is_err());
    /// ```
    ///
    /// # Errors
    /// If the text is no value of the type.
    #[inline(always)]
    pub fn parse<T: FromStr>(&self) -> Result<T, T::Err> {
        match self.parse_number() {
            Some(number) => Ok(number),
            None => self.parse_by_str(),
        }
    }

    #[inline(never)]
    fn parse_by_str<T: FromStr>(&self) -> Result<T, T::Err> {
        self.as_str().parse()
    }

    /// The number that the text is, if `T` is a type of numbers that has a fast way, and the text is as simple as this
    /// way needs it.
    #[inline(always)]
    fn parse_number<T>(&self) -> Option<T> {
        let (readable, length) = (self.with_rest_of_chunk(), self.len());
        let unsigned = || number::unsigned(readable, length);
        let signed = || number::signed(readable, length);
        // Which one of these branches there is, the compiler knows.
        match type_of::<T>() {
            of if of == TypeId::of::<u64>() => same(unsigned()?),
            of if of == TypeId::of::<u32>() => same(u32::try_from(unsigned()?).ok()?),
            of if of == TypeId::of::<u16>() => same(u16::try_from(unsigned()?).ok()?),
            of if of == TypeId::of::<u8>() => same(u8::try_from(unsigned()?).ok()?),
            of if of == TypeId::of::<usize>() => same(usize::try_from(unsigned()?).ok()?),
            of if of == TypeId::of::<i64>() => same(signed()?),
            of if of == TypeId::of::<i32>() => same(i32::try_from(signed()?).ok()?),
            of if of == TypeId::of::<i16>() => same(i16::try_from(signed()?).ok()?),
            of if of == TypeId::of::<i8>() => same(i8::try_from(signed()?).ok()?),
            of if of == TypeId::of::<isize>() => same(isize::try_from(signed()?).ok()?),
            of if of == TypeId::of::<f64>() => same(number::float64(readable, length)?),
            of if of == TypeId::of::<f32>() => same(number::float32(readable, length)?),
            _ => None,
        }
    }
}

/// The number as a value of `T`. `None` if `T` is another type.
#[inline(always)]
fn same<N: Copy + 'static, T>(number: N) -> Option<T> {
    // SAFETY: `T` is `N`: they have the same id, and `N`, which has no lifetimes, is the only type with its id.
    (type_of::<T>() == TypeId::of::<N>()).then(|| unsafe { std::mem::transmute_copy::<N, T>(&number) })
}

/// The id of a type. Types that differ in lifetimes only have the same id.
///
/// [`TypeId::of`] wants a type without lifetimes; [`FromStr`], as in the signature of `str::parse`, does not promise
/// that.
#[inline(always)]
fn type_of<T>() -> TypeId {
    trait Identified {
        fn id(&self) -> TypeId
        where
            Self: 'static;
    }
    impl<T> Identified for PhantomData<T> {
        #[inline(always)]
        fn id(&self) -> TypeId
        where
            Self: 'static,
        {
            TypeId::of::<T>()
        }
    }
    let kind: &dyn Identified = &PhantomData::<T>;
    // SAFETY: only the bound of the lifetime changes. `kind` refers to a value without size and without borrowed data,
    // and its only method computes an id of the type, in which lifetimes have no part.
    unsafe { std::mem::transmute::<&dyn Identified, &(dyn Identified + 'static)>(kind) }.id()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Debug;

    /// What is compared of a number: the bits of a float.
    trait Bits: FromStr<Err: Debug + PartialEq> {
        fn bits(self) -> u64;
    }
    macro_rules! bits {
        ($($type:ty, |$value:ident| $bits:expr;)*) => {$(
            impl Bits for $type {
                fn bits(self) -> u64 {
                    let $value = self;
                    $bits
                }
            }
        )*};
    }
    bits! {
        u64, |n| n; u32, |n| n.into(); u16, |n| n.into(); u8, |n| n.into(); usize, |n| n as u64;
        i64, |n| n as u64; i32, |n| n as u64; i16, |n| n as u64; i8, |n| n as u64; isize, |n| n as u64;
        f64, |n| n.to_bits(); f32, |n| n.to_bits().into();
    }

    /// Whether the text `piece` of `whole` is parsed as `str` parses it, errors included.
    fn agrees_in<T: Bits>(whole: &Text, piece: std::ops::Range<usize>) -> Result<(), TestCaseError> {
        let text = whole.slice(piece).unwrap();
        let theirs = text.as_str().parse::<T>().map(T::bits);
        prop_assert_eq!(text.parse::<T>().map(T::bits), theirs, "{:?} as {}", text, std::any::type_name::<T>());
        Ok(())
    }

    fn all_agree(before: &str, text: &str, behind: &str) -> Result<(), TestCaseError> {
        let whole = Text::from(format!("{before}{text}{behind}"));
        let piece = || before.len()..before.len() + text.len();
        agrees_in::<u64>(&whole, piece())?;
        agrees_in::<u32>(&whole, piece())?;
        agrees_in::<u16>(&whole, piece())?;
        agrees_in::<u8>(&whole, piece())?;
        agrees_in::<usize>(&whole, piece())?;
        agrees_in::<i64>(&whole, piece())?;
        agrees_in::<i32>(&whole, piece())?;
        agrees_in::<i16>(&whole, piece())?;
        agrees_in::<i8>(&whole, piece())?;
        agrees_in::<isize>(&whole, piece())?;
        agrees_in::<f64>(&whole, piece())?;
        agrees_in::<f32>(&whole, piece())
    }

    proptest! {
        #[test]
        fn numbers_are_those_of_str(
            texts in prop::collection::vec(
                "[+-]?[0-9]{0,22}|[+-]?[0-9]{0,10}[.][0-9]{0,12}|[+-]?[0-9]{0,3}[.][0-9]{0,4}|-?[0-9]{1,3}[.]?[0-9]{0,3}e-?[0-9]{1,3}",
                32,
            ),
            before in "[0-9.-]{0,3}",
            behind in "[0-9.e ]{0,20}",
        ) {
            texts.iter().try_for_each(|text| all_agree(&before, text, &behind))?;
        }

        #[test]
        fn other_text_is_no_number_where_str_finds_none(
            texts in prop::collection::vec("[-+.0-9/:e]{0,10}|.{0,8}|[0-9]{0,7}.[0-9]{0,7}|inf|-?infinity|nan|NaN", 32),
            behind in "[0-9 ]{0,20}",
        ) {
            texts.iter().try_for_each(|text| all_agree("", text, &behind))?;
        }

        #[test]
        fn numbers_that_were_written_are_read(int in any::<i64>(), bits in any::<u64>(), cents in any::<i32>()) {
            for text in [int.to_string(), f64::from_bits(bits).to_string(), (f64::from(cents) / 100.0).to_string()] {
                all_agree("", &text, "")?;
            }
        }
    }

    #[test]
    fn bytes_other_than_digits_are_found_at_each_place() {
        for length in 1..=17 {
            for at in 0..length {
                for byte in 0..128u8 {
                    let mut text = vec![b'7'; length];
                    text[at] = byte;
                    all_agree("", std::str::from_utf8(&text).unwrap(), "5").unwrap();
                }
            }
        }
    }

    #[test]
    fn integers_at_the_limits_of_their_types() {
        for limit in
            [i8::MAX as i128, u8::MAX as i128, u16::MAX as i128, i32::MAX as i128, i64::MAX as i128, u64::MAX as i128]
        {
            for number in limit - 2..=limit + 2 {
                all_agree("", &number.to_string(), "").unwrap();
                all_agree("", &(-number).to_string(), "").unwrap();
            }
        }
    }

    #[test]
    fn floats_where_they_stop_being_exact() {
        for number in (1u64 << 24) - 2..=(1 << 24) + 2 {
            all_agree("", &number.to_string(), "").unwrap();
        }
        for number in (1u64 << 53) - 2..=(1 << 53) + 2 {
            let digits = number.to_string();
            for point in 0..=digits.len() {
                let (before, behind) = digits.split_at(point);
                all_agree("", &format!("{before}.{behind}"), "").unwrap();
            }
        }
        for text in ["0", "-0", "-0.0", "0.1", "0.3", "123.456", "8388608.5", "16777217", "0.0000000000000000001"] {
            all_agree("", text, "").unwrap();
        }
    }

    /// A type of a program, with a lifetime, that has no fast way.
    #[derive(Debug, PartialEq)]
    struct Word<'a>(String, PhantomData<&'a ()>);

    impl FromStr for Word<'_> {
        type Err = ();
        fn from_str(text: &str) -> Result<Self, ()> {
            if text.is_empty() { Err(()) } else { Ok(Word(text.to_owned(), PhantomData)) }
        }
    }

    #[test]
    fn types_of_a_program_parse_themselves() {
        fn parsed<'a>(text: &'a str) -> Result<Word<'a>, ()> {
            Text::from(text).parse()
        }
        assert_eq!(parsed("12"), Ok(Word("12".to_owned(), PhantomData)));
        assert_eq!(parsed(""), Err(()));
        assert_eq!(Text::from("true").parse(), Ok(true));
        assert_eq!(Text::from("12").parse::<String>().as_deref(), Ok("12"));
    }
}
