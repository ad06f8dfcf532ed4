//! The plugin: a component that is loaded, checked, asked for its graph, and run task by task inside limits.
//!
//! Owns everything that uses WebAssembly; no other module uses wasmtime. The host trusts nothing that a plugin says or
//! returns. Callers may rely on this: whatever plugin code does, a call ends with a value or a [`Failure`], within the
//! limits.

mod answer;
mod bindings;
mod cache;
mod compile;
mod crossing;
mod data_sets;
mod describe;
mod driver;
mod emitted;
mod failure;
mod functions;
mod instance;
mod invoke;
mod limits;
mod linked;
mod live;
mod load;
mod load_error;
mod log;
mod nodes;
mod off_limits;
mod operator_clock;
mod program;
mod record;
mod replay;
mod runtime;
mod state;
mod variables;
mod wasi;
mod words;

pub use answer::Answer;
pub use cache::{CacheDirectory, digest};
pub use compile::{CompilerProcess, serve_compilation};
pub use data_sets::{DataSets, DriverCall, RowsStream};
pub use describe::Description;
pub use emitted::EmittedRows;
pub use failure::{Failure, TracedPlace};
pub use instance::TaskInstance;
pub use limits::Limits;
pub use linked::Plugin;
pub use load::PluginLoader;
pub use load_error::LoadError;
pub use program::{TaskProgram, TaskStep};
pub use record::{RecordId, RecordedAction, RecordedCall, RecordedEnd, RecordedStep, made_bytes};
pub use runtime::{Cancel, Runtime, StartError};
