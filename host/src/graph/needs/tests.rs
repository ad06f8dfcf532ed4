//! The times at which snapshots of state are taken, and the data that is computed again from them.

use super::super::described::{DescribedNode, ParameterValue};
use super::super::validate::tests::{node, pair};
use super::super::{Graph, Intervals};
use super::*;
use crate::time::Duration;
use proptest::prelude::*;

fn seconds(seconds: u64) -> Time {
    Time::from_ms(seconds * 1000)
}

/// A node that keeps a state of the type of the values, with its interval between snapshots if it sets one.
fn stateful(kind: &str, parent: u32, checkpoint_s: Option<u64>) -> DescribedNode {
    let mut node = node(kind, &[parent], pair());
    (node.exchanged, node.state) = (Some(pair()), Some(pair()));
    node.parameters.extend(checkpoint_s.map(|s| ("checkpoint".to_owned(), ParameterValue::DurationMs(s * 1000))));
    node
}

/// The pairs of a source, then this node with state, and an output.
fn intervals(stateful: DescribedNode, batch_interval_s: u64) -> Intervals {
    let described = [node("source", &[], pair()), stateful, node("print", &[1], Vec::new())];
    let graph = Graph::from_described(&described).unwrap();
    Intervals::of(&graph, Duration::from_secs(batch_interval_s)).unwrap()
}

/// The first batch after which a snapshot is due, in seconds, for a run that began at 100 s.
fn first_snapshot(kind: &str, checkpoint_s: Option<u64>, batch_interval_s: u64) -> u64 {
    let intervals = intervals(stateful(kind, 0, checkpoint_s), batch_interval_s);
    let mut batches = (1..).map(|batch| batch * batch_interval_s);
    let is_due = |batch: &u64| intervals.is_snapshot_due(seconds(100 + batch), seconds(100));
    batches.find(is_due).unwrap()
}

/// S10.19, S10.20, S19.02: by default, the interval between snapshots is the smallest multiple of the slide interval
/// that is at least ten seconds, and ten slide intervals for `map_with_state`. A batch interval need not be ten
/// seconds.
#[test]
fn the_default_interval_between_snapshots_is_that_of_spark() {
    let update = |batch_interval_s| first_snapshot("update_state_by_key", None, batch_interval_s);
    assert_eq!([1, 2, 3, 4, 10, 15].map(update), [10, 10, 12, 12, 10, 15]);
    let mapped = |batch_interval_s| first_snapshot("map_with_state", None, batch_interval_s);
    assert_eq!([1, 3, 15].map(mapped), [10, 30, 150]);
    assert_eq!(first_snapshot("update_state_by_key", Some(6), 3), 6);
    assert_eq!(first_snapshot("map_with_state", Some(3), 3), 3);
}

proptest! {
    /// S10.06, S10.21: state is computed again from the last snapshot on, and not from an earlier one. So the data that
    /// has to be computed again does not grow with the length of a run.
    #[test]
    fn a_restart_goes_back_to_the_last_snapshot_and_no_further(
        interval in 1u64..20, batch in 1u64..10_000, is_mapped in any::<bool>(),
    ) {
        let kind = if is_mapped { "map_with_state" } else { "update_state_by_key" };
        let intervals = intervals(stateful(kind, 0, Some(interval)), 1);
        let (zero, done) = (seconds(100), seconds(100 + batch));
        let snapshots: Vec<Time> = (1..=batch).filter(|batch| batch % interval == 0).map(|batch| seconds(100 + batch)).collect();
        let needs = intervals.needs(done, Beginning::at(zero), &snapshots);
        let last = snapshots.last().copied();
        prop_assert_eq!(&needs.snapshots, &BTreeMap::from([(NodeId(1), last)]));
        prop_assert_eq!(needs.inputs_after, last.unwrap_or(zero));
        prop_assert!(done.since(needs.inputs_after) < Duration::from_secs(interval));
        // Without snapshots, all batches would be computed again.
        prop_assert_eq!(intervals.needs(done, Beginning::at(zero), &[]).inputs_after, zero);
    }
}

/// Rows that are computed from state are not computed again, unless a window reads them.
#[test]
fn a_window_of_states_needs_an_older_snapshot() {
    let mut window = node("window", &[1], pair());
    window.parameters = vec![("length".to_owned(), ParameterValue::DurationMs(5000))];
    let described = [
        node("source", &[], pair()),
        stateful("update_state_by_key", 0, Some(4)),
        window,
        node("print", &[2], Vec::new()),
    ];
    let intervals = Intervals::of(&Graph::from_described(&described).unwrap(), Duration::from_secs(1)).unwrap();
    let snapshots = [104, 108, 112].map(seconds);
    let needs = intervals.needs(seconds(113), Beginning::at(seconds(100)), &snapshots);
    // The window of second 114 has the states after 109 s.
    assert_eq!((needs.oldest_snapshot(), needs.inputs_after), (Some(seconds(108)), seconds(108)));
}

/// A snapshot may be taken between two data sets of a node.
#[test]
fn the_last_data_set_may_be_older_than_the_snapshot() {
    let mut reduced = node("reduce_by_key", &[0], pair());
    reduced.exchanged = Some(pair());
    let mut window = stateful("reduce_by_key_and_window_inverse", 1, Some(4));
    let spans = [("length", 6000), ("slide", 2000)];
    window.parameters.extend(spans.map(|(name, ms)| (name.to_owned(), ParameterValue::DurationMs(ms))));
    let described = [node("source", &[], pair()), reduced, window, node("print", &[2], Vec::new())];
    let graph = Graph::from_described(&described).unwrap();
    let intervals = Intervals::of(&graph, Duration::from_secs(1)).unwrap();
    let last_due = |second| intervals.last_due(NodeId(2), seconds(second), seconds(100));
    assert_eq!([100, 101, 102, 103, 104].map(last_due), [100, 100, 102, 102, 104].map(seconds));
    // The window of second 104 is made of the window of second 102, and of what leaves and enters.
    assert_eq!(intervals.needs(seconds(103), Beginning::at(seconds(100)), &[seconds(103)]).inputs_after, seconds(96));
}

/// A run that joins a job later counts slides from the beginning of the job, and needs no data from before it joined.
#[test]
fn a_run_that_joined_later_needs_nothing_from_before() {
    let described =
        [node("source", &[], pair()), stateful("update_state_by_key", 0, Some(4)), node("print", &[1], Vec::new())];
    let intervals = Intervals::of(&Graph::from_described(&described).unwrap(), Duration::from_secs(1)).unwrap();
    let joined = Beginning { zero: seconds(100), data_after: seconds(150) };
    let needs = |done, snapshots: &[u64]| {
        let snapshots: Vec<Time> = snapshots.iter().copied().map(seconds).collect();
        let needs = intervals.needs(seconds(done), joined, &snapshots);
        (needs.snapshots[&NodeId(1)], needs.inputs_after)
    };
    assert_eq!(needs(157, &[]), (None, seconds(150)));
    assert_eq!(needs(157, &[148, 150]), (Some(seconds(150)), seconds(150)), "state that was carried over");
    assert_eq!(needs(157, &[150, 156]), (Some(seconds(156)), seconds(156)));
}
