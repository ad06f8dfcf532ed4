//! The paths that no grant reaches, however the grant is written: a pure decision about paths without links.
//!
//! Owns the rule for hidden names, and for the files and directories that a job withholds from its plugin. Compares
//! names only: a hard link, or a directory that is mounted twice, gives a file another name, which this module does not
//! know. Never reads a file.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::error::Refusal;
use crate::config::Access;
use crate::env::Disk;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// The most links that are followed on the way to one path.
const LINKS_MAX: usize = 40;

/// A file or directory that a job withholds from its plugin, with everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// What is withheld, for messages: `the job file`.
    pub what: String,
    /// The withheld path. Names in the path may be patterns of `*`, `?` and `[a-z]`.
    pub path: PathBuf,
    /// The access that is withheld: [`Access::Read`] if the path can be neither read nor written, [`Access::Write`] if
    /// the path can be read and not written.
    pub from: Access,
}

/// Where a path of a plugin leads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    /// The granted directory. The path is below it, or the directory itself.
    pub(super) root: &'a Path,
    /// The path.
    pub(super) path: &'a Path,
    /// The access that is requested.
    pub(super) access: Access,
    /// Whether longer names that begin with the last name are meant as well: outputs append the time of a batch.
    pub(super) goes_on: bool,
}

/// Why a path is refused; `None` if the path is allowed. Neither the path nor the withheld paths have links.
pub(super) fn refusal(target: &Target<'_>, withheld: &[Withheld]) -> Option<Refusal> {
    let below = target.path.strip_prefix(target.root).unwrap_or(target.path);
    if let Some(name) = names(below).find(|name| is_hidden(name)) {
        return Some(Refusal::Hidden(name));
    }
    withheld.iter().filter(|withheld| withheld.from <= target.access).find_map(|withheld| {
        let (theirs, ours): (Vec<String>, Vec<String>) =
            (names(&withheld.path).collect(), names(target.path).collect());
        // `**` matches any number of names: it withholds everything below the names before it.
        let theirs: Vec<String> = theirs.into_iter().take_while(|name| name != "**").collect();
        let last = ours.len().saturating_sub(1);
        let is_same =
            |(at, (theirs, ours)): (usize, (&String, &String))| may_match(theirs, ours, target.goes_on && at == last);
        if !theirs.iter().zip(&ours).enumerate().all(is_same) {
            None
        } else if ours.len() >= theirs.len() {
            Some(Refusal::Withheld(withheld.what.clone()))
        } else {
            // Reading a directory gives its files, and each file is checked. Writing replaces the whole directory.
            (target.access == Access::Write).then(|| Refusal::Above(withheld.what.clone()))
        }
    })
}

/// The hidden name because of which the directory `root` must not be granted; `None` if it may be granted. `written` is
/// the granted directory as the job file names it, and `job` is the directory of the job file. `root` and `job` have no
/// links.
///
/// The directories above the job file may be hidden. Other directories on the path may be hidden if the job file spells
/// their names in an absolute path. The granted directory itself must not be hidden, and neither must a directory
/// between the job file and the granted directory.
pub(super) fn hidden_in_root(job: &Path, root: &Path, written: &Path) -> Option<String> {
    let (job_names, root_names): (Vec<String>, Vec<String>) = (names(job).collect(), names(root).collect());
    let shared = job_names.iter().zip(&root_names).take_while(|(a, b)| a == b).count();
    let own = root_names.get(shared..).unwrap_or_default();
    let is_spelt = |name: &String| written.is_absolute() && names(written).any(|written| written == *name);
    let is_below_job = shared == job_names.len();
    let is_last = |at: usize| at.saturating_add(1) == own.len();
    let mut hidden = own.iter().enumerate().filter(|(_, name)| is_hidden(name));
    hidden.find(|(at, name)| is_below_job || is_last(*at) || !is_spelt(name)).map(|(_, name)| name.clone())
}

/// A path with links followed as far as the path exists. In the part that does not exist, `.` and `..` are resolved by
/// name.
pub(super) fn without_links(disk: &dyn Disk, path: &Path) -> PathBuf {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    for above in path.ancestors() {
        let there = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        if let Ok(mut found) = disk.canonicalize(there) {
            for component in path.strip_prefix(above).unwrap_or(path).components() {
                match component {
                    Component::ParentDir => drop(found.pop()),
                    Component::Normal(name) => found.push(name),
                    Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
                }
            }
            return found;
        }
    }
    path.to_path_buf()
}

/// The paths of the links on the way to a path, each with the part of the path after the link. A program that replaces
/// one of these links decides where the path leads. The links themselves are named by paths without links.
pub(super) fn through_links(disk: &dyn Disk, path: &Path) -> Vec<PathBuf> {
    let (mut found, mut links) = (without_links(disk, Path::new(".")), Vec::new());
    let owned = |path: &Path| path.components().map(|component| component.as_os_str().to_owned()).collect::<Vec<_>>();
    let mut ahead: VecDeque<OsString> = owned(path).into();
    while let Some(name) = ahead.pop_front() {
        match Path::new(&name).components().next() {
            Some(Component::ParentDir) => drop(found.pop()),
            Some(Component::RootDir) => found = PathBuf::from("/"),
            Some(Component::Normal(_)) => {
                let place = found.join(&name);
                // The system follows no more links than this limit either.
                match disk.link(&place).filter(|_| links.len() < LINKS_MAX) {
                    Some(target) => {
                        links.push(ahead.iter().fold(place, |path, name| path.join(name)));
                        owned(&target).into_iter().rev().for_each(|name| ahead.push_front(name));
                    }
                    None => found = place,
                }
            }
            Some(Component::CurDir | Component::Prefix(_)) | None => {}
        }
    }
    links
}

fn names(path: &Path) -> impl Iterator<Item = String> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    })
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

/// Whether a pattern can match `name`; with `goes_on`, whether the pattern can match a name that begins with `name`.
/// Returns `true` in doubt.
fn may_match(pattern: &str, name: &str, goes_on: bool) -> bool {
    let is_special = |c: char| "*?[]".contains(c);
    let begins = |start: &str| {
        if goes_on { name.starts_with(start) || start.starts_with(name) } else { name.starts_with(start) }
    };
    match (pattern.split(is_special).next(), pattern.rsplit(is_special).next()) {
        (Some(start), Some(end)) if pattern.contains(is_special) => {
            let is_literal = name == pattern;
            is_literal || begins(start) && (goes_on || name.ends_with(end))
        }
        _ if goes_on => pattern.starts_with(name),
        _ => pattern == name,
    }
}

#[cfg(test)]
mod tests;
