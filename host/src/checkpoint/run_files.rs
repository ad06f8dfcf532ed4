//! What the directory of a run holds besides checkpoints and snapshots: its plugin, and whether the run is on trial.
//!
//! Owns the pieces `plugin.wasm` and `trial`, and the removal of a run. A run is on trial from the time it joins a job
//! until it shows results. Nothing of such a run is needed after a restart.

use super::runs::names;
use crate::env::Store;
use std::io;

/// The plugin of the run.
const PLUGIN: &str = "plugin.wasm";
/// A piece without content, which is there as long as the run is on trial.
const TRIAL: &str = "trial";

fn directory(run: &str) -> String {
    format!("runs/{run}")
}

/// Records that a run is on trial.
///
/// # Errors
/// Returns the error of the storage.
pub fn begin_trial(store: &dyn Store, run: &str) -> io::Result<()> {
    store.put(&format!("{}/{TRIAL}", directory(run)), b"")
}

/// Records that a run is not on trial any more.
///
/// # Errors
/// Returns the error of the storage.
pub fn end_trial(store: &dyn Store, run: &str) -> io::Result<()> {
    absent(store.remove(&format!("{}/{TRIAL}", directory(run))))
}

/// Saves the plugin of a run.
///
/// # Errors
/// Returns the error of the storage.
pub fn save_plugin(store: &dyn Store, run: &str, plugin: &[u8]) -> io::Result<()> {
    store.put(&format!("{}/{PLUGIN}", directory(run)), plugin)
}

/// The saved plugin of a run, of at most `bytes_max` bytes. `None` if it was not saved.
///
/// # Errors
/// Returns the error of the storage.
pub fn saved_plugin(store: &dyn Store, run: &str, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    match store.read(&format!("{}/{PLUGIN}", directory(run)), bytes_max) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Removes all pieces of a run. No host may use the run.
///
/// # Errors
/// Returns the error of the storage.
pub fn remove_run(store: &dyn Store, run: &str) -> io::Result<()> {
    let directory = directory(run);
    store.remove_directory(&format!("{directory}/snapshots"))?;
    // A run that has pieces, but not this one, counts as begun. So this piece goes last.
    for piece in store.list(&directory)?.into_iter().filter(|piece| piece.name != TRIAL) {
        absent(store.remove(&format!("{directory}/{}", piece.name)))?;
    }
    store.remove_directory(&directory)
}

/// Removes the runs that were on trial when their host ended, and the runs that have no pieces, except the run `owner`.
///
/// # Errors
/// Returns the error of the storage.
pub fn remove_trials(store: &dyn Store, owner: &str) -> io::Result<()> {
    let runs = names(store).map_err(|error| error.error)?;
    for run in runs.iter().filter(|run| *run != owner) {
        let directory = directory(run);
        let pieces = store.list(&directory)?;
        let is_on_trial = pieces.iter().any(|piece| piece.name == TRIAL);
        // The host was killed while it wrote the first piece, or removed the last one.
        let has_nothing = || Ok::<_, io::Error>(pieces.is_empty() && store.directories(&directory)?.is_empty());
        if is_on_trial || has_nothing()? {
            remove_run(store, run)?;
        }
    }
    Ok(())
}

fn absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{DiskStore, Simulation};
    use crate::time::Time;

    #[test]
    fn a_run_on_trial_is_removed_at_the_next_start() {
        let simulation = Simulation::new(1, Time::default());
        let store = DiskStore::new(simulation.env().disk, "/checkpoint".into());
        for run in ["a-1", "b-1", "c-1"] {
            save_plugin(&store, run, b"code").unwrap();
            store.put(&format!("runs/{run}/snapshots/1-2"), b"state").unwrap();
            begin_trial(&store, run).unwrap();
        }
        end_trial(&store, "b-1").unwrap();
        end_trial(&store, "b-1").unwrap();
        remove_trials(&store, "c-1").unwrap();
        let left = |run: &str| saved_plugin(&store, run, 100).unwrap();
        assert_eq!(["a-1", "b-1", "c-1"].map(left), [None, Some(b"code".to_vec()), Some(b"code".to_vec())]);
        assert!(store.list("runs/a-1/snapshots").unwrap().is_empty());
    }

    /// Wherever the host is killed in a write, nothing of the run is left after the next start.
    #[test]
    fn what_unfinished_writes_of_a_run_have_left_is_removed() {
        for unfinished in ["runs/a-1/.new-trial", "runs/a-1/.new-plugin.wasm", "runs/a-1/snapshots/.new-1-2"] {
            let simulation = Simulation::new(1, Time::default());
            let store = DiskStore::new(simulation.env().disk, "/checkpoint".into());
            if !unfinished.ends_with("trial") {
                begin_trial(&store, "a-1").unwrap();
            }
            simulation.file(format!("/checkpoint/{unfinished}"), "half");
            save_plugin(&store, "c-1", b"code").unwrap();
            remove_trials(&store, "c-1").unwrap();
            assert_eq!(names(&store).unwrap(), ["c-1"], "{unfinished}");
        }
    }
}
