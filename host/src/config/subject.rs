//! The key that a message is about: its name, its default, and an example of a value.
//!
//! Owns [`Subject`], [`Fallback`] and the messages that all types of value share. Never checks a range.

use super::quote::{quoted, segment};
use super::report::{Report, Reported};
use super::tree::{Node, Raw};

/// The value that is used if a key is absent.
#[derive(Clone, Copy)]
pub(super) enum Fallback {
    /// There is no default: an absent key is an error. The text is an example of a value, as it is written in quotes.
    Required(&'static str),
    /// The default is this string.
    Text(&'static str),
    /// The default is this number.
    Number(u64),
    /// The default is this decimal number.
    Decimal(&'static str),
    /// The default is this boolean.
    Flag(bool),
    /// The default is an empty table.
    Empty,
    /// The value depends on other settings. `resolve` computes it; the texts here only describe it.
    Derived { doc: &'static str, example: &'static str },
}

impl Fallback {
    /// An example of a value, as TOML.
    pub(super) fn example(self) -> String {
        match self {
            Self::Required(text) | Self::Text(text) | Self::Derived { example: text, .. } => quoted(text),
            Self::Number(number) => number.to_string(),
            Self::Decimal(number) => number.to_owned(),
            Self::Flag(flag) => flag.to_string(),
            Self::Empty => "{}".to_owned(),
        }
    }

    /// The default as it is written in TOML; `None` if there is no fixed default.
    pub(super) fn fixed(self) -> Option<String> {
        match self {
            Self::Text(_) | Self::Number(_) | Self::Decimal(_) | Self::Flag(_) => Some(self.example()),
            Self::Required(_) | Self::Empty | Self::Derived { .. } => None,
        }
    }
}

/// The key whose value is checked, for messages.
pub(super) struct Subject<'a> {
    /// The table that the key is in: `sources.lines`.
    pub(super) section: &'a str,
    /// The name of the key in the table: `address`.
    pub(super) key: &'a str,
    /// The default of the key, or an example.
    pub(super) fallback: Fallback,
    /// Whether the value was given by `--set`.
    pub(super) is_override: bool,
}

impl Subject<'_> {
    /// The dotted name of the key: `sources.lines.address`.
    pub(super) fn name(&self) -> String {
        format!("{}.{}", self.section, segment(self.key))
    }

    /// The key with its value: `job.parallelism = 300`. If the value is an array or a table, only the name.
    pub(super) fn given(&self, raw: &Raw) -> String {
        raw.literal().map_or_else(|| format!("`{}`", self.name()), |value| format!("{} = {value}", self.name()))
    }

    /// The text `; the default is 2`; empty if there is no fixed default.
    pub(super) fn default_note(&self) -> String {
        self.fallback.fixed().map(|value| format!("; the default is {value}")).unwrap_or_default()
    }

    /// Reports a value of the wrong type.
    pub(super) fn wrong_type(&self, wanted: &str, help: String, node: &Node, report: &mut Report<'_>) -> Reported {
        report.error(&node.place, format!("`{}` must be {wanted}, not {}", self.name(), node.raw.kind()), help)
    }

    /// The text of a string value. A value of `--set` needs no quotes: a number or a date there is the text as it was
    /// written. Reports any other value.
    pub(super) fn text<'n>(&self, node: &'n Node, report: &mut Report<'_>) -> Result<&'n str, Reported> {
        let help = match (&node.raw, node.raw.literal()) {
            (Raw::Text(text), _) => return Ok(text),
            (Raw::Whole { text, .. } | Raw::Fraction(text) | Raw::Moment(text), _) if self.is_override => {
                return Ok(text);
            }
            (_, Some(value)) if self.is_override => {
                format!("quote it so that the shell keeps the quotes: --set '{}=\"{value}\"'", self.name())
            }
            (_, Some(value)) => format!("put it in quotes: `{} = \"{value}\"`", segment(self.key)),
            (_, None) => format!("write it as in `{} = {}`", segment(self.key), self.fallback.example()),
        };
        Err(self.wrong_type("a string", help, node, report))
    }
}
