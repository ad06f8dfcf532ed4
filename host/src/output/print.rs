//! `print`: the first rows of a batch on standard output, in Spark's form or as JSON.

mod error;
mod printing;

use self::error::PrintError;
use self::printing::{Form, Printing};
use super::batch_rows::BatchRows;
use super::{BatchWrite, Output, PartitionWriter};
use crate::block::{RowStorage, RowsWriter, StoredRows};
use crate::data::schema::RecordType;
use crate::env::Console;
use crate::error::Error;
use crate::time::Time;
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::error::ArrowError;
use futures::future::BoxFuture;
use std::sync::Arc;

/// An output that prints the first `limit` rows of each batch.
pub(super) struct PrintOutput {
    console: Arc<dyn Console>,
    storage: RowStorage,
    name: String,
    /// What people read above the rows; `None` if the job prints nothing else.
    title: Option<String>,
    ty: RecordType,
    limit: u32,
}

impl PrintOutput {
    /// Makes an output with this name and title. The rows of a batch wait in `storage` until all of them are there.
    pub(super) fn new(
        console: Arc<dyn Console>,
        storage: RowStorage,
        (name, title): (String, Option<String>),
        ty: RecordType,
        limit: u32,
    ) -> Self {
        Self { console, storage, name, title, ty, limit }
    }
}

impl Output for PrintOutput {
    fn begin(&self, batch: Time, _: Time) -> BoxFuture<'_, Result<Arc<dyn BatchWrite>, Error>> {
        let write = PrintBatch {
            console: self.console.clone(),
            storage: self.storage.clone(),
            name: self.name.clone(),
            title: self.title.clone(),
            ty: self.ty.clone(),
            limit: usize::try_from(self.limit).unwrap_or(usize::MAX),
            batch,
            rows: BatchRows::default(),
        };
        Box::pin(async move { Ok(Arc::new(write) as Arc<dyn BatchWrite>) })
    }
}

struct PrintBatch {
    console: Arc<dyn Console>,
    storage: RowStorage,
    name: String,
    title: Option<String>,
    ty: RecordType,
    limit: usize,
    batch: Time,
    /// The first rows of each partition.
    rows: BatchRows,
}

impl PrintBatch {
    fn print(&self) -> Result<(), PrintError> {
        let partitions: Vec<StoredRows> = self.rows.take().into_values().collect();
        let form = match self.console.takes_json() {
            true => Form::Json,
            false => Form::Text { for_terminal: self.console.is_terminal() },
        };
        // The fault of the rows, if there is one. It is not a fault of the console.
        let mut fault = None;
        let written = self.console.write_pieces(&mut |write| {
            let printing = Printing {
                batch: self.batch,
                ty: &self.ty,
                form,
                out: String::new(),
                scratch: self.storage.scratch(),
                write,
            };
            match printing.print((&self.name, self.title.as_deref()), &partitions, self.limit) {
                Err(PrintError::Console { error, .. }) => Err(error),
                Err(error) => {
                    fault = Some(error);
                    Ok(())
                }
                Ok(()) => Ok(()),
            }
        });
        if let Some(fault) = fault {
            return Err(fault);
        }
        written.map_err(|error| PrintError::Console { batch: self.batch, error })
    }
}

impl BatchWrite for PrintBatch {
    fn writer(&self, partition: u32, _: u32) -> BoxFuture<'_, Result<Box<dyn PartitionWriter>, Error>> {
        // One row more than the limit shows whether there are more rows.
        let (wanted, batch) = (self.limit.saturating_add(1), self.batch);
        let writer = PrintWriter { partition, batch, wanted, taken: self.storage.writer(1), rows: self.rows.clone() };
        Box::pin(async move { Ok(Box::new(writer) as Box<dyn PartitionWriter>) })
    }

    fn commit(&self, _: u32) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.print().map_err(Error::from) })
    }

    fn abort(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { drop(self.rows.take()) })
    }
}

struct PrintWriter {
    partition: u32,
    batch: Time,
    wanted: usize,
    taken: RowsWriter,
    rows: BatchRows,
}

impl PrintWriter {
    fn take(&mut self, rows: &RecordBatch) -> Result<(), PrintError> {
        let (batch, count) = (self.batch, rows.num_rows().min(self.wanted));
        if count == 0 {
            return Ok(());
        }
        self.wanted -= count;
        let first = first_rows(rows, count);
        let first = first.map_err(|error| PrintError::Rows { batch, error: error.into() })?;
        self.taken.append(0, first).map_err(|error| PrintError::Room { batch, error })
    }
}

/// The first rows of a chunk. If they are only a few of many rows, they are copied, so that the memory of the other
/// rows can be freed.
fn first_rows(rows: &RecordBatch, count: usize) -> Result<RecordBatch, ArrowError> {
    if count > rows.num_rows() / 2 {
        return Ok(rows.slice(0, count));
    }
    take_record_batch(rows, &(0u32..).take(count).collect::<UInt32Array>())
}

impl PartitionWriter for PrintWriter {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<(), Error>> {
        let taken = self.take(&rows).map_err(Error::from);
        Box::pin(async { taken })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            self.rows.put(self.partition, self.taken.finish());
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
