//! Runs a program on native code: batches in, batches out, without a host.
//!
//! Owns a harness that goes the way the host goes, with one partition: operators, pre-aggregation, shuffle, aggregation,
//! each through the same tasks and the same flat chunks as in a component. Never used by a plugin that runs.

use crate::chain::{Chain, NodeId};
use crate::chunk::Chunk;
use crate::context::{StreamingContext, cut};
use crate::driver::{Place, Time, check as check_call};
use crate::dstream::{DStream, Rdd};
use crate::graph::{Graph, Node, Value};
use crate::record::{Builder, Column, Record, read_column, write_chunk};
use crate::runtime::{Evaluate, set_evaluate, take_emitted};
use crate::task::{Task, TaskSpec};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

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
    let batch = |(at, rows): (usize, Vec<T>)| {
        let inputs = BTreeMap::from([("input".to_owned(), chunk_of(rows))]);
        let batch = Batch::begin(&ctx.graph, at, inputs);
        let rows = batch.evaluate(result).into_iter().flat_map(rows_of::<U>).collect();
        batch.end();
        rows
    };
    batches.into_iter().enumerate().map(batch).collect()
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
    /// The rows as `print` shows them.
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
}

impl<B: FnOnce(&StreamingContext)> Job<B> {
    /// A job that runs what `build` defines.
    pub fn new(build: B) -> Self {
        Self { build, arguments: Vec::new(), sources: Batches::new() }
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
            let is_output = |(id, node): (&NodeId, &Node)| node.rows.is_empty().then_some(*id);
            nodes.iter().filter_map(is_output).collect()
        };
        assert!(!outputs.is_empty(), "no output operations registered, so nothing to execute");
        let batches = self.sources.values().map(Vec::len).max().unwrap_or(0);
        let mut printed = Vec::new();
        for batch in 0..batches {
            let inputs =
                self.sources.iter().filter_map(|(name, chunks)| Some((name.clone(), chunks.get(batch)?.clone())));
            let running = Batch::begin(&ctx.graph, batch, inputs.collect());
            for (output, id) in outputs.iter().enumerate() {
                let kind = ctx.graph.nodes()[id].kind;
                match kind {
                    "foreach_rdd" => drop(running.call(*id)),
                    _ => printed.push(Printed { batch, output, rows: running.print(*id) }),
                }
            }
            running.end();
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

/// A batch that is computed.
struct Batch {
    graph: Rc<Graph>,
    inputs: BTreeMap<String, Chunk>,
    time: Time,
    /// The first node that is not the program's.
    first: NodeId,
    /// What each `transform` returned in this batch.
    transformed: RefCell<BTreeMap<NodeId, NodeId>>,
}

impl Batch {
    /// Batch number `at`, from 0: its time is that many seconds and one. Actions of driver functions are those of this
    /// batch until it ends.
    fn begin(graph: &Rc<Graph>, at: usize, inputs: BTreeMap<String, Chunk>) -> Rc<Self> {
        let time = Time::from_ms((at as u64 + 1) * 1000);
        let batch = Rc::new(Self {
            graph: Rc::clone(graph),
            inputs,
            time,
            first: graph.next(),
            transformed: RefCell::default(),
        });
        let running = Rc::clone(&batch);
        let evaluate: Evaluate = Rc::new(move |node| running.evaluate(node));
        set_evaluate(Some(evaluate));
        batch
    }

    fn end(&self) {
        set_evaluate(None);
        self.graph.forget_from(self.first);
    }

    /// Runs the driver function of `node`.
    fn call(&self, node: NodeId) -> Option<NodeId> {
        let function = self.graph.nodes()[&node].code.driver.clone();
        let answer = function.expect("the node has a driver function")(&self.graph, self.time);
        check_call(&self.graph);
        answer
    }

    /// The rows of `node`.
    fn evaluate(&self, node: NodeId) -> Vec<Chunk> {
        let (kind, parents, source, shuffles) = {
            let nodes = self.graph.nodes();
            let found = &nodes[&node];
            let source = found.parameters.iter().find_map(|(name, value)| match value {
                Value::Text(text) if *name == "source" => Some(text.clone()),
                _ => None,
            });
            (found.kind, found.parents.clone(), source, found.code.exchange.is_some())
        };
        let parent = parents.first().copied().unwrap_or(node);
        let rows = || parents.iter().flat_map(|parent| self.evaluate(*parent)).collect();
        match kind {
            "source" => source.and_then(|source| self.inputs.get(&source).cloned()).into_iter().collect(),
            // With one partition, there is nothing to deal out.
            "union" | "repartition" | "coalesce" | "cache" => rows(),
            "sort" => {
                let sort = self.graph.nodes()[&node].code.sort.clone();
                sort.expect("a sort has an order")(rows())
            }
            "transform" => {
                let known = self.transformed.borrow().get(&node).copied();
                let result = known.or_else(|| self.call(node)).expect("a transform returns a data set");
                self.transformed.borrow_mut().insert(node, result);
                self.evaluate(result)
            }
            _ if shuffles => {
                let combined = self.task(parent, node, "combine", rows());
                self.task(node, node, "reduce", combined)
            }
            _ => self.task(parent, node, "apply", rows()),
        }
    }

    fn task(&self, input: NodeId, node: NodeId, role: &str, chunks: Vec<Chunk>) -> Vec<Chunk> {
        let place = Place { batch: self.time, partitions: BTreeMap::new() };
        let spec = TaskSpec { input, steps: vec![(node, role.to_owned())], place, traced: false };
        let run = || {
            let mut task = Task::open(&self.graph, &spec)?;
            chunks.into_iter().try_for_each(|chunk| task.push(chunk))?;
            task.finish()
        };
        run().unwrap_or_else(|error| panic!("node {node}: {error:?}"));
        take_emitted()
    }

    fn print(&self, output: NodeId) -> Vec<String> {
        let (parent, limit, show) = {
            let nodes = self.graph.nodes();
            let node = &nodes[&output];
            let parent = node.parents[0];
            let limit = node.parameters.iter().find_map(|(name, value)| match value {
                Value::Integer(n) if *name == "rows" => usize::try_from(*n).ok(),
                _ => None,
            });
            (parent, limit.unwrap_or(10), nodes[&parent].code.rows)
        };
        let show = show.expect("the parent of an output has rows").show;
        let mut rows: Vec<String> = self.evaluate(parent).into_iter().flat_map(show).collect();
        if rows.len() > limit {
            rows.truncate(limit);
            rows.push("...".to_owned());
        }
        rows
    }
}
