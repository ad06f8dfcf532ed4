//! `host checkpoint verify`: reads each document of each file, and says what follows if a document cannot be read.

use super::super::{count, print};
use crate::checkpoint::{CheckedDocument, CheckedPiece, Condition, PieceKind, Verification, verify as read_all};
use crate::env::Store;
use crate::error::{Error, ErrorKind};
use crate::shown::{self, escape_control};
use std::fmt::Write as _;
use std::process::ExitCode;

/// Reads the whole directory and prints the result.
pub(super) fn verify(store: &dyn Store, json: bool) -> Result<ExitCode, Error> {
    let found = read_all(store)?;
    let place = store.describe();
    let text =
        if json { format!("{}\n", shown::json(&as_json(&found, &place).to_string())) } else { as_text(&found, &place) };
    let code = print(&text)?;
    if found.is_sound() {
        return Ok(code);
    }
    let damaged = found.pieces.iter().filter(|piece| piece.is_damaged()).count();
    let mut wrong = Vec::new();
    if damaged > 0 {
        wrong.push(format!("{} damaged", count(damaged, "file")));
    }
    if !found.contradictions.is_empty() {
        wrong.push(count(found.contradictions.len(), "contradiction"));
    }
    let message = format!("checkpoint directory {}: {}", escape_control(&place), wrong.join(", "));
    Err(Error::new(ErrorKind::Data, message).help(choices(&found)))
}

/// The advice: what the user can do about the damage.
fn choices(found: &Verification) -> String {
    let damaged: Vec<&CheckedPiece> = found.pieces.iter().filter(|piece| piece.is_damaged()).collect();
    let is_log = |piece: &&&CheckedPiece| piece.kind == PieceKind::Segment && piece.is_used;
    if !found.contradictions.is_empty() {
        return "bring all files back from one backup, or start a new run with `host run --fresh`".to_owned();
    }
    if damaged.iter().any(|piece| is_log(&piece)) {
        return "bring the segment back from a backup, or start a new run with `host run --fresh`, which reads sources as \
                at a first start and may read data again that was processed"
            .to_owned();
    }
    if damaged.iter().any(|piece| piece.kind == PieceKind::Received) {
        return "bring the file back from a backup, use a job file that names the copy of the log, or remove the file and \
                lose the records in it"
            .to_owned();
    }
    if damaged.iter().any(|piece| piece.kind == PieceKind::Claim && piece.is_used) {
        return "remove the newest file in `owner` if no host uses the directory: the one before it counts then"
            .to_owned();
    }
    if damaged.iter().any(|piece| piece.kind == PieceKind::Checkpoint)
        && !found.pieces.iter().any(|piece| piece.kind == PieceKind::Checkpoint && piece.is_used)
    {
        return "bring a checkpoint back from a backup, or start a new run with `host run --fresh`".to_owned();
    }
    if damaged.iter().any(|piece| piece.kind == PieceKind::Snapshot && piece.is_used) {
        return "bring the file back from a backup, or start a new run with `host run --fresh`, which begins without state"
            .to_owned();
    }
    "the job can continue without these files: it runs again all batches that are not known to be done; check the \
     disk for the cause"
        .to_owned()
}

fn condition(condition: &Condition) -> (&'static str, Option<&str>) {
    match condition {
        Condition::Whole => ("whole", None),
        Condition::Torn => ("torn", None),
        Condition::Damaged(error) => ("damaged", Some(error)),
    }
}

const fn kind(kind: PieceKind) -> &'static str {
    match kind {
        PieceKind::Claim => "claim",
        PieceKind::Checkpoint => "checkpoint",
        PieceKind::Snapshot => "snapshot",
        PieceKind::Segment => "segment",
        PieceKind::Received => "received data",
    }
}

fn as_json(found: &Verification, place: &str) -> serde_json::Value {
    let document = |document: &CheckedDocument| {
        let (state, error) = condition(&document.condition);
        serde_json::json!({
            "at": document.at,
            "bytes": document.bytes,
            "state": state,
            "what": document.what,
            "error": error,
        })
    };
    let pieces = found.pieces.iter().map(|piece| {
        serde_json::json!({
            "name": piece.name,
            "kind": kind(piece.kind),
            "bytes": piece.bytes,
            "used": piece.is_used,
            "documents": piece.documents.iter().map(document).collect::<Vec<_>>(),
        })
    });
    serde_json::json!({
        "directory": place,
        "sound": found.is_sound(),
        "files": pieces.collect::<Vec<_>>(),
        "contradictions": found.contradictions,
    })
}

fn as_text(found: &Verification, place: &str) -> String {
    let mut text = format!("checkpoint directory {}\n", escape_control(place));
    for piece in &found.pieces {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", of_piece(piece));
        let bad = piece.documents.iter().filter(|document| document.condition != Condition::Whole);
        bad.for_each(|document| text.push_str(&of_document(piece, document)));
    }
    for contradiction in &found.contradictions {
        let _ = writeln!(text, "contradiction: {}", escape_control(contradiction));
    }
    let documents = found.pieces.iter().map(|piece| piece.documents.len()).sum();
    let verdict = if found.is_sound() { "everything can be read" } else { "not everything can be used" };
    let _ = writeln!(text, "{}, {}: {verdict}", count(found.pieces.len(), "file"), count(documents, "document"));
    text
}

/// `  ingest/log-00000001-00000000: 812 bytes, 5 documents, whole; the next start reads it`
fn of_piece(piece: &CheckedPiece) -> String {
    let state = if piece.is_damaged() {
        "damaged"
    } else if piece.documents.iter().any(|document| document.condition == Condition::Torn) {
        "torn"
    } else {
        "whole"
    };
    let what = match (piece.documents.as_slice(), piece.kind) {
        ([only], PieceKind::Claim | PieceKind::Checkpoint | PieceKind::Snapshot) if !only.what.is_empty() => {
            format!(" ({})", escape_control(&only.what))
        }
        _ => String::new(),
    };
    let used = if piece.is_used { "; the next start reads it" } else { "" };
    let documents = count(piece.documents.len(), "document");
    format!("  {}: {} bytes, {documents}, {state}{what}{used}", escape_control(&piece.name), piece.bytes)
}

fn of_document(piece: &CheckedPiece, document: &CheckedDocument) -> String {
    let CheckedDocument { at, bytes, .. } = document;
    match &document.condition {
        Condition::Whole => String::new(),
        Condition::Torn => format!(
            "    torn at byte {at}: its last {bytes} bytes were never finished, or are being written right now; a start \
             leaves them out, and no result that was shown depends on them\n"
        ),
        Condition::Damaged(error) => {
            let follows = match (piece.kind, piece.is_used) {
                (PieceKind::Received, _) => "unless there is a copy of the log, the job cannot start from it",
                (PieceKind::Segment | PieceKind::Claim, true) => "the job cannot start from it",
                (PieceKind::Segment, false) => "a newer segment replaces it",
                (PieceKind::Claim, false) => "a newer claim replaces it",
                (PieceKind::Snapshot, true) => "the job cannot go on with its state",
                (PieceKind::Snapshot, false) => "no start from the newest checkpoint needs it",
                (PieceKind::Checkpoint, _) => "a start ignores it and uses an older checkpoint of the run",
            };
            format!("    damaged at byte {at}, {bytes} bytes: {}; {follows}\n", escape_control(error))
        }
    }
}
