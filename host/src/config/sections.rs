//! Reads keys from the tables of the job file.
//!
//! Owns [`Section`] and [`Reader`]: keys that are absent, present, required or have a default. Never names a key and
//! knows no rules between keys: `resolve` has them.

use super::key::{Declared, Key};
use super::keys::{KEYS, NamedTables};
use super::names::Misspelt;
use super::quote::{quoted, segment};
use super::report::{MistakePlace, Report, Reported};
use super::shape::{Choice, NAME_RULE, Name, Shape};
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

/// A table below `[sources]` or `[connections]`.
type OfNamed<'t> = Result<Section<'t>, Reported>;

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
                let header = NamedTables::find(head).map_or(head, |tables| tables.section);
                let help = match node.raw {
                    Raw::List { has_tables: true } => format!("write [{header}] once, in single brackets"),
                    _ => format!("write [{header}], and its keys below it"),
                };
                self.table(head.to_owned(), node, help)
            }
        }
    }

    /// The tables that have names, by name.
    pub(super) fn named<'t>(
        &mut self,
        root: &'t Table,
        tables: &NamedTables,
    ) -> Result<Vec<(&'t str, OfNamed<'t>)>, Reported> {
        let NamedTables { head, section, one, example, .. } = tables;
        let Section { table: Some(table), .. } = self.section(root, head)? else { return Ok(Vec::new()) };
        let named = |(name, node): (&'t String, &'t Node)| {
            let dotted = format!("{head}.{}", segment(name));
            let is_key = KEYS.iter().any(|key| key.section() == *section && key.leaf() == name);
            let help = if is_key {
                format!("every {one} has a name: write [{head}.{example}], for example, and its keys below it")
            } else {
                format!("write [{dotted}], and its keys below it")
            };
            (name.as_str(), self.table(dotted, node, help))
        };
        Ok(table.iter().map(named).collect())
    }

    /// Checks the name of a table.
    pub(super) fn check_name(&mut self, name: &str, table: &Section<'_>, tables: &NamedTables) -> Result<(), Reported> {
        let NamedTables { head, one, example, .. } = tables;
        let Some((fault, fixed)) = Name::fault(name, example) else { return Ok(()) };
        let message = format!("the name of {one} {} {fault}", quoted(name));
        Err(self.report.error(table.place(), message, format!("use {NAME_RULE}, as in [{head}.{fixed}]")))
    }

    /// The type of a table that has a name.
    pub(super) fn table_type<T: Copy + Sync>(
        &mut self,
        table: &Section<'_>,
        tables: &NamedTables,
        key: &Key<Choice<T>>,
    ) -> Result<T, Reported> {
        if let Some(given) = self.given(table, key)? {
            return Ok(given.value);
        }
        // If a key belongs to only one type, the key shows which type was meant.
        let mut keys = KEYS.iter().filter(|key| key.section() == tables.section && table.has(key.leaf()));
        let meant = keys.find_map(|key| key.of_type());
        let example = meant.map_or_else(|| key.fallback().example(), quoted);
        Err(self.missing(table, key.leaf(), &example))
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
