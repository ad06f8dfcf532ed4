//! A batch of a run on its way to the scheduler, and the information about the batch for listeners.
//!
//! Owns [`JobSet`]. Never runs anything.

use crate::block::InputPartition;
use crate::checkpoint::Durable;
use crate::graph::Graph;
use crate::ingest::{GivenBatch, Purpose};
use crate::listener::{BatchInfo, StreamInputInfo};
use crate::shown::Shown as _;
use crate::time::Duration;
use crate::tracker::{Allocated, Allocation};
use std::collections::BTreeMap;

/// The most files and ranges that are listed.
const PATHS_MAX: usize = 100;

/// A batch that waits for the scheduler.
#[derive(Clone, Debug)]
pub struct JobSet {
    /// The purpose of running the batch.
    pub purpose: Purpose,
    /// Waits until the allocation of the batch is on stable storage. `None` if no write is pending.
    pub durable: Option<Durable>,
    /// The data of the batch.
    pub allocation: Allocation,
    /// The information about the batch for listeners.
    pub info: BatchInfo,
    /// When the batch was submitted, on the monotonic clock.
    pub submitted: Duration,
}

impl JobSet {
    /// Makes the batch of a run with this graph.
    pub fn new(graph: &Graph, given: GivenBatch) -> Self {
        let GivenBatch { batch, purpose, allocated, submission_time, submitted } = given;
        let Allocated { allocation, durable } = allocated;
        let records = allocation.records();
        let input = |(name, stream_id): (&str, u32)| {
            let partitions = allocation.partitions.get(name).map_or(&[][..], Vec::as_slice);
            let info = StreamInputInfo {
                stream_id,
                name: name.to_owned(),
                num_records: records.get(name).copied().unwrap_or(0),
                description: paths(partitions),
            };
            (stream_id, info)
        };
        let info = BatchInfo {
            batch_time: batch,
            inputs: graph.stream_ids().into_iter().map(input).collect(),
            submission_time,
            processing_start_time: None,
            processing_end_time: None,
            scheduling_delay: None,
            processing_delay: None,
            output_operations: BTreeMap::new(),
        };
        Self { purpose, durable, allocation, info, submitted }
    }
}

/// How many files have their first part in these partitions.
pub(super) fn files_begun(allocation: &Allocation) -> u64 {
    let begins = |partition: &&InputPartition| matches!(partition, InputPartition::Split(split) if split.start == 0);
    allocation.partitions.values().flatten().filter(begins).count() as u64
}

/// The paths of the files and the ranges of logs in these partitions, one on each line. `None` if there are none.
fn paths(partitions: &[InputPartition]) -> Option<String> {
    let path = |partition: &InputPartition| match partition {
        InputPartition::Split(split) => Some(split.path.shown().into_owned()),
        InputPartition::Range(range) => Some(range.to_string()),
        InputPartition::Block { .. } => None,
    };
    let mut paths: Vec<String> = partitions.iter().filter_map(path).collect();
    paths.dedup();
    let more = paths.len().saturating_sub(PATHS_MAX);
    paths.truncate(PATHS_MAX);
    if more > 0 {
        paths.push(format!("and {more} more"));
    }
    (!paths.is_empty()).then(|| paths.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{FileSplit, FileStamp};
    use crate::time::Time;
    use std::path::PathBuf;

    fn split(file: usize, start: u64) -> InputPartition {
        InputPartition::Split(FileSplit {
            source: "files".to_owned(),
            path: PathBuf::from(format!("/in/{file}")),
            start,
            end: start + 1,
            file_bytes: 2,
            stamp: FileStamp::modified_at(Time::default()),
            checksum: None,
            max_line_bytes: 10,
        })
    }

    #[test]
    fn files_are_told_once_each_and_not_without_end() {
        assert_eq!(paths(&[]), None);
        assert_eq!(paths(&[split(1, 0), split(1, 1), split(2, 0)]).as_deref(), Some("/in/1\n/in/2"));
        let many: Vec<InputPartition> = (0..PATHS_MAX + 7).map(|file| split(file, 0)).collect();
        let told = paths(&many).unwrap();
        assert_eq!(told.lines().count(), PATHS_MAX + 1);
        assert!(told.ends_with("\nand 7 more"));
    }
}
