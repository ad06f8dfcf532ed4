//! Broadcast variables: values that tasks read.
//!
//! Owns the copy of a value in this instance, which is made at its first use.

use crate::context::StreamingContext;
use crate::load::DriverContext;
use crate::record::{Builder, Column, Record, fields_of, read_column, write_chunk};
use crate::variables;
use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;

/// A value that all tasks can read. Spark: `Broadcast`.
///
/// See [`DriverContext::broadcast`].
pub struct Broadcast<T: Record>(Rc<Shared<T>>);

struct Shared<T> {
    /// Identifies the value in the host. `None` if each instance makes the value itself.
    id: Option<u64>,
    value: OnceCell<T>,
}

impl<T: Record> Clone for Broadcast<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T: Record> fmt::Debug for Broadcast<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Broadcast").field(&self.0.id).finish()
    }
}

impl<T: Record> Broadcast<T> {
    fn new(id: Option<u64>, value: OnceCell<T>) -> Self {
        Self(Rc::new(Shared { id, value }))
    }

    /// Returns the value. The first call in a task copies the value into the task's instance.
    #[inline]
    pub fn value(&self) -> &T {
        self.0.value.get_or_init(|| {
            let id = self.0.id.expect("a value that the host does not hold is there from the beginning");
            let read = read_column::<T>(variables::read(id, &fields_of::<T>()));
            let (column, _) = read.expect("the host returns valid rows");
            column.get(0)
        })
    }

    /// Removes the value from the host when the batch is done. The next driver function that asks for a variable of
    /// this name makes a new value: so a value can be replaced. May be called only in a driver function.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| {
    ///     ctx.stream::<u64>("n").foreach_rdd_with_time(|rdd, time| {
    ///         // A new value every two batches.
    ///         let made = rdd.context().broadcast("made at", || time.as_ms());
    ///         if time.as_ms() > made.value() + 1000 {
    ///             made.unpersist();
    ///         }
    ///         let made = rdd.context().broadcast("made at", || time.as_ms());
    ///         assert_eq!(rdd.map(move |_| *made.value()).collect(), rdd.collect());
    ///     });
    /// });
    /// job.batch("n", [1000u64]).batch("n", [1000u64]).batch("n", [3000u64]).batch("n", [3000u64]).run();
    /// ```
    pub fn unpersist(&self) {
        if let Some(id) = self.0.id {
            variables::unpersist(id);
        }
    }
}

impl StreamingContext {
    /// Makes a value that the functions of all operations can read. Spark: `SparkContext.broadcast`.
    ///
    /// Each instance of the plugin runs `build`, and so makes the value itself: nothing is copied, and the host holds
    /// nothing. If the value takes long to make, or is read from data, use [`DriverContext::broadcast`].
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| {
    ///     let weights = ctx.broadcast(vec![1u32, 10, 100]);
    ///     ctx.stream::<u32>("n").map(move |n| weights.value()[n as usize % 3]).print();
    /// });
    /// assert_eq!(job.batch("n", [2u32, 4]).run()[0].rows, ["100", "10"]);
    /// ```
    pub fn broadcast<T: Record>(&self, value: T) -> Broadcast<T> {
        Broadcast::new(None, OnceCell::from(value))
    }
}

impl DriverContext {
    /// Returns the broadcast variable of this name. If there is none, `make` makes its value, which the host holds for
    /// the rest of the run. Spark: `SparkContext.broadcast`, with the lazily made singleton that a job with checkpoints
    /// needs: a run that resumes begins without broadcast variables, and makes them again.
    ///
    /// The value is encoded once, and copied into the instance of a task when the task first uses the value. Within a
    /// batch, all tasks read the same value. `make` may call actions. A value has at most `limits.result_size` bytes.
    ///
    /// ```
    /// use millstream::{Text, testing};
    /// let job = testing::Job::new(|ctx| {
    ///     let words = ctx.text_stream("words");
    ///     let allowed = words.transform(|rdd| {
    ///         let list = || vec![Text::from("a"), Text::from("b")];
    ///         let blacklist = rdd.context().broadcast("blacklist", list);
    ///         rdd.filter(move |word| !blacklist.value().contains(word))
    ///     });
    ///     allowed.print();
    /// });
    /// assert_eq!(job.batch("words", ["a", "big", "b", "bear"]).run()[0].rows, ["big", "bear"]);
    /// ```
    pub fn broadcast<T: Record>(&self, name: &str, make: impl FnOnce() -> T) -> Broadcast<T> {
        let fields = fields_of::<T>();
        if let Some(id) = variables::find(name, &fields) {
            return Broadcast::new(Some(id), OnceCell::new());
        }
        let mut builder = T::Builder::default();
        builder.push(make());
        Broadcast::new(Some(variables::broadcast(name, &fields, write_chunk(&mut builder, 1))), OnceCell::new())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Text, testing};

    #[test]
    fn a_value_is_made_once_and_read_in_all_batches() {
        let job = testing::Job::new(|ctx| {
            let words = ctx.text_stream("words");
            let known = words.transform(|rdd| {
                let made = rdd.context().long_accumulator("made");
                let first = rdd.context().broadcast("first words", || {
                    made.add(1);
                    rdd.collect()
                });
                assert_eq!(made.value(), 1);
                assert_eq!(first.value()[0], "to");
                rdd.map(move |word| first.value().contains(&word))
            });
            known.print();
        });
        let printed = job.batch("words", ["to", "be"]).batch("words", ["be", "or"]).run();
        assert_eq!([&printed[0].rows, &printed[1].rows], [&["true", "true"], &["true", "false"]]);
    }

    /// A task reads the value that its function got, though the name has another one by then.
    #[test]
    fn a_removed_value_is_still_read_in_its_batch() {
        testing::batch([1i64, 2], |rdd| {
            let first = rdd.context().broadcast("list", || vec![(1i64, Text::from("one"))]);
            first.unpersist();
            let second = rdd.context().broadcast("list", || vec![(2i64, Text::from("two"))]);
            let found = rdd.map(move |n| {
                let lists = [first.value(), second.value()];
                lists.into_iter().flatten().find(|(number, _)| *number == n).map(|(_, word)| word.clone())
            });
            assert_eq!(found.collect(), [Some("one".into()), Some("two".into())]);
        });
    }

    #[test]
    #[should_panic(expected = "the broadcast variable `list` is of another type")]
    fn a_name_has_one_type() {
        testing::batch([1i64], |rdd| {
            rdd.context().broadcast("list", || vec![1u32]);
            rdd.context().broadcast("list", || 1u32);
        });
    }

    #[test]
    #[should_panic(expected = "only a driver function can look for a broadcast variable")]
    fn a_task_cannot_make_one() {
        testing::batch([1i64], |rdd| {
            let context = rdd.context();
            rdd.foreach(move |_| drop(context.broadcast("list", || 1u32)));
        });
    }
}
