//! The state of a run in `host checkpoint show`: its operators, and its snapshots.

use crate::checkpoint::{Snapshot, SnapshotId, needed_snapshots, read_snapshot};
use crate::env::Store;
use crate::listener::OperatorState;
use crate::shown::counted;
use crate::state_reader::operators;
use crate::time::Time;
use serde_json::{Value, json};

/// The snapshots of a run, each with its description or why the description cannot be read.
pub(super) struct StateOfRun {
    snapshots: Vec<(SnapshotId, Result<Snapshot, String>)>,
}

impl StateOfRun {
    /// Reads the descriptions of the snapshots that a checkpoint names, the oldest first.
    pub fn read(store: &dyn Store, run: &str, named: &[SnapshotId]) -> Self {
        let read = |id: &SnapshotId| (*id, read_snapshot(store, run, id).map_err(|error| error.to_string()));
        Self { snapshots: named.iter().map(read).collect() }
    }

    /// The operators with state, as they are in the last snapshot. `None` if a description that is needed cannot be read.
    fn operators(&self) -> Option<Vec<OperatorState>> {
        let ids: Vec<SnapshotId> = self.snapshots.iter().map(|(id, _)| *id).collect();
        let needed = needed_snapshots(&ids, ids.last().map(SnapshotId::time));
        let of = |id: &SnapshotId| {
            let (_, snapshot) = self.snapshots.iter().find(|(other, _)| other == id)?;
            Some((*id, snapshot.clone().ok()?))
        };
        Some(operators(&needed.iter().map(of).collect::<Option<Vec<_>>>()?))
    }

    /// The lines of the section, as names and values. `at` writes a point in time.
    pub fn lines(&self, at: impl Fn(Time) -> String) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        let Some((last, _)) = self.snapshots.last() else { return lines };
        lines.push(("state after batch".to_owned(), last.time().to_string()));
        for operator in self.operators().iter().flatten() {
            let OperatorState { keys, bytes, key_type, state_type, batch_ms, .. } = operator;
            let keys = counted(*keys, "key");
            let batch = batch_ms.map(|ms| format!(", after batch {}", Time::from_ms(ms))).unwrap_or_default();
            let line = format!("{}: {keys}, {bytes} bytes, {key_type} -> {state_type}{batch}", operator.label());
            lines.push((String::new(), line));
        }
        lines.push(("snapshots".to_owned(), self.snapshots.len().to_string()));
        for (id, snapshot) in &self.snapshots {
            let what = if id.is_full { "all keys" } else { "changed keys" };
            let told = match snapshot {
                Ok(snapshot) => {
                    let (rows, bytes) = sizes(snapshot);
                    let rows = counted(rows, "row");
                    format!("{what}, {rows}, {bytes} bytes, written {} by owner {}", at(snapshot.written()), id.epoch)
                }
                Err(error) => format!("{what}: {error}"),
            };
            lines.push((String::new(), format!("batch {}: {told}", id.time())));
        }
        lines
    }

    /// The section as JSON. `null` if the run has no snapshot.
    pub fn as_json(&self) -> Value {
        if self.snapshots.is_empty() {
            return Value::Null;
        }
        let snapshot = |(id, snapshot): &(SnapshotId, Result<Snapshot, String>)| {
            let (rows, bytes) = snapshot.as_ref().map(sizes).unwrap_or_default();
            json!({
                "batch_ms": id.time_ms,
                "epoch": id.epoch,
                "is_full": id.is_full,
                "written_ms": snapshot.as_ref().ok().map(|snapshot| snapshot.written().as_ms()),
                "rows": rows,
                "bytes": bytes,
                "error": snapshot.as_ref().err(),
            })
        };
        let snapshots: Vec<Value> = self.snapshots.iter().map(snapshot).collect();
        json!({ "operators": self.operators(), "snapshots": snapshots })
    }
}

/// The rows and bytes of a snapshot.
fn sizes(snapshot: &Snapshot) -> (u64, u64) {
    let sizes = snapshot.nodes.iter().map(|saved| (saved.rows, saved.bytes));
    sizes.fold((0, 0), |(rows, bytes), (more_rows, more)| (rows.saturating_add(more_rows), bytes.saturating_add(more)))
}
