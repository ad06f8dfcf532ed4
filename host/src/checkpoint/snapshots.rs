//! Snapshots of state: their files in the directory of a run, and what each says of itself.
//!
//! Owns the names and the form of the files. A snapshot is a piece for its rows in parts,
//! `snapshots/EPOCH-TIME-NODE-PART`, and a description, `snapshots/EPOCH-TIME`, which is written last. A snapshot
//! counts if a metadata checkpoint names it. The description has the types of keys and states, so that state can be
//! read without the plugin. Never knows the form of the rows: see `host/src/state/saved.rs`.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::codec::{self, CodecError, SNAPSHOT, SNAPSHOT_1, SNAPSHOT_ROWS};
use super::metadata::SnapshotId;
use crate::data::schema::{Field, RecordType, schema_id};
use crate::env::{Store, advice, persistence};
use crate::error::{Error, ErrorKind};
use crate::ids::NodeId;
use crate::listener::operator_label;
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::io;

/// The largest description or part that is read.
const PIECE_BYTES_MAX: u64 = 256 << 20;

/// What a snapshot says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    written_ms: u64,
    /// The state of each node.
    pub nodes: Vec<SavedState>,
}

/// The state of a node in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedState {
    /// The position of the node in the graph.
    pub node: u32,
    /// The name that the plugin's author gave to the node.
    pub name: Option<String>,
    /// The kind of the node.
    pub kind: String,
    /// The identity of the type of the pairs of key and state.
    pub schema_id: [u8; 32],
    fields: Vec<SavedField>,
    /// The number of keys that have state.
    pub keys: u64,
    /// The number of rows in this snapshot: keys, and keys that were removed.
    pub rows: u64,
    /// The bytes of the rows in this snapshot, as they are stored.
    pub bytes: u64,
    /// The number of parts of the rows.
    pub parts: u32,
    /// The hashes of the keys in each part, in order. Empty in a description of version 1, so that each part may have
    /// any key.
    index: Vec<HashRange>,
    /// The batch that made the state: that of the snapshot, or an earlier one. `None` in a description of version 1.
    pub batch_ms: Option<u64>,
}

/// The smallest and the largest hash of the keys in a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct HashRange {
    first: u64,
    last: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedField {
    name: String,
    kind: String,
    nullable: bool,
    children: u32,
    metadata: Vec<(String, String)>,
}

impl SavedState {
    /// Describes the state of a node that has no parts yet. The batch `batch` made the state.
    pub fn new(node: NodeId, name: Option<&str>, kind: &str, pair: &RecordType, keys: u64, batch: Time) -> Self {
        let field = |field: &Field| SavedField {
            name: field.name.clone(),
            kind: field.kind.clone(),
            nullable: field.nullable,
            children: field.children,
            metadata: field.metadata.clone(),
        };
        Self {
            node: node.0,
            name: name.map(str::to_owned),
            kind: kind.to_owned(),
            schema_id: schema_id(pair.fields()),
            fields: pair.fields().iter().map(field).collect(),
            keys,
            rows: 0,
            bytes: 0,
            parts: 0,
            index: Vec::new(),
            batch_ms: Some(batch.as_ms()),
        }
    }

    /// Adds the next part: its rows, its bytes as they are stored, and the smallest and the largest hash of its keys.
    pub fn add_part(&mut self, rows: u64, bytes: u64, (first, last): (u64, u64)) {
        self.rows = self.rows.saturating_add(rows);
        self.bytes = self.bytes.saturating_add(bytes);
        self.parts = self.parts.saturating_add(1);
        self.index.push(HashRange { first, last });
    }

    /// The numbers of the parts that may have keys of this hash.
    pub fn parts_with(&self, hash: u64) -> impl Iterator<Item = u32> {
        (0..self.parts).filter(move |part| {
            let range = usize::try_from(*part).ok().and_then(|part| self.index.get(part));
            range.is_none_or(|range| (range.first..=range.last).contains(&hash))
        })
    }

    /// The type of the pairs of key and state. `None` if it is not a type that this host knows.
    pub fn pair(&self) -> Option<RecordType> {
        let field = |field: &SavedField| Field {
            name: field.name.clone(),
            kind: field.kind.clone(),
            nullable: field.nullable,
            children: field.children,
            metadata: field.metadata.clone(),
        };
        RecordType::parse(self.fields.iter().map(field).collect()).ok()
    }

    /// The node, in the words of messages.
    pub fn label(&self) -> String {
        operator_label(self.name.as_deref(), &self.kind, self.node)
    }
}

/// A description of version 1, which had no index.
#[derive(Debug, Deserialize)]
struct Snapshot1 {
    written_ms: u64,
    nodes: Vec<SavedState1>,
}

#[derive(Debug, Deserialize)]
struct SavedState1 {
    node: u32,
    name: Option<String>,
    kind: String,
    schema_id: [u8; 32],
    fields: Vec<SavedField>,
    keys: u64,
    rows: u64,
    bytes: u64,
    parts: u32,
}

impl From<Snapshot1> for Snapshot {
    fn from(snapshot: Snapshot1) -> Self {
        let Snapshot1 { written_ms, nodes } = snapshot;
        let node = |saved: SavedState1| {
            let SavedState1 { node, name, kind, schema_id, fields, keys, rows, bytes, parts } = saved;
            let (index, batch_ms) = (Vec::new(), None);
            SavedState { node, name, kind, schema_id, fields, keys, rows, bytes, parts, index, batch_ms }
        };
        Self { written_ms, nodes: nodes.into_iter().map(node).collect() }
    }
}

impl Snapshot {
    /// Makes a description that is written now.
    pub fn new(written: Time, nodes: Vec<SavedState>) -> Self {
        Self { written_ms: written.as_ms(), nodes }
    }

    /// When the snapshot was written.
    pub const fn written(&self) -> Time {
        Time::from_ms(self.written_ms)
    }
}

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The storage fails.
    #[error("cannot read {name} in checkpoint directory {place}: {error}")]
    Store {
        /// The piece that cannot be read.
        name: String,
        /// The checkpoint directory.
        place: String,
        /// The error of the storage.
        error: io::Error,
    },
    /// The content cannot be used.
    #[error("{name} in checkpoint directory {place} cannot be used: {error}")]
    Content {
        /// The piece.
        name: String,
        /// The checkpoint directory.
        place: String,
        /// What is wrong with it.
        error: CodecError,
    },
}

impl From<SnapshotError> for Error {
    fn from(failed: SnapshotError) -> Self {
        match &failed {
            SnapshotError::Store { place, error, .. } if error.kind() != io::ErrorKind::NotFound => {
                let (help, persistence) = (advice(error, place), persistence(error));
                Self::new(ErrorKind::Unavailable, failed.to_string()).help(help).lasting(persistence)
            }
            _ => Self::new(ErrorKind::Data, failed.to_string())
                .help("bring the file back from a backup, or start a new run with --fresh, which begins without state"),
        }
    }
}

/// The directory of a run's snapshots.
fn directory(run: &str) -> String {
    format!("runs/{run}/snapshots")
}

fn name(id: &SnapshotId) -> String {
    format!("{:08}-{:015}", id.epoch, id.time_ms)
}

/// The name of the piece with the description of a snapshot.
pub(super) fn description_name(run: &str, id: &SnapshotId) -> String {
    format!("{}/{}", directory(run), name(id))
}

/// The name of the piece with a part of a node's rows.
pub(super) fn part_name(run: &str, id: &SnapshotId, node: u32, part: u32) -> String {
    format!("{}/{}-{node:04}-{part:06}", directory(run), name(id))
}

/// Writes a part of a node's rows. Returns the size of the piece, in bytes.
///
/// # Errors
/// The error of the storage.
pub fn write_part(store: &dyn Store, run: &str, id: &SnapshotId, place: (u32, u32), rows: &[u8]) -> io::Result<u64> {
    let document = codec::seal(SNAPSHOT_ROWS, rows).map_err(invalid)?;
    store.put(&part_name(run, id, place.0, place.1), &document)?;
    Ok(document.len() as u64)
}

/// Writes the description of a snapshot, after its parts.
///
/// # Errors
/// The error of the storage.
pub fn write(store: &dyn Store, run: &str, id: &SnapshotId, snapshot: &Snapshot) -> io::Result<()> {
    let document = codec::encode(SNAPSHOT, snapshot).map_err(invalid)?;
    store.put(&description_name(run, id), &document)
}

fn invalid(error: CodecError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Reads the description of a snapshot.
///
/// # Errors
/// Returns an error if the storage fails, or if the description cannot be used.
pub fn read(store: &dyn Store, run: &str, id: &SnapshotId) -> Result<Snapshot, SnapshotError> {
    let piece = description_name(run, id);
    let bytes = read_piece(store, &piece).map_err(|error| unreadable(store, &piece, error))?;
    decode(&bytes).map_err(|error| content(store, piece, error))
}

/// Reads a description from its bytes, whatever its version is.
pub(super) fn decode(bytes: &[u8]) -> Result<Snapshot, CodecError> {
    match codec::decode_whole::<Snapshot1>(SNAPSHOT_1, bytes) {
        Err(CodecError::Version(_)) => {
            let snapshot: Snapshot = codec::decode_whole(SNAPSHOT, bytes)?;
            match snapshot.nodes.iter().find(|saved| saved.index.len() as u64 != u64::from(saved.parts)) {
                Some(saved) => {
                    let (found, parts) = (saved.index.len(), saved.parts);
                    Err(CodecError::Payload(format!("the index of node {} has {found} of {parts} parts", saved.node)))
                }
                None => Ok(snapshot),
            }
        }
        old => old.map(Snapshot::from),
    }
}

/// Reads a part of a node's rows.
///
/// # Errors
/// Returns an error if the storage fails, or if the part cannot be used.
pub fn read_part(store: &dyn Store, run: &str, id: &SnapshotId, place: (u32, u32)) -> Result<Vec<u8>, SnapshotError> {
    let piece = part_name(run, id, place.0, place.1);
    let bytes = read_piece(store, &piece).map_err(|error| unreadable(store, &piece, error))?;
    codec::unseal(SNAPSHOT_ROWS, bytes).map_err(|error| content(store, piece, error))
}

/// The error of a part whose rows cannot be used.
pub fn broken_part(store: &dyn Store, run: &str, id: &SnapshotId, place: (u32, u32), error: &str) -> SnapshotError {
    content(store, part_name(run, id, place.0, place.1), CodecError::Payload(error.to_owned()))
}

fn content(store: &dyn Store, name: String, error: CodecError) -> SnapshotError {
    SnapshotError::Content { name, place: store.describe(), error }
}

/// The content of a piece.
pub(super) fn read_piece(store: &dyn Store, name: &str) -> io::Result<Vec<u8>> {
    store.read(name, PIECE_BYTES_MAX)
}

fn unreadable(store: &dyn Store, name: &str, error: io::Error) -> SnapshotError {
    SnapshotError::Store { name: name.to_owned(), place: store.describe(), error }
}

/// Removes all pieces of a run's snapshots for which `is_needed` is false.
///
/// # Errors
/// The error of the storage. Some pieces may have been removed.
pub fn remove_unless(store: &dyn Store, run: &str, is_needed: impl Fn(u64, u64) -> bool) -> io::Result<()> {
    let directory = directory(run);
    for piece in store.list(&directory)? {
        let mut numbers = piece.name.split('-').map(|number| number.parse::<u64>().ok());
        let id = (numbers.next().flatten(), numbers.next().flatten());
        if let (Some(epoch), Some(time_ms)) = id
            && !is_needed(epoch, time_ms)
        {
            store.remove(&format!("{directory}/{}", piece.name))?;
        }
    }
    Ok(())
}
