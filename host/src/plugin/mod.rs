//! The plugin: a component that is loaded, checked, asked for its graph, and run task by task inside limits.
//!
//! Owns everything that touches WebAssembly; no other module names wasmtime. Nothing a plugin says or returns is trusted.
//! Callers may rely on this: whatever plugin code does, a call ends with a value or a [`Failure`], within the limits.

mod bindings;
mod cache;
mod compile;
mod describe;
mod driver;
mod emitted;
mod failure;
mod instance;
mod limits;
mod load;
mod log;
mod replay;
mod runtime;
mod wasi;

pub use cache::CacheDirectory;
pub use compile::{CompilerProcess, serve_compilation};
pub use driver::{Answer, DataSets, DriverCall, RowsStream};
pub use emitted::EmittedRows;
pub use failure::{Failure, Place};
pub use instance::{TaskInstance, TaskProgram, TaskStep};
pub use limits::Limits;
pub use load::{LoadError, Plugin, PluginLoader};
pub use replay::{RecordId, RecordedAction, RecordedCall, RecordedEnd, RecordedStep, made_bytes};
pub use runtime::{Cancel, Runtime, StartError};
