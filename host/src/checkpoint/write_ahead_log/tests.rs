//! The write-ahead log on a simulated disk: groups that were torn or damaged, segments that are not needed, two stores.

use super::super::allocation_segments::LogError;
use super::*;
use crate::block::Block;
use crate::data::schema::RecordType;
use crate::env::{DiskStore, Simulation};
use crate::ids::BlockId;
use crate::lock::lock;
use arrow::array::{Array as _, RecordBatch, StringArray};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

struct World {
    simulation: Simulation,
    stores: Vec<Arc<dyn Store>>,
}

const NOW: Time = Time::from_ms(1);

fn world(stores: usize) -> World {
    let simulation = Simulation::new(0, Time::default());
    let store = |at: usize| -> Arc<dyn Store> {
        Arc::new(DiskStore::new(simulation.env().disk, format!("/checkpoint{at}").into()))
    };
    World { stores: (0..stores).map(store).collect(), simulation }
}

fn types() -> BTreeMap<String, RecordType> {
    BTreeMap::from([("s".to_owned(), RecordType::text())])
}

fn id(sequence: u64) -> BlockId {
    BlockId { source: "s".to_owned(), sequence }
}

fn entry(sequence: u64) -> Entry {
    let column = Arc::new(StringArray::from(vec![format!("row of {sequence}"); 3]));
    let rows = RecordBatch::try_new(RecordType::text().arrow().clone(), vec![column]).unwrap();
    let read: Arc<ReadRows> = Arc::new(move || Box::new(std::iter::once(Ok(rows.clone()))));
    Entry { id: id(sequence), rows: read, ty: RecordType::text(), key: Some(format!("k{sequence}")) }
}

impl World {
    fn recover_as(&self, need: Need, ty: RecordType) -> Result<(LogContent, BTreeMap<u64, String>), RecoverError> {
        let taken = Mutex::new(BTreeMap::new());
        let types = BTreeMap::from([("s".to_owned(), ty)]);
        let take = |block: Block| {
            let column = block.rows[0].column(0).as_any().downcast_ref::<StringArray>().unwrap().clone();
            assert_eq!(column.len(), 3);
            assert_eq!(lock(&taken).insert(block.id.sequence, column.value(2).to_owned()), None, "it comes once");
        };
        let need = |_: &BlockId| need;
        let recovery = Recovery { stores: &self.stores, types: &types, need: &need, take: &take };
        let content = recover(&*self.simulation.env().background, &recovery)?;
        Ok((content, lock(&taken).clone()))
    }

    /// The blocks whose rows are read.
    fn blocks(&self) -> Vec<u64> {
        let (content, taken) = self.recover_as(Need::Load, RecordType::text()).unwrap();
        assert!(taken.iter().all(|(sequence, text)| *text == format!("row of {sequence}")));
        assert!(content.blocks.keys().map(|block| block.sequence).eq(taken.keys().copied()));
        taken.into_keys().collect()
    }

    fn log(&self, epoch: u64, need: Need) -> WriteAheadLog {
        let (content, _) = self.recover_as(need, RecordType::text()).unwrap();
        WriteAheadLog::new(self.stores.clone(), types(), LogOptions { epoch, ..LogOptions::default() }, &content)
    }

    /// The paths and lengths of the segments.
    fn segments(&self) -> Vec<(String, Vec<u8>)> {
        let files = self.simulation.files();
        let received = files.iter().filter(|(path, _)| path.to_string_lossy().contains("received-"));
        received.map(|(path, bytes)| (path.display().to_string(), bytes.clone())).collect()
    }
}

/// S12.12, S12.13.
#[test]
fn blocks_are_read_by_the_next_owner() {
    let world = world(1);
    let mut first = world.log(1, Need::Load);
    first.append(NOW, &[entry(0), entry(1)]).unwrap();
    first.append(NOW, &[entry(2)]).unwrap();
    let mut second = world.log(2, Need::Load);
    second.append(NOW, &[entry(3)]).unwrap();
    // The first owner does not know that it was replaced. It writes to a segment of its own.
    first.append(NOW, &[entry(9)]).unwrap();
    assert_eq!(world.blocks(), [0, 1, 2, 3, 9]);
    let (content, _) = world.recover_as(Need::Keep, RecordType::text()).unwrap();
    assert_eq!(content.next_blocks["s"], 10);
    assert_eq!(content.keys_of("s"), ["k0", "k1", "k2", "k9", "k3"]);
}

#[test]
fn segments_without_needed_blocks_are_removed() {
    let world = world(2);
    let mut log = world.log(1, Need::Load);
    for sequence in 0..6 {
        log.append(NOW + SEGMENT_AGE * sequence, &[entry(sequence.into())]).unwrap();
    }
    assert_eq!(world.segments().len(), 6, "a segment is closed by its second group");
    log.index().allocated(Time::from_ms(1000), (0..4).map(id));
    log.index().forget_before(Time::from_ms(1000));
    log.remove_unneeded(NOW);
    assert_eq!(world.segments().len(), 6);
    log.index().forget_before(Time::from_ms(1001));
    log.remove_unneeded(NOW);
    assert_eq!(world.blocks(), [4, 5]);
    log.index().allocated(Time::from_ms(2000), (4..6).map(id));
    log.index().forget_before(Time::from_ms(2001));
    log.remove_unneeded(NOW + SEGMENT_AGE * 9);
    assert_eq!(world.segments(), []);
}

#[test]
fn segments_of_an_earlier_owner_are_removed_when_nothing_needs_them() {
    let world = world(1);
    world.log(1, Need::Load).append(NOW, &[entry(0)]).unwrap();
    let mut second = world.log(2, Need::None);
    assert_eq!(world.segments().len(), 1);
    second.remove_unneeded(NOW);
    assert_eq!(world.segments(), []);
}

#[test]
fn each_group_has_a_segment_of_its_own_if_files_are_closed_after_each_write() {
    let world = world(1);
    let options = LogOptions { epoch: 1, closes_after_write: true, keeps_keys: false };
    let mut log = WriteAheadLog::new(world.stores.clone(), types(), options, &LogContent::default());
    (0..3).for_each(|sequence| log.append(NOW, &[entry(sequence)]).unwrap());
    assert_eq!(world.segments().len(), 3);
    assert_eq!(world.blocks(), [0, 1, 2]);
}

#[test]
fn after_an_error_the_blocks_are_written_to_another_segment() {
    let world = world(1);
    let mut log = world.log(1, Need::Load);
    log.append(NOW, &[entry(0)]).unwrap();
    let written = world.segments()[0].1.len() as u64;
    // One block fits into the rest of the disk, and the next one does not.
    world.simulation.disk_space(written + written / 2);
    assert_eq!(log.append(NOW, &[entry(1), entry(2)]).unwrap_err().kind(), io::ErrorKind::StorageFull);
    world.simulation.disk_space(1 << 20);
    log.append(NOW, &[entry(1), entry(2)]).unwrap();
    assert_eq!(world.segments().len(), 2);
    assert_eq!(world.blocks(), [0, 1, 2]);
    log.index().allocated(NOW, (0..3).map(id));
    log.index().forget_before(Time::from_ms(2));
    log.remove_unneeded(NOW + SEGMENT_AGE);
    assert_eq!(world.segments(), []);
}

#[test]
fn blocks_are_read_again_from_their_segments() {
    let world = world(1);
    let mut log = world.log(1, Need::Load);
    (0..4).for_each(|sequence| log.append(NOW + SEGMENT_AGE * sequence, &[entry(sequence.into())]).unwrap());
    let index = log.index();
    assert!(index.holds(&[id(3), id(0)]));
    assert!(!index.holds(&[id(3), id(7)]));
    let mut read = Vec::new();
    index.load(&[id(3), id(0), id(7)], &mut |block| read.push(block.id.sequence)).unwrap();
    assert_eq!(read, [0, 3]);
}

/// The keys of blocks outlive the segments of the blocks.
#[test]
fn keys_are_remembered() {
    let world = world(1);
    let log = |epoch| {
        let (content, _) = world.recover_as(Need::Load, RecordType::text()).unwrap();
        let options = LogOptions { epoch, keeps_keys: true, ..LogOptions::default() };
        WriteAheadLog::new(world.stores.clone(), types(), options, &content)
    };
    let mut first = log(1);
    for sequence in 0..6 {
        first.append(NOW + SEGMENT_AGE * sequence, &[entry(sequence.into())]).unwrap();
    }
    first.index().allocated(NOW, (0..6).map(id));
    first.index().forget_before(Time::from_ms(2));
    first.remove_unneeded(NOW + SEGMENT_AGE * 9);
    assert_eq!(world.segments().len(), 1, "the newest segment has all keys");
    let keys = || world.recover_as(Need::None, RecordType::text()).unwrap().0.keys_of("s");
    assert_eq!(keys(), ["k0", "k1", "k2", "k3", "k4", "k5"]);
    let mut second = log(2);
    second.append(NOW, &[entry(6)]).unwrap();
    second.remove_unneeded(NOW);
    assert_eq!(keys(), ["k0", "k1", "k2", "k3", "k4", "k5", "k6"]);
}

/// S16.04: readable from either place.
#[test]
fn a_damaged_copy_is_read_from_the_other_store() {
    for other in [0, 1] {
        let world = world(2);
        let mut log = world.log(1, Need::Load);
        (0..3).for_each(|sequence| log.append(NOW, &[entry(sequence)]).unwrap());
        let (path, whole) = world.segments()[other].clone();
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 1;
        world.simulation.file(&path, damaged);
        assert_eq!(world.blocks(), [0, 1, 2]);
        world.simulation.file(&path, &whole[..whole.len() - 1]);
        assert_eq!(world.blocks(), [0, 1, 2]);
        // Groups at the end are missing, so that each document that is there is whole.
        for bytes in [whole.len() / 3, 0] {
            world.simulation.file(&path, &whole[..bytes]);
            assert_eq!(world.blocks(), [0, 1, 2]);
            let mut read = Vec::new();
            log.index().load(&[id(1), id(2)], &mut |block| read.push(block.id.sequence)).unwrap();
            assert_eq!(read, [1, 2]);
        }
        world.simulation.env().disk.remove(Path::new(&path)).unwrap();
        assert_eq!(world.blocks(), [0, 1, 2]);
    }
}

#[test]
fn rows_of_another_type_are_refused() {
    let world = world(1);
    world.log(1, Need::Load).append(NOW, &[entry(0)]).unwrap();
    let error = world.recover_as(Need::Load, RecordType::number()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the write-ahead log has records of source `s` of another type than the plugin reads now"
    );
    assert!(world.recover_as(Need::Keep, RecordType::number()).is_ok());
}

proptest! {
    /// Blocks that were encoded ahead are written as all others, also if other blocks come than was expected, or the disk
    /// has no room for a while.
    #[test]
    fn what_is_encoded_ahead_is_written_the_same(
        groups in prop::collection::vec((1u64..4, any::<bool>(), any::<bool>(), any::<bool>()), 1..12),
    ) {
        let segments = |ahead: bool| {
            let world = world(2);
            let mut log = world.log(1, Need::Load);
            let executor = world.simulation.env().background;
            let (mut now, mut first) = (NOW, 0);
            for (count, is_expected, fails, is_later) in &groups {
                let entries: Vec<Entry> = (first..first + count).map(entry).collect();
                first += count;
                let expected: Vec<Entry> = (first..first + 2 + u64::from(*is_expected)).map(entry).collect();
                let next = ahead.then_some((&*executor, expected.as_slice()));
                now = if *is_later { now + SEGMENT_AGE } else { now };
                if *fails {
                    world.simulation.disk_space(10);
                    assert!(log.append_ahead(now, &entries, next).is_err());
                    world.simulation.disk_space(1 << 20);
                }
                log.append_ahead(now, &entries, next).unwrap();
            }
            world.segments()
        };
        prop_assert_eq!(segments(true), segments(false));
    }

    /// Wherever the last group stopped, all groups before it are read. A broken document of the last group is torn, also
    /// if documents of the same group are whole after it, because the disk may have stored them first.
    #[test]
    fn a_torn_group_is_cut_off(at: prop::sample::Index, garbage: Vec<u8>, keeps_end: bool) {
        let world = world(1);
        let mut log = world.log(1, Need::Load);
        log.append(NOW, &[entry(0), entry(1)]).unwrap();
        let before = world.segments()[0].1.len();
        log.append(NOW, &[entry(2), entry(3), entry(4)]).unwrap();
        let (path, mut bytes) = world.segments().remove(0);
        let length = bytes.len() - before;
        if keeps_end {
            // The first document of the group is overwritten with zeros.
            let first = length / 3;
            bytes[before..before + at.index(first) + 1].fill(0);
        } else {
            bytes.truncate(before + at.index(length));
            bytes.extend(&garbage);
        }
        world.simulation.file(&path, bytes);
        let read = world.blocks();
        prop_assert!(read.starts_with(&[0, 1]), "{read:?}");
        prop_assert!(!read.contains(&4), "{read:?}");
        let (content, _) = world.recover_as(Need::Keep, RecordType::text()).unwrap();
        prop_assert!(content.torn.len() <= 1);
    }

    /// A group that is followed by another group was whole. If one of its documents is broken, that is an error.
    #[test]
    fn damage_before_a_later_group_is_an_error(at: prop::sample::Index, bits in 1u8..) {
        let world = world(1);
        let mut log = world.log(1, Need::Load);
        log.append(NOW, &[entry(0), entry(1)]).unwrap();
        log.append(NOW, &[entry(2)]).unwrap();
        let end = world.segments()[0].1.len();
        log.append(NOW, &[entry(3)]).unwrap();
        let (path, mut bytes) = world.segments().remove(0);
        bytes[at.index(end)] ^= bits;
        world.simulation.file(&path, bytes);
        let read = world.recover_as(Need::Keep, RecordType::text());
        let is_damaged = matches!(read, Err(RecoverError::Log(LogError::Damaged { .. })));
        prop_assert!(is_damaged);
    }

    /// Any bytes of a segment are read as blocks or refused with an error.
    #[test]
    fn any_segment_is_read_or_refused(bytes: Vec<u8>) {
        let world = world(1);
        world.simulation.file("/checkpoint0/ingest/received-00000001-00000000", bytes);
        let _ = world.recover_as(Need::Load, RecordType::text());
    }
}
