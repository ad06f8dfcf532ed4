//! The job file as a tree in which every value knows its place.
//!
//! Owns [`Node`], reading TOML into it, and applying `--set KEY=VALUE` to it. Knows no key of Millstream: `keys` says
//! which keys exist, and `syntax` explains mistakes in the text itself.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeString, DeTable, DeValue};

use super::lines::LineStarts;
use super::quote::{escaped, quoted};
use super::report::{MistakePlace, Report, Reported};
use super::syntax;

/// A table: keys in alphabetical order.
pub(super) type Table = BTreeMap<String, Node>;

/// A value and the place at which it was given.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// The place of the key. For a table that has a header, the place of the header.
    pub(super) place: MistakePlace,
    /// The value.
    pub(super) raw: Raw,
}

/// A value as TOML reads it, before any key is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Raw {
    /// A string.
    Text(String),
    /// An integer: its text, and its value; `None` if the value does not fit.
    Whole { text: String, value: Option<i128> },
    /// A float, as text.
    Fraction(String),
    /// `true` or `false`.
    Flag(bool),
    /// A date, a time or both, as text.
    Moment(String),
    /// An array; its elements are never used.
    List { has_tables: bool },
    /// A table.
    Table(Table),
}

impl Raw {
    /// The type of the value, for a message: `a string`.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Whole { .. } => "a whole number",
            Self::Fraction(_) => "a decimal number",
            Self::Flag(_) => "a boolean",
            Self::Moment(_) => "a date or time",
            Self::List { has_tables: false } => "an array",
            Self::List { has_tables: true } => "an array of tables",
            Self::Table(_) => "a table",
        }
    }

    /// The same value, with the text of a number, a date or a time as it was written.
    fn with_text(self, written: &str) -> Self {
        match self {
            Self::Whole { value, .. } => Self::Whole { text: written.to_owned(), value },
            Self::Fraction(_) => Self::Fraction(written.to_owned()),
            Self::Moment(_) => Self::Moment(written.to_owned()),
            other => other,
        }
    }

    /// The value as a message shows it; `None` for arrays and tables.
    pub(super) fn literal(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(quoted(text)),
            Self::Whole { text, .. } | Self::Fraction(text) | Self::Moment(text) => Some(escaped(text)),
            Self::Flag(flag) => Some(flag.to_string()),
            Self::List { .. } | Self::Table(_) => None,
        }
    }
}

/// Reads a job file. If the text is not TOML, reports why, with line and column.
pub(super) fn parse(text: &str, report: &mut Report<'_>) -> Result<Table, Reported> {
    match DeTable::parse(text) {
        Ok(root) => {
            let lines = LineStarts::of(text);
            Ok(table(root.get_ref(), &|span| MistakePlace::Line(lines.line(span.start))))
        }
        Err(_) => Err(syntax::report(text, report)),
    }
}

/// Applies pairs of `--set KEY=VALUE` to the tree. The last pair of a key is used. A table replaces a whole table.
pub(super) fn apply(root: &mut Table, overrides: &[(String, String)], report: &mut Report<'_>) {
    for (index, (key, value)) in overrides.iter().enumerate() {
        let place = MistakePlace::Override { index, key: key.clone() };
        let Some((path, last)) = dotted(key) else {
            let message = format!("{} is not a dotted key", quoted(key));
            report.error(&place, message, "write it as in `--set job.parallelism=4`");
            continue;
        };
        let raw = match DeValue::parse(value.trim()) {
            Ok(parsed) => raw(parsed.get_ref(), &|_| place.clone()).with_text(value.trim()),
            Err(_) => Raw::Text(value.clone()),
        };
        insert(root, &path, last, Node { place, raw });
    }
}

/// Puts a node at the place that `path` and `key` name. A value on the way that is not a table is replaced.
fn insert(table: &mut Table, path: &[String], key: String, node: Node) {
    let Some((head, rest)) = path.split_first() else {
        table.insert(key, node);
        return;
    };
    let place = node.place.clone();
    match table.get_mut(head).map(|node| &mut node.raw) {
        Some(Raw::Table(inner)) => insert(inner, rest, key, node),
        _ => {
            let mut inner = Table::new();
            insert(&mut inner, rest, key, node);
            table.insert(head.clone(), Node { place, raw: Raw::Table(inner) });
        }
    }
}

/// The parts of a key such as `sources.lines.address`, which may be quoted as in TOML. The last part is separate.
/// `None` if the key is invalid.
fn dotted(key: &str) -> Option<(Vec<String>, String)> {
    let text = format!("{key}=0");
    let mut table = DeTable::parse(&text).ok().filter(|_| !key.contains(['\n', '\r']))?.into_inner();
    let mut path = Vec::new();
    loop {
        let (part, value) = table.into_iter().next()?;
        let value_start = value.span().start;
        match value.into_inner() {
            DeValue::Table(inner) => {
                path.push(part.into_inner().into_owned());
                table = inner;
            }
            // The value must be only the 0 that was written above. A key such as `a=1#` has a value of its own.
            _ if value_start == key.len() + 1 => return Some((path, part.into_inner().into_owned())),
            _ => return None,
        }
    }
}

fn table(table: &DeTable<'_>, place: &dyn Fn(Range<usize>) -> MistakePlace) -> Table {
    let node = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
        (key.get_ref().to_string(), Node { place: place(key.span()), raw: raw(value.get_ref(), place) })
    };
    table.iter().map(node).collect()
}

fn raw(value: &DeValue<'_>, place: &dyn Fn(Range<usize>) -> MistakePlace) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) => Raw::Whole { text: number.to_string(), value: whole(number) },
        DeValue::Float(number) => Raw::Fraction(number.to_string()),
        DeValue::Boolean(flag) => Raw::Flag(*flag),
        DeValue::Datetime(moment) => Raw::Moment(moment.to_string()),
        DeValue::Array(items) => Raw::List { has_tables: items.iter().any(|item| item.get_ref().is_table()) },
        DeValue::Table(inner) => Raw::Table(table(inner, place)),
    }
}

fn whole(number: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}
