//! How text from outside is shown: names of files, messages of other programs, values of data.
//!
//! Owns the one escaping of the host. Code that puts a name or a text from a plugin, a file system, a network or the
//! data of a job into a message calls [`Shown::shown`]. The errors of [`crate::error`], the log and lines of JSON are
//! escaped by this module once more. So a text that a caller forgot to escape can neither change how a terminal shows
//! the rest nor look like a line of the host. Never changes stored data.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The most characters of a value that a message shows.
pub const VALUE_CHARS_MAX: usize = 200;

/// A number of things in words: `1 batch`, `2 batches`. `one` is the word for a single thing.
pub fn counted(number: u64, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ if one.ends_with("ch") => format!("{number} {one}es"),
        _ => format!("{number} {one}s"),
    }
}

/// Text from outside, as a message shows it: on one line, and harmless to a terminal.
pub trait Shown {
    /// The text with each control character, and each mark that changes the direction of text, replaced by its code, as
    /// in `\u{1b}`. Bytes that are not UTF-8 are replaced.
    fn shown(&self) -> Cow<'_, str>;
}

impl Shown for str {
    fn shown(&self) -> Cow<'_, str> {
        escape_control(self)
    }
}

impl Shown for Path {
    fn shown(&self) -> Cow<'_, str> {
        match self.to_string_lossy() {
            Cow::Borrowed(text) => escape_control(text),
            Cow::Owned(text) => Cow::Owned(escape_control(&text).into_owned()),
        }
    }
}

impl Shown for PathBuf {
    fn shown(&self) -> Cow<'_, str> {
        self.as_path().shown()
    }
}

/// Replaces each character that could change how a terminal shows the rest by its code, as in `\u{1b}`: control
/// characters other than the tab, line and paragraph separators, and marks that change the direction of text.
pub fn escape_control(text: &str) -> Cow<'_, str> {
    escape(text, changes_terminal)
}

/// As [`escape_control`], for a text of several lines: line ends stay, and each line but the first is indented, so that
/// no other line looks like the beginning of a new message.
pub fn lines(text: &str) -> Cow<'_, str> {
    let escaped = escape(text, |character| character != '\n' && changes_terminal(character));
    if !begins_lines(&escaped) {
        return escaped;
    }
    let mut indented = String::with_capacity(escaped.len() + 16);
    for (number, line) in escaped.split('\n').enumerate() {
        if number > 0 {
            indented.push('\n');
            indented.push_str(if line.is_empty() || line.starts_with([' ', '\t']) { "" } else { "  " });
        }
        indented.push_str(line);
    }
    Cow::Owned(indented)
}

/// A line of JSON with the same meaning, in which control characters and marks of direction are JSON escapes.
pub fn json(line: &str) -> Cow<'_, str> {
    let is_escaped = |character| character != '\n' && changes_terminal(character);
    if !line.contains(is_escaped) {
        return Cow::Borrowed(line);
    }
    let mut escaped = String::with_capacity(line.len() + 16);
    for character in line.chars() {
        if is_escaped(character) {
            // Each escaped character is in the basic plane, where one escape is enough. Writing to a string cannot
            // fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// A value of data in a message: on one line, at most [`VALUE_CHARS_MAX`] characters of it.
pub fn value(text: &str) -> String {
    let end = text.char_indices().nth(VALUE_CHARS_MAX).map(|(end, _)| end);
    let cut = end.and_then(|end| text.get(..end)).unwrap_or(text);
    let rest = if end.is_some() { "..." } else { "" };
    format!("{}{rest}", escape_control(cut))
}

/// A name from outside in a message, as in `` `lines` ``: on one line, with quotes and backslashes escaped as well.
pub fn name(text: &str) -> String {
    format!("`{}`", text.escape_debug())
}

/// As [`name`], at most `chars_max` characters of it.
pub fn short_name(text: &str, chars_max: usize) -> String {
    let short: String = text.chars().take(chars_max).collect();
    let rest = if short.len() < text.len() { "..." } else { "" };
    format!("`{}{rest}`", short.escape_debug())
}

fn begins_lines(text: &str) -> bool {
    text.split('\n').skip(1).any(|line| !line.is_empty() && !line.starts_with([' ', '\t']))
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    let Some(first) = text.find(&is_escaped) else { return Cow::Borrowed(text) };
    let (harmless, rest) = text.split_at(first);
    let mut escaped = String::with_capacity(text.len() + 16);
    escaped.push_str(harmless);
    for character in rest.chars() {
        if is_escaped(character) {
            escaped.extend(character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

fn changes_terminal(character: char) -> bool {
    match character {
        '\t' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        // C0, DEL and C1.
        _ => character.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_thing_is_no_plural() {
        let counts = [0, 1, 2].map(|number| ["row", "batch"].map(|word| counted(number, word)));
        assert_eq!(counts, [["0 rows", "0 batches"], ["1 row", "1 batch"], ["2 rows", "2 batches"]]);
    }

    #[test]
    fn names_stay_on_one_line() {
        let name = "in/x\u{1b}]0;owned\u{7}\nerror: forged\u{9b}2J\u{202e}";
        let shown = r"in/x\u{1b}]0;owned\u{7}\u{a}error: forged\u{9b}2J\u{202e}";
        assert_eq!(name.shown(), shown);
        assert_eq!(Path::new(name).shown(), shown);
        assert!(matches!("plain\tname".shown(), Cow::Borrowed(_)));
    }

    #[test]
    fn no_line_looks_like_another_message() {
        assert_eq!(lines("one\nerror: two\n  three\n\nhelp: \u{1b}"), "one\n  error: two\n  three\n\n  help: \\u{1b}");
        assert!(matches!(lines("one\n  two"), Cow::Borrowed(_)));
    }

    #[test]
    fn values_are_cut() {
        assert_eq!(value("a\nb"), r"a\u{a}b");
        assert_eq!(value(&"é".repeat(200)), "é".repeat(200));
        assert_eq!(value(&"é".repeat(201)), "é".repeat(200) + "...");
    }

    proptest! {
        /// A line of JSON means the same before and after, and has nothing a terminal obeys.
        #[test]
        fn json_means_the_same(text in any::<String>()) {
            let line = serde_json::to_string(&text).unwrap();
            let shown = json(&line);
            prop_assert!(!shown.contains(changes_terminal));
            prop_assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        }

        #[test]
        fn what_is_shown_is_harmless(text in any::<String>()) {
            prop_assert!(!text.shown().contains(changes_terminal));
            prop_assert!(!value(&text).contains(changes_terminal));
            prop_assert!(lines(&text).split('\n').skip(1).all(|line| line.is_empty() || line.starts_with([' ', '\t'])));
        }
    }
}
