//! `print`: the first rows of a batch on standard output, in Spark's form or as JSON.

use super::{BatchWrite, Output, PartitionWriter};
use crate::block::{RowsWriter, Scratch, SpillError, Storage, StoredRows};
use crate::data::json::row_to_json;
use crate::data::schema::RecordType;
use crate::data::text::RowWriter;
use crate::data::view::ViewError;
use crate::data::written_bytes_max;
use crate::env::Console;
use crate::error::{Error, ErrorKind, Persistence};
use crate::lock::lock;
use crate::shown::escape_control;
use crate::time::Time;
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::error::ArrowError;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

const RULE: &str = "-------------------------------------------";

/// Text is written in pieces of about this many bytes.
const PIECE_BYTES: usize = 64 * 1024;
/// A value takes at most so many times its text as JSON that is being put together.
const JSON_BYTES: usize = 8;

/// A batch was not printed.
#[derive(Debug, thiserror::Error)]
enum PrintError {
    /// Standard output does not take it.
    #[error("cannot print batch {batch} to standard output: {error}")]
    Console {
        /// The batch.
        batch: Time,
        /// What the system says.
        error: io::Error,
    },
    /// There is no room for its rows, or for one of them as text.
    #[error("cannot print batch {batch}: {error}")]
    Room {
        /// The batch.
        batch: Time,
        /// What is missing.
        error: SpillError,
    },
    /// The rows are not of the type they should have.
    #[error("cannot print batch {batch}: {error}")]
    Rows {
        /// The batch.
        batch: Time,
        /// What is wrong with them.
        error: RowsError,
    },
}

/// What is wrong with rows.
#[derive(Debug, thiserror::Error)]
enum RowsError {
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

impl From<PrintError> for Error {
    fn from(error: PrintError) -> Self {
        let (kind, help) = match error {
            PrintError::Console { .. } => (ErrorKind::Unavailable, "is the program that reads the output still there?"),
            PrintError::Room { .. } => {
                (ErrorKind::Unavailable, "print fewer or shorter rows, or raise engine.memory or engine.spill_limit")
            }
            PrintError::Rows { .. } => (ErrorKind::Internal, "please report this"),
        };
        let lasts = match &error {
            PrintError::Room { error, .. } => error.persistence(),
            PrintError::Console { .. } => Persistence::Transient,
            PrintError::Rows { .. } => Persistence::Permanent,
        };
        Self::new(kind, error.to_string()).help(help).lasting(lasts)
    }
}

/// Prints the first `limit` rows of each batch.
pub(super) struct PrintOutput {
    console: Arc<dyn Console>,
    storage: Storage,
    name: String,
    ty: RecordType,
    limit: u32,
}

impl PrintOutput {
    /// For the rows of the output with this name, which wait in `storage` until all are there.
    pub(super) const fn new(
        console: Arc<dyn Console>,
        storage: Storage,
        name: String,
        ty: RecordType,
        limit: u32,
    ) -> Self {
        Self { console, storage, name, ty, limit }
    }
}

impl Output for PrintOutput {
    fn begin(&self, batch: Time) -> BoxFuture<'_, Result<Arc<dyn BatchWrite>, Error>> {
        let write = PrintBatch {
            console: self.console.clone(),
            storage: self.storage.clone(),
            name: self.name.clone(),
            ty: self.ty.clone(),
            limit: usize::try_from(self.limit).unwrap_or(usize::MAX),
            batch,
            rows: Arc::default(),
        };
        Box::pin(async move { Ok(Arc::new(write) as Arc<dyn BatchWrite>) })
    }
}

/// The first rows of each partition that is done. A partition without rows is left out.
type Rows = Mutex<BTreeMap<u32, StoredRows>>;

struct PrintBatch {
    console: Arc<dyn Console>,
    storage: Storage,
    name: String,
    ty: RecordType,
    limit: usize,
    batch: Time,
    rows: Arc<Rows>,
}

impl PrintBatch {
    fn print(&self) -> Result<(), PrintError> {
        let partitions: Vec<StoredRows> = std::mem::take(&mut *lock(&self.rows)).into_values().collect();
        let form = match self.console.takes_json() {
            true => Form::Json,
            false => Form::Text { escaped: self.console.is_terminal() },
        };
        // What is wrong with the rows, not with the console.
        let mut fault = None;
        let written = self.console.write_pieces(&mut |write| {
            let printing = Printing {
                batch: self.batch,
                ty: &self.ty,
                form,
                out: String::new(),
                scratch: self.storage.scratch(),
                write,
            };
            match printing.print(&self.name, &partitions, self.limit) {
                Err(PrintError::Console { error, .. }) => Err(error),
                Err(error) => {
                    fault = Some(error);
                    Ok(())
                }
                Ok(()) => Ok(()),
            }
        });
        if let Some(fault) = fault {
            return Err(fault);
        }
        written.map_err(|error| PrintError::Console { batch: self.batch, error })
    }
}

impl BatchWrite for PrintBatch {
    fn writer(&self, partition: u32, _: u32) -> BoxFuture<'_, Result<Box<dyn PartitionWriter>, Error>> {
        // One more shows that there are more.
        let (wanted, batch) = (self.limit.saturating_add(1), self.batch);
        let writer = PrintWriter { partition, batch, wanted, taken: self.storage.writer(1), rows: self.rows.clone() };
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
    batch: Time,
    wanted: usize,
    taken: RowsWriter,
    rows: Arc<Rows>,
}

impl PrintWriter {
    fn take(&mut self, rows: &RecordBatch) -> Result<(), PrintError> {
        let (batch, count) = (self.batch, rows.num_rows().min(self.wanted));
        if count == 0 {
            return Ok(());
        }
        self.wanted -= count;
        let first = first_rows(rows, count);
        let first = first.map_err(|error| PrintError::Rows { batch, error: error.into() })?;
        self.taken.append(0, first).map_err(|error| PrintError::Room { batch, error })
    }
}

/// The first rows of a batch. A few of many are copied, so that the others do not stay in memory with them.
fn first_rows(rows: &RecordBatch, count: usize) -> Result<RecordBatch, ArrowError> {
    if count > rows.num_rows() / 2 {
        return Ok(rows.slice(0, count));
    }
    take_record_batch(rows, &(0u32..).take(count).collect::<UInt32Array>())
}

impl PartitionWriter for PrintWriter {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<(), Error>> {
        let taken = self.take(&rows).map_err(Error::from);
        Box::pin(async { taken })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let rows = self.taken.finish();
            let mut partitions = lock(&self.rows);
            // That of an earlier attempt is replaced.
            let replaced = match rows.row_count() {
                0 => partitions.remove(&self.partition),
                _ => partitions.insert(self.partition, rows),
            };
            drop(partitions);
            drop(replaced);
            Ok(())
        })
    }
}

/// What is printed.
#[derive(Clone, Copy)]
enum Form {
    /// For people, as Spark has it; without control characters if `escaped`.
    Text { escaped: bool },
    /// One JSON object in a line; docs/events.md describes it.
    Json,
}

/// Rows on their way to the console, in pieces.
struct Printing<'a> {
    batch: Time,
    ty: &'a RecordType,
    form: Form,
    /// What was not written yet.
    out: String,
    scratch: Scratch,
    write: &'a mut dyn FnMut(&str) -> io::Result<()>,
}

impl Printing<'_> {
    fn print(mut self, name: &str, partitions: &[StoredRows], limit: usize) -> Result<(), PrintError> {
        let time = self.batch;
        let heading = match self.form {
            Form::Text { .. } => format!("{RULE}\nTime: {time}\n{RULE}\n"),
            Form::Json => {
                let (time, name) = (time.as_ms(), serde_json::Value::from(name));
                format!("{{\"event\":\"Printed\",\"batch_time_ms\":{time},\"output\":{name},\"rows\":[")
            }
        };
        self.out.push_str(&heading);
        let (mut shown, mut more) = (0, false);
        for rows in partitions.iter().flat_map(|partition| partition.read(0)) {
            let rows = rows.map_err(|error| self.no_room(error))?;
            let count = rows.num_rows().min(limit - shown);
            self.rows(&rows, count, shown > 0)?;
            shown += count;
            more = count < rows.num_rows();
            if more {
                break;
            }
        }
        match self.form {
            Form::Text { .. } if more => self.out.push_str("...\n\n"),
            Form::Text { .. } => self.out.push('\n'),
            Form::Json => self.out.push_str(if more { "],\"more\":true}\n" } else { "],\"more\":false}\n" }),
        }
        self.flush()
    }

    /// Adds the first `count` rows. `follows` says that there were some before.
    fn rows(&mut self, rows: &RecordBatch, count: usize, follows: bool) -> Result<(), PrintError> {
        let ty = self.ty;
        let writer = RowWriter::new(rows, ty).map_err(|error| self.broken(error))?;
        let are_short = written_bytes_max(rows, 0..count) <= PIECE_BYTES;
        for row in 0..count {
            let bytes = if are_short { 0 } else { written_bytes_max(rows, row..row + 1) };
            self.make_room(bytes)?;
            match self.form {
                Form::Text { escaped } => {
                    let start = self.out.len();
                    writer.write(row, &mut self.out).map_err(|error| self.broken(error))?;
                    // Text from outside must not be able to move the cursor of whoever reads it.
                    if escaped && let std::borrow::Cow::Owned(line) = escape_control(&self.out[start..]) {
                        self.out.replace_range(start.., &line);
                    }
                    self.out.push('\n');
                }
                Form::Json => {
                    if follows || row > 0 {
                        self.out.push(',');
                    }
                    let value = row_to_json(rows, ty, row).map_err(|error| self.broken(error))?;
                    self.out.push_str(&value.to_string());
                }
            }
        }
        Ok(())
    }

    /// Makes room for a row of at most so many bytes.
    fn make_room(&mut self, bytes: usize) -> Result<(), PrintError> {
        if self.out.len() + bytes > PIECE_BYTES {
            self.flush()?;
            // A text that grows is there twice for a moment.
            let copies = if matches!(self.form, Form::Json) { JSON_BYTES } else { 2 };
            let needed = if bytes > PIECE_BYTES { bytes.saturating_mul(copies) } else { 0 };
            self.scratch.resize(needed).map_err(|error| self.no_room(error))?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PrintError> {
        (self.write)(&self.out).map_err(|error| PrintError::Console { batch: self.batch, error })?;
        self.out.clear();
        // A long row leaves no large buffer behind.
        self.out.shrink_to(2 * PIECE_BYTES);
        Ok(())
    }

    const fn no_room(&self, error: SpillError) -> PrintError {
        PrintError::Room { batch: self.batch, error }
    }

    fn broken(&self, error: ViewError) -> PrintError {
        PrintError::Rows { batch: self.batch, error: error.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::SpillSettings;
    use crate::env::Simulation;
    use crate::memory::MemoryBudget;
    use arrow::array::{ArrayRef, StringArray};
    use std::sync::Arc;

    /// Pieces of text.
    struct Pieces {
        json: bool,
        terminal: bool,
        pieces: Mutex<Vec<String>>,
    }

    impl Console for Pieces {
        fn write(&self, text: &str) -> io::Result<()> {
            self.pieces.lock().unwrap().push(text.to_owned());
            Ok(())
        }

        fn is_terminal(&self) -> bool {
            self.terminal
        }

        fn takes_json(&self) -> bool {
            self.json
        }
    }

    /// The pieces that are printed where there are so many bytes of memory.
    fn print(
        partitions: &[Vec<RecordBatch>],
        limit: u32,
        (json, terminal): (bool, bool),
        memory: u64,
    ) -> Result<Vec<String>, Error> {
        let console = Arc::new(Pieces { json, terminal, pieces: Mutex::default() });
        let settings = SpillSettings { directory: None, limit_bytes: u64::MAX, compressed: false };
        let disk = Simulation::new(0, Time::default()).env().disk;
        let storage = Storage::new(&MemoryBudget::new(memory, 0).unwrap(), disk, settings);
        let output =
            PrintOutput::new(console.clone(), storage.clone(), "print-0".to_owned(), RecordType::text(), limit);
        let partitions = partitions.to_vec();
        futures::executor::block_on(async move {
            let batch = output.begin(Time::from_ms(1_357_008_430_000)).await?;
            for (partition, rows) in (0..).zip(partitions) {
                let mut writer = batch.writer(partition, 0).await?;
                for rows in rows {
                    writer.write(rows).await?;
                }
                writer.finish().await?;
            }
            batch.commit(0).await
        })?;
        assert_eq!(storage.memory_bytes(), 0);
        Ok(std::mem::take(&mut *console.pieces.lock().unwrap()))
    }

    fn lines(lines: &[&str]) -> Vec<RecordBatch> {
        let column: ArrayRef = Arc::new(StringArray::from(lines.to_vec()));
        vec![RecordBatch::try_from_iter([("value", column)]).unwrap()]
    }

    fn shown(partitions: &[Vec<RecordBatch>], limit: u32, terminal: bool) -> String {
        print(partitions, limit, (false, terminal), 0).unwrap().concat()
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
        let json =
            |partitions: &[Vec<RecordBatch>], limit| print(partitions, limit, (true, false), 0).unwrap().concat();
        let rest = "\"event\":\"Printed\",\"batch_time_ms\":1357008430000,\"output\":\"print-0\"";
        let two = [lines(&["a\u{1b}\n"]), lines(&["b"])];
        assert_eq!(json(&two, 2), format!("{{{rest},\"rows\":[\"a\\u001b\\n\",\"b\"],\"more\":false}}\n"));
        assert_eq!(json(&two, 1), format!("{{{rest},\"rows\":[\"a\\u001b\\n\"],\"more\":true}}\n"));
        assert_eq!(json(&[], 1), format!("{{{rest},\"rows\":[],\"more\":false}}\n"));
    }

    /// However many rows there are, and with no memory for them, the text is never in memory as a whole.
    #[test]
    fn many_rows_are_printed_in_pieces() {
        let many = lines(&vec!["some words of a line"; 30_000]);
        for json in [false, true] {
            let pieces = print(&[many.clone(), many.clone()], u32::MAX, (json, false), 0).unwrap();
            assert!(pieces.iter().all(|piece| piece.len() <= PIECE_BYTES), "{json}");
            let text = pieces.concat();
            assert_eq!(text.matches("some words of a line").count(), 60_000);
            if json {
                let printed: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(printed["rows"].as_array().map(Vec::len), Some(60_000));
            }
        }
        // Few of them take little memory until they are printed.
        let pieces = print(&[many], 10, (false, false), 1 << 20).unwrap();
        assert_eq!(pieces.concat().matches("some words of a line").count(), 10);
    }

    #[test]
    fn a_row_whose_text_does_not_fit_is_an_error_that_says_what_to_do() {
        let long = lines(&["\u{1b}".repeat(1 << 22).as_str()]);
        let error = print(std::slice::from_ref(&long), 1, (false, true), 1 << 20).unwrap_err();
        assert!(error.message.starts_with("cannot print batch 1357008430000 ms: "), "{error:?}");
        assert!(error.help.is_some_and(|help| help.contains("raise engine.memory")));
        let shorter = lines(&["\u{1b}".repeat(1 << 16).as_str()]);
        let printed = print(&[shorter], 1, (false, true), 1 << 20).unwrap().concat();
        assert_eq!(printed.matches("\\u{1b}").count(), 1 << 16);
    }
}
