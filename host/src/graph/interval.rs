//! When each node is computed, and how long its rows are kept.
//!
//! Owns the slide interval of every node, and the arithmetic of windows, as pure functions. A stream of slide interval
//! `s` has a data set at each batch time that is a multiple of `s` after the zero time: the time at which the first
//! batch began. A window of length `l` at time `t` is made of the data sets of its parent in `(t - l, t]`.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::error::GraphError;
use super::node::Node;
use super::operation::{Operation, SPAN_MAX, StateForm, Stateful};
use super::program::Graph;
use crate::ids::NodeId;
use crate::time::{Duration, Time, remainder, whole_ms};
use std::collections::BTreeMap;

/// When a run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beginning {
    /// Slides are counted from this time. A run that joins a running job counts them from the beginning of the job, so
    /// that its windows end when those of the job end.
    pub zero: Time,
    /// The run has the data of the batches after this time.
    pub data_after: Time,
}

impl Beginning {
    /// A run that begins together with its job.
    pub const fn at(zero: Time) -> Self {
        Self { zero, data_after: zero }
    }
}

/// The slide intervals and the windows of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// The slide interval of each node, by position.
    slides: Vec<Duration>,
    /// The parents of each node, by position.
    pub(super) parents: Vec<Vec<NodeId>>,
    /// For each node, by position: how far back before a batch the inputs of the node reach. The lengths of windows of
    /// windows add up.
    reaches: Vec<Duration>,
    windows: Vec<Window>,
    pub(super) remembered: Vec<(NodeId, Duration)>,
    /// The nodes that have state, each with the time between two snapshots of the state.
    stateful: Vec<(NodeId, Duration)>,
}

/// Spark's default for the time between two snapshots: at least this long, as a multiple of the slide interval.
const SNAPSHOT_AT_LEAST: Duration = Duration::from_secs(10);
/// Spark's default for `map_with_state`: this many slide intervals.
const SNAPSHOT_SLIDES: u32 = 10;

/// A window and the node that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    node: NodeId,
    parent: NodeId,
    length: Duration,
    slide: Duration,
}

impl Intervals {
    /// Finds the slide interval of every node, for batches of `batch_interval`.
    ///
    /// # Errors
    /// All windows and slides that are not multiples of the slide interval that they read, and all operations on
    /// streams with different slide intervals.
    pub fn of(graph: &Graph, batch_interval: Duration) -> Result<Self, Vec<GraphError>> {
        let remembered = graph.nodes().iter().filter_map(|node| Some((node.id, node.remember?))).collect();
        let (slides, parents, reaches, windows, stateful) = Default::default();
        let mut intervals = Self { slides, parents, reaches, windows, remembered, stateful };
        let mut errors = Vec::new();
        for node in graph.nodes() {
            intervals.parents.push(node.parents.clone());
            let parents: Vec<&Node> = node.parents.iter().filter_map(|parent| graph.node(*parent)).collect();
            let slide = parents.first().map_or(batch_interval, |parent| intervals.slide(parent.id));
            let slide = match (&node.operation, parents.as_slice()) {
                (Operation::Window { length, slide: own }, [parent]) => {
                    let own = own.unwrap_or(slide);
                    errors.extend(not_a_multiple("window", *length, parent, slide));
                    errors.extend(not_a_multiple("slide", own, parent, slide));
                    intervals.windows.push(Window { node: node.id, parent: parent.id, length: *length, slide: own });
                    own
                }
                (Operation::State(Stateful { window: Some((length, own)), .. }), [parent]) => {
                    let own = own.unwrap_or(slide);
                    errors.extend(not_a_multiple("window", *length, parent, slide));
                    errors.extend(not_a_multiple("slide", own, parent, slide));
                    // The data sets that have just left the window are read too.
                    let length = length.saturating_add(own);
                    intervals.windows.push(Window { node: node.id, parent: parent.id, length, slide: own });
                    own
                }
                _ => {
                    let other = parents.iter().find(|parent| intervals.slide(parent.id) != slide);
                    errors.extend(other.map(|other| GraphError::Slides {
                        node: node.to_string(),
                        first: parents.first().map(ToString::to_string).unwrap_or_default(),
                        first_slide: show(slide),
                        other: other.to_string(),
                        other_slide: show(intervals.slide(other.id)),
                    }));
                    slide
                }
            };
            intervals.slides.push(slide);
            if let Some(stateful) = node.operation.stateful() {
                let interval = stateful.checkpoint.unwrap_or_else(|| default_checkpoint(stateful.form, slide));
                errors.extend(not_a_multiple("checkpoint interval", interval, node, slide));
                intervals.stateful.push((node.id, interval));
            }
            let own = match &node.operation {
                Operation::Window { length, .. } => *length,
                Operation::State(Stateful { window: Some((length, _)), .. }) => length.saturating_add(slide),
                _ => Duration::ZERO,
            };
            let before = parents.iter().map(|parent| intervals.reach(parent.id)).max().unwrap_or_default();
            let reach = before.saturating_add(own);
            if reach > SPAN_MAX && before <= SPAN_MAX {
                errors.push(GraphError::Reach { node: node.to_string() });
            }
            intervals.reaches.push(reach);
        }
        if errors.is_empty() { Ok(intervals) } else { Err(errors) }
    }

    /// The nodes that have state.
    pub fn stateful(&self) -> impl Iterator<Item = NodeId> {
        self.stateful.iter().map(|(node, _)| *node)
    }

    /// Whether a snapshot of the state of all nodes is taken after a batch: when the checkpoint interval of one of the
    /// nodes ends.
    pub fn is_snapshot_due(&self, batch: Time, zero: Time) -> bool {
        self.stateful.iter().any(|(_, interval)| is_multiple(batch.since(zero), *interval))
    }

    /// The slide interval of a node: the time between two of its data sets.
    pub fn slide(&self, node: NodeId) -> Duration {
        self.slides.get(node.0 as usize).copied().unwrap_or_default()
    }

    /// Whether a node has a data set at a batch time, if the first batch began at `zero`.
    pub fn is_due(&self, node: NodeId, batch: Time, zero: Time) -> bool {
        is_multiple(batch.since(zero), self.slide(node))
    }

    /// The first multiple of a slide interval after a batch.
    pub(super) fn next_due(&self, slide: Duration, batch: Time, zero: Time) -> Time {
        let since = batch.since(zero);
        zero + since.saturating_sub(remainder(since, slide)) + slide
    }

    /// The last time at which a node had a data set, at a batch or before it. The time `zero` if the node had none.
    pub fn last_due(&self, node: NodeId, batch: Time, zero: Time) -> Time {
        batch - remainder(batch.since(zero), self.slide(node))
    }

    /// How far back a node that is a window reads, and how often. `None` if the node is no window.
    pub(super) fn window_of(&self, node: NodeId) -> Option<(Duration, Duration)> {
        self.windows.iter().find(|window| window.node == node).map(|window| (window.length, window.slide))
    }

    /// For each node that a window reads or that is remembered: the time after which its data sets are still needed
    /// when the batch `done` is over.
    pub fn needed_after(&self, done: Time, zero: Time) -> BTreeMap<NodeId, Time> {
        let of_window = |window: &Window| (window.parent, self.next_due(window.slide, done, zero) - window.length);
        let remembered = self.remembered.iter().map(|(node, span)| (*node, done - *span));
        let mut needed = BTreeMap::new();
        for (node, after) in self.windows.iter().map(of_window).chain(remembered) {
            let oldest = needed.entry(node).or_insert(after);
            *oldest = after.min(*oldest);
        }
        needed
    }
}

impl Intervals {
    /// How far back before a batch the inputs of any node reach.
    pub fn reach_of_all(&self) -> Duration {
        self.reaches.iter().copied().max().unwrap_or_default()
    }

    fn reach(&self, node: NodeId) -> Duration {
        self.reaches.get(node.0 as usize).copied().unwrap_or_default()
    }
}

/// The times of the data sets that a window at `batch` contains, the oldest first. `slide` is the slide interval of the
/// window's parent.
pub fn window_times(length: Duration, slide: Duration, batch: Time, zero: Time) -> impl Iterator<Item = Time> {
    let (slide_ms, since_ms) = (whole_ms(slide).max(1), whole_ms(batch.since(zero)));
    let count = whole_ms(length).div_ceil(slide_ms).min(since_ms.div_ceil(slide_ms));
    (0..count).rev().map(move |back| batch - Duration::from_millis(back.saturating_mul(slide_ms)))
}

/// The time between two snapshots of a node's state, if the plugin does not set the time.
fn default_checkpoint(form: StateForm, slide: Duration) -> Duration {
    if form == StateForm::Records {
        return slide.saturating_mul(SNAPSHOT_SLIDES);
    }
    let slides = whole_ms(SNAPSHOT_AT_LEAST).div_ceil(whole_ms(slide).max(1)).max(1);
    slide.saturating_mul(u32::try_from(slides).unwrap_or(u32::MAX))
}

fn is_multiple(span: Duration, interval: Duration) -> bool {
    !span.is_zero() && remainder(span, interval).is_zero()
}

/// The error of a length or a slide that does not fit the slide interval of the parent; `None` if it fits.
fn not_a_multiple(what: &'static str, span: Duration, parent: &Node, slide: Duration) -> Option<GraphError> {
    if is_multiple(span, slide) {
        return None;
    }
    let below = span.saturating_sub(remainder(span, slide));
    let above = below.saturating_add(slide);
    let help = match below.is_zero() {
        true => format!("use {}", show(above)),
        false => format!("use {} or {}", show(below), show(above)),
    };
    let stream = parent.name.clone().map_or_else(|| parent.to_string(), |name| format!("`{name}`"));
    Some(GraphError::Interval { what, span: show(span), stream, slide: show(slide), help })
}

/// Shows a span of time as `7s` or `1500ms`.
fn show(span: Duration) -> String {
    match whole_ms(span) {
        ms if ms % 1000 == 0 && ms > 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::described::ParameterValue;
    use super::super::validate::tests::{node, text};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn window(parent: u32, length_ms: u64, slide_ms: Option<u64>) -> super::super::DescribedNode {
        let mut window = node("window", &[parent], text());
        window.parameters = vec![("length".to_owned(), ParameterValue::DurationMs(length_ms))];
        window.parameters.extend(slide_ms.map(|ms| ("slide".to_owned(), ParameterValue::DurationMs(ms))));
        window
    }

    fn intervals(described: &[super::super::DescribedNode]) -> Result<Intervals, Vec<String>> {
        let mut described = described.to_vec();
        described.push(node("print", &[described.len() as u32 - 1], Vec::new()));
        let graph = Graph::from_described(&described).unwrap();
        Intervals::of(&graph, Duration::from_secs(1)).map_err(|errors| {
            errors.iter().map(|error| format!("{error}; {}", error.help().unwrap_or_default())).collect()
        })
    }

    /// S4.09
    #[test]
    fn windows_and_slides_are_multiples_of_what_they_read() {
        let mut counts = window(0, 4000, Some(2000));
        counts.name = Some("counts".to_owned());
        let graph = [node("source", &[], text()), counts.clone(), window(1, 7000, None), window(1, 500, Some(3000))];
        assert_eq!(
            intervals(&graph).unwrap_err(),
            [
                "window of 7s on stream `counts` is not a multiple of its slide interval of 2s; use 6s or 8s",
                "window of 500ms on stream `counts` is not a multiple of its slide interval of 2s; use 2s",
                "slide of 3s on stream `counts` is not a multiple of its slide interval of 2s; use 2s or 4s",
            ]
        );
        let graph = [node("source", &[], text()), counts, node("union", &[0, 1], text())];
        assert_eq!(
            intervals(&graph).unwrap_err(),
            ["`union` (node 2) reads streams of different slide intervals: `source` (node 0) every 1s, `counts` \
              (window, node 1) every 2s; give them the same slide with `window`"]
        );
    }

    /// A window of 2 s every 3 s over batches of 1 s is due at 3 s and 6 s, and reads the last two.
    #[test]
    fn a_window_is_due_at_multiples_of_its_slide_only() {
        let intervals = intervals(&[node("source", &[], text()), window(0, 2000, Some(3000))]).unwrap();
        let zero = Time::from_ms(500_000);
        let at = |seconds: u64| zero + Duration::from_secs(seconds);
        let due: Vec<u64> = (0..8).filter(|seconds| intervals.is_due(NodeId(1), at(*seconds), zero)).collect();
        assert_eq!(due, [3, 6]);
        let (length, slide) = (Duration::from_secs(2), Duration::from_secs(1));
        assert_eq!(window_times(length, slide, at(6), zero).collect::<Vec<_>>(), [at(5), at(6)]);
        assert_eq!(window_times(length, slide, at(1), zero).collect::<Vec<_>>(), [at(1)]);
    }

    fn nested(windows: u32, length_ms: u64) -> Result<Intervals, Vec<String>> {
        let mut graph = vec![node("source", &[], text())];
        graph.extend((0..windows).map(|at| window(at, length_ms, None)));
        intervals(&graph)
    }

    #[test]
    fn windows_of_windows_reach_back_a_hundred_years_at_most() {
        let years = |years: u64| years * 365 * 24 * 60 * 60 * 1000;
        assert_eq!(nested(10, years(10)).unwrap().reach_of_all(), SPAN_MAX);
        assert_eq!(
            nested(1100, years(1)).unwrap_err(),
            ["the windows that `window` (node 101) reads through reach back more than 100 years before a batch; \
                 make the windows shorter, or nest fewer windows in each other"]
        );
        let mut graph = vec![node("source", &[], text()), window(0, u64::MAX - 15, None)];
        graph.push(node("print", &[1], Vec::new()));
        let errors = Graph::from_described(&graph).unwrap_err();
        let told = "`window` (node 1): its length of 18446744073709551600 ms is more than 100 years";
        assert!(errors.iter().any(|error| error.to_string() == told), "{errors:?}");
    }

    /// Numbers at the ends of what a plugin can say, and anywhere between.
    fn extreme() -> impl Strategy<Value = u64> {
        let long = u64::try_from(SPAN_MAX.as_millis()).unwrap();
        prop_oneof![
            Just(0),
            1u64..5000,
            any::<u64>(),
            prop::sample::select(vec![1, 1000, long - 1, long, long + 1, long * 2, u64::MAX - 1, u64::MAX]),
        ]
    }

    proptest! {
        /// Whatever lengths, slides and times there are: an answer or a mistake, never a panic.
        #[test]
        fn no_number_of_a_plugin_is_too_much(
            windows in prop::collection::vec((any::<u32>(), extreme(), prop::option::of(extreme()), prop::option::of(extreme())), 1..30),
            interval in 1u64..3_600_000,
            (zero, done) in (extreme(), extreme()),
        ) {
            let mut described = vec![node("source", &[], text())];
            for (at, (parent, length, slide, remember)) in windows.into_iter().enumerate() {
                let mut window = window(parent % (at as u32 + 1), length, slide);
                let remember = remember.map(|ms| ("remember".to_owned(), ParameterValue::DurationMs(ms)));
                window.parameters.extend(remember);
                described.push(window);
            }
            described.push(node("print", &[described.len() as u32 - 1], Vec::new()));
            if let Ok(graph) = Graph::from_described(&described)
                && let Ok(intervals) = Intervals::of(&graph, Duration::from_millis(interval))
            {
                let (zero, done) = (Time::from_ms(zero), Time::from_ms(done));
                prop_assert!(intervals.reach_of_all() <= SPAN_MAX);
                prop_assert!(intervals.needs(done, Beginning::at(zero), &[]).inputs_after <= done);
                for node in graph.nodes() {
                    intervals.is_due(node.id, done, zero);
                    let slide = intervals.slide(node.id);
                    prop_assert!(window_times(SPAN_MAX, slide, done, zero).take(3).all(|time| time <= done));
                }
                super::super::StageGraph::cut(&graph, 256);
            }
        }
    }

    proptest! {
        /// After each batch exactly those data sets are kept that a later window reads.
        #[test]
        fn data_sets_are_kept_exactly_as_long_as_a_window_needs_them(
            windows in prop::collection::vec((1u64..6, 1u64..5), 1..4),
            first in 0u64..10_000,
        ) {
            let mut graph = vec![node("source", &[], text())];
            graph.extend(windows.iter().map(|(length, slide)| window(0, length * 1000, Some(slide * 1000))));
            let intervals = intervals(&graph).unwrap();
            let zero = Time::from_ms(first * 1000);
            let at = |batch: u64| zero + Duration::from_secs(batch);
            let mut kept: BTreeSet<Time> = BTreeSet::new();
            for batch in 1..40 {
                kept.insert(at(batch));
                for (position, (length, slide)) in windows.iter().enumerate() {
                    if intervals.is_due(NodeId(position as u32 + 1), at(batch), zero) {
                        prop_assert_eq!(batch % slide, 0);
                        for time in window_times(Duration::from_secs(*length), Duration::from_secs(1), at(batch), zero) {
                            prop_assert!(kept.contains(&time), "{time} is gone at {batch}");
                        }
                    }
                }
                let after = intervals.needed_after(at(batch), zero)[&NodeId(0)];
                kept.retain(|time| *time > after);
                let needed_later = |time: &Time| (batch + 1..batch + 12).any(|later| {
                    windows.iter().any(|(length, slide)| later % slide == 0 && *time > at(later) - Duration::from_secs(*length))
                });
                prop_assert!(kept.iter().all(needed_later), "kept for nothing after {batch}: {kept:?}");
            }
        }
    }
}
