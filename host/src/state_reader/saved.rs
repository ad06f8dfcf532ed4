//! [`SavedStates`]: the state of the last snapshot of a run.
//!
//! Owns which run and which snapshot are meant, and what is told of them. How rows are read is in `chain.rs`.

use super::KeyState;
use super::chain::{ChainError, SnapshotChain, of_node};
use super::error::StateReadError;
use super::operator::choose;
use super::sought::Sought;
use crate::checkpoint::{SavedState, Snapshot, SnapshotError, SnapshotId, current_owner, read_run, run_names};
use crate::data::schema::RecordType;
use crate::env::Store;
use crate::listener::OperatorState;
use crate::state::{Layout, MergedParts, StateError};
use crate::time::Time;
use arrow::array::RecordBatch;
use std::io;
use std::sync::Arc;

/// How often the snapshots of a job that writes newer ones are looked for.
const TRIES_MAX: usize = 5;

/// The state of the last snapshot of a run.
pub struct SavedStates {
    store: Arc<dyn Store>,
    run: String,
    /// The last snapshot.
    last: SnapshotId,
    /// The snapshots that have the state together.
    chain: SnapshotChain,
}

impl SavedStates {
    /// Reads which snapshots there are, and then reads from them. If the job removes these snapshots meanwhile, because
    /// there are newer ones, reads from the newer ones.
    ///
    /// # Errors
    /// Returns an error if there is no snapshot, or if the snapshots cannot be read.
    pub fn read<T>(
        store: &Arc<dyn Store>,
        read: impl Fn(&Self) -> Result<T, StateReadError>,
    ) -> Result<T, StateReadError> {
        let mut tries = 1;
        loop {
            match Self::open(store).and_then(|saved| read(&saved)) {
                Err(StateReadError::Replaced { .. }) if tries < TRIES_MAX => tries += 1,
                other => return other,
            }
        }
    }

    /// Reads which snapshots there are.
    ///
    /// # Errors
    /// Returns an error if there is no snapshot, or if its description cannot be read.
    pub fn open(store: &Arc<dyn Store>) -> Result<Self, StateReadError> {
        let (run, named) = named_snapshots(&**store)?;
        let Some(last) = named.last().copied() else {
            return Err(StateReadError::NoSnapshot { run, place: store.describe() });
        };
        let chain = SnapshotChain::read(store, &run, &named, last.time());
        let chain = chain.map_err(|error| told(&**store, &run, &last, error))?;
        Ok(Self { store: store.clone(), run, last, chain })
    }

    /// The batch after which the state is as it is saved.
    pub fn batch(&self) -> Time {
        self.last.time()
    }

    /// The operators with state. Their bytes are those of all snapshots that have the state together.
    pub fn list(&self) -> Vec<OperatorState> {
        operators(self.chain.snapshots())
    }

    /// The operator that a text means, and its state in the last snapshot.
    fn operator(&self, wanted: Option<&str>) -> Result<(OperatorState, RecordType), StateReadError> {
        let mut operators = self.list();
        let operator = operators.swap_remove(choose(&operators, wanted)?);
        let last = self.chain.of_node(operator.node).next_back();
        let unknown = || StateReadError::UnknownType { operator: operator.label() };
        let pair = last.and_then(|(_, saved)| saved.pair()).filter(RecordType::is_pair).ok_or_else(unknown)?;
        Ok((operator, pair))
    }

    /// The state of one key of an operator.
    ///
    /// # Errors
    /// Returns an error if the operator or the key is not clear, or if a part of a snapshot cannot be read.
    pub fn get(&self, operator: Option<&str>, key: &str) -> Result<KeyState, StateReadError> {
        let (operator, pair) = self.operator(operator)?;
        let sought = Sought::new(&operator, &pair, key)?;
        let row = self.chain.row(operator.node, &sought.layout, &sought.key);
        let row = row.map_err(|error| self.failed(&operator, error))?;
        let pair = row.map(|row| sought.key.pair_of(&row)).transpose();
        sought.told(pair.map_err(|error| sought.failed(error))?.flatten())
    }

    /// All keys of an operator and their states.
    ///
    /// # Errors
    /// Returns an error if the operator is not clear.
    pub fn rows(&self, operator: Option<&str>) -> Result<SavedRows<'_>, StateReadError> {
        let (operator, pair) = self.operator(operator)?;
        let unknown = || StateReadError::UnknownType { operator: operator.label() };
        let layout = Layout::new(&pair).map(Arc::new).ok_or_else(unknown)?;
        let ty = named(&pair).ok_or_else(unknown)?;
        let merged = MergedParts::new(&layout, self.chain.parts(operator.node, &layout));
        Ok(SavedRows { saved: self, operator, ty, layout, merged })
    }

    /// The error of rows that cannot be read.
    fn failed(&self, operator: &OperatorState, error: ChainError) -> StateReadError {
        match error {
            ChainError::Snapshot(error) => told(&*self.store, &self.run, &self.last, error),
            ChainError::State(error) => StateReadError::Rows { operator: operator.label(), error },
        }
    }
}

/// The error of snapshots that cannot be read, the last of which is `last`. The job may have removed the snapshots.
fn told(store: &dyn Store, run: &str, last: &SnapshotId, error: SnapshotError) -> StateReadError {
    let is_missing = matches!(&error, SnapshotError::Store { error, .. } if error.kind() == io::ErrorKind::NotFound);
    match named_snapshots(store) {
        Ok((now, named)) if is_missing && !(now == run && named.contains(last)) => {
            StateReadError::Replaced { batch: last.time(), place: store.describe() }
        }
        _ => error.into(),
    }
}

/// The operators with state in the last of some snapshots, which have the state together. The bytes are those of all of
/// them. A snapshot that does not say which batch made a state counts as made after its own batch.
pub fn operators(snapshots: &[(SnapshotId, Snapshot)]) -> Vec<OperatorState> {
    let Some((id, last)) = snapshots.last() else { return Vec::new() };
    let told = |saved: &SavedState| {
        let types = saved.pair().and_then(|pair| pair.pair());
        let types = types.map(|(key, state)| (key.to_string(), state.to_string()));
        let (key_type, state_type) = types.unwrap_or_else(|| ("unknown".to_owned(), "unknown".to_owned()));
        let parts = snapshots.iter().filter_map(|(_, snapshot)| of_node(snapshot, saved.node));
        OperatorState {
            node: saved.node,
            name: saved.name.clone(),
            kind: saved.kind.clone(),
            keys: saved.keys,
            bytes: parts.fold(0, |bytes, saved| bytes.saturating_add(saved.bytes)),
            key_type,
            state_type,
            batch_ms: saved.batch_ms.or(Some(id.time_ms)),
        }
    };
    last.nodes.iter().map(told).collect()
}

/// The run that is shown, and the snapshots that its newest checkpoint names, the oldest first.
fn named_snapshots(store: &dyn Store) -> Result<(String, Vec<SnapshotId>), StateReadError> {
    let names = run_names(store)?;
    // Without an owner that points to a run, the last run counts.
    let current = current_owner(store)?.map(|owner| owner.run).filter(|run| names.contains(run));
    let run = current.or_else(|| names.last().cloned());
    let saved = run.map(|run| read_run(store, &run, false)).transpose()?;
    let newest = saved.and_then(|saved| Some((saved.name, saved.newest?.2.snapshots)));
    newest.ok_or_else(|| StateReadError::NoRun { place: store.describe() })
}

/// The same pairs as structs whose members are called `key` and `state`.
fn named(pair: &RecordType) -> Option<RecordType> {
    let (key, _) = pair.pair()?;
    let mut fields = pair.fields().to_vec();
    for (at, name) in [(1, "key"), (1 + key.fields().len(), "state")] {
        name.clone_into(&mut fields.get_mut(at)?.name);
    }
    RecordType::parse(fields).ok()
}

/// All keys of an operator and their states, in the order of the hashes of the keys. One part of each snapshot is in
/// memory.
pub struct SavedRows<'a> {
    saved: &'a SavedStates,
    operator: OperatorState,
    ty: RecordType,
    layout: Arc<Layout>,
    merged: MergedParts<'a, ChainError>,
}

impl SavedRows<'_> {
    /// The type of the rows: structs with the members `key` and `state`.
    pub fn row_type(&self) -> &RecordType {
        &self.ty
    }

    /// The operator.
    pub fn operator(&self) -> &OperatorState {
        &self.operator
    }

    fn pairs(&self, live: &RecordBatch) -> Result<RecordBatch, StateError> {
        let pairs = self.layout.pairs(live)?;
        Ok(RecordBatch::try_new(self.ty.arrow().clone(), pairs.columns().to_vec())?)
    }
}

impl Iterator for SavedRows<'_> {
    type Item = Result<RecordBatch, StateReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.merged.next()?.and_then(|rows| Ok(self.pairs(&rows)?));
        Some(rows.map_err(|error| self.saved.failed(&self.operator, error)))
    }
}
