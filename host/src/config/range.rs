//! The shapes of numbers: counts, gains, durations and sizes, each with a range.
//!
//! Owns their checks and messages. The written form of a quantity is in `units`.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::gain::Gain;
use super::quote::{listed, quoted, segment};
use super::report::{Report, Reported};
use super::shape::Shape;
use super::subject::Subject;
use super::tree::{Node, Raw};
use super::units::{DURATIONS, Fault, SIZES, Units};
use crate::time::Duration;

/// The shape of a whole number from `min` to `max`.
pub(super) struct Count {
    pub(super) min: u32,
    pub(super) max: u32,
}

/// The shape of a duration from `min_ms` to `max_ms` milliseconds.
pub(super) struct Span {
    pub(super) min_ms: u64,
    pub(super) max_ms: u64,
}

/// The shape of a size from `min` to `max` bytes. The value is in bytes.
pub(super) struct Size {
    pub(super) min: u64,
    pub(super) max: u64,
}

impl Count {
    /// The number in the range that is nearest to `number`.
    pub(super) fn clamp(&self, number: u32) -> u32 {
        number.max(self.min).min(self.max)
    }
}

impl Shape for Count {
    type Value = u32;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<u32, Reported> {
        let range = format!("use a whole number from {} to {}{}", self.min, self.max, subject.default_note());
        let number = match &node.raw {
            Raw::Whole { value: Some(value), .. } => u32::try_from(*value).map_err(|_| *value < 0),
            // The TOML parser accepts a prefix without digits.
            Raw::Whole { text, .. } if ["0x", "0o", "0b"].contains(&text.as_str()) => {
                return Err(report.error(&node.place, format!("{} is not a number", subject.given(&node.raw)), range));
            }
            Raw::Whole { text, .. } => Err(text.starts_with('-')),
            other => {
                let help = match other {
                    Raw::Text(text) if text.parse::<u32>().is_ok_and(|n| (self.min..=self.max).contains(&n)) => {
                        format!("remove the quotes: `{} = {text}`", segment(subject.key))
                    }
                    _ => range,
                };
                return Err(subject.wrong_type("a whole number", help, node, report));
            }
        };
        let is_below = match number {
            Ok(number) if (self.min..=self.max).contains(&number) => return Ok(number),
            Ok(number) => number < self.min,
            Err(is_below) => is_below,
        };
        Err(out_of_range(subject, node, is_below, &self.min.to_string(), &self.max.to_string(), range, report))
    }

    fn describe(&self) -> String {
        format!("whole number, {} to {}", self.min, self.max)
    }
}

impl Shape for Span {
    type Value = Duration;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<Duration, Reported> {
        let quantity = Quantity { units: &DURATIONS, min: self.min_ms, max: self.max_ms };
        quantity.check(subject, node, report).map(Duration::from_millis)
    }

    fn describe(&self) -> String {
        format!("duration, {} to {}", DURATIONS.show(self.min_ms), DURATIONS.show(self.max_ms))
    }
}

impl Shape for Size {
    type Value = u64;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<u64, Reported> {
        Quantity { units: &SIZES, min: self.min, max: self.max }.check(subject, node, report)
    }

    fn describe(&self) -> String {
        format!("size, {} to {}", SIZES.show(self.min), SIZES.show(self.max))
    }
}

/// The shape of a gain.
pub(super) struct Decimal;

impl Shape for Decimal {
    type Value = Gain;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<Gain, Reported> {
        let range = format!("use a number from 0 to {} with at most six decimals{}", Gain::MAX, subject.default_note());
        match &node.raw {
            Raw::Whole { text, .. } | Raw::Fraction(text) => match Gain::parse(text) {
                Some(gain) => Ok(gain),
                None => {
                    let message = format!("{} is not a number from 0 to {}", subject.given(&node.raw), Gain::MAX);
                    Err(report.error(&node.place, message, range))
                }
            },
            Raw::Text(text) if Gain::parse(text).is_some() => {
                let help = format!("remove the quotes: `{} = {text}`", segment(subject.key));
                Err(subject.wrong_type("a number", help, node, report))
            }
            _ => Err(subject.wrong_type("a number", range, node, report)),
        }
    }

    fn describe(&self) -> String {
        format!("number, 0 to {}", Gain::MAX)
    }
}

/// A number with a unit, which has a smallest and a largest value.
struct Quantity {
    units: &'static Units,
    min: u64,
    max: u64,
}

impl Quantity {
    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<u64, Reported> {
        let given = subject.given(&node.raw);
        let (message, help) = match &node.raw {
            Raw::Text(text) => match self.units.parse(text) {
                Ok(value) if (self.min..=self.max).contains(&value) => return Ok(value),
                Ok(value) => return Err(self.out_of_range(subject, node, value < self.min, report)),
                Err(Fault::TooLarge | Fault::NoUnit(None)) => {
                    return Err(self.out_of_range(subject, node, false, report));
                }
                Err(fault) => self.explain(&given, fault, subject),
            },
            Raw::Whole { value, .. } => match value.map(u64::try_from) {
                Some(Ok(number)) => self.explain(&given, Fault::NoUnit(Some(number)), subject),
                _ => self.explain(&given, Fault::NotANumber, subject),
            },
            Raw::Fraction(text) => {
                let help = self.meant(self.units.without_fraction(text).into_iter().collect(), subject);
                (format!("{given} needs a unit"), help)
            }
            _ => {
                let help = format!("write it as in `{} = {}`", subject.key, subject.fallback.example());
                return Err(subject.wrong_type(&format!("a {}", self.units.noun), help, node, report));
            }
        };
        Err(report.error(&node.place, message, help))
    }

    fn explain(&self, given: &str, fault: Fault, subject: &Subject<'_>) -> (String, String) {
        let Units { noun, list, .. } = self.units;
        match fault {
            Fault::NotANumber | Fault::TooLarge | Fault::NoUnit(None) => {
                let help = format!("write a whole number and a unit, such as {}", subject.fallback.example());
                (format!("{given} is not a {noun}"), help)
            }
            Fault::NoUnit(Some(number)) => {
                let meant = self.units.with_unit(number, self.min, self.max);
                (format!("{given} needs a unit"), self.meant(meant, subject))
            }
            Fault::Space(fixed) => (format!("{given} has white space in it"), self.meant(vec![fixed], subject)),
            Fault::Fraction(fixed) => {
                let help = self.meant(fixed.into_iter().collect(), subject);
                (format!("{given} has a fraction; a {noun} is a whole number and a unit"), help)
            }
            Fault::UnknownUnit { unit, meant } => {
                let units = format!("the units are {list}");
                let help = if meant.is_empty() { units } else { format!("{}; {units}", self.meant(meant, subject)) };
                (format!("{given} has the unknown unit {}", quoted(&unit)), help)
            }
        }
    }

    /// The help `use "5s" or "5ms"`, with the texts that are in the range. If there are none, the range.
    fn meant(&self, mut texts: Vec<String>, subject: &Subject<'_>) -> String {
        texts.retain(|text| self.units.parse(text).is_ok_and(|value| (self.min..=self.max).contains(&value)));
        if texts.is_empty() {
            return self.range(subject);
        }
        format!("use {}", listed(&texts.iter().map(|text| quoted(text)).collect::<Vec<_>>(), "or"))
    }

    fn range(&self, subject: &Subject<'_>) -> String {
        let (min, max) = (self.units.show(self.min), self.units.show(self.max));
        format!("use \"{min}\" to \"{max}\"{}", subject.default_note())
    }

    fn out_of_range(&self, subject: &Subject<'_>, node: &Node, is_below: bool, report: &mut Report<'_>) -> Reported {
        let (min, max) = (self.units.show(self.min), self.units.show(self.max));
        out_of_range(subject, node, is_below, &min, &max, self.range(subject), report)
    }
}

/// Reports a value below `min` or above `max`.
fn out_of_range(
    subject: &Subject<'_>,
    node: &Node,
    is_below: bool,
    min: &str,
    max: &str,
    help: String,
    report: &mut Report<'_>,
) -> Reported {
    let fault = if is_below { format!("below the minimum of {min}") } else { format!("above the maximum of {max}") };
    report.error(&node.place, format!("{} is {fault}", subject.given(&node.raw)), help)
}
