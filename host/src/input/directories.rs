//! Finds the directories that a path or a pattern matches.
//!
//! Owns the syntax of patterns: `*`, `?` and `[a-z]` as in a shell, and `**` for a directory and all directories below
//! it. A directory whose name is literally the pattern is found too.

use super::error::TextFilesError;
use super::selection::is_hidden;
use crate::env::{DirectoryEntry, Env, FileId};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// The pattern of a directory and all directories below it.
const ANY_DEPTH: &str = "**";

/// Whether a path contains a pattern, so that it may match several directories.
pub(super) fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

/// The entries of a directory. Empty if the directory cannot be listed, for example because it matched a moment ago and
/// is gone now.
pub(super) fn list(env: &Env, directory: &Path) -> Vec<DirectoryEntry> {
    let listed = env.disk.list(if directory.as_os_str().is_empty() { Path::new(".") } else { directory });
    listed.unwrap_or_default()
}

/// The directories that a path or a pattern matches now, each of them once.
pub(super) fn directories(env: &Env, path: &Path) -> Result<Vec<PathBuf>, TextFilesError> {
    if !is_pattern(path) {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = vec![PathBuf::new()];
    let mut is_looked_up = false;
    for component in path.components() {
        let name = component.as_os_str().to_string_lossy();
        if !matches!(component, Component::Normal(_)) || !is_pattern(Path::new(component.as_os_str())) {
            found.iter_mut().for_each(|directory| directory.push(component));
            let is_directory = |path: &PathBuf| env.disk.entry(path).is_ok_and(|entry| entry.is_directory);
            found.retain(|directory| !is_looked_up || is_directory(directory));
            continue;
        }
        is_looked_up = true;
        if name == ANY_DEPTH {
            found = found.iter().flat_map(|directory| all_below(env, directory)).collect();
        } else {
            found = matching(env, &found, &name)?;
        }
    }
    let mut seen = BTreeSet::new();
    found.iter_mut().filter(|directory| directory.as_os_str().is_empty()).for_each(|top| top.push("."));
    found.retain(|directory| seen.insert(directory.clone()));
    Ok(found)
}

/// The directories in any of `above` whose names match the pattern `name`, or are equal to it.
fn matching(env: &Env, above: &[PathBuf], name: &str) -> Result<Vec<PathBuf>, TextFilesError> {
    let pattern = glob::Pattern::new(name);
    // As in a shell, a pattern matches a hidden name only if the pattern itself begins with a dot.
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
    let is_found = |entry: &DirectoryEntry| {
        let matches = pattern.as_ref().is_ok_and(|pattern| pattern.matches_with(&entry.name, options));
        entry.is_directory && (matches || entry.name == name)
    };
    let mut found = Vec::new();
    for directory in above {
        let entries = list(env, directory).into_iter().filter(is_found);
        found.extend(entries.filter_map(|entry| Some(directory.join(entry.path.file_name()?))));
    }
    match pattern {
        Err(error) if found.is_empty() => {
            Err(TextFilesError::Pattern { pattern: name.to_owned(), problem: error.msg.to_owned() })
        }
        _ => Ok(found),
    }
}

/// A directory and all directories below it, except hidden ones. Links are followed. A directory that leads back to one
/// of its parents is not entered again.
fn all_below(env: &Env, top: &Path) -> Vec<PathBuf> {
    let mut seen: BTreeSet<FileId> = env.disk.entry(top).iter().map(|entry| entry.id).collect();
    let (mut found, mut waiting) = (Vec::new(), vec![top.to_owned()]);
    while let Some(directory) = waiting.pop() {
        let entries = list(env, &directory).into_iter().filter(|entry| entry.is_directory && !is_hidden(&entry.name));
        let below: Vec<PathBuf> = entries
            .filter(|entry| seen.insert(entry.id))
            .filter_map(|entry| Some(directory.join(entry.path.file_name()?)))
            .collect();
        waiting.extend(below.into_iter().rev());
        found.push(directory);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{RealExecutors, Simulation, real};
    use crate::time::Time;

    fn found(env: &Env, pattern: &str) -> Vec<String> {
        let found = directories(env, Path::new(pattern)).unwrap();
        found.into_iter().map(|path| path.display().to_string()).collect()
    }

    fn world(paths: &[&str]) -> Env {
        let simulation = Simulation::new(0, Time::from_ms(1_000_000));
        paths.iter().for_each(|path| simulation.file(*path, "x"));
        simulation.env()
    }

    /// S2.13
    #[test]
    fn a_pattern_stands_for_directories() {
        let env = world(&["/logs/2016/a", "/logs/2017/b", "/logs/2017/deep/c", "/logs/file", "/other/d", "/logs/.x/e"]);
        assert_eq!(found(&env, "/logs/*"), ["/logs/2016", "/logs/2017"]);
        assert_eq!(found(&env, "/*/201[78]"), ["/logs/2017"]);
        assert_eq!(found(&env, "/logs/2017"), ["/logs/2017"]);
        assert!(directories(&env, Path::new("/logs/[")).is_err());
        assert!(directories(&env, Path::new("/logs/20**")).is_err());
    }

    #[test]
    fn two_stars_stand_for_all_that_is_below() {
        let env =
            world(&["/logs/2016/a", "/logs/2017/b", "/logs/2017/01/c", "/logs/.git/d", "/logs/_tmp/e", "/other/f"]);
        assert_eq!(found(&env, "/logs/**"), ["/logs", "/logs/2016", "/logs/2017", "/logs/2017/01"]);
        assert_eq!(found(&env, "/**/01"), ["/logs/2017/01"]);
        assert_eq!(found(&env, "/logs/**/**"), found(&env, "/logs/**"));
    }

    #[test]
    fn a_directory_whose_name_is_the_pattern_is_found() {
        let env = world(&["/jobs[1]/in/a", "/jobs1/in/b", "/what?/c", "/open[/d"]);
        assert_eq!(found(&env, "/jobs[1]/in"), ["/jobs1/in", "/jobs[1]/in"]);
        assert_eq!(found(&env, "/what?"), ["/what?"]);
        assert_eq!(found(&env, "/open["), ["/open["]);
    }

    #[test]
    fn a_link_that_leads_back_is_not_followed_for_ever() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a/b")).unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("a/b/back")).unwrap();
        let env = real(&RealExecutors::start(1).unwrap());
        let pattern = format!("{}/**", root.path().display());
        let depths: Vec<usize> =
            found(&env, &pattern).iter().map(|path| Path::new(path).components().count()).collect();
        let top = root.path().components().count();
        assert_eq!(depths, [top, top + 1, top + 2]);
    }
}
