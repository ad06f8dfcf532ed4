//! Rows from CSV.
//!
//! Owns the grammar, which is that of RFC 4180 with `\n` or `\r\n` after a record. Owns the meaning of a field: an
//! empty field is an absent value, and `""` is an empty text. The first record names the columns. The rows do not
//! depend on how the bytes are cut into pushes. Never reads a file.

use super::super::columns::named_columns;
use super::super::fixed;
use super::super::loading::{Fault, missing};
use super::super::schema::{Kind, Node, RecordType};
use super::super::text::parse_hex;
use crate::shown;
use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, PrimitiveArray, RecordBatch, RecordBatchOptions,
    StringArray,
};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use std::str::FromStr;
use std::sync::Arc;

/// The most rows of a batch.
const BATCH_ROWS: usize = 8192;
/// A batch ends with the row with which the batch reaches this many bytes.
const BATCH_BYTES: usize = 1 << 20;
/// The longest record, in bytes: a quote that is never closed must not fill the memory.
const RECORD_BYTES_MAX: usize = 16 << 20;
/// The longest value that a message quotes, in characters.
const QUOTED_CHARS_MAX: usize = 40;

/// The position of the reader in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    /// After a quote in a quoted field: the end of the field, or the first of two quotes.
    AfterQuote,
}

/// The fields of one column.
#[derive(Default)]
struct Cells {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    quoted: Vec<bool>,
}

impl Cells {
    fn push(&mut self, bytes: &[u8], quoted: bool) {
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len());
        self.quoted.push(quoted);
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let field = |((start, &end), &quoted)| (self.bytes.get(start..end).unwrap_or_default(), quoted);
        starts.zip(&self.ends).zip(&self.quoted).map(field)
    }
}

/// Makes rows of CSV, piece by piece.
pub struct CsvReader {
    ty: RecordType,
    state: State,
    /// The record so far: its bytes, and where each field ends and whether it was quoted.
    record: Vec<u8>,
    fields: Vec<(usize, bool)>,
    is_quoted: bool,
    /// The line that is being read, from 1, and the line on which the record began.
    line: u64,
    record_line: u64,
    /// For each field of a record, the column of the type that the field belongs to.
    header: Option<Vec<Option<usize>>>,
    columns: Vec<Cells>,
    /// The line of each row.
    lines: Vec<u64>,
    bytes: usize,
    ready: Vec<RecordBatch>,
}

impl CsvReader {
    /// A reader of rows of `ty`, which has no nested columns.
    pub fn new(ty: &RecordType) -> Self {
        Self {
            ty: ty.clone(),
            state: State::FieldStart,
            record: Vec::new(),
            fields: Vec::new(),
            is_quoted: false,
            line: 1,
            record_line: 1,
            header: None,
            columns: ty.columns().iter().map(|_| Cells::default()).collect(),
            lines: Vec::new(),
            bytes: 0,
            ready: Vec::new(),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// Returns the first record that is no row of the type, with the number of its line in place of a row.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), (u64, Fault)> {
        for &byte in bytes {
            self.push_byte(byte)?;
        }
        Ok(())
    }

    /// Ends the bytes: the last record needs no line end.
    ///
    /// # Errors
    /// As [`CsvReader::push`].
    pub fn finish(&mut self) -> Result<(), (u64, Fault)> {
        if self.state == State::Quoted {
            return Err(self.fault("a quoted field is not closed"));
        }
        if self.state != State::FieldStart || !self.fields.is_empty() {
            self.end_record()?;
        }
        self.cut()
    }

    /// The rows that are complete.
    pub fn take(&mut self) -> Vec<RecordBatch> {
        std::mem::take(&mut self.ready)
    }

    fn fault(&self, problem: impl Into<String>) -> (u64, Fault) {
        (self.record_line, Fault::new(0, "", problem))
    }

    fn push_byte(&mut self, byte: u8) -> Result<(), (u64, Fault)> {
        match (self.state, byte) {
            (State::Quoted, b'"') => self.state = State::AfterQuote,
            (State::Quoted, _) => self.add(byte)?,
            (State::FieldStart, b'"') => {
                self.is_quoted = true;
                self.state = State::Quoted;
            }
            (State::AfterQuote, b'"') => {
                self.add(byte)?;
                self.state = State::Quoted;
            }
            (_, b',') => self.end_field(),
            (_, b'\n') => self.end_record()?,
            (State::AfterQuote, b'\r') => {}
            (State::AfterQuote, _) => return Err(self.fault("there is text behind a quoted field")),
            (State::Plain, b'"') => {
                return Err(self.fault("there is a quote inside of a field that has none around it"));
            }
            (State::FieldStart | State::Plain, _) => {
                self.add(byte)?;
                self.state = State::Plain;
            }
        }
        self.line += u64::from(byte == b'\n');
        if byte == b'\n' && self.state == State::FieldStart && self.fields.is_empty() {
            self.record_line = self.line;
        }
        Ok(())
    }

    fn add(&mut self, byte: u8) -> Result<(), (u64, Fault)> {
        if self.record.len() >= RECORD_BYTES_MAX {
            return Err(self.fault("the record is longer than 16 MiB: is a quote not closed?"));
        }
        self.record.push(byte);
        Ok(())
    }

    fn end_field(&mut self) {
        self.fields.push((self.record.len(), std::mem::take(&mut self.is_quoted)));
        self.state = State::FieldStart;
    }

    fn end_record(&mut self) -> Result<(), (u64, Fault)> {
        if self.state == State::Plain && self.record.last() == Some(&b'\r') {
            self.record.pop();
        }
        self.end_field();
        let (record, fields) = (std::mem::take(&mut self.record), std::mem::take(&mut self.fields));
        // An empty line is no record.
        if record.is_empty() && matches!(fields.as_slice(), [(_, false)]) {
            return Ok(());
        }
        let starts = std::iter::once(0).chain(fields.iter().map(|(end, _)| *end));
        let values =
            starts.zip(&fields).map(|(start, (end, quoted))| (record.get(start..*end).unwrap_or_default(), *quoted));
        match &self.header {
            None => {
                let names: Vec<&[u8]> = values.map(|(name, _)| name).collect();
                self.header = Some(header(&self.ty, &names).map_err(|fault| (self.record_line, fault))?);
            }
            Some(header) if header.len() != fields.len() => {
                let (found, expected) = (fields.len(), header.len());
                return Err(self.fault(format!("it has {found} fields, and the first line has {expected}")));
            }
            Some(header) => {
                let mut is_there = vec![false; self.columns.len()];
                for ((value, quoted), column) in values.zip(header) {
                    if let Some(cells) = column.and_then(|at| self.columns.get_mut(at)) {
                        cells.push(value, quoted);
                        column.and_then(|at| is_there.get_mut(at)).into_iter().for_each(|there| *there = true);
                    }
                }
                let absent = self.columns.iter_mut().zip(is_there).filter(|(_, there)| !there);
                absent.for_each(|(cells, _)| cells.push(b"", false));
                self.lines.push(self.record_line);
                self.bytes += record.len();
            }
        }
        (self.record, self.fields) = (record, fields);
        self.record.clear();
        self.fields.clear();
        if self.lines.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES { self.cut() } else { Ok(()) }
    }

    /// Makes a batch of the rows so far.
    fn cut(&mut self) -> Result<(), (u64, Fault)> {
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let is_only = self.columns.len() == 1;
        let mut columns = Vec::new();
        for ((name, node), cells) in named_columns(&self.ty).zip(&mut self.columns) {
            let cells = std::mem::take(cells);
            let column = column(node, &cells, is_only).map_err(|(row, problem)| {
                (lines.get(row).copied().unwrap_or_default(), Fault::new(0, name.clone(), problem))
            });
            columns.push(column?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(lines.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(self.ty.arrow()), columns, &options);
        let refused = |error| (0, Fault::new(0, "", format!("arrow refuses the columns: {error}")));
        self.ready.push(batch.map_err(refused)?);
        Ok(())
    }
}

/// For each field, the column of the type that the field belongs to.
fn header(ty: &RecordType, names: &[&[u8]]) -> Result<Vec<Option<usize>>, Fault> {
    for (name, node) in named_columns(ty) {
        match names.iter().filter(|found| **found == name.as_bytes()).count() {
            0 if !node.nullable() => {
                let there: Vec<_> = names.iter().map(|name| String::from_utf8_lossy(name)).collect();
                return Err(Fault::new(0, name, missing(node, there.iter().map(AsRef::as_ref))));
            }
            0 | 1 => {}
            _ => return Err(Fault::new(0, name, "there is more than one column of this name")),
        }
    }
    let position = |found: &&[u8]| named_columns(ty).position(|(name, _)| **found == *name.as_bytes());
    Ok(names.iter().map(position).collect())
}

fn column(node: &Node, cells: &Cells, is_only: bool) -> Result<ArrayRef, (usize, String)> {
    let is_text = matches!(node.kind, Kind::Text | Kind::Bytes);
    // An only column is never written as an empty field, because the line would be empty.
    let is_absent =
        |bytes: &[u8], quoted: bool| node.nullable() && bytes.is_empty() && (!quoted || !is_text || is_only);
    let mut texts: Vec<Option<&str>> = Vec::with_capacity(cells.ends.len());
    for (row, (bytes, quoted)) in cells.iter().enumerate() {
        if is_absent(bytes, quoted) {
            texts.push(None);
            continue;
        }
        texts.push(Some(std::str::from_utf8(bytes).map_err(|_| (row, "the text is not UTF-8".to_owned()))?));
    }
    let texts = texts.as_slice();
    Ok(match node.kind {
        Kind::Bool => Arc::new(BooleanArray::from(parsed::<bool>(node, texts)?)),
        Kind::I8 => numbers::<Int8Type>(node, texts)?,
        Kind::I16 => numbers::<Int16Type>(node, texts)?,
        Kind::I32 => numbers::<Int32Type>(node, texts)?,
        Kind::I64 => numbers::<Int64Type>(node, texts)?,
        Kind::U8 => numbers::<UInt8Type>(node, texts)?,
        Kind::U16 => numbers::<UInt16Type>(node, texts)?,
        Kind::U32 => numbers::<UInt32Type>(node, texts)?,
        Kind::U64 => numbers::<UInt64Type>(node, texts)?,
        Kind::F32 => numbers::<Float32Type>(node, texts)?,
        Kind::F64 => numbers::<Float64Type>(node, texts)?,
        Kind::Temporal(temporal) => {
            let (values, nulls) = split(each(node, texts, |text| temporal.parse(text))?);
            fixed::temporals(temporal, values, nulls).map_err(|error| (0, error.to_string()))?
        }
        Kind::Decimal(decimal) => {
            let (values, nulls) = split(each(node, texts, |text| decimal.parse(text))?);
            fixed::array(node.field.data_type(), texts.len(), Buffer::from_vec(values), nulls)
                .map_err(|error| (0, error.to_string()))?
        }
        Kind::Text => Arc::new(texts.iter().copied().collect::<StringArray>()),
        Kind::Bytes => {
            let bytes = each(node, texts, parse_hex)?;
            Arc::new(bytes.into_iter().collect::<BinaryArray>())
        }
        Kind::List | Kind::Struct => return Err((0, format!("a field cannot hold {node}"))),
    })
}

fn each<T>(
    node: &Node,
    texts: &[Option<&str>],
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<Option<T>>, (usize, String)> {
    let value = |(row, text): (usize, &Option<&str>)| match text {
        None => Ok(None),
        Some(text) => parse(text).map(Some).ok_or_else(|| (row, format!("expected {node}, found {}", quoted(text)))),
    };
    texts.iter().enumerate().map(value).collect()
}

/// The values, and which of them are there.
fn split<T: Default>(values: Vec<Option<T>>) -> (Vec<T>, Option<NullBuffer>) {
    let there = values.iter().map(Option::is_some).collect();
    (values.into_iter().map(Option::unwrap_or_default).collect(), Some(there))
}

fn quoted(text: &str) -> String {
    if text.is_empty() {
        return "nothing".to_owned();
    }
    shown::short_name(text, QUOTED_CHARS_MAX)
}

fn parsed<T: FromStr>(node: &Node, texts: &[Option<&str>]) -> Result<Vec<Option<T>>, (usize, String)> {
    each(node, texts, |text| text.parse().ok())
}

fn numbers<T: ArrowPrimitiveType>(node: &Node, texts: &[Option<&str>]) -> Result<ArrayRef, (usize, String)>
where
    T::Native: FromStr,
{
    Ok(Arc::new(parsed::<T::Native>(node, texts)?.into_iter().collect::<PrimitiveArray<T>>()))
}
