//! The errors of a graph, and what to do about them.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::program::NODES_MAX;

/// A problem of a described graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// The graph has no output. This is the most frequent mistake of beginners, so the message is Spark's.
    #[error("No output operations registered, so nothing to execute")]
    NoOutput,
    /// The graph has more nodes than the host accepts.
    #[error("the graph has {0} nodes, which is more than {NODES_MAX}")]
    TooLong(usize),
    /// A kind that this host does not know.
    #[error("node {node} is of the kind `{kind}`, which this host does not know")]
    UnknownKind {
        /// The position of the node.
        node: usize,
        /// The kind that the node names.
        kind: String,
    },
    /// The length or the slide of a window does not fit the stream that the window reads.
    #[error("{what} of {span} on stream {stream} is not a multiple of its slide interval of {slide}")]
    Interval {
        /// `window` or `slide`.
        what: &'static str,
        /// The length or the slide.
        span: String,
        /// The stream that the window reads.
        stream: String,
        /// The slide interval of that stream.
        slide: String,
        /// Values that would fit.
        help: String,
    },
    /// The streams of an operation do not have their data sets at the same times.
    #[error(
        "{node} reads streams of different slide intervals: {first} every {first_slide}, {other} every {other_slide}"
    )]
    Slides {
        /// The operation.
        node: String,
        /// One of the streams.
        first: String,
        /// The slide interval of this stream.
        first_slide: String,
        /// Another stream.
        other: String,
        /// The slide interval of the other stream.
        other_slide: String,
    },
    /// The windows add up to more time than any job remembers.
    #[error("the windows that {node} reads through reach back more than 100 years before a batch")]
    Reach {
        /// The first node that reaches back too far.
        node: String,
    },
    /// The rows cannot be saved in a file of this format.
    #[error("{subject}: column `{column}` is {ty}, and a field of a CSV file is a single value")]
    Nested {
        /// The output, by kind and position.
        subject: String,
        /// The name of the column.
        column: String,
        /// The type of the column.
        ty: String,
    },
    /// Any other problem of a node.
    #[error("{subject}: {problem}")]
    Node {
        /// The node, by kind and position.
        subject: String,
        /// The problem.
        problem: String,
    },
}

impl GraphError {
    /// What to do about the problem; `None` if that is not known.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoOutput => Some("end at least one stream with an output such as `print()`".to_owned()),
            Self::UnknownKind { .. } => Some("the plugin may need a newer host".to_owned()),
            Self::Interval { help, .. } => Some(help.clone()),
            Self::Reach { .. } => Some("make the windows shorter, or nest fewer windows in each other".to_owned()),
            Self::Slides { .. } => Some("give them the same slide with `window`".to_owned()),
            Self::Nested { .. } => Some("save JSON or Parquet files, or map such values to text".to_owned()),
            Self::TooLong(_) | Self::Node { .. } => None,
        }
    }
}
