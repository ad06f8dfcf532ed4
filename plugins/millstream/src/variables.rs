//! Shared variables, as the host holds them: untyped values by name.
//!
//! Owns the switch between the real host, in a component, and the test harness, in native code. The typed handles are
//! in `accumulator.rs` and `broadcast.rs`.

use crate::chunk::Chunk;
use crate::record::Field;

/// The type of an accumulator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AccumulatorKind {
    Long,
    Double,
    Collection(Vec<Field>),
}

/// An update of an accumulator.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Update {
    /// A sum, and the number of values in it.
    Long(i64, u64),
    /// A sum, and the number of values in it.
    Double(f64, u64),
    Collection(Vec<Field>, Chunk),
}

/// The value of an accumulator.
pub(crate) enum Total {
    /// A sum, and the number of values in it.
    Long(i64, u64),
    /// A sum, and the number of values in it.
    Double(f64, u64),
    Collection(Vec<Chunk>),
}

pub(crate) use imp::{add, broadcast, find, read, reset, unpersist, value};

#[cfg(target_family = "wasm")]
mod imp {
    use super::{AccumulatorKind, Chunk, Field, Total, Update};
    use crate::bindings::millstream::plugin::shared_variables as host;
    use crate::guest;

    fn kind(kind: &AccumulatorKind) -> host::AccumulatorKind {
        match kind {
            AccumulatorKind::Long => host::AccumulatorKind::Long,
            AccumulatorKind::Double => host::AccumulatorKind::Double,
            AccumulatorKind::Collection(fields) => host::AccumulatorKind::Collection(guest::schema(fields)),
        }
    }

    pub fn add(name: &str, by: Update) {
        host::add(
            name,
            &match by {
                Update::Long(sum, count) => host::Update::Long(host::LongSum { sum, count }),
                Update::Double(sum, count) => host::Update::Double(host::DoubleSum { sum, count }),
                Update::Collection(fields, chunk) => {
                    host::Update::Collection((guest::schema(&fields), guest::host_chunk(chunk)))
                }
            },
        );
    }

    pub fn value(name: &str, of: &AccumulatorKind) -> Total {
        match host::value(name, &kind(of)) {
            host::Total::Long(host::LongSum { sum, count }) => Total::Long(sum, count),
            host::Total::Double(host::DoubleSum { sum, count }) => Total::Double(sum, count),
            host::Total::Collection(chunks) => Total::Collection(chunks.into_iter().map(guest::chunk).collect()),
        }
    }

    pub fn reset(name: &str, of: &AccumulatorKind) {
        host::reset(name, &kind(of));
    }

    pub fn find(name: &str, fields: &[Field]) -> Option<u64> {
        host::find(name, &guest::schema(fields))
    }

    pub fn broadcast(name: &str, fields: &[Field], value: Chunk) -> u64 {
        host::broadcast(name, &guest::schema(fields), &guest::host_chunk(value))
    }

    pub fn read(id: u64, fields: &[Field]) -> Chunk {
        guest::chunk(host::read(id, &guest::schema(fields)))
    }

    pub fn unpersist(id: u64) {
        host::unpersist(id);
    }
}

#[cfg(not(target_family = "wasm"))]
pub(crate) use imp::{begin_run, count_updates, in_task};

#[cfg(not(target_family = "wasm"))]
mod imp {
    use super::{AccumulatorKind, Chunk, Field, Total, Update};
    use crate::runtime;
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;

    /// The values of an accumulator under test, one for each update.
    struct Accumulator {
        kind: AccumulatorKind,
        updates: Vec<Update>,
    }

    /// A broadcast variable under test.
    struct Broadcast {
        name: String,
        fields: Vec<Field>,
        value: Chunk,
        is_removed: bool,
    }

    /// The shared variables of a program under test.
    #[derive(Default)]
    struct Held {
        accumulators: BTreeMap<String, Accumulator>,
        broadcasts: Vec<Broadcast>,
    }

    thread_local! {
        static HELD: RefCell<Held> = RefCell::default();
        static IN_TASK: Cell<bool> = const { Cell::new(false) };
        static UPDATES: RefCell<Vec<(String, Update)>> = const { RefCell::new(Vec::new()) };
    }

    /// Forgets all shared variables.
    pub fn begin_run() {
        HELD.take();
        UPDATES.take();
        IN_TASK.set(false);
    }

    /// Runs a task. Returns its result and its updates, which do not count yet.
    pub fn in_task<T>(run: impl FnOnce() -> T) -> (T, Vec<(String, Update)>) {
        let is_nested = IN_TASK.replace(true);
        assert!(!is_nested, "a task runs in a task");
        let outcome = run();
        IN_TASK.set(false);
        (outcome, UPDATES.take())
    }

    /// Counts the updates of a task.
    pub fn count_updates(updates: Vec<(String, Update)>) {
        updates.into_iter().for_each(|(name, by)| count(&name, by));
    }

    fn check(what: &str, name: &str, is_same: bool) {
        assert!(!name.is_empty(), "the name of the {what} is empty");
        assert!(is_same, "the {what} `{name}` is of another type");
    }

    fn entry<T>(name: &str, kind: AccumulatorKind, work: impl FnOnce(&mut Accumulator) -> T) -> T {
        HELD.with_borrow_mut(|held| {
            let new = || Accumulator { kind: kind.clone(), updates: Vec::new() };
            let accumulator = held.accumulators.entry(name.to_owned()).or_insert_with(new);
            check("accumulator", name, accumulator.kind == kind);
            work(accumulator)
        })
    }

    fn count(name: &str, by: Update) {
        let kind = match &by {
            Update::Long(..) => AccumulatorKind::Long,
            Update::Double(..) => AccumulatorKind::Double,
            Update::Collection(fields, _) => AccumulatorKind::Collection(fields.clone()),
        };
        entry(name, kind, |accumulator| accumulator.updates.push(by));
    }

    fn only_in_functions(what: &str) {
        assert!(!IN_TASK.get() && runtime::is_in_function(), "only a driver function can {what}");
    }

    pub fn add(name: &str, by: Update) {
        if IN_TASK.get() {
            UPDATES.with_borrow_mut(|updates| updates.push((name.to_owned(), by)));
            return;
        }
        only_in_functions("add to an accumulator, besides tasks");
        count(name, by);
    }

    pub fn value(name: &str, of: &AccumulatorKind) -> Total {
        only_in_functions("read the value of an accumulator");
        entry(name, of.clone(), |accumulator| {
            let (mut long, mut double, mut count, mut chunks) = (0i64, 0.0, 0, Vec::new());
            for update in &accumulator.updates {
                match update {
                    Update::Long(by, values) => (long, count) = (long.wrapping_add(*by), count + values),
                    Update::Double(by, values) => (double, count) = (double + by, count + values),
                    Update::Collection(_, chunk) => chunks.push(chunk.clone()),
                }
            }
            match of {
                AccumulatorKind::Long => Total::Long(long, count),
                AccumulatorKind::Double => Total::Double(double, count),
                AccumulatorKind::Collection(_) => Total::Collection(chunks),
            }
        })
    }

    pub fn reset(name: &str, of: &AccumulatorKind) {
        only_in_functions("reset an accumulator");
        entry(name, of.clone(), |accumulator| accumulator.updates.clear());
    }

    pub fn find(name: &str, fields: &[Field]) -> Option<u64> {
        only_in_functions("look for a broadcast variable");
        HELD.with_borrow(|held| {
            let is_it = |broadcast: &Broadcast| broadcast.name == name && !broadcast.is_removed;
            let at = held.broadcasts.iter().position(is_it)?;
            check("broadcast variable", name, held.broadcasts[at].fields == fields);
            Some(at as u64)
        })
    }

    pub fn broadcast(name: &str, fields: &[Field], value: Chunk) -> u64 {
        only_in_functions("make a broadcast variable");
        check("broadcast variable", name, true);
        HELD.with_borrow_mut(|held| {
            let broadcast = Broadcast { name: name.to_owned(), fields: fields.to_vec(), value, is_removed: false };
            held.broadcasts.push(broadcast);
            held.broadcasts.len() as u64 - 1
        })
    }

    pub fn read(id: u64, _: &[Field]) -> Chunk {
        let value = HELD.with_borrow(|held| held.broadcasts.get(id as usize).map(|found| found.value.clone()));
        value.expect("the broadcast variable was made in this run")
    }

    pub fn unpersist(id: u64) {
        only_in_functions("remove a broadcast variable");
        HELD.with_borrow_mut(|held| held.broadcasts[id as usize].is_removed = true);
    }
}
