//! Reduces a partition that is too large for one plugin instance: in parts, each of which has all rows of its keys.
//!
//! Owns the division by the hash of keys, and the order of the rows that come out. A reduction makes one row for each
//! key. These rows are put into the order in which the keys first appear in the whole partition. So the result does not
//! show that there were parts.

use super::join::{Divider, Division, Input, JoinRoom, LEVELS_MAX, PARTS, PartFacts};
use super::merge::{SortedRuns, add_order, order_of, with_order, without_order};
use super::node::{Execution, PlanNode, Rows, Work};
use super::plugin_exec::run;
use super::plugin_task::{LoadedPlugin, PluginError};
use super::updates::UpdatesOfNode;
use super::{external, internal};
use crate::block::StoredRows;
use crate::data::key::KeyEncoder;
use crate::data::schema::RecordType;
use crate::plugin::{Failure, TaskProgram};
use arrow::array::{BinaryArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion_common::{DataFusionError, Result};
use datafusion_execution::SendableRecordBatchStream;
use datafusion_physical_plan::ExecutionPlan;
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// If dividing helps, a part may take at most the memory of an instance divided by this number. The weight of a part
/// counts three copies of each row.
const PART_SHARE: usize = 2;
/// Rows are read in pieces of about an eighth of this many bytes.
const READ_BYTES: usize = 8 * 1024 * 1024;

/// Runs a program that consists of one reduction, part by part.
#[derive(Debug)]
pub(super) struct Reduce {
    program: TaskProgram,
    key: RecordType,
    /// The columns of the input rows.
    schema: SchemaRef,
    /// The updates of accumulators that the program has made, in all parts.
    pub(super) updates: UpdatesOfNode,
}

/// The plan node that reduces in parts.
pub(super) type ReduceExec = PlanNode<Reduce>;

impl ReduceExec {
    /// Makes a node that reduces the rows of `child`. Their first column holds keys of the type `key`.
    pub(super) fn new(child: Arc<dyn ExecutionPlan>, program: TaskProgram, key: RecordType) -> Self {
        let rows = program.output_type.arrow().clone();
        let schema = child.schema();
        Self::of(Reduce { program, key, schema, updates: UpdatesOfNode::default() }, vec![child], rows, 1)
    }
}

impl Work for Reduce {
    const NAME: &'static str = "ReduceExec";

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.program.steps)
    }

    fn run(&self, execution: Execution<'_>) -> Result<Rows> {
        let plugin = execution.extension::<LoadedPlugin>("plugin")?;
        let room = execution.extension::<JoinRoom>("room for parts")?;
        let memory = usize::try_from(plugin.plugin.limits().memory_bytes).unwrap_or(usize::MAX);
        let schema = self.schema.clone();
        let reduction = Reduction {
            runs: SortedRuns::new(&room.storage),
            room,
            plugin,
            program: self.program.clone(),
            updates: self.updates.clone(),
            keys: KeyEncoder::new(&self.key),
            key: self.key.clone(),
            rows: with_order(&schema),
            schema,
            part_weight: memory / PART_SHARE,
        };
        Ok(futures::stream::once(reduction.run(execution.input()?)).try_flatten().boxed())
    }
}

/// A reduction in progress.
struct Reduction {
    room: Arc<JoinRoom>,
    plugin: Arc<LoadedPlugin>,
    program: TaskProgram,
    updates: UpdatesOfNode,
    keys: KeyEncoder,
    key: RecordType,
    /// The columns of the input rows.
    schema: SchemaRef,
    /// The columns of the input rows and, as the last column, the number of each row.
    rows: SchemaRef,
    part_weight: usize,
    /// The reduced rows of the parts, as sorted runs.
    runs: SortedRuns,
}

/// All rows of some keys.
struct Part {
    rows: StoredRows,
    bucket: usize,
    /// How many divisions led to this part.
    level: u32,
    facts: PartFacts,
    /// The weight of all parts of the division that made this part.
    whole: usize,
}

impl Part {
    /// Reads the rows of the part from the beginning.
    fn read(&self) -> Input {
        Input::bucket(&self.rows, self.bucket, READ_BYTES)
    }

    fn is_divisible(&self) -> bool {
        !self.facts.one_hash() && self.level < LEVELS_MAX
    }

    /// Whether to divide the part before an attempt to reduce it. If the part has more than half of the rows that were
    /// divided, most of them may have a single key. Dividing does not help then, and a reduction to one value may need
    /// no memory for all rows.
    fn is_to_be_divided(&self, part_weight: usize) -> bool {
        self.is_divisible() && self.facts.weight > part_weight && self.facts.weight <= self.whole / 2
    }
}

impl Reduction {
    async fn run(mut self, input: SendableRecordBatchStream) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let mut next = 0;
        let rows = self.rows.clone();
        let numbered = input.map(move |batch| {
            let batch = batch?;
            let numbers = next..next + batch.num_rows() as u64;
            next = numbers.end;
            add_order(&batch, &rows, numbers.map(|number| Some(number.to_be_bytes())).collect())
        });
        let numbered = Box::pin(RecordBatchStreamAdapter::new(self.rows.clone(), numbered));
        let mut parts = self.divide(Input::stream(numbered, READ_BYTES), 0).await?;
        while let Some(part) = parts.pop() {
            if part.is_to_be_divided(self.part_weight) {
                parts.extend(self.divide(part.read(), part.level).await?);
                continue;
            }
            match self.reduce(&part).await {
                Ok(()) => {}
                Err(error) if part.is_divisible() && is_out_of_memory(&error) => {
                    parts.extend(self.divide(part.read(), part.level).await?);
                }
                Err(error) => return Err(self.explain(error, &part).await?),
            }
        }
        let schema = self.program.output_type.arrow().clone();
        let merged = self.runs.merge()?.map(move |rows| without_order(&rows?, &schema));
        Ok(futures::stream::iter(merged).boxed())
    }

    /// Divides rows into parts. The first part comes last in the list.
    async fn divide(&self, mut input: Input, level: u32) -> Result<Vec<Part>> {
        let divider = Divider::new(&self.room.storage, &self.keys, Division::Bits { level });
        let (rows, facts) = divider.divide(Vec::new(), &mut input).await?;
        let whole = facts.iter().map(|facts| facts.weight).sum();
        let parts = (0..PARTS).rev().zip(facts.iter().rev()).filter(|(_, facts)| facts.weight > 0);
        let part = |(bucket, facts): (usize, &PartFacts)| Part {
            rows: rows.clone(),
            bucket,
            level: level + 1,
            facts: *facts,
            whole,
        };
        Ok(parts.map(part).collect())
    }

    /// Reduces a part in an instance of its own.
    async fn reduce(&mut self, part: &Part) -> Result<()> {
        let firsts = self.first_rows(part.read()).await?;
        let schema = self.schema.clone();
        let input = futures::stream::try_unfold(part.read(), move |mut input| {
            let schema = schema.clone();
            async move {
                let Some(rows) = input.next().await? else { return Ok(None) };
                Ok(Some((without_order(&rows, &schema)?, input)))
            }
        });
        let mut emitted = self.room.storage.writer(1);
        let mut rows = run(self.plugin.clone(), self.program.clone(), input.boxed(), self.updates.clone());
        while let Some(rows) = rows.next().await.transpose()? {
            emitted.append(0, rows).map_err(external)?;
        }
        let emitted = emitted.finish();
        let count = usize::try_from(emitted.row_count()).unwrap_or(usize::MAX);
        if count != firsts.len() {
            let broken = format!("a reduction of {} keys gave {count} rows", firsts.len());
            return Err(PluginError::new((Failure::BrokenData(broken), None)).into());
        }
        let schema = with_order(self.program.output_type.arrow());
        let mut rest = firsts.as_slice();
        self.runs.add(emitted.read(0).map(|rows| {
            let rows = rows.map_err(external)?;
            let (mine, others) = rest.split_at(rows.num_rows().min(rest.len()));
            rest = others;
            add_order(&rows, &schema, mine.iter().map(Some).collect::<BinaryArray>())
        }))
    }

    /// For each key, the number of the row in which the key first appears, in order. No instance is running in the
    /// meantime, so the memory that is set aside for this task is free. The keys of a part take less than this memory.
    async fn first_rows(&self, mut input: Input) -> Result<Vec<[u8; 8]>> {
        let (mut seen, mut firsts, mut key) = (HashSet::<Box<[u8]>>::new(), Vec::new(), Vec::new());
        while let Some(rows) = input.next().await? {
            let order = order_of(&rows)?;
            for row in 0..rows.num_rows() {
                key.clear();
                self.keys.encode(rows.column(0), row, &mut key).map_err(external)?;
                if !seen.contains(key.as_slice()) {
                    seen.insert(key.as_slice().into());
                    let number = order.value(row).first_chunk().copied();
                    firsts.push(number.ok_or_else(|| internal("a row without a number"))?);
                }
            }
        }
        Ok(firsts)
    }

    /// The failure as it would be reported for the whole partition: with the number of the record, and with the key
    /// that is too large.
    async fn explain(&self, error: DataFusionError, part: &Part) -> Result<DataFusionError> {
        let DataFusionError::External(inner) = error.find_root() else { return Ok(error) };
        let Some(PluginError { failure, place, .. }) = inner.downcast_ref::<PluginError>() else { return Ok(error) };
        let (mut told, mut before) = (PluginError::new((failure.clone(), *place)), 0);
        let mut input = part.read();
        while let Some(rows) = input.next().await? {
            if before == 0 && told.is_out_of_memory() && part.facts.one_hash() {
                told = told.at_key(&self.key, &rows);
            }
            let end = before + rows.num_rows() as u64;
            if let Some(place) = &mut told.place
                && (before..end).contains(&place.record)
            {
                let row = usize::try_from(place.record - before).unwrap_or_default();
                let number = order_of(&rows)?.value(row).first_chunk().copied();
                place.record = number.map_or(place.record, u64::from_be_bytes);
                break;
            }
            before = end;
            if told.place.is_none() {
                break;
            }
        }
        Ok(told.into())
    }
}

fn is_out_of_memory(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::External(inner) => {
            inner.downcast_ref::<PluginError>().is_some_and(PluginError::is_out_of_memory)
        }
        _ => false,
    }
}
