//! The comparison of two runs while an upgrade goes on: observers of both runs' outputs, and listeners to their events.
//!
//! Owns how rows and events of both runs reach the comparison and the tallies.

use super::super::job::JobParts;
use crate::comparison::{BatchRecorder, Comparison, Limits, OutputComparison, PartitionRecorder, Presence, Side};
use crate::data::schema::RecordType;
use crate::error::Error;
use crate::ids::RunId;
use crate::listener::{Event, StreamingListener};
use crate::lock::lock;
use crate::output::{BatchWrite, Output, Outputs, PartitionWriter};
use crate::time::Time;
use crate::upgrade::Tallies;
use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::job::JobRun;

/// The comparison of two runs.
pub(super) struct Comparing {
    pub(super) tallies: Arc<Tallies>,
    pub(super) comparison: Comparison,
    watch: Arc<Watch>,
    outputs: [Arc<Outputs>; 2],
}

/// Listens to the events of both runs.
struct Watch {
    runs: (RunId, RunId),
    tallies: Arc<Tallies>,
    comparison: Comparison,
    full_from: Time,
    /// The number of batches with full windows that the new run has done.
    with_full_windows: AtomicU64,
}

impl StreamingListener for Watch {
    fn on_event(&self, event: &Event) {
        self.on_event_of(RunId::FIRST, event);
    }

    fn on_event_of(&self, run: RunId, event: &Event) {
        if let Event::BatchCompleted(info) = event {
            let side = if run == self.runs.0 { Side::Old } else { Side::New };
            self.comparison.passed(side, info.batch_time);
            if side == Side::New && info.batch_time >= self.full_from {
                self.with_full_windows.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.tallies.on_event_of(run, event);
    }
}

impl Comparing {
    /// Begins to compare the outputs of two runs, from the batch `full_from` on.
    pub(super) fn begin(job: &JobParts, old: &JobRun, new: &JobRun, full_from: Time) -> Self {
        let outputs = |run: &JobRun| -> Vec<(String, RecordType)> {
            run.outputs.with_rows().map(|(name, ty)| (name.to_owned(), ty.clone())).collect()
        };
        let (comparison, worker) = Comparison::new(&new.storage, Limits::default(), &outputs(old), &outputs(new));
        comparison.record_from(full_from);
        let (precedence, clock) = (lock(&job.owner).priority.precedence().clone(), job.env.clock.clone());
        let patience = job.settings.job.batch_interval / 2;
        let turn = move || -> BoxFuture<'static, ()> {
            let (precedence, clock) = (precedence.clone(), clock.clone());
            Box::pin(async move { precedence.free(&*clock, patience).await })
        };
        job.env.low_priority.spawn("comparison", Box::pin(worker.run(turn, |_| {})));
        let tallies = Tallies::new(old.id, new.id);
        let watch = Arc::new(Watch {
            runs: (old.id, new.id),
            tallies: tallies.clone(),
            comparison: comparison.clone(),
            full_from,
            with_full_windows: AtomicU64::new(0),
        });
        for (run, side) in [(old, Side::Old), (new, Side::New)] {
            let comparison = comparison.clone();
            run.outputs.observe(Some(&move |_, name, _| {
                Arc::new(Recorded { comparison: comparison.clone(), side, output: name.to_owned() })
            }));
        }
        job.watcher.set(Some(watch.clone()));
        Self { tallies, comparison, watch, outputs: [old.outputs.clone(), new.outputs.clone()] }
    }

    /// The number of batches with full windows that the new run has done.
    pub(super) fn with_full_windows(&self) -> u64 {
        self.watch.with_full_windows.load(Ordering::Relaxed)
    }

    /// Ends the comparison.
    pub(super) fn end(&self, job: &JobParts) {
        job.watcher.set(None);
        self.outputs.iter().for_each(|outputs| outputs.observe(None));
        self.comparison.close();
    }
}

/// How many differences an output has: rows, batches with rows in another order, and batches that could not be compared.
pub(super) fn differences(output: &OutputComparison) -> u64 {
    let rows = &output.rows;
    let batches = output.batches_order_different + output.batches_not_compared;
    rows.rows_only_old + rows.rows_only_new + rows.keys_changed + batches
}

/// The number of batches of the output for which most batches were looked at. `None` if no output is in both runs.
pub(super) fn compared(outputs: &[OutputComparison]) -> Option<u64> {
    let of_both = outputs.iter().filter(|output| output.presence == Presence::Both);
    of_both
        .map(|output| {
            output.batches_compared
                + output.batches_not_compared
                + output.batches_only_old
                + output.batches_only_new
                + output.batches_failed_old
                + output.batches_failed_new
        })
        .max()
}

/// An observer that records the rows of an output.
struct Recorded {
    comparison: Comparison,
    side: Side,
    output: String,
}

/// A batch that is recorded. `None` if it is not compared.
struct RecordedBatch(Option<BatchRecorder>);

struct RecordedPartition(Option<PartitionRecorder>);

impl Output for Recorded {
    fn begin(&self, batch: Time, _: Time) -> BoxFuture<'_, Result<Arc<dyn BatchWrite>, Error>> {
        let recorder = self.comparison.recorder(self.side, &self.output, batch);
        Box::pin(async { Ok(Arc::new(RecordedBatch(recorder)) as Arc<dyn BatchWrite>) })
    }
}

impl BatchWrite for RecordedBatch {
    fn writer(&self, partition: u32, _: u32) -> BoxFuture<'_, Result<Box<dyn PartitionWriter>, Error>> {
        let recorder = self.0.as_ref().map(|recorder| recorder.partition(partition));
        Box::pin(async { Ok(Box::new(RecordedPartition(recorder)) as Box<dyn PartitionWriter>) })
    }

    fn commit(&self, partitions: u32) -> BoxFuture<'_, Result<(), Error>> {
        self.0.iter().for_each(|recorder| recorder.commit(partitions));
        Box::pin(async { Ok(()) })
    }

    fn abort(&self) -> BoxFuture<'_, ()> {
        self.0.iter().for_each(BatchRecorder::abort);
        Box::pin(async {})
    }
}

impl PartitionWriter for RecordedPartition {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<(), Error>> {
        self.0.iter_mut().for_each(|recorder| recorder.write(&rows));
        Box::pin(async { Ok(()) })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        if let Some(recorder) = self.0 {
            recorder.finish();
        }
        Box::pin(async { Ok(()) })
    }
}
