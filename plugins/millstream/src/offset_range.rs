//! [`OffsetRange`]: the records of a partition of a topic of Kafka that a batch reads.

/// The records of a partition that a batch reads. Spark: `OffsetRange`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetRange {
    /// The topic.
    pub topic: String,
    /// The number of the partition.
    pub partition: i32,
    /// The offset of the first record.
    pub first: i64,
    /// The offset after the last record. Between the two, there may be fewer records than offsets.
    pub end: i64,
}
