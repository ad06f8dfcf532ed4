//! The shapes of values that only sources of type `nats` have.
//!
//! Owns these shapes and their messages. The rules for names and subjects are those of NATS. Never resolves a host name.

use super::report::{Report, Reported};
use super::shape::Shape;
use super::subject::Subject;
use super::tree::Node;

/// The shape of the name of a stream or a consumer.
pub(super) struct StreamName;

impl Shape for StreamName {
    type Value = String;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<String, Reported> {
        let name = subject.text(node, report)?;
        // Servers keep streams and consumers in directories of these names.
        let is_allowed = |c: char| c.is_ascii_graphic() && !"./\\*>\"".contains(c);
        let fault = if name.is_empty() {
            "is empty"
        } else if !name.chars().all(is_allowed) {
            "has a character that such a name cannot have"
        } else if name.len() > 255 {
            "is longer than 255 characters"
        } else {
            return Ok(name.to_owned());
        };
        let help = format!("use {NAME_RULE}, as in `{} = {}`", subject.key, subject.fallback.example());
        Err(report.error(&node.place, format!("{} {fault}", subject.given(&node.raw)), help))
    }

    fn describe(&self) -> String {
        format!("string: {NAME_RULE}")
    }
}

/// The rule for names of streams and consumers.
const NAME_RULE: &str = "letters (a-z, A-Z), digits and signs, but no `.`, `/`, `\\`, `*`, `>` or space";

/// The shape of a pattern of subjects.
pub(super) struct SubjectPattern;

impl Shape for SubjectPattern {
    type Value = String;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<String, Reported> {
        let pattern = subject.text(node, report)?;
        let parts: Vec<&str> = pattern.split('.').collect();
        let is_last = |at: usize| at + 1 == parts.len();
        let mut wild = parts.iter().enumerate();
        let fault = if parts.contains(&"") {
            "has an empty part"
        } else if !pattern.chars().all(|c| !c.is_whitespace() && !c.is_control()) {
            "has a space"
        } else if wild.any(|(at, part)| part.contains(['*', '>']) && *part != "*" && !(*part == ">" && is_last(at))) {
            "has a `*` that is not a whole part, or a `>` that is not the whole last part"
        } else {
            return Ok(pattern.to_owned());
        };
        let help = format!("write it as in `{} = {}`", subject.key, subject.fallback.example());
        Err(report.error(&node.place, format!("{} {fault}", subject.given(&node.raw)), help))
    }

    fn describe(&self) -> String {
        "string: a subject of NATS, with `*` and `>`".to_owned()
    }
}
