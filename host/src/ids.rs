//! Ids of nodes, stages, blocks and tasks, as logs, errors and events name them.
//!
//! Owns small types without behaviour. Never owns the nodes, stages, blocks and tasks themselves.

use crate::time::Time;
use std::fmt;

/// A run on an ingest: its number among the runs that were started on the ingest in this process, from 0. The results
/// of a run never depend on its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u32);

impl RunId {
    /// The run with which a job starts.
    pub const FIRST: Self = Self(0);
}

/// A node of the job's graph: its position in the list that the plugin described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// A stage of the job: its position in the stage graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub u32);

/// A received block: its source, and its number among the blocks of the source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId {
    /// The source's name in the job file.
    pub source: String,
    /// The number of the block among the blocks of the source, from 0.
    pub sequence: u64,
}

/// One stage of a batch on one partition. A task runs, fails and is retried alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The run.
    pub run: RunId,
    /// The batch.
    pub batch: Time,
    /// The stage.
    pub stage: StageId,
    /// The partition, from 0.
    pub partition: u32,
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for StageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// `lines/17`
impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.sequence)
    }
}

/// `run 1`
impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {}", self.0)
    }
}

/// `batch 2023-11-14T22:13:32Z, stage 0, partition 1`, and for a run beside the first one `run 1, batch ...`
impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.run != RunId::FIRST {
            write!(f, "{}, ", self.run)?;
        }
        write!(f, "batch {}, stage {}, partition {}", self.batch, self.stage, self.partition)
    }
}
