//! `save_as_text_files`: the rows of each batch as lines of text, a file for each partition.
//!
//! Owns the form of the files: a line for each row, as `print` shows it, in UTF-8, ended by `\n`. Text is written as it
//! is: a row whose text has a line end becomes several lines, as in Spark.

use super::batch_directory::{BatchDirectories, BatchDirectory, PartFile, SaveError};
use super::{BatchWrite, Output, PartitionWriter};
use crate::data::schema::RecordType;
use crate::data::text::RowWriter;
use crate::error::Error;
use crate::time::Time;
use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use std::sync::Arc;

/// Lines are collected up to this size before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// Saves rows of one type.
pub(super) struct TextFilesOutput {
    directories: BatchDirectories,
    ty: RecordType,
}

impl TextFilesOutput {
    pub(super) const fn new(directories: BatchDirectories, ty: RecordType) -> Self {
        Self { directories, ty }
    }
}

impl Output for TextFilesOutput {
    fn begin(&self, batch: Time) -> BoxFuture<'_, Result<Arc<dyn BatchWrite>, Error>> {
        Box::pin(async move {
            let directory = Arc::new(self.directories.begin(batch)?);
            Ok(Arc::new(TextFilesBatch { directory, ty: self.ty.clone() }) as Arc<dyn BatchWrite>)
        })
    }
}

struct TextFilesBatch {
    directory: Arc<BatchDirectory>,
    ty: RecordType,
}

impl BatchWrite for TextFilesBatch {
    fn writer(&self, partition: u32, attempt: u32) -> BoxFuture<'_, Result<Box<dyn PartitionWriter>, Error>> {
        Box::pin(async move {
            let directory = self.directory.clone();
            let file = directory.part(partition, attempt).map_err(|error| directory.error(&error))?;
            let writer = TextFileWriter { directory, file, ty: self.ty.clone(), lines: String::new() };
            Ok(Box::new(writer) as Box<dyn PartitionWriter>)
        })
    }

    fn commit(&self, partitions: u32) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.directory.commit(partitions).map_err(|error| self.directory.error(&error)) })
    }

    fn abort(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.directory.abort() })
    }
}

struct TextFileWriter {
    directory: Arc<BatchDirectory>,
    file: PartFile,
    ty: RecordType,
    /// Lines that are not in the file yet.
    lines: String,
}

impl TextFileWriter {
    fn append(&mut self, rows: &RecordBatch) -> Result<(), SaveError> {
        let writer = RowWriter::new(rows, &self.ty)?;
        for row in 0..rows.num_rows() {
            writer.write(row, &mut self.lines)?;
            self.lines.push('\n');
            if self.lines.len() >= BUFFER_BYTES {
                self.file.write(self.lines.as_bytes())?;
                self.lines.clear();
            }
        }
        Ok(())
    }
}

impl PartitionWriter for TextFileWriter {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.append(&rows).map_err(|error| self.directory.error(&error)) })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let Self { directory, mut file, lines, .. } = *self;
            let finished = file.write(lines.as_bytes()).and_then(|()| file.finish());
            finished.map_err(|error| directory.error(&error))
        })
    }
}
