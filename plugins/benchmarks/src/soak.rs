//! The program of the soak: windows, state and a join, over records that come steadily. Each record is a key and a number.
//!
//! Each batch saves two texts. `counts` holds `(0,RECORDS,SUM)`, the number and the sum of the records of the stream
//! `lines` in the batch, and `(1,RECORDS,0)`, their number in the window. `totals` holds
//! `(COUNT,SUM,COUNT,SUM,COUNT,SUM)`, the number and the sum of all records so far: those of `lines`, those of `files`, and
//! those of `posts`, for keys that all have.

use crate::pair;
use millstream::{DStream, StreamingContext, milliseconds};

/// The number of batches of the window.
const WINDOW_BATCHES: u64 = 10;
/// The number of batches from one snapshot of state to the next.
const SNAPSHOT_BATCHES: u64 = 20;

/// Builds the program. The job's argument `batch_ms` is the batch interval, and `out` is the place of the texts.
pub fn build(ctx: &StreamingContext) {
    let batch_ms = ctx.arg_or("batch_ms", 1000);
    let batches = |count: u64| milliseconds(batch_ms * count);
    let out = &ctx.arg_or("out", "out:".to_owned());
    let place = |name: &str| format!("{out}{name}");
    let records = |source: &str| ctx.text_stream(source).flat_map(|line| pair::<u64>(&line)).erase();
    let (lines, files, posts) = (records("lines"), records("files"), records("posts"));

    let add = |a: (u64, u64, u64), b: (u64, u64, u64)| (a.0, a.1 + b.1, a.2 + b.2);
    let in_batch = lines.map(|(_, number)| (0u64, 1u64, number)).reduce(add);
    let in_window = lines.map(|(key, _)| (key, 1u64)).reduce_by_key_and_window(|a, b| a + b, batches(WINDOW_BATCHES));
    let in_window = in_window.map(|(_, count)| (1u64, count, 0u64)).reduce(add);
    in_batch.union(&in_window).save_as_text_files(&place("counts"), "txt").name("counts");

    let totals = |records: &DStream<(u64, u64)>| {
        let totals = records.update_state_by_key(|numbers, so_far: Option<(u64, u64)>| {
            let (count, sum) = so_far.unwrap_or_default();
            Some((count + numbers.len() as u64, sum + numbers.iter().sum::<u64>()))
        });
        totals.checkpoint(batches(SNAPSHOT_BATCHES))
    };
    let joined = totals(&lines).join(&totals(&files)).join(&totals(&posts));
    let joined = joined.map(|(_, ((lines, files), posts))| (lines.0, lines.1, files.0, files.1, posts.0, posts.1));
    let sums = joined.reduce(|a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2, a.3 + b.3, a.4 + b.4, a.5 + b.5));
    sums.save_as_text_files(&place("totals"), "txt").name("totals");
}
