//! A batch of a run, on its way to the scheduler, and what listeners are told of it.
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

/// How many files are listed by path.
const PATHS_MAX: usize = 100;

/// A batch that waits for its turn.
#[derive(Clone, Debug)]
pub struct JobSet {
    /// Why it runs.
    pub purpose: Purpose,
    /// When what it reads is on stable storage, if it will be and is not yet.
    pub durable: Option<Durable>,
    /// Its data.
    pub allocation: Allocation,
    /// What is known of it.
    pub info: BatchInfo,
    /// When it was submitted, on the monotonic clock.
    pub submitted: Duration,
}

impl JobSet {
    /// A batch of a run with this graph.
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

/// How many files begin in these partitions.
pub(super) fn files_begun(allocation: &Allocation) -> u64 {
    let begins = |partition: &&InputPartition| matches!(partition, InputPartition::Split(split) if split.start == 0);
    allocation.partitions.values().flatten().filter(begins).count() as u64
}

/// The files that partitions are of, one a line.
fn paths(partitions: &[InputPartition]) -> Option<String> {
    let path = |partition: &InputPartition| match partition {
        InputPartition::Split(split) => Some(split.path.shown().into_owned()),
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
