//! [`Flow`]: the handle of a stream or of a data set, and the ways in which operations add nodes to the graph.
//!
//! The operations themselves are in `dstream.rs` and in the files beside it.

use crate::aggregate::Aggregate;
use crate::chain::{self, Apply, Chain, Cut, Driver, Erased, MapPartitions, Then};
use crate::ends::EmitTail;
use crate::graph::{Code, Fused, Graph};
use crate::ids::NodeId;
use crate::kind::Kind;
use crate::place::{self, Partition};
use crate::record::{Record, fields_of};
use crate::task::{exchange, fused_combine};
use std::marker::PhantomData;
use std::rc::Rc;

/// The handle of values of type `T`: either of a [`DStream`], or of an [`Rdd`]. Programs hardly ever use this name. A
/// handle is only a description: nothing is computed unless an output or an action reads it.
///
/// The second parameter is the chain of operators since the last shuffle. The third parameter says whether the handle
/// is a stream or a data set. The compiler infers both. A function that takes or returns any stream uses `DStream<T>`,
/// which [`Flow::erase`] makes.
#[must_use = "nothing is computed unless an output such as `print()` or an action reads the result"]
pub struct Flow<T: Record, C: Chain<Out = T> = Erased<T>, K = InStream> {
    pub(crate) graph: Rc<Graph>,
    pub(crate) node: NodeId,
    pub(crate) chain: C,
    kind: PhantomData<(T, K)>,
}

/// A clone stands for the same values. It can be used in another place, such as a driver function.
impl<T: Record, C: Chain<Out = T>, K> Clone for Flow<T, C, K> {
    fn clone(&self) -> Self {
        Self::new(&self.graph, self.node, self.chain.clone())
    }
}

/// Says that a [`Flow`] is a stream.
pub enum InStream {}

/// Says that a [`Flow`] is a data set of one batch.
pub enum InBatch {}

/// A stream: a series of data sets, one a batch interval. Spark: `DStream`.
pub type DStream<T, C = Erased<T>> = Flow<T, C, InStream>;

/// A data set of one batch, in a function given to [`DStream::transform`] or [`DStream::foreach_rdd`]. Spark: `RDD`.
#[doc(alias = "RDD")]
pub type Rdd<T, C = Erased<T>> = Flow<T, C, InBatch>;

impl<T: Record, C: Chain<Out = T>, K> Flow<T, C, K> {
    pub(crate) fn new(graph: &Rc<Graph>, node: NodeId, chain: C) -> Self {
        Self { graph: Rc::clone(graph), node, chain, kind: PhantomData }
    }

    /// Lets a task that ends at this node use the fused chain.
    pub(crate) fn emits(&self) {
        let fused = Fused::new(self.chain.clone(), |chain| Box::new(EmitTail::new(chain)));
        self.graph.change(self.node, |node| node.code.fused_emit = Some(fused));
    }

    /// Adds an operator that looks at each value alone.
    pub(crate) fn then<A: Apply<In = T>>(&self, kind: Kind, apply: A) -> Flow<A::Out, Then<C, A>, K> {
        self.then_at(kind, |_| apply)
    }

    /// Adds an operator that needs to know the id of its node.
    pub(crate) fn then_at<A: Apply<In = T>>(
        &self,
        kind: Kind,
        apply: impl FnOnce(NodeId) -> A,
    ) -> Flow<A::Out, Then<C, A>, K> {
        let node = self.graph.add::<A::Out>(kind, vec![self.node], Code::default());
        let apply = Rc::new(apply(node));
        let step = chain::step(node, Rc::clone(&apply));
        self.graph.change(node, |node| node.code.step = Some(step));
        let chain = Then { node, parent: self.chain.clone(), apply };
        Flow::new(&self.graph, node, chain)
    }

    /// Adds an operator on whole partitions that needs to know which partition it sees.
    pub(crate) fn with_partition<R, F>(
        &self,
        kind: Kind,
        function: F,
    ) -> Flow<R::Item, impl Chain<Out = R::Item> + use<T, C, K, R, F>, K>
    where
        R: IntoIterator<Item: Record> + 'static,
        F: Fn(Partition, std::vec::IntoIter<T>) -> R + 'static,
    {
        self.then_at(kind, |node| {
            MapPartitions::new(move |values: std::vec::IntoIter<T>| function(place::partition_of(node), values))
        })
    }

    /// Adds an aggregation around a shuffle.
    pub(crate) fn shuffled<A: Aggregate<In = T>>(&self, kind: Kind, aggregate: A) -> Flow<A::Out, Cut<A::Out>, K> {
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

    /// Names the operation that made this stream. The name keeps the operation's identity when the program changes, and
    /// messages use the name. Spark: `setName`.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| { ctx.stream::<u8>("n").map(|n| n * 2).name("double").print(); });
    /// assert_eq!(job.batch("n", [2u8]).run()[0].rows, ["4"]);
    /// ```
    #[doc(alias = "setName")]
    pub fn name(self, name: &str) -> Self {
        self.graph.change(self.node, |node| node.name = Some(name.to_owned()));
        self
    }

    /// Returns the same stream with the type of its chain hidden, so that the stream can stand in a signature, as in `fn
    /// clean(lines: DStream<Text>) -> DStream<Text>`, and so that streams that were built with different operators have
    /// the same type. Each value costs an indirect call.
    ///
    /// ```
    /// use millstream::{DStream, testing};
    /// fn double(numbers: DStream<u32>) -> DStream<u32> {
    ///     numbers.map(|n| n * 2).erase()
    /// }
    /// assert_eq!(testing::run(vec![vec![1u32]], |numbers| double(numbers.erase())), [vec![2]]);
    ///
    /// let job = testing::Job::new(|ctx| {
    ///     let numbers = ctx.stream::<u32>("numbers");
    ///     let chosen = match ctx.arg_or("only_large", false) {
    ///         true => numbers.filter(|n| *n > 1).erase(),
    ///         false => numbers.erase(),
    ///     };
    ///     chosen.print();
    /// });
    /// assert_eq!(job.arg("only_large", "true").batch("numbers", [1u32, 2]).run()[0].rows, ["2"]);
    /// ```
    pub fn erase(&self) -> Flow<T, Erased<T>, K> {
        let driver: Driver<T> = Rc::new(self.chain.clone());
        Flow::new(&self.graph, self.node, Erased(driver))
    }
}

/// Makes the handle of a stream or a data set whose chain begins at `node`.
pub(crate) fn cut<T: Record, K>(graph: &Rc<Graph>, node: NodeId) -> Flow<T, Cut<T>, K> {
    Flow::new(graph, node, Cut { node, kind: PhantomData })
}

/// Makes the handle of a stream's data set in the current batch.
pub(crate) fn data_set<T: Record>(graph: &Rc<Graph>, stream: NodeId) -> Rdd<T> {
    cut::<T, _>(graph, stream).erase()
}
