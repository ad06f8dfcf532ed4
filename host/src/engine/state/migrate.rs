//! States that an earlier version of the plugin has left, and that the plugin converts.
//!
//! Owns the order of the rows: keys keep their places, and the times at which their states changed.

use super::StateRun;
use super::call::PluginCall;
use crate::data::schema::RecordType;
use crate::engine::plugin_task::{PluginTask, unless_cancelled};
use crate::engine::{external, internal};
use crate::plugin::TaskProgram;
use crate::state::{self, PartitionState, PartitionWriter, Version};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use datafusion_common::Result;
use std::collections::VecDeque;

impl StateRun {
    /// The state of the partition before the first batch, made of the state that an earlier version of the plugin has left.
    /// That state has as many partitions as the node has.
    pub(super) fn migrated(&self, program: TaskProgram, earlier: &Version) -> Result<PartitionState> {
        let partition = earlier.partitions.get(program.partition as usize).cloned().unwrap_or_default();
        let key = self.work.pair.pair().map(|(key, _): (RecordType, _)| key);
        let key = key.ok_or_else(|| internal("state is pairs"))?;
        let task = PluginTask::new(self.plugin.clone(), program, self.work.updates.clone());
        let mut call = PluginCall::new(task, key, false);
        let mut writer = PartitionWriter::new(&self.storage, &self.layout, 0);
        let mut asked = VecDeque::new();
        for at in partition.pages() {
            unless_cancelled(&self.plugin.plugin.cancel())?;
            let Some(page) = at.page else { continue };
            let rows = page.open(&earlier.layout).and_then(|page| page.newest(u64::MAX)).map_err(external)?;
            let rows = state::live(&rows)?;
            call.ask(&earlier.layout.pairs(&rows)?)?;
            asked.push_back((at.first, rows));
            self.write_migrated(&mut call, &mut asked, &mut writer)?;
        }
        call.ask_no_more()?;
        self.write_migrated(&mut call, &mut asked, &mut writer)?;
        if asked.is_empty() && !call.has_answers() { Ok(writer.finish()) } else { Err(call.wrong_answers()) }
    }

    /// Writes the pages that the plugin has answered.
    fn write_migrated(
        &self,
        call: &mut PluginCall,
        asked: &mut VecDeque<(u64, RecordBatch)>,
        writer: &mut PartitionWriter,
    ) -> Result<()> {
        while let Some((_, next)) = asked.front() {
            let count = next.num_rows();
            if count == 0 {
                asked.pop_front();
                continue;
            }
            let Some(answers) = call.answers(count)? else { return Ok(()) };
            let Some((first, rows)) = asked.pop_front() else { return Ok(()) };
            let (states, exists) = self.layout.states(answers.column(0));
            let (hashes, times) = (state::hashes(&rows).clone(), state::times(&rows).clone());
            let made = self.layout.rows(hashes, times, None, state::keys(&rows).clone(), states)?;
            let made = match exists {
                None => made,
                Some(exists) => filter_record_batch(&made, &BooleanArray::new(exists.into_inner(), None))?,
            };
            writer.write(first, made)?;
        }
        Ok(())
    }
}
