//! One directory of files for each batch, seen whole or not at all.
//!
//! Owns the names on disk and the order in which they appear. A batch is built in a hidden directory beside its place
//! and renamed there when it is complete and on the disk. Never knows what the files hold.
//!
//! The steps of a commit, of which each leaves something that the next start can go on from:
//!
//! 1. The files are complete and synced; `_SUCCESS` is added; the hidden directory is synced.
//! 2. If an earlier run of the batch left its directory, that gets the hidden name `...old`.
//! 3. The built directory gets its name; the directory around it is synced.
//! 4. What has the name `...old` is removed.
//!
//! After a crash before step 3 a directory `...old` gets its name back, and what was built is removed. A reader sees
//! the old files, then for a moment between steps 2 and 3 none, then the new ones; never a mixture.

use super::OutputId;
use super::encoder::Part;
use super::error::{SaveError, cannot};
use super::names::{PART, SUCCESS, check_name, dotted, pattern};
use crate::data::key::hash;
use crate::env::{Disk, OutputFile};
use crate::error::Error;
use crate::grants::{GrantError, GrantedPath, RESERVED_PREFIX, check_suffix};
use crate::shown::{Shown as _, escape_control};
use crate::time::Time;
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The longest `_SUCCESS`, in bytes.
const MAKER_BYTES_MAX: u64 = 4096;
/// How many bytes of an output's identity are part of the names of its hidden directories.
const LABEL_BYTES_MAX: usize = 60;

/// The directories in which an output saves its batches: `PREFIX-TIME[.SUFFIX]`.
pub(super) struct BatchDirectories {
    shared: Arc<Shared>,
    /// Whether the remains of a crashed run were removed.
    is_swept: AtomicBool,
}

struct Shared {
    disk: Arc<dyn Disk>,
    /// The name of the output in messages.
    label: String,
    place: GrantedPath,
    suffix: String,
    /// The beginning of the names of the output's hidden directories.
    hidden: String,
}

impl BatchDirectories {
    /// Makes the directories of an output. `label` is the name of the output in messages. Nothing on the disk is looked
    /// at.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        id: &OutputId,
        label: &str,
        place: GrantedPath,
        (prefix, suffix): (&str, &str),
    ) -> Result<Self, GrantError> {
        check_suffix(suffix)?;
        let suffix = dotted(suffix);
        check_name(place.name(), &suffix, prefix)?;
        let shared = Shared { disk, label: label.to_owned(), place, suffix, hidden: hidden(id) };
        Ok(Self { shared: Arc::new(shared), is_swept: AtomicBool::new(false) })
    }

    /// The path of the directories, with `TIME_IN_MS` in place of the time.
    pub(super) fn pattern(&self) -> String {
        pattern(&self.shared.place.path(), self.shared.suffix.trim_start_matches('.'))
    }

    /// Checks the path, as far as that is possible without writing.
    pub(super) fn check(&self) -> Result<(), GrantError> {
        self.shared.place.check_parent(&*self.shared.disk)
    }

    /// Makes a new empty directory for a batch.
    pub(super) fn begin(&self, batch: Time) -> Result<BatchDirectory, Error> {
        self.begin_batch(batch).map_err(|error| self.shared.error(batch, &error))
    }

    fn begin_batch(&self, batch: Time) -> Result<BatchDirectory, SaveError> {
        let shared = &self.shared;
        let parent = shared.place.make_parent(&*shared.disk)?;
        let directory = |batch: Time| {
            let name = format!("{}-{}{}", shared.place.name(), batch.as_ms(), shared.suffix);
            BatchDirectory::new(shared, &parent, batch, &name)
        };
        if !self.is_swept.load(Ordering::Acquire) {
            let entries = shared.disk.list(&parent).map_err(cannot("list", &parent))?;
            let times = entries.iter().filter_map(|entry| {
                let rest = entry.name.strip_prefix(&shared.hidden)?;
                rest.strip_suffix(".tmp").or_else(|| rest.strip_suffix(".old"))?.parse().ok()
            });
            let times: BTreeSet<u64> = times.collect();
            times.into_iter().try_for_each(|ms| directory(Time::from_ms(ms)).recover())?;
            self.is_swept.store(true, Ordering::Release);
        }
        let directory = directory(batch);
        directory.recover()?;
        directory.is_replaced()?;
        shared.disk.create_directory(&directory.building).map_err(cannot("make", &directory.building))?;
        Ok(directory)
    }
}

/// Makes the empty directory of a data set that a driver function saves. `None` if the same save has made the directory
/// in an earlier run of the batch.
///
/// The path of such a directory does not contain the batch. So its `_SUCCESS` says which save has made it, and is
/// committed together with the rows. With `sweeps`, the directories that crashed runs of this save were building are
/// removed.
pub(super) fn begin_once(
    disk: Arc<dyn Disk>,
    id: &OutputId,
    label: &str,
    place: GrantedPath,
    batch: Time,
    sweeps: bool,
) -> Result<Option<BatchDirectory>, Error> {
    let shared = Shared { disk, label: label.to_owned(), place, suffix: String::new(), hidden: hidden(id) };
    let shared = Arc::new(shared);
    let begun = shared.place.make_parent(&*shared.disk).map_err(SaveError::from).and_then(|parent| {
        let mut directory = BatchDirectory::new(&shared, &parent, batch, shared.place.name());
        // The text is compared with that of other starts, and stays as it is.
        directory.maker = format!("job {}, output {}, batch {} ms\n", id.job, id.output, batch.as_ms());
        let disk = directory.disk();
        if sweeps {
            let entries = disk.list(&parent).map_err(cannot("list", &parent))?;
            let left = entries.iter().filter(|entry| entry.name.starts_with(&shared.hidden));
            left.into_iter().try_for_each(|left| disk.remove(&left.path).map_err(cannot("remove", &left.path)))?;
        }
        disk.remove(&directory.building).map_err(cannot("remove", &directory.building))?;
        if directory.is_there(&directory.target)? {
            return directory.check_maker().map(|()| None);
        }
        disk.create_directory(&directory.building).map_err(cannot("make", &directory.building))?;
        Ok(Some(directory))
    });
    begun.map_err(|error| shared.error(batch, &error))
}

/// The beginning of the names of an output's hidden directories. The names of two outputs may have the same letters and
/// digits. A hash keeps their directories apart.
fn hidden(id: &OutputId) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' };
    let output: String = id.output.chars().map(plain).take(LABEL_BYTES_MAX).collect();
    let hash = hash(format!("{}\0{}", id.job, id.output).as_bytes());
    format!("{RESERVED_PREFIX}{}-{output}-{hash:016x}-", id.job)
}

impl Shared {
    fn error(&self, batch: Time, error: &SaveError) -> Error {
        error.of_output(&self.label, batch)
    }
}

/// The directory of one batch, while the directory is built.
pub(super) struct BatchDirectory {
    shared: Arc<Shared>,
    batch: Time,
    /// The directory that contains all of these, with links resolved.
    parent: PathBuf,
    /// Where the files are after the commit.
    target: PathBuf,
    /// Where the files are until then.
    building: PathBuf,
    /// Where the directory of an earlier run is while it is replaced.
    old: PathBuf,
    /// The content of `_SUCCESS`.
    maker: String,
}

impl BatchDirectory {
    fn new(shared: &Arc<Shared>, parent: &Path, batch: Time, name: &str) -> Self {
        Self {
            batch,
            target: parent.join(name),
            building: parent.join(format!("{}{}.tmp", shared.hidden, batch.as_ms())),
            old: parent.join(format!("{}{}.old", shared.hidden, batch.as_ms())),
            parent: parent.to_path_buf(),
            shared: shared.clone(),
            maker: String::new(),
        }
    }

    /// Checks that the directory that is already there belongs to this save.
    fn check_maker(&self) -> Result<(), SaveError> {
        let path = self.target.join(SUCCESS);
        let taken = |what: String| Err(SaveError::Taken { path: self.shared.place.path(), what });
        match self.disk().read(&path, MAKER_BYTES_MAX) {
            Ok(maker) if maker == self.maker.as_bytes() => Ok(()),
            Ok(maker) => match std::str::from_utf8(&maker).ok().and_then(|maker| maker.strip_suffix('\n')) {
                Some(maker) => taken(format!("it was saved by {}", escape_control(maker))),
                None => taken("a data set that some other program or output saved".to_owned()),
            },
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                taken("it is no data set that was saved".to_owned())
            }
            Err(error) => Err(cannot("read", &path)(error)),
        }
    }

    /// Adds to an error which output and batch it is about.
    pub(super) fn error(&self, error: &SaveError) -> Error {
        self.shared.error(self.batch, error)
    }

    fn disk(&self) -> &dyn Disk {
        &*self.shared.disk
    }

    /// If an earlier run has renamed the old directory and ended before its own directory was in place, gives the old
    /// directory its name back. Removes the directory that the earlier run was building.
    fn recover(&self) -> Result<(), SaveError> {
        let disk = self.disk();
        if self.is_there(&self.old)? {
            if self.is_there(&self.target)? {
                disk.remove(&self.old).map_err(cannot("remove", &self.old))?;
            } else {
                disk.rename(&self.old, &self.target).map_err(cannot("rename", &self.old))?;
            }
            disk.sync_directory(&self.parent).map_err(cannot("sync", &self.parent))?;
        }
        disk.remove(&self.building).map_err(cannot("remove", &self.building))
    }

    fn is_there(&self, path: &Path) -> Result<bool, SaveError> {
        match self.disk().canonicalize(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(cannot("find", path)(error)),
        }
    }

    /// Whether there is a directory of an earlier run. This output must not remove anything else that has the name.
    fn is_replaced(&self) -> Result<bool, SaveError> {
        if !self.is_there(&self.target)? {
            return Ok(false);
        }
        let in_the_way = |what: String| SaveError::InTheWay { path: self.target.clone(), what };
        let found = self.disk().canonicalize(&self.target).map_err(cannot("find", &self.target))?;
        if found != self.target {
            return Err(in_the_way(format!("it is a link to {}", found.shown())));
        }
        let entries = match self.disk().list(&self.target) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::NotFound) => {
                return Err(in_the_way("it is not a directory".to_owned()));
            }
            Err(error) => return Err(cannot("list", &self.target)(error)),
        };
        let is_foreign = |name: &str| name != SUCCESS && !name.starts_with(PART);
        match entries.iter().find(|entry| entry.is_directory || is_foreign(&entry.name)) {
            Some(entry) => Err(in_the_way(format!("it holds `{}`, which no output has put there", entry.name.shown()))),
            None => Ok(true),
        }
    }

    /// Makes a file for an attempt at a partition. The file gets the name `name` when it is complete.
    pub(super) fn part(&self, name: &str, attempt: u32) -> Result<PartFile, SaveError> {
        let path = self.building.join(format!(".{name}.{attempt}"));
        let file = self.disk().create(&path).map_err(cannot("make", &path))?;
        Ok(PartFile { disk: self.shared.disk.clone(), file: Some(file), path, complete: self.building.join(name) })
    }

    /// Gives the directory its final name. It contains the files with these names and no others.
    pub(super) fn commit(&self, names: impl Iterator<Item = String>) -> Result<(), SaveError> {
        let disk = self.disk();
        // Links in the path may have changed since the batch began.
        let parent = self.shared.place.make_parent(disk)?;
        if parent != self.parent {
            let what = format!("it has become a link to {}", parent.shown());
            return Err(SaveError::InTheWay { path: self.shared.place.path(), what });
        }
        let entries = disk.list(&self.building).map_err(cannot("list", &self.building))?;
        let mut expected: BTreeSet<String> = names.collect();
        for stray in entries.iter().filter(|entry| !expected.remove(&entry.name)) {
            disk.remove(&stray.path).map_err(cannot("remove", &stray.path))?;
        }
        if let Some(missing) = expected.first() {
            return Err(SaveError::Missing(self.building.join(missing)));
        }
        let success = self.building.join(SUCCESS);
        let written = disk.create(&success).and_then(|mut file| {
            file.write_all(self.maker.as_bytes())?;
            file.sync()
        });
        written.map_err(cannot("write", &success))?;
        disk.sync_directory(&self.building).map_err(cannot("sync", &self.building))?;
        let is_replaced = self.maker.is_empty() && self.is_replaced()?;
        if is_replaced {
            disk.rename(&self.target, &self.old).map_err(cannot("rename", &self.target))?;
        }
        if let Err(error) = disk.rename(&self.building, &self.target) {
            if is_replaced {
                // If this fails as well, the next start brings the old directory back.
                let _ = disk.rename(&self.old, &self.target);
            }
            return Err(cannot("rename", &self.building)(error));
        }
        disk.sync_directory(&self.parent).map_err(cannot("sync", &self.parent))?;
        if is_replaced {
            // The batch is saved. If the old directory cannot be removed now, the next start does it.
            let _ = disk.remove(&self.old);
        }
        Ok(())
    }

    /// Removes the directory that was built. If that fails, the next start removes it.
    pub(super) fn abort(&self) {
        let _ = self.disk().remove(&self.building);
    }
}

/// The file of a partition. It has the name of its attempt until it is complete. If it is dropped before, it is
/// removed.
pub(super) struct PartFile {
    disk: Arc<dyn Disk>,
    /// `None` when the file is complete.
    file: Option<Box<dyn OutputFile>>,
    path: PathBuf,
    complete: PathBuf,
}

impl Part for PartFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SaveError> {
        let Some(file) = &mut self.file else { return Err(SaveError::Missing(self.path.clone())) };
        file.write_all(bytes).map_err(cannot("write", &self.path))
    }
}

impl PartFile {
    /// Waits until the file is on the disk and gives it its name. The file replaces that of an earlier attempt.
    pub(super) fn finish(mut self) -> Result<(), SaveError> {
        if let Some(file) = &mut self.file {
            file.sync().map_err(cannot("sync", &self.path))?;
        }
        self.disk.rename(&self.path, &self.complete).map_err(cannot("rename", &self.path))?;
        self.file = None;
        Ok(())
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // If the file stays, the commit removes it, or the whole directory is removed.
            let _ = self.disk.remove(&self.path);
        }
    }
}
