//! Record batches in scratch files, in Arrow's IPC format.
//!
//! Owns the files and how much of the disk they may take. Never decides which batches are written: see `storage.rs`.

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

/// A file of this length gets no more data. A file is removed when nothing needs any of its batches any more. So
/// shorter files give disk space back earlier, and longer files need fewer handles.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// The limit of the spilled bytes divided by this number is the largest size of a file, so that files with data that is
/// not needed any more leave room for other data.
const FILES_IN_LIMIT: u64 = 16;

/// The error of spilling data, or of reading it again.
#[derive(Debug, thiserror::Error)]
pub enum SpillError {
    /// The data would exceed the limit of spilled bytes.
    #[error("spilled data would take more than engine.spill_limit = {0} bytes")]
    LimitReached(u64),
    /// There is no memory for data that has to stay in memory.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// Writing the file fails.
    #[error("cannot write spilled data: {0}")]
    Write(io::Error),
    /// Reading the file fails.
    #[error("cannot read spilled data: {0}")]
    Read(io::Error),
    /// The data that was read differs from the data that was written.
    #[error("spilled data is damaged: {0}")]
    Damaged(String),
    /// Arrow cannot encode the data.
    #[error("cannot encode spilled data: {0}")]
    Encode(String),
}

impl SpillError {
    /// Whether the operation may succeed later: other tasks give memory back, and space on disks becomes free.
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
    /// The directory of the files. `None` means the system's directory for temporary files.
    pub directory: Option<PathBuf>,
    /// The largest number of bytes in files at a time.
    pub limit_bytes: u64,
    /// Whether the data is compressed, with LZ4.
    pub compressed: bool,
}

/// The scratch files of a run.
pub(super) struct Spill {
    disk: Arc<dyn Disk>,
    settings: SpillSettings,
    current: Mutex<Option<Arc<File>>>,
    /// The number of bytes in files that exist now.
    in_files: Arc<AtomicU64>,
    /// The number of bytes that were written in all.
    written: AtomicU64,
}

/// A file with many batches. The file is removed when none of its batches is needed.
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

/// A batch in a scratch file.
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

    /// How many bytes were written since the run began.
    pub(super) fn written_bytes(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn bytes_in_files(&self) -> u64 {
        // The current file stays open for the batches that come next.
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

    /// The file to which batches are written now.
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
    /// Reads the batch from its file.
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
