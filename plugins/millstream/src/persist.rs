//! Persistence of a stream's data sets: where they are kept, and for how long.

use crate::chain::{Chain, Cut};
use crate::context::StreamingContext;
use crate::flow::{DStream, cut};
use crate::graph::Value;
use crate::record::Record;
use std::time::Duration;

/// Where the data sets of a stream are kept. The levels are those of Spark, and the text of each level says what it
/// means in Millstream. Rows are always kept serialised, in Arrow's layout, outside of the plugin's memory. There is
/// only one machine, so nothing is replicated. Rows are never dropped and computed again: rows that do not fit into
/// memory go to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StorageLevel {
    /// Same as `MemoryAndDisk`.
    #[doc(alias = "MEMORY_ONLY")]
    MemoryOnly,
    /// Same as `MemoryAndDisk`. Spark's default for streams.
    #[default]
    #[doc(alias = "MEMORY_ONLY_SER")]
    MemoryOnlySer,
    /// In memory while there is room, then on disk.
    #[doc(alias = "MEMORY_AND_DISK")]
    MemoryAndDisk,
    /// Same as `MemoryAndDisk`.
    #[doc(alias = "MEMORY_AND_DISK_SER")]
    MemoryAndDiskSer,
    /// On disk.
    #[doc(alias = "DISK_ONLY")]
    DiskOnly,
    /// Same as `MemoryAndDisk`.
    #[doc(alias = "OFF_HEAP")]
    OffHeap,
    /// Same as `MemoryAndDisk`: one machine holds one copy.
    #[doc(alias = "MEMORY_ONLY_2")]
    MemoryOnly2,
    /// Same as `MemoryAndDisk`: one machine holds one copy.
    #[doc(alias = "MEMORY_ONLY_SER_2")]
    MemoryOnlySer2,
    /// Same as `MemoryAndDisk`: one machine holds one copy.
    #[doc(alias = "MEMORY_AND_DISK_2")]
    MemoryAndDisk2,
    /// Same as `MemoryAndDisk`: one machine holds one copy.
    #[doc(alias = "MEMORY_AND_DISK_SER_2")]
    MemoryAndDiskSer2,
    /// Same as `DiskOnly`: one machine holds one copy.
    #[doc(alias = "DISK_ONLY_2")]
    DiskOnly2,
}

impl StorageLevel {
    /// The name of the level in Spark.
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
    /// Keeps the data set of each batch until the batch is done, so that the data set is computed only once, however
    /// many streams read it. A stream that several other streams read, or that a window reads, is kept without this
    /// call. Spark: `persist`.
    ///
    /// ```
    /// use millstream::{StorageLevel, testing};
    /// let out = testing::run(vec![vec![1u32]], |numbers| numbers.map(|n| n + 1).persist(StorageLevel::DiskOnly));
    /// assert_eq!(out, [vec![2]]);
    /// ```
    pub fn persist(self, level: StorageLevel) -> DStream<T, Cut<T>> {
        self.emits();
        self.graph.change(self.node, |node| {
            node.parameters.retain(|(name, _)| *name != "persist");
            node.parameters.push(("persist", Value::Text(level.name().to_owned())));
        });
        cut(&self.graph, self.node)
    }

    /// Keeps the data set of each batch in memory while there is room, then on disk. Spark: `cache`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![1u32]], |numbers| numbers.map(|n| n + 1).cache().map(|n| n * 2));
    /// assert_eq!(out, [vec![4]]);
    /// ```
    pub fn cache(self) -> DStream<T, Cut<T>> {
        self.persist(StorageLevel::default())
    }

    /// Cancels an earlier `persist` or `cache` of this stream. Spark: `unpersist`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![1u32]], |numbers| numbers.map(|n| n + 1).cache().unpersist());
    /// assert_eq!(out, [vec![2]]);
    /// ```
    pub fn unpersist(self) -> Self {
        self.graph.change(self.node, |node| node.parameters.retain(|(name, _)| *name != "persist"));
        self
    }
}

impl StreamingContext {
    /// Keeps the data sets of all persisted streams for at least this long after their batch. Spark: `remember`.
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
