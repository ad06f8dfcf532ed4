//! What a host needs to compute again before it can go on after a batch: which data sets, from which snapshots of
//! state, from which inputs.
//!
//! Owns the rule, as a pure function. A node that reads another node needs the data sets of that node. A window needs
//! data sets of the time before it. A node with state needs a snapshot, and the data sets after the snapshot.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::interval::{Beginning, Intervals};
use crate::ids::NodeId;
use crate::time::Time;
use std::collections::BTreeMap;

/// What a host needs to compute again before it can go on after a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// For each node, by position: the data sets of the node after this time are needed.
    after: Vec<Time>,
    /// For each node with state: the time of the snapshot with which the node begins. `None` if no snapshot is old
    /// enough: the node begins without state, or with its initial state.
    pub snapshots: BTreeMap<NodeId, Option<Time>>,
    /// The inputs after this time are needed.
    pub inputs_after: Time,
}

impl Needs {
    /// The time after which data sets of a node are needed.
    pub fn after(&self, node: NodeId) -> Time {
        self.after.get(node.0 as usize).copied().unwrap_or_default()
    }

    /// The oldest snapshot that is needed. `None` if no snapshot is needed, or if a node begins without one.
    pub fn oldest_snapshot(&self) -> Option<Time> {
        self.snapshots.values().copied().min().flatten()
    }
}

impl Intervals {
    /// What a new process needs to compute again so that it can compute all batches after `done`. `snapshots` are the
    /// times of all snapshots of state.
    pub fn needs(&self, done: Time, beginning: Beginning, snapshots: &[Time]) -> Needs {
        let Beginning { zero, data_after } = beginning;
        let count = self.parents.len();
        let mut needs = Needs { after: vec![done; count], snapshots: BTreeMap::new(), inputs_after: done };
        for (node, span) in &self.remembered {
            lower(&mut needs.after, *node, done - *span);
        }
        // Each node comes after the nodes that it reads.
        for (at, parents) in self.parents.iter().enumerate().rev() {
            let node = NodeId(u32::try_from(at).unwrap_or(u32::MAX));
            let mut after = needs.after(node);
            if self.stateful().any(|stateful| stateful == node) {
                let is_of_run = |time: &Time| *time > zero && *time >= data_after;
                let snapshot = snapshots.iter().copied().filter(|time| *time <= after && is_of_run(time)).max();
                needs.snapshots.insert(node, snapshot);
                after = snapshot.unwrap_or(data_after);
                lower(&mut needs.after, node, after);
            }
            let read = match self.window_of(node) {
                Some((length, slide)) => self.next_due(slide, after, zero) - length,
                None => after,
            };
            parents.iter().for_each(|parent| lower(&mut needs.after, *parent, read));
            if parents.is_empty() {
                needs.inputs_after = needs.inputs_after.min(after);
            }
        }
        // A run that joined the job later never had the earlier inputs.
        if data_after > zero {
            needs.inputs_after = needs.inputs_after.max(data_after.min(done));
        }
        needs
    }
}

fn lower(after: &mut [Time], node: NodeId, time: Time) {
    if let Some(known) = after.get_mut(node.0 as usize) {
        *known = time.min(*known);
    }
}

#[cfg(test)]
mod tests;
