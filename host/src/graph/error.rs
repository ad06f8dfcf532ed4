//! What can be wrong with a graph, and what to do about it.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::program::NODES_MAX;

/// What is wrong with a described graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Spark's words, for the most frequent mistake of beginners.
    #[error("No output operations registered, so nothing to execute")]
    NoOutput,
    /// More nodes than the host is willing to look at.
    #[error("the graph has {0} nodes, which is more than {NODES_MAX}")]
    TooLong(usize),
    /// A kind that this host does not know.
    #[error("node {node} is of the kind `{kind}`, which this host does not know")]
    UnknownKind {
        /// The node's position.
        node: usize,
        /// What it calls itself.
        kind: String,
    },
    /// A window or slide that does not fit what it reads.
    #[error("{what} of {span} on stream {stream} is not a multiple of its slide interval of {slide}")]
    Interval {
        /// `window` or `slide`.
        what: &'static str,
        /// How long it is.
        span: String,
        /// What it reads.
        stream: String,
        /// How often that has a data set.
        slide: String,
        /// What fits.
        help: String,
    },
    /// An operation on streams that do not have their data sets at the same times.
    #[error(
        "{node} reads streams of different slide intervals: {first} every {first_slide}, {other} every {other_slide}"
    )]
    Slides {
        /// The operation.
        node: String,
        /// A stream.
        first: String,
        /// How often it has a data set.
        first_slide: String,
        /// Another stream.
        other: String,
        /// How often that has one.
        other_slide: String,
    },
    /// Windows that add up to more than any job remembers.
    #[error("the windows that {node} reads through reach back more than 100 years before a batch")]
    Reach {
        /// The first node of which this is so.
        node: String,
    },
    /// Rows that a file of this format cannot hold.
    #[error("{subject}: column `{column}` is {ty}, and a field of a CSV file is a single value")]
    Nested {
        /// The output, by kind and position.
        subject: String,
        /// The column.
        column: String,
        /// What it is.
        ty: String,
    },
    /// Anything else that makes no sense.
    #[error("{subject}: {problem}")]
    Node {
        /// The node, by kind and position.
        subject: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl GraphError {
    /// What to do about it, where that is known.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoOutput => Some("end at least one stream with an output such as `print()`".to_owned()),
            Self::UnknownKind { .. } => Some("the plugin may need a newer host".to_owned()),
            Self::Interval { help, .. } => Some(help.clone()),
            Self::Reach { .. } => Some("make the windows shorter, or fewer of them windows of windows".to_owned()),
            Self::Slides { .. } => Some("give them the same slide with `window`".to_owned()),
            Self::Nested { .. } => Some("save JSON or Parquet files, or map such values to text".to_owned()),
            Self::TooLong(_) | Self::Node { .. } => None,
        }
    }
}
