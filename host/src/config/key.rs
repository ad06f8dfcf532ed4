//! What one declared key is, apart from which keys there are.
//!
//! Owns [`Key`], what another value of a key means, and the type-erased view [`Declared`] that documentation and suggestions use. Never
//! names a key of the job file: see `keys`.

use std::collections::BTreeMap;

use super::report::{Place, Report, Reported};
use super::shape::Shape;
use super::subject::{Fallback, Subject};
use super::tree::{Node, Raw};

/// What another value of a key means for a job that goes on from a checkpoint. Later ones are stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The results are the same.
    Harmless,
    /// It holds from this restart on, and batches that run again may have other results.
    Restart,
    /// What was kept does not fit it: it needs a fresh run.
    Fresh,
}

/// A key with the shape of its value. Built in constants, in `keys` only.
pub(super) struct Key<S: 'static> {
    name: &'static str,
    shape: S,
    fallback: Fallback,
    doc: &'static str,
    spark: Option<&'static str>,
    source_type: Option<&'static str>,
    change: Change,
}

impl<S: Shape> Key<S> {
    /// A key by its dotted name, in which `NAME` stands for any name.
    pub(super) const fn new(name: &'static str, shape: S, fallback: Fallback, doc: &'static str) -> Self {
        Self { name, shape, fallback, doc, spark: None, source_type: None, change: Change::Restart }
    }

    /// Adds the name of the same setting in Spark.
    pub(super) const fn spark(mut self, name: &'static str) -> Self {
        self.spark = Some(name);
        self
    }

    /// Makes it a key of sources of one type only.
    pub(super) const fn source_type(mut self, name: &'static str) -> Self {
        self.source_type = Some(name);
        self
    }

    /// Says what another value means for a job that has a checkpoint, if not [`Change::Restart`].
    pub(super) const fn when_changed(mut self, change: Change) -> Self {
        self.change = change;
        self
    }

    /// Checks a given value. `section` is the table it stands in, as in `sources.lines`.
    pub(super) fn check(&self, section: &str, node: &Node, report: &mut Report<'_>) -> Result<S::Value, Reported> {
        self.shape.check(&self.subject(section, matches!(node.place, Place::Override { .. })), node, report)
    }

    /// What it accepts.
    pub(super) const fn shape(&self) -> &S {
        &self.shape
    }

    /// The fixed default; none for a key that is required or derived.
    pub(super) fn default(&self, section: &str, report: &mut Report<'_>) -> Option<Result<S::Value, Reported>> {
        let raw = match self.fallback {
            Fallback::Required(_) | Fallback::Derived { .. } => return None,
            Fallback::Text(text) => Raw::Text(text.to_owned()),
            Fallback::Number(number) => Raw::Whole { text: number.to_string(), value: Some(number.into()) },
            Fallback::Empty => Raw::Table(BTreeMap::new()),
        };
        Some(self.check(section, &Node { place: Place::File, raw }, report))
    }

    fn subject<'a>(&'a self, section: &'a str, is_override: bool) -> Subject<'a> {
        Subject { section, key: self.leaf(), fallback: self.fallback, is_override }
    }
}

/// A key without the type of its value.
pub(super) trait Declared: Sync {
    /// The dotted name pattern: `sources.NAME.address`.
    fn name(&self) -> &'static str;
    /// The name of the same setting in Spark.
    fn spark(&self) -> Option<&'static str>;
    /// The only type of source that has this key; none for keys of all types, and for keys outside `[sources]`.
    fn source_type(&self) -> Option<&'static str>;
    /// What another value means for a job that has a checkpoint.
    fn change(&self) -> Change;
    /// What holds when it is absent.
    fn fallback(&self) -> Fallback;
    /// What it does, in one sentence of Markdown.
    fn doc(&self) -> &'static str;
    /// The type and range of its value, for a reader.
    fn describe(&self) -> String;
    /// Whether the fixed default, if any, passes its own check.
    #[cfg(test)]
    fn has_valid_default(&self, report: &mut Report<'_>) -> bool;

    /// The table it stands in: `sources.NAME`.
    fn section(&self) -> &'static str {
        self.name().rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// The last part of its name: `address`.
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
    fn source_type(&self) -> Option<&'static str> {
        self.source_type
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
    #[cfg(test)]
    fn has_valid_default(&self, report: &mut Report<'_>) -> bool {
        self.default(self.section(), report).is_none_or(|value| value.is_ok())
    }
}
