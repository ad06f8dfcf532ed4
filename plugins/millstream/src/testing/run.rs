//! Runs the batches of a program under test.
//!
//! Owns the path of rows from sources to outputs, cut into stages as the host cuts it, and the host that driver
//! functions call. Never checks the results.

use super::files::Files;
use super::history::History;
use super::{Batches, check};
use crate::chunk::Chunk;
use crate::ends::TaskError;
use crate::graph::{Graph, Node, Value};
use crate::ids::NodeId;
use crate::kind::Kind;
use crate::offset_range::OffsetRange;
use crate::place::Place;
use crate::runtime::{TestHost, set_test_host, take_emitted, take_states, take_trace};
use crate::stateful::model::Given;
use crate::task::{Task, TaskSpec};
use crate::time::Time;
use crate::variables;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

/// A path of rows between two shuffles: the node that the rows come from, and the operators that they pass through.
pub(super) struct Branch {
    pub leaf: NodeId,
    pub path: Vec<NodeId>,
}

/// Whether the rows of a node come from somewhere else than from operators on rows of its parents.
fn begins(node: &Node) -> bool {
    let shuffles = node.exchanged.is_some() || node.code.joined.is_some();
    matches!(node.kind, Kind::Window | Kind::Transform | Kind::StateSnapshots) || node.parents.is_empty() || shuffles
}

/// The branches that lead to `node`, in the order of their rows. Several branches come together in a union. A branch
/// begins at the nodes of `kept`, whose rows are computed on their own.
pub(super) fn branches(graph: &Graph, kept: &BTreeSet<NodeId>, node: NodeId) -> Vec<Branch> {
    let (kind, parents, begins) = {
        let nodes = graph.nodes();
        let found = &nodes[&node];
        (found.kind, found.parents.clone(), begins(found))
    };
    if begins {
        return vec![Branch { leaf: node, path: Vec::new() }];
    }
    let to_parent = |parent| match kept.contains(&parent) {
        true => vec![Branch { leaf: parent, path: Vec::new() }],
        false => self::branches(graph, kept, parent),
    };
    let mut branches: Vec<Branch> = parents.into_iter().flat_map(to_parent).collect();
    if !matches!(kind, Kind::Union | Kind::Coalesce | Kind::Cache) {
        branches.iter_mut().for_each(|branch| branch.path.push(node));
    }
    branches
}

/// The rows that are sent through a shuffle: of each parent of a join, or of each branch.
type Sent = Vec<Vec<Chunk>>;

/// A program and its input. Batches are counted from 0.
pub(super) struct Run {
    pub(super) graph: Rc<Graph>,
    sources: Batches,
    pub files: Files,
    interval: Duration,
    /// The node that each `transform` returned in each batch.
    transformed: RefCell<BTreeMap<(NodeId, usize), NodeId>>,
    /// The batches of each node that keeps state.
    pub(super) histories: RefCell<BTreeMap<NodeId, History>>,
    /// The nodes of the program that several nodes, a window or a driver function read. As in the host, their rows are
    /// computed once a batch.
    kept: BTreeSet<NodeId>,
    /// The rows of nodes of the program that were computed for a batch. So accumulators get each update once.
    known: RefCell<BTreeMap<(NodeId, usize), Vec<Chunk>>>,
    /// The rows that were sent through shuffles.
    sent: RefCell<BTreeMap<(NodeId, usize), Sent>>,
    /// The id of the first node that a driver function makes.
    made: NodeId,
}

/// The nodes that several nodes, a window or a driver function read.
fn kept(nodes: &BTreeMap<NodeId, Node>) -> BTreeSet<NodeId> {
    let mut readers: BTreeMap<NodeId, usize> = BTreeMap::new();
    for node in nodes.values() {
        let reads = if node.code.driver.is_some() || node.kind == Kind::Window { 2 } else { 1 };
        node.parents.iter().for_each(|parent| *readers.entry(*parent).or_default() += reads);
    }
    readers.into_iter().filter(|(_, reads)| *reads > 1).map(|(node, _)| node).collect()
}

impl Run {
    pub fn new(graph: &Rc<Graph>, sources: Batches, files: Files, interval: Duration) -> Rc<Self> {
        variables::begin_run();
        let kept = kept(&graph.nodes());
        let made = graph.nodes().keys().last().map_or(0, |last| last + 1);
        let (graph, transformed, known) = (Rc::clone(graph), RefCell::default(), RefCell::default());
        let histories = RefCell::default();
        let sent = RefCell::default();
        Rc::new(Self { graph, sources, files, interval, transformed, histories, kept, known, sent, made })
    }

    /// The time of a batch. The first batch ends one batch interval after time zero.
    pub(super) fn time(&self, batch: usize) -> Time {
        let ms = self.interval.as_millis().saturating_mul(batch as u128 + 1);
        Time::from_ms(u64::try_from(ms).unwrap_or(u64::MAX))
    }

    /// Runs the driver function of `node` in a batch. Its actions compute the data sets of this batch.
    pub fn call(self: &Rc<Self>, node: NodeId, batch: usize) -> Option<NodeId> {
        let function = self.graph.nodes()[&node].code.driver.clone();
        let outer = set_test_host(Some(Rc::new(InFunction { run: Rc::clone(self), batch })));
        self.graph.accumulators.forget();
        let answer = function.expect("the node has a driver function")(&self.graph, self.time(batch));
        self.graph.accumulators.hand_over();
        set_test_host(outer);
        check(&self.graph);
        answer
    }

    /// The rows that a `transform` gives for a batch. The function of the `transform` is called only once for each
    /// batch.
    fn transform(self: &Rc<Self>, node: NodeId, batch: usize) -> Vec<Chunk> {
        let known = self.transformed.borrow().get(&(node, batch)).copied();
        let answer = known.or_else(|| self.call(node, batch)).expect("a transform returns a data set");
        self.transformed.borrow_mut().insert((node, batch), answer);
        self.evaluate(answer, batch)
    }

    pub fn batches(&self) -> Range<usize> {
        0..self.sources.values().map(Vec::len).max().unwrap_or(0)
    }

    /// Converts a span of time to a number of batches.
    pub(super) fn batches_in(&self, span: Duration) -> usize {
        let batches = span.as_millis() / self.interval.as_millis().max(1);
        assert!(
            batches > 0 && span.as_millis().is_multiple_of(self.interval.as_millis()),
            "{span:?} is not a multiple of the batch interval of {:?}",
            self.interval
        );
        usize::try_from(batches).unwrap_or(usize::MAX)
    }

    /// The number of batches from one data set of a node to the next.
    pub(super) fn slide(&self, node: NodeId) -> usize {
        self.graph.slide(node).map_or(1, |slide| self.batches_in(slide))
    }

    pub fn is_due(&self, node: NodeId, batch: usize) -> bool {
        (batch + 1).is_multiple_of(self.slide(node))
    }

    /// The rows of `node` in a batch: the rows of each stage that ends at the node, in order. The stages are cut as the
    /// host cuts them.
    pub fn evaluate(self: &Rc<Self>, node: NodeId, batch: usize) -> Vec<Chunk> {
        self.once(node, batch, || {
            let branches = branches(&self.graph, &self.kept, node);
            branches.into_iter().flat_map(|branch| self.run_branch(branch, None, batch)).collect()
        })
    }

    /// The rows of `node` in a batch, which `compute` computes unless they are known.
    fn once(&self, node: NodeId, batch: usize, compute: impl FnOnce() -> Vec<Chunk>) -> Vec<Chunk> {
        let known = self.known.borrow().get(&(node, batch)).cloned();
        if let Some(rows) = known {
            return rows;
        }
        let rows = compute();
        // As in the host, what a driver function makes is computed for each action.
        if node < self.made {
            self.known.borrow_mut().insert((node, batch), rows.clone());
        }
        rows
    }

    /// The rows that are sent through the shuffle of `node` in a batch. As in the host, they are sent once, also if a
    /// driver function has made the node and calls several actions.
    fn sent_once(&self, node: NodeId, batch: usize, send: impl FnOnce() -> Sent) -> Sent {
        let known = self.sent.borrow().get(&(node, batch)).cloned();
        known.unwrap_or_else(|| {
            let sent = send();
            self.sent.borrow_mut().insert((node, batch), sent.clone());
            sent
        })
    }

    /// The rows at the end of a branch. With `combine`, the rows that the pre-aggregation of this shuffle makes of
    /// them.
    fn run_branch(self: &Rc<Self>, branch: Branch, combine: Option<NodeId>, batch: usize) -> Vec<Chunk> {
        let rows = self.leaf_rows(branch.leaf, batch);
        let mut steps: Vec<(NodeId, &str)> = branch.path.into_iter().map(|node| (node, "apply")).collect();
        steps.extend(combine.map(|node| (node, "combine")));
        if steps.is_empty() { rows } else { self.task(branch.leaf, &steps, rows, batch) }
    }

    /// The rows of a node at which a branch begins.
    fn leaf_rows(self: &Rc<Self>, leaf: NodeId, batch: usize) -> Vec<Chunk> {
        if begins(&self.graph.nodes()[&leaf]) {
            return self.once(leaf, batch, || self.begun_rows(leaf, batch));
        }
        self.evaluate(leaf, batch)
    }

    /// The rows of a source or a window, or the rows that come out of a shuffle.
    fn begun_rows(self: &Rc<Self>, leaf: NodeId, batch: usize) -> Vec<Chunk> {
        let (parents, source, window, aggregates, sort, is_driver) = {
            let nodes = self.graph.nodes();
            let found = &nodes[&leaf];
            let source = found.parameters.iter().find_map(|(name, value)| match value {
                Value::Text(text) if *name == "source" => Some(text.clone()),
                _ => None,
            });
            (
                found.parents.clone(),
                source,
                found.duration("length"),
                found.code.exchange.is_some(),
                found.code.sort.clone(),
                found.code.driver.is_some(),
            )
        };
        if is_driver {
            return self.transform(leaf, batch);
        }
        if let Some(rows) = self.stateful_rows(leaf, batch) {
            return rows;
        }
        if let Some((of, time)) = self.sliced(leaf) {
            return self.evaluate(of, time);
        }
        if let Some(path) = self.path(leaf) {
            return self.files.load(&path, &self.graph.nodes()[&leaf].rows);
        }
        if let Some(source) = source {
            return self.sources.get(&source).and_then(|batches| batches.get(batch)).cloned().into_iter().collect();
        }
        if let (Some(length), [parent]) = (window, parents.as_slice()) {
            let batches = (batch + 1).saturating_sub(self.batches_in(length))..=batch;
            let batches = batches.filter(|batch| self.is_due(*parent, *batch));
            return batches.flat_map(|batch| self.evaluate(*parent, batch)).collect();
        }
        if let Some(joined) = &self.graph.nodes()[&leaf].code.joined {
            let sent = || parents.into_iter().map(|parent| self.evaluate(parent, batch)).collect();
            return joined(self.sent_once(leaf, batch, sent));
        }
        let combine = aggregates.then_some(leaf);
        let sent = self.sent_once(leaf, batch, || {
            let branches = parents.into_iter().flat_map(|parent| self.branches_from(parent));
            branches.map(|branch| self.run_branch(branch, combine, batch)).collect()
        });
        let sent = sent.into_iter().flatten().collect();
        // With one partition, rows need not be distributed.
        match sort {
            _ if aggregates => self.task(leaf, &[(leaf, "reduce")], sent, batch),
            Some(sort) => sort(sent),
            None => sent,
        }
    }

    /// The branches that lead to a parent of a shuffle.
    fn branches_from(&self, parent: NodeId) -> Vec<Branch> {
        match self.kept.contains(&parent) {
            true => vec![Branch { leaf: parent, path: Vec::new() }],
            false => branches(&self.graph, &self.kept, parent),
        }
    }

    /// The stream and the batch of a data set that `slice` returned.
    fn sliced(&self, node: NodeId) -> Option<(NodeId, usize)> {
        let nodes = self.graph.nodes();
        let node = nodes.get(&node).filter(|node| node.kind == Kind::Slice)?;
        let number = |name: &str| {
            node.parameters.iter().find_map(|(key, value)| match value {
                Value::Integer(number) if *key == name => u64::try_from(*number).ok(),
                _ => None,
            })
        };
        Some((NodeId::try_from(number("of")?).ok()?, self.batch_at(Time::from_ms(number("time")?))?))
    }

    /// The path of the file that a node loads or saves.
    fn path(&self, node: NodeId) -> Option<String> {
        let nodes = self.graph.nodes();
        nodes.get(&node)?.parameters.iter().find_map(|(name, value)| match value {
            Value::Text(path) if *name == "path" => Some(path.clone()),
            _ => None,
        })
    }

    /// The last batch at or before a time; `None` if there is none.
    fn batch_at(&self, time: Time) -> Option<usize> {
        let batches = u128::from(time.as_ms()) / self.interval.as_millis().max(1);
        usize::try_from(batches).ok()?.checked_sub(1)
    }

    /// The rows that an output shows for a batch.
    pub fn print(self: &Rc<Self>, output: NodeId, batch: usize) -> Vec<String> {
        let (parent, limit, show) = {
            let nodes = self.graph.nodes();
            let node = &nodes[&output];
            let parent = node.parents[0];
            let limit = node.parameters.iter().find_map(|(name, value)| match value {
                Value::Integer(n) if *name == "rows" => usize::try_from(*n).ok(),
                _ => None,
            });
            // All rows of a saved data set are shown.
            (parent, limit.unwrap_or(usize::MAX), nodes[&parent].code.rows)
        };
        let show = show.expect("the parent of an output has rows").show;
        let mut rows: Vec<String> = self.evaluate(parent, batch).into_iter().flat_map(show).collect();
        if rows.len() > limit {
            rows.truncate(limit);
            rows.push("...".to_owned());
        }
        rows
    }

    /// Runs the steps on rows, and returns the rows at their end.
    fn task(&self, input: NodeId, steps: &[(NodeId, &str)], chunks: Vec<Chunk>, batch: usize) -> Vec<Chunk> {
        self.given(input, steps, chunks.into_iter().map(|chunk| (0, chunk)).collect(), batch).rows
    }

    /// Runs the steps as the host does. Then runs them again in their dynamic form, as the host does when it traces a
    /// failure. Each chunk comes with the number of its input.
    pub(super) fn given(
        &self,
        input: NodeId,
        steps: &[(NodeId, &str)],
        pushes: Vec<(u32, Chunk)>,
        batch: usize,
    ) -> Given {
        let run = |traced, pushes: Vec<(u32, Chunk)>| {
            let steps = steps.iter().map(|(node, role)| (*node, (*role).to_owned())).collect();
            let place = Place { batch: self.time(batch), partitions: BTreeMap::new() };
            let mut task = Task::open(&self.graph, &TaskSpec { input, steps, place, traced })?;
            pushes.into_iter().try_for_each(|(input, chunk)| task.push(input, chunk))?;
            task.finish()?;
            Ok::<_, TaskError>(Given { rows: take_emitted(), states: take_states() })
        };
        let (first, updates) = variables::in_task(|| run(false, pushes.clone()));
        let (second, updates_again) = variables::in_task(|| run(true, pushes));
        let outcome = first.and_then(|given| Ok((given, second?)));
        take_trace();
        let (given, again) = outcome.unwrap_or_else(|error| panic!("nodes {steps:?}: {error:?}"));
        assert!(
            given == again,
            "the operators {steps:?} gave other rows when they ran a second time: their functions may depend on their input \
             alone, and not on the order of a `HashMap` (use a `BTreeMap`, or sort), on a captured `Cell` (use an \
             accumulator), or on a clock"
        );
        assert!(
            updates == updates_again,
            "the operators {steps:?} updated accumulators in another way the second time"
        );
        variables::count_updates(updates);
        given
    }
}

/// The host that a driver function calls in a batch.
struct InFunction {
    run: Rc<Run>,
    batch: usize,
}

impl TestHost for InFunction {
    fn evaluate(&self, node: NodeId) -> Vec<Chunk> {
        let (kind, parent) = {
            let nodes = self.run.graph.nodes();
            let found = &nodes[&node];
            (found.kind, found.code.rows.is_none().then(|| found.parents[0]))
        };
        let Some(parent) = parent else { return self.run.evaluate(node, self.batch) };
        let rows = self.run.evaluate(parent, self.batch);
        let show = self.run.graph.nodes()[&parent].code.rows.expect("what is saved has rows").show;
        self.run.files.save(kind, &self.run.path(node).unwrap_or_default(), rows, show);
        Vec::new()
    }

    fn slice(&self, of: NodeId, first: Time, last: Time) -> Vec<Time> {
        assert!(last <= self.run.time(self.batch), "a slice ends at {last}, after the batch");
        let at = |time: Time| self.run.batch_at(time).map_or(0, |batch| batch + 1);
        let slide = self.run.slide(of);
        // Batches that have data sets are counted from 1, as multiples of the slide.
        let (first, last) = ((at(first) / slide).max(1), at(last) / slide);
        (first..=last).map(|number| self.run.time(number * slide - 1)).collect()
    }

    fn write_file(&self, path: &str, content: &[u8]) {
        self.run.files.write(path, content);
    }

    fn read_file(&self, path: &str) -> Option<Vec<u8>> {
        self.run.files.read(path)
    }

    fn offset_ranges(&self, source: &str) -> Vec<OffsetRange> {
        let batches = self.run.sources.get(source).unwrap_or_else(|| panic!("there is no source `{source}`"));
        let end = |batch: usize| batches.iter().take(batch).map(|rows| i64::from(rows.rows)).sum();
        let (first, end) = (end(self.batch), end(self.batch + 1));
        let range = OffsetRange { topic: source.to_owned(), partition: 0, first, end };
        if first < end { vec![range] } else { Vec::new() }
    }
}
