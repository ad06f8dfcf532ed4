//! Joins and cogroups, compared with a simple model, in every form: in memory, in parts, in blocks.

use super::input::Input;
use super::room::JoinRoom;
use super::run::Run;
use super::*;
use crate::block::{RowStorage, SpillSettings};
use crate::data::json;
use crate::data::schema::Field;
use crate::env::Simulation;
use crate::graph::joined_rows;
use crate::memory::MemoryBudget;
use crate::time::Time;
use arrow::array::RecordBatch;
use datafusion_common::Result;
use datafusion_execution::memory_pool::MemoryConsumer;
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use futures::executor::block_on;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const KINDS: [JoinKind; 5] =
    [JoinKind::Inner, JoinKind::LeftOuter, JoinKind::RightOuter, JoinKind::FullOuter, JoinKind::CoGroup];

/// The type of fields `(name, kind, children)`. A `?` before the kind makes it an option.
fn ty(fields: &[(&str, &str, u32)]) -> RecordType {
    let field = |(name, kind, children): &(&str, &str, u32)| Field {
        name: (*name).to_owned(),
        kind: kind.trim_start_matches('?').to_owned(),
        nullable: kind.starts_with('?'),
        children: *children,
        metadata: Vec::new(),
    };
    RecordType::parse(fields.iter().map(field).collect()).unwrap()
}

/// Pairs of a key and a value.
fn pair(key: &[(&str, &str, u32)], value: &[(&str, &str, u32)]) -> RecordType {
    ty(&[&[("", "struct", 2)], key, value].concat())
}

/// A world in which joins run.
struct World {
    room: Arc<JoinRoom>,
    budget: MemoryBudget,
}

impl World {
    fn new(memory: u64, part_bytes: usize) -> Self {
        let budget = MemoryBudget::new(memory, 0).unwrap();
        let settings = SpillSettings { directory: None, limit_bytes: u64::MAX, compressed: false };
        let storage = RowStorage::new(&budget, Simulation::new(0, Time::default()).env().disk, settings);
        Self { room: Arc::new(JoinRoom { storage, part_bytes }), budget }
    }

    fn run(&self, kind: JoinKind, types: &[RecordType], batches: Vec<Vec<RecordBatch>>) -> (RecordType, Run) {
        let pairs: Vec<_> = types.iter().map(|ty| ty.pair().unwrap()).collect();
        let values: Vec<_> = pairs.iter().map(|(_, value)| value).collect();
        let rows = joined_rows(kind, &pairs[0].0, &values).unwrap();
        let input = |(ty, batches): (&RecordType, Vec<RecordBatch>)| {
            let batches = futures::stream::iter(batches.into_iter().map(Ok));
            Input::stream(Box::pin(RecordBatchStreamAdapter::new(ty.arrow().clone(), batches)), self.room.part_bytes)
        };
        let inputs = types.iter().zip(batches).map(input).collect();
        let reservation = MemoryConsumer::new("join").register(&self.budget.pool());
        let join = Arc::new(Join::new(kind, &pairs[0].0, &rows));
        (rows, Run::new(join, self.room.clone(), reservation, inputs))
    }

    /// The joined rows as JSON.
    fn rows(&self, kind: JoinKind, types: &[RecordType], sides: &[Vec<Value>], batch: usize) -> Result<Vec<Value>> {
        let batches = |(ty, rows): (&RecordType, &Vec<Value>)| {
            rows.chunks(batch).map(|rows| json::records(ty, rows).unwrap()).collect::<Vec<_>>()
        };
        let (ty, mut run) = self.run(kind, types, types.iter().zip(sides).map(batches).collect());
        let mut rows = Vec::new();
        while let Some(batch) = block_on(run.next())? {
            rows.extend((0..batch.num_rows()).map(|row| json::row_to_json(&batch, &ty, row).unwrap()));
        }
        Ok(rows)
    }
}

/// The text of a key. Equal keys have equal texts: the numbers of a type are equal as numbers.
fn canonical(key: &Value) -> String {
    match key {
        Value::Number(n) if n.is_f64() && n.as_f64() == Some(0.0) => "0".to_owned(),
        Value::Array(items) => format!("{:?}", items.iter().map(canonical).collect::<Vec<_>>()),
        other => other.to_string(),
    }
}

/// The result by the documentation of the module, row by row. `wrapped` says whether values are options already.
fn model(kind: JoinKind, sides: &[Vec<Value>], wrapped: bool) -> Vec<Value> {
    let some = |row: &Value| if wrapped { json!({ "value": row[1] }) } else { row[1].clone() };
    let same = |a: &Value, b: &Value| canonical(&a[0]) == canonical(&b[0]);
    let mut rows = Vec::new();
    if kind == JoinKind::CoGroup {
        let mut keys: Vec<&Value> = Vec::new();
        for row in sides.iter().flatten() {
            if !keys.iter().any(|key| same(key, row)) {
                keys.push(row);
            }
        }
        for key in keys {
            let list = |side: &Vec<Value>| {
                side.iter().filter(|row| same(key, row)).map(|row| row[1].clone()).collect::<Vec<_>>()
            };
            rows.push(json!([key[0], sides.iter().map(list).collect::<Vec<_>>()]));
        }
        return rows;
    }
    let (keeps_left, keeps_right) = (
        matches!(kind, JoinKind::LeftOuter | JoinKind::FullOuter),
        matches!(kind, JoinKind::RightOuter | JoinKind::FullOuter),
    );
    let value = |row: &Value, option: bool| if option { some(row) } else { row[1].clone() };
    for left in &sides[0] {
        let mut matches = sides[1].iter().filter(|right| same(left, right)).peekable();
        if matches.peek().is_none() && keeps_left {
            rows.push(json!([left[0], [value(left, keeps_right), null_value()]]));
        }
        rows.extend(matches.map(|right| json!([left[0], [value(left, keeps_right), value(right, keeps_left)]])));
    }
    for right in sides[1].iter().filter(|right| keeps_right && !sides[0].iter().any(|left| same(left, right))) {
        rows.push(json!([right[0], [null_value(), value(right, keeps_left)]]));
    }
    rows
}

fn null_value() -> Value {
    Value::Null
}

fn sorted(rows: &[Value]) -> Vec<String> {
    let mut rows: Vec<String> = rows.iter().map(ToString::to_string).collect();
    rows.sort();
    rows
}

/// Cogroups with their keys in a form that does not depend on which of several equal keys appeared first.
fn groups(rows: &[Value]) -> BTreeMap<String, Value> {
    rows.iter().map(|row| (canonical(&row[0]), row[1].clone())).collect()
}

type MakeKey = Box<dyn Fn(&u8) -> Value>;

/// A few keys of a type, so that the sides have common keys.
fn keys() -> impl Strategy<Value = (Vec<(&'static str, &'static str, u32)>, Vec<Value>)> {
    let float =
        |n: &u8| [json!(0.0), json!(-0.0), json!("NaN"), json!("-Infinity"), json!(1.5)][*n as usize % 5].clone();
    let some_key = prop::collection::vec(any::<u8>(), 1..40);
    (0..7, some_key).prop_map(move |(kind, numbers)| {
        let texts = |n: &u8| Value::from("ab€".repeat(*n as usize % 4));
        let (ty, make): (Vec<_>, MakeKey) = match kind {
            0 => (vec![("0", "u64", 0)], Box::new(|n| json!(n % 16))),
            1 => (vec![("0", "text", 0)], Box::new(texts)),
            2 => (vec![("0", "f64", 0)], Box::new(float)),
            3 => (vec![("0", "?i8", 0)], Box::new(|n| if n % 3 == 0 { Value::Null } else { json!(n % 4) })),
            4 => (
                vec![("0", "struct", 2), ("0", "text", 0), ("1", "f32", 0)],
                Box::new(move |n| json!([texts(n), float(&(n / 16))])),
            ),
            5 => (vec![("0", "bool", 0)], Box::new(|n| json!(n % 2 == 0))),
            _ => (vec![("0", "list", 1), ("item", "u8", 0)], Box::new(|n| json!(vec![1; *n as usize % 5]))),
        };
        (ty, numbers.iter().map(make).collect())
    })
}

/// Values of a type, all different.
fn value(kind: usize, at: usize) -> Value {
    let inner = || json!([at, format!("value {at}")]);
    match kind {
        0 => json!(at),
        1 => Value::from(format!("{at}{}", "€".repeat(at % 7))),
        2 => {
            if at.is_multiple_of(3) {
                Value::Null
            } else {
                json!(at)
            }
        }
        3 => inner(),
        _ => {
            if at.is_multiple_of(3) {
                Value::Null
            } else {
                inner()
            }
        }
    }
}

const VALUES: [&[(&str, &str, u32)]; 5] = [
    &[("1", "u32", 0)],
    &[("1", "text", 0)],
    &[("1", "?u32", 0)],
    &[("1", "struct", 2), ("0", "u32", 0), ("1", "text", 0)],
    &[("1", "?struct", 2), ("0", "u32", 0), ("1", "text", 0)],
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// S5.01 to S5.05: joins and cogroups give the rows of the model. In memory, they give the order of the model. In
    /// parts and in blocks, they give the same rows, twice in the same order, whatever memory there is for stored rows.
    #[test]
    fn joined_rows_are_those_of_the_model(
        (key, keys) in keys(),
        kind in prop::sample::select(KINDS.to_vec()),
        values in 0usize..5,
        sides in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..120), 2..4),
        batch in 1usize..40,
        part_bytes in 100usize..6000,
    ) {
        let count = if kind == JoinKind::CoGroup { sides.len() } else { 2 };
        let row = |(at, index): (usize, &prop::sample::Index)| json!([index.get(&keys), value(values, at)]);
        let side = |side: &Vec<prop::sample::Index>| side.iter().enumerate().map(row).collect::<Vec<_>>();
        let sides: Vec<Vec<Value>> = sides[..count].iter().map(side).collect();
        let types = vec![pair(&key, VALUES[values]); count];
        let wrapped = values == 2 || values == 4;

        let expected = model(kind, &sides, wrapped);
        let whole = World::new(10_000_000, usize::MAX).rows(kind, &types, &sides, batch).unwrap();
        prop_assert_eq!(&whole, &expected);

        let (much, little) = (World::new(10_000_000, part_bytes), World::new(40_000, part_bytes));
        let parts = much.rows(kind, &types, &sides, batch).unwrap();
        prop_assert_eq!(&parts, &much.rows(kind, &types, &sides, batch).unwrap());
        prop_assert_eq!(much.budget.pool().reserved(), 0);
        if kind == JoinKind::CoGroup {
            prop_assert_eq!(parts.len(), expected.len());
            prop_assert_eq!(groups(&parts), groups(&expected));
        } else {
            prop_assert_eq!(sorted(&parts), sorted(&expected));
            prop_assert_eq!(&parts, &little.rows(kind, &types, &sides, batch).unwrap(), "memory shaped the order");
        }
    }
}

/// Rows of two numbers.
fn numbers(rows: impl Iterator<Item = (u64, u64)>) -> Vec<RecordBatch> {
    use arrow::array::{ArrayRef, UInt64Array};
    let rows: Vec<_> = rows.collect();
    let batch = |rows: &[(u64, u64)]| {
        let keys: UInt64Array = rows.iter().map(|row| Some(row.0)).collect();
        let values: UInt64Array = rows.iter().map(|row| Some(row.1)).collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(values)];
        RecordBatch::try_new(numbers_type().arrow().clone(), columns).unwrap()
    };
    rows.chunks(8192).map(batch).collect()
}

fn numbers_type() -> RecordType {
    pair(&[("0", "u64", 0)], &[("1", "u64", 0)])
}

/// Runs a join of numbers. Returns the number of resulting rows, and the most memory that was reserved in the meantime.
fn count(world: &World, kind: JoinKind, sides: Vec<Vec<RecordBatch>>) -> Result<(usize, usize)> {
    let (_, mut run) = world.run(kind, &vec![numbers_type(); sides.len()], sides);
    let (mut rows, mut reserved) = (0, 0);
    while let Some(batch) = block_on(run.next())? {
        rows += batch.num_rows();
        reserved = reserved.max(world.budget.pool().reserved());
        assert!(batch.num_rows() <= 8192 || kind == JoinKind::CoGroup, "a batch has {} rows", batch.num_rows());
    }
    Ok((rows, reserved))
}

/// S5.01: the pairs of a hot key, 400 million of them, come out batch by batch, with some thousand rows in memory.
#[test]
fn a_hot_key_does_not_fill_the_memory() {
    let side = |rows: u64| numbers((0..rows).map(|n| (7, n)));
    let world = World::new(1 << 20, 100_000);
    let (_, mut run) =
        world.run(JoinKind::FullOuter, &[numbers_type(), numbers_type()], vec![side(20_000), side(20_000)]);
    for _ in 0..20 {
        let batch = block_on(run.next()).unwrap().unwrap();
        assert_eq!(batch.num_rows(), 8192);
        assert!(world.budget.pool().reserved() <= 1 << 20);
    }
    let (rows, _) = count(&world, JoinKind::FullOuter, vec![side(2000), side(2000)]).unwrap();
    assert_eq!(rows, 4_000_000);
}

/// S5.01, S5.05: data of ten times the memory is joined and cogrouped, mostly on disk.
#[test]
fn more_data_than_memory_is_joined_and_cogrouped() {
    let side = |from: u64| numbers((from..from + 100_000).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15), n)));
    let world = World::new(320 << 10, 64 << 10);
    for (kind, expected) in [(JoinKind::Inner, 50_000), (JoinKind::FullOuter, 150_000), (JoinKind::CoGroup, 150_000)] {
        let before = world.room.storage.spilled_bytes();
        let (rows, reserved) = count(&world, kind, vec![side(0), side(50_000)]).unwrap();
        assert_eq!(rows, expected);
        assert!(reserved <= 320 << 10, "{reserved}");
        assert!(world.room.storage.spilled_bytes() - before > 1 << 20);
    }
}

/// S5.05: a key whose values do not fit into memory is an error with advice, because one row has to hold all values.
#[test]
fn a_group_larger_than_memory_is_refused() {
    let side = || numbers((0..100_000).map(|n| (7, n)));
    let error = count(&World::new(1 << 20, 64 << 10), JoinKind::CoGroup, vec![side(), side()]).unwrap_err();
    assert!(error.to_string().contains("more bytes: raise engine.memory"), "{error}");
}
