//! [`StreamingContext`]: gives a program its streams and its arguments.

use crate::chain::Cut;
use crate::flow::{DStream, cut};
use crate::graph::{Code, Graph, Value};
use crate::kind::Kind;
use crate::record::Record;
use crate::text::Text;
use std::rc::Rc;

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
    pub fn stream<T: Record>(&self, source: &str) -> DStream<T, Cut<T>> {
        let node = self.graph.add::<T>(Kind::Source, Vec::new(), Code::default());
        self.graph.change(node, |node| node.parameters.push(("source", Value::Text(source.to_owned()))));
        cut(&self.graph, node)
    }

    /// Makes a stream of the values of all `streams`, in the order of the streams. Spark: `StreamingContext.union`.
    ///
    /// ```
    /// use millstream::testing;
    /// let printed = testing::Job::new(|ctx| {
    ///     let streams = ["a", "b", "c"].map(|source| ctx.stream::<u32>(source).erase());
    ///     ctx.union(streams).print();
    /// });
    /// let printed = printed.batch("a", [1u32]).batch("b", [2u32]).batch("c", [3u32]).run();
    /// assert_eq!(printed[0].rows, ["1", "2", "3"]);
    /// ```
    ///
    /// # Panics
    /// If `streams` is empty.
    pub fn union<T: Record>(&self, streams: impl IntoIterator<Item = DStream<T>>) -> DStream<T> {
        let union = streams.into_iter().reduce(|first, second| first.union(&second).erase());
        union.expect("a union needs at least one stream")
    }

    /// The value of the argument `name`, from the job file's `args`; `None` if the job file does not set it.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| {
    ///     let shortest: usize = ctx.arg("shortest").and_then(|n| n.parse().ok()).unwrap_or(1);
    ///     ctx.text_stream("words").filter(move |word| word.len() >= shortest).print();
    /// });
    /// let printed = job.arg("shortest", "3").batch("words", ["to", "be", "not"]).run();
    /// assert_eq!(printed[0].rows, ["not"]);
    /// ```
    pub fn arg(&self, name: &str) -> Option<&str> {
        self.graph.arguments.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
