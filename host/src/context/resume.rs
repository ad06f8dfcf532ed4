//! Resumes the inputs of a job where they stopped, as the allocation log says.

use super::checkpoint::Resumption;
use crate::block::InputPartition;
use crate::config::OnError;
use crate::error::Error;
use crate::input::{Input, InputHistory};
use crate::time::Time;

impl Resumption {
    /// Makes each input go on where it stopped.
    ///
    /// # Errors
    /// Returns an error if data that batches have read is gone from an input.
    pub(super) fn resume_inputs(&self, inputs: &mut [Box<dyn Input>]) -> Result<(), Error> {
        // Whether a batch that is done has succeeded is known only if a failure would have stopped the job.
        let is_outcome_known = |batch: Time| self.on_error == OnError::Stop || self.plan.rerun.contains(&batch);
        for input in inputs {
            let source = input.source().to_owned();
            let of_source = |(batch, mut partitions): (Time, crate::checkpoint::BatchPartitions)| {
                Some((batch, partitions.remove(&source)?))
            };
            let needed = self.allocated.values().filter_map(|batch| batch.partitions.get(&source));
            let needed: Vec<InputPartition> = needed.flatten().cloned().collect();
            input.resume(InputHistory {
                started: self.record.started(),
                last_batch: self.record.last(),
                next_block: self.record.next_block(&source),
                checksum: self.record.checksum(&source),
                log_positions: self.record.log_positions(&source),
                given: self.record.batches().filter_map(of_source).collect(),
                needed,
                is_outcome_known: &is_outcome_known,
            })?;
        }
        Ok(())
    }
}
