//! Shared variables, compared with a simple model, and requests that are refused.

use super::error::{NAME_BYTES_MAX, VARIABLES_MAX};
use super::*;
use crate::block::{RowStorage, SpillSettings};
use crate::data::arbitrary::ty;
use crate::data::schema::RecordType;
use crate::env::Simulation;
use crate::listener::{AccumulatorInfo, AccumulatorValue};
use crate::memory::MemoryBudget;
use crate::time::Time;
use arrow::array::{Array as _, Int64Array, RecordBatch};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

fn variables(memory: u64, limit: u64) -> SharedVariables {
    let settings = SpillSettings { directory: None, limit_bytes: u64::MAX, compressed: false };
    let disk = Simulation::new(0, Time::default()).env().disk;
    SharedVariables::new(RowStorage::new(&MemoryBudget::new(memory, 0).unwrap(), disk, settings), limit)
}

/// A sum of one value.
fn one<N>(sum: N) -> Sum<N> {
    Sum { sum, count: 1 }
}

fn integers() -> RecordType {
    ty(&[("value", "i64", 0)])
}

fn rows(values: &[i64]) -> Content {
    let ty = integers();
    let column = Arc::new(Int64Array::from(values.to_vec()));
    let rows = RecordBatch::try_new(ty.arrow().clone(), vec![column]).unwrap();
    Content {
        ty,
        rows,
        hash: values.iter().fold(0, |hash: u64, value| hash.wrapping_mul(31).wrapping_add(*value as u64)),
    }
}

fn values(values: &Collection) -> Vec<i64> {
    let rows = values.pieces().iter().flat_map(|piece| piece.read(0)).map(Result::unwrap);
    rows.flat_map(|rows| {
        let column = rows.column(0).as_any().downcast_ref::<Int64Array>().unwrap().clone();
        (0..column.len()).map(move |row| column.value(row))
    })
    .collect()
}

fn value(variables: &SharedVariables, name: &str, kind: AccumulatorKind) -> Total {
    match variables.answer(VariableCall::Value(name.to_owned(), kind)).unwrap() {
        VariableAnswer::Value(total) => total,
        other => panic!("{other:?}"),
    }
}

/// The updates that these calls of a task make.
fn updates(variables: &SharedVariables, calls: impl IntoIterator<Item = VariableCall>) -> Updates {
    let mut updates = Updates::default();
    calls.into_iter().for_each(|call| variables.add_to(&mut updates, call).unwrap());
    updates
}

/// An action of a test on the variables.
#[derive(Clone, Debug)]
enum Action {
    /// A stage whose tasks add these lists of values, and whether the stage fails.
    Stage(Vec<Vec<i64>>, bool),
    /// A driver function adds a value.
    Add(i64),
    Reset,
}

fn action() -> impl Strategy<Value = Action> {
    let stage = prop::collection::vec(prop::collection::vec(any::<i64>(), 0..4), 0..5);
    prop_oneof![
        6 => (stage, prop::bool::weighted(0.8)).prop_map(|(tasks, succeeds)| Action::Stage(tasks, succeeds)),
        2 => any::<i64>().prop_map(Action::Add),
        1 => Just(Action::Reset),
    ]
}

proptest! {
    /// Whatever stages and functions do, with much memory and without memory: an accumulator has the values of the
    /// stages that succeeded and of the functions, in order, since its last reset.
    #[test]
    fn accumulators_have_what_succeeded(actions in prop::collection::vec(action(), 0..120), memory in prop_oneof![Just(0u64), Just(1 << 20)]) {
        let shared = variables(memory, u64::MAX);
        let calls = |by: i64| [
            VariableCall::AddLong("long".to_owned(), one(by)),
            VariableCall::AddDouble("double".to_owned(), one(by as f64 / 3.0)),
            VariableCall::AddValues("values".to_owned(), rows(&[by])),
        ];
        let mut model: Vec<Vec<i64>> = Vec::new();
        for action in actions {
            match action {
                Action::Stage(tasks, succeeds) => {
                    let mut stage = Updates::default();
                    for task in &tasks {
                        let task = updates(&shared, task.iter().flat_map(|by| calls(*by)));
                        shared.collect(&mut stage, task).unwrap();
                    }
                    if succeeds {
                        shared.count(stage).unwrap();
                        model.push(tasks.concat());
                    }
                }
                Action::Add(by) => {
                    calls(by).into_iter().for_each(|call| drop(shared.answer(call).unwrap()));
                    model.push(vec![by]);
                }
                Action::Reset => {
                    for (name, kind) in [("long", AccumulatorKind::Long), ("double", AccumulatorKind::Double), ("values", AccumulatorKind::Collection(integers()))] {
                        shared.answer(VariableCall::Reset(name.to_owned(), kind)).unwrap();
                    }
                    model.clear();
                }
            }
        }
        let all = model.concat();
        let Total::Long(long) = value(&shared, "long", AccumulatorKind::Long) else { panic!("no long") };
        let sum = all.iter().fold(0i64, |sum, by| sum.wrapping_add(*by));
        prop_assert_eq!(long, Sum { sum, count: all.len() as u64 });
        let Total::Double(double) = value(&shared, "double", AccumulatorKind::Double) else { panic!("no double") };
        let exact: f64 = all.iter().map(|by| *by as f64 / 3.0).sum();
        prop_assert_eq!(double.count, all.len() as u64);
        let double = double.sum;
        prop_assert!((double - exact).abs() <= 1e6 * (1.0 + all.len() as f64), "{} {}", double, exact);
        let Total::Collection(list) = value(&shared, "values", AccumulatorKind::Collection(integers())) else { panic!("no list") };
        prop_assert!(list.pieces().len() <= 65);
        prop_assert_eq!(list.len(), all.len() as u64);
        prop_assert_eq!(values(&list), all);
    }
}

#[test]
fn a_value_that_was_read_does_not_change_any_more() {
    let shared = variables(1 << 20, u64::MAX);
    let kind = || AccumulatorKind::Collection(integers());
    shared.answer(VariableCall::AddValues("list".to_owned(), rows(&[1, 2]))).unwrap();
    let Total::Collection(before) = value(&shared, "list", kind()) else { panic!("no list") };
    shared.answer(VariableCall::AddValues("list".to_owned(), rows(&[3]))).unwrap();
    shared.answer(VariableCall::Reset("list".to_owned(), kind())).unwrap();
    assert_eq!(values(&before), [1, 2]);
    let Total::Collection(after) = value(&shared, "list", kind()) else { panic!("no list") };
    assert!(after.is_empty());
}

#[test]
fn what_is_not_valid_is_refused_and_changes_nothing() {
    let shared = variables(1 << 20, 4096);
    let long = |name: &str| VariableCall::AddLong(name.to_owned(), one(1));
    let error = |call: VariableCall| shared.answer(call).unwrap_err().to_string();
    assert_eq!(error(long("")), "the name of the accumulator is empty");
    let error_of_name = error(long(&"x".repeat(NAME_BYTES_MAX + 1)));
    assert_eq!(error_of_name, format!("the name of the accumulator `{}...` has more than 256 bytes", "x".repeat(40)));
    shared.answer(long("n\u{1b}")).unwrap();
    let other = VariableCall::AddDouble("n\u{1b}".to_owned(), one(0.5));
    let told = "the accumulator `n\\u{1b}` is a long accumulator, and is used as a double accumulator";
    assert_eq!(error(other.clone()), told);
    let stage = updates(&shared, [long("another"), other]);
    assert_eq!(shared.count(stage).unwrap_err().to_string(), told);
    assert!(matches!(value(&shared, "another", AccumulatorKind::Long), Total::Long(Sum { sum: 0, count: 0 })));
    // Small pieces have a cost of their own, and are refused as one large piece is.
    for piece in [1, 100] {
        let name = format!("list of {piece}");
        let add = || VariableCall::AddValues(name.clone(), rows(&vec![7; piece]));
        let failed = (0..100).find_map(|_| shared.answer(add()).err()).expect("there is a limit").to_string();
        let told = format!("the accumulator `{name}` would have more than limits.result_size = 4096 bytes; ");
        assert!(failed.starts_with(&told) && failed.ends_with("reset it after reading it"), "{failed}");
    }
}

#[test]
fn there_are_not_too_many() {
    let shared = variables(1 << 20, u64::MAX);
    let add = |at: usize| VariableCall::AddLong(format!("n{at}"), one(1));
    let stage = updates(&shared, (0..VARIABLES_MAX - 1).map(add));
    shared.count(stage).unwrap();
    let two = updates(&shared, [add(VARIABLES_MAX), add(VARIABLES_MAX + 1)]);
    let told = "the job has 1000 accumulators already, so there is no room for `n1001`";
    assert_eq!(shared.count(two).unwrap_err().to_string(), told);
    shared.answer(add(VARIABLES_MAX)).unwrap();
    assert_eq!(shared.answer(add(VARIABLES_MAX + 1)).unwrap_err().to_string(), told);
    shared.answer(add(0)).unwrap();
    let make = |at: usize| VariableCall::Broadcast(format!("b{at}"), rows(&[1]));
    (0..VARIABLES_MAX).for_each(|at| drop(shared.answer(make(at)).unwrap()));
    let error = shared.answer(make(0)).unwrap_err().to_string();
    assert_eq!(error, "the job has 1000 broadcast variables already, so there is no room for `b0`");
}

#[test]
fn a_broadcast_value_stays_until_the_end_of_its_batch() {
    let shared = variables(0, 4096);
    let find = || match shared.answer(VariableCall::Find("list".to_owned(), integers())).unwrap() {
        VariableAnswer::Found(found) => found,
        other => panic!("{other:?}"),
    };
    let make = |value: i64| match shared.answer(VariableCall::Broadcast("list".to_owned(), rows(&[value]))).unwrap() {
        VariableAnswer::Made(id) => id,
        other => panic!("{other:?}"),
    };
    let read = |id| {
        let mut list = Collection::new(integers());
        let stored = shared.read(id, &integers())?;
        stored.read(0).for_each(|rows| list.append(rows.unwrap(), shared.storage()).unwrap());
        Ok::<_, VariableError>(values(&list))
    };
    assert_eq!(find(), None);
    let first = make(1);
    assert_eq!((find(), read(first)), (Some(first), Ok(vec![1])));
    shared.answer(VariableCall::Unpersist(first)).unwrap();
    assert_eq!(find(), None);
    let second = make(2);
    assert_eq!((read(first), read(second)), (Ok(vec![1]), Ok(vec![2])));
    // A name has one value: a new one replaces the other.
    let third = make(3);
    assert_eq!((find(), shared.end_batch()), (Some(third), Vec::new()));
    assert_eq!(
        [first, second].map(read),
        [Err(VariableError::Unknown(first.0)), Err(VariableError::Unknown(second.0))]
    );
    assert_eq!(read(third), Ok(vec![3]));
    let text = ty(&[("value", "text", 0)]);
    let error = shared.read(third, &text).err().unwrap().to_string();
    assert_eq!(error, "the broadcast variable `list` is of type i64, and is used as one of type text");
    let two = VariableCall::Broadcast("two".to_owned(), rows(&[1, 2]));
    assert_eq!(
        shared.answer(two).unwrap_err().to_string(),
        "the value of the broadcast variable `two` is 2 rows, and not one row"
    );
    let unknown = shared.answer(VariableCall::Unpersist(BroadcastId(77))).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no broadcast variable with the id 77");
}

/// The variables that a batch used are reported once, with their values at the end of the batch.
#[test]
fn what_a_batch_used_is_told() {
    let shared = variables(1 << 20, u64::MAX);
    let info = |name: &str, value| AccumulatorInfo { name: name.to_owned(), value };
    shared.answer(VariableCall::AddLong("n".to_owned(), one(2))).unwrap();
    shared.count(updates(&shared, [VariableCall::AddLong("n".to_owned(), one(3))])).unwrap();
    let list: Vec<i64> = (0..11).collect();
    shared.answer(VariableCall::AddValues("list".to_owned(), rows(&list))).unwrap();
    value(&shared, "read", AccumulatorKind::Double);
    let first = (0..10).map(|value| value.to_string()).collect();
    let told = [
        info("list", AccumulatorValue::Collection { count: 11, first }),
        info("n", AccumulatorValue::long(5, 2)),
        info("read", AccumulatorValue::double(0.0, 0)),
    ];
    assert_eq!(shared.end_batch(), told);
    value(&shared, "read", AccumulatorKind::Double);
    assert_eq!(shared.end_batch(), []);
    shared.answer(VariableCall::Reset("n".to_owned(), AccumulatorKind::Long)).unwrap();
    assert_eq!(shared.end_batch(), [info("n", AccumulatorValue::long(0, 0))]);
}

/// Two requests have the same words and hash only if they are the same.
#[test]
fn requests_are_told_apart() {
    let name = || "x".to_owned();
    let calls = [
        VariableCall::AddLong(name(), one(1)),
        VariableCall::AddLong(name(), one(2)),
        VariableCall::AddLong(name(), Sum { sum: 1, count: 2 }),
        VariableCall::AddDouble(name(), one(1.0)),
        VariableCall::AddValues(name(), rows(&[1])),
        VariableCall::AddValues(name(), rows(&[2])),
        VariableCall::Value(name(), AccumulatorKind::Long),
        VariableCall::Value(name(), AccumulatorKind::Double),
        VariableCall::Value("y".to_owned(), AccumulatorKind::Long),
        VariableCall::Reset(name(), AccumulatorKind::Long),
        VariableCall::Find(name(), integers()),
        VariableCall::Find(name(), ty(&[("value", "text", 0)])),
        VariableCall::Broadcast(name(), rows(&[1])),
        VariableCall::Unpersist(BroadcastId(0)),
    ];
    let found: BTreeMap<(String, u64), usize> =
        calls.iter().enumerate().map(|(at, call)| ((call.words(), call.hash()), at)).collect();
    assert_eq!(found.len(), calls.len());
    assert_eq!(calls[0].hash(), VariableCall::AddLong(name(), one(1)).hash());
}
