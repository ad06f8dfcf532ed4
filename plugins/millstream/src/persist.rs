//! What is kept of a stream's data sets: where, and for how long.

use crate::chain::{Chain, Cut};
use crate::context::StreamingContext;
use crate::flow::{DStream, cut};
use crate::graph::Value;
use crate::record::Record;
use std::time::Duration;

/// Where the data sets of a stream are kept. These are Spark's levels; what each means here stands beside it. Rows are
/// always kept serialised, in Arrow's layout, and outside of the plugin's memory. There is one machine, so nothing is
/// replicated. Nothing is ever dropped and computed again: what does not fit into memory goes to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StorageLevel {
    /// As `MemoryAndDisk`.
    MemoryOnly,
    /// As `MemoryAndDisk`. Spark's default for streams.
    #[default]
    MemoryOnlySer,
    /// In memory as long as there is room, then on disk.
    MemoryAndDisk,
    /// As `MemoryAndDisk`.
    MemoryAndDiskSer,
    /// On disk.
    DiskOnly,
    /// As `MemoryAndDisk`.
    OffHeap,
    /// As `MemoryAndDisk`: one machine holds one copy.
    MemoryOnly2,
    /// As `MemoryAndDisk`: one machine holds one copy.
    MemoryOnlySer2,
    /// As `MemoryAndDisk`: one machine holds one copy.
    MemoryAndDisk2,
    /// As `MemoryAndDisk`: one machine holds one copy.
    MemoryAndDiskSer2,
    /// As `DiskOnly`: one machine holds one copy.
    DiskOnly2,
}

impl StorageLevel {
    /// What Spark calls it.
    const fn name(self) -> &'static str {
        match self {
            Self::MemoryOnly => "MEMORY_ONLY",
            Self::MemoryOnlySer => "MEMORY_ONLY_SER",
            Self::MemoryAndDisk => "MEMORY_AND_DISK",
            Self::MemoryAndDiskSer => "MEMORY_AND_DISK_SER",
            Self::DiskOnly => "DISK_ONLY",
            Self::OffHeap => "OFF_HEAP",
            Self::MemoryOnly2 => "MEMORY_ONLY_2",
            Self::MemoryOnlySer2 => "MEMORY_ONLY_SER_2",
            Self::MemoryAndDisk2 => "MEMORY_AND_DISK_2",
            Self::MemoryAndDiskSer2 => "MEMORY_AND_DISK_SER_2",
            Self::DiskOnly2 => "DISK_ONLY_2",
        }
    }
}

impl<T: Record, C: Chain<Out = T>> DStream<T, C> {
    /// Keeps the data set of each batch until the batch is done, so that it is computed once however many read it. A
    /// stream that several others read, and one that a window reads, is kept without this. Spark: `persist`.
    ///
    /// ```
    /// use millstream::{StorageLevel, testing};
    /// let out = testing::run(vec![vec![1u32]], |numbers| numbers.map(|n| n + 1).persist(StorageLevel::DiskOnly));
    /// assert_eq!(out, [vec![2]]);
    /// ```
    #[must_use]
    pub fn persist(self, level: StorageLevel) -> DStream<T, Cut<T>> {
        self.emits();
        self.graph.change(self.node, |node| {
            node.parameters.retain(|(name, _)| *name != "persist");
            node.parameters.push(("persist", Value::Text(level.name().to_owned())));
        });
        cut(&self.graph, self.node)
    }

    /// Keeps the data set of each batch in memory as long as there is room, then on disk. Spark: `cache`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![1u32]], |numbers| numbers.map(|n| n + 1).cache().map(|n| n * 2));
    /// assert_eq!(out, [vec![4]]);
    /// ```
    #[must_use]
    pub fn cache(self) -> DStream<T, Cut<T>> {
        self.persist(StorageLevel::default())
    }

    /// Takes back what `persist` or `cache` asked for.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![1u32]], |numbers| numbers.map(|n| n + 1).cache().unpersist());
    /// assert_eq!(out, [vec![2]]);
    /// ```
    #[must_use]
    pub fn unpersist(self) -> Self {
        self.graph.change(self.node, |node| node.parameters.retain(|(name, _)| *name != "persist"));
        self
    }
}

impl StreamingContext {
    /// Keeps the data sets of every stream that is persisted for this long after their batch, at least. Spark:
    /// `remember`.
    ///
    /// ```
    /// use millstream::{minutes, testing};
    /// let job = testing::Job::new(|ctx| {
    ///     ctx.remember(minutes(2));
    ///     ctx.stream::<u32>("numbers").cache().print();
    /// });
    /// assert_eq!(job.batch("numbers", [1u32]).run()[0].rows, ["1"]);
    /// ```
    pub fn remember(&self, duration: Duration) {
        self.graph.remember.set(Some(duration));
    }
}
