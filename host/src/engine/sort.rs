//! Sorts the rows of a partition by their key: in memory, or in sorted runs that are merged.
//!
//! Owns the order of rows with equal keys: they stay in the order of the input. The order of keys is that of
//! [`KeyOrder`]. Each row gets one more column of bytes, which holds the key as bytes and the number of the row. So no
//! two rows are equal, and the result depends on the input alone.

use super::internal;
use super::leaf::LeafStores;
use super::merge::{self, SortedRuns, add_order, with_order, without_order};
use super::node::{Execution, PlanNode, Rows, Work};
use crate::data::chunk;
use crate::data::key::KeyOrder;
use arrow::array::{BinaryBuilder, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion_common::Result;
use datafusion_execution::SendableRecordBatchStream;
use datafusion_execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion_physical_plan::ExecutionPlan;
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use std::fmt;
use std::sync::Arc;

/// The most bytes of a run, about.
const RUN_BYTES: usize = 32 * 1024 * 1024;
/// Memory that a sort uses without a reservation. So a sort can go on even where stored rows have taken all memory.
const UNCOUNTED_BYTES: usize = 1024 * 1024;
/// Memory for each row while the order of the rows is found, in addition to the bytes of the row.
const ROW_BYTES: usize = 32;
/// How many copies of a row are in memory at a time: as it came, and sorted.
const COPIES: usize = 2;

/// Sorts the rows of its child by their first column.
#[derive(Debug)]
pub(super) struct SortRows {
    descending: bool,
}

/// The plan node that sorts.
pub(super) type SortExec = PlanNode<SortRows>;

impl SortExec {
    pub(super) fn new(child: Arc<dyn ExecutionPlan>, descending: bool) -> Self {
        let schema = child.schema();
        Self::of(SortRows { descending }, vec![child], schema, 1)
    }
}

impl Work for SortRows {
    const NAME: &'static str = "SortExec";

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "descending {}", self.descending)
    }

    fn run(&self, execution: Execution<'_>) -> Result<Rows> {
        let stores = execution.extension::<LeafStores>("stores")?;
        let sort = Sort {
            schema: execution.schema.clone(),
            numbering: Numbering::new(&execution.schema, self.descending)?,
            reservation: MemoryConsumer::new("sort").register(execution.context.memory_pool()),
            runs: SortedRuns::new(&stores.storage),
            rows: Vec::new(),
            bytes: 0,
        };
        Ok(futures::stream::once(sort.run(execution.input()?)).try_flatten().boxed())
    }
}

/// A sort in progress.
struct Sort {
    schema: SchemaRef,
    numbering: Numbering,
    reservation: MemoryReservation,
    runs: SortedRuns,
    /// The rows of the next run.
    rows: Vec<RecordBatch>,
    /// The memory that these rows take.
    bytes: usize,
}

impl Sort {
    async fn run(mut self, mut input: SendableRecordBatchStream) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        while let Some(rows) = input.next().await.transpose()? {
            // A batch that was stored may be larger than what a sort can hold.
            for rows in chunk::chunks(&rows, UNCOUNTED_BYTES) {
                self.add(&rows)?;
            }
        }
        let Self { schema, reservation, mut runs, rows, .. } = self;
        let schema_of_out = schema.clone();
        let plain = move |rows: Result<RecordBatch>| without_order(&rows?, &schema_of_out);
        if runs.is_empty() {
            let mut sorted = Vec::new();
            merge::sort(&rows, |piece| {
                sorted.push(Ok(piece));
                Ok(())
            })?;
            // The memory of the rows stays reserved until the last row is handed on.
            let sorted = futures::stream::iter(sorted).map(plain).inspect(move |_| {
                let _ = &reservation;
            });
            return Ok(sorted.boxed());
        }
        runs.add_sorting(&rows)?;
        drop((rows, reservation));
        Ok(futures::stream::iter(runs.merge()?).map(plain).boxed())
    }

    /// Adds rows. If there is no room for more rows, the rows so far become a run.
    fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let rows = self.numbering.add(rows)?;
        self.bytes += COPIES * chunk::row_bytes(&rows, 0..rows.num_rows()) + ROW_BYTES * rows.num_rows();
        self.rows.push(rows);
        let is_large = self.bytes > UNCOUNTED_BYTES;
        let has_room = || self.reservation.try_resize(self.bytes - UNCOUNTED_BYTES).is_ok();
        if is_large && (self.bytes >= RUN_BYTES || !has_room()) {
            self.runs.add_sorting(&std::mem::take(&mut self.rows))?;
            self.bytes = 0;
            self.reservation.free();
        }
        Ok(())
    }
}

/// Numbers rows, and encodes their keys so that the bytes compare as the keys do.
struct Numbering {
    keys: KeyOrder,
    schema: SchemaRef,
    next: u64,
}

impl Numbering {
    fn new(schema: &Schema, descending: bool) -> Result<Self> {
        let key = schema.fields().first().ok_or_else(|| internal("rows without a key"))?;
        Ok(Self { keys: KeyOrder::new(key.data_type(), descending)?, schema: with_order(schema), next: 0 })
    }

    fn add(&mut self, rows: &RecordBatch) -> Result<RecordBatch> {
        let keys = rows.columns().first().ok_or_else(|| internal("rows without a key"))?;
        let keys = self.keys.bytes(keys)?;
        let mut order = BinaryBuilder::new();
        let mut bytes = Vec::new();
        for key in &keys {
            bytes.clear();
            bytes.extend_from_slice(key.as_ref());
            bytes.extend_from_slice(&self.next.to_be_bytes());
            order.append_value(&bytes);
            self.next += 1;
        }
        add_order(rows, &self.schema, order.finish())
    }
}
