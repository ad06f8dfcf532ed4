//! The shapes of values that say which files a source reads, and what happens to the files afterwards.
//!
//! Owns these shapes and their messages. Never looks at a file.

use super::report::{Report, Reported};
use super::settings::WhenDone;
use super::shape::Shape;
use super::subject::Subject;
use super::tree::Node;

/// The beginning of a value of `when_done` that names a directory.
const MOVE: &str = "move:";

/// The shape of patterns of file names, separated by commas.
pub(super) struct NamePatterns;

impl Shape for NamePatterns {
    type Value = Vec<String>;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<Vec<String>, Reported> {
        let text = subject.text(node, report)?;
        let patterns: Vec<String> = text.split(',').map(|word| word.trim().to_owned()).collect();
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        let fault = if patterns.iter().any(String::is_empty) {
            "has an empty pattern"
        } else if text.contains('/') {
            "has a pattern with a `/`, but patterns are of names alone"
        } else {
            return Ok(patterns);
        };
        let help = format!("separate patterns by commas, as in `{} = \"*.csv, *.txt\"`", subject.key);
        Err(report.error(&node.place, format!("{} {fault}", subject.given(&node.raw)), help))
    }

    fn describe(&self) -> String {
        "string: patterns of names with `*`, `?` and `[a-z]`, separated by commas".to_owned()
    }
}

/// The shape of `keep`, `delete`, or `move:` with a directory.
pub(super) struct AfterUse;

impl Shape for AfterUse {
    type Value = WhenDone;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<WhenDone, Reported> {
        let text = subject.text(node, report)?;
        let fault = match (text, text.strip_prefix(MOVE)) {
            ("keep", _) => return Ok(WhenDone::Keep),
            ("delete", _) => return Ok(WhenDone::Delete),
            (_, Some("")) => "names no directory",
            (_, Some(directory)) if directory.contains('\0') => "contains a NUL character",
            (_, Some(directory)) => return Ok(WhenDone::Move(directory.into())),
            _ => "is not \"keep\", \"delete\" or \"move:\" and a directory",
        };
        let help = format!("write it as in `{} = \"move:done\"`{}", subject.key, subject.default_note());
        Err(report.error(&node.place, format!("{} {fault}", subject.given(&node.raw)), help))
    }

    fn describe(&self) -> String {
        "`\"keep\"`, `\"delete\"`, or `\"move:DIRECTORY\"`".to_owned()
    }
}
