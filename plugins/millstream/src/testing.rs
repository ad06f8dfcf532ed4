//! Runs a program on native code: batches in, batches out, without a host.
//!
//! Owns a harness that goes the way the host goes, with one partition: operators, pre-aggregation, shuffle, aggregation,
//! each through the same tasks and the same flat chunks as in a component, and each task twice, fused and dynamic. Never
//! used by a plugin that runs.

use crate::chain::{Chain, NodeId};
use crate::chunk::Chunk;
use crate::context::{StreamingContext, cut};
use crate::driver::{Place, Time};
use crate::dstream::{DStream, Rdd};
use crate::graph::{Graph, Value};
use crate::record::{Builder, Column, Record, read_column, write_chunk};
use crate::runtime::{Evaluate, set_evaluate, take_emitted, take_trace};
use crate::task::{Task, TaskError, TaskSpec};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

/// Applies `operation` to a stream of `batches` and returns what comes out, batch by batch.
///
/// ```
/// use millstream::testing;
/// let out = testing::run(vec![vec![1u64, 2], vec![]], |numbers| numbers.map(|n| n + 1));
/// assert_eq!(out, [vec![2, 3], vec![]]);
/// ```
///
/// # Panics
/// If the operation panics, or the program is invalid.
pub fn run<T, U, C>(
    batches: Vec<Vec<T>>,
    operation: impl FnOnce(DStream<T, crate::Cut<T>>) -> DStream<U, C>,
) -> Vec<Vec<U>>
where
    T: Record,
    U: Record,
    C: Chain<Out = U>,
{
    let ctx = StreamingContext::new(Vec::new());
    let node = ctx.stream::<T>("input").node;
    let result = operation(cut(&ctx.graph, node)).node;
    check(&ctx.graph);
    let batches: Vec<_> = batches.into_iter().map(chunk_of).collect();
    let sources = BTreeMap::from([("input".to_owned(), batches)]);
    let run = Run::new(&ctx.graph, sources, BATCH_INTERVAL);
    let due = run.batches().filter(|batch| run.is_due(result, *batch));
    let due: Vec<usize> = due.collect();
    let rows = |batch| run.evaluate(result, batch).into_iter().flat_map(rows_of::<U>).collect();
    due.into_iter().map(rows).collect()
}

/// Calls `function` with a data set of `rows`, as `foreach_rdd` does.
///
/// ```
/// use millstream::testing;
/// testing::batch([1u64, 2], |rdd| assert_eq!(rdd.map(|n| n + 1).collect(), [2, 3]));
/// ```
///
/// # Panics
/// If the function panics.
pub fn batch<I: Input>(rows: impl IntoIterator<Item = I>, function: impl Fn(Rdd<I::Record>) + 'static) {
    let job = Job::new(move |ctx| {
        ctx.stream::<I::Record>("input").foreach_rdd(function);
    });
    job.batch("input", rows).run();
}

/// What an output showed for a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// Which batch it was, from 0.
    pub batch: usize,
    /// Which output it was, in the order of definition, from 0.
    pub output: usize,
    /// The rows as `print` shows them, or as they are saved.
    pub rows: Vec<String>,
}

type Batches = BTreeMap<String, Vec<Chunk>>;

/// A whole program under test: sources by name, batches, printed rows.
///
/// ```
/// use millstream::{StreamingContext, testing};
/// fn build(ctx: &StreamingContext) {
///     ctx.text_stream("lines")
///         .flat_map(|line| line.split(' '))
///         .map(|word| (word, 1u64))
///         .reduce_by_key(|a, b| a + b)
///         .print();
/// }
/// let printed = testing::Job::new(build).batch("lines", ["to be or", "not to be"]).run();
/// assert_eq!(printed[0].rows, ["(to,2)", "(be,2)", "(or,1)", "(not,1)"]);
/// ```
pub struct Job<B> {
    build: B,
    arguments: Vec<(String, String)>,
    sources: Batches,
    interval: Duration,
}

/// How much time a batch covers, unless a test says otherwise.
const BATCH_INTERVAL: Duration = Duration::from_secs(1);

impl<B: FnOnce(&StreamingContext)> Job<B> {
    /// A job that runs what `build` defines.
    pub fn new(build: B) -> Self {
        Self { build, arguments: Vec::new(), sources: Batches::new(), interval: BATCH_INTERVAL }
    }

    /// Sets how much time a batch covers, as the job file's `batch_interval` does: 1 s without it.
    #[must_use]
    pub fn batch_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets an argument, as the job file's `args` does.
    #[must_use]
    pub fn arg(mut self, name: &str, value: &str) -> Self {
        self.arguments.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds the next batch of a source. Text may be given as string slices.
    #[must_use]
    pub fn batch<I: Input>(mut self, source: &str, rows: impl IntoIterator<Item = I>) -> Self {
        let rows = rows.into_iter().map(Input::into_record).collect();
        self.sources.entry(source.to_owned()).or_default().push(chunk_of(rows));
        self
    }

    /// Runs all batches and returns what each output printed, in order.
    ///
    /// # Panics
    /// If the program panics or is invalid.
    pub fn run(self) -> Vec<Printed> {
        let ctx = StreamingContext::new(self.arguments);
        (self.build)(&ctx);
        check(&ctx.graph);
        let outputs: Vec<NodeId> = {
            let nodes = ctx.graph.nodes();
            nodes.iter().filter(|(_, node)| node.code.rows.is_none()).map(|(id, _)| *id).collect()
        };
        assert!(!outputs.is_empty(), "no output operations registered, so nothing to execute");
        let run = Run::new(&ctx.graph, self.sources, self.interval);
        let mut printed = Vec::new();
        for batch in run.batches() {
            for (output, id) in outputs.iter().enumerate().filter(|(_, id)| run.is_due(**id, batch)) {
                let is_driver = ctx.graph.nodes()[id].code.driver.is_some();
                match is_driver {
                    true => drop(run.call(*id, batch)),
                    false => printed.push(Printed { batch, output, rows: run.print(*id, batch) }),
                }
            }
        }
        printed
    }
}

/// What can stand for a record in a test's input.
pub trait Input {
    /// The type of the record.
    type Record: Record;
    /// Makes the record.
    fn into_record(self) -> Self::Record;
}

impl Input for &str {
    type Record = crate::Text;
    fn into_record(self) -> crate::Text {
        self.into()
    }
}

impl<T: Record> Input for T {
    type Record = T;
    fn into_record(self) -> T {
        self
    }
}

fn check(graph: &Graph) {
    if let Some(problem) = graph.problem() {
        panic!("invalid program: {problem}");
    }
}

pub(crate) fn chunk_of<T: Record>(rows: Vec<T>) -> Chunk {
    let mut builder = T::Builder::default();
    let count = rows.len();
    rows.into_iter().for_each(|row| builder.push(row));
    write_chunk(&mut builder, count)
}

pub(crate) fn rows_of<T: Record>(chunk: Chunk) -> Vec<T> {
    let (column, rows) = read_column::<T>(chunk).unwrap_or_else(|error| panic!("a chunk is malformed: {error}"));
    (0..rows).map(|row| column.get(row)).collect()
}

/// A way that rows go between two shuffles: where they come from, and the operators that they pass.
struct Branch {
    leaf: NodeId,
    path: Vec<NodeId>,
}

/// The ways to `node`, in the order of their rows. Several come together in a union.
fn branches(graph: &Graph, node: NodeId) -> Vec<Branch> {
    let (kind, parents, shuffles) = {
        let nodes = graph.nodes();
        let found = &nodes[&node];
        (found.kind, found.parents.clone(), found.exchanged.is_some() || found.code.joined.is_some())
    };
    if matches!(kind, "source" | "window" | "transform") || shuffles {
        return vec![Branch { leaf: node, path: Vec::new() }];
    }
    let mut branches: Vec<Branch> = parents.into_iter().flat_map(|parent| self::branches(graph, parent)).collect();
    if !matches!(kind, "union" | "coalesce" | "cache") {
        branches.iter_mut().for_each(|branch| branch.path.push(node));
    }
    branches
}

/// A program and its input: batches are counted from 0.
struct Run {
    graph: Rc<Graph>,
    sources: Batches,
    interval: Duration,
    /// What each `transform` returned in each batch.
    transformed: RefCell<BTreeMap<(NodeId, usize), NodeId>>,
}

impl Run {
    fn new(graph: &Rc<Graph>, sources: Batches, interval: Duration) -> Rc<Self> {
        Rc::new(Self { graph: Rc::clone(graph), sources, interval, transformed: RefCell::default() })
    }

    /// The time of a batch: the first ends one interval after time zero.
    fn time(&self, batch: usize) -> Time {
        let ms = self.interval.as_millis().saturating_mul(batch as u128 + 1);
        Time::from_ms(u64::try_from(ms).unwrap_or(u64::MAX))
    }

    /// Runs the driver function of `node` in a batch, whose data sets its actions compute.
    fn call(self: &Rc<Self>, node: NodeId, batch: usize) -> Option<NodeId> {
        let function = self.graph.nodes()[&node].code.driver.clone();
        let run = Rc::clone(self);
        let evaluate: Evaluate = Rc::new(move |node| run.evaluate(node, batch));
        let outer = set_evaluate(Some(evaluate));
        let answer = function.expect("the node has a driver function")(&self.graph, self.time(batch));
        set_evaluate(outer);
        check(&self.graph);
        answer
    }

    /// The rows that a `transform` makes of a batch. Its function is called once.
    fn transform(self: &Rc<Self>, node: NodeId, batch: usize) -> Vec<Chunk> {
        let known = self.transformed.borrow().get(&(node, batch)).copied();
        let answer = known.or_else(|| self.call(node, batch)).expect("a transform returns a data set");
        self.transformed.borrow_mut().insert((node, batch), answer);
        self.evaluate(answer, batch)
    }

    fn batches(&self) -> Range<usize> {
        0..self.sources.values().map(Vec::len).max().unwrap_or(0)
    }

    /// A span of time in batches.
    fn batches_in(&self, span: Duration) -> usize {
        let batches = span.as_millis() / self.interval.as_millis().max(1);
        assert!(
            batches > 0 && span.as_millis().is_multiple_of(self.interval.as_millis()),
            "{span:?} is not a multiple of the batch interval of {:?}",
            self.interval
        );
        usize::try_from(batches).unwrap_or(usize::MAX)
    }

    /// Every how many batches a node has rows.
    fn slide(&self, node: NodeId) -> usize {
        let (own, parents) = {
            let nodes = self.graph.nodes();
            let found = &nodes[&node];
            (found.duration("slide"), found.parents.clone())
        };
        match own {
            Some(slide) => self.batches_in(slide),
            None => parents.first().map_or(1, |parent| self.slide(*parent)),
        }
    }

    fn is_due(&self, node: NodeId, batch: usize) -> bool {
        (batch + 1).is_multiple_of(self.slide(node))
    }

    /// The rows of `node` in a batch: those of each stage that ends there, as the host would cut it, in order.
    fn evaluate(self: &Rc<Self>, node: NodeId, batch: usize) -> Vec<Chunk> {
        let branches = branches(&self.graph, node);
        branches.into_iter().flat_map(|branch| self.run_branch(branch, None, batch)).collect()
    }

    /// The rows at the end of a branch, or what the shuffle `combine` makes of them before it sends them.
    fn run_branch(self: &Rc<Self>, branch: Branch, combine: Option<NodeId>, batch: usize) -> Vec<Chunk> {
        let rows = self.leaf_rows(branch.leaf, batch);
        let mut steps: Vec<(NodeId, &str)> = branch.path.into_iter().map(|node| (node, "apply")).collect();
        steps.extend(combine.map(|node| (node, "combine")));
        if steps.is_empty() { rows } else { self.task(branch.leaf, &steps, rows, batch) }
    }

    /// The rows of a source or a window, or what comes out of a shuffle.
    fn leaf_rows(self: &Rc<Self>, leaf: NodeId, batch: usize) -> Vec<Chunk> {
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
        if let Some(source) = source {
            return self.sources.get(&source).and_then(|batches| batches.get(batch)).cloned().into_iter().collect();
        }
        if let (Some(length), [parent]) = (window, parents.as_slice()) {
            let batches = (batch + 1).saturating_sub(self.batches_in(length))..=batch;
            let batches = batches.filter(|batch| self.is_due(*parent, *batch));
            return batches.flat_map(|batch| self.evaluate(*parent, batch)).collect();
        }
        if let Some(joined) = &self.graph.nodes()[&leaf].code.joined {
            return joined(parents.into_iter().map(|parent| self.evaluate(parent, batch)).collect());
        }
        let combine = aggregates.then_some(leaf);
        let branches = parents.into_iter().flat_map(|parent| branches(&self.graph, parent));
        let sent = branches.flat_map(|branch| self.run_branch(branch, combine, batch)).collect();
        // With one partition, there is nothing to deal out.
        match sort {
            _ if aggregates => self.task(leaf, &[(leaf, "reduce")], sent, batch),
            Some(sort) => sort(sent),
            None => sent,
        }
    }

    /// What an output shows of a batch.
    fn print(self: &Rc<Self>, output: NodeId, batch: usize) -> Vec<String> {
        let (parent, limit, show) = {
            let nodes = self.graph.nodes();
            let node = &nodes[&output];
            let parent = node.parents[0];
            let limit = node.parameters.iter().find_map(|(name, value)| match value {
                Value::Integer(n) if *name == "rows" => usize::try_from(*n).ok(),
                _ => None,
            });
            // What is saved is saved in full.
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

    /// Runs the steps as the host does, and once more in their dynamic form, as the host does when it traces a failure.
    fn task(&self, input: NodeId, steps: &[(NodeId, &str)], chunks: Vec<Chunk>, batch: usize) -> Vec<Chunk> {
        let run = |traced, chunks: Vec<Chunk>| {
            let steps = steps.iter().map(|(node, role)| (*node, (*role).to_owned())).collect();
            let place = Place { batch: self.time(batch), partitions: BTreeMap::new() };
            let mut task = Task::open(&self.graph, &TaskSpec { input, steps, place, traced })?;
            chunks.into_iter().try_for_each(|chunk| task.push(chunk))?;
            task.finish()?;
            Ok::<_, TaskError>(take_emitted())
        };
        let outcome = run(false, chunks.clone()).and_then(|rows| Ok((rows, run(true, chunks)?)));
        take_trace();
        let (rows, again) = outcome.unwrap_or_else(|error| panic!("nodes {steps:?}: {error:?}"));
        assert!(
            rows == again,
            "the operators {steps:?} gave other rows when they ran a second time: do their functions depend on anything but \
             their input?"
        );
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Text;
    use std::cell::Cell;

    /// Word count over a union: the steps are those of the fused chain, so that this is what the first run takes.
    #[test]
    fn the_steps_are_those_of_the_fused_chains() {
        let ctx = StreamingContext::new(Vec::new());
        let upper = ctx.text_stream("lines").map(|line| Text::from(line.to_uppercase()));
        let words = upper.union(&ctx.text_stream("more")).flat_map(|line| line.split(' ')).map(|word| (word, 1u64));
        let counts = words.reduce_by_key(|a, b| a + b);
        let shown = counts.filter(|(_, count)| *count > 1);
        shown.print();
        let paths = |node| branches(&ctx.graph, node).into_iter().map(|branch| (branch.leaf, branch.path));
        let nodes = ctx.graph.nodes();
        let mut found = 0;
        for (leaf, path) in paths(words.node) {
            let fused = nodes[&counts.node].code.fused_combine.as_ref().expect("it is fused");
            assert_eq!((fused.path)(leaf), Some(path));
            found += 1;
        }
        for (leaf, path) in paths(shown.node) {
            let fused = nodes[&shown.node].code.fused_emit.as_ref().expect("it is fused");
            assert_eq!((leaf, (fused.path)(leaf)), (counts.node, Some(path)));
            found += 1;
        }
        assert_eq!(found, 3);
    }

    #[test]
    #[should_panic(expected = "gave other rows when they ran a second time")]
    fn a_function_that_depends_on_more_than_its_input_is_found_out() {
        let calls = Cell::new(0u32);
        run(vec![vec![7u32]], |numbers| {
            numbers.map(move |n| {
                calls.set(calls.get() + 1);
                n + calls.get()
            })
        });
    }
}
