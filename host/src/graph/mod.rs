//! The graph of streams and outputs that the plugin described, and the stages that the graph is cut into.
//!
//! Owns plain data and pure decisions about it. Knows no WebAssembly, no engine and no I/O.

mod call;
mod described;
mod difference;
mod error;
mod explain;
mod interval;
mod join;
mod kind;
mod needs;
mod node;
mod operation;
mod program;
mod quiet;
mod stage;
mod state;
mod validate;

pub use call::CallError;
pub use described::{DescribedNode, ParameterValue};
pub use difference::{Change, GraphDifference, Kept, OutputPair, StateFit};
pub use error::GraphError;
pub use explain::{ExplainedNode, Explanation};
pub use interval::{Beginning, Intervals, window_times};
pub use join::joined_rows;
pub use kind::{KINDS, Kind};
pub use needs::Needs;
pub use node::{Node, StorageLevel, output_name};
pub use operation::{Compression, FileFormat, JoinKind, Operation, ParquetOptions, StateForm, Stateful};
pub use program::{Call, Graph};
pub use stage::{Branch, Distribution, OutputJob, Role, Stage, StageGraph, StageInput, StageOutput, Step};
pub use state::StateTypes;
#[cfg(test)]
pub(crate) use validate::tests::stateful_graph;
