//! The saved counts of words: whether each batch is there once, complete, and of the right plugin.

use crate::source::WORDS_IN_LINE;
use millstream_tests::events::Batch;
use std::fs;
use std::path::Path;

/// Checks the saved counts of all batches. Results change hands after each batch of `changes`, for the first time from the
/// old plugin to the new one. Returns the number of words.
///
/// # Errors
/// Returns an error that names the first batch that is missing, doubled, incomplete or of the wrong plugin.
pub fn check(out: &Path, batches: &[Batch], interval_ms: u64, changes: &[u64]) -> Result<u64, String> {
    for pair in batches.windows(2) {
        if pair[1].time_ms != pair[0].time_ms + interval_ms {
            return Err(format!("batch {} ms comes after batch {} ms", pair[1].time_ms, pair[0].time_ms));
        }
    }
    let entries = fs::read_dir(out).map_err(|error| format!("cannot read {}: {error}", out.display()))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let saved = names.filter(|name| name.starts_with("counts-")).count();
    if saved != batches.len() {
        return Err(format!("{saved} batches were saved, and {} were done", batches.len()));
    }
    let mut total = 0;
    for batch in batches {
        let time_ms = batch.time_ms;
        if batch.failures > 0 {
            return Err(format!("{} outputs of batch {time_ms} ms failed", batch.failures));
        }
        let is_new = changes.iter().filter(|after| **after < time_ms).count() % 2 == 1;
        let words = words(&out.join(format!("counts-{time_ms}.txt")), is_new)
            .map_err(|error| format!("batch {time_ms} ms: {error}"))?;
        if words != batch.records * WORDS_IN_LINE {
            return Err(format!("batch {time_ms} ms had {} lines, and {words} words were saved", batch.records));
        }
        total += words;
    }
    Ok(total)
}

/// The number of words in the saved counts of a batch. The new plugin saves words in lower case.
fn words(directory: &Path, is_new: bool) -> Result<u64, String> {
    let failed = |error: std::io::Error| format!("cannot read what was saved: {error}");
    let mut words = 0;
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("part-")) {
            continue;
        }
        for row in fs::read_to_string(&path).map_err(failed)?.lines() {
            let parts = row.trim_start_matches('(').trim_end_matches(')').split_once(',');
            let (word, count) = parts.ok_or_else(|| format!("{row} is no count"))?;
            let begin = if is_new { "word" } else { "Word" };
            if !word.starts_with(begin) {
                return Err(format!("{row} is of the wrong plugin"));
            }
            words += count.parse::<u64>().map_err(|_| format!("{row} has no count"))?;
        }
    }
    Ok(words)
}
