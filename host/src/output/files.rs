//! Outputs that save files: the rows of each batch in a directory of its own, a file for each partition.
//!
//! Owns the way of rows through an [`Encoder`] into a file. Never knows what is in the file, nor when it is seen.

use super::batch_directory::{BatchDirectories, BatchDirectory, PartFile, SaveError};
use super::format::{Encoder, encoder, part_name};
use super::{BatchWrite, Output, PartitionWriter};
use crate::data::schema::RecordType;
use crate::error::Error;
use crate::graph::FileFormat;
use crate::time::Time;
use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use std::sync::Arc;

/// Saves rows of one type.
pub(super) struct FilesOutput {
    directories: BatchDirectories,
    format: FileFormat,
    ty: RecordType,
}

impl FilesOutput {
    pub(super) const fn new(directories: BatchDirectories, format: FileFormat, ty: RecordType) -> Self {
        Self { directories, format, ty }
    }
}

impl Output for FilesOutput {
    fn begin(&self, batch: Time) -> BoxFuture<'_, Result<Arc<dyn BatchWrite>, Error>> {
        Box::pin(async move { Ok(self::batch(self.directories.begin(batch)?, self.format, self.ty.clone())) })
    }
}

/// Takes the rows of a data set into its directory.
pub(super) fn batch(directory: BatchDirectory, format: FileFormat, ty: RecordType) -> Arc<dyn BatchWrite> {
    Arc::new(FilesBatch { directory: Arc::new(directory), format, ty })
}

struct FilesBatch {
    directory: Arc<BatchDirectory>,
    format: FileFormat,
    ty: RecordType,
}

impl FilesBatch {
    fn open(&self, partition: u32, attempt: u32) -> Result<FileWriter, SaveError> {
        let encoder = encoder(self.format, &self.ty)?;
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
    encoder: Box<dyn Encoder>,
}

impl PartitionWriter for FileWriter {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.encoder.write(&rows, &mut self.file).map_err(|error| self.directory.error(&error)) })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let Self { directory, mut file, encoder } = *self;
            let finished = encoder.finish(&mut file).and_then(|()| file.finish());
            finished.map_err(|error| directory.error(&error))
        })
    }
}
