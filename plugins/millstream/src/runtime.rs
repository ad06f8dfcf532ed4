//! The services of the host that a plugin uses: emitted rows, a log, a trace.
//!
//! Owns the one switch between the real host, in a component, and the test harness, in native code.

use crate::chunk::Chunk;
use crate::ids::NodeId;
use crate::offset_range::OffsetRange;
use crate::time::Time;
use std::time::Duration;

/// The level of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something looks wrong.
    Warn,
    /// Something worth knowing happened.
    Info,
    /// A detail for the author of the plugin.
    Debug,
}

/// Writes a line to the host's log. The host adds operator, batch and partition. A native test writes the line to
/// standard error.
pub fn log(level: Level, message: &str) {
    imp::log(level, message);
}

/// The job's batch interval. In a test, the interval that the test sets.
pub(crate) fn batch_interval() -> Duration {
    imp::batch_interval()
}

/// Tells the host which arguments the program has read. May be called only while the program is described.
#[cfg(target_family = "wasm")]
pub(crate) fn arguments_read(names: &[String]) {
    imp::arguments_read(names);
}

pub(crate) fn emit(rows: Chunk) {
    imp::emit(rows);
}

/// Hands over states that have changed.
pub(crate) fn emit_state(rows: Chunk) {
    imp::emit_state(rows);
}

pub(crate) fn at(operator: u32, record: u64) {
    imp::at(operator, record);
}

/// The times in an interval at which a stream has data sets. May be called only in a driver function.
pub(crate) fn slice(of: NodeId, first: Time, last: Time) -> Vec<Time> {
    imp::slice(of, first, last)
}

/// Writes a file. May be called only in a driver function.
pub(crate) fn write_file(path: &str, content: &[u8]) {
    imp::write_file(path, content);
}

/// Reads a file; `None` if the file does not exist. May be called only in a driver function.
pub(crate) fn read_file(path: &str) -> Option<Vec<u8>> {
    imp::read_file(path)
}

/// The ranges that the batch reads from a source. May be called only in a driver function.
pub(crate) fn offset_ranges(source: &str) -> Vec<OffsetRange> {
    imp::offset_ranges(source)
}

/// Tells the consumer group of a source of ranges. May be called only in a driver function.
pub(crate) fn commit_offsets(source: &str, ranges: &[OffsetRange]) {
    imp::commit_offsets(source, ranges);
}

#[cfg(target_family = "wasm")]
mod imp {
    use super::{Chunk, Duration, Level, NodeId, OffsetRange, Time};
    use crate::bindings::millstream::plugin::data_sets;
    use crate::bindings::millstream::plugin::files;
    use crate::bindings::millstream::plugin::runtime;
    use crate::bindings::millstream::plugin::topics;
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

    pub fn batch_interval() -> Duration {
        Duration::from_millis(runtime::batch_interval())
    }

    pub fn arguments_read(names: &[String]) {
        runtime::arguments_read(names);
    }

    pub fn emit(rows: Chunk) {
        runtime::emit(&chunk(rows));
    }

    pub fn emit_state(rows: Chunk) {
        runtime::emit_state(&chunk(rows));
    }

    fn chunk(rows: Chunk) -> types::Chunk {
        let extents = rows.extents.iter().map(|e| types::Extent { offset: e.offset, length: e.length }).collect();
        types::Chunk { rows: rows.rows, extents, data: rows.data }
    }

    pub fn at(operator: u32, record: u64) {
        runtime::at(operator, record);
    }

    pub fn slice(of: NodeId, first: Time, last: Time) -> Vec<Time> {
        data_sets::slice(of, first.as_ms(), last.as_ms()).into_iter().map(Time::from_ms).collect()
    }

    pub fn write_file(path: &str, content: &[u8]) {
        files::write(path, content);
    }

    pub fn read_file(path: &str) -> Option<Vec<u8>> {
        files::read(path)
    }

    pub fn offset_ranges(source: &str) -> Vec<OffsetRange> {
        let given = |range: topics::OffsetRange| OffsetRange {
            topic: range.topic,
            partition: range.partition,
            first: range.first,
            end: range.end,
        };
        topics::ranges(source).into_iter().map(given).collect()
    }

    pub fn commit_offsets(source: &str, ranges: &[OffsetRange]) {
        let taken = ranges.iter().map(|range| topics::OffsetRange {
            topic: range.topic.clone(),
            partition: range.partition,
            first: range.first,
            end: range.end,
        });
        topics::commit(source, &taken.collect::<Vec<_>>());
    }
}

#[cfg(not(target_family = "wasm"))]
mod imp {
    use super::{Chunk, Duration, Level, NodeId, OffsetRange, Time};
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    /// The host that a driver function under test calls.
    pub trait TestHost {
        /// Computes the rows of a node. If the node is an action that saves rows, saves them.
        fn evaluate(&self, node: NodeId) -> Vec<Chunk>;
        /// The times in an interval at which a stream has data sets.
        fn slice(&self, of: NodeId, first: Time, last: Time) -> Vec<Time>;
        /// Writes a file.
        fn write_file(&self, path: &str, content: &[u8]);
        /// Reads a file; `None` if the file does not exist.
        fn read_file(&self, path: &str) -> Option<Vec<u8>>;
        /// The ranges that the batch reads from a source.
        fn offset_ranges(&self, source: &str) -> Vec<OffsetRange>;
    }

    thread_local! {
        static BATCH_INTERVAL: Cell<Duration> = const { Cell::new(Duration::from_secs(1)) };
        static HOST: RefCell<Option<Rc<dyn TestHost>>> = const { RefCell::new(None) };
        static EMITTED: RefCell<Vec<Chunk>> = const { RefCell::new(Vec::new()) };
        static STATES: RefCell<Vec<Chunk>> = const { RefCell::new(Vec::new()) };
        static TRACE: RefCell<Vec<(u32, u64)>> = const { RefCell::new(Vec::new()) };
    }

    pub fn log(level: Level, message: &str) {
        eprintln!("{level:?}: {message}");
    }

    pub fn batch_interval() -> Duration {
        BATCH_INTERVAL.get()
    }

    /// Sets the batch interval of the job under test.
    pub fn set_batch_interval(interval: Duration) {
        BATCH_INTERVAL.set(interval);
    }

    pub fn emit(rows: Chunk) {
        EMITTED.with_borrow_mut(|emitted| emitted.push(rows));
    }

    pub fn emit_state(rows: Chunk) {
        STATES.with_borrow_mut(|states| states.push(rows));
    }

    pub fn at(operator: u32, record: u64) {
        TRACE.with_borrow_mut(|trace| trace.push((operator, record)));
    }

    /// Computes the rows of a data set.
    pub fn evaluate(node: NodeId) -> Vec<Chunk> {
        host("an action").evaluate(node)
    }

    pub fn slice(of: NodeId, first: Time, last: Time) -> Vec<Time> {
        host("a slice").slice(of, first, last)
    }

    pub fn write_file(path: &str, content: &[u8]) {
        host("a file").write_file(path, content);
    }

    pub fn read_file(path: &str) -> Option<Vec<u8>> {
        host("a file").read_file(path)
    }

    pub fn offset_ranges(source: &str) -> Vec<OffsetRange> {
        host("a range of offsets").offset_ranges(source)
    }

    pub fn commit_offsets(source: &str, ranges: &[OffsetRange]) {
        let known = host("a commit of offsets").offset_ranges(source);
        assert!(
            ranges.iter().all(|range| known.contains(range)),
            "{ranges:?} are not the ranges of the batch, {known:?}"
        );
    }

    fn host(what: &str) -> Rc<dyn TestHost> {
        HOST.with_borrow(Clone::clone).unwrap_or_else(|| panic!("{what} needs a driver function that runs"))
    }

    /// Whether a driver function runs.
    pub fn is_in_function() -> bool {
        HOST.with_borrow(Option::is_some)
    }

    /// Sets the host of driver functions, and returns the host that was set before.
    pub fn set_test_host(host: Option<Rc<dyn TestHost>>) -> Option<Rc<dyn TestHost>> {
        HOST.replace(host)
    }

    pub fn take_emitted() -> Vec<Chunk> {
        EMITTED.take()
    }

    pub fn take_states() -> Vec<Chunk> {
        STATES.take()
    }

    pub fn take_trace() -> Vec<(u32, u64)> {
        TRACE.take()
    }
}

#[cfg(not(target_family = "wasm"))]
pub(crate) use imp::{
    TestHost, evaluate, is_in_function, set_batch_interval, set_test_host, take_emitted, take_states, take_trace,
};
