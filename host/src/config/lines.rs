//! Lines of a text by byte offset.
//!
//! Owns [`LineStarts`]. Never looks at what the lines say.

/// Where each line begins.
pub(super) struct LineStarts(Vec<usize>);

impl LineStarts {
    /// The line starts of `text`.
    pub(super) fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// The line of a byte offset, counted from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }

    /// The byte offset at which a line, counted from 1, begins.
    pub(super) fn start(&self, line: usize) -> usize {
        self.0.get(line.saturating_sub(1)).copied().unwrap_or(0)
    }
}
