//! `update_state_by_partition`: the plugin sees all keys of a partition at once, and gives the partition's new state.

use super::StateRun;
use super::call::FIRST;
use super::rows::{Keys, entries};
use crate::engine::external;
use crate::engine::plugin_task::{PluginError, shown_value, unless_cancelled};
use crate::plugin::Failure;
use crate::state::{self, is_of_partition};
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::compute::{concat_batches, interleave};
use datafusion_common::Result;
use datafusion_execution::SendableRecordBatchStream;

impl StateRun {
    /// Updates the state of the partition. If the plugin gives several states for a key, the first one counts.
    pub(super) async fn update_partition(&mut self, inputs: Vec<SendableRecordBatchStream>) -> Result<()> {
        let (read, _) = self.read(inputs).await?;
        let touched = self.touched(&read.rows)?;
        let mut call = self.call()?;
        // The function sees each partition, also one without keys.
        call.open()?;
        let before = self.before.clone();
        let (mut given, mut scratch, mut bytes) = (Vec::new(), self.storage.scratch(), 0);
        let mut take = |emitted: crate::plugin::EmittedRows| {
            for rows in emitted {
                let rows = rows.map_err(external)?;
                bytes += 2 * super::bytes_of(&rows);
                scratch.resize(bytes).map_err(external)?;
                given.push(rows);
            }
            Ok::<_, datafusion_common::DataFusionError>(())
        };
        for at in before.pages() {
            unless_cancelled(&self.plugin.plugin.cancel())?;
            let rows = self.rows_of(at.page)?;
            let (_, pushed) = self.keys_of(&read, &touched, touched.range(at.first, at.end), &rows)?;
            for emitted in call.push(FIRST, &pushed)? {
                take(emitted)?;
            }
        }
        take(call.finish()?)?;
        let given = concat_batches(self.work.pair.arrow(), &given)?;
        self.require_own_keys(&given)?;
        let touched = self.touched(&given)?;
        for at in before.pages() {
            let rows = self.rows_of(at.page)?;
            let live = state::live(&rows)?;
            let entries = entries(&live, &touched, touched.range(at.first, at.end), &self.layout)?;
            let keys = Keys::of(&self.layout, &live, &touched, &entries)?;
            let none: ArrayRef = self.layout.no_state();
            let place = |key: Option<usize>| key.map_or((1, 0), |key| (0, touched.first_row(key)));
            let places: Vec<(usize, usize)> = entries.iter().map(|(_, key)| place(*key)).collect();
            let states = interleave(&[given.column(1) as &dyn Array, &none], &places)?;
            let exists: NullBuffer = entries.iter().map(|(_, key)| key.is_some()).collect();
            let exists = Some(exists).filter(|exists| exists.null_count() > 0);
            let changed: Option<RecordBatch> = keys.after(&self.layout, &states, exists.as_ref(), self.now_ms)?;
            self.replace(at.page, at.first, &rows, changed)?;
        }
        Ok(())
    }

    /// Requires that the function has given states to keys of the partition only.
    fn require_own_keys(&self, given: &RecordBatch) -> Result<()> {
        let (partition, partitions) = (self.work.program.partition, self.work.partitions);
        let mut hashes = Vec::new();
        self.layout.encoder().hash_column(given.column(0), &mut hashes).map_err(external)?;
        let Some(row) = hashes.iter().position(|hash| !is_of_partition(*hash, partition, partitions)) else {
            return Ok(());
        };
        let ty = self.work.pair.pair().map(|(key, _)| key);
        let key = ty.and_then(|ty| shown_value(&ty, given.column(0), row)).unwrap_or_default();
        let message = format!(
            "it gave a state to key {key}, which belongs to another partition: it can give states to the keys that it sees"
        );
        Err(PluginError::new((Failure::BrokenData(message), None)).into())
    }
}
