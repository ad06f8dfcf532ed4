//! Dates, times and decimals in serde's formats, so that they can be in types with `#[record(serde)]`.
//!
//! Owns their form there: their text in formats that people read, and their number in others.

use crate::decimal::Decimal;
use crate::temporal::unit::Unit;
use crate::temporal::{Date, LocalDateTime, TimeOfDay, Timestamp};
use ::serde::de::Error;
use ::serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! numbered_in_serde {
    ($([$($generics:tt)*] $type:ty, $number:ty, |$value:ident| $to:expr, |$found:ident| $from:expr;)*) => {$(
        impl<$($generics)*> Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    return serializer.collect_str(self);
                }
                let $value = *self;
                $to.serialize(serializer)
            }
        }

        impl<'de, $($generics)*> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    return String::deserialize(deserializer)?.parse().map_err(Error::custom);
                }
                let $found = <$number>::deserialize(deserializer)?;
                $from.ok_or_else(|| Error::custom(format_args!("{} is out of range", $found)))
            }
        }
    )*};
}

numbered_in_serde! {
    [U: Unit] Timestamp<U>, i64, |at| at.count(), |count| Some(Self::from_count(count));
    [U: Unit] LocalDateTime<U>, i64, |at| at.count(), |count| Some(Self::from_count(count));
    [U: Unit] TimeOfDay<U>, i64, |time| time.count(), |count| Self::from_count(count);
    [] Date, i32, |date| date.days(), |days| Some(Self::from_days(days));
    [const P: u8, const Q: u8] Decimal<P, Q>, i128, |number| number.unscaled(), |number| Self::from_unscaled(number);
}
