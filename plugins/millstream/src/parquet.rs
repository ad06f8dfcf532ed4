//! How Parquet files are written.
//!
//! Owns the options and their words in the graph. The host writes the files.

use crate::graph::Value;

/// How a Parquet file is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Snappy: fast, and what Spark does by default.
    #[default]
    Snappy,
    /// Zstandard: smaller files, more work.
    Zstd,
}

/// What a `u64` becomes in a Parquet file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum U64Column {
    /// A signed integer of 64 bits, which every reader has. A larger value makes the output fail.
    #[default]
    Int64,
    /// A decimal of 20 digits, which holds all values: for hashes and identifiers of 64 bits.
    Decimal,
}

/// How Parquet files are written.
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
    /// Compressed in this way.
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

    /// With `u64` columns of this type. The type of a column never depends on its values.
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

    /// What the host has to know: what is not the default.
    pub(crate) fn parameters(self) -> Vec<(&'static str, Value)> {
        let compression = (self.compression == Compression::Zstd).then_some(("compression", "zstd"));
        let u64_column = (self.u64_column == U64Column::Decimal).then_some(("u64", "decimal"));
        let given = compression.into_iter().chain(u64_column);
        given.map(|(name, text)| (name, Value::Text(text.to_owned()))).collect()
    }
}
