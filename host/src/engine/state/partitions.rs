//! `update_state_by_partition`: the plugin sees all keys of a partition at once, and gives the partition's new state.

use super::StateRun;
use super::call::FIRST;
use super::rows::{Keys, entries};
use crate::block::StoredRows;
use crate::data::chunk;
use crate::engine::external;
use crate::engine::plugin_task::{PluginError, shown_value, unless_cancelled};
use crate::plugin::{EmittedRows, Failure};
use crate::state::{self, PartitionState, is_of_partition};
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::compute::interleave;
use datafusion_common::{DataFusionError, Result};
use datafusion_execution::SendableRecordBatchStream;

impl StateRun {
    /// Updates the state of the partition. If the plugin gives several states for a key, the first one counts.
    pub(super) async fn update_partition(&mut self, inputs: Vec<SendableRecordBatchStream>) -> Result<()> {
        let before = self.before.clone();
        let given = self.given_states(&before, inputs).await?;
        let (mut parts, mut pages) = (self.parts(&self.work.pair).of_rows(&given), self.reader());
        while let Some(part) = parts.next().await? {
            let touched = self.touched(&part.rows)?;
            for piece in part.pieces(&before) {
                unless_cancelled(&self.plugin.plugin.cancel())?;
                let rows = pages.rows(piece)?;
                let live = state::live(&rows)?;
                let entries = entries(&live, &touched, touched.range(piece.first, piece.end), &self.layout)?;
                let keys = Keys::of(&self.layout, &live, &touched, &entries)?;
                let none: ArrayRef = self.layout.no_state();
                let place = |key: Option<usize>| key.map_or((1, 0), |key| (0, touched.first_row(key)));
                let places: Vec<(usize, usize)> = entries.iter().map(|(_, key)| place(*key)).collect();
                let states = interleave(&[part.rows.column(1) as &dyn Array, &none], &places)?;
                let exists: NullBuffer = entries.iter().map(|(_, key)| key.is_some()).collect();
                let exists = Some(exists).filter(|exists| exists.null_count() > 0);
                let changed: Option<RecordBatch> = keys.after(&self.layout, &states, exists.as_ref(), self.now_ms)?;
                self.replace(piece, rows, changed)?;
            }
        }
        Ok(())
    }

    /// Shows the plugin all keys of the partition. Returns the pairs of key and state that the plugin gives.
    async fn given_states(
        &self,
        before: &PartitionState,
        inputs: Vec<SendableRecordBatchStream>,
    ) -> Result<StoredRows> {
        let mut call = self.call()?;
        // The function sees each partition, also one without keys.
        call.open()?;
        let (mut given, mut keys, mut bytes) = (self.storage.writer(1), 0, 0);
        let mut take = |emitted: EmittedRows| {
            for rows in emitted {
                let rows = rows.map_err(external)?;
                self.require_own_keys(&rows)?;
                given.append(0, rows).map_err(external)?;
            }
            Ok::<_, DataFusionError>(())
        };
        let (mut parts, mut pages) = (self.parts(&self.work.read).of_streams(inputs), self.reader());
        while let Some(part) = parts.next().await? {
            let touched = self.touched(&part.rows)?;
            for piece in part.pieces(before) {
                unless_cancelled(&self.plugin.plugin.cancel())?;
                let (of_piece, pushed) = self.keys_of(&part, &touched, piece, &pages.rows(piece)?)?;
                keys += of_piece.len();
                bytes += chunk::row_bytes(&pushed, 0..pushed.num_rows());
                let emitted = call.push(FIRST, &pushed).map_err(|error| too_large(error, keys, bytes))?;
                emitted.into_iter().try_for_each(&mut take)?;
            }
        }
        take(call.finish().map_err(|error| too_large(error, keys, bytes))?)?;
        Ok(given.finish())
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

/// Adds the size of the partition to the error of an instance that ran out of memory.
fn too_large(error: DataFusionError, keys: usize, bytes: usize) -> DataFusionError {
    let inner = match error {
        DataFusionError::External(inner) => inner,
        error => return error,
    };
    match inner.downcast::<PluginError>() {
        Ok(error) if error.is_out_of_memory() => {
            let size = format!(
                "update_state_by_partition shows the function all keys of a partition at once: so far, {keys} keys with \
                 {bytes} bytes of keys, states and new values; a larger number of partitions makes each partition smaller"
            );
            PluginError { record: Some(size), ..*error }.into()
        }
        Ok(error) => (*error).into(),
        Err(other) => DataFusionError::External(other),
    }
}
