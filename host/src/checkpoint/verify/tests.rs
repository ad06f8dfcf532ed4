//! Directories as hosts leave them, and directories that no host leaves.

use super::super::allocations::tests::partitions;
use super::super::checked_piece::Condition;
use super::super::{AllocationLog, Ownership, RunDescription, RunProgress, write_checkpoint};
use super::*;
use crate::env::{DiskStore, Env, Simulation};
use crate::graph::Beginning;
use crate::time::{Duration, Time};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const SECOND: Duration = Duration::from_secs(1);
const LOG: &str = "/checkpoint/ingest/log-00000001-00000000";
const CHECKPOINT: &str = "/checkpoint/runs/ab-1/checkpoint-000000000002";

struct World {
    simulation: Simulation,
    store: Arc<dyn Store>,
}

/// The world as a host sees it.
fn env(identity: &str, simulation: &Simulation) -> Env {
    Env { identity: identity.into(), ..simulation.env() }
}

impl World {
    fn new() -> Self {
        let simulation = Simulation::new(0, Time::default());
        let store = Arc::new(DiskStore::new(simulation.env().disk, "/checkpoint".into()));
        Self { simulation, store }
    }

    /// Makes a run that made batches up to `generated`, and a log that knows the batches up to `logged`.
    fn with_run(generated: u64, logged: u64) -> Self {
        let world = Self::new();
        let owner = Ownership::take(world.store.clone(), &env("process 1 on m", &world.simulation)).unwrap();
        let zero = Time::from_ms(1000);
        let mut log = AllocationLog::new(world.store.clone(), Allocations::new(zero), owner.epoch());
        log.begin().unwrap();
        for batch in 2..=logged {
            log.append(&[allocated(batch)]).unwrap();
        }
        let mut progress = RunProgress::default();
        for batch in 2..=generated {
            progress.batch_generated(Time::from_ms(batch * 1000));
            progress.data_given([("queue".to_owned(), batch + 1)], 0);
        }
        for number in 1..=2 {
            let run =
                RunDescription::new("job", "ab", BTreeMap::new(), (&[], String::new()), SECOND, Beginning::at(zero));
            let metadata = Metadata::new(owner.epoch(), zero, run, progress.clone(), Vec::new());
            write_checkpoint(&*world.store, "ab-1", number, &metadata).unwrap();
        }
        owner.point_to("ab-1", None).unwrap();
        world
    }

    fn verify(&self) -> Verification {
        verify(&*self.store).unwrap()
    }

    fn bytes(&self, path: &str) -> Vec<u8> {
        self.simulation.files().remove(Path::new(path)).unwrap()
    }
}

fn allocated(batch: u64) -> super::super::allocations::AllocationEvent {
    let batch =
        super::super::allocations::SavedBatch::new(Time::from_ms(batch * 1000), &partitions(batch..batch + 1, true));
    super::super::allocations::AllocationEvent::Allocated(batch)
}

/// The conditions of a file's documents, and whether the next start reads the file.
fn conditions(found: &Verification, path: &str) -> (Vec<Condition>, bool) {
    let piece = found.pieces.iter().find(|piece| path.ends_with(&piece.name)).unwrap();
    (piece.documents.iter().map(|document| document.condition.clone()).collect(), piece.is_used)
}

#[test]
fn what_a_host_wrote_is_whole() {
    let world = World::with_run(3, 4);
    let before = world.simulation.files();
    let found = world.verify();
    assert!(found.is_sound(), "{found:#?}");
    assert_eq!(conditions(&found, LOG), (vec![Condition::Whole; 4], true));
    assert_eq!(conditions(&found, CHECKPOINT), (vec![Condition::Whole], true));
    let all: u64 = found.pieces.iter().map(|piece| piece.bytes).sum();
    let documents = found.pieces.iter().flat_map(|piece| &piece.documents);
    assert_eq!(documents.map(|document| document.bytes).sum::<u64>(), all);
    assert_eq!(world.simulation.files(), before, "nothing was written");
    assert_eq!(verify(&*World::new().store).unwrap(), Verification::default());
}

#[test]
fn a_checkpoint_that_knows_more_than_the_log_contradicts_it() {
    let world = World::with_run(4, 2);
    let found = world.verify();
    let name = "runs/ab-1/checkpoint-000000000002";
    assert_eq!(
        found.contradictions,
        [
            format!(
                "{name}: the log of what batches read ends with batch 1970-01-01T00:00:02Z, but batch 1970-01-01T00:00:04Z was the last that was made"
            ),
            format!("{name} says that source `queue` was read up to block 5, the allocation log up to block 3"),
        ]
    );
    assert!(!found.is_sound());
}

#[test]
fn pieces_of_two_backups_contradict_each_other() {
    let world = World::with_run(3, 3);
    let claim = world.bytes("/checkpoint/owner/epoch-00000001");
    let store = world.store.clone();
    let second = Ownership::take(store.clone(), &env("process 2 on m", &world.simulation)).unwrap();
    AllocationLog::new(store, Allocations::new(Time::from_ms(1000)), second.epoch()).begin().unwrap();
    world.simulation.env().disk.remove(Path::new("/checkpoint/owner")).unwrap();
    world.simulation.env().disk.remove(Path::new("/checkpoint/runs")).unwrap();
    world.simulation.file("/checkpoint/owner/epoch-00000001", claim);
    assert_eq!(
        world.verify().contradictions,
        [
            "owner 1 names run ab-1, which has no checkpoints",
            "the allocation log was written by owner 2, but the newest claim is that of 1"
        ]
    );
}

#[test]
fn a_document_behind_a_damaged_one_is_found() {
    let world = World::with_run(3, 4);
    let mut bytes = world.bytes(LOG);
    let at = usize::try_from(world.verify().pieces.last().unwrap().documents[1].at).unwrap();
    bytes[at + 30] ^= 1;
    world.simulation.file(LOG, bytes);
    let found = world.verify();
    let damaged = Condition::Damaged("its checksum is wrong".to_owned());
    assert_eq!(conditions(&found, LOG), (vec![Condition::Whole, damaged, Condition::Whole, Condition::Whole], true));
    assert_eq!(found.contradictions, [""; 0], "what cannot be read contradicts nothing");
}

proptest! {
    /// Wherever the newest checkpoint is damaged, the checkpoint before it counts, and the damage is reported.
    #[test]
    fn a_damaged_checkpoint_is_told(at: prop::sample::Index, bits in 1u8..) {
        let world = World::with_run(3, 3);
        let mut bytes = world.bytes(CHECKPOINT);
        let at = at.index(bytes.len());
        bytes[at] ^= bits;
        world.simulation.file(CHECKPOINT, bytes);
        let found = world.verify();
        prop_assert!(!found.is_sound());
        let (documents, is_used) = conditions(&found, CHECKPOINT);
        prop_assert!(matches!(documents[0], Condition::Damaged(_)) && !is_used);
        let (documents, is_used) = conditions(&found, "/checkpoint/runs/ab-1/checkpoint-000000000001");
        prop_assert!(documents[0] == Condition::Whole && is_used);
    }

    /// A log that is cut anywhere after its snapshot is torn. A torn log is not damaged.
    #[test]
    fn a_torn_log_is_sound(at: prop::sample::Index) {
        let world = World::with_run(1, 4);
        let mut bytes = world.bytes(LOG);
        let first = usize::try_from(world.verify().pieces.last().unwrap().documents[1].at).unwrap();
        bytes.truncate(first + at.index(bytes.len() - first));
        world.simulation.file(LOG, bytes);
        let found = world.verify();
        prop_assert!(found.is_sound(), "{:#?}", found);
    }

    /// For any bytes and names, there are findings and no panic. All bytes of a segment are accounted for.
    #[test]
    fn any_directory_is_looked_at(
        name in prop::sample::select(vec![
            "owner/epoch-00000001", "owner/epoch-18446744073709551615", "runs/ab-1/checkpoint-000000000003",
            "runs/ab-18446744073709551615/checkpoint-18446744073709551615", "ingest/log-00000001-00000000",
            "ingest/log-18446744073709551615-0", "ingest/log--", "owner/epoch-x",
        ]),
        bytes: Vec<u8>,
        spliced: Option<prop::sample::Index>,
    ) {
        let world = World::with_run(3, 3);
        let whole = world.bytes(LOG);
        let mut content = spliced.map_or_else(Vec::new, |at| whole[..at.index(whole.len())].to_vec());
        content.extend(&bytes);
        let size = content.len() as u64;
        world.simulation.file(format!("/checkpoint/{name}"), content);
        let found = world.verify();
        if let Some(piece) = found.pieces.iter().find(|piece| piece.name == name) {
            prop_assert_eq!(piece.bytes, size);
            prop_assert_eq!(piece.documents.iter().map(|document| document.bytes).sum::<u64>(), size);
        }
    }
}
