//! Describes the record at which plugin code failed: its value, and where it came from.
//!
//! Owns how the record is found again: the input of the task is read once more, up to that record. This is done only
//! when a failure is reported. Never fails: a record that cannot be read again is not shown.

use super::leaf::{InputPiece, LeafStores};
use crate::block::{InputPartition, LoadedPart};
use crate::data::schema::RecordType;
use crate::data::{text, written_bytes_max};
use crate::shown::{self, Shown as _};
use datafusion_execution::TaskContext;
use datafusion_physical_plan::ExecutionPlan;
use futures::StreamExt as _;
use std::sync::Arc;

/// A record is not shown if its text may be longer than this, because the text takes memory that is not reserved.
const WRITTEN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Describes the record, in the form `record 7 of source `lines`, file in/a.txt, line 8: bob twelve`.
pub(super) async fn describe(
    stores: &LeafStores,
    context: &Arc<TaskContext>,
    rows: Arc<dyn ExecutionPlan>,
    ty: &RecordType,
    pieces: &[InputPiece],
    number: u64,
) -> Option<String> {
    let mut rows = rows.execute(0, context.clone()).ok()?;
    let mut left = number;
    loop {
        let chunk = rows.next().await?.ok()?;
        let count = chunk.num_rows() as u64;
        if left >= count {
            left -= count;
            continue;
        }
        let (mut value, row) = (String::new(), usize::try_from(left).ok()?);
        let origin = origin(stores, pieces, number).await;
        if written_bytes_max(&chunk, row..row + 1) > WRITTEN_BYTES_MAX {
            return Some(format!("record {number}{origin}: too long to be shown"));
        }
        text::write_row(&chunk, ty, row, &mut value).ok()?;
        return Some(format!("record {number}{origin}: {}", shown::value(&value)));
    }
}

/// Describes the origin of the record, in the form ` of source `lines`, file in/a.txt, line 8`. Empty if an
/// earlier stage made the records.
async fn origin(stores: &LeafStores, pieces: &[InputPiece], number: u64) -> String {
    match pieces {
        [InputPiece::Input(InputPartition::Block { id, .. })] => format!(" of source `{}`", id.source.shown()),
        [InputPiece::Input(InputPartition::Split(split))] => {
            let line = stores.line_of(split, number).map(|line| format!(", line {line}")).unwrap_or_default();
            format!(" of source `{}`, file {}{line}", split.source.shown(), split.path.shown())
        }
        [InputPiece::Input(InputPartition::Range(range))] => {
            let place = match stores.ranges.get(&range.source) {
                Some(reader) => reader.origin(range, number).await.map(|place| format!(", {place}")),
                None => None,
            };
            format!(" of source `{}`{}", range.source.shown(), place.unwrap_or_default())
        }
        [InputPiece::Loaded(LoadedPart { file, .. })] => format!(" of file {}", file.path.shown()),
        _ => String::new(),
    }
}
