//! What the tasks of an instance have added to an accumulator, and the host does not have yet.
//!
//! Owns when values leave the instance: sums at the end of a task, lists also when they fill a chunk.

use crate::ends::is_chunk;
use crate::pending::Pending;
use crate::record::{Builder, Record, fields_of, write_chunk};
use crate::variables::{self, Update};
use std::cell::{Cell, RefCell};

/// The part of a sum that was not handed to the host yet.
pub struct Sum<N> {
    pub name: String,
    pub sum: Cell<N>,
    /// The number of values in the sum.
    count: Cell<u64>,
}

impl<N: Number> Sum<N> {
    /// Takes the sum and the number of values in it. `None` if there are no values.
    fn take(&self) -> Option<(N, u64)> {
        let count = self.count.take();
        (count > 0).then(|| (self.sum.take(), count))
    }

    /// Replaces the sum by that with one more value.
    #[inline]
    pub fn set(&self, sum: N) {
        self.sum.set(sum);
        self.count.set(self.count.get().wrapping_add(1));
    }
}

/// A number of which there are sums.
pub trait Number: Copy + Default + 'static {
    /// The update with a sum of this many numbers.
    fn update(sum: Self, count: u64) -> Update;
}

impl Number for i64 {
    fn update(sum: Self, count: u64) -> Update {
        Update::Long(sum, count)
    }
}

impl Number for f64 {
    fn update(sum: Self, count: u64) -> Update {
        Update::Double(sum, count)
    }
}

impl<N: Number> Pending for Sum<N> {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), sum: Cell::default(), count: Cell::default() }
    }

    fn hand_over(&self) {
        if let Some((sum, count)) = self.take() {
            variables::add(&self.name, N::update(sum, count));
        }
    }

    fn forget(&self) {
        self.take();
    }
}

/// The values of a list that were not handed to the host yet.
pub struct Values<T: Record> {
    pub name: String,
    values: RefCell<(T::Builder, usize)>,
}

impl<T: Record> Values<T> {
    /// Adds a value, and hands all values over if they fill a chunk.
    pub fn push(&self, value: T) {
        let mut values = self.values.borrow_mut();
        let (builder, count) = &mut *values;
        builder.push(value);
        *count += 1;
        let is_full = is_chunk(builder, *count);
        drop(values);
        if is_full {
            self.hand_over();
        }
    }
}

impl<T: Record> Pending for Values<T> {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), values: RefCell::default() }
    }

    fn hand_over(&self) {
        let (mut builder, count) = self.values.take();
        if count > 0 {
            variables::add(&self.name, Update::Collection(fields_of::<T>(), write_chunk(&mut builder, count)));
        }
    }

    fn forget(&self) {
        self.values.take();
    }
}
