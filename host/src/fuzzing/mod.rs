//! Entry points for fuzzing: one function for each reader of bytes that come from outside.
//!
//! Each function takes any bytes, and panics exactly if the reader breaks a promise. The property tests of this module
//! call the functions with a bounded number of inputs. The targets in the directory `fuzz` call the functions until
//! they are stopped. Owns the promises, and how bytes stand for an input. Only tests and the feature `fuzzing` build
//! this module.

use crate::block::{Block, FileVersion, LoadError, LoadedFormat, LoadedPart};
use crate::checkpoint::{
    self, Need, Recovery, SnapshotId, current_owner, read_log, read_part, read_run, read_snapshot, recover_blocks,
    reseal,
};
use crate::config::{self, Facts, PayloadFormat};
use crate::data::chunk::{ChunkError, decode, encode};
use crate::data::json::row_to_json;
use crate::data::schema::{Field, RecordType};
use crate::data::text::write_row;
use crate::env::{DiskStore, Simulation, Store};
use crate::ids::BlockId;
use crate::memory::MemoryBudget;
use crate::receiver::records_of_payload;
use crate::state;
use crate::time::Time;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The types of rows that inputs choose from: a kind and a number of children for each field, in pre-order. A `?`
/// before the kind makes the field an option.
const TYPES: &[&[(&str, u32)]] = &[
    &[("text", 0)],
    &[("struct", 3), ("text", 0), ("?i64", 0), ("f64", 0)],
    &[("struct", 4), ("bool", 0), ("?u8", 0), ("bytes", 0), ("?text", 0)],
    &[("list", 1), ("?text", 0)],
    &[("struct", 2), ("?struct", 2), ("i32", 0), ("list", 1), ("u64", 0), ("?list", 1), ("f32", 0)],
    &[("?struct", 1), ("list", 1), ("struct", 2), ("text", 0), ("?i8", 0)],
    &[("struct", 4), ("timestamp[us]", 0), ("?date", 0), ("decimal(12,2)", 0), ("?time[s]", 0)],
    &[("struct", 3), ("time[ns]", 0), ("list", 1), ("datetime[ms]", 0), ("?decimal(38,38)", 0)],
];

/// The names of the files of a checkpoint directory that inputs choose from.
const PIECES: [&str; 6] = [
    "owner/epoch-00000001",
    "ingest/log-00000001-00000000",
    "ingest/received-00000001-00000000",
    "runs/0123456789abcdef-1/checkpoint-000000000007",
    "runs/0123456789abcdef-1/snapshots/00000001-000000000004000",
    "runs/0123456789abcdef-1/snapshots/00000001-000000000004000-0002-000000",
];

/// The type that a byte chooses.
fn record_type(choice: u8) -> RecordType {
    let fields = TYPES.get(usize::from(choice) % TYPES.len()).copied().unwrap_or_default();
    let field = |(at, (kind, children)): (usize, &(&str, u32))| Field {
        name: format!("c{at}"),
        kind: kind.trim_start_matches('?').to_owned(),
        nullable: kind.starts_with('?'),
        children: *children,
        metadata: Vec::new(),
    };
    let parsed = RecordType::parse(fields.iter().enumerate().map(field).collect());
    parsed.unwrap_or_else(|error| panic!("the types of this module are valid: {error}"))
}

/// Takes a number off the beginning of the bytes. Missing bytes are zero.
fn take<const BYTES: usize>(bytes: &mut &[u8]) -> [u8; BYTES] {
    let mut taken = [0; BYTES];
    let (head, rest) = bytes.split_at(bytes.len().min(BYTES));
    taken.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
    *bytes = rest;
    taken
}

/// Rows that a plugin hands over. A chunk is refused, or has rows that can be shown and written again. The first byte
/// chooses the type. Two bytes are the number of rows, and four are the place of each buffer.
pub fn chunk(mut bytes: &[u8]) {
    let [choice] = take(&mut bytes);
    let ty = record_type(choice);
    let rows = u32::from(u16::from_le_bytes(take(&mut bytes)));
    let mut place = || {
        let offset = u32::from(u16::from_le_bytes(take(&mut bytes)));
        (offset, u32::from(u16::from_le_bytes(take(&mut bytes))))
    };
    let directory: Vec<(u32, u32)> = (0..ty.buffers()).map(|_| place()).collect();
    let decoded = match decode(&ty, rows, &directory, bytes.to_vec()) {
        Ok(decoded) => decoded,
        Err(ChunkError::Arrow(error)) => panic!("only Arrow has noticed: {error}"),
        Err(error) => return assert!(!error.to_string().is_empty(), "an error has words"),
    };
    assert_eq!(decoded.num_rows(), rows as usize, "a chunk has the rows that it claims");
    for column in decoded.columns() {
        if let Err(error) = column.to_data().validate_full() {
            panic!("a column is not valid: {error}");
        }
    }
    let mut shown = String::new();
    for row in 0..decoded.num_rows() {
        assert!(write_row(&decoded, &ty, row, &mut shown).is_ok(), "each row has a text");
        assert!(row_to_json(&decoded, &ty, row).is_ok(), "each row has a JSON form");
    }
    let (mut directory, mut data) = (Vec::new(), Vec::new());
    if let Err(error) = encode(&decoded, &ty, &mut directory, &mut data) {
        panic!("rows cannot be written: {error}");
    }
    let again = decode(&ty, rows, &directory, data);
    assert_eq!(again.as_ref().ok().map(|again| again.columns()), Some(decoded.columns()), "rows survive a crossing");
}

/// A file of a checkpoint directory. Any file is read, or refused with an error. The first byte chooses the file. If
/// the highest bit of this byte is set, the checksums of the documents are corrected, so that the reader goes on to
/// their content.
pub fn checkpoint(mut bytes: &[u8]) {
    let [choice] = take(&mut bytes);
    let piece = PIECES.get(usize::from(choice & 0x7f) % PIECES.len()).copied().unwrap_or_default();
    let mut content = bytes.to_vec();
    if choice & 0x80 != 0 {
        reseal(&mut content);
    }
    let simulation = Simulation::new(0, Time::default());
    simulation.file(Path::new("/checkpoint").join(piece), content);
    let store: Arc<dyn Store> = Arc::new(DiskStore::new(simulation.env().disk, "/checkpoint".into()));
    read_checkpoint(&store);
}

fn read_checkpoint(shared: &Arc<dyn Store>) {
    let store = &**shared;
    let worded = |error: Option<String>| assert!(error.is_none_or(|error| !error.is_empty()), "an error has words");
    worded(current_owner(store).err().map(|error| error.to_string()));
    worded(read_log(store).err().map(|error| error.to_string()));
    worded(read_run(store, "0123456789abcdef-1", true).err().map(|error| error.to_string()));
    if let Ok(log) = read_log(store) {
        // Whatever the record says, its functions do not panic.
        let record = log.map(|log| log.record).unwrap_or_default();
        assert!(record.batches().count() == record.batch_count(), "batches are counted");
        record.sources_with_ranges().for_each(|source| drop(record.log_positions(source)));
    }
    read_snapshots(store);
    read_received(shared);
    let verification = checkpoint::verify(store);
    worded(verification.err().map(|error| error.to_string()));
}

fn read_received(store: &Arc<dyn Store>) {
    let types = BTreeMap::from([("lines".to_owned(), RecordType::text())]);
    let (need, take) = (
        |_: &BlockId| Need::Load,
        |block: Block| assert!(block.row_count() <= u64::from(u32::MAX), "rows are counted"),
    );
    let stores = [store.clone()];
    let recovery = Recovery { stores: &stores, types: &types, need: &need, take: &take };
    let read = recover_blocks(&*Simulation::new(0, Time::default()).env().background, &recovery);
    let error = read.err().map(|error| error.to_string());
    assert!(error.is_none_or(|error| !error.is_empty()), "an error has words");
}

/// The snapshot that the names in [`PIECES`] belong to.
fn read_snapshots(store: &dyn Store) {
    let (run, id) = ("0123456789abcdef-1", SnapshotId { time_ms: 4_000, epoch: 1, is_full: true });
    let snapshot = match read_snapshot(store, run, &id) {
        Ok(snapshot) => snapshot,
        Err(error) => return assert!(!error.to_string().is_empty(), "an error has words"),
    };
    for node in &snapshot.nodes {
        assert!(!node.label().is_empty(), "a node has a label");
        let Some(layout) = node.pair().and_then(|pair| state::Layout::new(&pair)) else { continue };
        match read_part(store, run, &id, (node.node, 0)) {
            Ok(part) => drop(state::decode(&layout, &part).map(|rows| rows.num_rows())),
            Err(error) => assert!(!error.to_string().is_empty(), "an error has words"),
        }
    }
}

/// A job file. It has settings, or mistakes of which each has a place, a message and help.
pub fn job_file(bytes: &[u8]) {
    let loaded = config::load_bytes(bytes.to_vec(), Path::new("job.toml"), &[], &Facts { cpus: 2 });
    let Err(all) = loaded else { return };
    assert!(!all.errors.is_empty(), "a refused file has a mistake");
    let lines = 1 + memchr::memchr_iter(b'\n', bytes).count();
    for error in &all.errors {
        assert!(error.line.is_none_or(|line| (1..=lines).contains(&line)), "line {:?} of {lines}", error.line);
        for part in [&error.place, &error.message, &error.help] {
            assert!(!part.is_empty() && !part.chars().any(char::is_control), "{part:?}");
        }
    }
    let lines: Vec<usize> = all.errors.iter().filter_map(|error| error.line).collect();
    assert!(lines.is_sorted(), "mistakes are in the order of their lines: {lines:?}");
}

/// A CSV file that a driver function loads. The first byte chooses the type of the records.
pub fn csv(bytes: &[u8]) {
    load(LoadedFormat::Csv, bytes);
}

/// A file of JSON lines that a driver function loads. The first byte chooses the type of the records.
pub fn json(bytes: &[u8]) {
    load(LoadedFormat::Json, bytes);
}

/// The body of an HTTP request. A body is refused, or has rows that can be shown. The first byte chooses the type of the
/// rows, and its highest bit chooses lines of text instead.
pub fn http_body(mut bytes: &[u8]) {
    let [choice] = take(&mut bytes);
    let (format, ty) = if choice & 0x80 == 0 {
        (PayloadFormat::JsonLines, record_type(choice))
    } else {
        (PayloadFormat::Lines, RecordType::text())
    };
    let chunks = match records_of_payload(format, &ty, bytes) {
        Ok(chunks) => chunks,
        Err(error) => return assert!(error.to_string().starts_with("line "), "{error}"),
    };
    let lines = memchr::memchr_iter(b'\n', bytes).count() + 1;
    assert!(chunks.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>() <= lines, "a line is one record");
    let mut shown = String::new();
    for chunk in &chunks {
        let is_shown = |row| write_row(chunk, &ty, row, &mut shown).is_ok();
        assert!((0..chunk.num_rows()).all(is_shown), "each record has a text");
    }
}

/// Reads the records of a file. An error names the file, and for a wrong record its place.
fn load(format: LoadedFormat, mut bytes: &[u8]) {
    let [choice] = take(&mut bytes);
    let ty = record_type(choice);
    let path = PathBuf::from("/file");
    let simulation = Simulation::new(0, Time::default());
    simulation.file(&path, bytes);
    let disk = simulation.env().disk;
    let Ok(budget) = MemoryBudget::new(1 << 26, 0) else { panic!("there is memory") };
    let Ok(entry) = disk.entry(&path) else { panic!("the file is there") };
    for part in LoadedPart::parts(&FileVersion::from(entry), format) {
        let mut reader = match part.read(&disk, &budget, &ty) {
            Ok(reader) => reader,
            Err(error) => return require_place(&error),
        };
        loop {
            match reader.next_chunk() {
                Ok(Some(rows)) => {
                    let mut shown = String::new();
                    let is_shown = |row| write_row(&rows, &ty, row, &mut shown).is_ok();
                    assert!((0..rows.num_rows()).all(is_shown), "each record has a text");
                }
                Ok(None) => break,
                Err(error) => return require_place(&error),
            }
        }
    }
}

fn require_place(error: &LoadError) {
    match error {
        LoadError::Record { place, problem, .. } => assert!(!place.is_empty() && !problem.is_empty(), "{error}"),
        LoadError::Content { problem, .. } => assert!(!problem.is_empty(), "{error}"),
        LoadError::Damaged { .. } | LoadError::NoRoom { .. } | LoadError::Disk { .. } | LoadError::Changed { .. } => {
            panic!("a file that is in order: {error}")
        }
    }
    assert!(error.to_string().contains("/file"), "{error}");
}

#[cfg(test)]
mod tests;
