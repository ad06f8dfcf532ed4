//! [`Chain`]: the operators between two shuffles, fused into one loop by the compiler. Programs name at most [`Chain`]
//! itself, in functions that take any stream: `fn words(lines: &DStream<Text, impl Chain<Out = Text>>)`.
//!
//! Owns the two forms of an operator. In the fused form the whole chain is one type, and no call is indirect. In the
//! dynamic form each operator is a boxed function. The dynamic form lets a stage begin or end at any node, and lets a
//! traced run report each record before each operator. Never emits rows: see `task.rs`.

pub use crate::flow::{Flow, InBatch, InStream};
pub use crate::streams::{SameStreams, Stream, Streams};

use crate::ids::NodeId;
use crate::record::{Column, Record};
use crate::runtime;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::rc::Rc;

thread_local! {
    /// In a traced run: the number of the task's input record that the operators are working on.
    static RECORD: Cell<u64> = const { Cell::new(0) };
}

/// Starts to count records from the beginning, for a new task.
pub(crate) fn restart_trace() {
    RECORD.set(0);
}

/// In a traced run: notes that the next record of the task's input begins.
pub(crate) fn next_record() {
    RECORD.set(RECORD.get() + 1);
}

/// Reports that `operator` is about to see the current record.
pub(crate) fn trace(operator: NodeId) {
    runtime::at(operator, RECORD.get());
}

/// Decoded rows of one node.
pub struct Rows {
    pub(crate) node: NodeId,
    pub(crate) column: Box<dyn Any>,
    pub(crate) rows: usize,
    /// The size of the chunk that held the rows.
    pub(crate) bytes: usize,
}

/// A typed pipeline from the rows of one or more nodes to a stream of values. Users see this trait only as the second
/// parameter of [`DStream`](crate::DStream).
pub trait Chain: Clone + 'static {
    /// The type of the values that come out of the chain.
    type Out: Record;

    /// Sends each row through the chain into `sink`. Does nothing if the chain does not begin at the node of the rows.
    fn run<S: FnMut(Self::Out)>(&self, rows: &Rows, sink: &mut S);

    /// Ends a partition of rows of the node `leaf`: sends the values that operators of the chain have held back into
    /// `sink`.
    fn finish<S: FnMut(Self::Out)>(&self, leaf: u32, sink: &mut S);

    /// Whether the chain begins at the node `leaf`, so that rows of this node enter the chain.
    fn begins_at(&self, leaf: u32) -> bool;

    /// The operators that rows of the node `leaf` pass through; `None` if the chain does not begin at this node.
    fn path(&self, leaf: u32) -> Option<Vec<u32>>;
}

/// The beginning of a chain: the rows of a source, of a shuffle, or of a data set.
pub struct Cut<T> {
    pub(crate) node: NodeId,
    pub(crate) kind: PhantomData<T>,
}

impl<T> Clone for Cut<T> {
    fn clone(&self) -> Self {
        Self { node: self.node, kind: PhantomData }
    }
}

impl<T: Record> Chain for Cut<T> {
    type Out = T;

    #[inline]
    fn run<S: FnMut(T)>(&self, rows: &Rows, sink: &mut S) {
        if rows.node != self.node {
            return;
        }
        if let Some(column) = rows.column.downcast_ref::<T::Column>() {
            for row in 0..rows.rows {
                sink(column.get(row));
            }
        }
    }

    fn finish<S: FnMut(T)>(&self, _: u32, _: &mut S) {}

    fn begins_at(&self, leaf: u32) -> bool {
        leaf == self.node
    }

    fn path(&self, leaf: u32) -> Option<Vec<u32>> {
        (leaf == self.node).then(Vec::new)
    }
}

/// What an operator does with each value.
pub trait Apply: 'static {
    /// The type of the values that the operator takes.
    type In: Record;
    /// The type of the values that the operator gives.
    type Out: Record;
    /// Whether the operator may hold values back until the end of the partition.
    const HOLDS_BACK: bool = false;
    /// Sends the values that the operator gives for `value` into `sink`.
    fn apply<S: FnMut(Self::Out)>(&self, value: Self::In, sink: &mut S);

    /// At the end of a partition: sends the values that the operator has held back into `sink`.
    fn finish<S: FnMut(Self::Out)>(&self, _: &mut S) {}
}

/// A chain with one more operator.
pub struct Then<P, A> {
    pub(crate) node: NodeId,
    pub(crate) parent: P,
    pub(crate) apply: Rc<A>,
}

impl<P: Clone, A> Clone for Then<P, A> {
    fn clone(&self) -> Self {
        Self { node: self.node, parent: self.parent.clone(), apply: Rc::clone(&self.apply) }
    }
}

impl<P: Chain, A: Apply<In = P::Out>> Chain for Then<P, A> {
    type Out = A::Out;

    #[inline]
    fn run<S: FnMut(A::Out)>(&self, rows: &Rows, sink: &mut S) {
        self.parent.run(rows, &mut |value| self.apply.apply(value, sink));
    }

    fn finish<S: FnMut(A::Out)>(&self, leaf: u32, sink: &mut S) {
        self.parent.finish(leaf, &mut |value| self.apply.apply(value, sink));
        self.apply.finish(sink);
    }

    fn begins_at(&self, leaf: u32) -> bool {
        self.parent.begins_at(leaf)
    }

    fn path(&self, leaf: u32) -> Option<Vec<u32>> {
        let mut path = self.parent.path(leaf)?;
        path.push(self.node);
        Some(path)
    }
}

/// The chains of two streams whose rows pass through the same operators from here on.
#[derive(Clone)]
pub struct Union<A, B> {
    pub(crate) first: A,
    pub(crate) second: B,
}

impl<A: Chain, B: Chain<Out = A::Out>> Chain for Union<A, B> {
    type Out = A::Out;

    #[inline]
    fn run<S: FnMut(A::Out)>(&self, rows: &Rows, sink: &mut S) {
        self.first.run(rows, sink);
        self.second.run(rows, sink);
    }

    /// Ends a partition in the chain that it belongs to. Operators of the other chain must not see the end of this
    /// partition.
    fn finish<S: FnMut(A::Out)>(&self, leaf: u32, sink: &mut S) {
        if self.first.begins_at(leaf) {
            self.first.finish(leaf, sink);
        }
        if self.second.begins_at(leaf) {
            self.second.finish(leaf, sink);
        }
    }

    fn begins_at(&self, leaf: u32) -> bool {
        self.first.begins_at(leaf) || self.second.begins_at(leaf)
    }

    /// A node at which both chains begin has no single path: each partition goes through one of the two chains.
    fn path(&self, leaf: u32) -> Option<Vec<u32>> {
        match (self.first.path(leaf), self.second.path(leaf)) {
            (Some(path), None) | (None, Some(path)) => Some(path),
            _ => None,
        }
    }
}

/// The dynamic form of a chain.
pub(crate) trait Drive<T> {
    fn path(&self, leaf: NodeId) -> Option<Vec<NodeId>>;
    fn run(&self, rows: &Rows, sink: &mut dyn FnMut(T));
    fn finish(&self, leaf: NodeId, sink: &mut dyn FnMut(T));
    fn begins_at(&self, leaf: NodeId) -> bool;
}

impl<C: Chain> Drive<C::Out> for C {
    fn path(&self, leaf: NodeId) -> Option<Vec<NodeId>> {
        Chain::path(self, leaf)
    }
    fn run(&self, rows: &Rows, sink: &mut dyn FnMut(C::Out)) {
        Chain::run(self, rows, &mut |value| sink(value));
    }
    fn finish(&self, leaf: NodeId, sink: &mut dyn FnMut(C::Out)) {
        Chain::finish(self, leaf, &mut |value| sink(value));
    }
    fn begins_at(&self, leaf: NodeId) -> bool {
        Chain::begins_at(self, leaf)
    }
}

pub(crate) type Driver<T> = Rc<dyn Drive<T>>;

/// A chain of operators whose types are not known: a [`Driver`] as a [`Chain`]. Each value costs an indirect call.
pub struct Erased<T>(pub(crate) Driver<T>);

impl<T> Clone for Erased<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T: Record> Chain for Erased<T> {
    type Out = T;

    fn run<S: FnMut(T)>(&self, rows: &Rows, sink: &mut S) {
        self.0.run(rows, sink);
    }

    fn finish<S: FnMut(T)>(&self, leaf: u32, sink: &mut S) {
        self.0.finish(leaf, sink);
    }

    fn begins_at(&self, leaf: u32) -> bool {
        self.0.begins_at(leaf)
    }

    fn path(&self, leaf: u32) -> Option<Vec<u32>> {
        self.0.path(leaf)
    }
}

/// A [`Driver`] of a type that only the operator behind it knows.
pub(crate) type AnyDriver = Box<dyn Any>;

/// The dynamic form of an operator: puts the operator behind a driver that reads its input. `None` if the driver is of
/// another type.
pub(crate) type Step = Box<dyn Fn(AnyDriver, bool) -> Option<AnyDriver>>;

/// A driver that reads the rows of a node, and counts them in a traced run.
struct Leaf<T> {
    cut: Cut<T>,
    traced: bool,
}

impl<T: Record> Drive<T> for Leaf<T> {
    fn path(&self, _: NodeId) -> Option<Vec<NodeId>> {
        None
    }
    fn run(&self, rows: &Rows, sink: &mut dyn FnMut(T)) {
        Chain::run(&self.cut, rows, &mut |value| {
            sink(value);
            if self.traced {
                next_record();
            }
        });
    }
    fn finish(&self, _: NodeId, _: &mut dyn FnMut(T)) {}
    fn begins_at(&self, leaf: NodeId) -> bool {
        leaf == self.cut.node
    }
}

/// Makes a driver that reads the rows of `node`.
pub(crate) fn leaf<T: Record>(node: NodeId, traced: bool) -> AnyDriver {
    let driver: Driver<T> = Rc::new(Leaf { cut: Cut { node, kind: PhantomData }, traced });
    Box::new(driver)
}

/// A driver that puts an operator behind another driver.
struct StepDriver<A: Apply> {
    node: NodeId,
    parent: Driver<A::In>,
    apply: Rc<A>,
    traced: bool,
}

impl<A: Apply> StepDriver<A> {
    /// In a traced run: a sink after which this operator goes on, as later operators have seen the value.
    fn traced_sink(&self, sink: &mut dyn FnMut(A::Out)) -> impl FnMut(A::Out) {
        move |out| {
            sink(out);
            trace(self.node);
        }
    }

    fn apply(&self, value: A::In, sink: &mut dyn FnMut(A::Out)) {
        if !self.traced {
            return self.apply.apply(value, &mut |out| sink(out));
        }
        trace(self.node);
        self.apply.apply(value, &mut self.traced_sink(sink));
    }
}

impl<A: Apply> Drive<A::Out> for StepDriver<A> {
    fn path(&self, _: NodeId) -> Option<Vec<NodeId>> {
        None
    }
    fn run(&self, rows: &Rows, sink: &mut dyn FnMut(A::Out)) {
        self.parent.run(rows, &mut |value| self.apply(value, sink));
    }
    fn begins_at(&self, leaf: NodeId) -> bool {
        self.parent.begins_at(leaf)
    }
    fn finish(&self, leaf: NodeId, sink: &mut dyn FnMut(A::Out)) {
        self.parent.finish(leaf, &mut |value| self.apply(value, sink));
        if !self.traced || !A::HOLDS_BACK {
            return self.apply.finish(&mut |out| sink(out));
        }
        trace(self.node);
        self.apply.finish(&mut self.traced_sink(sink));
    }
}

/// The dynamic form of the operator `apply`.
pub(crate) fn step<A: Apply>(node: NodeId, apply: Rc<A>) -> Step {
    Box::new(move |parent, traced| {
        let parent = *parent.downcast::<Driver<A::In>>().ok()?;
        let driver: Driver<A::Out> = Rc::new(StepDriver { node, parent, apply: Rc::clone(&apply), traced });
        Some(Box::new(driver))
    })
}

/// The operator `map`.
pub struct Map<F, T, R> {
    function: F,
    kind: PhantomData<fn(T) -> R>,
}

/// The operator `flat_map`.
pub struct FlatMap<F, T, R> {
    function: F,
    kind: PhantomData<fn(T) -> R>,
}

impl<F, T, R> Map<F, T, R> {
    pub(crate) fn new(function: F) -> Self {
        Self { function, kind: PhantomData }
    }
}

impl<F, T, R> FlatMap<F, T, R> {
    pub(crate) fn new(function: F) -> Self {
        Self { function, kind: PhantomData }
    }
}

impl<F: Fn(T) -> R + 'static, T: Record, R: Record> Apply for Map<F, T, R> {
    type In = T;
    type Out = R;
    #[inline(always)]
    fn apply<S: FnMut(R)>(&self, value: T, sink: &mut S) {
        sink((self.function)(value));
    }
}

impl<F: Fn(T) -> R + 'static, T: Record, R: IntoIterator<Item: Record> + 'static> Apply for FlatMap<F, T, R> {
    type In = T;
    type Out = R::Item;
    #[inline(always)]
    fn apply<S: FnMut(R::Item)>(&self, value: T, sink: &mut S) {
        each((self.function)(value), sink);
    }
}

/// Passes each row to `sink`.
#[inline(always)]
#[expect(clippy::redundant_closure, reason = "a reference to `sink` as the function of a loop is a call for each row")]
fn each<R>(rows: impl IntoIterator<Item = R>, sink: &mut impl FnMut(R)) {
    rows.into_iter().for_each(|row| sink(row));
}

/// The operator `filter`.
pub struct Filter<F, T> {
    function: F,
    kind: PhantomData<fn(T)>,
}

impl<F, T> Filter<F, T> {
    pub(crate) fn new(function: F) -> Self {
        Self { function, kind: PhantomData }
    }
}

impl<F: Fn(&T) -> bool + 'static, T: Record> Apply for Filter<F, T> {
    type In = T;
    type Out = T;
    #[inline(always)]
    fn apply<S: FnMut(T)>(&self, value: T, sink: &mut S) {
        if (self.function)(&value) {
            sink(value);
        }
    }
}

/// The operator `map_partitions`: takes all values of a partition at once.
pub struct MapPartitions<F, T, R> {
    function: F,
    values: RefCell<Vec<T>>,
    kind: PhantomData<fn(T) -> R>,
}

impl<F, T, R> MapPartitions<F, T, R> {
    pub(crate) fn new(function: F) -> Self {
        Self { function, values: RefCell::default(), kind: PhantomData }
    }
}

impl<F, T, R> Apply for MapPartitions<F, T, R>
where
    F: Fn(std::vec::IntoIter<T>) -> R + 'static,
    T: Record,
    R: IntoIterator<Item: Record> + 'static,
{
    type In = T;
    type Out = R::Item;
    const HOLDS_BACK: bool = true;
    fn apply<S: FnMut(R::Item)>(&self, value: T, _: &mut S) {
        self.values.borrow_mut().push(value);
    }
    fn finish<S: FnMut(R::Item)>(&self, sink: &mut S) {
        each((self.function)(self.values.take().into_iter()), sink);
    }
}
