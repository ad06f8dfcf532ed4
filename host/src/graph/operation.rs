//! The operations of nodes, and the options of those that have some.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::ids::NodeId;
use crate::time::{Duration, Time};

/// The longest window or slide that is accepted, and the longest way back through windows of windows: a hundred years of
/// 365 days. What is computed with it stays far from the ends of all types.
pub(super) const SPAN_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What a node does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Rows come from the source that the job file calls so.
    Source {
        /// The source's name.
        source: String,
    },
    /// Rows of a partition pass through a function of the plugin's, such as `map`, `filter` or `map_partitions`.
    Narrow,
    /// The rows of several streams, one after the other.
    Union,
    /// Rows are aggregated by key: pre-aggregated, shuffled, aggregated.
    Aggregate {
        /// The partitions that the shuffle makes; the job's `parallelism` if absent.
        partitions: Option<u32>,
    },
    /// Rows are dealt out to partitions in turn.
    Repartition {
        /// How many.
        partitions: u32,
    },
    /// Pairs are sorted by their key, into one partition.
    Sort {
        /// Whether the largest key comes first.
        descending: bool,
    },
    /// Neighbouring partitions are put together, without a shuffle.
    Coalesce {
        /// The most partitions there are then.
        partitions: u32,
    },
    /// Rows pass as they are, and are kept for whoever reads them.
    Cache,
    /// The rows that a driver function makes of its parents' data sets, batch by batch.
    Transform,
    /// Rows of several streams come together by key.
    Join {
        /// What becomes of the rows of a key.
        kind: JoinKind,
        /// The partitions that the shuffles make; the job's `parallelism` if absent.
        partitions: Option<u32>,
    },
    /// The rows of the last batches, one after the other.
    Window {
        /// How far back they reach.
        length: Duration,
        /// How much time lies between two windows; that of the parent if absent.
        slide: Option<Duration>,
    },
    /// The first rows of each batch are printed.
    Print {
        /// How many.
        rows: u32,
    },
    /// A driver function does with each batch what it likes.
    ForeachRdd,
    /// The rows of a data set are saved in a directory. In driver functions only.
    SaveAsFile {
        /// What is in the files.
        format: FileFormat,
        /// The path of the directory.
        path: String,
    },
    /// Rows are read from a file, or from the files of a directory. In driver functions only.
    Load {
        /// What is in the files.
        format: FileFormat,
        /// The path.
        path: String,
    },
    /// The rows of a stream in an earlier batch, or in the same. In driver functions only.
    Slice {
        /// The stream.
        of: NodeId,
        /// The batch.
        time: Time,
    },
    /// The rows of each batch are saved in a directory `PREFIX-TIME[.SUFFIX]`.
    SaveAsFiles {
        /// What is in the files.
        format: FileFormat,
        /// The path of the directories, but for the time.
        prefix: String,
        /// What comes behind the time; empty for nothing.
        suffix: String,
    },
}

impl Operation {
    /// Whether it is an output: it has no rows of its own, and is what a batch is computed for.
    pub const fn is_output(&self) -> bool {
        matches!(self, Self::Print { .. } | Self::SaveAsFiles { .. } | Self::SaveAsFile { .. } | Self::ForeachRdd)
    }

    /// Whether a driver function runs for it.
    pub const fn is_driver(&self) -> bool {
        matches!(self, Self::Transform | Self::ForeachRdd)
    }

    /// Whether only a driver function can make it.
    pub const fn is_of_data_set(&self) -> bool {
        matches!(self, Self::SaveAsFile { .. } | Self::Load { .. } | Self::Slice { .. })
    }
}

/// How Parquet files are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParquetOptions {
    /// How pages are compressed.
    pub compression: Compression,
    /// Whether columns of `u64` are decimals of 20 digits, which hold all values, and not signed integers.
    pub u64_as_decimals: bool,
}

/// How the pages of Parquet files are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Snappy, Spark's default.
    #[default]
    Snappy,
    /// Zstandard, at its default level.
    Zstd,
}

/// What is in the files that an output saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Lines as `print` shows them.
    Text,
    /// Arrow IPC files.
    Arrow,
    /// Parquet files.
    Parquet(ParquetOptions),
    /// Lines of CSV behind one with the names of the columns.
    Csv,
    /// A JSON object a line.
    Json,
}

/// What a join makes of the rows of a key. With two parents, the first is the left one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// A row for each pair of a left and a right row.
    Inner,
    /// The same, and a row for each left row without a right one.
    LeftOuter,
    /// The same as inner, and a row for each right row without a left one.
    RightOuter,
    /// Both of these.
    FullOuter,
    /// One row for each key, with a list of the values of each parent.
    CoGroup,
}
