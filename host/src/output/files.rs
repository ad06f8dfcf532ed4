//! Outputs that save files: the rows of each batch in a directory of its own, with a file for each partition.
//!
//! Owns passing rows through an encoder into a file. Never knows the content of the file, nor when the file becomes
//! visible.

use super::batch_directory::{BatchDirectories, BatchDirectory, PartFile};
use super::encoding::FileEncoder;
use super::error::SaveError;
use super::names::part_name;
use super::{BatchWrite, Output, PartitionWriter};
use crate::block::RowStorage;
use crate::data::schema::RecordType;
use crate::error::Error;
use crate::graph::FileFormat;
use crate::time::Time;
use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use std::sync::Arc;

/// An output that saves rows of one type in files.
pub(super) struct FilesOutput {
    directories: BatchDirectories,
    format: FileFormat,
    ty: RecordType,
    storage: RowStorage,
}

impl FilesOutput {
    pub(super) const fn new(
        directories: BatchDirectories,
        format: FileFormat,
        ty: RecordType,
        storage: RowStorage,
    ) -> Self {
        Self { directories, format, ty, storage }
    }
}

impl Output for FilesOutput {
    fn begin(&self, batch: Time, _: Time) -> BoxFuture<'_, Result<Arc<dyn BatchWrite>, Error>> {
        Box::pin(async move {
            let directory = self.directories.begin(batch)?;
            Ok(self::batch(directory, self.format, self.ty.clone(), self.storage.clone()))
        })
    }
}

/// Begins to save the rows of a data set in its directory.
pub(super) fn batch(
    directory: BatchDirectory,
    format: FileFormat,
    ty: RecordType,
    storage: RowStorage,
) -> Arc<dyn BatchWrite> {
    Arc::new(FilesBatch { directory: Arc::new(directory), format, ty, storage })
}

struct FilesBatch {
    directory: Arc<BatchDirectory>,
    format: FileFormat,
    ty: RecordType,
    storage: RowStorage,
}

impl FilesBatch {
    fn open(&self, partition: u32, attempt: u32) -> Result<FileWriter, SaveError> {
        let encoder = FileEncoder::new(self.format, &self.ty, &self.storage)?;
        let file = self.directory.part(&part_name(partition, self.format), attempt)?;
        Ok(FileWriter { directory: self.directory.clone(), file, encoder })
    }
}

impl BatchWrite for FilesBatch {
    fn writer(&self, partition: u32, attempt: u32) -> BoxFuture<'_, Result<Box<dyn PartitionWriter>, Error>> {
        Box::pin(async move {
            let writer = self.open(partition, attempt).map_err(|error| self.directory.error(&error))?;
            Ok(Box::new(writer) as Box<dyn PartitionWriter>)
        })
    }

    fn commit(&self, partitions: u32) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let names = (0..partitions).map(|partition| part_name(partition, self.format));
            self.directory.commit(names).map_err(|error| self.directory.error(&error))
        })
    }

    fn abort(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.directory.abort() })
    }
}

struct FileWriter {
    directory: Arc<BatchDirectory>,
    file: PartFile,
    encoder: FileEncoder,
}

impl PartitionWriter for FileWriter {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let written = self.encoder.write(&rows, 0, &mut self.file);
            written.map_err(|error| self.directory.error(&error))
        })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let Self { directory, mut file, encoder } = *self;
            let finished = encoder.finish(&mut file).and_then(|_room| file.finish());
            finished.map_err(|error| directory.error(&error))
        })
    }
}
