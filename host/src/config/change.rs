//! The effect of a changed job file on a job that continues from a checkpoint.
//!
//! Owns the comparison of the keys of two job files. Never decides what is done about a difference.

use std::collections::{BTreeMap, BTreeSet};

use super::key::Change;
use super::keys::{KEYS, NamedTables};
use super::quote::{escaped, segment};
use super::tree::{Node, Raw, Table};

/// A key that has different values in the two job files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The key, dotted.
    pub key: String,
    /// The earlier value, as TOML; `None` if the key was not given.
    pub before: Option<String>,
    /// The later value, as TOML; `None` if the key is not given.
    pub after: Option<String>,
    /// The effect of the difference.
    pub change: Change,
}

/// The keys whose values differ in the two job files, in alphabetical order.
pub fn changes(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<KeyChange> {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differs = |key: &&&String| before.get(**key) != after.get(**key);
    let change = |key: &String| KeyChange {
        key: key.clone(),
        before: before.get(key).cloned(),
        after: after.get(key).cloned(),
        change: meaning(key, type_of(key, after).or_else(|| type_of(key, before))),
    };
    keys.iter().filter(differs).map(|key| change(key)).collect()
}

/// The tables with names that a key belongs to, and the key without their head. `None` if the key is in none.
fn named(key: &str) -> Option<(&'static NamedTables, &str)> {
    let (head, rest) = key.split_once('.')?;
    Some((NamedTables::find(head)?, rest))
}

/// The type, as TOML, of the source or connection that a key belongs to; `None` if the key belongs to neither, or the
/// type is not given.
fn type_of<'a>(key: &str, given: &'a BTreeMap<String, String>) -> Option<&'a str> {
    let rest = after_segment(named(key)?.1);
    let table = key.strip_suffix(rest)?;
    given.get(&format!("{table}type")).map(String::as_str)
}

/// The effect of a changed value of a key. `table_type` is the type of the key's source or connection, if it is known. If
/// this version of the host does not know the key, it does not use the key.
fn meaning(key: &str, table_type: Option<&str>) -> Change {
    let own = match named(key) {
        Some((tables, rest)) => format!("{}.{}", tables.section, after_segment(rest)),
        None => key.to_owned(),
    };
    let is_meant = |name: &str| own.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    // Tables of different types may have keys with the same name.
    let is_of_table =
        |of: Option<&str>| of.zip(table_type).is_none_or(|(of, table_type)| table_type.trim_matches(['"', '\'']) == of);
    let meant = KEYS.iter().filter(|key| is_meant(key.name()) && is_of_table(key.of_type()));
    let found = meant.map(|key| key.change());
    found.max().unwrap_or(Change::Harmless)
}

/// The part of a dotted key after the first segment.
fn after_segment(dotted: &str) -> &str {
    let end = match dotted.strip_prefix('"') {
        Some(quoted) => quoted.find('"').map(|at| at + 2),
        None => dotted.find('.'),
    };
    end.and_then(|end| dotted.get(end..)).map_or("", |rest| rest.trim_start_matches('.'))
}

/// The keys that a job file gives: dotted names, with their values as TOML.
pub(super) fn given(root: &Table) -> BTreeMap<String, String> {
    let mut given = BTreeMap::new();
    root.iter().for_each(|(name, node)| collect(segment(name).to_string(), node, &mut given));
    given
}

fn collect(key: String, node: &Node, given: &mut BTreeMap<String, String>) {
    match &node.raw {
        Raw::Table(table) => {
            for (name, node) in table {
                collect(format!("{key}.{}", segment(name)), node, given);
            }
        }
        other => {
            let value = other.literal().unwrap_or_else(|| escaped("[...]").to_owned());
            given.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Facts, load};
    use super::*;

    fn given(text: &str) -> BTreeMap<String, String> {
        let overrides = [("limits.memory".to_owned(), "1GiB".to_owned())];
        load(text, Path::new("job.toml"), &overrides, &Facts { cpus: 1 }).unwrap().given
    }

    const BEFORE: &str = "[job]\nname = \"a\"\nplugin = \"p.wasm\"\nargs = { x = \"1\", y = \"2\" }\n\
                          [sources.\"a.b\"]\ntype = \"queue\"\npath = \"q\"\n";

    #[test]
    fn each_key_that_differs_is_told_with_what_it_means() {
        let before = given(BEFORE);
        assert_eq!(changes(&before, &before), []);
        let after = BEFORE
            .replace("y = \"2\"", "z = \"3\"")
            .replace("path = \"q\"", "path = \"r\"")
            .replace("[sources", "on_error = \"continue\"\n[sources");
        let told: Vec<String> = changes(&before, &given(&after))
            .iter()
            .map(|change| format!("{} {:?} {:?} {:?}", change.key, change.before, change.after, change.change))
            .collect();
        assert_eq!(
            told,
            [
                r#"job.args.y Some("\"2\"") None Restart"#,
                r#"job.args.z None Some("\"3\"") Restart"#,
                r#"job.on_error None Some("\"continue\"") Harmless"#,
                r#"sources."a.b".path Some("\"q\"") Some("\"r\"") Fresh"#,
            ]
        );
    }

    /// `path` of a queue is another key than `path` of a directory.
    #[test]
    fn what_a_key_of_a_source_means_follows_from_its_type() {
        for (source_type, expected) in
            [("text-files", Change::Restart), ("log-file", Change::Fresh), ("queue", Change::Fresh)]
        {
            let before = given(&BEFORE.replace("\"queue\"", &format!("\"{source_type}\"")));
            let mut after = before.clone();
            after.insert("sources.\"a.b\".path".to_owned(), "\"r\"".to_owned());
            let changes: Vec<Change> = changes(&before, &after).iter().map(|change| change.change).collect();
            assert_eq!(changes, [expected], "{source_type}");
        }
    }

    #[test]
    fn every_key_means_something() {
        assert_eq!(meaning("job.batch_interval", None), Change::Fresh);
        assert_eq!(meaning("sources.lines.type", None), Change::Fresh);
        assert_eq!(meaning("limits.memory", None), Change::Harmless);
        assert_eq!(meaning("job.parallelism", None), Change::Restart);
        assert_eq!(meaning("sources.x.options.depth", None), Change::Restart);
        assert_eq!(meaning("later.key", None), Change::Harmless);
    }
}
