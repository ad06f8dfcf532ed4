//! Data sets that a driver function gets from files, from its own rows and from earlier batches.
//!
//! Owns [`DriverContext`] and `slice`. Nothing is read here: each call adds a node to the graph.

use crate::chain::{Chain, Cut, MapPartitions};
use crate::flow::{DStream, Rdd, cut, data_set};
use crate::graph::{Code, Graph, Value};
use crate::kind::Kind;
use crate::record::Record;
use crate::runtime;
use crate::text::Text;
use crate::time::Time;
use std::rc::Rc;

/// Gives a driver function data sets besides those of its batch, accumulators and broadcast variables. Spark:
/// `SparkContext`.
///
/// A path is a path below the directory that the job file grants as `out`. The form `name:path` means a path below
/// another granted directory. The path names a file or a directory. The files of a directory are read in the order of
/// their names, without those whose names begin with `_` or `.`. Each batch reads the files that are there at that
/// time, and all tasks of a batch read the same content.
#[doc(alias = "SparkContext")]
#[derive(Clone)]
pub struct DriverContext {
    pub(crate) graph: Rc<Graph>,
}

impl<T: Record, C: Chain<Out = T>> Rdd<T, C> {
    /// Makes a data set of rows that the function has, such as the result of an action. See
    /// [`DriverContext::parallelize`]. Spark: `parallelize`.
    ///
    /// ```
    /// use millstream::testing;
    /// // The two largest values of each batch, as a stream.
    /// let out = testing::run(vec![vec![3u32, 9, 4], vec![]], |numbers| numbers.transform(|rdd| rdd.parallelize(rdd.top(2))));
    /// assert_eq!(out, [vec![9, 4], vec![]]);
    /// ```
    pub fn parallelize<U: Record + Clone, R: IntoIterator<Item = U>>(
        &self,
        rows: R,
    ) -> Rdd<U, impl Chain<Out = U> + use<T, C, U, R>> {
        self.context().parallelize_rows(rows.into_iter().collect())
    }

    /// Returns the context that gives the driver function other data sets. Spark: `sparkContext`.
    ///
    /// ```
    /// use millstream::testing;
    /// // Clicks of users who are not banned.
    /// let job = testing::Job::new(|ctx| {
    ///     let clicks = ctx.stream::<(u32, bool)>("clicks");
    ///     let wanted = clicks.transform(|rdd| {
    ///         let banned = rdd.context().csv_file::<(u32, bool)>("banned.csv");
    ///         rdd.left_outer_join(&banned).filter(|(_, (_, banned))| banned.is_none()).keys()
    ///     });
    ///     wanted.print();
    /// });
    /// let job = job.file("banned.csv", [(7u32, true)]).batch("clicks", [(7u32, true), (8, true)]);
    /// assert_eq!(job.run()[0].rows, ["8"]);
    /// ```
    #[doc(alias = "sparkContext")]
    pub fn context(&self) -> DriverContext {
        DriverContext { graph: Rc::clone(&self.graph) }
    }
}

impl DriverContext {
    fn load<T: Record>(&self, kind: Kind, path: &str) -> Rdd<T, Cut<T>> {
        let node = self.graph.add::<T>(kind, Vec::new(), Code::default());
        self.graph.change(node, |node| node.parameters.push(("path", Value::Text(path.to_owned()))));
        cut(&self.graph, node)
    }

    /// Makes a data set of rows that the function has, in one partition and in their order. The tasks that read the data set
    /// run the function again to get the rows, so the rows should be few. Spark: `parallelize`, `makeRDD`.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| {
    ///     let names = ctx.stream::<u32>("codes").transform(|rdd| {
    ///         let names = rdd.context().parallelize([(200u32, "OK".to_owned()), (404, "Not Found".to_owned())]);
    ///         rdd.key_by(|code| *code).join(&names).map(|(_, (_, name))| name)
    ///     });
    ///     names.print();
    /// });
    /// assert_eq!(job.batch("codes", [404u32, 200]).run()[0].rows, ["Not Found", "OK"]);
    /// ```
    #[doc(alias = "makeRDD")]
    pub fn parallelize<T: Record + Clone, R: IntoIterator<Item = T>>(
        &self,
        rows: R,
    ) -> Rdd<T, impl Chain<Out = T> + use<T, R>> {
        self.parallelize_rows(rows.into_iter().collect())
    }

    fn parallelize_rows<T: Record + Clone>(&self, rows: Vec<T>) -> Rdd<T, impl Chain<Out = T> + use<T>> {
        self.empty::<T>().then(Kind::Parallelize, MapPartitions::new(move |_| rows.clone()))
    }

    /// Makes a data set without rows. Spark: `emptyRDD`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32], |rdd| assert!(rdd.context().empty::<u32>().is_empty()));
    /// ```
    #[doc(alias = "emptyRDD")]
    pub fn empty<T: Record>(&self) -> Rdd<T, Cut<T>> {
        cut(&self.graph, self.graph.add::<T>(Kind::Empty, Vec::new(), Code::default()))
    }

    /// Loads the lines of text files. Spark: `textFile`.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| {
    ///     let words = ctx.text_stream("words");
    ///     words.transform(|rdd| rdd.intersection(&rdd.context().text_file("known.txt"))).print();
    /// });
    /// let job = job.file("known.txt", ["to", "be"]).batch("words", ["be", "not"]);
    /// assert_eq!(job.run()[0].rows, ["be"]);
    /// ```
    #[doc(alias = "textFile")]
    pub fn text_file(&self, path: &str) -> Rdd<Text, Cut<Text>> {
        self.load(Kind::TextFile, path)
    }

    /// Loads the records of CSV files. The first line of a file names the columns. A column becomes the field of the
    /// same name. The members of a tuple are the columns `_1`, `_2` and so on; a value that is neither a struct nor a
    /// tuple is a column `value`. Other columns of the file are ignored. An empty field is `None`. Spark: `read.csv`.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| {
    ///     ctx.stream::<u8>("n").foreach_rdd(|rdd| {
    ///         let users = rdd.context().csv_file::<(u32, String)>("users.csv");
    ///         assert_eq!(users.lookup(7), ["tom"]);
    ///     });
    /// });
    /// job.file("users.csv", [(7u32, "tom".to_owned())]).batch("n", [0u8]).run();
    /// ```
    #[doc(alias = "csv")]
    pub fn csv_file<T: Record>(&self, path: &str) -> Rdd<T, Cut<T>> {
        self.load(Kind::CsvFile, path)
    }

    /// Loads the records of files that have one JSON object a line, with the columns of [`csv_file`](Self::csv_file).
    /// Spark: `read.json`.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| {
    ///     ctx.stream::<u8>("n").foreach_rdd(|rdd| {
    ///         assert_eq!(rdd.context().json_file::<(u32, bool)>("flags").count(), 2);
    ///     });
    /// });
    /// job.file("flags", [(7u32, true), (8, false)]).batch("n", [0u8]).run();
    /// ```
    #[doc(alias = "json")]
    pub fn json_file<T: Record>(&self, path: &str) -> Rdd<T, Cut<T>> {
        self.load(Kind::JsonFile, path)
    }

    /// Loads the records of Parquet files, with the columns of [`csv_file`](Self::csv_file). Spark: `read.parquet`.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| {
    ///     ctx.stream::<u8>("n").foreach_rdd(|rdd| {
    ///         assert_eq!(rdd.context().parquet_file::<(u32, bool)>("flags").keys().collect(), [7]);
    ///     });
    /// });
    /// job.file("flags", [(7u32, true)]).batch("n", [0u8]).run();
    /// ```
    #[doc(alias = "parquet")]
    pub fn parquet_file<T: Record>(&self, path: &str) -> Rdd<T, Cut<T>> {
        self.load(Kind::ParquetFile, path)
    }
}

impl<T: Record, C: Chain<Out = T>> DStream<T, C> {
    /// Returns the data sets of this stream from one time to another, both included, the oldest first. A time that lies
    /// between two data sets stands for the earlier one. May be called only in a driver function. Spark: `slice`.
    ///
    /// A data set of an earlier batch exists only if it is kept. That is so if the stream is persisted and the context
    /// remembers its data sets, or if a window reads the stream. An action on a data set that is not kept ends the
    /// function.
    ///
    /// ```
    /// use millstream::{minutes, seconds, testing};
    /// // Values that were not there in the batch before.
    /// let job = testing::Job::new(|ctx| {
    ///     ctx.remember(minutes(1));
    ///     let numbers = ctx.stream::<u32>("numbers").cache();
    ///     let all = numbers.clone();
    ///     let new = numbers.transform_with_time(move |rdd, time| {
    ///         let before = all.slice(time - seconds(1), time - seconds(1));
    ///         before.iter().fold(rdd, |rdd, before| rdd.subtract(before).erase())
    ///     });
    ///     new.print();
    /// });
    /// let printed = job.batch("numbers", [1u32, 2]).batch("numbers", [2u32, 3]).run();
    /// assert_eq!((&*printed[0].rows, &*printed[1].rows), (&["1".to_owned(), "2".to_owned()][..], &["3".to_owned()][..]));
    /// ```
    pub fn slice(&self, from: Time, to: Time) -> Vec<Rdd<T>> {
        let data_set = |time: Time| {
            let node = self.graph.add::<T>(Kind::Slice, Vec::new(), Code::default());
            let time = i64::try_from(time.as_ms()).unwrap_or(i64::MAX);
            let parameters = [("of", Value::Integer(i64::from(self.node))), ("time", Value::Integer(time))];
            self.graph.change(node, |node| node.parameters.extend(parameters));
            data_set(&self.graph, node)
        };
        runtime::slice(self.node, from, to).into_iter().map(data_set).collect()
    }
}
