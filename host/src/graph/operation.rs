//! The operations of nodes, and their options.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::ids::NodeId;
use crate::time::{Duration, Time};

/// The longest window or slide that is accepted, and the longest time that windows of windows may reach back: a hundred
/// years of 365 days. With this limit, arithmetic stays far from the limits of all integer types.
pub(super) const SPAN_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The operation of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The rows of the source with this name in the job file.
    Source {
        /// The name of the source.
        source: String,
    },
    /// Rows of a partition pass through a function of the plugin, such as `map`, `filter` or `map_partitions`.
    Narrow,
    /// The rows of several streams, one stream after the other.
    Union,
    /// Rows are aggregated by key: pre-aggregated, shuffled, aggregated.
    Aggregate {
        /// The number of partitions of the shuffle. `None` means the job's `parallelism`.
        partitions: Option<u32>,
    },
    /// Rows are dealt out to partitions in turn.
    Repartition {
        /// The number of partitions.
        partitions: u32,
    },
    /// Pairs are sorted by their keys, into one partition.
    Sort {
        /// Whether the largest key comes first.
        descending: bool,
    },
    /// Neighbouring partitions are put together, without a shuffle.
    Coalesce {
        /// The largest number of partitions after that.
        partitions: u32,
    },
    /// Rows pass unchanged, and are kept for the readers of the node.
    Cache,
    /// The rows that a driver function makes from the data sets of its parents, in each batch.
    Transform,
    /// Rows of several streams are joined or grouped by key.
    Join {
        /// The rows that the join makes for a key.
        kind: JoinKind,
        /// The number of partitions of the shuffles. `None` means the job's `parallelism`.
        partitions: Option<u32>,
    },
    /// The rows of the last batches, one batch after the other.
    Window {
        /// The length of the window.
        length: Duration,
        /// The time between two windows. `None` means the slide interval of the parent.
        slide: Option<Duration>,
    },
    /// The rows of a batch update the state of their keys.
    State(Stateful),
    /// All keys and states of the parent, which has state.
    StateSnapshots,
    /// The first rows of each batch are printed.
    Print {
        /// The number of rows.
        rows: u32,
    },
    /// A driver function runs for each batch.
    ForeachRdd,
    /// The rows of a data set are saved in a directory. Only driver functions can make such a node.
    SaveAsFile {
        /// The format of the files.
        format: FileFormat,
        /// The path of the directory.
        path: String,
    },
    /// Rows are loaded from a file, or from the files of a directory. Only driver functions can make such a node.
    Load {
        /// The format of the files.
        format: FileFormat,
        /// The path of the file or directory.
        path: String,
    },
    /// The rows of a stream in an earlier batch or in the current batch. Only driver functions can make such a node.
    Slice {
        /// The stream.
        of: NodeId,
        /// The batch.
        time: Time,
    },
    /// One partition without rows. Only driver functions can make such a node.
    Empty,
    /// The rows of each batch are saved in a directory `PREFIX-TIME[.SUFFIX]`.
    SaveAsFiles {
        /// The format of the files.
        format: FileFormat,
        /// The path of the directories, without the time.
        prefix: String,
        /// The part of the name after the time; empty if there is none.
        suffix: String,
    },
    /// The rows of each batch are written to a topic of Kafka, as messages.
    SaveToKafka {
        /// The topic: `TOPIC`, or `CONNECTION:TOPIC`.
        topic: String,
    },
}

impl Operation {
    /// Whether the operation is an output. An output has no rows of its own. Batches are computed for their outputs.
    pub const fn is_output(&self) -> bool {
        matches!(
            self,
            Self::Print { .. }
                | Self::SaveAsFiles { .. }
                | Self::SaveAsFile { .. }
                | Self::SaveToKafka { .. }
                | Self::ForeachRdd
        )
    }

    /// Whether the operation sends its rows through a shuffle of its own.
    pub const fn has_shuffle(&self) -> bool {
        matches!(self, Self::Aggregate { .. } | Self::Repartition { .. } | Self::Sort { .. } | Self::State(_))
    }

    /// The stateful operation; `None` if the operation has no state.
    pub const fn stateful(&self) -> Option<&Stateful> {
        if let Self::State(stateful) = self { Some(stateful) } else { None }
    }

    /// Whether a driver function runs for the operation.
    pub const fn is_driver(&self) -> bool {
        matches!(self, Self::Transform | Self::ForeachRdd)
    }

    /// Whether only a driver function can make the operation.
    pub const fn is_of_data_set(&self) -> bool {
        matches!(self, Self::SaveAsFile { .. } | Self::Load { .. } | Self::Slice { .. } | Self::Empty)
    }
}

/// How the function of a stateful operation is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateForm {
    /// For each key that has state or new values: the key's new state.
    Keys,
    /// For each partition with all its keys: the partition's new state.
    Partitions,
    /// For each record: a mapped record, and the new state of the record's key.
    Records,
    /// For each key whose values enter or leave a window: the key's new value.
    Window,
}

/// A stateful operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stateful {
    /// How the operation's function is called.
    pub form: StateForm,
    /// The number of partitions of the shuffle and of the state. `None` means the job's `parallelism`.
    pub partitions: Option<u32>,
    /// Whether the plugin has an initial state.
    pub has_initial: bool,
    /// After which time without data a key times out. `None` if keys do not time out.
    pub timeout: Option<Duration>,
    /// The window of [`StateForm::Window`]: its length and its slide. `None` as the slide means the slide interval of
    /// the parent.
    pub window: Option<(Duration, Option<Duration>)>,
    /// The time between two snapshots of the state. `None` means Spark's default.
    pub checkpoint: Option<Duration>,
}

/// The options of Parquet files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParquetOptions {
    /// How the pages are compressed.
    pub compression: Compression,
    /// Whether `u64` columns become decimals of 20 digits, which hold all values, instead of signed integers.
    pub u64_as_decimals: bool,
}

/// How the pages of Parquet files are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Snappy, the default of Spark.
    #[default]
    Snappy,
    /// Zstandard, at its default compression level.
    Zstd,
}

/// The format of the files that an output saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Lines of text, in the form in which `print` shows values.
    Text,
    /// Arrow IPC files.
    Arrow,
    /// Parquet files.
    Parquet(ParquetOptions),
    /// Lines of CSV after a line with the names of the columns.
    Csv,
    /// One JSON object a line.
    Json,
}

/// The rows that a join makes for a key. With two parents, the first is the left one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// A row for each pair of a left and a right row.
    Inner,
    /// As `Inner`, and a row for each left row that has no right row.
    LeftOuter,
    /// As `Inner`, and a row for each right row that has no left row.
    RightOuter,
    /// As `Inner`, and the additional rows of both `LeftOuter` and `RightOuter`.
    FullOuter,
    /// One row for each key, with a list of the values of each parent.
    CoGroup,
}
