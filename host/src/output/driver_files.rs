//! Files that driver functions read and write, below the directories that the job grants.
//!
//! Owns how they come to be there: a saved data set as a directory, seen whole or not at all and made once; a small file
//! whole, in place of what had its name. Never decides which function may do so, nor when.

use super::batch_directory::begin_once;
use super::{BatchWrite, OutputId, Withheld, files};
use crate::block::Storage;
use crate::config::Access;
use crate::data::key::hash;
use crate::data::schema::RecordType;
use crate::env::{DirectoryEntry, Disk};
use crate::error::{Error, ErrorKind};
use crate::grants::{GrantError, GrantedPath, Grants, RESERVED_PREFIX};
use crate::graph::FileFormat;
use crate::lock::lock;
use crate::shown::{self, Shown as _};
use crate::time::Time;
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A data set that is to be saved. Job, output, batch and position name it among all that are ever saved.
#[derive(Clone, Debug)]
pub struct Save<'a> {
    /// The output, or the `transform`, whose function saves.
    pub output: &'a str,
    /// Which of its saves it is, from 0.
    pub position: usize,
    /// The batch.
    pub batch: Time,
    /// The action, for messages.
    pub label: &'a str,
    /// Where to.
    pub path: &'a str,
    /// What is in the files.
    pub format: FileFormat,
    /// The type of the rows.
    pub ty: &'a RecordType,
}

/// The files of a job's driver functions.
pub struct DriverFiles {
    disk: Arc<dyn Disk>,
    job: String,
    grants: Grants,
    storage: Storage,
    /// Whether nothing is written: saved rows and small files go nowhere.
    is_withheld: bool,
    /// The saves and the directories around them where what a crashed run left was cleared away.
    swept: Mutex<BTreeSet<(String, PathBuf)>>,
}

/// What cannot be done with a file, and why.
fn failed(action: &str, path: &str, why: &dyn std::fmt::Display, kind: ErrorKind, help: impl Into<String>) -> Error {
    Error::new(kind, format!("cannot {action} {}: {why}", shown::name(path))).help(help)
}

fn not_granted(action: &str, path: &str, error: &GrantError) -> Error {
    let kind = match error {
        GrantError::Directory { .. } => ErrorKind::Unavailable,
        _ => ErrorKind::User,
    };
    failed(action, path, error, kind, error.help())
}

fn refused(action: &str, path: &str, error: &io::Error) -> Error {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "is it there, below one of job.directories?",
        io::ErrorKind::FileTooLarge => "raise limits.result_size, or load it as a data set",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on the disk",
        io::ErrorKind::IsADirectory | io::ErrorKind::AlreadyExists => "there is a directory of that name",
        _ => "whoever runs the host needs the right to do so",
    };
    failed(action, path, error, ErrorKind::Unavailable, help)
}

impl DriverFiles {
    /// The files of `job`. What rows need on their way into them is in `storage`.
    pub fn new(disk: Arc<dyn Disk>, job: &str, grants: Grants, storage: Storage) -> Self {
        Self { disk, job: job.to_owned(), grants, storage, is_withheld: false, swept: Mutex::default() }
    }

    /// The same files, of which those that are written go nowhere.
    #[must_use]
    pub fn withheld(self) -> Self {
        Self { is_withheld: true, ..self }
    }

    /// Gets ready to save a data set. Nothing if it was saved before, by the same save in an earlier run of the batch.
    ///
    /// # Errors
    /// When the path is not granted, or something else is there.
    pub fn begin(&self, save: &Save<'_>) -> Result<Option<Arc<dyn BatchWrite>>, Error> {
        let place =
            self.grants.resolve(save.path, Access::Write).map_err(|error| not_granted("save", save.path, &error))?;
        if self.is_withheld {
            return Ok(Some(Arc::new(Withheld)));
        }
        let id = OutputId { job: self.job.clone(), output: format!("{}/{}", save.output, save.position) };
        let around = place.path().parent().map(Path::to_path_buf).unwrap_or_default();
        let is_first = lock(&self.swept).insert((id.output.clone(), around));
        let directory = begin_once(self.disk.clone(), &id, save.label, place, save.batch, is_first)?;
        Ok(directory.map(|directory| files::batch(directory, save.format, save.ty.clone(), self.storage.clone())))
    }

    /// A path that is read, and where it leads, if something is there.
    fn find(&self, action: &str, path: &str) -> Result<(GrantedPath, Option<PathBuf>), Error> {
        let place = self.grants.resolve(path, Access::Read).map_err(|error| not_granted(action, path, &error))?;
        let found = place.find(&*self.disk).map_err(|error| not_granted(action, path, &error))?;
        Ok((place, found))
    }

    /// What a file holds, if it is there and has at most `limit` bytes.
    ///
    /// # Errors
    /// When it is not granted, cannot be read, or is larger.
    pub fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let (_, Some(found)) = self.find("read", path)? else { return Ok(None) };
        self.disk.read(&found, limit).map(Some).map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => {
                let why = format!("it has more than limits.result_size = {limit} bytes");
                failed("read", path, &why, ErrorKind::User, "raise limits.result_size, or load it as a data set")
            }
            _ => refused("read", path, &error),
        })
    }

    /// Writes a file whole, in place of what has its name.
    ///
    /// # Errors
    /// When it is not granted, or cannot be written.
    pub fn write(&self, path: &str, content: &[u8]) -> Result<(), Error> {
        let place = self.grants.resolve(path, Access::Write).map_err(|error| not_granted("write", path, &error))?;
        if self.is_withheld {
            return Ok(());
        }
        let parent = place.make_parent(&*self.disk).map_err(|error| not_granted("write", path, &error))?;
        let hash = hash(format!("{}\0{path}", self.job).as_bytes());
        let aside = parent.join(format!("{RESERVED_PREFIX}{}-{hash:016x}.tmp", self.job));
        let target = parent.join(place.name());
        let written = self.write_aside(&aside, content).and_then(|()| {
            if self.disk.entry(&target).is_ok_and(|entry| entry.is_directory) {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            self.disk.rename(&aside, &target)?;
            self.disk.sync_directory(&parent)
        });
        written.map_err(|error| {
            // If it cannot be removed now, the next write of this file does so.
            let _ = self.disk.remove(&aside);
            refused("write", path, &error)
        })
    }

    fn write_aside(&self, aside: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = self.disk.create(aside)?;
        file.write_all(content)?;
        file.sync()
    }

    /// The file that a path names, or, by name, the files of the directory that it names: those that do not begin with
    /// `_` or `.`, and that the job does not withhold.
    ///
    /// # Errors
    /// When the path is not granted, or nothing is there.
    pub fn list(&self, path: &str) -> Result<Vec<DirectoryEntry>, Error> {
        let (place, found) = self.find("load", path)?;
        let found =
            found.ok_or_else(|| refused("load", path, &io::Error::new(io::ErrorKind::NotFound, "nothing is there")))?;
        let entry = self.disk.entry(&found).map_err(|error| refused("load", path, &error))?;
        if !entry.is_directory {
            return Ok(vec![entry]);
        }
        let mut entries = self.disk.list(&found).map_err(|error| refused("load", path, &error))?;
        entries.retain(|entry| !entry.is_directory && !entry.name.starts_with(['_', '.']));
        entries.retain(|entry| place.reaches(&*self.disk, &entry.path));
        for entry in &mut entries {
            // A link must not lead out of the directory.
            let target = self.disk.canonicalize(&entry.path).map_err(|error| refused("load", path, &error))?;
            if target != entry.path {
                let why = format!("{} is a link to {}", entry.path.shown(), target.shown());
                return Err(failed("load", path, &why, ErrorKind::User, "put the file itself there"));
            }
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests;
