//! Runs nodes that keep state, batch by batch.
//!
//! Owns the order of their batches, and the rows that they read. The model of the host says what becomes of the states:
//! see `stateful/model.rs`.

use super::history::Outcome;
use super::run::Run;
use crate::chunk::Chunk;
use crate::ids::NodeId;
use crate::kind::Kind;
use crate::stateful::model::{Input, States};
use std::collections::BTreeSet;
use std::rc::Rc;

impl Run {
    /// The rows of a node with state in a batch, or the states after the batch for `state_snapshots`. `None` if the
    /// node is neither.
    pub(super) fn stateful_rows(self: &Rc<Self>, node: NodeId, batch: usize) -> Option<Vec<Chunk>> {
        let (kind, parent, has_state) = {
            let nodes = self.graph.nodes();
            let found = &nodes[&node];
            (found.kind, found.parents.first().copied(), found.code.state.is_some())
        };
        match (kind, parent) {
            _ if has_state => Some(self.outcome(node, batch).rows),
            (Kind::StateSnapshots, Some(mapped)) => Some(self.outcome(mapped, batch).snapshot),
            _ => None,
        }
    }

    /// The result of a node with state in a batch. Batches before this batch that are not done are done first.
    fn outcome(self: &Rc<Self>, node: NodeId, batch: usize) -> Outcome {
        loop {
            let next = self.histories.borrow().get(&node).map_or(0, |history| history.done);
            if next > batch {
                break;
            }
            let stepped = self.is_due(node, next).then(|| self.step(node, next));
            let mut histories = self.histories.borrow_mut();
            let history = histories.entry(node).or_default();
            history.done = next + 1;
            if let Some((outcome, states)) = stepped {
                history.outcomes.insert(next, outcome);
                history.states = Some(states);
            }
        }
        let known = self.histories.borrow().get(&node).and_then(|history| history.outcomes.get(&batch).cloned());
        known.unwrap_or_default()
    }

    fn step(self: &Rc<Self>, node: NodeId, batch: usize) -> (Outcome, States) {
        let input = self.state_input(node, batch);
        let time = self.time(batch);
        let (model, role, has_initial) = {
            let nodes = self.graph.nodes();
            let code = nodes[&node].code.state.as_ref().expect("the node keeps state");
            (Rc::clone(&code.model), code.role, code.initial.is_some())
        };
        let run = |role: &str, pushes: Vec<(u32, Chunk)>| self.given(node, &[(node, role)], pushes, batch);
        let known = self.histories.borrow().get(&node).and_then(|history| history.states.clone());
        let before = known.unwrap_or_else(|| match has_initial {
            true => model.hold(run("initial", Vec::new()).rows, time),
            false => States::default(),
        });
        let (rows, after) = model.step(&before, input, time, &|pushes| run(role, pushes));
        (Outcome { rows, snapshot: model.rows(&after) }, after)
    }

    /// The rows that a node with state reads in a batch.
    fn state_input(self: &Rc<Self>, node: NodeId, batch: usize) -> Input {
        let (parent, length) = {
            let nodes = self.graph.nodes();
            (nodes[&node].parents[0], nodes[&node].duration("length"))
        };
        let rows = |batches: Vec<usize>| batches.into_iter().flat_map(|batch| self.evaluate(parent, batch)).collect();
        let Some(length) = length else { return Input { leaving: Vec::new(), entering: rows(vec![batch]) } };
        let (length, slide) = (self.batches_in(length), self.slide(node));
        // The batches of the window that ends before `end`.
        let window = |end: usize| (end.saturating_sub(length)..end).filter(|batch| self.is_due(parent, *batch));
        let (last, this): (BTreeSet<usize>, BTreeSet<usize>) =
            (window((batch + 1).saturating_sub(slide)).collect(), window(batch + 1).collect());
        Input {
            leaving: rows(last.difference(&this).copied().collect()),
            entering: rows(this.difference(&last).copied().collect()),
        }
    }
}
