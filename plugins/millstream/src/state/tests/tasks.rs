//! Tasks of operators with state, as the host drives them: chunks in, rows and states out.

use super::super::*;
use super::text;
use crate::chunk::Chunk;
use crate::ends::TaskError;
use crate::place::Place;
use crate::runtime::{take_emitted, take_states, take_trace};
use crate::task::{Task, TaskSpec};
use crate::testing::{self, chunk_of, rows_of};
use crate::{StreamingContext, seconds};

/// A task whose only step is node 1, the node with state.
fn task(ctx: &StreamingContext, role: &str, traced: bool) -> Result<Task, TaskError> {
    let steps = vec![(1, role.to_owned())];
    Task::open(&ctx.graph, &TaskSpec { input: 1, steps, place: Place::default(), traced })
}

fn mapped_program(timeout: bool) -> StreamingContext {
    let ctx = StreamingContext::new(Vec::new());
    let spec = StateSpec::function_with_time(|_, _: &u8, value: Option<u32>, state: &mut State<u32>| {
        match value {
            Some(0) => state.remove(),
            Some(1) | None => {}
            Some(value) => state.update(value),
        }
        value.filter(|value| *value != 7)
    });
    let spec = if timeout { spec.timeout(seconds(60)) } else { spec };
    ctx.stream::<(u8, u32)>("pairs").map_with_state(spec).print();
    ctx
}

/// The slots that one chunk of records changes, without and with a timeout.
#[test]
fn changed_slots_are_handed_over_before_the_push_returns() {
    for timeout in [false, true] {
        let ctx = mapped_program(timeout);
        let mut task = task(&ctx, "map_with_state", true).unwrap();
        // The slots are updated, read, removed, removed and set again, and read without a state.
        task.push(1, chunk_of(vec![Some(10u32), Some(11), Some(12), Some(13), None])).unwrap();
        let records = vec![(0u32, 9u8, 5u32), (2, 8, 0), (1, 7, 1), (3, 6, 0), (4, 5, 1), (3, 6, 7)];
        task.push(0, chunk_of(records)).unwrap();
        let states: Vec<(u32, Option<u32>)> = take_states().into_iter().flat_map(rows_of).collect();
        let touched = timeout.then_some((1, Some(11)));
        let expected = [Some((0, Some(5))), touched, Some((2, None)), Some((3, Some(7)))];
        assert_eq!(states, expected.into_iter().flatten().collect::<Vec<_>>());
        // The next chunk has its own slots.
        assert!(matches!(task.push(0, chunk_of(vec![(0u32, 9u8, 5u32)])), Err(TaskError::Chunk(_))));
        task.push(1, chunk_of(vec![Some(5u32)])).unwrap();
        task.push(0, chunk_of(vec![(0u32, 9u8, 3u32)])).unwrap();
        take_states();
        task.push(2, chunk_of(vec![(4u8, 40u32), (3, 30)])).unwrap();
        task.finish().unwrap();
        assert!(take_states().is_empty());
        let mapped: Vec<u32> = take_emitted().into_iter().flat_map(rows_of).collect();
        assert_eq!(mapped, [5, 0, 1, 0, 1, 3]);
        // The refused chunk had a record as well.
        assert_eq!(take_trace(), (0..10).map(|record| (1, record)).collect::<Vec<_>>());
    }
}

#[test]
fn many_states_are_handed_over_in_several_chunks() {
    let ctx = mapped_program(false);
    let mut task = task(&ctx, "map_with_state", false).unwrap();
    let count = 100_000u32;
    task.push(1, chunk_of((0..count).map(Some).collect())).unwrap();
    task.push(0, chunk_of((0..count).map(|slot| (slot, 0u8, 2u32)).collect())).unwrap();
    let chunks = take_states();
    assert!(chunks.len() > 1);
    let states: Vec<(u32, Option<u32>)> = chunks.into_iter().flat_map(rows_of).collect();
    assert_eq!(states, (0..count).map(|slot| (slot, Some(2))).collect::<Vec<_>>());
    task.finish().unwrap();
    take_emitted();
}

/// A state that is itself an option: a key whose state is `None` differs from a key without state.
#[test]
fn a_state_may_be_an_option() {
    let out = testing::run(vec![vec![(1u8, 0u32)], vec![(1, 1)], vec![(1, 2)]], |pairs| {
        pairs.update_state_by_key(|values, state: Option<Option<u32>>| match (values.first(), state) {
            (Some(0), None) => Some(None),
            (Some(1), Some(None)) => Some(Some(5)),
            (Some(2), Some(Some(5))) => None,
            other => panic!("{other:?}"),
        })
    });
    assert_eq!(out, [vec![(1, None)], vec![(1, Some(5))], vec![]]);
}

#[test]
fn a_traced_update_reports_each_row() {
    let ctx = StreamingContext::new(Vec::new());
    let pairs = ctx.stream::<(u8, u32)>("pairs");
    let _ = pairs.update_state_by_key(|values, _: Option<u32>| values.last().copied()).initial_state(|| [(7, 1)]);
    let rows = || chunk_of(vec![(1u8, None::<u32>, vec![1u32, 2]), (2, Some(5), vec![])]);
    let given = |role, traced, pushes: Vec<Chunk>| {
        let mut task = task(&ctx, role, traced).unwrap();
        pushes.into_iter().for_each(|rows| task.push(0, rows).unwrap());
        task.finish().unwrap();
        take_emitted()
    };
    let plain = given("update", false, vec![rows(), rows()]);
    assert!(take_trace().is_empty());
    assert_eq!(given("update", true, vec![rows(), rows()]), plain);
    assert_eq!(take_trace(), [(1, 0), (1, 1), (1, 2), (1, 3)]);
    let states: Vec<Option<u32>> = plain.into_iter().flat_map(rows_of).collect();
    assert_eq!(states, [Some(2), None, Some(2), None]);
    assert_eq!(given("initial", false, Vec::new()), [chunk_of(vec![(7u8, 1u32)])]);
}

#[test]
fn roles_and_inputs_that_a_node_does_not_have_are_refused() {
    let refused = |error| match error {
        Some(TaskError::Unsupported(what)) => what,
        other => panic!("{other:?}"),
    };
    let ctx = mapped_program(false);
    for role in ["update", "initial", "apply", "reduce"] {
        let expected = format!("role `{role}` of node 1, or its place");
        assert_eq!(refused(task(&ctx, role, false).err()), expected);
    }
    let mut opened = task(&ctx, "map_with_state", false).unwrap();
    assert_eq!(refused(opened.push(3, chunk_of(vec![1u8])).err()), "input 3 of this task");
    let steps = vec![(1, text("map_with_state")), (1, text("apply"))];
    let spec = TaskSpec { input: 1, steps, place: Place::default(), traced: false };
    assert_eq!(refused(Task::open(&ctx.graph, &spec).err()), "role `map_with_state` of node 1, or its place");
}

/// The description of a node with state for the host.
#[test]
fn nodes_say_what_they_keep() {
    let ctx = StreamingContext::new(Vec::new());
    let pairs = ctx.stream::<(u8, u32)>("pairs");
    let spec = StateSpec::function(|_: &u8, _: Option<u32>, _: &mut State<bool>| 0u64);
    let spec = spec.initial_state(|| [(1, true)]).partitions(3).timeout(seconds(60));
    let mapped = pairs.map_with_state(spec).checkpoint(seconds(20)).checkpoint(seconds(30));
    let snapshots = mapped.state_snapshots();
    let sums =
        pairs.reduce_by_key_and_window_inverse(|a, b| a + b, |a, b| a - b, (seconds(4), seconds(2))).partitions(5);
    let nodes = ctx.graph.nodes();
    let node = &nodes[&mapped.node];
    assert_eq!(node.state, Some(fields_of::<(u8, bool)>()));
    assert_eq!(node.exchanged, Some(fields_of::<(u8, u32)>()));
    assert_eq!(node.rows, fields_of::<u64>());
    let expected = [
        ("partitions", Value::Integer(3)),
        ("initial", Value::Flag(true)),
        ("timeout", Value::Duration(seconds(60))),
        ("checkpoint", Value::Duration(seconds(30))),
    ];
    assert_eq!(node.parameters, expected);
    assert_eq!((&nodes[&snapshots.node].rows, &nodes[&snapshots.node].state), (&fields_of::<(u8, bool)>(), &None));
    let node = &nodes[&sums.node];
    let expected = [
        ("length", Value::Duration(seconds(4))),
        ("slide", Value::Duration(seconds(2))),
        ("partitions", Value::Integer(5)),
    ];
    assert_eq!(node.parameters, expected);
    assert_eq!((&node.state, &node.exchanged), (&Some(fields_of::<(u8, u32)>()), &Some(fields_of::<(u8, u32)>())));
    // The node that merges each batch has the same partitions.
    assert_eq!(nodes[&node.parents[0]].parameters, [("partitions", Value::Integer(5))]);
}
