//! The shape of topics that a connection grants.
//!
//! Owns the shape and its messages. Never decides which topic a pattern means: see `grants/topics.rs`.

use super::report::{Report, Reported};
use super::shape::Shape;
use super::subject::Subject;
use super::tree::Node;

/// The shape of names and patterns of topics, separated by commas.
pub(super) struct TopicPatterns;

impl Shape for TopicPatterns {
    type Value = Vec<String>;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<Vec<String>, Reported> {
        let text = subject.text(node, report)?;
        let patterns: Vec<String> = text.split(',').map(|word| word.trim().to_owned()).collect();
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-*".contains(c);
        let fault = if patterns.iter().any(String::is_empty) {
            "has an empty name"
        } else if !patterns.iter().all(|pattern| pattern.chars().all(is_allowed)) {
            "has a character that no topic has"
        } else {
            return Ok(patterns);
        };
        let help = format!("separate topics by commas, as in `{} = \"clean, by-country.*\"`", subject.key);
        Err(report.error(&node.place, format!("{} {fault}", subject.given(&node.raw)), help))
    }

    fn describe(&self) -> String {
        "string: names of topics, also with `*`, separated by commas".to_owned()
    }
}
