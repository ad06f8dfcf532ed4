//! Windows: the rows of the last batches together, and operations on them.
//!
//! If a function merges values, each batch is merged once, and a window merges the results of its batches.

use crate::chain::{Chain, Cut};
use crate::flow::{DStream, cut};
use crate::graph::{Code, Value};
use crate::key::Key;
use crate::kind::Kind;
use crate::record::Record;
use crate::runtime;
use std::time::Duration;

/// The length of a window, and how often there is a window. Both are spans of time, or numbers of [`batches`].
///
/// ```
/// use millstream::{Window, batches, minutes, seconds};
/// let every_batch: Window = minutes(1).into();
/// let every_ten_seconds: Window = (minutes(1), seconds(10)).into();
/// assert_eq!(every_ten_seconds, Window::of(minutes(1)).every(seconds(10)));
/// assert_ne!(every_ten_seconds, every_batch);
/// assert_eq!(Window::from((batches(6), batches(2))), Window::of(batches(6)).every(batches(2)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    length: Span,
    slide: Option<Span>,
}

/// The length or the slide of a window: a span of time, or a number of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// A span of time.
    Time(Duration),
    /// This many batch intervals of the job.
    Batches(u32),
}

impl Span {
    fn duration(self) -> Duration {
        match self {
            Self::Time(duration) => duration,
            Self::Batches(count) => runtime::batch_interval().saturating_mul(count),
        }
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self::Time(duration)
    }
}

impl Window {
    /// Makes a window of this length each time that the stream has a data set.
    pub fn of(length: impl Into<Span>) -> Self {
        Self { length: length.into(), slide: None }
    }

    /// Makes a window of the same length, but only each time that `slide` has passed.
    #[must_use]
    pub fn every(self, slide: impl Into<Span>) -> Self {
        Self { slide: Some(slide.into()), ..self }
    }

    /// The parameters of a node that has this window.
    pub(crate) fn parameters(self) -> impl Iterator<Item = (&'static str, Value)> {
        let length = ("length", Value::Duration(self.length.duration()));
        std::iter::once(length).chain(self.slide.map(|slide| ("slide", Value::Duration(slide.duration()))))
    }
}

/// Makes a window of this length each time that the stream has a data set.
impl From<Duration> for Window {
    fn from(length: Duration) -> Self {
        Self::of(length)
    }
}

/// Makes a window of this length each time that the stream has a data set.
impl From<Span> for Window {
    fn from(length: Span) -> Self {
        Self::of(length)
    }
}

/// Makes a window of a length and a slide.
impl<L: Into<Span>, S: Into<Span>> From<(L, S)> for Window {
    fn from((length, slide): (L, S)) -> Self {
        Self::of(length).every(slide)
    }
}

/// Makes a span of this many batch intervals of the job, for the length and the slide of a [`Window`].
///
/// ```
/// use millstream::{batches, testing};
/// let out = testing::run(vec![vec![1u32], vec![2], vec![3]], |numbers| numbers.window(batches(2)));
/// assert_eq!(out, [vec![1], vec![1, 2], vec![2, 3]]);
/// ```
pub const fn batches(count: u32) -> Span {
    Span::Batches(count)
}

/// Makes a span of time. Spark: `Milliseconds`.
#[doc(alias = "Milliseconds")]
pub const fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Makes a span of time. Spark: `Seconds`.
#[doc(alias = "Seconds")]
pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Makes a span of time. Spark: `Minutes`.
#[doc(alias = "Minutes")]
pub const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

impl<T: Record, C: Chain<Out = T>> DStream<T, C> {
    /// Gives the values of the last batches together, the oldest first. A window is one argument: its length, or a tuple of
    /// its length and its slide, as in `window((minutes(1), seconds(10)))`. The length and the slide of the window must be
    /// multiples of this stream's slide interval, which for a source is the batch interval. The rows of a batch are
    /// kept as long as a window needs them. Spark: `window`.
    ///
    /// ```
    /// use millstream::{seconds, testing};
    /// let batches = vec![vec![0u32], vec![1], vec![2], vec![3], vec![4], vec![5]];
    /// let out = testing::run(batches, |numbers| numbers.window((seconds(2), seconds(3))));
    /// assert_eq!(out, [vec![1, 2], vec![4, 5]]);
    /// ```
    pub fn window(&self, length_or_length_and_slide: impl Into<Window>) -> DStream<T, Cut<T>> {
        self.emits();
        let node = self.graph.add::<T>(Kind::Window, vec![self.node], Code::default());
        self.graph.change(node, |node| node.parameters.extend(length_or_length_and_slide.into().parameters()));
        cut(&self.graph, node)
    }

    /// Counts the values of each window. The result is 0 for an empty window. Spark: `countByWindow`.
    ///
    /// ```
    /// use millstream::{seconds, testing};
    /// let out = testing::run(vec![vec![7u32], vec![8, 9], vec![]], |numbers| numbers.count_by_window(seconds(2)));
    /// assert_eq!(out, [vec![1], vec![3], vec![2]]);
    /// ```
    #[doc(alias = "countByWindow")]
    pub fn count_by_window(&self, window: impl Into<Window>) -> DStream<u64, Cut<u64>> {
        self.count().window(window).reduce(|a, b| a + b)
    }

    /// Merges all values of each window into one value; an empty window gives no value. `function` must be associative:
    /// it merges the values of each batch once, then the results of the batches. Spark: `reduceByWindow`.
    ///
    /// ```
    /// use millstream::{seconds, testing};
    /// let out = testing::run(vec![vec![1u32], vec![2, 3], vec![], vec![]], |numbers| {
    ///     numbers.reduce_by_window(|a, b| a.max(b), seconds(2))
    /// });
    /// assert_eq!(out, [vec![1], vec![3], vec![3], vec![]]);
    /// ```
    #[doc(alias = "reduceByWindow")]
    pub fn reduce_by_window<F>(&self, function: F, window: impl Into<Window>) -> DStream<T, Cut<T>>
    where
        F: Fn(T, T) -> T + Clone + 'static,
    {
        self.reduce(function.clone()).window(window).reduce(function)
    }

    /// Counts how often each value occurs in each window. Spark: `countByValueAndWindow`.
    ///
    /// ```
    /// use millstream::{seconds, testing};
    /// let out = testing::run(vec![vec![7u32], vec![8, 7]], |numbers| numbers.count_by_value_and_window(seconds(2)));
    /// assert_eq!(out, [vec![(7, 1)], vec![(7, 2), (8, 1)]]);
    /// ```
    #[doc(alias = "countByValueAndWindow")]
    pub fn count_by_value_and_window(&self, window: impl Into<Window>) -> DStream<(T, u64), Cut<(T, u64)>>
    where
        T: Key,
    {
        self.count_by_value().window(window).reduce_by_key(|a, b| a + b)
    }
}

impl<K: Record, V: Record, C: Chain<Out = (K, V)>> DStream<(K, V), C> {
    /// Merges the values of each key in each window. `function` must be associative: it merges the values of each batch
    /// once, then the results of the batches. Spark: `reduceByKeyAndWindow`.
    ///
    /// ```
    /// use millstream::{seconds, testing};
    /// let out = testing::run(vec![vec![('a' as u32, 1u64)], vec![('b' as u32, 2), ('a' as u32, 3)]], |pairs| {
    ///     pairs.reduce_by_key_and_window(|a, b| a + b, (seconds(2), seconds(2)))
    /// });
    /// assert_eq!(out, [vec![('a' as u32, 4), ('b' as u32, 2)]]);
    /// ```
    #[doc(alias = "reduceByKeyAndWindow")]
    pub fn reduce_by_key_and_window<F>(&self, function: F, window: impl Into<Window>) -> DStream<(K, V), Cut<(K, V)>>
    where
        K: Key,
        F: Fn(V, V) -> V + Clone + 'static,
    {
        self.reduce_by_key(function.clone()).window(window).reduce_by_key(function)
    }

    /// Makes a list of the values of each key in each window, the oldest value first. All values of a partition have to
    /// fit into the plugin's memory. Spark: `groupByKeyAndWindow`.
    ///
    /// ```
    /// use millstream::{seconds, testing};
    /// let out = testing::run(vec![vec![(1u8, 5u32)], vec![(2, 6), (1, 7)]], |pairs| {
    ///     pairs.group_by_key_and_window(seconds(2))
    /// });
    /// assert_eq!(out, [vec![(1, vec![5])], vec![(1, vec![5, 7]), (2, vec![6])]]);
    /// ```
    #[doc(alias = "groupByKeyAndWindow")]
    #[expect(clippy::type_complexity, reason = "a stream names its type twice")]
    pub fn group_by_key_and_window(&self, window: impl Into<Window>) -> DStream<(K, Vec<V>), Cut<(K, Vec<V>)>>
    where
        K: Key,
    {
        self.window(window).group_by_key()
    }
}
