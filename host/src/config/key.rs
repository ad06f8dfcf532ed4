//! The declaration of one key. Which keys exist is in `keys`.
//!
//! Owns [`Key`], the effect of a changed value, and the type-erased view [`Declared`] that documentation and
//! suggestions use. Never names a key of the job file: see `keys`.

use std::collections::BTreeMap;

use super::report::{MistakePlace, Report, Reported};
use super::shape::Shape;
use super::subject::{Fallback, Subject};
use super::tree::{Node, Raw};

/// The effect of a changed value on a job that continues from a checkpoint. Later variants are stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The results stay the same.
    Harmless,
    /// The value is used from this restart on. Batches that run again may have other results.
    Restart,
    /// The kept state does not fit the new value, so the job needs a fresh run.
    Fresh,
}

/// A key with the shape of its value. Keys are constants, and only in `keys`.
pub(super) struct Key<S: 'static> {
    name: &'static str,
    shape: S,
    fallback: Fallback,
    doc: &'static str,
    spark: Option<&'static str>,
    of_type: Option<&'static str>,
    change: Change,
}

impl<S: Shape> Key<S> {
    /// Makes a key with this dotted name, in which `NAME` stands for any name.
    pub(super) const fn new(name: &'static str, shape: S, fallback: Fallback, doc: &'static str) -> Self {
        Self { name, shape, fallback, doc, spark: None, of_type: None, change: Change::Restart }
    }

    /// Adds the name of the same setting in Spark.
    pub(super) const fn spark(mut self, name: &'static str) -> Self {
        self.spark = Some(name);
        self
    }

    /// Limits the key to sources or connections of one type.
    pub(super) const fn of_type(mut self, name: &'static str) -> Self {
        self.of_type = Some(name);
        self
    }

    /// Sets the effect of a changed value on a job that has a checkpoint. Without this call, it is [`Change::Restart`].
    pub(super) const fn when_changed(mut self, change: Change) -> Self {
        self.change = change;
        self
    }

    /// Checks a given value. `section` is the table that the key is in, as in `sources.lines`.
    pub(super) fn check(&self, section: &str, node: &Node, report: &mut Report<'_>) -> Result<S::Value, Reported> {
        self.shape.check(&self.subject(section, matches!(node.place, MistakePlace::Override { .. })), node, report)
    }

    /// The shape of the key's values.
    pub(super) const fn shape(&self) -> &S {
        &self.shape
    }

    /// The fixed default; `None` if the key is required, or if its default is derived.
    pub(super) fn default(&self, section: &str, report: &mut Report<'_>) -> Option<Result<S::Value, Reported>> {
        let raw = match self.fallback {
            Fallback::Required(_) | Fallback::Derived { .. } => return None,
            Fallback::Text(text) => Raw::Text(text.to_owned()),
            Fallback::Number(number) => Raw::Whole { text: number.to_string(), value: Some(number.into()) },
            Fallback::Decimal(number) => Raw::Fraction(number.to_owned()),
            Fallback::Flag(flag) => Raw::Flag(flag),
            Fallback::Empty => Raw::Table(BTreeMap::new()),
        };
        Some(self.check(section, &Node { place: MistakePlace::File, raw }, report))
    }

    fn subject<'a>(&'a self, section: &'a str, is_override: bool) -> Subject<'a> {
        Subject { section, key: self.leaf(), fallback: self.fallback, is_override }
    }
}

/// A key without the type of its value.
pub(super) trait Declared: Sync {
    /// The dotted name, with `NAME` for any name: `sources.NAME.address`.
    fn name(&self) -> &'static str;
    /// The name of the same setting in Spark; `None` if there is none.
    fn spark(&self) -> Option<&'static str>;
    /// The only type of source or connection that has this key. `None` if all types have the key, or if the key is in
    /// neither.
    fn of_type(&self) -> Option<&'static str>;
    /// The effect of a changed value on a job that has a checkpoint.
    fn change(&self) -> Change;
    /// The value that is used if the key is absent.
    fn fallback(&self) -> Fallback;
    /// The meaning of the key, in one sentence of Markdown.
    fn doc(&self) -> &'static str;
    /// The type and the range of the value, for a reader.
    fn describe(&self) -> String;
    /// All values, as they are written after `--set KEY=`. Empty if they are too many to list.
    fn values(&self) -> Vec<&'static str>;
    /// Whether the fixed default passes the check of the key. True if there is none.
    #[cfg(test)]
    fn has_valid_default(&self, report: &mut Report<'_>) -> bool;

    /// The table that the key is in: `sources.NAME`.
    fn section(&self) -> &'static str {
        self.name().rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// The last part of the key's name: `address`.
    fn leaf(&self) -> &'static str {
        self.name().rsplit_once('.').map_or(self.name(), |(_, leaf)| leaf)
    }
}

impl<S: Shape> Declared for Key<S> {
    fn name(&self) -> &'static str {
        self.name
    }
    fn spark(&self) -> Option<&'static str> {
        self.spark
    }
    fn of_type(&self) -> Option<&'static str> {
        self.of_type
    }
    fn change(&self) -> Change {
        self.change
    }
    fn fallback(&self) -> Fallback {
        self.fallback
    }
    fn doc(&self) -> &'static str {
        self.doc
    }
    fn describe(&self) -> String {
        self.shape.describe()
    }
    fn values(&self) -> Vec<&'static str> {
        self.shape.values()
    }
    #[cfg(test)]
    fn has_valid_default(&self, report: &mut Report<'_>) -> bool {
        self.default(self.section(), report).is_none_or(|value| value.is_ok())
    }
}
