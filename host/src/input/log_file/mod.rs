//! A file that a program appends lines to, such as the log of a server. The file is followed as `tail -F` follows it:
//! when another file gets the name, the rest of the old file is read, and then the new file.
//!
//! Owns the search for new lines, once for each batch. A batch gets ranges of bytes that end at line ends. Which files
//! are followed is decided in `followed.rs`. Never gives the lines themselves: tasks read them, by `reader.rs`.

mod followed;
mod reader;

use super::selection::at_or_after;
use super::{Input, InputHistory, NewData};
use crate::block::{Codec, InputPartition, LogRange, PART_BYTES, RangeReader};
use crate::encoding::Encoding;
use crate::env::{Env, advice};
use crate::error::{Error, ErrorKind};
use crate::listener::Event;
use crate::lock::lock;
use crate::shown::Shown as _;
use crate::time::{Duration, Time};
use followed::{Fate, Followed, Partition, Seen, follow};
use reader::{LogFileReader, READ_BYTES, SEARCHES_MAX};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The settings of a log file.
#[derive(Clone, Debug)]
pub struct LogFileSettings {
    /// The name of the source in the job file.
    pub source: String,
    /// The path of the file.
    pub path: PathBuf,
    /// Whether a job that is started for the first time reads the lines that the file has already.
    pub reads_existing: bool,
    /// The longest line that is accepted.
    pub max_line_bytes: usize,
    /// The encoding of files without a byte order mark.
    pub encoding: Encoding,
    /// The batch interval.
    pub slide: Duration,
}

/// Follows a file.
pub struct LogFile {
    source: String,
    slide: Duration,
    /// The files whose lines were not all given to batches, in the order in which they are read.
    files: Vec<Followed>,
    reader: Arc<LogFileReader>,
    found_in_last_batch: bool,
}

/// The new lines of a file, as ranges of bytes.
#[derive(Default)]
struct NewLines {
    ranges: Vec<LogRange>,
    events: Vec<Event>,
    files: Vec<Followed>,
    /// The names of the partitions whose content is gone, because their files were truncated.
    truncated: Vec<String>,
}

impl LogFile {
    /// Starts to follow a file. The file does not have to exist yet.
    ///
    /// # Errors
    /// Returns an error if the directory of the file cannot be listed, or if the file is compressed or not a regular
    /// file.
    pub fn start(env: &Env, settings: LogFileSettings) -> Result<Self, Error> {
        let LogFileSettings { source, path, reads_existing, max_line_bytes, encoding, slide } = settings;
        if Codec::of(&path).is_some() {
            let message = format!("source `{source}` follows {}, which is compressed", path.shown());
            return Err(Error::new(ErrorKind::User, message)
                .help("name the file that is written to, or read compressed files with type = \"text-files\""));
        }
        let truncated = Mutex::new(BTreeSet::new());
        let reader = LogFileReader { disk: env.disk.clone(), path, encoding, max_line_bytes, truncated };
        let mut log = Self { source, slide, files: Vec::new(), reader: Arc::new(reader), found_in_last_batch: true };
        let failed = |path: &Path, error: io::Error| {
            let message = format!("source `{}` cannot follow {}: {error}", log.source.shown(), path.shown());
            Error::new(ErrorKind::User, message).help(match error.kind() {
                io::ErrorKind::NotFound => "make the directory, or correct `path`".to_owned(),
                io::ErrorKind::InvalidInput => "`path` names a file, not a directory or a pipe".to_owned(),
                _ => advice(&error, &path.shown()),
            })
        };
        log.reader.others().map_err(|error| failed(log.reader.directory(), error))?;
        let current = log.reader.current().map_err(|error| failed(&log.reader.path, error))?;
        if let Some(seen) = current {
            let partition = Partition::new(&log.name(), seen.id);
            let end = if reads_existing { Ok(None) } else { log.last_line_end(&seen, 0) };
            let position = end.map_err(|error| failed(&seen.path, error))?.unwrap_or(0);
            log.files.push(Followed::new(partition, position));
        }
        Ok(log)
    }

    /// The name of the file, without its directory.
    fn name(&self) -> String {
        self.reader.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The files that are followed now, and the fate of each.
    fn look(&self) -> io::Result<Vec<(Followed, Fate)>> {
        let current = self.reader.current()?;
        let is_current = |file: &Followed| current.as_ref().is_some_and(|seen| file.partition.is(seen.id));
        let others = if self.files.iter().all(is_current) { Vec::new() } else { self.reader.others()? };
        let fates = follow(&self.files, &self.name(), current.as_ref(), &others);
        if fates.iter().all(|(_, fate)| *fate != Fate::Gone) {
            return Ok(fates);
        }
        // A file that is renamed while the directory is listed may be missing in the list.
        Ok(follow(&self.files, &self.name(), current.as_ref(), &self.reader.others()?))
    }

    /// The position after the last line end of a file, if there is a line end at or after `from`.
    fn last_line_end(&self, seen: &Seen, from: u64) -> io::Result<Option<u64>> {
        let mut end = seen.bytes;
        while end > from {
            let start = end.saturating_sub(READ_BYTES as u64).max(from);
            let bytes = self.reader.bytes(seen, start..end)?;
            if let Some(at) = memchr::memrchr(b'\n', &bytes) {
                return Ok(Some(start + at as u64 + 1));
            }
            end = start;
        }
        Ok(None)
    }

    /// The position after the first line end of a file at or after `from`. It is `until` if there is none before that.
    fn first_line_end(&self, seen: &Seen, from: u64, until: u64) -> io::Result<u64> {
        let mut start = from;
        while start < until {
            let end = start.saturating_add(READ_BYTES as u64).min(until);
            let bytes = self.reader.bytes(seen, start..end)?;
            if let Some(at) = memchr::memchr(b'\n', &bytes) {
                return Ok(start + at as u64 + 1);
            }
            start = end;
        }
        Ok(until)
    }

    /// Whether a line of the file begins at `position`.
    fn begins_line(&self, seen: &Seen, position: u64) -> io::Result<bool> {
        let Some(before) = position.checked_sub(1) else { return Ok(true) };
        Ok(self.reader.bytes(seen, before..position)? == [b'\n'])
    }

    /// A range of bytes of a file.
    fn range(&self, partition: &Partition, from: u64, until: u64, is_last: bool) -> LogRange {
        LogRange {
            source: self.source.clone(),
            partition: partition.to_string(),
            from: i64::try_from(from).unwrap_or(i64::MAX),
            until: i64::try_from(until).unwrap_or(i64::MAX),
            is_last,
            checksum: None,
        }
    }

    /// Adds the ranges of a file up to `until`. Each but the last ends at the first line end after [`PART_BYTES`].
    fn add_ranges(
        &self,
        file: &Followed,
        seen: &Seen,
        until: u64,
        is_last: bool,
        new: &mut NewLines,
    ) -> io::Result<()> {
        let mut from = file.position;
        while until - from > PART_BYTES {
            let end = self.first_line_end(seen, from + PART_BYTES - 1, until)?;
            if end == until {
                break;
            }
            new.ranges.push(self.range(&file.partition, from, end, false));
            from = end;
        }
        // An empty range tells the allocation log of the position, or that the file has no more lines.
        if from < until || is_last || file.is_new {
            new.ranges.push(self.range(&file.partition, from, until, is_last));
        }
        Ok(())
    }

    /// Adds the new lines of a file that may get more.
    fn take_open(&self, file: Followed, seen: &Seen, new: &mut NewLines) -> io::Result<()> {
        if seen.bytes != file.searched && !self.begins_line(seen, file.position)? {
            return self.take_truncated(&file, seen, "was written over", new);
        }
        let searched = if seen.bytes < file.searched { file.position } else { file.searched };
        let until = self.last_line_end(seen, searched)?.unwrap_or(file.position);
        self.add_ranges(&file, seen, until, false, new)?;
        new.files.push(Followed { position: until, searched: seen.bytes.max(until), is_new: false, ..file });
        Ok(())
    }

    /// Adds the lines of a file that has lost the lines that were read. They are the lines of another partition.
    fn take_truncated(&self, file: &Followed, seen: &Seen, what: &str, new: &mut NewLines) -> io::Result<()> {
        let problem = format!("{} {what}, and is read from its beginning", seen.path.shown());
        self.lose(file, &problem, new);
        new.truncated.push(file.partition.to_string());
        self.take_open(Followed::new(file.partition.truncated(), 0), seen, new)
    }

    /// Ends a partition, and reports that the lines after its position are lost.
    fn lose(&self, file: &Followed, problem: &str, new: &mut NewLines) {
        let Followed { partition, position, .. } = file;
        new.ranges.push(self.range(partition, *position, *position, true));
        new.events.push(Event::DataLost {
            source: self.source.clone(),
            partition: partition.to_string(),
            position: i64::try_from(*position).unwrap_or(i64::MAX),
            problem: problem.to_owned(),
        });
    }

    fn find(&self) -> io::Result<NewLines> {
        let mut new = NewLines::default();
        for (file, fate) in self.look()? {
            match fate {
                Fate::Open(seen) => self.take_open(file, &seen, &mut new)?,
                Fate::Finished(seen) => self.add_ranges(&file, &seen, seen.bytes, true, &mut new)?,
                Fate::Truncated(seen) => self.take_truncated(&file, &seen, "was truncated", &mut new)?,
                Fate::Gone => {
                    let directory = self.reader.directory().shown();
                    self.lose(&file, &format!("the file is not in {directory} any more"), &mut new);
                }
            }
        }
        Ok(new)
    }

    /// The new lines of all files. A file that gets another name meanwhile is looked for again.
    fn find_again(&self) -> io::Result<NewLines> {
        let is_renamed =
            |found: &io::Result<NewLines>| found.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        let mut found = self.find();
        for _ in 1..SEARCHES_MAX {
            if !is_renamed(&found) {
                break;
            }
            found = self.find();
        }
        found
    }
}

impl Input for LogFile {
    fn source(&self) -> &str {
        &self.source
    }

    fn ranges(&self) -> Option<Arc<dyn RangeReader>> {
        Some(self.reader.clone())
    }

    /// Goes on at the positions that the allocation log has. A file that the log does not know is read from its
    /// beginning, unless no batch was made yet.
    fn resume(&mut self, history: InputHistory<'_>) -> Result<(), Error> {
        if history.last_batch.is_none() {
            return Ok(());
        }
        let known = history.log_positions.iter().filter_map(|(name, position)| {
            let file = Followed::new(Partition::named(name)?, u64::try_from(*position).unwrap_or(0));
            Some(Followed { is_new: false, ..file })
        });
        self.files = known.collect();
        let is_older = |partition: &Partition| self.files.iter().any(|file| partition.is_before(&file.partition));
        let given =
            history.given.iter().flat_map(|(_, partitions)| partitions).filter_map(|partition| match partition {
                InputPartition::Range(range) => Some(&range.partition),
                InputPartition::Block { .. } | InputPartition::Split(_) => None,
            });
        let truncated = given.filter(|name| Partition::named(name).is_some_and(|partition| is_older(&partition)));
        lock(&self.reader.truncated).extend(truncated.cloned());
        Ok(())
    }

    fn read(&mut self, _: &Env, _: Time) -> Result<NewData, String> {
        let NewLines { ranges, events, files, truncated } =
            self.find_again().map_err(|error| format!("cannot follow {}: {error}", self.reader.path.shown()))?;
        lock(&self.reader.truncated).extend(truncated);
        self.found_in_last_batch = !ranges.is_empty();
        self.files = files;
        Ok(NewData { partitions: ranges.into_iter().map(InputPartition::Range).collect(), blocks: Vec::new(), events })
    }

    /// Every batch whose time has not passed yet may have data.
    fn next_data(&mut self, env: &Env, from: Time) -> Option<Time> {
        let has_news = |(file, fate): &(Followed, Fate)| match fate {
            Fate::Open(seen) => seen.bytes != file.searched || file.is_new,
            Fate::Finished(_) | Fate::Truncated(_) | Fate::Gone => true,
        };
        let now = env.clock.now();
        // An error is reported when the batch is made.
        let has_news = self.look().map_or(true, |files| files.iter().any(has_news));
        self.found_in_last_batch |= has_news;
        Some(if has_news { from } else { at_or_after(now, self.slide) })
    }

    fn is_used_up(&self) -> bool {
        !self.found_in_last_batch
    }
}

#[cfg(test)]
mod tests;
