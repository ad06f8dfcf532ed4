//! [`DStream`]: a series of data sets, one a batch interval, and the operations on any of them.
//!
//! Operations on pairs stand in `pair.rs`. Nothing is computed here: each call adds a node to the graph.

use crate::aggregate::{Aggregate, Count, CountByValue, Reduce};
use crate::chain::{self, Apply, Chain, Cut, Driver, Erased, Filter, FlatMap, Map, MapPartitions, NodeId, Then, Union};
use crate::context::cut;
use crate::graph::{Code, Graph, Value};
use crate::join::is_join;
use crate::key::Key;
use crate::record::{Record, fields_of};
use crate::task::{EmitTail, exchange, fused_combine};
use std::marker::PhantomData;
use std::rc::Rc;

/// The chain of operators since the last shuffle: the second parameter is the compiler's business. A function of yours
/// that takes or returns any stream uses `DStream<T>`, which [`DStream::erase`] makes.
pub struct DStream<T: Record, C: Chain<Out = T> = Erased<T>> {
    pub(crate) graph: Rc<Graph>,
    pub(crate) node: NodeId,
    pub(crate) chain: C,
    pub(crate) kind: PhantomData<T>,
}

/// An output operation. Nothing is computed without one.
pub struct Output {
    graph: Rc<Graph>,
    node: NodeId,
}

impl Output {
    /// Names the output, so that it keeps its identity when the program changes.
    pub fn name(self, name: &str) -> Self {
        self.graph.change(self.node, |node| node.name = Some(name.to_owned()));
        self
    }
}

impl<T: Record, C: Chain<Out = T>> DStream<T, C> {
    /// Adds an operator that works on each value alone.
    pub(crate) fn then<A: Apply<In = T>>(&self, kind: &'static str, apply: A) -> DStream<A::Out, Then<C, A>> {
        let apply = Rc::new(apply);
        let node = self.graph.add::<A::Out>(kind, vec![self.node], Code::default());
        let step = chain::step(node, Rc::clone(&apply));
        self.graph.change(node, |node| node.code.step = Some(step));
        let chain = Then { node, parent: self.chain.clone(), apply };
        DStream { graph: Rc::clone(&self.graph), node, chain, kind: PhantomData }
    }

    /// Passes each value through `function`. Spark: `map`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![1i64, 2], vec![3]], |numbers| numbers.map(|n| n * 10));
    /// assert_eq!(out, [vec![10, 20], vec![30]]);
    /// ```
    pub fn map<R: Record, F: Fn(T) -> R + 'static>(&self, function: F) -> DStream<R, Then<C, Map<F, T, R>>> {
        self.then("map", Map::new(function))
    }

    /// Replaces each value by the values that `function` gives for it, none or more. Spark: `flatMap`.
    ///
    /// ```
    /// use millstream::{Text, testing};
    /// let lines = vec![vec![Text::from("to be"), Text::from("")]];
    /// let out = testing::run(lines, |lines| lines.flat_map(|line| line.split_whitespace()));
    /// assert_eq!(out, [vec!["to", "be"]]);
    /// ```
    #[expect(clippy::type_complexity, reason = "the type of a fused chain names all its operators")]
    pub fn flat_map<R, F>(&self, function: F) -> DStream<R::Item, Then<C, FlatMap<F, T, R>>>
    where
        R: IntoIterator<Item: Record> + 'static,
        F: Fn(T) -> R + 'static,
    {
        self.then("flat_map", FlatMap::new(function))
    }

    /// Keeps the values for which `function` is true. Spark: `filter`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![1u32, 2, 3]], |numbers| numbers.filter(|n| n % 2 == 1));
    /// assert_eq!(out, [vec![1, 3]]);
    /// ```
    pub fn filter<F: Fn(&T) -> bool + 'static>(&self, function: F) -> DStream<T, Then<C, Filter<F, T>>> {
        self.then("filter", Filter::new(function))
    }

    /// Passes all values of a partition through `function` at once. It is called for each partition, with no values too.
    /// The partition has to fit into the plugin's memory. Spark: `mapPartitions`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![3u32, 1, 2]], |numbers| numbers.map_partitions(|values| values.max()));
    /// assert_eq!(out, [vec![3]]);
    /// ```
    #[expect(clippy::type_complexity, reason = "the type of a fused chain names all its operators")]
    pub fn map_partitions<R, F>(&self, function: F) -> DStream<R::Item, Then<C, MapPartitions<F, T, R>>>
    where
        R: IntoIterator<Item: Record> + 'static,
        F: Fn(std::vec::IntoIter<T>) -> R + 'static,
    {
        self.then("map_partitions", MapPartitions::new(function))
    }

    /// Makes a list of the values of each partition. Spark: `glom`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![3u32, 1, 2]], |numbers| numbers.glom());
    /// assert_eq!(out, [vec![vec![3, 1, 2]]]);
    /// ```
    pub fn glom(&self) -> DStream<Vec<T>, impl Chain<Out = Vec<T>> + use<T, C>> {
        self.then("glom", MapPartitions::new(|values: std::vec::IntoIter<T>| Some(values.collect::<Vec<T>>())))
    }

    /// The values of both streams, first those of this one. Spark: `union`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![1u32, 2]], |numbers| numbers.union(&numbers.map(|n| n * 10)));
    /// assert_eq!(out, [vec![1, 2, 10, 20]]);
    /// ```
    pub fn union<D: Chain<Out = T>>(&self, other: &DStream<T, D>) -> DStream<T, Union<C, D>> {
        let node = self.graph.add::<T>("union", vec![self.node, other.node], Code::default());
        let chain = Union { first: self.chain.clone(), second: other.chain.clone() };
        DStream { graph: Rc::clone(&self.graph), node, chain, kind: PhantomData }
    }

    /// The same values in `partitions` partitions, dealt out in turn: costs a shuffle. Spark: `repartition`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![1u32, 2, 3]], |numbers| numbers.repartition(2));
    /// assert_eq!(out, [vec![1, 2, 3]]);
    /// ```
    pub fn repartition(&self, partitions: u32) -> DStream<T, Cut<T>> {
        self.emits();
        let node = self.graph.add::<T>("repartition", vec![self.node], Code::default());
        let parameter = ("partitions", Value::Integer(i64::from(partitions)));
        self.graph.change(node, |node| {
            node.exchanged = Some(node.rows.clone());
            node.parameters.push(parameter);
        });
        cut(&self.graph, node)
    }

    /// Adds an aggregation around a shuffle.
    pub(crate) fn aggregate<A: Aggregate<In = T>>(
        &self,
        kind: &'static str,
        aggregate: A,
    ) -> DStream<A::Out, Cut<A::Out>> {
        let aggregate = Rc::new(aggregate);
        let code = Code {
            exchange: Some(exchange(Rc::clone(&aggregate))),
            fused_combine: Some(fused_combine(self.chain.clone(), aggregate)),
            ..Code::default()
        };
        let node = self.graph.add::<A::Out>(kind, vec![self.node], code);
        self.graph.change(node, |node| node.exchanged = Some(fields_of::<(A::Key, A::Acc)>()));
        cut(&self.graph, node)
    }

    /// An aggregation of all values into one partition.
    fn aggregate_all<A: Aggregate<In = T>>(&self, kind: &'static str, aggregate: A) -> DStream<A::Out, Cut<A::Out>> {
        let stream = self.aggregate(kind, aggregate);
        self.graph.change(stream.node, |node| node.parameters.push(("partitions", Value::Integer(1))));
        stream
    }

    /// The number of values of each batch: 0 for an empty one. Spark: `count`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![7u32, 7], vec![]], |numbers| numbers.count());
    /// assert_eq!(out, [vec![2], vec![0]]);
    /// ```
    pub fn count(&self) -> DStream<u64, Cut<u64>> {
        self.aggregate_all("count", Count(PhantomData))
    }

    /// Merges all values of each batch into one; an empty batch gives none. `function` must be associative; values are
    /// merged in the order of the partitions and their rows. Spark: `reduce`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![1u32, 2, 3], vec![]], |numbers| numbers.reduce(|a, b| a + b));
    /// assert_eq!(out, [vec![6], vec![]]);
    /// ```
    pub fn reduce<F: Fn(T, T) -> T + 'static>(&self, function: F) -> DStream<T, Cut<T>> {
        self.aggregate_all("reduce", Reduce { function, kind: PhantomData })
    }

    /// Counts how often each value occurs in each batch. Spark: `countByValue`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![7u32, 8, 7]], |numbers| numbers.count_by_value());
    /// assert_eq!(out, [vec![(7, 2), (8, 1)]]);
    /// ```
    pub fn count_by_value(&self) -> DStream<(T, u64), Cut<(T, u64)>>
    where
        T: Key,
    {
        self.aggregate("count_by_value", CountByValue(PhantomData))
    }

    /// Prints the first ten values of every batch. Spark: `print`.
    pub fn print(&self) -> Output {
        self.print_n(10)
    }

    /// Prints the first `rows` values of every batch, and `...` if there are more. Spark: `print(num)`.
    ///
    /// ```
    /// use millstream::testing;
    /// let printed = testing::Job::new(|ctx| { ctx.stream::<u8>("n").print_n(2); }).batch("n", [1u8, 2, 3]).run();
    /// assert_eq!(printed[0].rows, ["1", "2", "..."]);
    /// ```
    pub fn print_n(&self, rows: u32) -> Output {
        self.output("print", vec![("rows", Value::Integer(i64::from(rows)))])
    }

    /// Saves the values of every batch as lines of text, as `print` shows them, in a directory `PREFIX-TIME.SUFFIX` with a
    /// file for each partition; TIME is the batch's, in ms. Without `suffix`, no dot follows. Spark: `saveAsTextFiles`.
    ///
    /// `prefix` is a path below the directory of the job file, or, as `name:path`, below one that the job file grants.
    /// A batch that runs again replaces what it has saved. A value with line ends becomes several lines.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| { ctx.stream::<(u8, bool)>("n").save_as_text_files("out/pairs", "txt"); });
    /// assert_eq!(job.batch("n", [(1u8, true), (2, false)]).run()[0].rows, ["(1,true)", "(2,false)"]);
    /// ```
    pub fn save_as_text_files(&self, prefix: &str, suffix: &str) -> Output {
        self.save("save_as_text_files", prefix, suffix)
    }

    /// Saves the values of every batch in Arrow's IPC format, which every Arrow library reads. Directories and files are
    /// as for [`save_as_text_files`](DStream::save_as_text_files). The members of tuples are columns `_1`, `_2` and so
    /// on, those of structs have their names, any other value is a column `value`. Spark: `saveAsObjectFiles`.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| { ctx.stream::<(u8, bool)>("n").save_as_object_files("out/pairs", "arrow"); });
    /// assert_eq!(job.batch("n", [(1u8, true)]).run()[0].rows, ["(1,true)"]);
    /// ```
    pub fn save_as_object_files(&self, prefix: &str, suffix: &str) -> Output {
        self.save("save_as_object_files", prefix, suffix)
    }

    /// Saves the values of every batch as Parquet files, with the directories and columns of
    /// [`save_as_object_files`](DStream::save_as_object_files). Spark: `saveAsHadoopFiles`, `write.parquet`.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| { ctx.stream::<Vec<u8>>("n").save_as_parquet_files("out/lists", "parquet"); });
    /// assert_eq!(job.batch("n", [vec![1u8, 2]]).run()[0].rows, ["[1, 2]"]);
    /// ```
    pub fn save_as_parquet_files(&self, prefix: &str, suffix: &str) -> Output {
        self.save("save_as_parquet_files", prefix, suffix)
    }

    /// Saves the values of every batch as CSV, with the directories and columns of
    /// [`save_as_object_files`](DStream::save_as_object_files); the first line of a file has their names. The host refuses
    /// columns that are lists, tuples or structs. Spark: `saveAsHadoopFiles`, `write.csv`.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| { ctx.stream::<(u8, bool)>("n").save_as_csv_files("out/pairs", "csv"); });
    /// assert_eq!(job.batch("n", [(1u8, true)]).run()[0].rows, ["(1,true)"]);
    /// ```
    pub fn save_as_csv_files(&self, prefix: &str, suffix: &str) -> Output {
        self.save("save_as_csv_files", prefix, suffix)
    }

    /// Saves the values of every batch as JSON, an object a line, with the directories and columns of
    /// [`save_as_object_files`](DStream::save_as_object_files). Spark: `saveAsHadoopFiles`, `write.json`.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| { ctx.stream::<(u8, bool)>("n").save_as_json_files("out/pairs", "json"); });
    /// assert_eq!(job.batch("n", [(1u8, true)]).run()[0].rows, ["(1,true)"]);
    /// ```
    pub fn save_as_json_files(&self, prefix: &str, suffix: &str) -> Output {
        self.save("save_as_json_files", prefix, suffix)
    }

    fn save(&self, kind: &'static str, prefix: &str, suffix: &str) -> Output {
        let parameters = [("prefix", prefix), ("suffix", suffix)];
        self.output(kind, parameters.map(|(name, text)| (name, Value::Text(text.to_owned()))).to_vec())
    }

    /// Notes that a stage ends with the rows of this stream.
    pub(crate) fn emits(&self) {
        let fused = EmitTail::fused(self.chain.clone());
        self.graph.change(self.node, |node| node.code.fused_emit = Some(fused));
    }

    fn output(&self, kind: &'static str, parameters: Vec<(&'static str, Value)>) -> Output {
        self.emits();
        let node = self.graph.add_output(kind, self.node, parameters);
        Output { graph: Rc::clone(&self.graph), node }
    }

    /// Names the operation that made this stream, so that it keeps its identity when the program changes.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        self.graph.change(self.node, |node| node.name = Some(name.to_owned()));
        self
    }

    /// Sets the number of partitions that the shuffle before this stream makes. Without it: the job's `parallelism`.
    /// Only for streams that come out of a shuffle.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![(1u8, 1u64), (1, 2)]], |pairs| pairs.reduce_by_key(|a, b| a + b).partitions(4));
    /// assert_eq!(out, [vec![(1, 3)]]);
    /// ```
    #[must_use]
    pub fn partitions(self, partitions: u32) -> Self {
        let mut problem = None;
        self.graph.change(self.node, |node| match node.exchanged.is_some() || is_join(node.kind) {
            true if node.parameters.iter().any(|(name, _)| *name == "partitions") => {
                problem = Some(format!("partitions({partitions}) follows `{}`, which has its own number", node.kind));
            }
            true => node.parameters.push(("partitions", Value::Integer(i64::from(partitions)))),
            false => problem = Some(format!("partitions({partitions}) follows `{}`, which does not shuffle", node.kind)),
        });
        if let Some(problem) = problem {
            self.graph.invalid(problem);
        }
        self
    }

    /// The same stream with its chain hidden, for signatures: `fn clean(lines: DStream<Text>) -> DStream<Text>`. Costs
    /// an indirect call a value.
    ///
    /// ```
    /// use millstream::{DStream, testing};
    /// fn double(numbers: DStream<u32>) -> DStream<u32> {
    ///     numbers.map(|n| n * 2).erase()
    /// }
    /// assert_eq!(testing::run(vec![vec![1u32]], |numbers| double(numbers.erase())), [vec![2]]);
    /// ```
    pub fn erase(self) -> DStream<T> {
        let driver: Driver<T> = Rc::new(self.chain);
        DStream { graph: self.graph, node: self.node, chain: Erased(driver), kind: PhantomData }
    }
}
