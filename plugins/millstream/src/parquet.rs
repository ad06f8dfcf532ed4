//! The options of Parquet files that a program saves.
//!
//! Owns the options and their names in the graph. The host writes the files.

use crate::graph::Value;

/// How a Parquet file is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Snappy: fast, and the default of Spark.
    #[default]
    Snappy,
    /// Zstandard: smaller files that take more time to write.
    Zstd,
}

/// The type that a `u64` gets in a Parquet file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum U64Column {
    /// A signed integer of 64 bits, which every reader supports. A value that does not fit makes the output fail.
    #[default]
    Int64,
    /// A decimal of 20 digits, which holds all values of a `u64`, such as hashes and identifiers of 64 bits.
    Decimal,
}

/// The options of Parquet files.
///
/// ```
/// use millstream::{Compression, Parquet, U64Column, testing};
/// let job = testing::Job::new(|ctx| {
///     let options = Parquet::default().compression(Compression::Zstd).u64_as(U64Column::Decimal);
///     ctx.stream::<u64>("hashes").save_as_parquet_files_with("out/hashes", "", options);
/// });
/// assert_eq!(job.batch("hashes", [u64::MAX]).run()[0].rows, ["18446744073709551615"]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parquet {
    compression: Compression,
    u64_column: U64Column,
}

impl Parquet {
    /// Sets how the files are compressed.
    ///
    /// ```
    /// use millstream::{Compression, Parquet};
    /// assert_eq!(Parquet::default(), Parquet::default().compression(Compression::Snappy));
    /// ```
    #[must_use]
    pub const fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets the type of `u64` columns. The type of a column never depends on its values.
    ///
    /// ```
    /// use millstream::{Parquet, U64Column};
    /// assert_eq!(Parquet::default(), Parquet::default().u64_as(U64Column::Int64));
    /// ```
    #[must_use]
    pub const fn u64_as(mut self, column: U64Column) -> Self {
        self.u64_column = column;
        self
    }

    /// The parameters that the host has to know: all options that differ from the default.
    pub(crate) fn parameters(self) -> Vec<(&'static str, Value)> {
        let compression = (self.compression == Compression::Zstd).then_some(("compression", "zstd"));
        let u64_column = (self.u64_column == U64Column::Decimal).then_some(("u64", "decimal"));
        let given = compression.into_iter().chain(u64_column);
        given.map(|(name, text)| (name, Value::Text(text.to_owned()))).collect()
    }
}
