//! The record of what batches read: events are applied, forgotten and repeated.

use super::*;
use proptest::prelude::*;

/// A range of a partition that later batches continue to read.
pub fn range(until: i64) -> LogRange {
    let (source, partition) = ("log".to_owned(), "né".to_owned());
    LogRange { source, partition, from: 1 << 40, until: (1 << 40) + until, is_last: false, checksum: None }
}

/// Partitions of a batch that reads the given blocks of a source, and a part of a file and ranges of a log.
pub fn partitions(blocks: std::ops::Range<u64>, file: bool) -> BatchPartitions {
    let block = |sequence| InputPartition::Block {
        id: BlockId { source: "queue".to_owned(), sequence },
        rows: sequence * 2,
        checksum: Some(sequence + 7),
    };
    let split = InputPartition::Split(FileSplit {
        source: "files".to_owned(),
        path: PathBuf::from(OsString::from_vec(b"/in/not \xff utf-8".to_vec())),
        start: 1,
        end: 2,
        file_bytes: 3,
        stamp: FileStamp { id: Some(FileId { device: 6, inode: 7, born_ns: 8 }), modified_ns: 4_000_009 },
        checksum: None,
        max_line_bytes: 5,
    });
    let last = LogRange { partition: "old".to_owned(), is_last: true, ..range(2) };
    let ranges = [range(7), last].map(InputPartition::Range).into();
    let mut partitions = BTreeMap::from([("queue".to_owned(), blocks.map(block).collect())]);
    if file {
        partitions.insert("files".to_owned(), vec![split]);
        partitions.insert("log".to_owned(), ranges);
    }
    partitions
}

proptest! {
    /// A batch is remembered unchanged until it is forgotten. Positions never go back.
    #[test]
    fn what_batches_read_is_remembered(counts in prop::collection::vec((0u64..4, any::<bool>()), 1..30), before in 0u64..40) {
        let mut record = Allocations::new(Time::from_ms(7));
        let mut next = 0;
        let mut expected = BTreeMap::new();
        for (at, (count, file)) in counts.iter().enumerate() {
            let time = Time::from_ms(at as u64 + 1);
            let read = partitions(next..next + count, *file);
            next += count;
            let event = AllocationEvent::Allocated(SavedBatch::new(time, &read));
            record.apply(&event);
            let once = record.clone();
            record.apply(&event);
            prop_assert_eq!(&record, &once);
            if *count > 0 || *file {
                expected.insert(time, read);
            }
        }
        record.apply(&AllocationEvent::Forgotten { before_ms: before });
        expected.retain(|time, _| time.as_ms() >= before);
        prop_assert_eq!(record.batches().collect::<BTreeMap<_, _>>(), expected);
        prop_assert_eq!(record.next_block("queue"), next);
        let has_ranges = counts.iter().any(|(_, file)| *file);
        let positions = has_ranges.then(|| ("né".to_owned(), range(7).until));
        prop_assert_eq!(record.log_positions("log"), positions.into_iter().collect::<BTreeMap<_, _>>());
        prop_assert_eq!(record.last(), Some(Time::from_ms(counts.len() as u64)));
        prop_assert_eq!(record.started(), Time::from_ms(7));
    }
}

/// S2.16
#[test]
fn what_a_part_of_a_file_held_is_remembered() {
    let mut record = Allocations::new(Time::default());
    let batch = Time::from_ms(5);
    record.apply(&AllocationEvent::Allocated(SavedBatch::new(batch, &partitions(0..1, true))));
    let path = PathBuf::from(OsString::from_vec(b"/in/not \xff utf-8".to_vec()));
    let part = ReadPart { source: "files".to_owned(), path, start: 1, checksum: 77 };
    let checksum = |record: &Allocations| match &record.batches().next().unwrap().1["files"][0] {
        InputPartition::Split(split) => split.checksum,
        InputPartition::Block { .. } | InputPartition::Range(_) => None,
    };
    for other in [ReadPart { start: 2, ..part.clone() }, ReadPart { source: "queue".to_owned(), ..part.clone() }] {
        record.apply(&AllocationEvent::read(batch, &[other]));
        assert_eq!(checksum(&record), None);
    }
    record.apply(&AllocationEvent::read(batch, std::slice::from_ref(&part)));
    record.apply(&AllocationEvent::read(batch, &[ReadPart { checksum: 78, ..part }]));
    assert_eq!(checksum(&record), Some(77));
    assert_eq!((record.checksum("queue"), record.checksum("files")), (Some(7), None));
}

#[test]
fn a_gap_is_passed_over() {
    let mut record = Allocations::new(Time::default());
    record.apply(&AllocationEvent::Gap { from_ms: 3, through_ms: 9 });
    record.apply(&AllocationEvent::Allocated(SavedBatch::new(Time::from_ms(9), &partitions(0..1, false))));
    assert_eq!((record.last(), record.batch_count()), (Some(Time::from_ms(9)), 0));
    assert_eq!(record.gaps().collect::<Vec<_>>(), [(Time::from_ms(3), Time::from_ms(9))]);
}
