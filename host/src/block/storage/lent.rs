//! Memory that the storage lends: for descriptions of rows, and for work on rows.

use super::super::spill::SpillError;
use super::Shared;
use std::sync::Arc;

/// Memory for descriptions. Given back when dropped.
pub struct Described {
    pub(super) shared: Arc<Shared>,
    pub(super) bytes: usize,
}

impl Drop for Described {
    fn drop(&mut self) {
        self.shared.overhead.remove(self.bytes);
    }
}

/// Memory for work on rows. Given back when dropped.
pub struct Scratch {
    pub(super) shared: Arc<Shared>,
    pub(super) bytes: usize,
}

impl Scratch {
    /// Makes it so many bytes. Rows that are stored go to files if that makes room.
    ///
    /// # Errors
    /// When there is no room for them in memory, or none on the disk for what has to go there.
    pub fn resize(&mut self, bytes: usize) -> Result<(), SpillError> {
        if bytes <= self.bytes {
            self.shared.work.remove(self.bytes - bytes);
            self.bytes = bytes;
            return Ok(());
        }
        while let Err(error) = self.shared.work.add(bytes - self.bytes) {
            let Some(entry) = self.shared.oldest() else { return Err(error.into()) };
            entry.push_out()?;
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.shared.work.remove(self.bytes);
    }
}
