//! The words of a plugin, as messages of the host show them.

use super::log::LINE_BYTES_MAX;

/// Words of a plugin as they may stand in a message: not too long, without control characters, and with lines after the
/// first indented, so that none can pass for a line of our own.
pub(super) fn foreign(words: &str) -> String {
    let words: String = words.chars().take(LINE_BYTES_MAX).collect();
    let lines: Vec<_> = words.lines().map(crate::shown::escape_control).collect();
    lines.join("\n  ")
}
