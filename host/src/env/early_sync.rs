//! A file that is appended to and synced, such as a segment of a log, and whose long writes do not wait for the disk.
//!
//! Owns that the disk begins to store data while more data is written: the sync at the end then waits only for the rest.
//! Never hides an error: the sync at the end returns an error of an earlier one.

use super::OutputFile;
use std::fs::File;
use std::io::{self, Write};
use std::thread::JoinHandle;

/// After this many bytes, the disk begins to store what was written.
const EARLY_BYTES: usize = 2 << 20;

/// A file whose data is synced while more is written.
pub(super) struct EarlySync {
    file: File,
    /// The bytes that were written since the disk began to store data.
    waiting_bytes: usize,
    /// A sync that is under way, or has ended and was not asked for its outcome.
    early: Option<JoinHandle<io::Result<()>>>,
}

impl EarlySync {
    pub(super) const fn new(file: File) -> Self {
        Self { file, waiting_bytes: 0, early: None }
    }

    /// Waits for the sync that is under way, if there is one.
    fn wait(&mut self) -> io::Result<()> {
        let ended = self.early.take().map(JoinHandle::join);
        ended.unwrap_or(Ok(Ok(()))).unwrap_or_else(|_| Err(io::Error::other("the thread of a sync has panicked")))
    }

    /// Lets the disk begin to store what was written, unless the disk is at work already.
    fn begin(&mut self) -> io::Result<()> {
        if self.early.as_ref().is_some_and(|early| !early.is_finished()) {
            return Ok(());
        }
        self.wait()?;
        let file = self.file.try_clone()?;
        let started = std::thread::Builder::new().name("sync".to_owned()).spawn(move || file.sync_data());
        // Without a thread, the sync at the end stores everything.
        self.early = started.ok();
        self.waiting_bytes = 0;
        Ok(())
    }
}

impl Write for EarlySync {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.waiting_bytes = self.waiting_bytes.saturating_add(written);
        if self.waiting_bytes >= EARLY_BYTES {
            self.begin()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl OutputFile for EarlySync {
    fn sync(&mut self) -> io::Result<()> {
        self.wait()?;
        self.waiting_bytes = 0;
        // The size of the file is stored as well, and its times are not: nobody needs them after a crash.
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    #[test]
    fn what_was_written_is_in_the_file_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut file = EarlySync::new(OpenOptions::new().append(true).create(true).open(&path).unwrap());
        let mut expected = Vec::new();
        for piece in 0..40u8 {
            let bytes = vec![piece; EARLY_BYTES / 7];
            file.write_all(&bytes).unwrap();
            expected.extend(bytes);
            if piece % 13 == 12 {
                file.sync().unwrap();
            }
        }
        file.sync().unwrap();
        assert!(std::fs::read(&path).unwrap() == expected);
    }

    /// A file of the system that refuses data: each early sync fails, and so does the sync at the end.
    #[test]
    fn an_error_of_an_early_sync_is_returned_by_the_last_one() {
        let (_, end) = io::pipe().unwrap();
        let mut file = EarlySync::new(File::from(std::os::fd::OwnedFd::from(end)));
        // Pipes cannot be synced.
        file.begin().unwrap();
        assert!(file.sync().is_err());
    }
}
