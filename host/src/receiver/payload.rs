//! The records in a payload, which is the body of a request or the content of a message: a pure function of its bytes.
//!
//! Owns what is refused. A payload is taken as a whole or not at all: nothing in it is dropped or replaced, because the
//! sender can correct the payload and send it again.

use crate::config::PayloadFormat;
use crate::data::decoded_lines::DecodedLines;
use crate::data::json::{self, JsonError};
use crate::data::schema::RecordType;
use crate::encoding::Encoding;
use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use serde_json::Value;
use std::sync::Arc;

/// The rows of one chunk have about this many bytes, and at most [`CHUNK_ROWS`].
const CHUNK_BYTES: usize = 256 * 1024;
const CHUNK_ROWS: usize = 8192;
/// The byte order mark of UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Why a payload is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Bytes that are not text.
    #[error("line {line} is not UTF-8")]
    NotUtf8 {
        /// The number of the line, from 1.
        line: usize,
    },
    /// A line that is no record.
    #[error("line {line}{problem}")]
    Line {
        /// The number of the line, from 1.
        line: usize,
        /// The place in the line, and what is wrong there. Begins with `:`, ` at` or `, column`.
        problem: String,
    },
    /// The records do not fit into the columns of one data set.
    #[error("{0}")]
    Columns(String),
}

/// Whether payloads of the format can hold records of a type. If not, the reason.
pub(super) fn misfit(format: PayloadFormat, rows: &RecordType) -> Option<String> {
    let is_text = *rows == RecordType::text();
    if let Some(ty) = rows.opaque() {
        return Some(format!("{ty} is a type of the plugin's own, whose bytes only the plugin can read"));
    }
    match format {
        PayloadFormat::Lines if !is_text => Some("lines are text".to_owned()),
        PayloadFormat::Whole if !is_text && *rows != RecordType::bytes() => {
            Some("such a record is text or bytes".to_owned())
        }
        PayloadFormat::Lines | PayloadFormat::JsonLines | PayloadFormat::Whole => None,
    }
}

/// The records of a payload, in chunks. [`misfit`] has accepted the format and the type.
///
/// # Errors
/// If a part of the payload is no record.
pub fn records(format: PayloadFormat, rows: &RecordType, body: &[u8]) -> Result<Vec<RecordBatch>, PayloadError> {
    match format {
        PayloadFormat::Lines => {
            text(body)?;
            let mut lines = DecodedLines::new(Encoding::UTF_8, body.len().max(1), CHUNK_BYTES);
            lines.push(body);
            Ok(lines.finish())
        }
        PayloadFormat::JsonLines => json_lines(rows, body),
        PayloadFormat::Whole => Ok(vec![whole(rows, &[body])?]),
    }
}

/// The records of several payloads.
pub(super) struct Parsed {
    /// The records of the payloads that are not refused, in order.
    pub(super) rows: Vec<RecordBatch>,
    /// The places of the payloads that are refused, in order, and why each is.
    pub(super) refused: Vec<(usize, PayloadError)>,
}

/// The records of several payloads. The result is that of [`records`] for each of them.
pub(super) fn records_of_each(format: PayloadFormat, rows: &RecordType, payloads: &[Vec<u8>]) -> Parsed {
    // One call for all is much faster than one for each. It fails if one of them is refused.
    if let Some(rows) = records_of_all(format, rows, payloads) {
        return Parsed { rows, refused: Vec::new() };
    }
    let mut parsed = Parsed { rows: Vec::new(), refused: Vec::new() };
    for (at, payload) in payloads.iter().enumerate() {
        match records(format, rows, payload) {
            Ok(records) => parsed.rows.extend(records),
            Err(error) => parsed.refused.push((at, error)),
        }
    }
    parsed
}

/// The records of several payloads. `None` if one of them is refused, or has to be read on its own.
fn records_of_all(format: PayloadFormat, rows: &RecordType, payloads: &[Vec<u8>]) -> Option<Vec<RecordBatch>> {
    if format == PayloadFormat::Whole {
        return payloads.chunks(CHUNK_ROWS).map(|chunk| whole(rows, chunk).ok()).collect();
    }
    // The end of a payload ends its last line, so that all payloads are the lines of one.
    let mut lines = Vec::with_capacity(payloads.iter().map(|payload| payload.len().saturating_add(1)).sum());
    for payload in payloads.iter().filter(|payload| !payload.is_empty()) {
        lines.extend_from_slice(payload.strip_prefix(BYTE_ORDER_MARK).unwrap_or(payload));
        match lines.last() {
            // At the end of a payload, it is a part of the line. Before a line end, it is not.
            Some(b'\r') => return None,
            Some(b'\n') | None => {}
            Some(_) => lines.push(b'\n'),
        }
    }
    // Only the first mark of a payload is no text. A second one would be taken for the mark of all payloads.
    if lines.starts_with(BYTE_ORDER_MARK) {
        return None;
    }
    records(format, rows, &lines).ok()
}

/// Payloads, each as one record.
fn whole(rows: &RecordType, payloads: &[impl AsRef<[u8]>]) -> Result<RecordBatch, PayloadError> {
    let column: ArrayRef = if *rows == RecordType::bytes() {
        Arc::new(BinaryArray::from_iter_values(payloads))
    } else {
        let texts = payloads.iter().map(|payload| text(payload.as_ref())).collect::<Result<Vec<_>, _>>()?;
        Arc::new(StringArray::from(texts))
    };
    let batch = RecordBatch::try_new(rows.arrow().clone(), vec![column]);
    batch.map_err(|error| PayloadError::Columns(error.to_string()))
}

/// The payload as text, without a byte order mark.
fn text(body: &[u8]) -> Result<&str, PayloadError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let valid = body.get(..error.valid_up_to()).unwrap_or_default();
        PayloadError::NotUtf8 { line: memchr::memchr_iter(b'\n', valid).count() + 1 }
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The records of lines of JSON. Lines without text are passed over.
fn json_lines(rows: &RecordType, body: &[u8]) -> Result<Vec<RecordBatch>, PayloadError> {
    let mut chunks = Vec::new();
    let mut chunk = Chunk::default();
    for (at, line) in text(body)?.split('\n').enumerate() {
        let line_text = line.trim_ascii();
        if line_text.is_empty() {
            continue;
        }
        chunk.add(at + 1, line_text)?;
        if chunk.bytes >= CHUNK_BYTES || chunk.values.len() >= CHUNK_ROWS {
            chunks.push(std::mem::take(&mut chunk).rows(rows)?);
        }
    }
    if !chunk.values.is_empty() {
        chunks.push(chunk.rows(rows)?);
    }
    Ok(chunks)
}

/// Values that become the rows of one chunk.
#[derive(Default)]
struct Chunk {
    values: Vec<Value>,
    /// The numbers of the lines of the values.
    lines: Vec<usize>,
    bytes: usize,
}

impl Chunk {
    fn add(&mut self, line: usize, text: &str) -> Result<(), PayloadError> {
        let value = json::parse(text.as_bytes()).map_err(|error| {
            // The parser counts lines too, but there is only one line.
            let said = error.to_string();
            let problem = said.rsplit_once(" at line ").map_or(said.as_str(), |(problem, _)| problem);
            PayloadError::Line { line, problem: format!(", column {}: {problem}", error.column()) }
        })?;
        self.values.push(value);
        self.lines.push(line);
        self.bytes += text.len();
        Ok(())
    }

    fn rows(self, rows: &RecordType) -> Result<RecordBatch, PayloadError> {
        json::records(rows, &self.values).map_err(|error| match error {
            JsonError::Value { record, path, expected, found } => {
                let at = if path.is_empty() { String::new() } else { format!(" at `{path}`") };
                let line = self.lines.get(record).copied().unwrap_or_default();
                PayloadError::Line { line, problem: format!("{at}: expected {expected}, found {found}") }
            }
            other => PayloadError::Columns(other.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::row_count;
    use crate::data::json::row_to_json;
    use crate::receiver::tests::pairs;
    use proptest::prelude::*;
    use serde_json::json;

    fn values(format: PayloadFormat, ty: &RecordType, body: &[u8]) -> Result<Vec<Value>, String> {
        let chunks = records(format, ty, body).map_err(|error| error.to_string())?;
        let all = chunks.iter().flat_map(|chunk| (0..chunk.num_rows()).map(|row| row_to_json(chunk, ty, row).unwrap()));
        Ok(all.collect())
    }

    #[test]
    fn lines_are_records_and_what_is_not_text_is_refused() {
        let lines = |body: &[u8]| values(PayloadFormat::Lines, &RecordType::text(), body);
        assert_eq!(lines(b""), Ok(vec![]));
        assert_eq!(lines("\u{feff}a\r\n\nb".as_bytes()), Ok(vec![json!("a"), json!(""), json!("b")]));
        assert_eq!(lines(b"a\nb\n"), Ok(vec![json!("a"), json!("b")]));
        assert_eq!(lines(b"a\nb\xff\nc"), Err("line 2 is not UTF-8".into()));
    }

    #[test]
    fn json_lines_are_typed_and_the_wrong_line_is_named() {
        let lines = |body: &str| values(PayloadFormat::JsonLines, &pairs(), body.as_bytes());
        assert_eq!(lines("[\"a\",1]\n\n [\"b\",2] \r\n"), Ok(vec![json!(["a", 1]), json!(["b", 2])]));
        assert_eq!(lines("[\"a\",1]\n\n[\"b\",-2]"), Err("line 3 at `[1]`: expected u64, found -2".into()));
        assert_eq!(lines("[\"a\",1]\n{"), Err("line 2, column 1: EOF while parsing an object".into()));
        assert_eq!(lines("7"), Err("line 1: expected (text, u64) as an array of 2, found 7".into()));
        let many: String = (0..20_000).map(|number| format!("[\"x\",{number}]\n")).collect();
        assert_eq!(lines(&many).unwrap().len(), 20_000);
        assert!(lines(&format!("{many}[1]")).unwrap_err().starts_with("line 20001: "));
    }

    #[test]
    fn a_whole_payload_is_one_record() {
        let body = |ty: &RecordType, body: &[u8]| values(PayloadFormat::Whole, ty, body);
        assert_eq!(body(&RecordType::text(), b"a\nb"), Ok(vec![json!("a\nb")]));
        assert_eq!(body(&RecordType::text(), b""), Ok(vec![json!("")]));
        assert_eq!(body(&RecordType::bytes(), b"\xff\n"), Ok(vec![json!("ff0a")]));
        assert_eq!(body(&RecordType::text(), b"a\n\n\xff"), Err("line 3 is not UTF-8".into()));
    }

    #[test]
    fn formats_fit_types() {
        assert_eq!(misfit(PayloadFormat::Lines, &RecordType::text()), None);
        assert_eq!(misfit(PayloadFormat::JsonLines, &pairs()), None);
        assert_eq!(misfit(PayloadFormat::Whole, &RecordType::bytes()), None);
        assert_eq!(misfit(PayloadFormat::Lines, &pairs()), Some("lines are text".into()));
        assert_eq!(misfit(PayloadFormat::Whole, &pairs()), Some("such a record is text or bytes".into()));
    }

    proptest! {
        /// Payloads that are read together have the records that they have one by one, and the same ones are refused.
        #[test]
        fn payloads_that_are_read_together_are_read_as_one_by_one(
            payloads in prop::collection::vec(prop_oneof![
                "[a\u{feff}\n\r]{0,6}".prop_map(String::into_bytes),
                Just("\u{feff}\u{feff}a".into()),
                "(\\[\"[a-c]\",[0-9]\\][\n ]?){0,3}".prop_map(String::into_bytes),
                Just(b"\xff".to_vec()),
                Just(b"[\"a\",1]\n[".to_vec()),
            ], 0..6),
        ) {
            for (format, ty) in [
                (PayloadFormat::Lines, RecordType::text()),
                (PayloadFormat::JsonLines, pairs()),
                (PayloadFormat::Whole, RecordType::text()),
                (PayloadFormat::Whole, RecordType::bytes()),
            ] {
                let shown = |chunks: &[RecordBatch]| -> Vec<Value> {
                    let rows = chunks.iter().flat_map(|chunk| (0..chunk.num_rows()).map(move |row| (chunk, row)));
                    rows.map(|(chunk, row)| row_to_json(chunk, &ty, row).unwrap()).collect()
                };
                let Parsed { rows, refused } = records_of_each(format, &ty, &payloads);
                let (mut expected, mut bad) = (Vec::new(), Vec::new());
                for (at, payload) in payloads.iter().enumerate() {
                    match records(format, &ty, payload) {
                        Ok(rows) => expected.extend(shown(&rows)),
                        Err(error) => bad.push((at, error)),
                    }
                }
                prop_assert_eq!(shown(&rows), expected);
                prop_assert_eq!(refused, bad);
            }
        }

        #[test]
        fn lines_are_those_of_the_standard_library(body in "[a\u{e9}\n\r]{0,30}") {
            let expected: Vec<Value> = body.lines().map(Value::from).collect();
            let chunks = records(PayloadFormat::Lines, &RecordType::text(), body.as_bytes()).unwrap();
            prop_assert_eq!(row_count(&chunks), expected.len() as u64);
            prop_assert_eq!(values(PayloadFormat::Lines, &RecordType::text(), body.as_bytes()), Ok(expected));
        }
    }
}
