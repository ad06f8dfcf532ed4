//! Reads keys from the tables of the job file.
//!
//! Owns [`Section`] and [`Reader`]: keys that are absent, present, required or have a default. Never names a key and
//! knows no rules between keys: `resolve` has them.

use super::key::{Declared, Key};
use super::keys::{KEYS, SOURCE_SECTION};
use super::names::Misspelt;
use super::quote::segment;
use super::report::{MistakePlace, Report, Reported};
use super::shape::Shape;
use super::tree::{Node, Raw, Table};

/// A table such as `[job]` or `[sources.lines]`.
pub(super) struct Section<'t> {
    /// The dotted name of the table.
    pub(super) name: String,
    /// The keys of the table; `None` if the file does not have the table.
    table: Option<&'t Table>,
    /// The place of the table's header. If there is none, the file as a whole.
    place: MistakePlace,
}

/// A table below `[sources]`.
type OfSource<'t> = Result<Section<'t>, Reported>;

/// Reads keys and reports their mistakes.
pub(super) struct Reader<'r, 'a> {
    /// The report to which mistakes are added.
    pub(super) report: &'r mut Report<'a>,
    /// The misspelt names, whose absence is not reported.
    pub(super) misspelt: &'r Misspelt,
}

/// A value that the job file or the command line gives, and its place.
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) place: MistakePlace,
    /// The key and the value as they were written, for messages: `engine.memory = "1GiB"`.
    pub(super) text: String,
}

impl Reader<'_, '_> {
    /// The table `head` of the file. A table that is absent has no keys.
    pub(super) fn section<'t>(&mut self, root: &'t Table, head: &str) -> Result<Section<'t>, Reported> {
        match root.get(head) {
            None => Ok(Section { name: head.to_owned(), table: None, place: MistakePlace::File }),
            Some(node) => {
                let header = if head == "sources" { SOURCE_SECTION } else { head };
                let help = match node.raw {
                    Raw::List { has_tables: true } => format!("write [{header}] once, in single brackets"),
                    _ => format!("write [{header}], and its keys below it"),
                };
                self.table(head.to_owned(), node, help)
            }
        }
    }

    /// The tables below `[sources]`, by name.
    pub(super) fn sources<'t>(&mut self, root: &'t Table) -> Result<Vec<(&'t str, OfSource<'t>)>, Reported> {
        let Section { table: Some(table), .. } = self.section(root, "sources")? else { return Ok(Vec::new()) };
        let source = |(name, node): (&'t String, &'t Node)| {
            let dotted = format!("sources.{}", segment(name));
            let is_key = KEYS.iter().any(|key| key.section() == SOURCE_SECTION && key.leaf() == name);
            let help = if is_key {
                "every source has a name: write [sources.lines], for example, and its keys below it".to_owned()
            } else {
                format!("write [{dotted}], and its keys below it")
            };
            (name.as_str(), self.table(dotted, node, help))
        };
        Ok(table.iter().map(source).collect())
    }

    fn table<'t>(&mut self, name: String, node: &'t Node, help: String) -> Result<Section<'t>, Reported> {
        match &node.raw {
            Raw::Table(table) => Ok(Section { name, table: Some(table), place: node.place.clone() }),
            other => {
                Err(self.report.error(&node.place, format!("`{name}` must be a table, not {}", other.kind()), help))
            }
        }
    }

    /// The value of a key, or its fixed default if the key is not given.
    pub(super) fn read<S: Shape>(&mut self, section: &Section<'_>, key: &Key<S>) -> Result<S::Value, Reported> {
        match self.given(section, key)? {
            Some(given) => Ok(given.value),
            None => match key.default(&section.name, self.report) {
                Some(default) => default,
                None => Err(self.missing(section, key.leaf(), &key.fallback().example())),
            },
        }
    }

    /// The value of a key; `None` if the key is not given.
    pub(super) fn given<S: Shape>(
        &mut self,
        section: &Section<'_>,
        key: &Key<S>,
    ) -> Result<Option<Given<S::Value>>, Reported> {
        let Some(node) = section.node(key.leaf()) else { return Ok(None) };
        let value = key.check(&section.name, node, self.report)?;
        let text = format!("{}.{} = {}", section.name, key.leaf(), node.raw.literal().unwrap_or_default());
        Ok(Some(Given { value, place: node.place.clone(), text }))
    }

    /// Reports that a required key is absent, unless the key is misspelt.
    pub(super) fn missing(&mut self, section: &Section<'_>, key: &str, example: &str) -> Reported {
        let name = format!("{}.{key}", section.name);
        if self.misspelt.contains(&name) || self.misspelt.contains(&section.name) {
            return Reported::as_unknown_name();
        }
        let help = match section.place {
            MistakePlace::Override { .. } => format!("add --set {name}={}", example.trim_matches('"')),
            _ => format!("add `{key} = {example}` under [{}]", section.name),
        };
        self.report.error(&section.place, format!("`{name}` is missing"), help)
    }
}

impl<'t> Section<'t> {
    /// Whether the key is given, with a valid value or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.node(key).is_some()
    }

    /// The place of the table.
    pub(super) const fn place(&self) -> &MistakePlace {
        &self.place
    }

    fn node(&self, key: &str) -> Option<&'t Node> {
        self.table.and_then(|table| table.get(key))
    }
}
