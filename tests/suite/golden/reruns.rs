//! The files of a golden job whose batches add to files that they find: `rerun adds-up`.
//!
//! Owns the expected files of such a job after a crash. A driver function reads a file and writes the next state into
//! the same file. If a batch runs again, the function counts the batch again. `docs/checkpoints.md` says so, and the
//! host cannot notice this. The files then have to be those of a run without a crash over the batches that really ran,
//! in that order. The output of such a job must not depend on batch times, because these differ in that run.

use super::file::GoldenFile;
use super::matrix;
use crate::support::simulated::Outcome;
use std::collections::{BTreeMap, BTreeSet};

/// The most runs of batches that may have been followed by another run of the same batch. All choices among them are
/// tried.
const EARLIER_RUNS_MAX: usize = 6;

/// Requires that the batches that ran explain the files. The last run of each batch counts. Earlier runs may have been
/// cut off by a crash, or may have lost their files in the crash, so any choice of them may count.
///
/// # Panics
/// If no choice explains the files.
pub fn require_explained(file: &GoldenFile, outcome: &Outcome, what: &str) {
    let runs = runs(outcome);
    let is_last = |at: usize| !runs[at + 1..].contains(&runs[at]);
    let earlier: Vec<usize> = (0..runs.len()).filter(|at| !is_last(*at)).collect();
    assert!(earlier.len() <= EARLIER_RUNS_MAX, "{what}: {runs:?}");
    let is_explained = |choice: &u32| {
        let chosen: BTreeSet<usize> =
            earlier.iter().enumerate().filter(|(bit, _)| choice >> bit & 1 == 1).map(|(_, at)| *at).collect();
        let counted = (0..runs.len()).filter(|at| is_last(*at) || chosen.contains(at));
        let batches = counted.map(|at| file.batches.get(runs[at]).cloned().unwrap_or_else(|| "[]".to_owned()));
        let model = matrix::job(file, &batches.collect::<Vec<_>>()).run();
        assert_eq!(model.result, Ok(()), "{what}");
        lacks(&outcome.bytes, &model.bytes).is_some_and(|files| files <= chosen.len())
    };
    let explained = (0..1u32 << earlier.len()).any(|choice| is_explained(&choice));
    assert!(explained, "{what}: no choice among the runs {runs:?} explains {:?}", outcome.saved);
}

/// The batches in the order in which they ran, each as its number from 0. A batch that ran twice appears twice.
fn runs(outcome: &Outcome) -> Vec<usize> {
    let started = outcome.log.iter().filter_map(|line| line.split_once(" BatchStarted "));
    let times: Vec<&str> = started.map(|(_, time)| time).collect();
    // All times have the same number of digits.
    let numbers: BTreeSet<&str> = times.iter().copied().collect();
    times.iter().map(|time| numbers.iter().take_while(|number| *number < time).count()).collect()
}

/// The number of files of the model that are missing because a run of a batch was cut off. `None` if there is a file
/// that the model does not have, or a file with other bytes. A file that was being written keeps its temporary hidden
/// name.
fn lacks(files: &BTreeMap<String, Vec<u8>>, model: &BTreeMap<String, Vec<u8>>) -> Option<usize> {
    let is_hidden = |path: &str| path.rsplit('/').next().is_some_and(|name| name.starts_with(".millstream-"));
    let files: Vec<_> = files.iter().filter(|(path, _)| !is_hidden(path)).collect();
    let is_in_model = files.iter().all(|(path, bytes)| model.get(*path) == Some(bytes));
    is_in_model.then(|| model.len().saturating_sub(files.len()))
}
