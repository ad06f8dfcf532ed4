//! Memory that the storage lends to others: for descriptions of rows, and for work on rows.

use super::super::spill::SpillError;
use super::Shared;
use std::sync::Arc;

/// Memory for descriptions. Dropping it gives the memory back.
pub struct Described {
    pub(super) shared: Arc<Shared>,
    pub(super) bytes: usize,
}

impl Drop for Described {
    fn drop(&mut self) {
        self.shared.overhead.remove(self.bytes);
    }
}

/// Memory for work on rows. Dropping it gives the memory back.
pub struct Scratch {
    pub(super) shared: Arc<Shared>,
    pub(super) bytes: usize,
}

impl Scratch {
    /// Changes the size of this memory to `bytes`. Stored rows are moved to files if that makes room.
    ///
    /// # Errors
    /// If there is not enough memory, or if the rows that have to be moved to files cannot be written.
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
