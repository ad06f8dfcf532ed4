//! An operator that merges the values of a partition into one value: the part of actions that runs on each partition.

use crate::chain::Apply;
use crate::record::Record;
use std::cell::RefCell;
use std::marker::PhantomData;

/// Merges the values of a partition into one value.
pub(crate) struct FoldPartition<T, A, F> {
    start: Option<A>,
    add: F,
    state: RefCell<Option<A>>,
    kind: PhantomData<fn(T)>,
}

impl<T, A, F> FoldPartition<T, A, F>
where
    A: Record + Clone,
    F: Fn(Option<A>, T) -> A,
{
    pub(crate) fn new(start: Option<A>, add: F) -> Self {
        let state = RefCell::new(start.clone());
        Self { start, add, state, kind: PhantomData }
    }
}

impl<T: Record, A: Record + Clone, F: Fn(Option<A>, T) -> A + 'static> Apply for FoldPartition<T, A, F> {
    type In = T;
    type Out = A;
    const HOLDS_BACK: bool = true;
    fn apply<S: FnMut(A)>(&self, value: T, _: &mut S) {
        let state = self.state.take();
        self.state.replace(Some((self.add)(state, value)));
    }
    fn finish<S: FnMut(A)>(&self, sink: &mut S) {
        if let Some(result) = self.state.replace(self.start.clone()) {
            sink(result);
        }
    }
}
