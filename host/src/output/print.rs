//! `print`: the first rows of a batch on standard output, in Spark's form or as JSON.

use super::{BatchWrite, Output, PartitionWriter};
use crate::data::json::row_to_json;
use crate::data::schema::RecordType;
use crate::data::text::RowWriter;
use crate::data::view::ViewError;
use crate::env::Console;
use crate::error::{Error, ErrorKind};
use crate::shown::escape_control;
use crate::time::Time;
use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const RULE: &str = "-------------------------------------------";

/// A batch was not printed.
#[derive(Debug, thiserror::Error)]
enum PrintError {
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

/// Prints the first `limit` rows of each batch.
pub(super) struct PrintOutput {
    console: Arc<dyn Console>,
    name: String,
    ty: RecordType,
    limit: u32,
}

impl PrintOutput {
    /// For the rows of the output with this name.
    pub(super) const fn new(console: Arc<dyn Console>, name: String, ty: RecordType, limit: u32) -> Self {
        Self { console, name, ty, limit }
    }
}

impl Output for PrintOutput {
    fn begin(&self, batch: Time) -> BoxFuture<'_, Result<Arc<dyn BatchWrite>, Error>> {
        let write = PrintBatch {
            console: self.console.clone(),
            name: self.name.clone(),
            ty: self.ty.clone(),
            limit: usize::try_from(self.limit).unwrap_or(usize::MAX),
            batch,
            rows: Arc::default(),
        };
        Box::pin(async move { Ok(Arc::new(write) as Arc<dyn BatchWrite>) })
    }
}

/// The first rows of each partition that is done.
type Rows = Mutex<BTreeMap<u32, Vec<RecordBatch>>>;

fn lock(rows: &Rows) -> MutexGuard<'_, BTreeMap<u32, Vec<RecordBatch>>> {
    // No code runs between a panic and the next use that could leave the map half changed.
    rows.lock().unwrap_or_else(PoisonError::into_inner)
}

struct PrintBatch {
    console: Arc<dyn Console>,
    name: String,
    ty: RecordType,
    limit: usize,
    batch: Time,
    rows: Arc<Rows>,
}

impl PrintBatch {
    fn print(&self) -> Result<(), PrintError> {
        let partitions: Vec<Vec<RecordBatch>> = std::mem::take(&mut *lock(&self.rows)).into_values().collect();
        let batch = self.batch;
        let text = if self.console.takes_json() {
            json(batch, &self.name, &self.ty, &partitions, self.limit)
        } else {
            format(batch, &self.ty, &partitions, self.limit, self.console.is_terminal())
        };
        let text = text.map_err(|error| PrintError::Rows { batch, error })?;
        self.console.write(&text).map_err(|error| PrintError::Console { batch, error })
    }
}

impl BatchWrite for PrintBatch {
    fn writer(&self, partition: u32, _: u32) -> BoxFuture<'_, Result<Box<dyn PartitionWriter>, Error>> {
        // One more shows that there are more.
        let wanted = self.limit.saturating_add(1);
        let writer = PrintWriter { partition, wanted, taken: Vec::new(), rows: self.rows.clone() };
        Box::pin(async move { Ok(Box::new(writer) as Box<dyn PartitionWriter>) })
    }

    fn commit(&self, _: u32) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.print().map_err(Error::from) })
    }

    fn abort(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { lock(&self.rows).clear() })
    }
}

struct PrintWriter {
    partition: u32,
    wanted: usize,
    taken: Vec<RecordBatch>,
    rows: Arc<Rows>,
}

impl PartitionWriter for PrintWriter {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<(), Error>> {
        let taken = rows.num_rows().min(self.wanted);
        if taken > 0 {
            self.wanted -= taken;
            self.taken.push(rows.slice(0, taken));
        }
        Box::pin(async { Ok(()) })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            lock(&self.rows).insert(self.partition, self.taken);
            Ok(())
        })
    }
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

/// What was printed as one JSON object in a line; docs/events.md describes it.
#[derive(Serialize)]
struct Printed<'a> {
    event: &'static str,
    batch_time_ms: u64,
    output: &'a str,
    rows: Vec<serde_json::Value>,
    more: bool,
}

fn json(
    time: Time,
    output: &str,
    ty: &RecordType,
    partitions: &[Vec<RecordBatch>],
    limit: usize,
) -> Result<String, ViewError> {
    let batches = || partitions.iter().flatten();
    let rows = batches().flat_map(|batch| (0..batch.num_rows()).map(move |row| row_to_json(batch, ty, row)));
    let printed = Printed {
        event: "Printed",
        batch_time_ms: time.as_ms(),
        output,
        rows: rows.take(limit).collect::<Result<_, _>>()?,
        more: batches().map(RecordBatch::num_rows).sum::<usize>() > limit,
    };
    // Plain values with text keys: there is nothing that could fail.
    Ok(serde_json::to_string(&printed).unwrap_or_default() + "\n")
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
    #[test]
    fn a_program_gets_one_json_object_a_line() {
        let json = |partitions: &[Vec<RecordBatch>], limit| {
            json(Time::from_ms(1000), "print-0", &RecordType::text(), partitions, limit).unwrap()
        };
        let rest = "\"event\":\"Printed\",\"batch_time_ms\":1000,\"output\":\"print-0\"";
        let two = [lines(&["a\u{1b}\n"]), lines(&["b"])];
        assert_eq!(json(&two, 2), format!("{{{rest},\"rows\":[\"a\\u001b\\n\",\"b\"],\"more\":false}}\n"));
        assert_eq!(json(&two, 1), format!("{{{rest},\"rows\":[\"a\\u001b\\n\"],\"more\":true}}\n"));
        assert_eq!(json(&[], 1), format!("{{{rest},\"rows\":[],\"more\":false}}\n"));
    }
}
