//! Functions and settings that the rules of state forbid.

use super::super::*;
use crate::testing;
use crate::{StreamingContext, seconds};

fn mapped(function: impl Fn(&mut State<u32>) + 'static, batches: Vec<Vec<(u8, u32)>>) {
    let spec = StateSpec::function_with_time(move |_, _: &u8, _: Option<u32>, state: &mut State<u32>| {
        function(state);
        Some(true)
    });
    testing::run(batches, |pairs| pairs.map_with_state(spec.timeout(seconds(1))).into_stream());
}

fn times_out() -> Vec<Vec<(u8, u32)>> {
    vec![vec![(1, 1)], vec![], vec![]]
}

#[test]
#[should_panic(expected = "the state is not set")]
fn an_absent_state_cannot_be_got() {
    mapped(|state| assert_eq!(*state.get(), 0), vec![vec![(1, 1)]]);
}

#[test]
#[should_panic(expected = "cannot update the state after it has been removed")]
fn a_removed_state_cannot_be_updated() {
    let update = |state: &mut State<u32>| {
        state.remove();
        state.update(1);
    };
    mapped(update, vec![vec![(1, 1)]]);
}

#[test]
#[should_panic(expected = "cannot remove the state that has already been removed")]
fn a_removed_state_cannot_be_removed() {
    let remove = |state: &mut State<u32>| {
        state.update(1);
        state.remove();
        state.remove();
    };
    mapped(remove, vec![vec![(1, 1)]]);
}

#[test]
#[should_panic(expected = "cannot update the state that is timing out")]
fn a_state_that_times_out_cannot_be_updated() {
    mapped(|state| state.update(1), times_out());
}

#[test]
#[should_panic(expected = "cannot remove the state that is timing out")]
fn a_state_that_times_out_cannot_be_removed() {
    let remove = |state: &mut State<u32>| if state.is_timing_out() { state.remove() } else { state.update(1) };
    mapped(remove, times_out());
}

fn problem(build: impl FnOnce(&StreamingContext)) -> Option<String> {
    let ctx = StreamingContext::new(Vec::new());
    build(&ctx);
    ctx.graph.problem().map(|problem| problem.to_string())
}

#[test]
fn settings_of_state_belong_to_operators_that_keep_state() {
    let last = |values: Vec<u32>, _: Option<u32>| values.last().copied();
    let pairs = |ctx: &StreamingContext| ctx.stream::<(u8, u32)>("pairs");
    let right = problem(|ctx| {
        let pairs = pairs(ctx);
        let _ = pairs.update_state_by_key(last).checkpoint(seconds(9)).initial_state(|| [(1, 2)]).partitions(2);
        let _ = pairs.reduce_by_key_and_window_inverse(|a, b| a + b, |a, b| a - b, seconds(2)).checkpoint(seconds(9));
        let values = pairs.values();
        let _ = values.reduce_by_window_inverse(|a, b| a + b, |a, b| a - b, seconds(2)).checkpoint(seconds(9));
    });
    assert_eq!(right, None);
    let checkpoint = problem(|ctx| drop(pairs(ctx).values().checkpoint(seconds(9)))).unwrap();
    assert!(checkpoint.starts_with("checkpoint(9s) follows `values`, which keeps no state"), "{checkpoint}");
    let initial = problem(|ctx| drop(pairs(ctx).reduce_by_key(|a, b| a + b).initial_state(|| [(1, 2)]))).unwrap();
    assert!(initial.starts_with("initial_state(..) follows `reduce_by_key`"), "{initial}");
}
