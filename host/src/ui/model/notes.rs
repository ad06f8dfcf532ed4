//! The last events that need attention, as lines for people.
//!
//! Owns how many are kept. A line that comes again is counted and not repeated.

use super::batches::kept;
use crate::listener::Attention;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The most lines.
const NOTES_MAX: usize = 500;
/// Among how many of the last lines one that comes again is looked for.
const LOOKED_AT: usize = 20;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::ui) enum Level {
    Info,
    Warning,
    Error,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ui) struct Note {
    /// When it came last.
    pub(in crate::ui) time_ms: u64,
    pub(in crate::ui) level: Level,
    pub(in crate::ui) text: String,
    /// How many times it came.
    pub(in crate::ui) count: u64,
}

/// The lines, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::ui) struct Notes {
    lines: VecDeque<Note>,
}

impl Notes {
    /// Adds a line. `attention` says how bad it is; details are left out.
    pub(in crate::ui) fn add(&mut self, time_ms: u64, attention: Attention, text: &str) {
        let level = match attention {
            Attention::Detail => return,
            Attention::Notice => Level::Info,
            Attention::Warning => Level::Warning,
            Attention::Error => Level::Error,
        };
        let text = kept(text);
        let first = self.lines.len().saturating_sub(LOOKED_AT);
        let known =
            (first..self.lines.len()).rev().find(|at| self.lines.get(*at).is_some_and(|line| *line.text == *text));
        let before = known.and_then(|at| self.lines.remove(at)).map_or(0, |line| line.count);
        self.lines.push_back(Note { time_ms, level, text: text.into(), count: before.saturating_add(1) });
        while self.lines.len() > NOTES_MAX {
            self.lines.pop_front();
        }
    }

    /// The lines, the newest first.
    pub(in crate::ui) fn newest(&self) -> impl Iterator<Item = &Note> {
        self.lines.iter().rev()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_comes_again_is_counted() {
        let mut notes = Notes::default();
        for time_ms in 0..2000 {
            notes.add(time_ms, Attention::Warning, "the server is away");
            notes.add(time_ms, Attention::Detail, "a detail");
        }
        notes.add(2001, Attention::Notice, "the server is back");
        let told: Vec<_> = notes.newest().map(|note| (note.time_ms, note.count, note.level)).collect();
        assert_eq!(told, [(2001, 1, Level::Info), (1999, 2000, Level::Warning)]);
    }

    #[test]
    fn the_number_of_lines_is_bounded() {
        let mut notes = Notes::default();
        (0..2000).for_each(|number| notes.add(number, Attention::Notice, &number.to_string()));
        let numbers: Vec<_> = notes.newest().map(|note| note.time_ms).collect();
        assert_eq!(numbers, (1500..2000).rev().collect::<Vec<_>>());
    }
}
