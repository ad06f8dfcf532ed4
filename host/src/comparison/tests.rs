//! Whatever two runs output, the comparison finds what a simple model finds.

mod cases;
mod model;
mod waiting;

use super::*;
use crate::block::SpillSettings;
use crate::data::arbitrary::ty;
use crate::data::json;
use crate::env::Simulation;
use crate::memory::MemoryBudget;
use arrow::array::RecordBatch;
use serde_json::Value;

const OUTPUT: &str = "counts";

/// Makes a storage with this much memory.
fn storage(budget: u64) -> RowStorage {
    let settings = SpillSettings { directory: None, limit_bytes: u64::MAX, compressed: false };
    let disk = Simulation::new(0, Time::default()).env().disk;
    RowStorage::new(&MemoryBudget::new(budget, 0).unwrap(), disk, settings)
}

/// Pairs of a text and a number.
fn pairs() -> RecordType {
    ty(&[("", "struct", 2), ("0", "text", 0), ("1", "u64", 0)])
}

fn batch(ty: &RecordType, rows: &[Value]) -> RecordBatch {
    json::records(ty, rows).unwrap()
}

/// A comparison of one output, which both sides have, and everything that its worker told.
struct Compared {
    comparison: Comparison,
    worker: ComparisonWorker,
    ty: RecordType,
}

impl Compared {
    fn new(ty: RecordType, limits: Limits, budget: u64) -> Self {
        let outputs = [(OUTPUT.to_owned(), ty.clone())];
        let (comparison, worker) = Comparison::new(&storage(budget), limits, &outputs, &outputs);
        Self { comparison, worker, ty }
    }

    fn begin(&self, side: Side, batch_ms: u64) -> BatchRecorder {
        self.comparison.recorder(side, OUTPUT, Time::from_ms(batch_ms)).unwrap()
    }

    /// A side commits a batch of one partition, whose rows come in one piece.
    fn commit(&self, side: Side, batch_ms: u64, rows: &[Value]) {
        let recorder = self.begin(side, batch_ms);
        let mut partition = recorder.partition(0);
        partition.write(&batch(&self.ty, rows));
        partition.finish();
        recorder.commit(1);
    }

    /// Compares everything. Returns the result of each batch, and the result of the output.
    fn finish(self) -> (Vec<BatchComparison>, OutputComparison) {
        let mut told = Vec::new();
        self.comparison.finish();
        futures::executor::block_on(self.worker.run(|| Box::pin(async {}), |batch| told.push(batch.clone())));
        (told, self.comparison.results().remove(0))
    }
}

/// Compares these rows as one batch.
fn compare_rows(ty: &RecordType, old: &[Value], new: &[Value]) -> OutputComparison {
    let compared = Compared::new(ty.clone(), Limits::default(), 0);
    compared.commit(Side::Old, 1000, old);
    compared.commit(Side::New, 1000, new);
    compared.finish().1
}
