//! Finds names in the job file that do not exist, or do not exist in their place.
//!
//! Owns the messages about unknown tables and keys, with the names that were probably meant. Never looks at values,
//! except the type of a source or a connection, which decides which keys it has.

use std::collections::BTreeSet;

use super::distance::nearest;
use super::key::Declared;
use super::keys::{KEYS, NamedTables, sections};
use super::quote::{listed, quoted, segment};
use super::report::Report;
use super::suggest;
use super::tree::{Node, Raw, Table};

/// The dotted names of keys and tables that are probably present under a misspelt name. That such a name is missing is
/// not reported as an error of its own.
pub(super) type Misspelt = BTreeSet<String>;

/// Reports every unknown name in the file. A value in place of a known table is left to `sections`.
pub(super) fn check(root: &Table, report: &mut Report<'_>) -> Misspelt {
    let mut names = Names { report, misspelt: Misspelt::new() };
    for (head, node) in root {
        let Raw::Table(table) = &node.raw else {
            if !heads().contains(&head.as_str()) {
                names.unknown_key("", head, &[], None, node);
            }
            continue;
        };
        if let Some(tables) = NamedTables::find(head) {
            for (name, node) in table {
                if let Raw::Table(table) = &node.raw {
                    names.named(&format!("{head}.{}", segment(name)), tables, table);
                }
            }
        } else if sections().contains(&head.as_str()) {
            names.section(head, table);
        } else {
            names.unknown_table(head, table, node);
        }
    }
    names.misspelt
}

/// The names that may stand at the top level of the file.
fn heads() -> Vec<&'static str> {
    sections().iter().map(|section| section.split('.').next().unwrap_or(section)).collect()
}

/// The keys of a table that a source or connection of the given type may have.
fn keys_of(section: &str, table_type: Option<&str>) -> Vec<&'static str> {
    let holds = |key: &&&dyn Declared| {
        key.section() == section && (table_type.is_none() || key.of_type().is_none() || key.of_type() == table_type)
    };
    let mut keys: Vec<_> = KEYS.iter().filter(holds).map(|key| key.leaf()).collect();
    let mut seen = BTreeSet::new();
    keys.retain(|key| seen.insert(*key));
    keys
}

struct Names<'r, 'a> {
    report: &'r mut Report<'a>,
    misspelt: Misspelt,
}

impl Names<'_, '_> {
    fn section(&mut self, section: &str, table: &Table) {
        let known = keys_of(section, None);
        for (key, node) in table.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            self.unknown_key(section, key, &known, None, node);
        }
    }

    fn named(&mut self, section: &str, tables: &NamedTables, table: &Table) {
        let keys = || KEYS.iter().filter(|key| key.section() == tables.section);
        let given = table.get("type").map(|node| &node.raw);
        let table_type = match given {
            Some(Raw::Text(text)) if keys().any(|key| key.of_type() == Some(text)) => Some(text.as_str()),
            _ => None,
        };
        let known = keys_of(tables.section, table_type);
        for (key, node) in table.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            let of_key = keys().filter(|declared| declared.leaf() == key);
            let types: Vec<_> = of_key.filter_map(|key| key.of_type()).map(quoted).collect();
            let Some(table_type) = table_type.filter(|_| !types.is_empty()) else {
                // If the type does not exist, a key that is not similar to any known key is taken for a
                // key of that type.
                let is_of_unknown_type = given.is_some() && table_type.is_none();
                if !is_of_unknown_type || !suggest::keys(section, key, &known).is_empty() {
                    self.unknown_key(section, key, &known, table_type.map(|of| (tables.one, of)), node);
                }
                continue;
            };
            let types = listed(&types, "or");
            let message = format!("`{section}.{key}` belongs to type {types}, but {section} has type \"{table_type}\"");
            self.report.error(&node.place, message, format!("remove it, or set `type` to {types}"));
        }
    }

    fn unknown_key(&mut self, section: &str, key: &str, here: &[&'static str], of: Option<(&str, &str)>, node: &Node) {
        let meant = suggest::keys(section, key, here);
        let help = if !meant.is_empty() {
            did_you_mean(&meant)
        } else if heads().contains(&key) && matches!(node.raw, Raw::Table(_)) {
            format!("[{key}] is a table of its own, not part of [{section}]")
        } else if here.is_empty() {
            tables_there_are()
        } else {
            let keys: Vec<_> = here.iter().map(|key| format!("`{key}`")).collect();
            let owner = match of {
                Some((one, table_type)) => format!("a {one} of type {}", quoted(table_type)),
                None => format!("[{section}]"),
            };
            format!("{owner} has the keys {}", listed(&keys, "and"))
        };
        let name = if section.is_empty() { segment(key) } else { format!("{section}.{}", segment(key)) };
        self.report.error(&node.place, format!("unknown key `{name}`"), help);
        self.misspelt.extend(meant);
    }

    /// Reports one error for an unknown table, unless the table has keys that are known under other names, such as
    /// Spark's.
    fn unknown_table(&mut self, head: &str, table: &Table, node: &Node) {
        let message = format!("unknown table `[{}]`", segment(head));
        if let Some(near) = nearest(head, heads()) {
            self.report.error(&node.place, message, format!("did you mean `[{near}]`?"));
            self.misspelt.insert(near.to_owned());
            return;
        }
        let mut leaves = Vec::new();
        collect_leaves(head, table, &mut leaves);
        let is_known = |(section, leaf, _): &(String, &str, &Node)| !suggest::keys(section, leaf, &[]).is_empty();
        let (known, unknown): (Vec<_>, Vec<_>) = leaves.into_iter().partition(is_known);
        if known.is_empty() || !unknown.is_empty() {
            self.report.error(&node.place, message, tables_there_are());
        }
        for (section, leaf, node) in known {
            self.unknown_key(&section, leaf, &[], None, node);
        }
    }
}

fn did_you_mean(meant: &[String]) -> String {
    format!("did you mean {}?", listed(&meant.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>(), "or"))
}

fn tables_there_are() -> String {
    let tables: Vec<_> = sections().iter().map(|section| format!("[{section}]")).collect();
    format!("the tables are {}", listed(&tables, "and"))
}

/// Collects the values below a table: for each, the dotted name of its own table, its key, and the value.
fn collect_leaves<'t>(section: &str, table: &'t Table, leaves: &mut Vec<(String, &'t str, &'t Node)>) {
    for (key, node) in table {
        match &node.raw {
            Raw::Table(inner) => collect_leaves(&format!("{section}.{}", segment(key)), inner, leaves),
            _ => leaves.push((section.to_owned(), key, node)),
        }
    }
}
