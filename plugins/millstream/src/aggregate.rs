//! [`Aggregate`]: how the values of a key are aggregated, before and after a shuffle.
//!
//! Owns the aggregations that operators are made of. Never owns a hash table, and never emits rows: see `task.rs`.

use crate::key::Key;
use crate::record::{Builder, Record};
use std::marker::PhantomData;

/// An aggregation by key. Values are added to an accumulator in order; accumulators are merged in order.
pub(crate) trait Aggregate: 'static {
    type In: Record;
    type Key: Key;
    type Value;
    type Acc: Record;
    type Out: Record;
    /// Whether an accumulator may grow with each value that is added to it, as a list grows.
    const GROWS: bool = false;

    fn split(&self, row: Self::In) -> (Self::Key, Self::Value);
    fn create(&self, value: Self::Value) -> Self::Acc;
    fn add(&self, acc: Self::Acc, value: Self::Value) -> Self::Acc;
    fn merge(&self, first: Self::Acc, second: Self::Acc) -> Self::Acc;

    /// Appends the result of a key to `out`. `key` is the encoding of the key.
    fn push_out(&self, key: &[u8], acc: Self::Acc, out: &mut <Self::Out as Record>::Builder);

    /// The result if there is no input at all; `None` if there is no result then.
    fn when_empty(&self) -> Option<Self::Out> {
        None
    }
}

/// Appends a pair of a key, given by its encoding, and a value.
#[inline]
fn push_pair<K: Key, V: Record>(key: &[u8], value: V, out: &mut (K::Builder, V::Builder)) {
    K::push_encoded(key, &mut out.0);
    out.1.push(value);
}

/// The aggregation of `reduce_by_key`.
pub(crate) struct ReduceByKey<K, V, F> {
    pub function: F,
    pub kind: PhantomData<fn(K, V)>,
}

impl<K: Key, V: Record, F: Fn(V, V) -> V + 'static> Aggregate for ReduceByKey<K, V, F> {
    type In = (K, V);
    type Key = K;
    type Value = V;
    type Acc = V;
    type Out = (K, V);

    #[inline]
    fn split(&self, row: (K, V)) -> (K, V) {
        row
    }
    #[inline]
    fn create(&self, value: V) -> V {
        value
    }
    #[inline]
    fn add(&self, acc: V, value: V) -> V {
        (self.function)(acc, value)
    }
    #[inline]
    fn merge(&self, first: V, second: V) -> V {
        (self.function)(first, second)
    }
    #[inline]
    fn push_out(&self, key: &[u8], acc: V, out: &mut (K::Builder, V::Builder)) {
        push_pair::<K, V>(key, acc, out);
    }
}

/// The aggregation of `combine_by_key`, and of the operators that use it: `group_by_key`, `aggregate_by_key`.
pub(crate) struct CombineByKey<K, V, C, Create, Add, Merge> {
    pub create: Create,
    pub add: Add,
    pub merge: Merge,
    pub kind: PhantomData<fn(K, V) -> C>,
}

impl<K, V, C, Create, Add, Merge> Aggregate for CombineByKey<K, V, C, Create, Add, Merge>
where
    K: Key,
    V: Record,
    C: Record,
    Create: Fn(V) -> C + 'static,
    Add: Fn(C, V) -> C + 'static,
    Merge: Fn(C, C) -> C + 'static,
{
    type In = (K, V);
    type Key = K;
    type Value = V;
    type Acc = C;
    type Out = (K, C);
    const GROWS: bool = true;

    fn split(&self, row: (K, V)) -> (K, V) {
        row
    }
    fn create(&self, value: V) -> C {
        (self.create)(value)
    }
    fn add(&self, acc: C, value: V) -> C {
        (self.add)(acc, value)
    }
    fn merge(&self, first: C, second: C) -> C {
        (self.merge)(first, second)
    }
    fn push_out(&self, key: &[u8], acc: C, out: &mut (K::Builder, C::Builder)) {
        push_pair::<K, C>(key, acc, out);
    }
}

/// The aggregation of `count_by_value`.
pub(crate) struct CountByValue<K>(pub PhantomData<fn(K)>);

impl<K: Key> Aggregate for CountByValue<K> {
    type In = K;
    type Key = K;
    type Value = ();
    type Acc = u64;
    type Out = (K, u64);

    fn split(&self, row: K) -> (K, ()) {
        (row, ())
    }
    fn create(&self, (): ()) -> u64 {
        1
    }
    fn add(&self, acc: u64, (): ()) -> u64 {
        acc + 1
    }
    fn merge(&self, first: u64, second: u64) -> u64 {
        first + second
    }
    fn push_out(&self, key: &[u8], acc: u64, out: &mut <(K, u64) as Record>::Builder) {
        push_pair::<K, u64>(key, acc, out);
    }
}

/// The aggregation of `distinct`.
pub(crate) struct Distinct<K>(pub PhantomData<fn(K)>);

impl<K: Key> Aggregate for Distinct<K> {
    type In = K;
    type Key = K;
    type Value = ();
    type Acc = bool;
    type Out = K;

    fn split(&self, row: K) -> (K, ()) {
        (row, ())
    }
    fn create(&self, (): ()) -> bool {
        true
    }
    fn add(&self, acc: bool, (): ()) -> bool {
        acc
    }
    fn merge(&self, first: bool, _: bool) -> bool {
        first
    }
    fn push_out(&self, key: &[u8], _: bool, out: &mut K::Builder) {
        K::push_encoded(key, out);
    }
}

/// The aggregation of `count`: one row, also if there is no input.
pub(crate) struct Count<T>(pub PhantomData<fn(T)>);

impl<T: Record> Aggregate for Count<T> {
    type In = T;
    type Key = u8;
    type Value = ();
    type Acc = u64;
    type Out = u64;

    fn split(&self, _: T) -> (u8, ()) {
        (0, ())
    }
    fn create(&self, (): ()) -> u64 {
        1
    }
    fn add(&self, acc: u64, (): ()) -> u64 {
        acc + 1
    }
    fn merge(&self, first: u64, second: u64) -> u64 {
        first + second
    }
    fn push_out(&self, _: &[u8], acc: u64, out: &mut <u64 as Record>::Builder) {
        out.push(acc);
    }
    fn when_empty(&self) -> Option<u64> {
        Some(0)
    }
}

/// The aggregation of `reduce`: one row, or no row if there is no input.
pub(crate) struct Reduce<T, F> {
    pub function: F,
    pub kind: PhantomData<fn(T)>,
}

impl<T: Record, F: Fn(T, T) -> T + 'static> Aggregate for Reduce<T, F> {
    type In = T;
    type Key = u8;
    type Value = T;
    type Acc = T;
    type Out = T;

    fn split(&self, row: T) -> (u8, T) {
        (0, row)
    }
    fn create(&self, value: T) -> T {
        value
    }
    fn add(&self, acc: T, value: T) -> T {
        (self.function)(acc, value)
    }
    fn merge(&self, first: T, second: T) -> T {
        (self.function)(first, second)
    }
    fn push_out(&self, _: &[u8], acc: T, out: &mut T::Builder) {
        out.push(acc);
    }
}
