//! Paths that plugin code names, resolved below the directories that the job grants.
//!
//! Owns [`Grants`] and [`GrantedPath`]: the form of a path from a plugin, the check that no link leads out of a granted
//! directory, and the check that no grant reaches a withheld path. Never reads or writes a file. Makes only granted
//! directories and directories below them. A plugin has no other way to a path, so a plugin cannot change a link
//! between a check and the use that follows.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod error;
mod topics;
mod withheld;

pub use error::{GrantError, Refusal};
pub use topics::{GrantedTopic, TopicError, granted_topic};
pub use withheld::Withheld;

use crate::config::Access;
use crate::env::Disk;
use crate::shown::{Shown as _, escape_control};
use error::shown;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use withheld::{Target, hidden_in_root, refusal, through_links, without_links};

/// The longest name of a file or directory, in bytes: the limit of most file systems.
pub const COMPONENT_BYTES_MAX: usize = 255;
/// The longest path below a granted directory, in bytes. Directory and path together have to fit into 4096 bytes.
const PATH_BYTES_MAX: usize = 1024;
/// The name of the granted directory that paths without a name are below.
pub const OUT: &str = "out";
/// The prefix of names that the host gives to its own files. Plugins cannot use such names.
pub const RESERVED_PREFIX: &str = ".millstream-";

/// What a job grants to its plugin: the directories and object stores that the job file names, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// The directory of the job file.
    job: PathBuf,
    named: BTreeMap<String, GrantedDirectory>,
    /// The prefixes of object stores.
    objects: BTreeMap<String, String>,
    /// The paths that no grant reaches.
    withheld: Arc<[Withheld]>,
}

/// A directory or an object store that a job grants, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name by which the plugin calls the place.
    pub name: String,
    /// The location of the place.
    pub place: String,
    /// Whether the plugin may read there.
    pub reads: bool,
    /// Whether the plugin may write there.
    pub writes: bool,
    /// Whether the job file is below the directory, and with it everything that is built and run beside the job file.
    pub holds_job: bool,
}

/// A directory that a job grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedDirectory {
    /// The path of the directory as the job file names it, relative to the current directory.
    pub path: PathBuf,
    /// What the plugin may do below the directory.
    pub access: Access,
}

/// The place that a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantedPlace {
    /// A file or directory.
    Disk(GrantedPath),
    /// Objects of an object store with a common prefix: the URL of the directory, and the beginning of the last name.
    Objects(String, String),
}

/// A path below a granted directory. It may not exist yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedPath {
    text: String,
    /// The directory of the job file.
    job: PathBuf,
    root: PathBuf,
    directories: Vec<String>,
    name: String,
    access: Access,
    /// Whether longer names that begin with the last name are meant as well.
    goes_on: bool,
    withheld: Arc<[Withheld]>,
}

/// The way to a path: the granted directory, the last directory on the way that exists, both without links, and the
/// names of the directories after it that do not exist. The granted directory itself may be among these.
struct Way {
    root: PathBuf,
    found: PathBuf,
    missing: Vec<String>,
}

impl Grants {
    /// Grants directories, by name, to the plugin of a job file in the directory `job`.
    pub fn new(job: PathBuf, named: BTreeMap<String, GrantedDirectory>) -> Self {
        // Collecting the components leaves out `.` inside of a path, which would only make messages longer.
        let here = |path: PathBuf| {
            if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.components().collect() }
        };
        let named = named
            .into_iter()
            .map(|(name, GrantedDirectory { path, access })| (name, GrantedDirectory { path: here(path), access }));
        Self { job: here(job), named: named.collect(), objects: BTreeMap::new(), withheld: [].into() }
    }

    /// Grants only writing below `path`, which is called `out` and holds the job file.
    pub fn writing(path: impl Into<PathBuf>) -> Self {
        let path: PathBuf = path.into();
        let out = GrantedDirectory { path: path.clone(), access: Access::Write };
        Self::new(path, BTreeMap::from([(OUT.to_owned(), out)]))
    }

    /// Also grants prefixes of object stores, by name.
    pub fn with_objects(self, objects: BTreeMap<String, String>) -> Self {
        Self { objects, ..self }
    }

    /// The directories that are granted by name and can be written to.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        let writable = self.named.values().filter(|granted| granted.access == Access::Write);
        writable.map(|granted| granted.path.as_path())
    }

    /// Sets the paths that no grant shall reach.
    pub fn withholding(self, withheld: Vec<Withheld>) -> Self {
        Self { withheld: withheld.into(), ..self }
    }

    /// Checks the granted directories themselves. A directory that does not exist is checked when it is used.
    ///
    /// # Errors
    /// Returns an error for the first directory that must not be granted.
    pub fn check(&self, disk: &dyn Disk) -> Result<(), GrantError> {
        let job = without_links(disk, &self.job);
        self.named.values().try_for_each(|granted| {
            let root = without_links(disk, &granted.path);
            match hidden_in_root(&job, &root, &granted.path) {
                None => Ok(()),
                Some(name) => Err(GrantError::HiddenRoot { root, name }),
            }
        })
    }

    /// The granted directories and object stores, by name, for people: their places, whether they can be read and
    /// written, and whether the job file is below them.
    pub fn listed(&self, disk: &dyn Disk) -> Vec<Listed> {
        let job = without_links(disk, &self.job);
        let withheld = all_ways(disk, &self.withheld);
        let directories = self.named.iter().map(|(name, granted)| {
            let root = without_links(disk, &granted.path);
            // The place stands for a file of any name in the directory.
            let path = root.join("-");
            let reaches = |access| {
                granted.access >= access
                    && refusal(&Target { root: &root, path: &path, access, goes_on: false }, &withheld).is_none()
            };
            Listed {
                name: name.clone(),
                place: granted.path.shown().into_owned(),
                reads: reaches(Access::Read),
                writes: reaches(Access::Write),
                holds_job: job.starts_with(&root),
            }
        });
        let objects = self.objects.iter().map(|(name, url)| Listed {
            name: name.clone(),
            place: url.clone(),
            reads: false,
            writes: true,
            holds_job: false,
        });
        let mut listed: Vec<Listed> = directories.chain(objects).collect();
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        listed
    }

    /// As [`Grants::resolve`], for an output, which appends the time of a batch and may also be in an object store.
    ///
    /// # Errors
    /// Returns an error if the text is no valid path, or if the directory or store is not granted.
    pub fn resolve_place(&self, text: &str) -> Result<GrantedPlace, GrantError> {
        check_characters("path", text)?;
        let (name, path) = text.split_once(':').unwrap_or((OUT, text));
        let Some(url) = self.objects.get(name) else {
            let path = self.resolve(text, Access::Write)?;
            return Ok(GrantedPlace::Disk(GrantedPath { goes_on: true, ..path }));
        };
        check_path(text, path)?;
        let (directories, name) = path.rsplit_once('/').unwrap_or(("", path));
        let url = if directories.is_empty() { url.clone() } else { format!("{url}/{directories}") };
        Ok(GrantedPlace::Objects(url, name.to_owned()))
    }

    /// The path that a plugin calls `text`: `name:a/b` below a directory, or `a/b` below the one called `out`.
    ///
    /// # Errors
    /// Returns an error if the text is no valid path, or if the directory is not granted. The disk is not read.
    pub fn resolve(&self, text: &str, access: Access) -> Result<GrantedPath, GrantError> {
        check_characters("path", text)?;
        let (name, path) = text.split_once(':').unwrap_or((OUT, text));
        let Some(granted) = self.named.get(name) else {
            // A text that is no valid path below any directory is reported first.
            if !text.contains(':') {
                check_path(text, path)?;
            }
            return Err(self.unknown(text, name));
        };
        check_path(text, path)?;
        if access > granted.access {
            return Err(GrantError::ReadOnly { path: text.to_owned(), name: name.to_owned() });
        }
        let mut directories: Vec<String> = path.split('/').map(str::to_owned).collect();
        let name = directories.pop().unwrap_or_default();
        let (job, root) = (self.job.clone(), granted.path.clone());
        let withheld = self.withheld.clone();
        Ok(GrantedPath { text: shown(text), job, root, directories, name, access, goes_on: false, withheld })
    }

    fn unknown(&self, text: &str, name: &str) -> GrantError {
        let (path, name) = (text.to_owned(), name.to_owned());
        let granted = self.named.keys().chain(self.objects.keys()).cloned().collect();
        if self.objects.contains_key(&name) {
            GrantError::Objects { path, name }
        } else if text.contains(':') {
            GrantError::Unknown { path, name, granted }
        } else {
            GrantError::NoOut { path, granted }
        }
    }
}

/// Checks a suffix: a part of a name, such as the part after its last dot.
///
/// # Errors
/// Returns an error if the name has characters that no name may have.
pub fn check_suffix(text: &str) -> Result<(), GrantError> {
    check_characters("suffix", text)?;
    if text.contains(['/', ':']) {
        return Err(fault("suffix", text, "has a `/` or `:`", "use a plain word, such as `txt`"));
    }
    Ok(())
}

fn fault(what: &'static str, text: &str, fault: &'static str, help: &'static str) -> GrantError {
    GrantError::Text { what, text: text.to_owned(), fault, help }
}

fn check_characters(what: &'static str, text: &str) -> Result<(), GrantError> {
    if text.chars().any(char::is_control) || matches!(escape_control(text), std::borrow::Cow::Owned(_)) {
        return Err(fault(what, text, "has control characters", "use printable characters"));
    }
    if text.contains('\\') {
        return Err(fault(what, text, "has a backslash", "separate directories by `/`"));
    }
    Ok(())
}

/// Checks `path`, the part of `text` after the directory's name, if the text names a directory.
fn check_path(text: &str, path: &str) -> Result<(), GrantError> {
    const RELATIVE: &str = "name it relative to a directory that job.directories grants: `path` below the one called `out`, \
                            `name:path` below another";
    const PLAIN: &str = "name a file or directories and a file, as in `today/counts`";
    if path.is_empty() {
        return Err(fault("path", text, "is empty", PLAIN));
    }
    if path.starts_with('/') {
        return Err(fault("path", text, "is absolute", RELATIVE));
    }
    if path.contains(':') {
        return Err(fault("path", text, "has a second `:`", RELATIVE));
    }
    if path.len() > PATH_BYTES_MAX {
        return Err(fault("path", text, "is longer than 1024 bytes", "use shorter names"));
    }
    for component in path.split('/') {
        let problem = match component {
            "" => "has an empty name between or behind its `/`",
            "." | ".." => "has a name `.` or `..`",
            hidden if hidden.starts_with('.') => "has a name that begins with `.`, which is hidden",
            long if long.len() > COMPONENT_BYTES_MAX => "has a name of more than 255 bytes",
            _ => continue,
        };
        return Err(fault("path", text, problem, PLAIN));
    }
    Ok(())
}

impl GrantedPath {
    /// The last name of the path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path in the form in which the author of the job file would write it. Links on the way are not followed.
    pub fn path(&self) -> PathBuf {
        let root = self.root.strip_prefix(".").unwrap_or(&self.root);
        self.directories.iter().fold(root.to_path_buf(), |path, name| path.join(name)).join(&self.name)
    }

    /// The parent directory of the path, without links. Makes the parent if it does not exist, and the directories
    /// above it down from the granted directory. Makes the granted directory itself if its own parent exists.
    ///
    /// # Errors
    /// Returns an error if a link leads out of the granted directory, if the path leads to a withheld place, or if a
    /// directory cannot be made.
    pub fn make_parent(&self, disk: &dyn Disk) -> Result<PathBuf, GrantError> {
        let Way { found: mut parent, missing, .. } = self.find_parent(disk)?;
        for name in missing {
            let next = parent.join(name);
            let cannot = |error| GrantError::Directory { action: "make", directory: next.clone(), error };
            disk.create_directory(&next).map_err(cannot)?;
            disk.sync_directory(&parent).map_err(cannot)?;
            parent = next;
        }
        // Another program may have put something at the path meanwhile.
        let Way { found, missing, .. } = self.find_parent(disk)?;
        if found == parent && missing.is_empty() {
            check_writable(disk, &parent)?;
            return Ok(parent);
        }
        let error = io::Error::other("it changes while it is being made");
        Err(GrantError::Directory { action: "make", directory: parent, error })
    }

    /// The path without links. `None` if nothing exists at the path.
    ///
    /// # Errors
    /// Returns an error if a link leads out of the granted directory, or if the path leads to a withheld place.
    pub fn find(&self, disk: &dyn Disk) -> Result<Option<PathBuf>, GrantError> {
        let Way { root, found, missing } = self.find_parent(disk)?;
        if !missing.is_empty() {
            return Ok(None);
        }
        let link = found.join(&self.name);
        match disk.canonicalize(&link) {
            Ok(target) if target.starts_with(&root) => {
                self.check_reached(disk, &root, &target)?;
                Ok(Some(target))
            }
            Ok(target) => Err(GrantError::LeadsOut { path: self.text.clone(), root, link, target }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(GrantError::Directory { action: "find", directory: link, error }),
        }
    }

    /// Whether the plugin may use `file`, which is in the directory that the path leads to. `file` has no links.
    pub fn reaches(&self, disk: &dyn Disk, file: &Path) -> bool {
        let root = without_links(disk, &self.root);
        file.starts_with(&root) && self.check_reached(disk, &root, file).is_ok()
    }

    /// Checks the parent directory without making anything: that the existing directories on the way are below the
    /// granted directory, that the last of them can be written to, and that the path does not lead to a withheld place.
    ///
    /// # Errors
    /// Returns an error if [`GrantedPath::make_parent`] would fail.
    pub fn check_parent(&self, disk: &dyn Disk) -> Result<(), GrantError> {
        self.find_parent(disk).and_then(|way| check_writable(disk, &way.found))
    }

    /// The way to the parent directory of the path, if the path does not lead to a withheld place.
    fn find_parent(&self, disk: &dyn Disk) -> Result<Way, GrantError> {
        let mut way = self.find_root(disk)?;
        for name in &self.directories {
            if !way.missing.is_empty() {
                way.missing.push(name.clone());
                continue;
            }
            let link = way.found.join(name);
            match disk.canonicalize(&link) {
                Ok(target) if target.starts_with(&way.root) => way.found = target,
                Ok(target) => {
                    return Err(GrantError::LeadsOut { path: self.text.clone(), root: way.root, link, target });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => way.missing.push(name.clone()),
                Err(error) => return Err(GrantError::Directory { action: "find", directory: link, error }),
            }
        }
        let parent = way.missing.iter().fold(way.found.clone(), |path, name| path.join(name));
        self.check_reached(disk, &way.root, &parent.join(&self.name))?;
        Ok(way)
    }

    /// The way to the granted directory itself.
    fn find_root(&self, disk: &dyn Disk) -> Result<Way, GrantError> {
        let cannot = |error| GrantError::Directory { action: "find", directory: self.root.clone(), error };
        let way = match disk.canonicalize(&self.root) {
            Ok(root) => Way { found: root.clone(), root, missing: Vec::new() },
            Err(error) => {
                let above =
                    self.root.parent().map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above });
                let is_missing = error.kind() == io::ErrorKind::NotFound && self.access == Access::Write;
                let (Some(above), Some(name), true) = (above, self.root.file_name(), is_missing) else {
                    return Err(cannot(error));
                };
                let Ok(found) = disk.canonicalize(above) else { return Err(cannot(error)) };
                Way { root: found.join(name), found, missing: vec![name.to_string_lossy().into_owned()] }
            }
        };
        match hidden_in_root(&without_links(disk, &self.job), &way.root, &self.root) {
            None => Ok(way),
            Some(name) => Err(GrantError::HiddenRoot { root: way.root, name }),
        }
    }

    /// Checks that a path without links does not lead to a withheld place.
    fn check_reached(&self, disk: &dyn Disk, root: &Path, path: &Path) -> Result<(), GrantError> {
        let withheld = all_ways(disk, &self.withheld);
        let target = Target { root, path, access: self.access, goes_on: self.goes_on };
        match refusal(&target, &withheld) {
            None => Ok(()),
            Some(withheld) => {
                Err(GrantError::Withheld { path: self.text.clone(), place: path.to_path_buf(), withheld })
            }
        }
    }
}

/// The withheld files and directories, each by its path without links, and by the path of each link on the way to it.
fn all_ways(disk: &dyn Disk, withheld: &[Withheld]) -> Vec<Withheld> {
    let paths = |withheld: &Withheld| {
        through_links(disk, &withheld.path).into_iter().chain([without_links(disk, &withheld.path)])
    };
    withheld.iter().flat_map(|withheld| paths(withheld).map(|path| Withheld { path, ..withheld.clone() })).collect()
}

fn check_writable(disk: &dyn Disk, directory: &Path) -> Result<(), GrantError> {
    let cannot = |error| GrantError::Directory { action: "write to", directory: directory.to_path_buf(), error };
    disk.check_writable(directory).map_err(cannot)
}

#[cfg(test)]
mod tests;
