//! [`Stream`], [`Streams`] and [`SameStreams`]: streams that a function takes however they were built.
//!
//! Owns what `StreamingContext::union` and `StreamingContext::transform` accept. Never adds nodes.

use crate::chain::Chain;
use crate::flow::{DStream, Rdd, data_set};
use crate::key::Key;
use crate::load::DriverContext;
use crate::record::Record;
use crate::state::MapWithStateDStream;

/// A stream, or a reference to a stream, whatever operators it was built with.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a stream",
    label = "not a stream",
    note = "a stream is a `DStream<T>`, or what an operator such as `map` returns; a data set inside `transform` is none"
)]
pub trait Stream {
    /// The type of the stream's values.
    type Item: Record;

    /// The same stream, with its operators hidden from its type.
    #[doc(hidden)]
    fn erased(&self) -> DStream<Self::Item>;
}

impl<T: Record, C: Chain<Out = T>> Stream for DStream<T, C> {
    type Item = T;

    fn erased(&self) -> DStream<T> {
        self.erase()
    }
}

impl<K: Key, S: Record, M: Record> Stream for MapWithStateDStream<K, S, M> {
    type Item = M;

    fn erased(&self) -> DStream<M> {
        self.erase()
    }
}

impl<S: Stream> Stream for &S {
    type Item = S::Item;

    fn erased(&self) -> DStream<S::Item> {
        (**self).erased()
    }
}

/// Several streams: an array, a `Vec` or a slice of streams of one type, or a tuple of two to six streams of any types.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of streams",
    note = "give a tuple of two to six streams of any types, or an array, a `Vec` or a slice of streams of one type",
    note = "collect an iterator into a `Vec` first"
)]
pub trait Streams {
    /// The data sets of the streams in a batch: an array, a `Vec` or a tuple, as the streams are.
    type Rdds: 'static;

    #[doc(hidden)]
    fn parents(&self) -> Vec<u32>;

    /// The data sets of the streams with these ids.
    #[doc(hidden)]
    fn rdds(context: &DriverContext, parents: &[u32]) -> Self::Rdds;
}

/// Several streams of values of one type: an array, a `Vec` or a slice of streams, or a tuple of two to six streams that
/// may be built with different operators.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of streams of values of one type",
    note = "give a tuple of two to six streams, or an array, a `Vec` or a slice of streams",
    note = "collect an iterator into a `Vec` first"
)]
pub trait SameStreams {
    /// The type of the streams' values.
    type Item: Record;

    #[doc(hidden)]
    fn each(&self) -> Vec<DStream<Self::Item>>;
}

/// Lets a task end at the stream, and returns the id of the stream.
fn parent<S: Stream>(stream: &S) -> u32 {
    let stream = stream.erased();
    stream.emits();
    stream.node
}

impl<S: Stream, const N: usize> Streams for [S; N] {
    type Rdds = [Rdd<S::Item>; N];

    fn parents(&self) -> Vec<u32> {
        self.iter().map(parent).collect()
    }

    fn rdds(context: &DriverContext, parents: &[u32]) -> Self::Rdds {
        std::array::from_fn(|at| data_set(&context.graph, parents[at]))
    }
}

impl<S: Stream, const N: usize> SameStreams for [S; N] {
    type Item = S::Item;

    fn each(&self) -> Vec<DStream<S::Item>> {
        self.iter().map(Stream::erased).collect()
    }
}

/// Implements the traits for lists whose length is not known.
macro_rules! lists {
    ($($list:ty),*) => {$(
        impl<S: Stream> Streams for $list {
            type Rdds = Vec<Rdd<S::Item>>;

            fn parents(&self) -> Vec<u32> {
                self.iter().map(parent).collect()
            }

            fn rdds(context: &DriverContext, parents: &[u32]) -> Self::Rdds {
                parents.iter().map(|stream| data_set(&context.graph, *stream)).collect()
            }
        }

        impl<S: Stream> SameStreams for $list {
            type Item = S::Item;

            fn each(&self) -> Vec<DStream<S::Item>> {
                self.iter().map(Stream::erased).collect()
            }
        }
    )*};
}

lists!(Vec<S>, &[S]);

/// Implements the traits for tuples.
macro_rules! tuples {
    ($(($first:ident $($other:ident $at:tt)*))*) => {$(
        impl<$first: Stream, $($other: Stream),*> Streams for ($first, $($other),*) {
            type Rdds = (Rdd<$first::Item>, $(Rdd<$other::Item>),*);

            fn parents(&self) -> Vec<u32> {
                vec![parent(&self.0), $(parent(&self.$at)),*]
            }

            fn rdds(context: &DriverContext, parents: &[u32]) -> Self::Rdds {
                (data_set(&context.graph, parents[0]), $(data_set(&context.graph, parents[$at])),*)
            }
        }

        impl<$first: Stream, $($other: Stream<Item = $first::Item>),*> SameStreams for ($first, $($other),*) {
            type Item = $first::Item;

            fn each(&self) -> Vec<DStream<$first::Item>> {
                vec![self.0.erased(), $(self.$at.erased()),*]
            }
        }
    )*};
}

tuples! {
    (A B 1)
    (A B 1 C 2)
    (A B 1 C 2 D 3)
    (A B 1 C 2 D 3 E 4)
    (A B 1 C 2 D 3 E 4 F 5)
}
