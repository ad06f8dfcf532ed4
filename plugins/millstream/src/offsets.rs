//! The ranges of offsets of a topic of Kafka that a batch reads, for driver functions.
//!
//! Owns only what plugin authors call: the host knows the ranges, and tells the consumer group.

use crate::runtime;

pub use crate::offset_range::OffsetRange;

/// The ranges that the batch reads from the source of type `kafka` that the job file calls `source`, in the order of topics and
/// partitions. May be called only in a driver function. Spark: `HasOffsetRanges.offsetRanges`.
///
/// If there is no such source, the function ends and its output fails. A test has one range a batch: the records that it gives
/// to the source count from 0, in partition 0 of a topic with the name of the source.
///
/// ```
/// use millstream::{offsets, testing};
/// let job = testing::Job::new(|ctx| {
///     ctx.text_stream("words").foreach_rdd(|rdd| {
///         let ranges = offsets::ranges("words");
///         assert_eq!(ranges[0].end - ranges[0].first, rdd.count() as i64);
///         offsets::commit_async("words", &ranges);
///     });
/// });
/// job.batch("words", ["to be", "or not"]).batch("words", ["to be"]).run();
/// ```
#[doc(alias = "offsetRanges")]
pub fn ranges(source: &str) -> Vec<OffsetRange> {
    runtime::offset_ranges(source)
}

/// Tells the consumer group of a source, when all outputs of the batch are done, that everything before the ends of the ranges is
/// processed. May be called only in a driver function. Spark: `CanCommitOffsets.commitAsync`.
///
/// The source needs `commit_offsets = false` in the job file, or else the host tells the group of all offsets itself. If the
/// group cannot be told, the host writes that to its log; the job goes on, because it keeps its positions in its checkpoint. A
/// batch that runs again commits again. A test takes note of nothing.
///
/// If the source has no consumer group, or if a range is not one that the batch reads, the function ends and its output fails.
#[doc(alias = "commitAsync")]
pub fn commit_async(source: &str, ranges: &[OffsetRange]) {
    runtime::commit_offsets(source, ranges);
}
