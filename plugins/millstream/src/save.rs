//! Actions that save a data set in files.
//!
//! Nothing is written here: the host writes the files, and the test harness keeps them in memory.

use crate::action;
use crate::chain::Chain;
use crate::driver::check;
use crate::flow::Rdd;
use crate::graph::Value;
use crate::kind::Kind;
use crate::parquet::Parquet;
use crate::record::Record;

/// Actions that save the data set.
impl<T: Record, C: Chain<Out = T>> Rdd<T, C> {
    fn save(&self, kind: Kind, path: &str, options: Vec<(&'static str, Value)>) {
        check(&self.graph);
        self.emits();
        let mut parameters = vec![("path", Value::Text(path.to_owned()))];
        parameters.extend(options);
        let action = self.graph.add_output(kind, self.node, parameters);
        action::run(&self.graph, action, None);
    }

    /// Saves the values as lines of text, in the form in which `print` shows them. `path` becomes a directory with a
    /// file for each partition. Spark: `saveAsTextFile`.
    ///
    /// `path` is a path below the directory that the job file grants as `out`. The form `name:path` means a path below
    /// another granted directory. The path must not exist yet, so make it depend on the batch's time. A batch that runs
    /// again finds the files that it has saved, and leaves them unchanged.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| {
    ///     ctx.stream::<(u32, bool)>("pairs").foreach_rdd_with_time(|rdd, time| {
    ///         if !rdd.is_empty() {
    ///             rdd.save_as_text_file(&format!("pairs-{}", time.as_ms()));
    ///         }
    ///     });
    /// });
    /// let (_, files) = job.batch("pairs", [(7u32, true)]).batch("pairs", [(0u32, true); 0]).run_with_files();
    /// assert_eq!(files.keys().collect::<Vec<_>>(), ["pairs-1000/part-00000"]);
    /// assert_eq!(files["pairs-1000/part-00000"], b"(7,true)\n");
    /// ```
    #[doc(alias = "saveAsTextFile")]
    pub fn save_as_text_file(&self, path: &str) {
        self.save(Kind::SaveAsTextFile, path, Vec::new());
    }

    /// As [`save_as_text_file`](Self::save_as_text_file), in Arrow's IPC format. The columns are those of
    /// [`save_as_object_files`](crate::DStream::save_as_object_files) of streams. Spark: `saveAsObjectFile`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1], |rdd| rdd.save_as_object_file("numbers"));
    /// ```
    #[doc(alias = "saveAsObjectFile")]
    pub fn save_as_object_file(&self, path: &str) {
        self.save(Kind::SaveAsObjectFile, path, Vec::new());
    }

    /// As [`save_as_object_file`](Self::save_as_object_file), in the Parquet format. Spark: `write.parquet`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1], |rdd| {
    ///     rdd.save_as_parquet_file("numbers");
    ///     assert_eq!(rdd.context().parquet_file::<u32>("numbers").collect(), [3, 1]);
    /// });
    /// ```
    #[doc(alias = "parquet")]
    pub fn save_as_parquet_file(&self, path: &str) {
        self.save(Kind::SaveAsParquetFile, path, Vec::new());
    }

    /// As [`save_as_parquet_file`](Self::save_as_parquet_file), with options for the files. Spark:
    /// `write.option("compression", ..)`.
    ///
    /// ```
    /// # use millstream::{Compression, Parquet, testing};
    /// testing::batch([3u32, 1], |rdd| {
    ///     rdd.save_as_parquet_file_with("out/numbers", Parquet::default().compression(Compression::Zstd));
    /// });
    /// ```
    #[doc(alias = "option")]
    pub fn save_as_parquet_file_with(&self, path: &str, options: Parquet) {
        self.save(Kind::SaveAsParquetFile, path, options.parameters());
    }

    /// As [`save_as_object_file`](Self::save_as_object_file), in the CSV format. The first line of a file has the names
    /// of the columns. The host refuses columns that are lists, tuples or structs. Spark: `write.csv`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1], |rdd| rdd.save_as_csv_file("numbers"));
    /// ```
    #[doc(alias = "csv")]
    pub fn save_as_csv_file(&self, path: &str) {
        self.save(Kind::SaveAsCsvFile, path, Vec::new());
    }

    /// As [`save_as_object_file`](Self::save_as_object_file), in JSON, one object a line. Spark: `write.json`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1], |rdd| rdd.save_as_json_file("numbers"));
    /// ```
    #[doc(alias = "json")]
    pub fn save_as_json_file(&self, path: &str) {
        self.save(Kind::SaveAsJsonFile, path, Vec::new());
    }
}
