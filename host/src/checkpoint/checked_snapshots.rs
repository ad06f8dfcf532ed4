//! The files of the snapshots that checkpoints name, each read and checked.
//!
//! Owns how a snapshot is checked: its description, and each part that the description has.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::checked_piece::{CheckedPiece, PieceKind};
use super::codec::{self, CodecError, SNAPSHOT_ROWS};
use super::metadata::SnapshotId;
use super::runs::{self, ReadCheckpoint, RunsError};
use super::snapshots::{decode, description_name, part_name, read_piece};
use crate::env::Store;
use std::collections::BTreeSet;
use std::io;

/// Reads the files of all snapshots that the checkpoints of a run name. The next start reads the snapshots that the
/// checkpoint at the position `newest` names.
///
/// # Errors
/// Returns an error if the storage fails.
pub(super) fn read(
    store: &dyn Store,
    run: &str,
    checkpoints: &[ReadCheckpoint],
    newest: Option<usize>,
) -> Result<Vec<CheckedPiece>, RunsError> {
    let of_newest = newest.and_then(|newest| checkpoints.get(newest));
    let used: BTreeSet<SnapshotId> = of_newest.into_iter().flat_map(named).collect();
    let all: BTreeSet<SnapshotId> = checkpoints.iter().flat_map(named).collect();
    let mut found = Vec::new();
    for id in all {
        let pieces = pieces_of(store, run, &id, used.contains(&id))?;
        // A host that writes checkpoints during the check removes snapshots that no checkpoint names any more. So a
        // damaged snapshot counts only if a checkpoint still names it.
        let is_damaged = pieces.iter().any(CheckedPiece::is_damaged);
        if !is_damaged || runs::read_each(store, run)?.iter().flat_map(named).any(|named| named == id) {
            found.extend(pieces);
        }
    }
    Ok(found)
}

/// The snapshots that a checkpoint names. Empty if the checkpoint cannot be read.
fn named((.., checkpoint): &ReadCheckpoint) -> Vec<SnapshotId> {
    checkpoint.as_ref().map(|metadata| metadata.snapshots.clone()).unwrap_or_default()
}

fn pieces_of(store: &dyn Store, run: &str, id: &SnapshotId, is_used: bool) -> Result<Vec<CheckedPiece>, RunsError> {
    let name = description_name(run, id);
    let (bytes, content) = content(store, &name)?;
    let snapshot = content.and_then(|content| told(decode(&content)));
    let kind = if id.is_full { "all keys" } else { "changed keys" };
    let what = snapshot.as_ref().map(|_| format!("snapshot of {kind} after batch {}", id.time()));
    let piece =
        |name, bytes, what| CheckedPiece { is_used, ..CheckedPiece::single(name, PieceKind::Snapshot, bytes, what) };
    let mut pieces = vec![piece(name, bytes, what.map_err(Clone::clone))];
    for saved in snapshot.into_iter().flat_map(|snapshot| snapshot.nodes) {
        for number in 0..saved.parts {
            let name = part_name(run, id, saved.node, number);
            let (bytes, content) = self::content(store, &name)?;
            let rows = content.and_then(|content| told(codec::unseal(SNAPSHOT_ROWS, content)));
            let what = rows.map(|_| format!("rows of {}", saved.label()));
            pieces.push(piece(name, bytes, what));
        }
    }
    Ok(pieces)
}

fn told<T>(read: Result<T, CodecError>) -> Result<T, String> {
    read.map_err(|error| error.to_string())
}

/// The size of a file, and its content, or why it cannot be read.
fn content(store: &dyn Store, name: &str) -> Result<(u64, Result<Vec<u8>, String>), RunsError> {
    match read_piece(store, name) {
        Ok(content) => Ok((content.len() as u64, Ok(content))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((0, Err("it is missing".to_owned()))),
        Err(error) => Err(RunsError { name: name.to_owned(), place: store.describe(), error }),
    }
}
