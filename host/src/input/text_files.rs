//! Files that appear in directories and are read as lines. Spark calls this `textFileStream`.
//!
//! Owns the search of the directories, once for each batch, and the splits of files. Which files belong to which batch
//! is decided in `selection.rs`. Never reads a file: this input gives splits, and tasks read them.

use super::after_use::{DoneFiles, WhenDone};
use super::directories::{directories, is_pattern, list};
use super::error::TextFilesError;
use super::passed_over::PassedOver;
use super::selection::{Names, Selection, TakenFile, Verdict, at_or_after};
use super::{Input, InputHistory, NewData};
use crate::block::{FileSplit, FileStamp, InputPartition, part_ranges};
use crate::encoding::Encoding;
use crate::env::{DirectoryEntry, Env};
use crate::error::Error;
use crate::listener::PassedOverCause;
use crate::shown::Shown as _;
use crate::time::{Duration, Time};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The settings of a source of text files.
#[derive(Clone, Debug)]
pub struct TextFilesSettings {
    /// The name of the source in the job file.
    pub source: String,
    /// A directory, or a pattern of directories.
    pub path: PathBuf,
    /// Whether files that were modified before the start are left out.
    pub new_files_only: bool,
    /// A file counts as too old only if its modification time is at least this long ago.
    pub min_remember: Duration,
    /// Patterns of the file names that are read. If there are none, all names are read.
    pub include: Vec<String>,
    /// Patterns of the file names that are not read.
    pub ignore: Vec<String>,
    /// What happens to a file that is not needed any more.
    pub when_done: WhenDone,
    /// The longest line that is accepted.
    pub max_line_bytes: usize,
    /// The encoding of files without a byte order mark.
    pub encoding: Encoding,
    /// The batch interval.
    pub slide: Duration,
}

/// The result of a search of the directories.
#[derive(Clone, Debug, Default)]
struct Look {
    entries: Vec<DirectoryEntry>,
    /// The directories.
    directories: Vec<PathBuf>,
}

/// Finds new files for each batch.
pub struct TextFiles {
    settings: TextFilesSettings,
    selection: Selection,
    passed_over: PassedOver,
    found_in_last_batch: bool,
    /// The time and the result of the last search, if it can be used for the next batch.
    looked: Option<(Time, Look)>,
    /// The files of batches that are still needed. Empty if files stay where they are after use.
    needed: BTreeMap<Time, Vec<TakenFile>>,
}

impl TextFiles {
    /// Starts to watch the directories.
    ///
    /// # Errors
    /// Returns an error if a directory that is named without a pattern does not exist, or if a pattern is not valid.
    pub fn start(env: &Env, settings: TextFilesSettings) -> Result<Self, TextFilesError> {
        let names = Names { include: name_patterns(&settings.include)?, ignore: name_patterns(&settings.ignore)? };
        let TextFilesSettings { source, new_files_only, min_remember, slide, .. } = &settings;
        let selection = Selection::new(env.clock.now(), *new_files_only, *min_remember, *slide, names);
        let passed_over = PassedOver::new(source);
        let files =
            Self { settings, selection, passed_over, found_in_last_batch: true, looked: None, needed: BTreeMap::new() };
        let look = files.look(env)?;
        files.check_target(env, &look)?;
        files.warn_of_files(env, &look);
        Ok(files)
    }

    /// Checks that files are not moved into a directory that is watched.
    fn check_target(&self, env: &Env, look: &Look) -> Result<(), TextFilesError> {
        let WhenDone::Move(target) = &self.settings.when_done else { return Ok(()) };
        // A directory that does not exist yet cannot be one of the watched directories under another name.
        let id = env.disk.entry(target).ok().map(|entry| entry.id);
        let is_target = |path: &&PathBuf| {
            *path == target || (id.is_some() && env.disk.entry(path).ok().map(|entry| entry.id) == id)
        };
        if look.directories.iter().any(|path| is_target(&path)) {
            let name = self.settings.source.clone();
            return Err(TextFilesError::MovesInCircles { name, path: target.clone() });
        }
        Ok(())
    }

    /// Warns of a pattern that matches files and no directory. The pattern has to match directories.
    fn warn_of_files(&self, env: &Env, look: &Look) {
        let Self { settings: TextFilesSettings { source, path, .. }, .. } = self;
        let files = self.files_of_pattern(env, look);
        let Some(file) = files.first() else { return };
        let parent = file.path.parent().unwrap_or(Path::new("")).shown().into_owned();
        tracing::warn!(
            "sources.{source}.path = \"{}\" stands for directories and matches none, but files such as `{}`: name the \
             directory, as in \"{parent}\", to read its files",
            path.shown(),
            file.name
        );
    }

    /// The files that the pattern matches. Empty if the pattern matches a directory.
    fn files_of_pattern(&self, env: &Env, look: &Look) -> Vec<DirectoryEntry> {
        let path = &self.settings.path;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
        if !is_pattern(path) || !look.directories.is_empty() {
            return Vec::new();
        }
        let Ok(pattern) = glob::Pattern::new(&name.to_string_lossy()) else { return Vec::new() };
        let parents = directories(env, parent).unwrap_or_default();
        let mut files: Vec<DirectoryEntry> = parents.iter().flat_map(|parent| list(env, parent)).collect();
        files.retain(|entry| !entry.is_directory && pattern.matches(&entry.name));
        files
    }

    /// The splits of the files that belong to `batch`, ordered by path. If a directory cannot be listed, no file is
    /// taken, and the next batch sees the same files.
    fn find(&mut self, env: &Env, batch: Time) -> Result<NewData, TextFilesError> {
        // A search after the time of the batch serves the batch too: files that appeared later are for later batches.
        let (at, look) = match self.looked.take() {
            Some((at, look)) if at > batch => (at, look),
            _ => (env.clock.now(), self.look(env)?),
        };
        let Look { entries, directories } = &look;
        let verdicts = self.selection.select(batch, entries);
        let selected = entries.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == Verdict::Take);
        let mut selected: Vec<&DirectoryEntry> = selected.map(|(entry, _)| entry).collect();
        selected.sort_by(|a, b| a.path.cmp(&b.path));
        self.found_in_last_batch = !selected.is_empty();
        if self.settings.when_done != WhenDone::Keep && !selected.is_empty() {
            let files = selected.iter().map(|entry| TakenFile::new(batch, entry)).collect();
            self.needed.insert(batch, files);
        }
        let matched = if directories.is_empty() { self.files_of_pattern(env, &look) } else { Vec::new() };
        let matched = matched.iter().map(|entry| (PassedOverCause::MatchedByPath, entry));
        let events = self.passed_over.look(entries, &verdicts, matched);
        let splits = selected.iter().flat_map(|file| split(file, &self.settings));
        let partitions = splits.map(InputPartition::Split).collect();
        if at > batch + self.settings.slide {
            self.looked = Some((at, look));
        }
        Ok(NewData { partitions, blocks: Vec::new(), events })
    }

    /// The entries of all matching directories, except directories that are searched themselves.
    fn look(&self, env: &Env) -> Result<Look, TextFilesError> {
        let is_pattern = is_pattern(&self.settings.path);
        let directories = directories(env, &self.settings.path)?;
        let mut entries = Vec::new();
        for directory in &directories {
            match env.disk.list(directory) {
                Ok(found) => entries.extend(found),
                // A directory that matched a pattern a moment ago may have been renamed.
                Err(error) if is_pattern && error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(TextFilesError::Unlistable { path: directory.clone(), error }),
            }
        }
        let watched: std::collections::BTreeSet<&PathBuf> = directories.iter().collect();
        entries.retain(|entry| !entry.is_directory || !watched.contains(&entry.path));
        drop(watched);
        Ok(Look { entries, directories })
    }
}

impl Input for TextFiles {
    fn source(&self) -> &str {
        &self.settings.source
    }

    /// Goes on as if the directories had been watched since the first start of the job, and as if batches had been
    /// given files as the allocation log says.
    fn resume(&mut self, history: InputHistory<'_>) -> Result<(), Error> {
        let InputHistory { started, last_batch, given, is_outcome_known, .. } = history;
        let mut taken = Vec::new();
        for (batch, partitions) in given {
            for partition in partitions {
                if let InputPartition::Split(FileSplit { start: 0, path, stamp, file_bytes: bytes, .. }) = partition {
                    taken.push(TakenFile { batch, path, stamp, bytes });
                }
            }
        }
        self.needed.clear();
        for file in
            taken.iter().filter(|file| self.settings.when_done != WhenDone::Keep && is_outcome_known(file.batch))
        {
            self.needed.entry(file.batch).or_default().push(file.clone());
        }
        self.selection.resume(started, last_batch, taken);
        Ok(())
    }

    fn read(&mut self, env: &Env, batch: Time) -> Result<NewData, String> {
        self.find(env, batch).map_err(|error| error.to_string())
    }

    /// Every batch whose time has not passed yet may have data.
    fn next_data(&mut self, env: &Env, from: Time) -> Option<Time> {
        let looked = self.looked.take().filter(|(at, _)| *at > from);
        let looked = looked.or_else(|| Some((env.clock.now(), self.look(env).ok()?)));
        // An error is reported when the batch is made.
        let Some((at, look)) = looked else { return Some(from) };
        let next = self.selection.next(from, self.settings.slide, &look.entries);
        self.found_in_last_batch = next.is_some();
        self.looked = Some((at, look));
        next.into_iter().chain([at_or_after(at, self.settings.slide)]).min()
    }

    fn remembered(&self) -> Duration {
        self.selection.remembered()
    }

    fn failed(&mut self, batch: Time) {
        self.needed.remove(&batch);
    }

    fn done_before(&mut self, before: Time) -> Option<DoneFiles> {
        let needed = self.needed.split_off(&before);
        let files: Vec<TakenFile> = std::mem::replace(&mut self.needed, needed).into_values().flatten().collect();
        let Self { settings: TextFilesSettings { source, when_done, .. }, .. } = self;
        (!files.is_empty()).then(|| DoneFiles { source: source.clone(), when_done: when_done.clone(), files })
    }

    /// Whether the last batch had no new file.
    fn is_used_up(&self) -> bool {
        !self.found_in_last_batch
    }
}

fn name_patterns(words: &[String]) -> Result<Vec<glob::Pattern>, TextFilesError> {
    let pattern = |word: &String| {
        glob::Pattern::new(word).map_err(|error| {
            let problem = error.msg.to_owned();
            TextFilesError::NamePattern { pattern: word.clone(), problem }
        })
    };
    words.iter().map(pattern).collect()
}

/// The splits of a file. An empty file has none.
fn split(file: &DirectoryEntry, settings: &TextFilesSettings) -> impl Iterator<Item = FileSplit> {
    part_ranges(&file.path, file.bytes, settings.encoding).map(move |(start, end)| FileSplit {
        source: settings.source.clone(),
        path: file.path.clone(),
        start,
        end,
        file_bytes: file.bytes,
        stamp: FileStamp::from(file),
        checksum: None,
        max_line_bytes: settings.max_line_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::super::selection::tests::file;
    use super::*;
    use crate::block::PART_BYTES;
    use crate::env::Simulation;
    use crate::listener::Event;

    fn settings(path: &str, new_files_only: bool) -> TextFilesSettings {
        TextFilesSettings {
            source: "lines".into(),
            path: path.into(),
            new_files_only,
            min_remember: Duration::from_secs(60),
            include: Vec::new(),
            ignore: Vec::new(),
            when_done: WhenDone::Keep,
            max_line_bytes: 100,
            encoding: Encoding::UTF_8,
            slide: Duration::from_secs(7),
        }
    }

    #[test]
    fn the_files_of_all_directories_are_found_and_others_are_told() {
        let simulation = Simulation::new(0, Time::from_ms(1_000_000));
        for path in ["/logs/2016/a", "/logs/2017/b", "/logs/2017/deep/c", "/logs/file"] {
            simulation.file(path, "x");
        }
        let env = simulation.env();
        let found = |path: &str| {
            let found = TextFiles::start(&env, settings(path, false)).unwrap().find(&env, Time::from_ms(1_001_000));
            let NewData { partitions, events, .. } = found.unwrap();
            let path = |partition: &InputPartition| match partition {
                InputPartition::Split(split) => Some(split.path.display().to_string()),
                InputPartition::Block { .. } | InputPartition::Range(_) => None,
            };
            let paths: Vec<String> = partitions.iter().filter_map(path).collect();
            let told: Vec<String> = events
                .iter()
                .filter_map(|event| match event {
                    Event::FilesPassedOver(info) => Some(format!("{} {}", info.cause.word(), info.example)),
                    _ => None,
                })
                .collect();
            (paths.join(" "), told.join(" "))
        };
        let expect = |paths: &str, told: &str| (paths.to_owned(), told.to_owned());
        assert_eq!(found("/logs/*"), expect("/logs/2016/a /logs/2017/b", "nested /logs/2017/deep"));
        assert_eq!(found("/logs/**"), expect("/logs/2016/a /logs/2017/b /logs/2017/deep/c /logs/file", ""));
        assert_eq!(found("/logs/f*"), expect("", "matched_by_path /logs/file"));
        assert!(TextFiles::start(&env, settings("/missing", false)).is_err());
    }

    #[test]
    fn files_are_not_moved_in_circles() {
        let simulation = Simulation::new(0, Time::from_ms(1_000_000));
        simulation.file("/logs/done/a", "x");
        let env = simulation.env();
        let start = |path: &str, target: &str| {
            let when_done = WhenDone::Move(target.into());
            TextFiles::start(&env, TextFilesSettings { when_done, ..settings(path, true) }).map(drop)
        };
        assert!(start("/logs", "/logs/done").is_ok() && start("/logs", "/elsewhere").is_ok());
        for (path, target) in [("/logs", "/logs"), ("/logs/*", "/logs/done"), ("/logs/**", "/logs/done")] {
            assert!(matches!(start(path, target), Err(TextFilesError::MovesInCircles { .. })), "{path} {target}");
        }
    }

    #[test]
    fn files_are_done_batch_by_batch() {
        let simulation = Simulation::new(0, Time::from_ms(1_000_000));
        simulation.file_at(Time::default(), Time::from_ms(1_000_500), "/in/a", "x");
        simulation.file_at(Time::default(), Time::from_ms(1_007_500), "/in/b", "x");
        let env = simulation.env();
        let delete = TextFilesSettings { when_done: WhenDone::Delete, ..settings("/in", true) };
        let mut files = TextFiles::start(&env, delete).unwrap();
        for batch in [1_001_000, 1_008_000, 1_015_000] {
            files.find(&env, Time::from_ms(batch)).unwrap();
        }
        let mut done = |before| {
            let done = files.done_before(Time::from_ms(before));
            done.map_or(Vec::new(), |done| done.files.into_iter().map(|file| file.path).collect())
        };
        assert_eq!(done(1_001_000), Vec::<PathBuf>::new());
        assert_eq!(done(1_001_001), [PathBuf::from("/in/a")]);
        assert_eq!(done(1_002_000), Vec::<PathBuf>::new());
        files.failed(Time::from_ms(1_008_000));
        assert!(files.done_before(Time::from_ms(2_000_000)).is_none());
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
