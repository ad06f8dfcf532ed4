//! Driver functions: what a program does with the data sets of each batch.
//!
//! Owns `transform` and `foreach_rdd`. Never computes rows: an action asks the host, see `action.rs`.

use crate::chain::{Chain, Cut};
use crate::context::StreamingContext;
use crate::flow::{DStream, Rdd, cut, data_set};
use crate::graph::{Code, DriverCode, Graph};
use crate::ids::NodeId;
use crate::kind::Kind;
use crate::load::DriverContext;
use crate::output::Output;
use crate::record::Record;
use crate::streams::Streams;
use crate::time::Time;
use std::rc::Rc;

/// Panics if the driver function has used an operation in an invalid way.
pub(crate) fn check(graph: &Graph) {
    if let Some(problem) = graph.problem() {
        panic!("{problem}");
    }
}

/// Adds a `transform` node with these parents.
fn transform<U: Record, D: Chain<Out = U>>(
    graph: &Rc<Graph>,
    parents: Vec<NodeId>,
    function: impl Fn(&Rc<Graph>, Time) -> Rdd<U, D> + 'static,
) -> DStream<U, Cut<U>> {
    let node = graph.add::<U>(Kind::Transform, parents, Code::default());
    let code: DriverCode = Rc::new(move |graph, batch| {
        let rdd = function(graph, batch);
        rdd.emits();
        Some(rdd.node)
    });
    graph.change(node, |node| node.code.driver = Some(code));
    cut(graph, node)
}

impl<T: Record, C: Chain<Out = T>> DStream<T, C> {
    /// Makes the data set of each batch by a function of this stream's data set. The function may use every operation
    /// of [`Rdd`], actions included, and may use other operations in each batch. The function runs in the driver, once
    /// a batch. Spark: `transform`.
    ///
    /// ```
    /// use millstream::testing;
    /// // The values above the mean of their batch.
    /// let out = testing::run(vec![vec![1i64, 2, 9], vec![5]], |numbers| {
    ///     numbers.transform(|rdd| {
    ///         let count = rdd.count().max(1) as i64;
    ///         let mean = rdd.fold(0, |a, b| a + b) / count;
    ///         rdd.filter(move |n| *n > mean)
    ///     })
    /// });
    /// assert_eq!(out, [vec![9], vec![]]);
    /// ```
    ///
    /// A task that needs one of the closures made in the function runs the function again, with the recorded results of
    /// its actions. So the function must make the same data sets each time. It may depend only on the rows, the batch's
    /// time and the job's arguments. The function starts anew in each batch: values that it gave to captured variables
    /// are forgotten.
    pub fn transform<U, D>(&self, function: impl Fn(Rdd<T>) -> Rdd<U, D> + 'static) -> DStream<U, Cut<U>>
    where
        U: Record,
        D: Chain<Out = U>,
    {
        self.transform_with_time(move |rdd, _| function(rdd))
    }

    /// As [`transform`](Self::transform), but the function also gets the batch's time. Spark: `transform`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![7u64], vec![8]], |numbers| {
    ///     numbers.transform_with_time(|rdd, time| rdd.map(move |n| (time.as_ms(), n)))
    /// });
    /// assert_eq!(out, [vec![(1000, 7)], vec![(2000, 8)]]);
    /// ```
    #[doc(alias = "transform")]
    pub fn transform_with_time<U, D>(
        &self,
        function: impl Fn(Rdd<T>, Time) -> Rdd<U, D> + 'static,
    ) -> DStream<U, Cut<U>>
    where
        U: Record,
        D: Chain<Out = U>,
    {
        self.emits();
        let stream = self.node;
        transform(&self.graph, vec![stream], move |graph, batch| function(data_set(graph, stream), batch))
    }

    /// As [`transform`](Self::transform), but the function gets the data sets of two streams. Spark: `transformWith`.
    ///
    /// ```
    /// use millstream::testing;
    /// let printed = testing::Job::new(|ctx| {
    ///     let (words, banned) = (ctx.stream::<u32>("words"), ctx.stream::<u32>("banned"));
    ///     words.transform_with(&banned, |words, banned, _| words.subtract(&banned)).print();
    /// });
    /// let printed = printed.batch("words", [1u32, 2, 3]).batch("banned", [2u32]).run();
    /// assert_eq!(printed[0].rows, ["1", "3"]);
    /// ```
    #[doc(alias = "transformWith")]
    pub fn transform_with<V, E, U, D>(
        &self,
        other: &DStream<V, E>,
        function: impl Fn(Rdd<T>, Rdd<V>, Time) -> Rdd<U, D> + 'static,
    ) -> DStream<U, Cut<U>>
    where
        V: Record,
        E: Chain<Out = V>,
        U: Record,
        D: Chain<Out = U>,
    {
        self.emits();
        other.emits();
        let (first, second) = (self.node, other.node);
        transform(&self.graph, vec![first, second], move |graph, batch| {
            function(data_set(graph, first), data_set(graph, second), batch)
        })
    }

    /// Calls `function` with the data set of each batch. This is the most general output. The function runs in the
    /// driver. Rows are computed by the actions that the function calls; without an action nothing is computed. Spark:
    /// `foreachRDD`.
    ///
    /// ```
    /// use millstream::{StreamingContext, testing};
    /// fn build(ctx: &StreamingContext) {
    ///     ctx.stream::<u32>("numbers").foreach_rdd(|rdd| {
    ///         for n in rdd.take(2) {
    ///             println!("{n}");
    ///         }
    ///     });
    /// }
    /// testing::Job::new(build).batch("numbers", [1u32, 2, 3]).run();
    /// ```
    ///
    /// The function starts anew in each batch, and closures that it gives to operators run in instances of their own: a
    /// counter in a captured `Cell` counts wrong, without an error. To count over batches, or in tasks, use an
    /// [accumulator](crate::LongAccumulator).
    #[doc(alias = "foreachRDD")]
    pub fn foreach_rdd(&self, function: impl Fn(Rdd<T>) + 'static) -> Output {
        self.foreach_rdd_with_time(move |rdd, _| function(rdd))
    }

    /// As [`foreach_rdd`](Self::foreach_rdd), but the function also gets the batch's time. Spark: `foreachRDD`.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| {
    ///     ctx.stream::<u32>("numbers").foreach_rdd_with_time(|rdd, time| println!("{time}: {}", rdd.count()));
    /// });
    /// job.batch("numbers", [1u32, 2, 3]).run();
    /// ```
    #[doc(alias = "foreachRDD")]
    pub fn foreach_rdd_with_time(&self, function: impl Fn(Rdd<T>, Time) + 'static) -> Output {
        self.emits();
        let stream = self.node;
        let node = self.graph.add_output(Kind::ForeachRdd, stream, Vec::new());
        let code: DriverCode = Rc::new(move |graph, batch| {
            function(data_set(graph, stream), batch);
            None
        });
        self.graph.change(node, |node| node.code.driver = Some(code));
        Output { graph: Rc::clone(&self.graph), node }
    }
}

impl StreamingContext {
    /// Makes one stream of several streams: the data set of each batch is made by a function of the data sets of
    /// `streams`. `streams` is a tuple of two to six streams of any types, or an array, a `Vec` or a slice of streams of
    /// one type. Spark: `StreamingContext.transform`.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| {
    ///     let (words, banned) = (ctx.text_stream("words"), ctx.stream::<(u32, bool)>("banned"));
    ///     let wanted = ctx.transform((&words, &banned), |(words, banned), _| {
    ///         let lengths = banned.filter(|(_, banned)| *banned).keys().collect();
    ///         words.filter(move |word| !lengths.contains(&(word.len() as u32)))
    ///     });
    ///     wanted.print();
    /// });
    /// let printed = job.batch("words", ["to", "be", "not"]).batch("banned", [(2u32, true)]).run();
    /// assert_eq!(printed[0].rows, ["not"]);
    /// ```
    pub fn transform<S, U, D>(
        &self,
        streams: S,
        function: impl Fn(S::Rdds, Time) -> Rdd<U, D> + 'static,
    ) -> DStream<U, Cut<U>>
    where
        S: Streams,
        U: Record,
        D: Chain<Out = U>,
    {
        let parents = streams.parents();
        // The function outlives the streams, which may be borrowed.
        let rdds: fn(&DriverContext, &[NodeId]) -> S::Rdds = S::rdds;
        transform(&self.graph, parents.clone(), move |graph, batch| {
            let context = DriverContext { graph: Rc::clone(graph) };
            function(rdds(&context, &parents), batch)
        })
    }
}
