//! Explains why a text is not TOML.
//!
//! Owns the conversion of the parser's errors to messages with a place and a help. Never reads settings: a file that is
//! not TOML has none, because the text after the first error may have been meant differently.

use std::ops::Range;

use toml::de::{DeTable, DeValue, Error};

use super::lines::LineStarts;
use super::quote::{escaped, listed, quoted, segment};
use super::report::{MistakePlace, Report, Reported};

/// The most duplicate names that are reported at once. A file that was pasted into itself has one in each line.
const MOST_ERRORS: usize = 20;

/// Reports why `text` is not TOML. Each duplicate name is reported, up to the first error of another kind. That error
/// may be the cause of the errors after it.
pub(super) fn report(text: &str, report: &mut Report<'_>) -> Reported {
    let (tree, errors) = DeTable::parse_recoverable(text);
    let lines = LineStarts::of(text);
    let mut last = None;
    for error in errors.iter().take(MOST_ERRORS) {
        let spot = Spot::of(error, text, &lines);
        let is_duplicate = error.message() == "duplicate key";
        let (message, help) =
            if is_duplicate { duplicate(&spot, text, &tree, &lines) } else { spot.explain(error.message()) };
        last = Some(report.error(&MistakePlace::Position { line: spot.line, column: spot.column }, message, help));
        if !is_duplicate {
            break;
        }
    }
    last.unwrap_or_else(|| report.error(&MistakePlace::File, "is not TOML", "see https://toml.io for what is"))
}

/// The part of the text to which an error points.
struct Spot<'t> {
    line: usize,
    column: usize,
    offset: usize,
    /// Whether the part is to the right of a `=`.
    is_value: bool,
    /// The first character of the part; `None` at the end of the text.
    first: Option<char>,
    /// The text that the parser has marked. It is often empty.
    marked: &'t str,
    /// The whole line, without white space at its ends.
    line_text: &'t str,
}

impl<'t> Spot<'t> {
    fn of(error: &Error, text: &'t str, lines: &LineStarts) -> Self {
        // If something is missing at the end of the file, it is missing after the last word, not in an empty line after
        // it.
        let end = text.trim_end().len();
        let span = error.span().unwrap_or(end..end);
        let mut offset = span.start.min(end);
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = lines.line(offset);
        let start = lines.start(line);
        let before = text.get(start..offset).unwrap_or_default();
        Self {
            line,
            column: before.chars().filter(|c| *c != BYTE_ORDER_MARK).count() + 1,
            offset,
            is_value: before.contains('='),
            first: text.get(offset..).and_then(|rest| rest.chars().next()),
            marked: text.get(offset..span.end).unwrap_or_default(),
            line_text: text.get(start..).unwrap_or_default().lines().next().unwrap_or_default().trim_matches(unseen),
        }
    }

    /// The message and the help of an error that is not a duplicate name.
    fn explain(&self, message: &str) -> (String, String) {
        let (key, rest) = self.line_text.split_once('=').unwrap_or_default();
        let (key, rest) = (key.trim(), rest.split(" #").next().unwrap_or_default().trim());
        if message.starts_with("string values must be quoted") {
            if self.marked.trim().is_empty() {
                return self.without_value(key);
            }
            return unquoted(key, rest, self.marked.trim());
        }
        if self.is_value
            && message.starts_with("invalid ")
            && rest.starts_with(|c: char| c.is_ascii_alphanumeric() || ".+-".contains(c))
        {
            return unquoted(key, rest, rest);
        }
        if message.contains("escaped value") || message.contains("unicode") {
            let help = "in single quotes a backslash is just a backslash: 'C:\\jobs'; in double quotes, double it";
            let unknown = self.first.filter(|_| message.starts_with("missing escaped value"));
            let escape = unknown.map(|c| format!("`\\{}` means nothing in a string", escaped(&c.to_string())));
            return (escape.unwrap_or_else(|| readable(message)), help.to_owned());
        }
        (readable(message), format!("the line reads `{}`", escaped(self.line_text)))
    }

    fn without_value(&self, key: &str) -> (String, String) {
        if key.is_empty() {
            return ("a value is missing".to_owned(), format!("the line reads `{}`", escaped(self.line_text)));
        }
        (format!("`{}` has no value", escaped(key)), "write a value after the `=`, or remove the line".to_owned())
    }
}

const BYTE_ORDER_MARK: char = '\u{feff}';

fn unseen(c: char) -> bool {
    c.is_whitespace() || c == BYTE_ORDER_MARK
}

/// The message and the help for `batch_interval = 1s`. `rest` is the text after the `=`, `value` the part that needs
/// quotes.
fn unquoted(key: &str, rest: &str, value: &str) -> (String, String) {
    let fixed = quoted(value.trim_matches(['"', '\'', '\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}']));
    let message = format!("the value `{}` needs quotes", escaped(value));
    if rest == value && !key.is_empty() {
        return (message, format!("write `{} = {fixed}`", escaped(key)));
    }
    (message, format!("write {fixed}"))
}

/// The parser's message, with an English list of what the parser expected.
fn readable(message: &str) -> String {
    let Some((what, expected)) = message.split_once(", expected ") else { return message.to_owned() };
    let item = |item: &str| if item == "newline" { "a new line".to_owned() } else { item.to_owned() };
    let expected: Vec<String> = expected.split(", ").filter(|item| *item != "nothing").map(item).collect();
    if expected.is_empty() { what.to_owned() } else { format!("{what}, expected {}", listed(&expected, "or")) }
}

/// Reports a key or table that is given twice. If only one place is possible for the first one, says where it is.
fn duplicate(spot: &Spot<'_>, text: &str, tree: &toml::Spanned<DeTable<'_>>, lines: &LineStarts) -> (String, String) {
    let name = spot.marked.trim_matches(['"', '\'']);
    let mut candidates = Vec::new();
    let is_header = spot.line_text.starts_with('[');
    // The parser does not say where the first of two headers is, but the first looks like the second. The duplicate of
    // a key is below the same header.
    if is_header {
        let above = text.lines().take(spot.line - 1).zip(1..);
        candidates.extend(above.filter(|(line, _)| line.trim_matches(unseen) == spot.line_text).map(|(_, line)| line));
    } else {
        let above = text.get(..spot.offset).unwrap_or_default();
        let header = above.rfind("\n[").unwrap_or(0);
        let mut found = Vec::new();
        same_name(tree.get_ref(), name, &(header..spot.offset), &mut found);
        candidates.extend(found.into_iter().map(|offset| lines.line(offset)));
    }
    let shown = if is_header { escaped(spot.line_text) } else { segment(name) };
    let first = if let [line] = candidates.as_slice() { Some(*line) } else { None };
    let whence = first.map(|line| format!(", first in line {line}")).unwrap_or_default();
    let help = match first {
        Some(line) if is_header => format!("move the keys below it up to line {line}"),
        _ if is_header => "move the keys below it to the first one".to_owned(),
        _ => "keep one of the two".to_owned(),
    };
    (format!("`{shown}` is given twice{whence}"), help)
}

/// Collects the offsets in `range` at which there are keys called `name`.
fn same_name(table: &DeTable<'_>, name: &str, range: &Range<usize>, found: &mut Vec<usize>) {
    for (key, value) in table {
        if key.get_ref() == name && range.contains(&key.span().start) {
            found.push(key.span().start);
        }
        if let DeValue::Table(inner) = value.get_ref() {
            same_name(inner, name, range, found);
        }
    }
}
