//! What the host lends to a plugin: a place for rows, a log, a trace.
//!
//! Owns the one switch between the real host, in a component, and the test harness, in native code.

use crate::chunk::Chunk;

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

#[cfg(target_family = "wasm")]
mod imp {
    use super::{Chunk, Level};
    use crate::bindings::millstream::plugin::runtime;
    use crate::bindings::millstream::plugin::types;

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
}

#[cfg(not(target_family = "wasm"))]
mod imp {
    use super::{Chunk, Level};
    use std::cell::RefCell;

    thread_local! {
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

    pub fn take_emitted() -> Vec<Chunk> {
        EMITTED.take()
    }

    pub fn take_trace() -> Vec<(u32, u64)> {
        TRACE.take()
    }
}

#[cfg(not(target_family = "wasm"))]
pub(crate) use imp::{take_emitted, take_trace};
