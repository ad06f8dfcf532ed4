//! The Millstream host: micro-batch stream processing whose user code is a sandboxed WebAssembly component.
//!
//! The modules are declared in layers: each uses only those above it. `ARCHITECTURE.md` tells the life of a batch.

// The ground: no module of ours is used here.
pub mod lock;
pub mod shown;

pub mod encoding;
pub mod error;
pub mod time;

pub mod ids;

// The world, the words, the settings.
pub mod config;
pub mod data;
pub mod env;
pub mod memory;

pub mod clients;
pub mod grants;
pub mod http;
pub mod messages;

pub mod graph;
pub mod listener;

// A batch's life: received or read, stored, given to a batch, computed, written.
pub mod block;
pub mod input;
pub mod variables;

pub mod comparison;
pub mod output;
pub mod plugin;
pub mod receiver;
pub mod state;

pub mod checkpoint;

pub mod engine;
pub mod tracker;

pub mod ingest;

pub mod driver;
pub mod scheduler;

pub mod run;
pub mod state_reader;

pub mod upgrade;

pub mod control;
pub mod ui;

// What puts it all together.
pub mod context;

pub mod cli;

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
