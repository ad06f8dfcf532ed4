//! What the program is: the graph of streams and outputs that the plugin described, and the stages it is cut into.
//!
//! Owns plain data and pure decisions about it. Knows no WebAssembly, no engine and no I/O.

mod call;
mod error;
mod explain;
mod interval;
mod join;
mod node;
mod quiet;
mod stage;
mod validate;

pub use call::{Call, CallError};
pub use error::GraphError;
pub use explain::{Comparison, ExplainedNode, Explanation};
pub use interval::{Intervals, window_times};
pub use join::joined_rows;
pub use node::{
    Compression, DescribedNode, FileFormat, Graph, JoinKind, Node, Operation, ParameterValue, ParquetOptions,
    StorageLevel,
};
pub use stage::{Branch, Distribution, OutputJob, Role, Stage, StageGraph, StageInput, StageOutput, Step};
