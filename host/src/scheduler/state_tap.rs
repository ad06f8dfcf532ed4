//! [`StateTap`]: takes the state of a run as it is after a certain batch, for another run.
//!
//! Owns that the versions are those after this batch, also if the run goes on. Versions never change, so taking them
//! costs nothing and delays no batch.

use crate::ids::NodeId;
use crate::lock::lock;
use crate::state::{StateStore, Version};
use crate::time::Time;
use std::sync::Mutex;
use tokio::sync::oneshot;

/// The versions of the state of nodes.
pub type Versions = Vec<(NodeId, Version)>;

/// Takes the state of a run after a certain batch.
pub struct StateTap {
    state: StateStore,
    /// The nodes that have state.
    nodes: Vec<NodeId>,
    tap: Mutex<Tap>,
}

#[derive(Default)]
struct Tap {
    /// The last batch that is done. Before the first batch of the run, this is the batch before it.
    done: Time,
    /// The batch after which the state is wanted, and who wants it.
    wanted: Option<(Time, oneshot::Sender<Versions>)>,
}

impl StateTap {
    /// Makes a tap of the state of these nodes.
    pub fn new(state: StateStore, nodes: Vec<NodeId>) -> Self {
        Self { state, nodes, tap: Mutex::default() }
    }

    fn versions(&self) -> Versions {
        self.nodes.iter().filter_map(|node| Some((*node, self.state.version(*node)?))).collect()
    }

    /// Notes that a batch is done, and that the next one has not begun. Before the run begins: notes which batch is before
    /// its first one.
    pub fn batch_done(&self, batch: Time) {
        let mut tap = lock(&self.tap);
        tap.done = batch;
        if tap.wanted.as_ref().is_some_and(|(wanted, _)| *wanted <= batch)
            && let Some((_, send)) = tap.wanted.take()
        {
            // Nobody may want it any more.
            let _ = send.send(self.versions());
        }
    }

    /// Takes the state after `batch`, the last batch that the run was given. If the run has done the batch, this is the
    /// present state. The channel closes if the run ends before that, or if the state is asked for again.
    pub fn after(&self, batch: Time) -> oneshot::Receiver<Versions> {
        let (send, versions) = oneshot::channel();
        let mut tap = lock(&self.tap);
        if tap.done < batch {
            tap.wanted = Some((batch, send));
        } else {
            let _ = send.send(self.versions());
        }
        versions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::state_of_one_key;

    /// The state of node 1 is of second 10.
    fn tap() -> StateTap {
        StateTap::new(state_of_one_key(Time::from_ms(10_000)), vec![NodeId(1), NodeId(7)])
    }

    fn batches(versions: &Versions) -> Vec<(u32, u64)> {
        versions.iter().map(|(node, version)| (node.0, version.batch.as_ms())).collect()
    }

    #[test]
    fn state_is_taken_when_its_batch_is_done() {
        let tap = tap();
        tap.batch_done(Time::from_ms(9000));
        let mut versions = tap.after(Time::from_ms(10_000));
        assert!(versions.try_recv().is_err());
        tap.batch_done(Time::from_ms(10_000));
        assert_eq!(batches(&versions.try_recv().unwrap()), [(1, 10_000)], "node 7 has no state");
        assert_eq!(batches(&tap.after(Time::from_ms(10_000)).try_recv().unwrap()), [(1, 10_000)]);
    }
}
