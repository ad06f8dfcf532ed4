//! `print`: the first rows of a batch on standard output, in Spark's form.

use crate::data::schema::RecordType;
use crate::data::text::{RowWriter, escape_control};
use crate::data::view::ViewError;
use crate::env::Console;
use crate::error::{Error, ErrorKind};
use crate::time::Time;
use arrow::array::RecordBatch;

const RULE: &str = "-------------------------------------------";

/// A batch was not printed.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// Standard output does not take it.
    #[error("cannot print batch {batch} to standard output: {error}")]
    Console {
        /// The batch.
        batch: Time,
        /// What the system says.
        error: std::io::Error,
    },
    /// The rows are not of the type they should have.
    #[error("cannot print batch {batch}: {error}")]
    Rows {
        /// The batch.
        batch: Time,
        /// What is wrong with them.
        error: ViewError,
    },
}

impl From<PrintError> for Error {
    fn from(error: PrintError) -> Self {
        let (kind, help) = match error {
            PrintError::Console { .. } => (ErrorKind::Unavailable, "is the program that reads the output still there?"),
            PrintError::Rows { .. } => (ErrorKind::Internal, "please report this"),
        };
        Self::new(kind, error.to_string()).help(help)
    }
}

/// How many rows of each partition `print` needs to show `limit`: one more, to know whether there are more.
pub fn rows_wanted(limit: u32) -> usize {
    (limit as usize).saturating_add(1)
}

/// Prints the first `limit` rows of `partitions`, and `...` if there are more.
///
/// # Errors
/// See [`PrintError`].
pub fn print(
    console: &dyn Console,
    batch: Time,
    ty: &RecordType,
    partitions: &[Vec<RecordBatch>],
    limit: u32,
) -> Result<(), PrintError> {
    let text = format(batch, ty, partitions, limit as usize, console.is_terminal())
        .map_err(|error| PrintError::Rows { batch, error })?;
    console.write(&text).map_err(|error| PrintError::Console { batch, error })
}

fn format(
    time: Time,
    ty: &RecordType,
    partitions: &[Vec<RecordBatch>],
    limit: usize,
    escape: bool,
) -> Result<String, ViewError> {
    let mut out = format!("{RULE}\nTime: {time}\n{RULE}\n");
    let mut shown = 0;
    'rows: for batch in partitions.iter().flatten() {
        let writer = RowWriter::new(batch, ty)?;
        for row in 0..batch.num_rows() {
            if shown == limit {
                out.push_str("...\n");
                break 'rows;
            }
            let mut line = String::new();
            writer.write(row, &mut line)?;
            // Text from outside must not be able to move the cursor of whoever reads it.
            if escape {
                out.push_str(&escape_control(&line));
            } else {
                out.push_str(&line);
            }
            out.push('\n');
            shown += 1;
        }
    }
    out.push('\n');
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, StringArray};
    use std::sync::Arc;

    fn lines(lines: &[&str]) -> Vec<RecordBatch> {
        let column: ArrayRef = Arc::new(StringArray::from(lines.to_vec()));
        vec![RecordBatch::try_from_iter([("value", column)]).unwrap()]
    }

    fn shown(partitions: &[Vec<RecordBatch>], limit: usize, escape: bool) -> String {
        format(Time::from_ms(1_357_008_430_000), &RecordType::text(), partitions, limit, escape).unwrap()
    }

    #[test]
    fn has_the_form_that_spark_prints() {
        let rule = "-".repeat(43);
        assert_eq!(
            shown(&[lines(&["a"]), lines(&["b"])], 10, false),
            format!("{rule}\nTime: 1357008430000 ms\n{rule}\na\nb\n\n")
        );
    }

    #[test]
    fn says_that_there_are_more_only_when_there_are() {
        assert!(!shown(&[lines(&["a", "b"])], 2, false).contains("..."));
        assert!(shown(&[lines(&["a"]), lines(&["b", "c"])], 2, false).ends_with("a\nb\n...\n\n"));
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        assert!(shown(&[lines(&["\u{1b}[2J"])], 10, true).contains("\\u{1b}[2J"));
        assert!(shown(&[lines(&["\u{1b}[2J"])], 10, false).contains("\u{1b}[2J"));
    }
}
