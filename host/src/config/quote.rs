//! Shows text from outside in a message: on one line, printable, of limited length.
//!
//! Owns escaping and shortening keys, values and lines. Never changes stored text.

/// The most characters of a text from outside that a message repeats. An address or a file name is not longer.
const SHOWN_CHARS: usize = 120;

/// Escapes characters of `text` that are not printable, and cuts `text` after 120 characters.
pub(super) fn escaped(text: &str) -> String {
    shortened(text, |c, out| match c {
        '"' | '\'' | '\\' => out.push(c),
        _ => out.extend(c.escape_debug()),
    })
}

/// Shows `text` as a TOML string: `"a \"b\""`, or `'C:\a'` if that avoids escaping backslashes.
pub(super) fn quoted(text: &str) -> String {
    if text.contains('\\') && !text.contains('\'') && !text.contains(char::is_control) {
        return format!("'{}'", escaped(text));
    }
    let inner = shortened(text, |c, out| match c {
        '\'' => out.push(c),
        _ => out.extend(c.escape_debug()),
    });
    format!("\"{inner}\"")
}

/// Shows a key as in TOML: bare if possible, otherwise quoted.
pub(super) fn segment(key: &str) -> String {
    let is_bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if is_bare { escaped(key) } else { quoted(key) }
}

/// Lists items as `"a"`, `"a" or "b"`, `"a", "b" or "c"`, with `word` before the last item.
pub(super) fn listed(items: &[String], word: &str) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
    }
}

fn shortened(text: &str, show: impl Fn(char, &mut String)) -> String {
    let mut out = String::new();
    for (position, c) in text.chars().enumerate() {
        if position == SHOWN_CHARS {
            out.push_str("...");
            break;
        }
        show(c, &mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_on_one_line_and_short() {
        assert_eq!(quoted("a\n\u{1b}[31m\u{202e}\"é"), r#""a\n\u{1b}[31m\u{202e}\"é""#);
        assert_eq!(quoted(r"C:\jobs"), r"'C:\jobs'");
        assert_eq!(escaped("it's \t"), r"it's \t");
        assert_eq!(escaped(&"x".repeat(500)), format!("{}...", "x".repeat(120)));
        assert_eq!(segment("a-b_1"), "a-b_1");
        assert_eq!(segment("a b"), "\"a b\"");
        assert_eq!(segment(""), "\"\"");
    }

    #[test]
    fn lists_read_as_english() {
        let items = ["a", "b", "c"].map(String::from);
        assert_eq!(listed(&items, "and"), "a, b and c");
        assert_eq!(listed(&items[..2], "or"), "a or b");
        assert_eq!(listed(&items[..1], "or"), "a");
        assert_eq!(listed(&[], "or"), "");
    }
}
