//! Nodes: streams, operations on streams, and outputs.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::call::Call;
use crate::data::schema::{Field, RecordType};
use crate::ids::NodeId;
use crate::time::{Duration, Time};
use std::fmt;

/// The longest graph that is accepted.
pub(super) const NODES_MAX: usize = 2000;

/// What a parameter of a described node can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterValue {
    /// A number.
    Integer(i64),
    /// A text.
    Text(String),
    /// A switch.
    Flag(bool),
    /// A span of time, in milliseconds.
    DurationMs(u64),
}

/// A node as the plugin described it: open names, nothing checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedNode {
    /// What it does.
    pub kind: String,
    /// The name its author gave it.
    pub name: Option<String>,
    /// The nodes it reads, by position.
    pub parents: Vec<u32>,
    /// What the kind needs.
    pub parameters: Vec<(String, ParameterValue)>,
    /// The rows it produces; empty for an output.
    pub rows: Vec<Field>,
    /// The rows it sends through a shuffle.
    pub exchanged: Option<Vec<Field>>,
}

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

impl FileFormat {
    /// What an output of this kind saves. Nothing for other kinds.
    pub fn of_kind(kind: &str) -> Option<Self> {
        Some(match kind {
            "save_as_text_files" => Self::Text,
            "save_as_object_files" => Self::Arrow,
            "save_as_parquet_files" => Self::Parquet(ParquetOptions::default()),
            "save_as_csv_files" => Self::Csv,
            "save_as_json_files" => Self::Json,
            _ => return None,
        })
    }

    /// What an action of this kind saves. Nothing for other kinds.
    pub fn of_action(kind: &str) -> Option<Self> {
        Some(match kind {
            "save_as_text_file" => Self::Text,
            "save_as_object_file" => Self::Arrow,
            "save_as_parquet_file" => Self::Parquet(ParquetOptions::default()),
            "save_as_csv_file" => Self::Csv,
            "save_as_json_file" => Self::Json,
            _ => return None,
        })
    }

    /// What a data set of this kind is read from. Nothing for other kinds.
    pub fn of_loader(kind: &str) -> Option<Self> {
        Some(match kind {
            "text_file" => Self::Text,
            "parquet_file" => Self::Parquet(ParquetOptions::default()),
            "csv_file" => Self::Csv,
            "json_file" => Self::Json,
            _ => return None,
        })
    }
}

/// Where the rows of a persisted node are kept. Spark's levels; those that differ in nothing here are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageLevel {
    /// In memory as long as there is room, then on disk.
    MemoryAndDisk,
    /// On disk.
    DiskOnly,
}

impl StorageLevel {
    /// The level that Spark calls so. Rows are always serialised, in Arrow's layout; there is one machine, so nothing is
    /// replicated; and what cannot be computed again is not dropped.
    pub fn named(name: &str) -> Option<Self> {
        match name.strip_suffix("_2").unwrap_or(name) {
            "MEMORY_ONLY" | "MEMORY_ONLY_SER" | "MEMORY_AND_DISK" | "MEMORY_AND_DISK_SER" | "OFF_HEAP" => {
                Some(Self::MemoryAndDisk)
            }
            "DISK_ONLY" => Some(Self::DiskOnly),
            _ => None,
        }
    }
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

impl JoinKind {
    /// What plugins call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inner => "join",
            Self::LeftOuter => "left_outer_join",
            Self::RightOuter => "right_outer_join",
            Self::FullOuter => "full_outer_join",
            Self::CoGroup => "cogroup",
        }
    }
}

/// A node that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its position in the graph.
    pub id: NodeId,
    /// What it does, as the plugin calls it.
    pub kind: String,
    /// The name its author gave it.
    pub name: Option<String>,
    /// The nodes it reads. All of them stand before it.
    pub parents: Vec<NodeId>,
    /// What it does.
    pub operation: Operation,
    /// The rows it produces. Absent for an output.
    pub rows: Option<RecordType>,
    /// The rows it sends through a shuffle. Present for exactly the operations that shuffle, but for joins: they send
    /// the rows of their parents.
    pub exchanged: Option<RecordType>,
    /// Where its rows are kept for whoever reads them, if it is persisted.
    pub storage: Option<StorageLevel>,
    /// How long its rows are kept after their batch, if it is remembered.
    pub remember: Option<Duration>,
}

/// `` `counts` (reduce_by_key, node 3) `` or `` `reduce_by_key` (node 3) ``
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "`{name}` ({}, node {})", self.kind, self.id),
            None => write!(f, "`{}` (node {})", self.kind, self.id),
        }
    }
}

/// The checked graph. Nodes stand after the nodes they read, so it has no cycle.
///
/// The graph of a batch goes on with what driver functions made in it: see `call.rs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) calls: Vec<Call>,
}

impl Graph {
    /// All nodes, by position.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node with this id, which must come from this graph.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }

    /// How often this node is read.
    pub fn consumers(&self, id: NodeId) -> usize {
        self.nodes.iter().flat_map(|node| &node.parents).filter(|parent| **parent == id).count()
    }

    /// The outputs, in the order of definition, which is the order in which they run.
    pub fn outputs(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.operation.is_output())
    }

    /// The sources that the graph reads, each once, with a number: in the order in which they are first read.
    pub fn stream_ids(&self) -> Vec<(&str, u32)> {
        let mut ids: Vec<(&str, u32)> = Vec::new();
        for (source, _) in self.sources() {
            if ids.iter().all(|(known, _)| *known != source) {
                ids.push((source, u32::try_from(ids.len()).unwrap_or(u32::MAX)));
            }
        }
        ids
    }

    /// The sources that the graph reads: name and node.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().filter_map(|node| match &node.operation {
            Operation::Source { source } => Some((source.as_str(), node)),
            _ => None,
        })
    }
}
