//! The actor that compares batches, on a thread of low priority.

use super::compare::{Differences, Rows, compare};
use super::intake::{Intake, Ready, What};
use super::reason::NotCompared;
use super::recorded::Recorded;
use super::result::{BatchComparison, Outcome};
use super::{ComparedOutput, Limits, Shared};
use crate::block::Scratch;
use futures::future::BoxFuture;
use std::sync::Arc;

/// Stores the rows of the old side, and compares batches when both sides have committed them.
pub struct ComparisonWorker {
    pub(super) shared: Arc<Shared>,
    pub(super) intake: Intake,
    /// The memory of the queue and of the counted groups, which is taken as long as the worker exists.
    pub(super) _memory: Scratch,
    pub(super) limits: Limits,
    pub(super) outputs: Arc<[ComparedOutput]>,
}

impl ComparisonWorker {
    /// Compares batches until the comparison is closed or finished, and calls `told` with each result. Before each batch,
    /// waits for `turn`. Blocks while it reads and compares rows, so it needs a thread of its own, of low priority.
    pub async fn run(
        mut self,
        turn: impl Fn() -> BoxFuture<'static, ()> + Send + Sync,
        mut told: impl FnMut(&BatchComparison) + Send,
    ) {
        loop {
            // What was sent before the comparison was finished is taken below.
            let is_finishing = self.shared.is_finishing();
            self.intake.drain();
            if self.shared.is_closed() {
                return;
            }
            match self.intake.ready.pop_front() {
                Some(ready) => {
                    turn().await;
                    if let Some(result) = self.result(ready) {
                        self.shared.add(&result);
                        told(&result);
                    }
                }
                None if is_finishing || self.intake.is_finished => return,
                None => self.intake.wait().await,
            }
        }
    }

    /// The result of a batch. `None` if the comparison was closed meanwhile.
    fn result(&mut self, Ready { output, batch, what }: Ready) -> Option<BatchComparison> {
        let compared = self.outputs.get(output)?.clone();
        let mut result =
            BatchComparison { output: compared.name.clone(), batch_ms: batch.as_ms(), ..BatchComparison::default() };
        match what {
            What::Told(outcome, reason) => (result.outcome, result.reason) = (outcome, reason),
            What::Rows { old, new } => {
                result.rows.rows_old = old.row_count();
                result.rows.rows_new = new.row_count();
                match self.compare(output, &compared, &old, &new) {
                    Ok(Differences { outcome, counts, samples }) => {
                        (result.outcome, result.rows, result.samples) = (outcome, counts, samples);
                        result.samples.iter_mut().for_each(|sample| sample.batch_ms = batch.as_ms());
                    }
                    Err(NotCompared::Ended) => return None,
                    Err(reason) => {
                        result.outcome = Outcome::NotCompared;
                        result.reason = Some(reason.to_string());
                    }
                }
            }
        }
        Some(result)
    }

    fn compare(
        &mut self,
        at: usize,
        output: &ComparedOutput,
        old: &Recorded,
        new: &Recorded,
    ) -> Result<Differences, NotCompared> {
        let ty = match (&output.old, &output.new) {
            (Some(old), Some(new)) if old == new => old,
            (old, new) => {
                let text = |ty: &Option<_>| ty.as_ref().map_or("none".to_owned(), ToString::to_string);
                return Err(NotCompared::Types { old: text(old), new: text(new) });
            }
        };
        let Self { shared, intake, limits, .. } = self;
        let mut scratch = shared.storage.scratch();
        let mut tick = || {
            intake.drain();
            if shared.is_closed() { Err(NotCompared::Ended) } else { Ok(()) }
        };
        let wanted = |kind| shared.samples_wanted(at, kind);
        compare(&Rows { old, new, ty }, limits, &wanted, &mut scratch, &mut tick)
    }
}
