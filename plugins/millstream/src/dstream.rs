//! [`DStream`]: a series of data sets, one a batch interval, and the operations on any of them.
//!
//! Operations on pairs stand in `pair.rs`. Nothing is computed here: each call adds a node to the graph.

use crate::chain::{self, Apply, Chain, Driver, Erased, Filter, FlatMap, Map, NodeId, Then};
use crate::graph::{Code, Graph, Value};
use crate::record::Record;
use crate::task::EmitTail;
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
    fn then<A: Apply<In = T>>(&self, kind: &'static str, apply: A) -> DStream<A::Out, Then<C, A>> {
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
        let fused = EmitTail::fused(self.chain.clone());
        self.graph.change(self.node, |node| node.code.fused_emit = Some(fused));
        let node = self.graph.add_output("print", self.node, vec![("rows", Value::Integer(i64::from(rows)))]);
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
        self.graph.change(self.node, |node| match node.exchanged {
            Some(_) => node.parameters.push(("partitions", Value::Integer(i64::from(partitions)))),
            None => problem = Some(format!("partitions({partitions}) follows `{}`, which does not shuffle", node.kind)),
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
        let chain = self.chain;
        let driver: Driver<T> = Rc::new(move |rows, sink| chain.run(rows, &mut |value| sink(value)));
        DStream { graph: self.graph, node: self.node, chain: Erased(driver), kind: PhantomData }
    }
}
