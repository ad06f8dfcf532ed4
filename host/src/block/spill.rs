//! Record batches in scratch files, in Arrow's IPC format.
//!
//! Owns the files and what they may take of the disk. Never decides what is written: see `storage.rs`.

use crate::env::{Disk, ScratchFile, persistence};
use crate::error::Persistence;
use crate::lock::lock;
use crate::memory::NoRoom;
use arrow::array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A file is not written to any more when it is this long. It is gone when nothing in it is needed any more, so shorter
/// files give room back earlier, and longer ones need fewer handles.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// A file is at most this part of what may lie in files, so that what is not needed any more leaves room for the rest.
const FILES_IN_LIMIT: u64 = 16;

/// What keeps data from being spilled, or from being read again.
#[derive(Debug, thiserror::Error)]
pub enum SpillError {
    /// There is no more room for it.
    #[error("spilled data would take more than engine.spill_limit = {0} bytes")]
    LimitReached(u64),
    /// There is no more memory for what has to be in memory.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The file system says no.
    #[error("cannot write spilled data: {0}")]
    Write(io::Error),
    /// It cannot be read.
    #[error("cannot read spilled data: {0}")]
    Read(io::Error),
    /// What was read is not what was written.
    #[error("spilled data is damaged: {0}")]
    Damaged(String),
    /// Arrow cannot write it.
    #[error("cannot encode spilled data: {0}")]
    Encode(String),
}

impl SpillError {
    /// Whether it may succeed later: other tasks give back what they have taken, and disks are emptied.
    pub fn persistence(&self) -> Persistence {
        match self {
            Self::LimitReached(_) | Self::NoRoom(_) => Persistence::Transient,
            Self::Write(error) | Self::Read(error) => persistence(error),
            Self::Damaged(_) | Self::Encode(_) => Persistence::Permanent,
        }
    }
}

/// Where and how data is spilled.
#[derive(Clone, Debug)]
pub struct SpillSettings {
    /// The directory of the files; the system's for temporary files if absent.
    pub directory: Option<PathBuf>,
    /// The most bytes that may lie in files.
    pub limit_bytes: u64,
    /// Whether the data is compressed, with LZ4.
    pub compressed: bool,
}

/// The scratch files of a run.
pub(super) struct Spill {
    disk: Arc<dyn Disk>,
    settings: SpillSettings,
    current: Mutex<Option<Arc<File>>>,
    /// Bytes in files that are there.
    in_files: Arc<AtomicU64>,
    /// Bytes that were ever written.
    written: AtomicU64,
}

/// A file with many batches. Gone when none of them is needed.
struct File {
    file: Box<dyn ScratchFile>,
    bytes: AtomicU64,
    in_files: Arc<AtomicU64>,
}

impl Drop for File {
    fn drop(&mut self) {
        self.in_files.fetch_sub(self.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// A batch in a file.
#[derive(Clone)]
pub(super) struct Segment {
    file: Arc<File>,
    start: u64,
    bytes: usize,
    hash: u64,
}

impl Spill {
    pub(super) fn new(disk: Arc<dyn Disk>, settings: SpillSettings) -> Self {
        Self { disk, settings, current: Mutex::default(), in_files: Arc::default(), written: AtomicU64::new(0) }
    }

    /// How many bytes were written since the beginning.
    pub(super) fn written_bytes(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn bytes_in_files(&self) -> u64 {
        // The file that is written to stays for what comes next.
        *lock(&self.current) = None;
        self.in_files.load(Ordering::Relaxed)
    }

    /// Writes a batch.
    pub(super) fn write(&self, batch: &RecordBatch) -> Result<Segment, SpillError> {
        let bytes = self.encode(batch).map_err(|error| SpillError::Encode(error.to_string()))?;
        let count = bytes.len() as u64;
        let limit = self.settings.limit_bytes;
        if self.in_files.load(Ordering::Relaxed).saturating_add(count) > limit {
            return Err(SpillError::LimitReached(limit));
        }
        let file = self.file()?;
        let start = file.file.append(&bytes).map_err(SpillError::Write)?;
        file.bytes.fetch_add(count, Ordering::Relaxed);
        self.in_files.fetch_add(count, Ordering::Relaxed);
        self.written.fetch_add(count, Ordering::Relaxed);
        Ok(Segment { file, start, bytes: bytes.len(), hash: crate::data::key::hash(&bytes) })
    }

    fn encode(&self, batch: &RecordBatch) -> Result<Vec<u8>, arrow::error::ArrowError> {
        let compression = self.settings.compressed.then_some(CompressionType::LZ4_FRAME);
        let options = IpcWriteOptions::default().try_with_compression(compression)?;
        let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options)?;
        writer.write(batch)?;
        writer.into_inner()
    }

    /// The file that is written to.
    fn file(&self) -> Result<Arc<File>, SpillError> {
        let mut current = lock(&self.current);
        if let Some(file) = &*current
            && file.bytes.load(Ordering::Relaxed) < FILE_BYTES.min(self.settings.limit_bytes / FILES_IN_LIMIT)
        {
            return Ok(file.clone());
        }
        let file = self.disk.scratch(self.settings.directory.as_deref()).map_err(SpillError::Write)?;
        let file = Arc::new(File { file, bytes: AtomicU64::new(0), in_files: self.in_files.clone() });
        *current = Some(file.clone());
        Ok(file)
    }
}

impl Segment {
    /// Reads the batch.
    pub(super) fn read(&self) -> Result<RecordBatch, SpillError> {
        let bytes = self.file.file.read_at(self.start, self.bytes).map_err(SpillError::Read)?;
        if crate::data::key::hash(&bytes) != self.hash {
            return Err(SpillError::Damaged("its checksum differs".to_owned()));
        }
        let damaged = |error: arrow::error::ArrowError| SpillError::Damaged(error.to_string());
        let mut reader = StreamReader::try_new(bytes.as_slice(), None).map_err(damaged)?;
        let batch = reader.next().ok_or_else(|| SpillError::Damaged("it has no rows".to_owned()))?;
        batch.map_err(damaged)
    }
}
