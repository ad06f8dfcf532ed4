//! The output of plugin code, as lines of the host's log.
//!
//! Owns which lines reach the log: only complete lines, limited in length and number, without control characters. Each
//! line says where it came from. A program may write lines while it builds its graph. The host passes them on when it
//! asks for the graph. It does not pass them on again for each task, although each task builds the same graph.

use crate::ids::NodeId;
use crate::shown::escape_control;
use crate::time::Time;
use std::sync::Arc;
use tracing::Level;

/// The most log lines of one task that are passed on.
const LINES_MAX: u32 = 1000;
/// The most bytes of one line that are passed on.
pub(super) const LINE_BYTES_MAX: usize = 8 * 1024;

/// The two text output streams of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Standard,
    Error,
}

/// The origin of log lines.
#[derive(Clone, Debug)]
enum Origin {
    /// The program, while it builds its graph for the host.
    Graph,
    /// The program, while it builds its graph again for a task.
    GraphAgain,
    /// A task, with the names of its operators in the graph.
    Task { operators: Arc<[(NodeId, String)]>, batch: Time, partition: u32 },
}

/// The log of one instance.
pub(super) struct PluginLog {
    origin: Origin,
    lines: u32,
    standard: LineBuffer,
    error: LineBuffer,
}

impl PluginLog {
    /// Makes the log of a program that builds its graph, either for the host or for a task.
    pub fn new(for_a_task: bool) -> Self {
        Self {
            origin: if for_a_task { Origin::GraphAgain } else { Origin::Graph },
            lines: 0,
            standard: LineBuffer::default(),
            error: LineBuffer::default(),
        }
    }

    /// Notes that all lines from here on come from a task.
    pub fn begin_task(&mut self, operators: Arc<[(NodeId, String)]>, batch: Time, partition: u32) {
        self.origin = Origin::Task { operators, batch, partition };
    }

    /// Takes text that a program wrote. `at` is the operator that a traced run has reached.
    pub fn write(&mut self, output: Output, bytes: &[u8], at: Option<NodeId>) {
        let buffer = match output {
            Output::Standard => &mut self.standard,
            Output::Error => &mut self.error,
        };
        for line in buffer.push(bytes) {
            self.line(Level::INFO, &line, at);
        }
    }

    /// Ends the lines that are still incomplete, at the end of a call.
    pub fn end_call(&mut self, at: Option<NodeId>) {
        for line in [self.standard.take(), self.error.take()].into_iter().flatten() {
            self.line(Level::INFO, &line, at);
        }
    }

    /// Passes one line to the host's log.
    pub fn line(&mut self, level: Level, line: &str, at: Option<NodeId>) {
        let (operator, batch, partition) = match &self.origin {
            Origin::GraphAgain => return,
            Origin::Graph => (None, None, None),
            Origin::Task { operators, batch, partition } => {
                (named(operators, at), Some(tracing::field::display(*batch)), Some(*partition))
            }
        };
        self.lines = self.lines.saturating_add(1);
        // The macros need to know the level at compile time, so there is one event for each level.
        macro_rules! pass_on {
            ($macro:ident, $line:expr) => {
                tracing::$macro!(target: "plugin", operator, batch, partition, "{}", $line)
            };
        }
        if self.lines == LINES_MAX {
            pass_on!(warn, "further log lines of this task are dropped");
        }
        if self.lines >= LINES_MAX {
            return;
        }
        let line = escape_control(&line[..line.floor_char_boundary(LINE_BYTES_MAX)]);
        match level {
            Level::ERROR => pass_on!(error, line),
            Level::WARN => pass_on!(warn, line),
            Level::DEBUG => pass_on!(debug, line),
            _ => pass_on!(info, line),
        }
    }
}

/// The name of the operator that wrote a line. A run that is not traced does not know the operator, so the name is that
/// of the first and the last operator of the task.
fn named(operators: &[(NodeId, String)], at: Option<NodeId>) -> Option<String> {
    let traced = operators.iter().find(|(node, _)| Some(*node) == at);
    match (traced, operators) {
        (Some((_, name)), _) | (None, [(_, name)]) => Some(name.clone()),
        (None, [(_, first), .., (_, last)]) => Some(format!("{first} to {last}")),
        (None, []) => None,
    }
}

/// Joins pieces of text to lines.
#[derive(Default)]
struct LineBuffer {
    /// The beginning of a line whose end has not been written yet.
    open: Vec<u8>,
}

impl LineBuffer {
    /// The lines that end in `bytes`. The part of a line that is too long to be passed on is discarded.
    fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let room = LINE_BYTES_MAX.saturating_sub(self.open.len());
            self.open.extend_from_slice(piece.get(..room).unwrap_or(piece));
            if pieces.peek().is_some() {
                lines.push(self.take().unwrap_or_default());
            }
        }
        lines
    }

    /// Takes the incomplete line; `None` if there is none.
    fn take(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.open);
        let line = bytes.strip_suffix(b"\r").unwrap_or(&bytes);
        (!bytes.is_empty()).then(|| String::from_utf8_lossy(line).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lines_do_not_depend_on_the_pieces_they_are_written_in(
            text in "[a-cé\n]{0,40}", cuts in prop::collection::vec(0usize..60, 0..8)
        ) {
            let mut buffer = LineBuffer::default();
            let mut lines = Vec::new();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            for pair in cuts.windows(2) {
                lines.extend(buffer.push(&text.as_bytes()[pair[0]..pair[1]]));
            }
            lines.extend(buffer.take());
            let expected: Vec<&str> = text.lines().collect();
            prop_assert_eq!(lines, expected);
        }
    }

    #[test]
    fn a_line_holds_no_more_than_is_passed_on() {
        let mut buffer = LineBuffer::default();
        (0..20).for_each(|_| assert!(buffer.push(&[b'x'; 1024]).is_empty()));
        assert_eq!(buffer.push(b"\r\ny\r\n"), ["x".repeat(LINE_BYTES_MAX), "y".to_owned()]);
        assert_eq!(buffer.take(), None);
    }

    #[test]
    fn a_line_names_its_operator_or_the_range_it_is_in() {
        let operators = [(NodeId(1), "`a` (node 1)".to_owned()), (NodeId(2), "`b` (node 2)".to_owned())];
        assert_eq!(named(&operators, Some(NodeId(2))).as_deref(), Some("`b` (node 2)"));
        assert_eq!(named(&operators, None).as_deref(), Some("`a` (node 1) to `b` (node 2)"));
        assert_eq!(named(&operators[..1], None).as_deref(), Some("`a` (node 1)"));
        assert_eq!(named(&[], None), None);
    }
}
