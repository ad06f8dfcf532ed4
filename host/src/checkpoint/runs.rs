//! The directories of runs, `runs/DIGEST-NUMBER`, and the metadata checkpoints in them.
//!
//! Owns the names of directories and checkpoints, and how many checkpoints are kept. Owns also which checkpoint counts:
//! the newest readable one of the last owner. Never decides what a start does with the checkpoint: see `recovery.rs`.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::claim::Owner;
use super::codec::{self, CodecError, METADATA, METADATA_1, METADATA_2};
use super::metadata::{Metadata, Metadata1, Metadata2, RunProgress, SnapshotId};
use crate::env::{Store, advice, persistence};
use crate::error::{Error, ErrorKind};
use std::cmp::Reverse;
use std::io;

/// The directory of all runs.
const DIRECTORY: &str = "runs";
/// The prefix of the names of checkpoints.
const PREFIX: &str = "checkpoint-";
/// How many checkpoints of a run are kept.
pub const CHECKPOINTS_KEPT: usize = 10;
/// How many characters of a plugin's digest are in the names of its runs.
const DIGEST_CHARS: usize = 16;
/// The largest checkpoint that is read.
const CHECKPOINT_BYTES_MAX: u64 = 256 << 20;

/// Why runs cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {name} in checkpoint directory {place}: {error}")]
pub struct RunsError {
    /// The checkpoint or directory that cannot be read.
    pub name: String,
    /// The checkpoint directory.
    pub place: String,
    /// The error of the storage.
    pub error: io::Error,
}

impl From<RunsError> for Error {
    fn from(failed: RunsError) -> Self {
        let (error, place) = (&failed.error, &failed.place);
        Self::new(ErrorKind::Unavailable, failed.to_string()).help(advice(error, place)).lasting(persistence(error))
    }
}

/// A checkpoint that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableCheckpoint {
    /// The name of the checkpoint.
    pub name: String,
    /// What is wrong with the checkpoint.
    pub error: CodecError,
}

/// The state of a run on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedRun {
    /// The name of the run's directory.
    pub name: String,
    /// The newest checkpoint that can be read, with its name and its size in bytes.
    pub newest: Option<(String, u64, Metadata)>,
    /// The newer checkpoints that cannot be read.
    pub unreadable: Vec<UnreadableCheckpoint>,
    /// The number of the newest checkpoint, readable or not.
    pub last_number: u64,
    /// How many checkpoints there are.
    pub count: usize,
    /// How far the run has come, and which snapshots of state there are, by each readable checkpoint, the oldest first.
    pub progress: Vec<(RunProgress, Vec<SnapshotId>)>,
}

/// Finds out whether checkpoints were lost, and says which, in words. `runs` are the runs that have checkpoints. A host
/// writes the first checkpoint of a run before it points the owner to the run and before it writes the allocation log.
/// So checkpoints were lost if the owner points to a run that is not in `runs`, or if there is a log and no run. `None`
/// if none were lost.
pub fn lost_checkpoints(owner: Option<&Owner>, runs: &[String], has_log: bool) -> Option<String> {
    match owner {
        Some(owner) if !owner.run.is_empty() && !runs.contains(&owner.run) => {
            Some(format!("owner {} names run {}, which has no checkpoints", owner.epoch, owner.run))
        }
        _ if has_log && runs.is_empty() => Some("there is an allocation log, but no checkpoint of any run".to_owned()),
        _ => None,
    }
}

/// A name for a new run of a plugin, which no run in `runs` has.
pub fn new_name(runs: &[String], plugin_digest: &str) -> String {
    let digest: String = plugin_digest.chars().take(DIGEST_CHARS).collect();
    let number = |name: &String| name.strip_prefix(&digest)?.strip_prefix('-')?.parse::<u64>().ok();
    let last = runs.iter().filter_map(number).max().unwrap_or(0);
    format!("{digest}-{}", last.saturating_add(1))
}

/// The names of all runs.
///
/// # Errors
/// Returns an error if the storage fails.
pub fn names(store: &dyn Store) -> Result<Vec<String>, RunsError> {
    let failed = |error| RunsError { name: DIRECTORY.to_owned(), place: store.describe(), error };
    store.directories(DIRECTORY).map_err(failed)
}

fn number(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// The numbers of a run's checkpoints, the newest first, with names and sizes.
fn checkpoints(store: &dyn Store, run: &str) -> Result<Vec<(u64, String, u64)>, RunsError> {
    let directory = format!("{DIRECTORY}/{run}");
    let pieces = store.list(&directory).map_err(|error| RunsError {
        name: directory.clone(),
        place: store.describe(),
        error,
    })?;
    let mut found: Vec<_> = pieces
        .into_iter()
        .filter_map(|piece| Some((number(&piece.name)?, format!("{directory}/{}", piece.name), piece.bytes)))
        .collect();
    found.sort();
    found.reverse();
    Ok(found)
}

/// How many checkpoints a run has, readable or not.
///
/// # Errors
/// Returns an error if the storage fails.
pub(super) fn count(store: &dyn Store, run: &str) -> Result<usize, RunsError> {
    checkpoints(store, run).map(|checkpoints| checkpoints.len())
}

/// Reads the state of a run. With `all`, reads the older checkpoints too, to find out whether they can be read.
///
/// # Errors
/// Returns an error if the storage fails.
pub fn read(store: &dyn Store, run: &str, all: bool) -> Result<SavedRun, RunsError> {
    let checkpoints = checkpoints(store, run)?;
    let mut saved = SavedRun {
        name: run.to_owned(),
        newest: None,
        unreadable: Vec::new(),
        last_number: checkpoints.first().map_or(0, |(number, ..)| *number),
        count: checkpoints.len(),
        progress: Vec::new(),
    };
    let checkpoints = read_all(store, checkpoints)?;
    let readable = checkpoints.iter().rev().filter_map(|(.., checkpoint)| checkpoint.as_ref().ok());
    saved.progress = readable.map(|metadata| (metadata.progress.clone(), metadata.snapshots.clone())).collect();
    let newest = newest_of(&checkpoints);
    for (at, (name, bytes, checkpoint)) in checkpoints.into_iter().enumerate() {
        match checkpoint {
            Ok(metadata) if Some(at) == newest => saved.newest = Some((name, bytes, metadata)),
            Err(error) if all || newest.is_none_or(|newest| at < newest) => {
                saved.unreadable.push(UnreadableCheckpoint { name, error });
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(saved)
}

/// Reads a checkpoint. `None` if its owner has just removed it.
fn read_one(store: &dyn Store, name: &str) -> Result<Option<Result<Metadata, CodecError>>, RunsError> {
    match store.read(name, CHECKPOINT_BYTES_MAX) {
        Ok(content) => Ok(Some(decode(&content))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RunsError { name: name.to_owned(), place: store.describe(), error }),
    }
}

/// A checkpoint's name, its size in bytes, and its content or why it cannot be read.
pub(super) type ReadCheckpoint = (String, u64, Result<Metadata, CodecError>);

fn decode(content: &[u8]) -> Result<Metadata, CodecError> {
    match codec::decode_whole(METADATA, content) {
        Err(CodecError::Version(1)) => codec::decode_whole::<Metadata1>(METADATA_1, content).map(Metadata::from),
        Err(CodecError::Version(2)) => codec::decode_whole::<Metadata2>(METADATA_2, content).map(Metadata::from),
        decoded => decoded,
    }
}

/// All checkpoints of a run, the one with the largest number first.
pub(super) fn read_each(store: &dyn Store, run: &str) -> Result<Vec<ReadCheckpoint>, RunsError> {
    read_all(store, checkpoints(store, run)?)
}

fn read_all(store: &dyn Store, checkpoints: Vec<(u64, String, u64)>) -> Result<Vec<ReadCheckpoint>, RunsError> {
    let read = |(_, name, bytes): (u64, String, u64)| {
        let checkpoint = read_one(store, &name);
        checkpoint.transpose().map(|checkpoint| Ok((name, bytes, checkpoint?)))
    };
    checkpoints.into_iter().filter_map(read).collect()
}

/// Which of the checkpoints counts: the last one of the last owner. An owner that was replaced and did not notice may
/// have written a checkpoint with a larger number.
pub(super) fn newest_of(checkpoints: &[ReadCheckpoint]) -> Option<usize> {
    let epoch = |(at, (.., checkpoint)): (usize, &ReadCheckpoint)| Some((checkpoint.as_ref().ok()?.epoch, Reverse(at)));
    checkpoints.iter().enumerate().filter_map(epoch).max().map(|(_, Reverse(at))| at)
}

/// Writes a checkpoint of a run under a new number, and removes the oldest ones above [`CHECKPOINTS_KEPT`]. An owner
/// that was replaced and did not notice cannot overwrite the checkpoints of the new owner.
///
/// # Errors
/// Returns the error of the storage, or [`io::ErrorKind::AlreadyExists`] if the number is taken.
pub fn write(store: &dyn Store, run: &str, number: u64, metadata: &Metadata) -> io::Result<()> {
    let document =
        codec::encode(METADATA, metadata).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    store.create(&format!("{DIRECTORY}/{run}/{PREFIX}{number:012}"), &document)?;
    if let Some(old) = number.checked_sub(CHECKPOINTS_KEPT as u64) {
        // A checkpoint that cannot be removed now does no harm: it only takes space.
        let _ = store.remove(&format!("{DIRECTORY}/{run}/{PREFIX}{old:012}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::metadata::RunDescription;
    use super::*;
    use crate::env::{DiskStore, Simulation};
    use crate::graph::Beginning;
    use crate::time::{Duration, Time};
    use std::collections::BTreeMap;

    fn metadata(batch: u64) -> Metadata {
        let zero = Time::from_ms(1000);
        let run = RunDescription::new(
            "job",
            "ab",
            BTreeMap::new(),
            (&[], String::new()),
            Duration::from_secs(1),
            Beginning::at(zero),
        );
        let mut progress = RunProgress::default();
        progress.batch_generated(Time::from_ms(batch));
        Metadata::new(3, Time::from_ms(batch + 5), run, progress, Vec::new())
    }

    #[test]
    fn the_last_ten_are_kept_and_the_newest_that_can_be_read_counts() {
        let simulation = Simulation::new(0, Time::default());
        let store = DiskStore::new(simulation.env().disk, "/checkpoint".into());
        assert_eq!(read(&store, "r-1", false).unwrap().newest, None);
        (1..=25).for_each(|number| write(&store, "r-1", number, &metadata(number * 1000)).unwrap());
        let saved = read(&store, "r-1", true).unwrap();
        assert_eq!((saved.count, saved.last_number, saved.unreadable.len()), (10, 25, 0));
        assert_eq!(saved.newest.unwrap().2, metadata(25_000));
        let path = "/checkpoint/runs/r-1/checkpoint-000000000025";
        let mut bytes = simulation.files().remove(std::path::Path::new(path)).unwrap();
        bytes[40] ^= 1;
        simulation.file(path, bytes);
        let saved = read(&store, "r-1", false).unwrap();
        assert_eq!(saved.newest.unwrap().2, metadata(24_000));
        let name = "runs/r-1/checkpoint-000000000025".to_owned();
        assert_eq!(saved.unreadable, [UnreadableCheckpoint { name, error: CodecError::Checksum }]);
        assert_eq!(names(&store).unwrap(), ["r-1"]);
    }

    #[test]
    fn what_a_replaced_owner_writes_does_not_count() {
        let simulation = Simulation::new(0, Time::default());
        let store = DiskStore::new(simulation.env().disk, "/checkpoint".into());
        let of_owner = |epoch, batch| {
            let mut metadata = metadata(batch);
            metadata.epoch = epoch;
            metadata
        };
        for (number, epoch) in [(1, 3), (2, 4), (3, 4), (4, 3)] {
            write(&store, "r-1", number, &of_owner(epoch, number * 1000)).unwrap();
        }
        let saved = read(&store, "r-1", false).unwrap();
        assert_eq!((saved.last_number, saved.newest.unwrap().2), (4, of_owner(4, 3000)));
    }

    #[test]
    fn runs_of_a_plugin_are_numbered() {
        let digest = "0123456789abcdef0123";
        assert_eq!(new_name(&[], digest), "0123456789abcdef-1");
        let runs =
            ["0123456789abcdef-9".to_owned(), "0123456789abcdef-10".to_owned(), "fedcba9876543210-30".to_owned()];
        assert_eq!(new_name(&runs, digest), "0123456789abcdef-11");
    }

    #[test]
    fn progress_knows_what_is_done() {
        let second = Duration::from_secs(1);
        let mut progress = RunProgress::after(Some(Time::from_ms(4000)));
        assert_eq!(progress.completed(second), Some(Time::from_ms(4000)));
        (5..8).for_each(|batch| progress.batch_generated(Time::from_ms(batch * 1000)));
        progress.batch_completed(Time::from_ms(5000));
        assert_eq!(progress.completed(second), Some(Time::from_ms(5000)));
        assert_eq!(progress.pending().collect::<Vec<_>>(), [Time::from_ms(6000), Time::from_ms(7000)]);
        progress.batch_completed(Time::from_ms(6000));
        progress.batch_completed(Time::from_ms(7000));
        assert_eq!(
            (progress.completed(second), progress.generated()),
            (Some(Time::from_ms(7000)), Some(Time::from_ms(7000)))
        );
    }
}
