//! Reads everything in a checkpoint directory and says what is whole, torn or damaged.
//!
//! Owns the findings. Only reads: it takes no lock and writes nothing, so it can check a directory that a host is
//! using. If another host takes the directory over in the meantime, the check begins again. Never decides what a start
//! does with the directory.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::allocation_segments::{self, LogError};
use super::allocations::Allocations;
use super::checked_piece::{CheckedPiece, PieceKind};
use super::checked_snapshots;
use super::claim::{self, Owner};
use super::metadata::Metadata;
use super::recovery::check_log;
use super::runs::{self, RunsError};
use super::write_ahead_log;
use crate::env::Store;
use std::io;

/// How many times a check reads a directory. The check begins again if another host takes the directory over.
const TRIES_MAX: usize = 5;

/// The result of checking a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// All files: claims, then the checkpoints and snapshots of each run, then the segments of the allocation log, then those
    /// of the write-ahead log. The newest claim, checkpoint and segment of the allocation log is first, and the oldest
    /// snapshot and segment of the write-ahead log.
    pub pieces: Vec<CheckedPiece>,
    /// The contradictions between files, in words.
    pub contradictions: Vec<String>,
}

impl Verification {
    /// Whether nothing is damaged and there are no contradictions.
    pub fn is_sound(&self) -> bool {
        self.contradictions.is_empty() && !self.pieces.iter().any(CheckedPiece::is_damaged)
    }
}

/// Reads and checks everything in the directory.
///
/// # Errors
/// Returns an error if the storage fails.
pub fn verify(store: &dyn Store) -> Result<Verification, RunsError> {
    let mut tries = 0;
    loop {
        tries = usize::saturating_add(tries, 1);
        let before = newest_claim(store)?;
        let verified = read_all(store)?;
        if tries >= TRIES_MAX || newest_claim(store)? == before {
            return Ok(verified);
        }
    }
}

fn newest_claim(store: &dyn Store) -> Result<Option<u64>, RunsError> {
    let claims = claim::claims(store).map_err(|error| failed(store, "owner", error))?;
    Ok(claims.first().map(|(epoch, _)| *epoch))
}

fn failed(store: &dyn Store, name: &str, error: io::Error) -> RunsError {
    RunsError { name: name.to_owned(), place: store.describe(), error }
}

/// The facts in the newest files, which are compared with each other.
#[derive(Default)]
struct Told {
    owner: Option<Owner>,
    newest: Option<(String, Metadata)>,
    log: Option<Allocations>,
}

/// Reads all files. The order matters: a host writes the log before the checkpoint that follows from it, so the log may
/// only be ahead of the checkpoint.
fn read_all(store: &dyn Store) -> Result<Verification, RunsError> {
    let mut found = Verification::default();
    let mut told = Told::default();
    read_claims(store, &mut found, &mut told)?;
    read_runs(store, &mut found, &mut told)?;
    let is_log_readable = read_segments(store, &mut found, &mut told)?;
    // The host that wrote the log had written a checkpoint before. So the checkpoint exists now, even if that host has
    // just started.
    let runs = runs_with_checkpoints(store)?;
    found.contradictions = contradictions(&told, &runs, is_log_readable);
    Ok(found)
}

fn read_claims(store: &dyn Store, found: &mut Verification, told: &mut Told) -> Result<(), RunsError> {
    for (at, (_, name)) in claim::claims(store).map_err(|error| failed(store, "owner", error))?.into_iter().enumerate()
    {
        let Some((bytes, claim)) = claim::read_claim(store, &name).map_err(|error| failed(store, &name, error))? else {
            continue;
        };
        let what = claim.as_ref().map(|owner| format!("owner {}: {}", owner.epoch, owner.holder));
        let what = what.map_err(ToString::to_string);
        let is_used = at == 0;
        if is_used {
            told.owner = claim.ok();
        }
        found.pieces.push(CheckedPiece { is_used, ..CheckedPiece::single(name, PieceKind::Claim, bytes, what) });
    }
    Ok(())
}

/// The names of the runs that have any checkpoint, readable or not.
fn runs_with_checkpoints(store: &dyn Store) -> Result<Vec<String>, RunsError> {
    let mut names = Vec::new();
    for run in runs::names(store)? {
        if runs::count(store, &run)? > 0 {
            names.push(run);
        }
    }
    Ok(names)
}

fn read_runs(store: &dyn Store, found: &mut Verification, told: &mut Told) -> Result<(), RunsError> {
    let names = runs::names(store)?;
    let current = told.owner.as_ref().map(|owner| owner.run.clone()).filter(|run| names.contains(run));
    let current = current.or_else(|| names.last().cloned());
    for run in &names {
        let is_current = current.as_ref() == Some(run);
        let checkpoints = runs::read_each(store, run)?;
        let newest = runs::newest_of(&checkpoints).filter(|_| is_current);
        let snapshots = checked_snapshots::read(store, run, &checkpoints, newest)?;
        for (at, (name, bytes, checkpoint)) in checkpoints.into_iter().enumerate() {
            let what = checkpoint.as_ref().map(|metadata| match metadata.progress.generated() {
                Some(batch) => format!("checkpoint of owner {}, up to batch {batch}", metadata.epoch),
                None => format!("checkpoint of owner {}, before the first batch", metadata.epoch),
            });
            let what = what.map_err(ToString::to_string);
            let is_used = newest == Some(at);
            if let (true, Ok(metadata)) = (is_used, checkpoint) {
                told.newest = Some((name.clone(), metadata));
            }
            let piece = CheckedPiece::single(name, PieceKind::Checkpoint, bytes, what);
            found.pieces.push(CheckedPiece { is_used, ..piece });
        }
        found.pieces.extend(snapshots);
    }
    Ok(())
}

/// Checks the segments. Returns whether the log can be read or is empty.
fn read_segments(store: &dyn Store, found: &mut Verification, told: &mut Told) -> Result<bool, RunsError> {
    let of_log = |error: LogError| match error {
        LogError::Store { name, error } => failed(store, &name, error),
        LogError::Damaged { name, error, .. } => failed(store, &name, io::Error::other(error)),
    };
    let mut is_readable = true;
    let mut is_found = false;
    for name in allocation_segments::segment_names(store).map_err(of_log)? {
        let Some((bytes, segment)) = allocation_segments::read_segment(store, &name).map_err(of_log)? else { continue };
        let mut piece = CheckedPiece::segment(name, PieceKind::Segment, bytes, segment.documents);
        // A segment whose snapshot was never finished is skipped.
        if !is_found && (piece.is_damaged() || segment.record.is_some()) {
            piece.is_used = true;
            is_found = true;
            is_readable = !piece.is_damaged();
            told.log = segment.record.filter(|_| is_readable);
        }
        found.pieces.push(piece);
    }
    for (name, bytes, documents) in write_ahead_log::read_documents(store).map_err(of_log)? {
        let piece = CheckedPiece::segment(name, PieceKind::Received, bytes, documents);
        found.pieces.push(CheckedPiece { is_used: true, ..piece });
    }
    Ok(is_readable)
}

fn contradictions(told: &Told, runs: &[String], is_log_readable: bool) -> Vec<String> {
    let mut found: Vec<String> =
        runs::lost_checkpoints(told.owner.as_ref(), runs, told.log.is_some()).into_iter().collect();
    if let Some(owner) = &told.owner {
        let log = told.log.iter().map(|log| ("the allocation log", log.epoch));
        let checkpoint = told.newest.iter().map(|(name, metadata)| (name.as_str(), metadata.epoch));
        for (what, epoch) in checkpoint.chain(log).filter(|(_, epoch)| *epoch > owner.epoch) {
            found.push(format!("{what} was written by owner {epoch}, but the newest claim is that of {}", owner.epoch));
        }
    }
    let (Some((name, metadata)), true) = (&told.newest, is_log_readable) else { return found };
    let record = told.log.clone().unwrap_or_else(|| Allocations::new(metadata.run.beginning().data_after));
    let Metadata { progress, run, .. } = metadata;
    if let Err(lost) = check_log(progress, &record, run.beginning().data_after, run.batch_interval()) {
        found.push(format!("{name}: {lost}"));
    }
    for (source, next) in metadata.progress.positions() {
        let logged = record.next_block(source);
        if next > logged {
            found.push(format!(
                "{name} says that source `{source}` was read up to block {next}, the allocation log up to block {logged}"
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests;
