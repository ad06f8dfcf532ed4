//! Claims to a checkpoint directory: the files `owner/epoch-NUMBER`, and why a host cannot take or keep a directory.
//!
//! Owns the form of a claim, its names, and how claims are read. Never takes a directory over: see `owner.rs`.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::codec::{self, CodecError, OWNER, OWNER_1, OWNER_2};
use crate::env::{Processes, Store, advice, persistence};
use crate::error::{Error, ErrorKind, Persistence};
use crate::shown::Shown as _;
use crate::time::{Duration, Time};
use serde::{Deserialize, Serialize};
use std::io;

/// The directory of claims.
pub(super) const DIRECTORY: &str = "owner";
/// The prefix of the names of claims.
const PREFIX: &str = "epoch-";
/// The largest claim that is read.
const CLAIM_BYTES_MAX: u64 = 64 << 10;

/// How long a claim is valid after it was renewed, in a storage without locks.
pub const LEASE: Duration = Duration::from_secs(15);

/// A claim to a directory, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The number of this owner among all owners of the directory.
    pub epoch: u64,
    /// The run whose outputs are shown: the name of its directory below `runs`. Empty before the first run.
    pub run: String,
    /// The owner in words, for people: a process and its machine.
    pub holder: String,
    /// When the owner took the directory over.
    pub(super) since_ms: u64,
    /// When the owner last renewed the claim.
    pub(super) renewed_ms: u64,
    /// Whether the owner holds the lock of the storage as well.
    pub(super) is_locked: bool,
    /// Whether the owner gave the directory back.
    pub(super) is_released: bool,
    /// The process of the owner, as [`Processes`] calls it.
    pub(super) process: Option<String>,
    /// How the run got the job from another run. `None` if the job began with the run.
    pub handed_over: Option<HandedOver>,
}

/// How a run got a job from another run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedOver {
    after_ms: u64,
    /// The run that handed over: the name of its directory below `runs`.
    pub from: String,
    /// Whether the directory of that run is kept after the run has ended.
    pub keeps_from: bool,
    /// SHA-256 of the plugin that the job file named at that time, in hexadecimal. As long as the job file names this
    /// plugin, the plugin of the run takes its place.
    pub job_plugin: String,
    /// The keys of the job file that the upgrade has set, with their values as TOML or text. They hold as long as the
    /// plugin of the run takes the place of the plugin of the job file.
    pub set: Vec<(String, String)>,
}

impl HandedOver {
    /// The run shows the results of the batches after `after`. `from` is the run that handed over, and whether its
    /// directory is kept.
    pub fn new(after: Time, (from, keeps_from): (&str, bool), job_plugin: &str, set: Vec<(String, String)>) -> Self {
        let (after_ms, from, job_plugin) = (after.as_ms(), from.to_owned(), job_plugin.to_owned());
        Self { after_ms, from, keeps_from, job_plugin, set }
    }

    /// The last batch whose results another run has shown.
    pub const fn after(&self) -> Time {
        Time::from_ms(self.after_ms)
    }
}

/// A claim as version 2 wrote it.
#[derive(Deserialize)]
struct OwnerV2 {
    epoch: u64,
    run: String,
    holder: String,
    since_ms: u64,
    renewed_ms: u64,
    is_locked: bool,
    is_released: bool,
    process: Option<String>,
}

impl From<OwnerV2> for Owner {
    fn from(old: OwnerV2) -> Self {
        let OwnerV2 { epoch, run, holder, since_ms, renewed_ms, is_locked, is_released, process } = old;
        Self { epoch, run, holder, since_ms, renewed_ms, is_locked, is_released, process, handed_over: None }
    }
}

/// A claim as version 1 wrote it.
#[derive(Deserialize)]
struct OwnerV1 {
    epoch: u64,
    run: String,
    holder: String,
    since_ms: u64,
    renewed_ms: u64,
    is_locked: bool,
    is_released: bool,
}

impl From<OwnerV1> for Owner {
    fn from(old: OwnerV1) -> Self {
        let OwnerV1 { epoch, run, holder, since_ms, renewed_ms, is_locked, is_released } = old;
        let (process, handed_over) = (None, None);
        Self { epoch, run, holder, since_ms, renewed_ms, is_locked, is_released, process, handed_over }
    }
}

/// Reads a claim of any version.
fn decode(bytes: &[u8]) -> Result<Owner, CodecError> {
    match codec::decode_whole(OWNER, bytes) {
        Err(CodecError::Version(1)) => codec::decode_whole::<OwnerV1>(OWNER_1, bytes).map(Owner::from),
        Err(CodecError::Version(2)) => codec::decode_whole::<OwnerV2>(OWNER_2, bytes).map(Owner::from),
        decoded => decoded,
    }
}

impl Owner {
    /// When the owner took the directory over.
    pub const fn since(&self) -> Time {
        Time::from_ms(self.since_ms)
    }

    /// Whether the owner gave the directory back. A host that stops gracefully does.
    pub const fn is_released(&self) -> bool {
        self.is_released
    }

    /// Whether one host wrote both claims.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        (&self.holder, &self.process, self.since_ms) == (&other.holder, &other.process, other.since_ms)
    }

    /// Whether the claim still keeps other hosts from the directory.
    pub(super) fn holds(&self, now: Time, processes: &dyn Processes) -> bool {
        let has_ended = || self.process.as_ref().is_some_and(|process| processes.has_ended(process));
        !self.is_released && now.since(Time::from_ms(self.renewed_ms)) < LEASE && !has_ended()
    }
}

/// Why a host cannot take or keep a directory.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// Another host has the directory.
    #[error("checkpoint directory {place} is in use by {holder}")]
    InUse {
        /// The directory.
        place: String,
        /// The host that has the directory, and since when.
        holder: String,
        /// Whether the other host has to renew its claim to keep the directory.
        is_lease: bool,
    },
    /// This host had the directory, and another host has taken it over.
    #[error("checkpoint directory {place} was taken over by {holder}")]
    Lost {
        /// The directory.
        place: String,
        /// The host that has the directory now.
        holder: String,
    },
    /// This host had the directory, and the claims were removed.
    #[error(
        "the claim of this host in checkpoint directory {place} is gone: somebody removed it, or moved the directory"
    )]
    Removed {
        /// The directory.
        place: String,
    },
    /// The storage failed.
    #[error("cannot {action} in checkpoint directory {place}: {error}")]
    Store {
        /// The action that failed.
        action: &'static str,
        /// The directory.
        place: String,
        /// The error of the storage.
        error: io::Error,
    },
    /// A claim cannot be read.
    #[error("{name} in checkpoint directory {place} cannot be read: {error}")]
    Claim {
        /// The claim.
        name: String,
        /// The directory.
        place: String,
        /// What is wrong with the claim.
        error: CodecError,
    },
}

impl From<OwnerError> for Error {
    fn from(error: OwnerError) -> Self {
        let (kind, help) = match &error {
            OwnerError::InUse { is_lease: true, .. } => (
                ErrorKind::User,
                "stop that host, or give this job a checkpoint directory of its own; the directory of a host that no \
                 longer runs is free 15 s after its last write"
                    .to_owned(),
            ),
            OwnerError::InUse { .. } => (
                ErrorKind::User,
                "stop that host with `host stop`, or give this job a checkpoint directory of its own".to_owned(),
            ),
            OwnerError::Lost { .. } => {
                (ErrorKind::Unavailable, "that host goes on where this one was stopped".to_owned())
            }
            OwnerError::Removed { .. } => {
                (ErrorKind::Unavailable, "bring the directory back before the job is started again".to_owned())
            }
            OwnerError::Store { error, place, .. } => (ErrorKind::Unavailable, advice(error, place)),
            OwnerError::Claim { .. } => {
                (ErrorKind::Data, "remove that file if you are sure that no host uses the directory".to_owned())
            }
        };
        let lasts = match &error {
            OwnerError::Store { error, .. } => persistence(error),
            _ => Persistence::Permanent,
        };
        Self::new(kind, error.to_string()).help(help).lasting(lasts)
    }
}

/// The newest claim of a directory. `None` if there is no claim.
///
/// # Errors
/// Returns an error if the storage fails or the claim cannot be read.
pub fn current(store: &dyn Store) -> Result<Option<Owner>, OwnerError> {
    let failed = |error| OwnerError::Store { action: "list the owners", place: store.describe(), error };
    let pieces = store.list(DIRECTORY).map_err(failed)?;
    let Some(newest) =
        pieces.iter().filter(|piece| epoch(&piece.name).is_some()).max_by_key(|piece| epoch(&piece.name))
    else {
        return Ok(None);
    };
    let name = format!("{DIRECTORY}/{}", newest.name);
    let failed = |error| OwnerError::Store { action: "read the owner", place: store.describe(), error };
    let bytes = store.read(&name, CLAIM_BYTES_MAX).map_err(failed)?;
    let unreadable = |error| OwnerError::Claim { name: name.clone(), place: store.describe(), error };
    decode(&bytes).map(Some).map_err(unreadable)
}

/// All claims with their names, the newest first.
pub(super) fn claims(store: &dyn Store) -> io::Result<Vec<(u64, String)>> {
    let pieces = store.list(DIRECTORY)?;
    let mut claims: Vec<_> = pieces
        .into_iter()
        .filter_map(|piece| Some((epoch(&piece.name)?, format!("{DIRECTORY}/{}", piece.name))))
        .collect();
    claims.sort();
    claims.reverse();
    Ok(claims)
}

/// Reads a claim, with its size in bytes. `None` if the claim has been removed.
pub(super) fn read_claim(store: &dyn Store, name: &str) -> io::Result<Option<(u64, Result<Owner, CodecError>)>> {
    match store.read(name, CLAIM_BYTES_MAX) {
        Ok(bytes) => Ok(Some((bytes.len() as u64, decode(&bytes)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The epoch in the name of a claim. `None` if the name is not one of a claim.
pub(super) fn epoch(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// The name of a claim, and its bytes.
pub(super) fn encode(owner: &Owner, place: impl FnOnce() -> String) -> Result<(String, Vec<u8>), OwnerError> {
    let name = format!("{DIRECTORY}/{PREFIX}{:08}", owner.epoch);
    match codec::encode(OWNER, owner) {
        Ok(bytes) => Ok((name, bytes)),
        Err(error) => Err(OwnerError::Claim { name, place: place(), error }),
    }
}

/// The owner in words: `process 17 on machine m, since 2023-11-14T22:13:20Z`
pub(super) fn who(owner: &Owner) -> String {
    format!("{}, since {}", owner.holder.shown(), owner.since())
}
