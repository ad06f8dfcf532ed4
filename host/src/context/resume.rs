//! How the inputs of a job go on where they were, as the allocation log says.

use super::checkpoint::Resumption;
use crate::block::{FileSplit, InputPartition};
use crate::config::OnError;
use crate::error::Error;
use crate::input::{GivenBlock, Input, TakenFile};

impl Resumption {
    /// Makes the inputs go on where they were.
    ///
    /// # Errors
    /// When what was read from one is not there any more.
    pub(super) fn resume_inputs(&self, inputs: &mut [Input]) -> Result<(), Error> {
        let given = |source: &str| {
            let batches = self.allocated.values().filter_map(|batch| batch.partitions.get(source));
            batches.flatten().cloned().collect::<Vec<_>>()
        };
        for input in inputs {
            match input {
                Input::Queue(queue) => {
                    let source = queue.source().to_owned();
                    let block = |partition: &InputPartition| match partition {
                        InputPartition::Block { id, rows, checksum } => {
                            Some(GivenBlock { id: id.clone(), rows: *rows, checksum: *checksum })
                        }
                        InputPartition::Split(_) => None,
                    };
                    let needed: Vec<GivenBlock> = given(&source).iter().filter_map(block).collect();
                    let (next, checksum) = (self.record.next_block(&source), self.record.checksum(&source));
                    queue.resume(next, checksum, &needed)?;
                }
                Input::TextFiles(files) => {
                    let mut taken = Vec::new();
                    for (batch, partitions) in self.record.batches() {
                        for partition in partitions.get(files.source()).into_iter().flatten() {
                            if let InputPartition::Split(FileSplit { start: 0, path, stamp, file_bytes, .. }) =
                                partition
                            {
                                let (path, stamp, bytes) = (path.clone(), *stamp, *file_bytes);
                                taken.push(TakenFile { batch, path, stamp, bytes });
                            }
                        }
                    }
                    // Whether a batch that is done has succeeded is known if a failure would have stopped the job.
                    let is_settled = |batch| self.on_error == OnError::Stop || self.plan.rerun.contains(&batch);
                    files.resume(self.record.started(), self.record.last(), taken, is_settled);
                }
            }
        }
        Ok(())
    }
}
