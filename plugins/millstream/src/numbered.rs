//! Records that travel as a whole number: dates, times and decimals.
//!
//! Owns their columns and their key encoding: the number, little-endian, in the width of its type. Never knows what a
//! number means: a type says so by [`Numbered`].

use crate::chunk::{ChunkReader, ChunkWriter, Malformed};
use crate::record::fixed::{FixedBuilder, FixedColumn};
use crate::record::{Builder, Column};
use std::borrow::Cow;

/// A whole number that stands for a value.
pub trait Number: Copy + Ord + 'static {
    /// A column of such numbers.
    type Column: Column<Item = Self>;
    /// Collects such numbers for a chunk.
    type Builder: Builder<Item = Self>;
    /// The width of the number, in bytes.
    const WIDTH: usize;
    /// The bytes of the number, little-endian. The bytes behind its width are 0.
    fn to_bytes(self) -> [u8; 16];
    /// The number of the first bytes.
    fn of_bytes(bytes: [u8; 16]) -> Self;
}

macro_rules! numbers {
    ($($type:ty, $width:literal;)*) => {$(
        impl Number for $type {
            type Column = FixedColumn<$type>;
            type Builder = FixedBuilder<$type>;
            const WIDTH: usize = $width;
            #[inline]
            fn to_bytes(self) -> [u8; 16] {
                let mut bytes = [0; 16];
                bytes[..$width].copy_from_slice(&self.to_le_bytes());
                bytes
            }
            #[inline]
            fn of_bytes(bytes: [u8; 16]) -> Self {
                let mut own = [0; $width];
                own.copy_from_slice(&bytes[..$width]);
                Self::from_le_bytes(own)
            }
        }
    )*};
}

numbers! {
    i32, 4;
    i64, 8;
    i128, 16;
}

/// A type whose values travel as whole numbers.
pub trait Numbered: Sized + 'static {
    /// The number that stands for a value. Numbers have the order of the values.
    type Number: Number;
    /// The kind of the field, by its name in `wit/types.wit`.
    fn kind() -> Cow<'static, str>;
    /// The number of the value.
    ///
    /// # Panics
    /// If no number stands for the value.
    fn number(&self) -> Self::Number;
    /// The value of a number.
    ///
    /// # Panics
    /// If the type has no such value.
    fn of_number(number: Self::Number) -> Self;
    /// Appends the value in the form in which the host prints it.
    fn write(&self, out: &mut String);
}

/// A column of values that are numbers in the chunk.
pub struct NumberedColumn<T: Numbered>(<T::Number as Number>::Column);

impl<T: Numbered> Column for NumberedColumn<T> {
    type Item = T;
    fn read(source: &mut ChunkReader, rows: usize, root: bool) -> Result<Self, Malformed> {
        Ok(Self(Column::read(source, rows, root)?))
    }
    #[inline]
    fn get(&self, row: usize) -> T {
        T::of_number(self.0.get(row))
    }
}

/// Collects the numbers of values.
pub struct NumberedBuilder<T: Numbered>(<T::Number as Number>::Builder);

impl<T: Numbered> Default for NumberedBuilder<T> {
    fn default() -> Self {
        Self(Default::default())
    }
}

impl<T: Numbered> Builder for NumberedBuilder<T> {
    type Item = T;
    #[inline]
    fn push(&mut self, item: T) {
        self.0.push(item.number());
    }
    fn push_absent(&mut self) {
        self.0.push_absent();
    }
    #[inline]
    fn bytes(&self) -> usize {
        self.0.bytes()
    }
    fn write(&mut self, out: &mut ChunkWriter, root: bool) {
        self.0.write(out, root);
    }
}

/// Implements [`Record`](crate::record::Record) and [`Key`](crate::key::Key) for types that are [`Numbered`].
macro_rules! numbered_records {
    ($([$($generics:tt)*] $type:ty;)*) => {$(
        impl<$($generics)*> $crate::record::Record for $type {
            type Column = $crate::numbered::NumberedColumn<Self>;
            type Builder = $crate::numbered::NumberedBuilder<Self>;
            fn describe(name: &str, fields: &mut Vec<$crate::record::Field>) {
                fields.push($crate::record::Field::leaf(name, <Self as $crate::numbered::Numbered>::kind()));
            }
            fn show(&self, out: &mut String) {
                $crate::numbered::Numbered::write(self, out);
            }
        }

        impl<$($generics)*> $crate::key::Key for $type {
            #[inline]
            fn encode(&self, _: bool, out: &mut Vec<u8>) {
                use $crate::numbered::{Number, Numbered};
                out.extend_from_slice(&self.number().to_bytes()[..<Self as Numbered>::Number::WIDTH]);
            }
            #[inline]
            fn compare(&self, other: &Self) -> std::cmp::Ordering {
                use $crate::numbered::Numbered;
                self.number().cmp(&other.number())
            }
            fn decode(bytes: &mut &[u8], _: bool) -> Self {
                use $crate::numbered::{Number, Numbered};
                let mut wide = [0; 16];
                let own = $crate::key::take(bytes, <Self as Numbered>::Number::WIDTH);
                wide[..own.len()].copy_from_slice(own);
                Self::of_number(Number::of_bytes(wide))
            }
            #[inline(always)]
            fn readable<'a>(&'a self, short: &'a mut [u8; 16], _: &'a mut Vec<u8>) -> (&'a [u8], usize) {
                use $crate::numbered::{Number, Numbered};
                *short = self.number().to_bytes();
                (short, <Self as Numbered>::Number::WIDTH)
            }
        }
    )*};
}
pub(crate) use numbered_records;
