//! The names that outputs give to directories, objects and files.

use crate::grants::{COMPONENT_BYTES_MAX, GrantError};
use crate::graph::FileFormat;
use crate::shown::Shown as _;
use std::path::Path;

/// The file that says that all the others are there.
pub(super) const SUCCESS: &str = "_SUCCESS";
/// What the names of all other files begin with.
pub(super) const PART: &str = "part-";
/// Digits of the largest time in milliseconds.
const TIME_DIGITS_MAX: usize = 20;

/// `counts-TIME_IN_MS.txt`
pub(super) fn pattern(prefix: &Path, suffix: &str) -> String {
    format!("{}-TIME_IN_MS{}", prefix.shown(), dotted(suffix))
}

pub(super) fn dotted(suffix: &str) -> String {
    if suffix.is_empty() { String::new() } else { format!(".{suffix}") }
}

/// Checks that a time and the suffix fit behind the last name of a path that a plugin calls `text`.
pub(super) fn check_name(name: &str, suffix: &str, text: &str) -> Result<(), GrantError> {
    if name.len() + 1 + TIME_DIGITS_MAX + suffix.len() <= COMPONENT_BYTES_MAX {
        return Ok(());
    }
    let fault = "has a last name that is too long for a time and a suffix to follow";
    Err(GrantError::Text { what: "path", text: text.to_owned(), fault, help: "use shorter names" })
}

/// The name of a partition's file, with the extension of its format. Text has none, as in Spark.
pub(super) fn part_name(partition: u32, format: FileFormat) -> String {
    let extension = match format {
        FileFormat::Text => "",
        FileFormat::Arrow => ".arrow",
        FileFormat::Parquet(_) => ".parquet",
        FileFormat::Csv => ".csv",
        FileFormat::Json => ".json",
    };
    format!("{PART}{partition:05}{extension}")
}
