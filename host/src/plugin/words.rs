//! Text of a plugin, in the form in which the host's messages show it.

use super::log::LINE_BYTES_MAX;

/// Makes text of a plugin safe to show in a message. The result is limited in length and has no control characters.
/// Lines after the first are indented, so that none of them looks like a line of the host.
pub(super) fn foreign(words: &str) -> String {
    let words: String = words.chars().take(LINE_BYTES_MAX).collect();
    let lines: Vec<_> = words.lines().map(crate::shown::escape_control).collect();
    lines.join("\n  ")
}
