//! A file of events, one line of JSON for each.
//!
//! Owns when lines are written to the file, and what happens when the disk refuses them. See `event_json.rs` for the
//! lines.

use super::event_json::json_line;
use super::{Event, QueuedListener};
use crate::env::Disk;
use crate::ids::RunId;
use crate::shown::Shown as _;
use crate::time::Time;
use std::io::{self, Write as _};
use std::path::Path;

/// Lines are written when a batch is done, and when the lines that wait reach this size.
const BUFFER_BYTES: usize = 64 << 10;

/// Writes events to a file.
pub struct EventLog {
    name: String,
    file: Box<dyn io::Write + Send>,
    /// Lines that are not in the file yet, and their number.
    lines: Vec<u8>,
    count: u64,
    /// The number of events that could not be written since the last write that succeeded.
    lost: u64,
}

impl EventLog {
    /// Makes the file, or empties the file that is there. Other users cannot read a new file, because events contain
    /// values of records.
    ///
    /// # Errors
    /// Returns the error of the file system.
    pub fn create(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file = disk.create_private(path)?;
        Ok(Self { name: path.shown().into_owned(), file, lines: Vec::new(), count: 0, lost: 0 })
    }

    fn write(&mut self, at: Time) {
        if self.lost > 0 {
            // The last write may have ended in the middle of a line.
            let dropped = json_line(at, RunId::FIRST, &Event::EventsDropped { count: self.lost });
            self.lines.splice(0..0, format!("\n{dropped}").into_bytes());
        }
        let written = self.file.write_all(&self.lines).and_then(|()| self.file.flush());
        self.lines.clear();
        let count = std::mem::take(&mut self.count);
        match written {
            Ok(()) => self.lost = 0,
            Err(error) => {
                if self.lost == 0 {
                    tracing::warn!("cannot write events to {}: {error}; they are lost until that ends", self.name);
                }
                self.lost += count;
            }
        }
    }
}

impl QueuedListener for EventLog {
    fn on_event(&mut self, at: Time, run: RunId, event: &Event) {
        let _ = write!(self.lines, "{}", json_line(at, run, event));
        self.count += 1;
        let is_end = matches!(
            event,
            Event::BatchCompleted(_)
                | Event::StreamingStarted { .. }
                | Event::StreamingStopped { .. }
                | Event::EventsDropped { .. }
        );
        if is_end || self.lines.len() >= BUFFER_BYTES {
            self.write(at);
        }
    }
}

#[cfg(test)]
mod tests;
