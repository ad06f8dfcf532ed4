//! Files that appear in directories, read as lines. Spark's `textFileStream`.
//!
//! Owns which files belong to which batch: by modification time, each once, as long as it is remembered. The decision is
//! pure; looking at directories is not. Never reads a file: it gives splits, and tasks read them.

use crate::block::{FileSplit, part_ranges};
use crate::encoding::Encoding;
use crate::env::{DirectoryEntry, Env};
use crate::error::{Error, ErrorKind};
use crate::shown::Shown as _;
use crate::time::{Duration, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

/// A system stamps its files with the time of the last tick of its clock, so that a file may look older than it is.
const CLOCK_TICK: Duration = Duration::from_millis(10);

/// What a text-files source needs to know.
#[derive(Clone, Debug)]
pub struct TextFilesSettings {
    /// The source's name in the job file.
    pub source: String,
    /// A directory, or a pattern of directories.
    pub path: PathBuf,
    /// Whether files modified before the start are left out.
    pub new_files_only: bool,
    /// How far back a modification time may lie, at least.
    pub min_remember: Duration,
    /// The longest line that is accepted.
    pub max_line_bytes: usize,
    /// The encoding of files without a byte order mark.
    pub encoding: Encoding,
    /// The batch interval.
    pub slide: Duration,
}

/// Why directories could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum TextFilesError {
    /// A directory cannot be listed.
    #[error("cannot list {path}: {error}")]
    Unlistable {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The pattern is not one.
    #[error("`{pattern}` is not a pattern of directories: {problem}")]
    Pattern {
        /// The part of the path.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl From<TextFilesError> for Error {
    fn from(error: TextFilesError) -> Self {
        let help = match &error {
            TextFilesError::Unlistable { .. } => "a text-files source watches directories: make it, or correct `path`",
            TextFilesError::Pattern { .. } => "use `*`, `?` and `[a-z]`, as in path = \"logs/2017/*\"",
        };
        Self::new(ErrorKind::User, error.to_string()).help(help)
    }
}

/// Which files were taken, and when. Pure.
#[derive(Clone, Debug)]
struct Selection {
    /// Modification times up to here are too old whatever the batch.
    initial_threshold: Option<Time>,
    /// A whole number of batches, at least `min_remember`.
    remember: Duration,
    taken: BTreeMap<Time, BTreeSet<PathBuf>>,
}

impl Selection {
    fn new(start: Time, settings: &TextFilesSettings) -> Self {
        let slide_ms = settings.slide.as_millis().max(1);
        let batches = u32::try_from(settings.min_remember.as_millis().div_ceil(slide_ms)).unwrap_or(u32::MAX);
        Self {
            initial_threshold: settings.new_files_only.then(|| start - CLOCK_TICK),
            remember: settings.slide.saturating_mul(batches.max(1)),
            taken: BTreeMap::new(),
        }
    }

    /// The files of `entries` that belong to `batch`, by the rules of Spark: not hidden, modified within the remembered
    /// time before the batch and after the start, not modified after the batch, not taken before.
    fn select(&mut self, batch: Time, entries: Vec<DirectoryEntry>) -> Vec<DirectoryEntry> {
        let threshold = self.initial_threshold.into_iter().chain([batch - self.remember]).max().unwrap_or_default();
        self.taken.retain(|time, _| *time > batch - self.remember);
        let is_new = |entry: &DirectoryEntry| {
            let known = self.taken.values().any(|files| files.contains(&entry.path));
            let hidden = entry.name.starts_with('.');
            !entry.is_directory && !hidden && !known && entry.modified > threshold && entry.modified <= batch
        };
        let selected: Vec<DirectoryEntry> = entries.into_iter().filter(is_new).collect();
        self.taken.entry(batch).or_default().extend(selected.iter().map(|entry| entry.path.clone()));
        selected
    }

    /// The first batch from one time on for which `select` would find something, if nothing changes.
    fn next(&self, from: Time, slide: Duration, entries: &[DirectoryEntry]) -> Option<Time> {
        let batch_of = |entry: &DirectoryEntry| {
            let is_old = self.initial_threshold.is_some_and(|threshold| entry.modified <= threshold);
            if entry.is_directory || entry.name.starts_with('.') || is_old {
                return None;
            }
            let taken = self.taken.iter().rev().find(|(_, files)| files.contains(&entry.path));
            let forgotten = taken.map(|(time, _)| *time + self.remember);
            let batch = forgotten.into_iter().chain([from, at_or_after(entry.modified, slide)]).max()?;
            (entry.modified > batch - self.remember).then_some(batch)
        };
        entries.iter().filter_map(batch_of).min()
    }
}

/// Finds new files, batch by batch.
pub struct TextFiles {
    settings: TextFilesSettings,
    selection: Selection,
    found_in_last_batch: bool,
    /// When directories were looked at last, and what they held, as long as that serves the next batch.
    looked: Option<(Time, Vec<DirectoryEntry>)>,
}

impl TextFiles {
    /// Starts to watch.
    ///
    /// # Errors
    /// When a directory that is named without a pattern does not exist, or the pattern is not one.
    pub fn start(env: &Env, settings: TextFilesSettings) -> Result<Self, TextFilesError> {
        let selection = Selection::new(env.clock.now(), &settings);
        let files = Self { settings, selection, found_in_last_batch: true, looked: None };
        files.entries(env)?;
        files.warn_of_files(env)?;
        Ok(files)
    }

    /// The source's name.
    pub fn source(&self) -> &str {
        &self.settings.source
    }

    /// Warns of a pattern that matches files and no directory, which is what it stands for.
    fn warn_of_files(&self, env: &Env) -> Result<(), TextFilesError> {
        let Self { settings: TextFilesSettings { source, path, .. }, .. } = self;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        if !is_pattern(path) || !directories(env, path)?.is_empty() {
            return Ok(());
        }
        let Ok(pattern) = glob::Pattern::new(&name.to_string_lossy()) else { return Ok(()) };
        for parent in directories(env, parent)? {
            let listed = env.disk.list(if parent.as_os_str().is_empty() { Path::new(".") } else { &parent });
            let file = listed.into_iter().flatten().find(|entry| !entry.is_directory && pattern.matches(&entry.name));
            if let Some(file) = file {
                let (path, parent) = (path.shown(), parent.shown());
                tracing::warn!(
                    "sources.{source}.path = \"{path}\" stands for directories and matches none, but files such as `{}`: \
                     name the directory, as in \"{parent}\", to read its files",
                    file.name
                );
                break;
            }
        }
        Ok(())
    }

    /// Goes on as if it had been watching since `started`, and had given these files to these batches.
    pub fn resume(&mut self, started: Time, taken: impl IntoIterator<Item = (Time, PathBuf)>) {
        if self.settings.new_files_only {
            self.selection.initial_threshold = Some(started - CLOCK_TICK);
        }
        for (batch, path) in taken {
            self.selection.taken.entry(batch).or_default().insert(path);
        }
    }

    /// How long before a batch a file may have been given to another, and is not given to it.
    pub fn remembered(&self) -> Duration {
        self.selection.remember
    }

    /// Whether the last batch had no new file.
    pub fn is_idle(&self) -> bool {
        !self.found_in_last_batch
    }

    /// The parts of the files that belong to `batch`, by path.
    ///
    /// # Errors
    /// When a directory cannot be listed. Nothing is taken then: the next batch sees the same files.
    pub fn find(&mut self, env: &Env, batch: Time) -> Result<Vec<FileSplit>, TextFilesError> {
        // A look after the time of a batch serves it as well as another: what comes later is for later batches.
        let entries = match self.looked.take() {
            Some((at, entries)) if at > batch => (at, entries),
            _ => (env.clock.now(), self.entries(env)?),
        };
        let serves_next = entries.0 > batch + self.settings.slide;
        let selected = if serves_next {
            let selected = self.selection.select(batch, entries.1.clone());
            self.looked = Some(entries);
            selected
        } else {
            self.selection.select(batch, entries.1)
        };
        self.found_in_last_batch = !selected.is_empty();
        Ok(selected.iter().flat_map(|file| split(file, &self.settings)).collect())
    }

    /// The first batch from one time on that may have data: a batch that is not late yet may.
    pub fn next_data(&mut self, env: &Env, from: Time) -> Option<Time> {
        let looked = self.looked.take().filter(|(at, _)| *at > from);
        let looked = looked.or_else(|| Some((env.clock.now(), self.entries(env).ok()?)));
        // What is wrong is told when the batch is made.
        let Some((at, entries)) = looked else { return Some(from) };
        let next = self.selection.next(from, self.settings.slide, &entries);
        self.found_in_last_batch = next.is_some();
        self.looked = Some((at, entries));
        next.into_iter().chain([at_or_after(at, self.settings.slide)]).min()
    }

    /// All entries of all directories that match.
    fn entries(&self, env: &Env) -> Result<Vec<DirectoryEntry>, TextFilesError> {
        let unlistable = |path: &Path, error| TextFilesError::Unlistable { path: path.to_owned(), error };
        let mut entries = Vec::new();
        let is_pattern = is_pattern(&self.settings.path);
        for directory in directories(env, &self.settings.path)? {
            match env.disk.list(&directory) {
                Ok(found) => entries.extend(found),
                // A directory that matched a pattern a moment ago may be renamed.
                Err(error) if is_pattern && error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(unlistable(&directory, error)),
            }
        }
        Ok(entries)
    }
}

/// The first multiple of `slide` that is not before `time`.
fn at_or_after(time: Time, slide: Duration) -> Time {
    let floor = time.floor(slide);
    if floor == time { time } else { floor + slide }
}

/// The partitions of a file. An empty file has none.
fn split(file: &DirectoryEntry, settings: &TextFilesSettings) -> impl Iterator<Item = FileSplit> {
    part_ranges(&file.path, file.bytes, settings.encoding).map(move |(start, end)| FileSplit {
        source: settings.source.clone(),
        path: file.path.clone(),
        start,
        end,
        file_bytes: file.bytes,
        modified: file.modified,
        max_line_bytes: settings.max_line_bytes,
    })
}

fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

/// The directories that a path stands for: itself, or those that its pattern matches now.
fn directories(env: &Env, path: &Path) -> Result<Vec<PathBuf>, TextFilesError> {
    if !is_pattern(path) {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = vec![PathBuf::new()];
    for component in path.components() {
        let name = component.as_os_str().to_string_lossy();
        if !matches!(component, Component::Normal(_)) || !is_pattern(Path::new(component.as_os_str())) {
            found.iter_mut().for_each(|directory| directory.push(component));
            continue;
        }
        let pattern = glob::Pattern::new(&name).map_err(|error| TextFilesError::Pattern {
            pattern: name.clone().into_owned(),
            problem: error.msg.to_owned(),
        })?;
        // As a shell does it: a pattern does not match a hidden name unless it says so.
        let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
        let mut next = Vec::new();
        for directory in found {
            let listed = env.disk.list(if directory.as_os_str().is_empty() { Path::new(".") } else { &directory });
            let matching = listed.into_iter().flatten().filter(|entry| entry.is_directory);
            next.extend(
                matching
                    .filter(|entry| pattern.matches_with(&entry.name, options))
                    .filter_map(|entry| Some(directory.join(entry.path.file_name()?))),
            );
        }
        found = next;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::PART_BYTES;
    use crate::env::Simulation;
    use proptest::prelude::*;

    fn settings(path: &str, new_files_only: bool) -> TextFilesSettings {
        TextFilesSettings {
            source: "lines".into(),
            path: path.into(),
            new_files_only,
            min_remember: Duration::from_secs(60),
            max_line_bytes: 100,
            encoding: Encoding::UTF_8,
            slide: Duration::from_secs(7),
        }
    }

    fn file(path: &str, modified_s: u64) -> DirectoryEntry {
        let path = PathBuf::from(path);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        DirectoryEntry { path, name, is_directory: false, modified: Time::from_ms(modified_s * 1000), bytes: 1 }
    }

    fn selected(selection: &mut Selection, batch_s: u64, entries: &[DirectoryEntry]) -> Vec<String> {
        let selected = selection.select(Time::from_ms(batch_s * 1000), entries.to_vec());
        selected.into_iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn a_file_is_taken_once_by_its_modification_time() {
        let mut selection = Selection::new(Time::from_ms(1_000_000), &settings("/in", true));
        // 60 s are 9 batches of 7 s: 63 s.
        let files =
            [file("/in/before", 999), file("/in/new", 1001), file("/in/later", 1008), file("/in/.hidden", 1001)];
        assert_eq!(selected(&mut selection, 1007, &files), ["new"]);
        assert_eq!(selected(&mut selection, 1014, &files), ["later"]);
        assert!(selected(&mut selection, 1021, &files).is_empty());
        // Shown late, but modified within the remembered time.
        assert_eq!(selected(&mut selection, 1063, &[file("/in/late", 1001)]), ["late"]);
        assert!(selected(&mut selection, 1070, &[file("/in/too-late", 1007)]).is_empty());
        // Forgotten after 63 s, and old by then; with a new modification time it is taken again.
        assert!(selected(&mut selection, 1084, &files).is_empty());
        assert_eq!(selected(&mut selection, 1091, &[file("/in/new", 1090)]), ["new"]);
    }

    /// S2.16, S2.19: while a file is remembered its changes are missed; with a new time after that it is read again.
    #[test]
    fn a_file_that_changes_is_not_read_again_while_it_is_remembered() {
        let mut selection = Selection::new(Time::from_ms(1_000_000), &settings("/in", true));
        assert_eq!(selected(&mut selection, 1007, &[file("/in/log", 1001)]), ["log"]);
        for (batch_s, modified_s) in [(1014, 1010), (1063, 1060)] {
            assert!(selected(&mut selection, batch_s, &[file("/in/log", modified_s)]).is_empty());
        }
        assert_eq!(selected(&mut selection, 1077, &[file("/in/log", 1071)]), ["log"]);
        assert!(selected(&mut selection, 1084, &[file("/in/log", 1071)]).is_empty());
    }

    /// A file may bear the time of a clock that has not ticked since before the start.
    #[test]
    fn a_file_made_right_after_the_start_is_new() {
        let mut selection = Selection::new(Time::from_ms(1_000_009), &settings("/in", true));
        assert_eq!(selected(&mut selection, 1007, &[file("/in/new", 1000)]), ["new"]);
    }

    proptest! {
        /// The next batch with files is the one that looking batch by batch finds.
        #[test]
        fn the_next_batch_with_files_is_known_ahead(
            modified in prop::collection::vec((0u64..5, 900u64..1300), 0..6),
            taken in prop::collection::vec((0u64..5, 140u64..150), 0..4),
            new_files_only in any::<bool>(),
        ) {
            let settings = settings("/in", new_files_only);
            let mut selection = Selection::new(Time::from_ms(950_000), &settings);
            for (name, batch) in taken {
                let path = PathBuf::from(format!("/in/{name}"));
                selection.taken.entry(Time::from_ms(batch * 7000)).or_default().insert(path);
            }
            let files: BTreeMap<u64, u64> = modified.into_iter().collect();
            let entries: Vec<_> = files.iter().map(|(name, time)| file(&format!("/in/{name}"), *time)).collect();
            let from = Time::from_ms(150 * 7000);
            let found = selection.next(from, settings.slide, &entries);
            let mut batches = (150..220).map(|batch| Time::from_ms(batch * 7000));
            prop_assert_eq!(found, batches.find(|batch| !selection.select(*batch, entries.clone()).is_empty()));
        }
    }

    #[test]
    fn existing_files_are_read_if_asked_and_not_too_old() {
        let mut selection = Selection::new(Time::from_ms(1_000_000), &settings("/in", false));
        assert_eq!(selected(&mut selection, 1007, &[file("/in/old", 944), file("/in/young", 945)]), ["young"]);
    }

    #[test]
    fn a_pattern_stands_for_directories() {
        let simulation = Simulation::new(0, Time::from_ms(1_000_000));
        for path in ["/logs/2016/a", "/logs/2017/b", "/logs/2017/deep/c", "/logs/file", "/other/d", "/logs/.x/e"] {
            simulation.file(path, "x");
        }
        let env = simulation.env();
        let found = |pattern: &str| directories(&env, Path::new(pattern)).unwrap();
        assert_eq!(found("/logs/*"), [Path::new("/logs/2016"), Path::new("/logs/2017")]);
        assert_eq!(found("/*/201[78]"), [Path::new("/logs/2017")]);
        assert_eq!(found("/logs/2017"), [Path::new("/logs/2017")]);
        assert!(directories(&env, Path::new("/logs/[")).is_err());
        let entries = TextFiles::start(&env, settings("/logs/*", false)).unwrap().entries(&env).unwrap();
        let files: Vec<_> =
            entries.iter().filter(|entry| !entry.is_directory).map(|entry| entry.name.as_str()).collect();
        assert_eq!(files, ["a", "b"]);
        assert!(TextFiles::start(&env, settings("/missing", false)).is_err());
    }

    #[test]
    fn a_file_is_split_into_parts_without_gaps() {
        let large = DirectoryEntry { bytes: 2 * PART_BYTES + 5, ..file("/in/large", 0) };
        let bounds: Vec<(u64, u64)> =
            split(&large, &settings("/in", true)).map(|part| (part.start, part.end)).collect();
        assert_eq!(bounds, [(0, PART_BYTES), (PART_BYTES, 2 * PART_BYTES), (2 * PART_BYTES, 2 * PART_BYTES + 5)]);
        assert_eq!(split(&DirectoryEntry { bytes: 0, ..large }, &settings("/in", true)).count(), 0);
    }
}
