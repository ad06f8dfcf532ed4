//! The shapes of values that name topics of Kafka, their partitions, and offsets.
//!
//! Owns these shapes and their messages. The rules for names of topics are those of Kafka.

use std::collections::{BTreeMap, BTreeSet};

use super::report::{Report, Reported};
use super::shape::{Shape, each};
use super::subject::Subject;
use super::tree::{Node, Raw};

/// The rule for names of topics.
const NAME_RULE: &str = "letters (a-z, A-Z), digits, `.`, `_` and `-`";

/// The fault of the name of a topic. `None` if the name is valid.
fn fault(name: &str) -> Option<&'static str> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() {
        Some("has an empty name")
    } else if name == "." || name == ".." || !name.chars().all(is_allowed) {
        Some("has a name that no topic can have")
    } else if name.len() > 249 {
        Some("has a name that is longer than 249 characters")
    } else {
        None
    }
}

/// A partition of the form `TOPIC/NUMBER`.
fn partition(text: &str) -> Result<(String, i32), &'static str> {
    let Some((topic, number)) = text.rsplit_once('/') else { return Err("has a partition that is not TOPIC/NUMBER") };
    if let Some(fault) = fault(topic) {
        return Err(fault);
    }
    match number.parse::<i32>() {
        Ok(number) if number >= 0 => Ok((topic.to_owned(), number)),
        _ => Err("has a partition whose number is not a whole number from 0"),
    }
}

/// Reads words that are separated by commas. Each word stands once.
fn words<T: Ord + Clone>(
    subject: &Subject<'_>,
    node: &Node,
    report: &mut Report<'_>,
    read: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<Vec<T>, Reported> {
    let text = subject.text(node, report)?;
    let mut seen = BTreeSet::new();
    let mut word = |word: &str| match read(word.trim()) {
        Ok(value) if !seen.insert(value.clone()) => Err("names something twice"),
        read => read,
    };
    let values: Result<Vec<T>, _> = text.split(',').map(&mut word).collect();
    values.map_err(|fault| {
        let help = format!("use {NAME_RULE} for topics, as in `{} = {}`", subject.key, subject.fallback.example());
        report.error(&node.place, format!("{} {fault}", subject.given(&node.raw)), help)
    })
}

/// The shape of names of topics, separated by commas.
pub(super) struct Topics;

impl Shape for Topics {
    type Value = Vec<String>;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<Vec<String>, Reported> {
        words(subject, node, report, |name| match fault(name) {
            Some(fault) => Err(fault),
            None => Ok(name.to_owned()),
        })
    }

    fn describe(&self) -> String {
        "string: topics, separated by commas".to_owned()
    }
}

/// The shape of partitions of topics, separated by commas.
pub(super) struct Partitions;

impl Shape for Partitions {
    type Value = Vec<(String, i32)>;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<Self::Value, Reported> {
        words(subject, node, report, partition)
    }

    fn describe(&self) -> String {
        "string: partitions as `TOPIC/NUMBER`, separated by commas".to_owned()
    }
}

/// The shape of a table of offsets, by partition.
pub(super) struct Offsets;

impl Shape for Offsets {
    type Value = BTreeMap<(String, i32), i64>;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<Self::Value, Reported> {
        let example = "{ \"words/0\" = 1000 }";
        let Raw::Table(table) = &node.raw else {
            return Err(subject.wrong_type("a table", format!("write `{} = {example}`", subject.key), node, report));
        };
        let offsets = each(table, &subject.name(), "0", |subject, node| {
            let offset = match &node.raw {
                Raw::Whole { value: Some(value), .. } => i64::try_from(*value).ok().filter(|value| *value >= 0),
                _ => None,
            };
            let fault = match (partition(subject.key), offset) {
                (Ok(partition), Some(offset)) => return Ok((partition, offset)),
                (Err(fault), _) => fault,
                (_, None) => "has an offset that is not a whole number from 0",
            };
            let message = format!("{} {fault}", subject.given(&node.raw));
            Err(report.error(&node.place, message, format!("write offsets as in `start_offsets = {example}`")))
        })?;
        Ok(offsets.into_values().collect())
    }

    fn describe(&self) -> String {
        "table: an offset for each partition".to_owned()
    }
}

/// The shape of a point in time, in milliseconds since the Unix epoch.
pub(super) struct EpochMs;

impl Shape for EpochMs {
    type Value = u64;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<u64, Reported> {
        let value = match &node.raw {
            Raw::Whole { value: Some(value), .. } => u64::try_from(*value).ok(),
            _ => None,
        };
        let help = format!("write milliseconds since 1970, as in `{} = {}`", subject.key, subject.fallback.example());
        value.ok_or_else(|| subject.wrong_type("a number of milliseconds", help, node, report))
    }

    fn describe(&self) -> String {
        "whole number: milliseconds since 1970-01-01".to_owned()
    }
}
