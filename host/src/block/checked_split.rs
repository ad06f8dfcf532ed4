//! Reads a part of a file, and checks that its content is the content that the batch was given.

use super::file_stamp::{self, SplitError};
use super::partition::{FileSplit, SplitReader};
use crate::data::lines::LineFaults;
use crate::encoding::Encoding;
use crate::env::Disk;
use crate::memory::MemoryBudget;
use arrow::array::RecordBatch;
use std::path::PathBuf;
use std::sync::Arc;

/// A part of a file, or a range of a log, that a batch has read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadPart {
    /// The name of the source.
    pub source: String,
    /// The path of the file, or the name of the partition of the log.
    pub path: PathBuf,
    /// The first byte of the part, or the position at which the range begins.
    pub start: u64,
    /// The checksum of the part.
    pub checksum: u64,
}

/// Reads the lines of a [`FileSplit`], chunk by chunk. A caller must not keep any of the lines before it has reached
/// the end: only at the end it is known that the lines are the right ones.
pub struct CheckedSplit {
    reader: SplitReader,
    split: FileSplit,
    disk: Arc<dyn Disk>,
}

impl CheckedSplit {
    /// Opens the file. The encoding is the one of the file's byte order mark; if the file has no mark, the encoding is
    /// `expected`. The file must match everything that the split says about its content.
    ///
    /// # Errors
    /// If the file is gone or has changed, or if reading it fails.
    pub fn open(
        split: FileSplit,
        disk: &Arc<dyn Disk>,
        expected: Encoding,
        budget: &MemoryBudget,
    ) -> Result<Self, SplitError> {
        check(&split, &**disk)?;
        let reader = split.read(&**disk, expected, budget).map_err(|error| file_stamp::failed(&split.path, error))?;
        Ok(Self { reader, split, disk: disk.clone() })
    }

    /// The next chunk of lines; `None` at the end.
    ///
    /// # Errors
    /// If the file is gone or has changed, or if reading it fails.
    pub fn next_chunk(&mut self) -> Result<Option<RecordBatch>, SplitError> {
        let next = self.reader.next_chunk();
        if matches!(next, Ok(Some(_))) {
            return next.map_err(|error| file_stamp::failed(&self.split.path, error));
        }
        // If the file has changed, that is the reason for any other problem. A file that was removed meanwhile is read
        // to its end.
        match check(&self.split, &*self.disk) {
            Err(SplitError::Gone { .. }) => {}
            checked => checked?,
        }
        let end = next.map_err(|error| file_stamp::failed(&self.split.path, error))?;
        match self.split.checksum {
            Some(checksum) if checksum != self.reader.checksum() => {
                let change = "its content is different from when it was read before".to_owned();
                Err(SplitError::Changed { path: self.split.path.clone(), change })
            }
            _ => Ok(end),
        }
    }

    /// The checksum of the lines that were read so far.
    pub fn checksum(&self) -> u64 {
        self.reader.checksum()
    }

    /// The faults of the lines that were read so far. Lines are counted from the beginning of the range.
    pub fn faults(&self) -> LineFaults {
        self.reader.faults()
    }

    /// The encoding of the file.
    pub fn encoding(&self) -> Encoding {
        self.reader.encoding()
    }
}

fn check(split: &FileSplit, disk: &dyn Disk) -> Result<(), SplitError> {
    let FileSplit { path, file_bytes, stamp, checksum, .. } = split;
    file_stamp::check_file(disk, path, *file_bytes, stamp, checksum.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::FileStamp;
    use crate::env::Simulation;
    use crate::time::Time;
    use arrow::array::AsArray as _;
    use std::path::Path;

    fn split(simulation: &Simulation) -> FileSplit {
        let entry = simulation.env().disk.entry(Path::new("/in/a")).unwrap();
        FileSplit {
            source: "lines".to_owned(),
            path: entry.path.clone(),
            start: 0,
            end: entry.bytes,
            file_bytes: entry.bytes,
            stamp: FileStamp::from(&entry),
            checksum: None,
            max_line_bytes: 100,
        }
    }

    fn open(split: &FileSplit, disk: &Arc<dyn Disk>) -> Result<CheckedSplit, SplitError> {
        CheckedSplit::open(split.clone(), disk, Encoding::UTF_8, &MemoryBudget::new(1 << 20, 0).unwrap())
    }

    fn read(split: &FileSplit, simulation: &Simulation) -> Result<(Vec<String>, u64), SplitError> {
        let mut reader = open(split, &simulation.env().disk)?;
        let mut lines = Vec::new();
        while let Some(chunk) = reader.next_chunk()? {
            lines.extend(chunk.column(0).as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        Ok((lines, reader.checksum()))
    }

    fn change(split: &FileSplit, simulation: &Simulation) -> String {
        read(split, simulation).unwrap_err().to_string()
    }

    #[test]
    fn what_is_appended_is_not_read() {
        let simulation = Simulation::new(0, Time::from_ms(1000));
        simulation.file("/in/a", "one\ntwo\n");
        let split = split(&simulation);
        let (lines, checksum) = read(&split, &simulation).unwrap();
        let mut file = simulation.env().disk.append(Path::new("/in/a")).unwrap();
        std::io::Write::write_all(&mut file, b"three\n").unwrap();
        assert_eq!(read(&split, &simulation).unwrap(), (lines.clone(), checksum));
        assert_eq!(lines, ["one", "two"]);
        let again = FileSplit { checksum: Some(checksum), ..split };
        assert_eq!(read(&again, &simulation).unwrap().0, lines);
    }

    #[test]
    fn what_was_read_through_may_come_back_as_a_copy_and_as_nothing_else() {
        let simulation = Simulation::new(0, Time::from_ms(1000));
        simulation.file("/in/a", "one\ntwo\n");
        let first = split(&simulation);
        let again = FileSplit { checksum: Some(read(&first, &simulation).unwrap().1), ..first.clone() };
        simulation.env().disk.remove(Path::new("/in/a")).unwrap();
        assert_eq!(change(&again, &simulation), "/in/a is gone");
        simulation.file("/in/a", "one\ntwo\n");
        assert_eq!(read(&again, &simulation).unwrap().0, ["one", "two"]);
        assert_eq!(
            change(&first, &simulation),
            "/in/a has changed since the batch was made: another file has its name"
        );
        simulation.file("/in/a", "one\nTWO\n");
        let expected =
            "/in/a has changed since the batch was made: its content is different from when it was read before";
        assert_eq!(change(&again, &simulation), expected);
    }

    #[test]
    fn a_file_that_is_removed_is_read_to_its_end() {
        let simulation = Simulation::new(0, Time::from_ms(1000));
        simulation.file("/in/a", "one\n");
        let disk = simulation.env().disk;
        let mut reader = open(&split(&simulation), &disk).unwrap();
        disk.remove(Path::new("/in/a")).unwrap();
        assert_eq!(reader.next_chunk().unwrap().map(|lines| lines.num_rows()), Some(1));
        assert!(reader.next_chunk().unwrap().is_none());
    }

    /// The same file, with the same size.
    #[test]
    fn what_is_written_over_is_a_change() {
        let simulation = Simulation::new(0, Time::from_ms(1000));
        simulation.file("/in/a", "one\ntwo\n");
        let split = split(&simulation);
        let mut file = simulation.env().disk.create(Path::new("/in/a")).unwrap();
        std::io::Write::write_all(&mut file, b"one\nTWO\n").unwrap();
        let expected = "/in/a has changed since the batch was made: it was modified at 1970-01-01T00:00:01Z, and before that at 1970-01-01T00:00:00Z";
        assert_eq!(change(&split, &simulation), expected);
    }
}
