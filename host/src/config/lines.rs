//! Finds the lines of a text by byte offset.
//!
//! Owns [`LineStarts`]. Never looks at the content of the lines.

/// The byte offset at which each line begins.
pub(super) struct LineStarts(Vec<usize>);

impl LineStarts {
    /// Finds the line starts of `text`.
    pub(super) fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// The number of the line that contains a byte offset, counted from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }

    /// The byte offset at which a line begins. Lines are counted from 1.
    pub(super) fn start(&self, line: usize) -> usize {
        self.0.get(line.saturating_sub(1)).copied().unwrap_or(0)
    }
}
