//! The names that outputs give to directories, objects and files.

use crate::grants::{COMPONENT_BYTES_MAX, GrantError};
use crate::graph::FileFormat;
use crate::shown::Shown as _;
use std::path::Path;

/// The name of the file that says that all other files are there.
pub(super) const SUCCESS: &str = "_SUCCESS";
/// The beginning of the names of all other files.
pub(super) const PART: &str = "part-";
/// The number of digits of the largest time in milliseconds.
const TIME_DIGITS_MAX: usize = 20;

/// The name of a batch's directory for messages: `counts-TIME_IN_MS.txt`.
pub(super) fn pattern(prefix: &Path, suffix: &str) -> String {
    format!("{}-TIME_IN_MS{}", prefix.shown(), dotted(suffix))
}

pub(super) fn dotted(suffix: &str) -> String {
    if suffix.is_empty() { String::new() } else { format!(".{suffix}") }
}

/// Checks that a time and the suffix fit behind `name`, the last part of a path. `text` is the path as the plugin gives
/// it.
pub(super) fn check_name(name: &str, suffix: &str, text: &str) -> Result<(), GrantError> {
    if name.len() + 1 + TIME_DIGITS_MAX + suffix.len() <= COMPONENT_BYTES_MAX {
        return Ok(());
    }
    let fault = "ends in a name that leaves no room for a time and a suffix";
    Err(GrantError::Text { what: "path", text: text.to_owned(), fault, help: "use shorter names" })
}

/// The name of a partition's file, with the extension of its format. Text has no extension, as in Spark.
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
