//! Finds the keys that may have been meant by a key that does not exist.
//!
//! Owns the order of the search: Spark's names, other tables, similar names. Never reports.

use super::distance::{nearest, snake_case};
use super::key::Declared;
use super::keys::{KEYS, NamedTables};

/// The keys that may have been meant by the key `leaf`, as dotted names. `here` are the keys of the table that contains
/// `leaf`. `section` is the name of that table in the file, as in `sources.lines`; empty at the top level.
pub(super) fn keys(section: &str, leaf: &str, here: &[&'static str]) -> Vec<String> {
    let full = if section.is_empty() { leaf.to_owned() } else { format!("{section}.{leaf}") };
    let by = |is_meant: &dyn Fn(&dyn Declared) -> bool| -> Vec<String> {
        let meant = KEYS.iter().filter(|key| is_meant(**key));
        let mut names: Vec<String> = meant.map(|key| in_section(section, *key)).collect();
        names.dedup();
        names
    };
    let of_spark =
        by(&|key| key.spark().is_some_and(|name| [full.as_str(), leaf].iter().any(|n| name.eq_ignore_ascii_case(n))));
    if !of_spark.is_empty() {
        return of_spark;
    }
    let snake = snake_case(leaf);
    if here.contains(&snake.as_str()) {
        return vec![format!("{section}.{snake}")];
    }
    let elsewhere = by(&|key| key.leaf() == snake);
    if !elsewhere.is_empty() {
        return elsewhere;
    }
    if let Some(near) = nearest(leaf, here.iter().copied()) {
        return vec![format!("{section}.{near}")];
    }
    let near = nearest(leaf, KEYS.iter().map(|key| key.leaf()));
    near.map(|near| by(&|key| key.leaf() == near)).unwrap_or_default()
}

/// The name of a key, with the name of the current source or connection in place of `NAME`.
fn in_section(section: &str, key: &dyn Declared) -> String {
    let is_here = |tables: &NamedTables| section.split_once('.').is_some_and(|(head, _)| head == tables.head);
    if NamedTables::find(key.section()).is_some_and(is_here) {
        return format!("{section}.{}", key.leaf());
    }
    key.name().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_looked_for_in_spark_then_elsewhere_then_near() {
        let job = ["name", "plugin", "batch_interval"];
        assert_eq!(keys("", "spark.default.parallelism", &[]), ["job.parallelism"]);
        assert_eq!(keys("job", "batchInterval", &job), ["job.batch_interval"]);
        assert_eq!(keys("job", "memory", &job), ["engine.memory", "limits.memory"]);
        assert_eq!(keys("job", "nme", &job), ["job.name"]);
        assert_eq!(keys("", "paralelism", &[]), ["job.parallelism"]);
        assert_eq!(keys("sources.lines", "paht", &["type"]), ["sources.lines.path"]);
        assert!(keys("job", "supervise", &job).is_empty());
    }
}
