//! The reader of the saved batches: takes each batch, removes it, and checks what the batches say.

use crate::load::Total;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The number of batches of the window, as in the plugin.
const WINDOW_BATCHES: u64 = 10;

/// The totals of the states, for keys that all have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// The records of the socket.
    pub lines: Total,
    /// The records of files.
    pub files: Total,
    /// The records that were sent over HTTP.
    pub posts: Total,
}

/// What a batch saved.
#[derive(Default)]
struct Batch {
    lines: Total,
    in_window: u64,
    totals: Option<Totals>,
}

/// The saved batches.
pub struct Results {
    out: PathBuf,
    interval_ms: u64,
    batches: BTreeMap<u64, Batch>,
}

impl Results {
    /// The batches that are saved in a directory, one each `interval_ms`.
    pub fn of(out: &Path, interval_ms: u64) -> Self {
        Self { out: out.to_owned(), interval_ms, batches: BTreeMap::new() }
    }

    /// Takes the batches that were saved since the last time, and removes them. A batch appears under its name when it is
    /// complete. A batch that was saved again replaces what it was.
    ///
    /// # Errors
    /// Returns an error if a batch cannot be read.
    pub fn take(&mut self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("cannot read what was saved: {error}");
        for entry in fs::read_dir(&self.out).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some((output, time)) = name.strip_suffix(".txt").and_then(|name| name.split_once('-')) else {
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            let time_ms = time.parse().map_err(|_| format!("{name} has no time"))?;
            let rows = rows(&entry.path())?;
            let batch = self.batches.entry(time_ms).or_default();
            match output {
                "counts" => {
                    let of = |kind: u64| rows.iter().find(|row| row.first() == Some(&kind));
                    batch.lines = of(0).map_or((0, 0), |row| (row[1], row[2]));
                    batch.in_window = of(1).map_or(0, |row| row[1]);
                }
                _ => {
                    batch.totals = rows.first().map(|row| totals(row)).transpose()?;
                }
            }
            fs::remove_dir_all(entry.path()).map_err(failed)?;
        }
        Ok(())
    }

    /// The records of the socket in all batches.
    pub fn lines(&self) -> Total {
        let add = |so_far: Total, batch: &Batch| (so_far.0 + batch.lines.0, so_far.1 + batch.lines.1);
        self.batches.values().fold((0, 0), add)
    }

    /// The totals of the states after the last batch. `None` if the last batch has none yet.
    pub fn totals(&self) -> Option<Totals> {
        self.batches.values().next_back()?.totals
    }

    /// Checks that each batch is there, and that each window holds the records of its batches.
    ///
    /// # Errors
    /// Returns an error that names the first batch that is missing or wrong.
    pub fn check_windows(&self) -> Result<(), String> {
        let times: Vec<u64> = self.batches.keys().copied().collect();
        if let Some(pair) = times.windows(2).find(|pair| pair[1] != pair[0] + self.interval_ms) {
            return Err(format!("batch {} ms comes after batch {} ms", pair[1], pair[0]));
        }
        for (time, batch) in &self.batches {
            let first = time.saturating_sub((WINDOW_BATCHES - 1) * self.interval_ms);
            let wanted: u64 = self.batches.range(first..=*time).map(|(_, batch)| batch.lines.0).sum();
            if batch.in_window != wanted {
                return Err(format!("the window of batch {time} ms has {} records of {wanted}", batch.in_window));
            }
        }
        Ok(())
    }
}

fn totals(row: &[u64]) -> Result<Totals, String> {
    match row {
        [lines, of_lines, files, of_files, posts, of_posts] => {
            Ok(Totals { lines: (*lines, *of_lines), files: (*files, *of_files), posts: (*posts, *of_posts) })
        }
        _ => Err(format!("{row:?} is not six totals")),
    }
}

/// The rows of a saved batch, each with its numbers.
fn rows(directory: &Path) -> Result<Vec<Vec<u64>>, String> {
    let failed = |error: std::io::Error| format!("cannot read what was saved: {error}");
    let mut rows = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("part-")) {
            continue;
        }
        for line in fs::read_to_string(&path).map_err(failed)?.lines() {
            let numbers = line.trim_matches(['(', ')']).split(',').map(str::parse).collect::<Result<Vec<u64>, _>>();
            rows.push(numbers.ok().filter(|row| row.len() >= 3).ok_or_else(|| format!("{line} is no row"))?);
        }
    }
    Ok(rows)
}
