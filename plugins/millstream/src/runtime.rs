//! What the host lends to a plugin: a place for rows, a log, a trace.
//!
//! Owns the one switch between the real host, in a component, and the test harness, in native code.

use crate::chain::NodeId;
use crate::chunk::Chunk;
use crate::graph::Graph;

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something looks wrong.
    Warn,
    /// Something worth knowing happened.
    Info,
    /// For the author of the plugin.
    Debug,
}

/// Writes a line to the host's log, which adds operator, batch and partition. In a native test: to standard error.
pub fn log(level: Level, message: &str) {
    imp::log(level, message);
}

pub(crate) fn emit(rows: Chunk) {
    imp::emit(rows);
}

pub(crate) fn at(operator: u32, record: u64) {
    imp::at(operator, record);
}

/// Computes the data set of `node` and returns its first `limit` rows, or all. Only in a driver function.
pub(crate) fn run(graph: &Graph, node: NodeId, limit: Option<u64>) -> Vec<Chunk> {
    imp::run(graph, node, limit)
}

#[cfg(target_family = "wasm")]
mod imp {
    use super::{Chunk, Graph, Level, NodeId};
    use crate::bindings::millstream::plugin::data_sets;
    use crate::bindings::millstream::plugin::runtime;
    use crate::bindings::millstream::plugin::types;
    use crate::guest;

    pub fn log(level: Level, message: &str) {
        let level = match level {
            Level::Error => runtime::Level::Error,
            Level::Warn => runtime::Level::Warn,
            Level::Info => runtime::Level::Info,
            Level::Debug => runtime::Level::Debug,
        };
        runtime::log(level, message);
    }

    pub fn emit(rows: Chunk) {
        let extents = rows.extents.iter().map(|e| types::Extent { offset: e.offset, length: e.length }).collect();
        runtime::emit(&types::Chunk { rows: rows.rows, extents, data: rows.data });
    }

    pub fn at(operator: u32, record: u64) {
        runtime::at(operator, record);
    }

    pub fn run(graph: &Graph, node: NodeId, limit: Option<u64>) -> Vec<Chunk> {
        match data_sets::run(&graph.tell(guest::node), node, limit) {
            Some(chunks) => chunks.into_iter().map(guest::chunk).collect(),
            None => guest::finish_in_place(),
        }
    }
}

#[cfg(not(target_family = "wasm"))]
mod imp {
    use super::{Chunk, Graph, Level, NodeId};
    use std::cell::RefCell;
    use std::rc::Rc;

    /// Computes rows for a driver function under test.
    pub type Evaluate = Rc<dyn Fn(NodeId) -> Vec<Chunk>>;

    thread_local! {
        static EVALUATE: RefCell<Option<Evaluate>> = const { RefCell::new(None) };
        static EMITTED: RefCell<Vec<Chunk>> = const { RefCell::new(Vec::new()) };
        static TRACE: RefCell<Vec<(u32, u64)>> = const { RefCell::new(Vec::new()) };
    }

    pub fn log(level: Level, message: &str) {
        eprintln!("{level:?}: {message}");
    }

    pub fn emit(rows: Chunk) {
        EMITTED.with_borrow_mut(|emitted| emitted.push(rows));
    }

    pub fn at(operator: u32, record: u64) {
        TRACE.with_borrow_mut(|trace| trace.push((operator, record)));
    }

    pub fn run(_: &Graph, node: NodeId, _: Option<u64>) -> Vec<Chunk> {
        let evaluate = EVALUATE.with_borrow(Clone::clone);
        evaluate.expect("an action needs a driver function that runs")(node)
    }

    /// Sets what computes rows for driver functions, and returns what did before.
    pub fn set_evaluate(evaluate: Option<Evaluate>) -> Option<Evaluate> {
        EVALUATE.replace(evaluate)
    }

    pub fn take_emitted() -> Vec<Chunk> {
        EMITTED.take()
    }

    pub fn take_trace() -> Vec<(u32, u64)> {
        TRACE.take()
    }
}

#[cfg(not(target_family = "wasm"))]
pub(crate) use imp::{Evaluate, set_evaluate, take_emitted, take_trace};
