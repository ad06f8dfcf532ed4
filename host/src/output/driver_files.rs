//! Files that driver functions read and write, below the directories that the job grants.
//!
//! Owns how the files are written. A saved data set is a directory, which is visible as a whole or not at all and is
//! made only once. A small file is written as a whole and replaces the file that had its name. Never decides which
//! function may write, nor when.

use super::batch_directory::begin_once;
use super::withheld::Withheld;
use super::{BatchWrite, OutputId, files};
use crate::block::RowStorage;
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

/// A data set that is to be saved. Job, output, batch and position identify it among all saves.
#[derive(Clone, Debug)]
pub struct Save<'a> {
    /// The output, or the `transform`, whose driver function saves the data set.
    pub output: &'a str,
    /// The position of this save among the saves of the function's call, from 0.
    pub position: usize,
    /// The batch.
    pub batch: Time,
    /// The name of the action in messages.
    pub label: &'a str,
    /// The path at which the data set is saved.
    pub path: &'a str,
    /// The format of the files.
    pub format: FileFormat,
    /// The type of the rows.
    pub ty: &'a RecordType,
}

/// Reads and writes the files of a job's driver functions.
pub struct DriverFiles {
    disk: Arc<dyn Disk>,
    job: String,
    grants: Grants,
    storage: RowStorage,
    /// The saves, with the directories that contain them, for which the remains of a crashed run were removed.
    swept: Mutex<BTreeSet<(String, PathBuf)>>,
}

/// Makes the error that an action on a file failed, with the reason.
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
    /// Makes the files of `job`. The memory that rows need while they are written comes from `storage`.
    pub fn new(disk: Arc<dyn Disk>, job: &str, grants: Grants, storage: RowStorage) -> Self {
        Self { disk, job: job.to_owned(), grants, storage, swept: Mutex::default() }
    }

    /// Begins to save a data set. If the results of the batch are not shown, the rows are discarded. Returns `None` if
    /// the same save has saved the data set in an earlier run of the batch.
    ///
    /// # Errors
    /// If the path is not granted, or if something else is at the path.
    pub fn begin(&self, save: &Save<'_>, is_shown: bool) -> Result<Option<Arc<dyn BatchWrite>>, Error> {
        let place =
            self.grants.resolve(save.path, Access::Write).map_err(|error| not_granted("save", save.path, &error))?;
        if !is_shown {
            return Ok(Some(Arc::new(Withheld)));
        }
        let id = OutputId { job: self.job.clone(), output: format!("{}/{}", save.output, save.position) };
        let around = place.path().parent().map(Path::to_path_buf).unwrap_or_default();
        let is_first = lock(&self.swept).insert((id.output.clone(), around));
        let directory = begin_once(self.disk.clone(), &id, save.label, place, save.batch, is_first)?;
        Ok(directory.map(|directory| files::batch(directory, save.format, save.ty.clone(), self.storage.clone())))
    }

    /// The granted path, and where it leads with links resolved; `None` for the latter if nothing is there.
    fn find(&self, action: &str, path: &str) -> Result<(GrantedPath, Option<PathBuf>), Error> {
        let place = self.grants.resolve(path, Access::Read).map_err(|error| not_granted(action, path, &error))?;
        let found = place.find(&*self.disk).map_err(|error| not_granted(action, path, &error))?;
        Ok((place, found))
    }

    /// The content of a file of at most `limit` bytes; `None` if the file does not exist.
    ///
    /// # Errors
    /// If the path is not granted, or if the file cannot be read or is larger than `limit`.
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

    /// Writes a whole file, in place of the file that had the name. If the results of the batch are not shown, nothing is
    /// written.
    ///
    /// # Errors
    /// If the path is not granted, or if the file cannot be written.
    pub fn write(&self, path: &str, content: &[u8], is_shown: bool) -> Result<(), Error> {
        let place = self.grants.resolve(path, Access::Write).map_err(|error| not_granted("write", path, &error))?;
        if !is_shown {
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
            // If the file cannot be removed now, the next write to this path removes it.
            let _ = self.disk.remove(&aside);
            refused("write", path, &error)
        })
    }

    fn write_aside(&self, aside: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = self.disk.create(aside)?;
        file.write_all(content)?;
        file.sync()
    }

    /// The file at a path. If the path is a directory: its files, by name, without those whose names begin with `_` or
    /// `.` and those that the grant does not reach.
    ///
    /// # Errors
    /// If the path is not granted, or if nothing is there.
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
            // A link must not lead to a file outside of the granted directory.
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
