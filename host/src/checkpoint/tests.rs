//! Every document in the form in which each version wrote it: it must stay readable for ever.

use super::allocations::{
    AllocationEvent, SavedBatch,
    tests::{partitions, range},
};
use super::*;
use crate::block::{Block, FileStamp, InputPartition, LogRange, ReadPart};
use crate::data::schema::{Field, RecordType};
use crate::env::{DiskStore, Env, Executor, Simulation, Store};
use crate::graph::{Beginning, DescribedNode, ParameterValue};
use crate::ids::{BlockId, NodeId};
use crate::time::{Duration, Time};
use arrow::array::{RecordBatch, StringArray};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The number of the last fixture. Another fixture is added when the form of any document changes.
const NEWEST: u32 = 6;

/// The documents of a directory. Versions before 4 had no snapshots, and versions before 6 no received data: the last
/// two.
const PIECES: [&str; 7] = [
    "owner/epoch-00000001",
    "runs/0123456789abcdef-1/checkpoint-000000000007",
    "ingest/log-00000001-00000000",
    "runs/0123456789abcdef-1/snapshots/00000001-000000000004000",
    "runs/0123456789abcdef-1/snapshots/00000001-000000000004000-0002-000000",
    "ingest/received-00000001-00000000",
    "ingest/received-00000001-00000001",
];

/// The documents of a version.
fn pieces(version: u32) -> &'static [&'static str] {
    match version {
        ..4 => &PIECES[..3],
        4..6 => &PIECES[..5],
        6.. => &PIECES,
    }
}

const SNAPSHOT_ID: SnapshotId = SnapshotId { time_ms: 4000, epoch: 1, is_full: true };

/// The snapshot, as far as a version of its description holds it.
fn snapshot(version: u32) -> Snapshot {
    let pair = RecordType::tuple(&[&RecordType::text(), &RecordType::number()]).unwrap();
    let mut node = SavedState::new(NodeId(2), Some("counts"), "update_state_by_key", &pair, 3, Time::from_ms(3000));
    if version < 5 {
        (node.rows, node.bytes, node.parts, node.batch_ms) = (3, 28, 1, None);
    } else {
        node.add_part(3, 28, (7, 1 << 60));
    }
    Snapshot::new(at(5), vec![node])
}

/// The path of a checkpoint directory that an earlier version wrote.
fn fixture(number: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/checkpoint-{number}"))
}

const RUN: &str = "0123456789abcdef-1";

fn handed_over() -> HandedOver {
    let set = vec![("job.args.x".to_owned(), "\"1\"".to_owned())];
    HandedOver::new(at(4), ("fedcba9876543210-1", true), &"fedcba9876543210".repeat(4), set)
}

/// The checkpoint, as far as a version of it holds it.
fn metadata(version: u32) -> Metadata {
    let field = Field {
        name: "value".to_owned(),
        kind: "text".to_owned(),
        nullable: true,
        children: 0,
        metadata: vec![("name".to_owned(), "T".to_owned())],
    };
    let node = DescribedNode {
        kind: "window".to_owned(),
        name: Some("counts".to_owned()),
        parents: vec![0, 7],
        parameters: vec![
            ("length".to_owned(), ParameterValue::DurationMs(3000)),
            ("text".to_owned(), ParameterValue::Text("né".to_owned())),
        ],
        rows: vec![field.clone()],
        exchanged: Some(vec![field]),
        state: None,
        earlier_state: None,
    };
    let settings = BTreeMap::from([("job.name".to_owned(), "\"words\"".to_owned())]);
    let graph = (&[node][..], "stage 0\n".to_owned());
    let digest = "0123456789abcdef".repeat(4);
    let data_after = if version < 6 { at(3) } else { at(4) };
    let beginning = Beginning { zero: at(3), data_after };
    let mut run = RunDescription::new("words", &digest, settings, graph, Duration::from_secs(1), beginning);
    run.host_version = "0.1.0".to_owned();
    let mut progress = RunProgress::after(Some(at(4)));
    progress.batch_generated(at(5));
    progress.batch_generated(at(300));
    progress.data_given([("queue".to_owned(), 1 << 40)], 3);
    Metadata::new(2, at(301), run, progress, vec![SNAPSHOT_ID])
}

fn at(second: u64) -> Time {
    Time::from_ms(second * 1000)
}

/// The part of its file that batch 5 has read.
fn part_read() -> ReadPart {
    let InputPartition::Split(split) = &partitions(0..0, true)["files"][0] else { panic!("it is a file") };
    ReadPart { source: split.source.clone(), path: split.path.clone(), start: split.start, checksum: 1 << 40 }
}

/// The range of its log that batch 5 has read.
fn read_range() -> ReadPart {
    let LogRange { source, partition, from, .. } = range(7);
    ReadPart { source, path: partition.into(), start: from.unsigned_abs(), checksum: 1 << 41 }
}

/// The partitions of batch 5, as far as a version of the log holds them.
fn batch_5(version: u32) -> BatchPartitions {
    let mut batch = partitions(0..5, true);
    if version < 4 {
        batch.remove("log");
    }
    for partition in batch.values_mut().flatten() {
        match partition {
            InputPartition::Split(split) if version < 3 => split.stamp = FileStamp::modified_at(split.stamp.modified()),
            InputPartition::Split(split) => split.checksum = Some(part_read().checksum),
            InputPartition::Block { checksum, .. } if version < 3 => *checksum = None,
            InputPartition::Block { .. } => {}
            InputPartition::Range(found) if found.partition == range(7).partition => {
                found.checksum = Some(read_range().checksum);
            }
            InputPartition::Range(_) => {}
        }
    }
    batch
}

/// Writes a directory with the content of the fixture.
fn write(store: &Arc<dyn Store>, simulation: &Simulation) {
    let env = Env { identity: "process 1 on m".into(), ..simulation.env() };
    let owner = Ownership::take(store.clone(), &env).unwrap();
    owner.point_to(RUN, Some(handed_over())).unwrap();
    write_checkpoint(&**store, RUN, 7, &metadata(NEWEST)).unwrap();
    write_part(&**store, RUN, &SNAPSHOT_ID, (2, 0), b"rows").unwrap();
    write_snapshot(&**store, RUN, &SNAPSHOT_ID, &snapshot(NEWEST)).unwrap();
    let mut log = AllocationLog::new(store.clone(), Allocations::new(at(3)), 1);
    log.begin().unwrap();
    let allocated =
        |second, file| AllocationEvent::Allocated(SavedBatch::new(at(second), &partitions(0..second, file)));
    log.append(&[allocated(4, false), allocated(5, true)]).unwrap();
    log.append(&[
        AllocationEvent::read(at(5), &[part_read(), read_range()]),
        AllocationEvent::Forgotten { before_ms: 5000 },
        AllocationEvent::Gap { from_ms: 6000, through_ms: 300_000 },
    ])
    .unwrap();
    let options = LogOptions { epoch: 1, closes_after_write: true, keeps_keys: true };
    let mut received = WriteAheadLog::new(vec![store.clone()], BTreeMap::new(), options, &LogContent::default());
    let entry = |sequence| {
        let Block { id, rows } = block(sequence);
        let rows = rows.to_vec();
        let rows: Arc<ReadRows> = Arc::new(move || Box::new(rows.clone().into_iter().map(Ok)));
        LogEntry { id, rows, ty: RecordType::text(), key: Some("key".to_owned()) }
    };
    received.append(at(5), &[entry(0), entry(1)]).unwrap();
    received.append(at(5), &[entry(2)]).unwrap();
}

/// A received block.
fn block(sequence: u64) -> Block {
    let column = Arc::new(StringArray::from(vec![format!("line {sequence}"), String::new()]));
    let rows = RecordBatch::try_new(RecordType::text().arrow().clone(), vec![column]).unwrap();
    Block { id: BlockId { source: "lines".to_owned(), sequence }, rows: vec![rows].into() }
}

/// The received blocks of a directory.
fn received(store: &Arc<dyn Store>, executor: &dyn Executor) -> (LogContent, Vec<Block>) {
    let blocks = Mutex::new(Vec::new());
    let types = BTreeMap::from([("lines".to_owned(), RecordType::text())]);
    let (need, take) = (|_: &BlockId| Need::Load, |block| blocks.lock().unwrap().push(block));
    let stores = [store.clone()];
    let content =
        recover_blocks(executor, &Recovery { stores: &stores, types: &types, need: &need, take: &take }).unwrap();
    (content, blocks.into_inner().unwrap())
}

#[test]
fn what_is_written_has_the_form_of_the_newest_fixture() {
    let simulation = Simulation::new(0, at(2));
    let store: Arc<dyn Store> = Arc::new(DiskStore::new(simulation.env().disk, "/checkpoint".into()));
    write(&store, &simulation);
    let written: BTreeMap<PathBuf, Vec<u8>> = simulation
        .files()
        .into_iter()
        .filter_map(|(path, bytes)| Some((path.strip_prefix("/checkpoint").ok()?.to_path_buf(), bytes)))
        .filter(|(_, bytes)| !bytes.is_empty())
        .collect();
    assert_eq!(written.len(), PIECES.len());
    if std::env::var_os("MILLSTREAM_BLESS").is_some() && !fixture(NEWEST).exists() {
        for (path, bytes) in &written {
            let path = fixture(NEWEST).join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
    for (path, bytes) in written {
        let kept = std::fs::read(fixture(NEWEST).join(&path)).unwrap();
        assert_eq!(kept, bytes, "{} is written in another form: that needs a new version", path.display());
    }
}

#[test]
fn every_version_is_read_for_ever() {
    for version in 1..=NEWEST {
        let simulation = Simulation::new(0, at(2));
        for name in pieces(version) {
            let kept = std::fs::read(fixture(version).join(name)).unwrap();
            simulation.file(Path::new("/checkpoint").join(name), kept);
        }
        let shared: Arc<dyn Store> = Arc::new(DiskStore::new(simulation.env().disk, "/checkpoint".into()));
        let store = &*shared;
        let owner = current_owner(store).unwrap().unwrap();
        assert_eq!((owner.epoch, &*owner.run, &*owner.holder), (1, RUN, "process 1 on m"));
        let run = read_run(store, RUN, true).unwrap();
        assert_eq!(owner.handed_over, (version >= 6).then(handed_over));
        let mut expected = metadata(version);
        if version < 4 {
            expected.snapshots.clear();
        } else {
            let read = read_snapshot(store, RUN, &SNAPSHOT_ID).unwrap();
            assert_eq!(read, snapshot(version));
            let may_have = |hash| read.nodes[0].parts_with(hash).collect::<Vec<_>>();
            let without_index: &[u32] = if version < 5 { &[0] } else { &[] };
            assert_eq!((may_have(6), may_have(7), may_have(1 << 60)), (without_index.to_vec(), vec![0], vec![0]));
            assert_eq!(read_part(store, RUN, &SNAPSHOT_ID, (2, 0)).unwrap(), b"rows");
        }
        assert_eq!((run.newest.unwrap().2, run.unreadable), (expected, Vec::new()));
        let log = read_log(store).unwrap().unwrap();
        assert_eq!((log.record.started(), log.record.last(), log.torn), (at(3), Some(at(300)), Vec::new()));
        let batches: Vec<_> = log.record.batches().collect();
        assert_eq!(batches, [(at(5), batch_5(version))]);
        let positions = (version >= 4).then(|| (range(7).partition, range(7).until));
        assert_eq!(log.record.log_positions("log"), positions.into_iter().collect::<BTreeMap<_, _>>());
        assert_eq!(log.record.gaps().collect::<Vec<_>>(), [(at(6), at(300))]);
        let (content, blocks) = received(&shared, &*simulation.env().background);
        let expected: Vec<Block> = if version < 6 { Vec::new() } else { (0..3).map(block).collect() };
        let rows =
            |blocks: &[Block]| blocks.iter().map(|block| (block.id.clone(), block.rows.clone())).collect::<Vec<_>>();
        assert_eq!(rows(&blocks), rows(&expected));
        assert_eq!(content.keys_of("lines").len(), expected.len());
    }
}

proptest! {
    /// The checksums of a directory are right, but its contents are not. Either reading is an error, or the resulting
    /// decisions keep their rules. `PROPTEST_CASES` says how many directories are tried.
    #[test]
    fn a_directory_that_lies_is_read_without_panic(
        changes in prop::collection::vec((0usize..7, any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut pieces = PIECES.map(|name| std::fs::read(fixture(NEWEST).join(name)).unwrap());
        for (piece, at, byte) in changes {
            let bytes = &mut pieces[piece];
            // The change is after the first header.
            let at = 24 + at.index(bytes.len() - 24);
            bytes[at] = byte;
        }
        let simulation = Simulation::new(0, at(2));
        for (name, mut bytes) in PIECES.into_iter().zip(pieces) {
            reseal(&mut bytes);
            simulation.file(Path::new("/checkpoint").join(name), bytes);
        }
        let store = DiskStore::new(simulation.env().disk, "/checkpoint".into());
        let owner = current_owner(&store);
        let run = read_run(&store, RUN, true).unwrap().newest;
        if let (Ok(_), Some((.., metadata)), Ok(Some(log))) = (owner, run, read_log(&store)) {
            let found = Findings {
                progress: &metadata.progress,
                record: &log.record,
                zero: metadata.run.beginning().data_after,
                batch_interval: metadata.run.batch_interval(),
                now: at(400),
                inputs_needed_after: &|done| done - Duration::from_secs(5),
            };
            if let Ok(plan) = plan(&found) {
                prop_assert!(plan.rerun.is_sorted() && plan.next > plan.zero);
            }
        }
    }
}
