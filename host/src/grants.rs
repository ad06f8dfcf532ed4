//! Paths that plugin code names, resolved below the directories that the job grants.
//!
//! Owns [`Grants`] and [`GrantedPath`]: what a path from a plugin may look like, and that no link leads it out. Never
//! reads or writes a file: it makes directories, and only below a granted one. A plugin has no other way to a path, so
//! whoever changes links between a check and the use that follows is not the plugin.

use crate::env::Disk;
use crate::shown::Shown as _;
use crate::shown::escape_control;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The longest name of a file or directory, in bytes: that of most file systems.
pub const COMPONENT_BYTES_MAX: usize = 255;
/// The longest path below a granted directory, in bytes. With the directory it has to fit into 4096.
const PATH_BYTES_MAX: usize = 1024;
/// What names begin with that the host gives to its own files. Plugins cannot use them.
pub const RESERVED_PREFIX: &str = ".millstream-";

/// A path from a plugin cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// It says something that no path of a plugin may.
    #[error("the {what} `{}` {fault}", shown(text))]
    Text {
        /// Whether it is a `path`, or what else.
        what: &'static str,
        /// What the plugin says.
        text: String,
        /// What is wrong with it.
        fault: &'static str,
        /// What to say instead.
        help: &'static str,
    },
    /// It names a directory that the job file does not.
    #[error("the path `{}` is below the directory `{}`, which the job does not grant", shown(path), shown(name))]
    Unknown {
        /// What the plugin says.
        path: String,
        /// The directory's name.
        name: String,
        /// The names that the job grants.
        granted: Vec<String>,
    },
    /// It names an object store, and only outputs can be saved there.
    #[error("the path `{}` is below `{}`, which is an object store", shown(path), shown(name))]
    Objects {
        /// What the plugin says.
        path: String,
        /// The name of the store.
        name: String,
    },
    /// The object store cannot be used.
    #[error("cannot use {url}: {error}")]
    Store {
        /// The prefix in the store.
        url: String,
        /// What is wrong with it.
        error: io::Error,
    },
    /// A link on the way leads elsewhere.
    #[error("the path `{path}` leads out of {}: {} is really {}", root.shown(), link.shown(), target.shown())]
    LeadsOut {
        /// What the plugin says.
        path: String,
        /// The granted directory.
        root: PathBuf,
        /// The link.
        link: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// The granted directory, or one on the way, cannot be used.
    #[error("cannot {action} the directory {}: {error}", directory.shown())]
    Directory {
        /// What cannot be done with it.
        action: &'static str,
        /// The directory.
        directory: PathBuf,
        /// What the file system says.
        error: io::Error,
    },
}

impl GrantError {
    /// What the reader can do.
    pub fn help(&self) -> String {
        match self {
            Self::Text { help, .. } => (*help).to_owned(),
            Self::Unknown { granted, name, .. } if granted.is_empty() => {
                format!("grant it in the job file: directories = {{ {} = \"...\" }} under [job]", shown(name))
            }
            Self::Unknown { granted, .. } => {
                let granted: Vec<String> = granted.iter().map(|name| format!("`{name}`")).collect();
                format!("job.directories grants {}", granted.join(", "))
            }
            Self::Objects { .. } => "outputs can be saved there; driver functions use directories".to_owned(),
            Self::Store { .. } => {
                "docs/object_stores.md says which variables the environment of the host needs".to_owned()
            }
            Self::LeadsOut { target, .. } => {
                format!("remove the link, or grant {} in job.directories", target.shown())
            }
            Self::Directory { directory, error, .. } => match error.kind() {
                io::ErrorKind::NotFound => format!("make the directory {}", directory.shown()),
                io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                    format!("is there a file, or a link to nowhere, at {}?", directory.shown())
                }
                _ => format!("whoever runs the host needs the right to write in {}", directory.shown()),
            },
        }
    }
}

fn shown(text: &str) -> String {
    let short: String = text.chars().take(200).collect();
    let rest = if short.len() < text.len() { "..." } else { "" };
    format!("{}{rest}", escape_control(&short).replace('\t', "\\t"))
}

/// What a job grants to its plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    job: PathBuf,
    named: BTreeMap<String, PathBuf>,
    /// The prefixes of object stores.
    objects: BTreeMap<String, String>,
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantedPlace {
    /// A file or directory.
    Disk(GrantedPath),
    /// What begins so in an object store: the URL of the directory, and the last name.
    Objects(String, String),
}

/// A path below a granted directory. It may not exist yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedPath {
    text: String,
    root: PathBuf,
    directories: Vec<String>,
    name: String,
}

impl Grants {
    /// Grants the directory of the job file, which may be empty for the current one, and others by name.
    pub fn new(job: PathBuf, named: BTreeMap<String, PathBuf>) -> Self {
        let here = |path: PathBuf| if path.as_os_str().is_empty() { PathBuf::from(".") } else { path };
        let named = named.into_iter().map(|(name, path)| (name, here(path))).collect();
        Self { job: here(job), named, objects: BTreeMap::new() }
    }

    /// Grants prefixes of object stores, too, by name.
    pub fn with_objects(self, objects: BTreeMap<String, String>) -> Self {
        Self { objects, ..self }
    }

    /// The directories that are granted by name.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        self.named.values().map(PathBuf::as_path)
    }

    /// As [`Grants::resolve`], where it may also be in an object store.
    ///
    /// # Errors
    /// When the text is not such a path, or what it names is not granted.
    pub fn resolve_place(&self, text: &str) -> Result<GrantedPlace, GrantError> {
        check_characters("path", text)?;
        let Some((url, path)) = text.split_once(':').and_then(|(name, path)| Some((self.objects.get(name)?, path)))
        else {
            return self.resolve(text).map(GrantedPlace::Disk);
        };
        check_path(text, path)?;
        let (directories, name) = path.rsplit_once('/').unwrap_or(("", path));
        let url = if directories.is_empty() { url.clone() } else { format!("{url}/{directories}") };
        Ok(GrantedPlace::Objects(url, name.to_owned()))
    }

    /// The path that a plugin calls `text`: `a/b` below the job file's directory, or `name:a/b` below another.
    ///
    /// # Errors
    /// When the text is not such a path, or the directory is not granted. Nothing on disk is looked at.
    pub fn resolve(&self, text: &str) -> Result<GrantedPath, GrantError> {
        check_characters("path", text)?;
        let (root, path) = match text.split_once(':') {
            None => (&self.job, text),
            Some((name, path)) => match self.named.get(name) {
                Some(root) => (root, path),
                None if self.objects.contains_key(name) => {
                    return Err(GrantError::Objects { path: text.to_owned(), name: name.to_owned() });
                }
                None => {
                    let granted = self.named.keys().chain(self.objects.keys()).cloned().collect();
                    return Err(GrantError::Unknown { path: text.to_owned(), name: name.to_owned(), granted });
                }
            },
        };
        check_path(text, path)?;
        let mut directories: Vec<String> = path.split('/').map(str::to_owned).collect();
        let name = directories.pop().unwrap_or_default();
        Ok(GrantedPath { text: shown(text), root: root.clone(), directories, name })
    }
}

/// Checks a suffix: a part of a name, such as what comes behind its last dot.
///
/// # Errors
/// When it has characters that no name may have.
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

/// Checks the part of `text` that stands behind the directory's name, if it has one.
fn check_path(text: &str, path: &str) -> Result<(), GrantError> {
    const RELATIVE: &str =
        "name it relative to the directory of the job file, or `name:path` for one that job.directories grants";
    const PLAIN: &str = "name a file or directories and a file, as in `out/counts`";
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
            own if own.starts_with(RESERVED_PREFIX) => {
                "has a name that begins with `.millstream-`, as only those of the host do"
            }
            long if long.len() > COMPONENT_BYTES_MAX => "has a name of more than 255 bytes",
            _ => continue,
        };
        return Err(fault("path", text, problem, PLAIN));
    }
    Ok(())
}

impl GrantedPath {
    /// Its last name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path as the job file's reader would write it. Links on the way are not followed.
    pub fn path(&self) -> PathBuf {
        let root = self.root.strip_prefix(".").unwrap_or(&self.root);
        self.directories.iter().fold(root.to_path_buf(), |path, name| path.join(name)).join(&self.name)
    }

    /// The directory it stands in, free of links. It is made if it is not there, as are those above it up to the granted
    /// one.
    ///
    /// # Errors
    /// When a link leads out of the granted directory, or a directory cannot be made.
    pub fn make_parent(&self, disk: &dyn Disk) -> Result<PathBuf, GrantError> {
        let (mut parent, missing) = self.find_parent(disk)?;
        for name in missing {
            let next = parent.join(name);
            let cannot = |error| GrantError::Directory { action: "make", directory: next.clone(), error };
            disk.create_directory(&next).map_err(cannot)?;
            disk.sync_directory(&parent).map_err(cannot)?;
            parent = next;
        }
        // Somebody else may have put something there meanwhile.
        let (found, missing) = self.find_parent(disk)?;
        if found == parent && missing.is_empty() {
            check_writable(disk, &parent)?;
            return Ok(parent);
        }
        let error = io::Error::other("it changes while it is being made");
        Err(GrantError::Directory { action: "make", directory: parent, error })
    }

    /// What is there, free of links. Nothing if nothing is.
    ///
    /// # Errors
    /// When a link leads out of the granted directory.
    pub fn find(&self, disk: &dyn Disk) -> Result<Option<PathBuf>, GrantError> {
        let (parent, missing) = self.find_parent(disk)?;
        if !missing.is_empty() {
            return Ok(None);
        }
        let cannot = |directory: &Path, error| GrantError::Directory {
            action: "find",
            directory: directory.to_path_buf(),
            error,
        };
        let root = disk.canonicalize(&self.root).map_err(|error| cannot(&self.root, error))?;
        let link = parent.join(&self.name);
        match disk.canonicalize(&link) {
            Ok(target) if target.starts_with(&root) => Ok(Some(target)),
            Ok(target) => Err(GrantError::LeadsOut { path: self.text.clone(), root, link, target }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cannot(&link, error)),
        }
    }

    /// Checks what can be checked without making anything: that the directories on the way that are there belong to the
    /// granted one, and that the last of them can be written to.
    ///
    /// # Errors
    /// When [`GrantedPath::make_parent`] is bound to fail.
    pub fn check_parent(&self, disk: &dyn Disk) -> Result<(), GrantError> {
        self.find_parent(disk).and_then(|(directory, _)| check_writable(disk, &directory))
    }

    /// The directory nearest to the path that is there, free of links, and the names of those behind it that are not.
    fn find_parent(&self, disk: &dyn Disk) -> Result<(PathBuf, &[String]), GrantError> {
        let cannot = |directory: &Path, error| GrantError::Directory {
            action: "find",
            directory: directory.to_path_buf(),
            error,
        };
        let root = disk.canonicalize(&self.root).map_err(|error| cannot(&self.root, error))?;
        let mut found = root.clone();
        for (at, name) in self.directories.iter().enumerate() {
            let link = found.join(name);
            match disk.canonicalize(&link) {
                Ok(target) if target.starts_with(&root) => found = target,
                Ok(target) => return Err(GrantError::LeadsOut { path: self.text.clone(), root, link, target }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok((found, self.directories.get(at..).unwrap_or_default()));
                }
                Err(error) => return Err(cannot(&link, error)),
            }
        }
        Ok((found, &[]))
    }
}

fn check_writable(disk: &dyn Disk, directory: &Path) -> Result<(), GrantError> {
    let cannot = |error| GrantError::Directory { action: "write to", directory: directory.to_path_buf(), error };
    disk.check_writable(directory).map_err(cannot)
}

#[cfg(test)]
mod tests;
