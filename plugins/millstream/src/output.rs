//! Outputs that the host carries out: rows that are printed, saved in files or written to Kafka.
//!
//! Owns [`Output`]. Nothing is printed or saved here: each call adds a node to the graph.

use crate::chain::Chain;
use crate::flow::DStream;
use crate::graph::{Graph, Value};
use crate::ids::NodeId;
use crate::kind::Kind;
use crate::parquet::Parquet;
use crate::record::Record;
use std::rc::Rc;

/// An output operation. A program without outputs computes nothing.
pub struct Output {
    pub(crate) graph: Rc<Graph>,
    pub(crate) node: NodeId,
}

impl Output {
    /// Names the output. The name keeps the output's identity when the program changes.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| { ctx.stream::<u8>("n").print().name("all"); });
    /// assert_eq!(job.batch("n", [1u8]).run()[0].rows, ["1"]);
    /// ```
    pub fn name(self, name: &str) -> Self {
        self.graph.change(self.node, |node| node.name = Some(name.to_owned()));
        self
    }
}

impl<T: Record, C: Chain<Out = T>> DStream<T, C> {
    /// Prints the first ten values of every batch. Spark: `print`.
    ///
    /// ```
    /// use millstream::testing;
    /// let printed = testing::Job::new(|ctx| { ctx.stream::<u8>("n").print(); }).batch("n", 1u8..=11).run();
    /// assert_eq!(printed[0].rows.len(), 11);
    /// assert_eq!(printed[0].rows.last().unwrap(), "...");
    /// ```
    pub fn print(&self) -> Output {
        self.print_n(10)
    }

    /// Prints the first `rows` values of every batch, and then `...` if the batch has more values. Spark: `print(num)`.
    ///
    /// ```
    /// use millstream::testing;
    /// let printed = testing::Job::new(|ctx| { ctx.stream::<u8>("n").print_n(2); }).batch("n", [1u8, 2, 3]).run();
    /// assert_eq!(printed[0].rows, ["1", "2", "..."]);
    /// ```
    #[doc(alias = "print")]
    pub fn print_n(&self, rows: u32) -> Output {
        self.output(Kind::Print, vec![("rows", Value::Integer(i64::from(rows)))])
    }

    /// Saves the values of every batch as lines of text, in the form in which `print` shows them. Each batch has a
    /// directory `PREFIX-TIME.SUFFIX` with a file for each partition. TIME is the batch's time in ms. If `suffix` is
    /// empty, the name ends with TIME. Spark: `saveAsTextFiles`.
    ///
    /// `prefix` is a path below the directory that the job file grants as `out`. The form `name:path` means a path
    /// below another granted directory. A batch that runs again replaces the files that it has saved. A value that
    /// contains line ends becomes several lines.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| { ctx.stream::<(u8, bool)>("n").save_as_text_files("pairs", "txt"); });
    /// assert_eq!(job.batch("n", [(1u8, true), (2, false)]).run()[0].rows, ["(1,true)", "(2,false)"]);
    /// ```
    #[doc(alias = "saveAsTextFiles")]
    pub fn save_as_text_files(&self, prefix: &str, suffix: &str) -> Output {
        self.save(Kind::SaveAsTextFiles, prefix, suffix)
    }

    /// Saves the values of every batch in Arrow's IPC format, which every Arrow library reads. The directories and
    /// files are those of [`save_as_text_files`](DStream::save_as_text_files). The members of tuples become columns
    /// `_1`, `_2` and so on. The members of structs become columns with their names. Any other value becomes a column
    /// `value`. Spark: `saveAsObjectFiles`.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| { ctx.stream::<(u8, bool)>("n").save_as_object_files("pairs", "arrow"); });
    /// assert_eq!(job.batch("n", [(1u8, true)]).run()[0].rows, ["(1,true)"]);
    /// ```
    #[doc(alias = "saveAsObjectFiles")]
    pub fn save_as_object_files(&self, prefix: &str, suffix: &str) -> Output {
        self.save(Kind::SaveAsObjectFiles, prefix, suffix)
    }

    /// Saves the values of every batch as Parquet files, compressed with Snappy. The directories and columns are those
    /// of [`save_as_object_files`](DStream::save_as_object_files). Unsigned integers become signed integers. A `u64`
    /// that does not fit makes the output fail, unless [`Parquet::u64_as`] chooses another type. Spark:
    /// `saveAsHadoopFiles`, `write.parquet`.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| { ctx.stream::<Vec<u8>>("n").save_as_parquet_files("lists", "parquet"); });
    /// assert_eq!(job.batch("n", [vec![1u8, 2]]).run()[0].rows, ["[1, 2]"]);
    /// ```
    #[doc(alias = "saveAsHadoopFiles")]
    #[doc(alias = "parquet")]
    pub fn save_as_parquet_files(&self, prefix: &str, suffix: &str) -> Output {
        self.save(Kind::SaveAsParquetFiles, prefix, suffix)
    }

    /// As [`save_as_parquet_files`](DStream::save_as_parquet_files), with options for the files. Spark:
    /// `write.option("compression", ..)`.
    ///
    /// ```
    /// use millstream::{Compression, Parquet, testing};
    /// let job = testing::Job::new(|ctx| {
    ///     let options = Parquet::default().compression(Compression::Zstd);
    ///     ctx.stream::<u8>("n").save_as_parquet_files_with("out/numbers", "", options);
    /// });
    /// assert_eq!(job.batch("n", [1u8]).run()[0].rows, ["1"]);
    /// ```
    #[doc(alias = "option")]
    pub fn save_as_parquet_files_with(&self, prefix: &str, suffix: &str, options: Parquet) -> Output {
        let output = self.save(Kind::SaveAsParquetFiles, prefix, suffix);
        self.graph.change(output.node, |node| node.parameters.extend(options.parameters()));
        output
    }

    /// Saves the values of every batch as CSV. The directories and columns are those of
    /// [`save_as_object_files`](DStream::save_as_object_files). The first line of a file has the names of the columns.
    /// The host refuses columns that are lists, tuples or structs. Spark: `saveAsHadoopFiles`, `write.csv`.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| { ctx.stream::<(u8, bool)>("n").save_as_csv_files("pairs", "csv"); });
    /// assert_eq!(job.batch("n", [(1u8, true)]).run()[0].rows, ["(1,true)"]);
    /// ```
    #[doc(alias = "saveAsHadoopFiles")]
    #[doc(alias = "csv")]
    pub fn save_as_csv_files(&self, prefix: &str, suffix: &str) -> Output {
        self.save(Kind::SaveAsCsvFiles, prefix, suffix)
    }

    /// Saves the values of every batch as JSON, one object a line. The directories and columns are those of
    /// [`save_as_object_files`](DStream::save_as_object_files). Spark: `saveAsHadoopFiles`, `write.json`.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| { ctx.stream::<(u8, bool)>("n").save_as_json_files("pairs", "json"); });
    /// assert_eq!(job.batch("n", [(1u8, true)]).run()[0].rows, ["(1,true)"]);
    /// ```
    #[doc(alias = "saveAsHadoopFiles")]
    #[doc(alias = "json")]
    pub fn save_as_json_files(&self, prefix: &str, suffix: &str) -> Output {
        self.save(Kind::SaveAsJsonFiles, prefix, suffix)
    }

    /// Writes the values of every batch to a topic of Kafka, each as a message. `topic` is a topic of the connection that the
    /// job file calls `kafka`. The form `connection:topic` means a topic of another connection. The job file says which
    /// topics it grants, and whether a batch is a transaction. Spark: `foreachRDD` with a producer.
    ///
    /// | value | message |
    /// |---|---|
    /// | pair | its key, which chooses the partition, and its value |
    /// | [`KafkaMessage`](crate::KafkaMessage) | key, value, headers, partition and time |
    /// | any other value | the value, without a key |
    ///
    /// Text and bytes are written as they are. `None` is a key or a value that is not there. Everything else is JSON, as in
    /// [`save_as_json_files`](DStream::save_as_json_files): a struct is an object.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| {
    ///     let words = ctx.text_stream("lines").flat_map(|line| line.split(' '));
    ///     words.map(|word| (word, 1u64)).reduce_by_key(|a, b| a + b).save_to_kafka("counts");
    /// });
    /// assert_eq!(job.batch("lines", ["a b a"]).run()[0].rows, ["(a,2)", "(b,1)"]);
    /// ```
    #[doc(alias = "foreachRDD")]
    pub fn save_to_kafka(&self, topic: &str) -> Output {
        self.output(Kind::SaveToKafka, vec![("topic", Value::Text(topic.to_owned()))])
    }

    fn save(&self, kind: Kind, prefix: &str, suffix: &str) -> Output {
        let parameters = [("prefix", prefix), ("suffix", suffix)];
        self.output(kind, parameters.map(|(name, text)| (name, Value::Text(text.to_owned()))).to_vec())
    }

    fn output(&self, kind: Kind, parameters: Vec<(&'static str, Value)>) -> Output {
        self.emits();
        let node = self.graph.add_output(kind, self.node, parameters);
        Output { graph: Rc::clone(&self.graph), node }
    }
}
