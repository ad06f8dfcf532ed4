//! [`StreamingContext`]: gives a program its streams and its arguments.

use crate::chain::Cut;
use crate::flow::{DStream, cut};
use crate::graph::{Code, Graph, Value};
use crate::kind::Kind;
use crate::record::Record;
use crate::runtime;
use crate::streams::SameStreams;
use crate::text::Text;
use std::fmt::Display;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

/// The entry point of a program: it makes the program's first streams.
pub struct StreamingContext {
    pub(crate) graph: Rc<Graph>,
}

impl StreamingContext {
    pub(crate) fn new(arguments: Vec<(String, String)>) -> Self {
        Self { graph: Rc::new(Graph::new(arguments)) }
    }

    /// Makes a stream of lines of text from the source that the job file calls `source`. Spark: `socketTextStream`,
    /// `textFileStream`.
    ///
    /// ```
    /// use millstream::{Text, testing};
    /// let printed = testing::Job::new(|ctx| { ctx.text_stream("lines").print(); })
    ///     .batch("lines", ["to be", "or not"])
    ///     .run();
    /// assert_eq!(printed[0].rows, ["to be", "or not"]);
    /// ```
    #[doc(alias = "socketTextStream")]
    #[doc(alias = "textFileStream")]
    pub fn text_stream(&self, source: &str) -> DStream<Text, Cut<Text>> {
        self.stream(source)
    }

    /// Makes a stream of records of any type from the source that the job file calls `source`. Spark: `queueStream`.
    ///
    /// ```
    /// use millstream::testing;
    /// let printed = testing::Job::new(|ctx| { ctx.stream::<(u32, bool)>("pairs").print(); })
    ///     .batch("pairs", [(1u32, true)])
    ///     .run();
    /// assert_eq!(printed[0].rows, ["(1,true)"]);
    /// ```
    #[doc(alias = "queueStream")]
    pub fn stream<T: Record>(&self, source: &str) -> DStream<T, Cut<T>> {
        let node = self.graph.add::<T>(Kind::Source, Vec::new(), Code::default());
        self.graph.change(node, |node| node.parameters.push(("source", Value::Text(source.to_owned()))));
        cut(&self.graph, node)
    }

    /// Makes a stream of the values of all `streams`, in the order of the streams. `streams` is a tuple of two to six
    /// streams, however each of them was built, or an array, a `Vec` or a slice of streams of one type. Spark:
    /// `StreamingContext.union`.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| {
    ///     let numbers = ctx.stream::<u32>("a");
    ///     ctx.union((&numbers, numbers.map(|n| n * 10))).print();
    ///     ctx.union(["a", "b", "c"].map(|source| ctx.stream::<u32>(source))).print();
    /// });
    /// let printed = job.batch("a", [1u32]).batch("b", [2u32]).batch("c", [3u32]).run();
    /// assert_eq!(printed[0].rows, ["1", "10"]);
    /// assert_eq!(printed[1].rows, ["1", "2", "3"]);
    /// ```
    ///
    /// # Panics
    /// If `streams` is empty.
    pub fn union<S: SameStreams>(&self, streams: S) -> DStream<S::Item> {
        let union = streams.each().into_iter().reduce(|first, second| first.union(&second).erase());
        union.expect("a union needs at least one stream")
    }

    /// The value of the argument `name`, from the job file's `args`; `None` if the job file does not set it.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| {
    ///     let greeting = ctx.arg("greeting").unwrap_or("hello".to_owned());
    ///     ctx.text_stream("names").map(move |name| format!("{greeting} {name}")).print();
    /// });
    /// let printed = job.arg("greeting", "good morning").batch("names", ["tom"]).run();
    /// assert_eq!(printed[0].rows, ["good morning tom"]);
    /// ```
    pub fn arg(&self, name: &str) -> Option<String> {
        self.graph.argument(name).map(str::to_owned)
    }

    /// The value of the argument `name` as a number or another type, from the job file's `args`; `default` if the job file
    /// does not set it. If the value cannot be parsed, the job does not start, and the message names the argument.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| {
    ///     let shortest = ctx.arg_or("shortest", 1usize);
    ///     ctx.text_stream("words").filter(move |word| word.len() >= shortest).print();
    /// });
    /// let printed = job.arg("shortest", "3").batch("words", ["to", "be", "not"]).run();
    /// assert_eq!(printed[0].rows, ["not"]);
    /// ```
    pub fn arg_or<T: FromStr<Err: Display>>(&self, name: &str, default: T) -> T {
        let Some(value) = self.graph.argument(name) else { return default };
        value.parse().unwrap_or_else(|error| {
            self.graph.invalid_argument(name, format!("`{value}` is no {}: {error}", std::any::type_name::<T>()));
            default
        })
    }

    /// The job's batch interval. Spark: the duration that the context is made with.
    ///
    /// ```
    /// use millstream::{seconds, testing};
    /// let job = testing::Job::new(|ctx| {
    ///     let minutes = ctx.batch_interval().as_secs_f64() / 60.0;
    ///     ctx.text_stream("lines").count().map(move |lines| (lines as f64 / minutes) as u64).print();
    /// });
    /// assert_eq!(job.batch_interval(seconds(15)).batch("lines", ["a", "b"]).run()[0].rows, ["8"]);
    /// ```
    pub fn batch_interval(&self) -> Duration {
        runtime::batch_interval()
    }
}
