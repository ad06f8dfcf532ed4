//! The ranges of topics that a batch reads, for its driver functions.
//!
//! Owns which ranges a function sees, and whether the consumer group hears of a function's commit: only of the run that shows
//! its results. Never reads records.

use super::Batch;
use crate::block::{InputPartition, OffsetRange, RangeReader};
use crate::error::{Error, ErrorKind};
use crate::shown::Shown as _;
use std::sync::Arc;

impl Batch {
    /// The reader of a source that is read by ranges.
    fn reader(&self, source: &str) -> Result<&Arc<dyn RangeReader>, Error> {
        self.run.ranges.get(source).ok_or_else(|| no_offsets(source))
    }

    /// The ranges that the batch reads from a source, in the order of the partitions. Ranges without an offset are left
    /// out.
    pub(super) fn offset_ranges(&self, source: &str) -> Result<Vec<OffsetRange>, Error> {
        let reader = self.reader(source)?;
        let mut ranges = Vec::new();
        for partition in self.input.values().flatten() {
            if let InputPartition::Range(range) = partition
                && range.source == source
            {
                ranges.push(reader.offsets(range).ok_or_else(|| no_offsets(source))?);
            }
        }
        ranges.retain(|range| range.first < range.end);
        ranges.sort_by(|a, b| (&a.topic, a.partition, a.first).cmp(&(&b.topic, b.partition, b.first)));
        // Several streams may read one source.
        ranges.dedup();
        Ok(ranges)
    }

    /// Lets the consumer group of a source be told of ranges when the batch is done.
    pub(super) fn commit_offsets(&self, source: &str, ranges: &[OffsetRange]) -> Result<(), Error> {
        let reader = self.reader(source)?;
        let known = self.offset_ranges(source)?;
        let is_read = |range: &OffsetRange| {
            known.iter().any(|of_batch| {
                (&of_batch.topic, of_batch.partition) == (&range.topic, range.partition) && range.end <= of_batch.end
            })
        };
        if let Some(OffsetRange { topic, partition, end, .. }) = ranges.iter().find(|range| !is_read(range)) {
            let message = format!(
                "the offset {end} of partition {partition} of topic `{}` cannot be committed for source `{}`: the batch does \
                 not read so far",
                topic.shown(),
                source.shown()
            );
            return Err(Error::new(ErrorKind::User, message).help("commit the ranges of the batch"));
        }
        if !self.is_shown {
            return Ok(());
        }
        reader.commit(self.batch, ranges).map_err(|error| {
            let message = format!("offsets of source `{}` cannot be committed: {}", source.shown(), error.message);
            Error { message, ..error }
        })
    }
}

fn no_offsets(source: &str) -> Error {
    Error::new(ErrorKind::User, format!("source `{}` has no offsets", source.shown()))
        .help("name a source of type `kafka` of the job file")
}
