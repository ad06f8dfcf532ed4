//! Runs a program as native code on given batches and returns the results, without a host.
//!
//! Owns a test harness that does the same steps as the host, with one partition: operators, pre-aggregation, shuffle,
//! aggregation. Rows pass through the same tasks and the same flat chunks as in a component. Each task runs twice, in
//! the fused form and in the dynamic form. Never used by a plugin that runs in a host.

mod files;
mod history;
mod run;
mod state;

use crate::chain::Chain;
use crate::chunk::Chunk;
use crate::context::StreamingContext;
use crate::flow::{DStream, Rdd, cut};
use crate::graph::Graph;
use crate::ids::NodeId;
use crate::outcome::Outcome;
use crate::record::Record;
pub(crate) use crate::record::{chunk_of, rows_of};
use crate::runtime;
use files::Files;
use run::Run;
use std::collections::BTreeMap;
use std::time::Duration;

/// Applies `operation` to a stream of `batches` and returns the values that come out, batch by batch. String slices may
/// stand for text.
///
/// ```
/// use millstream::testing;
/// let out = testing::run(vec![vec![1u64, 2], vec![]], |numbers| numbers.map(|n| n + 1));
/// assert_eq!(out, [vec![2, 3], vec![]]);
/// let out = testing::run(vec![vec!["to be", "or"]], |lines| lines.flat_map(|line| line.split(' ')));
/// assert_eq!(out, [["to", "be", "or"]]);
/// ```
///
/// # Panics
/// If the operation panics, or the program is invalid.
pub fn run<I, U, C>(
    batches: Vec<Vec<I>>,
    operation: impl FnOnce(DStream<I::Record, crate::Cut<I::Record>>) -> DStream<U, C>,
) -> Vec<Vec<U>>
where
    I: Input,
    U: Record,
    C: Chain<Out = U>,
{
    runtime::set_batch_interval(BATCH_INTERVAL);
    let ctx = StreamingContext::new(Vec::new());
    let node = ctx.stream::<I::Record>("input").node;
    let result = operation(cut(&ctx.graph, node)).node;
    check(&ctx.graph);
    let batches = batches.into_iter().map(|rows| chunk_of(rows.into_iter().map(Input::into_record).collect()));
    let sources = BTreeMap::from([("input".to_owned(), batches.collect())]);
    let run = Run::new(&ctx.graph, sources, Files::default(), BATCH_INTERVAL);
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

/// The rows that an output showed for a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// The number of the batch, from 0.
    pub batch: usize,
    /// The number of the output, in the order of definition, from 0.
    pub output: usize,
    /// The rows in the form in which `print` shows them, or in which they are saved.
    pub rows: Vec<String>,
}

type Batches = BTreeMap<String, Vec<Chunk>>;

/// A test of a whole program: named sources with their batches go in, printed rows come out.
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
    files: Files,
    interval: Duration,
}

/// How much time a batch covers, if the test does not say it.
const BATCH_INTERVAL: Duration = Duration::from_secs(1);

impl<B: FnOnce(&StreamingContext) -> O, O: Outcome> Job<B> {
    /// Makes a job that runs the program `build`.
    pub fn new(build: B) -> Self {
        Self {
            build,
            arguments: Vec::new(),
            sources: Batches::new(),
            files: Files::default(),
            interval: BATCH_INTERVAL,
        }
    }

    /// Sets how much time a batch covers, as the job file's `batch_interval` does. Without this call, a batch covers 1
    /// s.
    #[must_use]
    pub fn batch_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets the value of an argument, as the job file's `args` does.
    #[must_use]
    pub fn arg(mut self, name: &str, value: &str) -> Self {
        self.arguments.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds the next batch of a source. String slices may stand for text.
    #[must_use]
    pub fn batch<I: Input>(mut self, source: &str, rows: impl IntoIterator<Item = I>) -> Self {
        let rows = rows.into_iter().map(Input::into_record).collect();
        self.sources.entry(source.to_owned()).or_default().push(chunk_of(rows));
        self
    }

    /// Makes a file that driver functions can load. The file is given by its records: nothing is parsed. If a driver
    /// function reads the file with [`files::read`](crate::files::read), the function gets lines, in the form in which
    /// `print` shows the records.
    #[must_use]
    pub fn file<I: Input>(self, path: &str, rows: impl IntoIterator<Item = I>) -> Self {
        let rows: Vec<I::Record> = rows.into_iter().map(Input::into_record).collect();
        self.files.give(path, rows);
        self
    }

    /// Runs all batches and returns what each output printed, in order.
    ///
    /// # Panics
    /// If the program panics or is invalid, or if the test gives batches of a source that the program does not read.
    pub fn run(self) -> Vec<Printed> {
        self.run_with_files().0
    }

    /// As [`run`](Self::run), and also returns the files that driver functions wrote. A saved data set is one file,
    /// `PATH/part-00000` with the extension of its format. Its content is lines, in the form in which `print` shows the
    /// values, whatever the format.
    ///
    /// # Panics
    /// If the program panics or is invalid, or if the test gives batches of a source that the program does not read.
    pub fn run_with_files(self) -> (Vec<Printed>, BTreeMap<String, Vec<u8>>) {
        runtime::set_batch_interval(self.interval);
        let ctx = StreamingContext::new(self.arguments);
        (self.build)(&ctx).report(&ctx);
        check(&ctx.graph);
        let read = ctx.graph.sources();
        for source in self.sources.keys() {
            assert!(
                read.contains(source),
                "the test gives batches of the source `{source}`, and the program reads {read:?}"
            );
        }
        let outputs: Vec<NodeId> = {
            let nodes = ctx.graph.nodes();
            nodes.iter().filter(|(_, node)| node.code.rows.is_none()).map(|(id, _)| *id).collect()
        };
        assert!(!outputs.is_empty(), "no output operations registered, so nothing to execute");
        let run = Run::new(&ctx.graph, self.sources, self.files, self.interval);
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
        (printed, run.files.written())
    }
}

/// A value that can stand for a record in the input of a test.
pub trait Input {
    /// The type of the record.
    type Record: Record;
    /// Converts the value to the record.
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

#[cfg(test)]
mod tests {
    use super::run::branches;
    use super::*;
    use crate::Text;
    use std::cell::Cell;
    use std::collections::BTreeSet;

    /// Word count over a union: the steps are those of the fused chain, so the first run uses the fused chain.
    #[test]
    fn the_steps_are_those_of_the_fused_chains() {
        let ctx = StreamingContext::new(Vec::new());
        let upper = ctx.text_stream("lines").map(|line| Text::from(line.to_uppercase()));
        let words = upper.union(&ctx.text_stream("more")).flat_map(|line| line.split(' ')).map(|word| (word, 1u64));
        let counts = words.reduce_by_key(|a, b| a + b);
        let shown = counts.filter(|(_, count)| *count > 1);
        shown.print();
        let paths =
            |node| branches(&ctx.graph, &BTreeSet::new(), node).into_iter().map(|branch| (branch.leaf, branch.path));
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
    #[should_panic(expected = "the test gives batches of the source `word`, and the program reads {\"words\"}")]
    fn a_source_that_the_program_does_not_read_is_found() {
        let job = Job::new(|ctx| {
            ctx.text_stream("words").print();
        });
        job.batch("word", ["to"]).run();
    }

    #[test]
    #[should_panic(expected = "invalid program: no words today")]
    fn a_program_that_returns_an_error_does_not_run() {
        let build = |ctx: &StreamingContext| -> Result<(), String> {
            ctx.text_stream("words").print();
            Err("no words today".to_owned())
        };
        Job::new(build).batch("words", ["to"]).run();
    }

    #[test]
    #[should_panic(expected = "invalid program: argument `shortest`: `three` is no u32: invalid digit found in string")]
    fn an_argument_that_cannot_be_parsed_is_found() {
        let job = Job::new(|ctx| {
            let shortest = ctx.arg_or("shortest", 1u32);
            ctx.text_stream("words").filter(move |word| word.len() as u32 >= shortest).print();
        });
        job.arg("shortest", "three").batch("words", ["to"]).run();
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
