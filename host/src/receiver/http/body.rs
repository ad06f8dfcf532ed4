//! The records in the body of a request: a pure function of its bytes.
//!
//! Owns what is refused. A body is taken as a whole or not at all: nothing is dropped or replaced, because the client can
//! correct the body and send it again.

use crate::config::HttpFormat;
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

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
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

/// Whether bodies of the format can hold records of a type. If not, the reason.
pub(super) fn misfit(format: HttpFormat, rows: &RecordType) -> Option<String> {
    let is_text = *rows == RecordType::text();
    if let Some(ty) = rows.opaque() {
        return Some(format!("{ty} is a type of the plugin's own, whose bytes only the plugin can read"));
    }
    match format {
        HttpFormat::Lines if !is_text => Some("lines are text".to_owned()),
        HttpFormat::Body if !is_text && *rows != RecordType::bytes() => Some("a body is text or bytes".to_owned()),
        HttpFormat::Lines | HttpFormat::JsonLines | HttpFormat::Body => None,
    }
}

/// The records of a body, in chunks. [`misfit`] has accepted the format and the type.
///
/// # Errors
/// If a part of the body is no record.
pub fn records(format: HttpFormat, rows: &RecordType, body: &[u8]) -> Result<Vec<RecordBatch>, BodyError> {
    match format {
        HttpFormat::Lines => {
            text(body)?;
            let mut lines = DecodedLines::new(Encoding::UTF_8, body.len().max(1), CHUNK_BYTES);
            lines.push(body);
            Ok(lines.finish())
        }
        HttpFormat::JsonLines => json_lines(rows, body),
        HttpFormat::Body => {
            let column: ArrayRef = if *rows == RecordType::bytes() {
                Arc::new(BinaryArray::from_vec(vec![body]))
            } else {
                Arc::new(StringArray::from(vec![text(body)?]))
            };
            let batch = RecordBatch::try_new(rows.arrow().clone(), vec![column]);
            batch.map(|batch| vec![batch]).map_err(|error| BodyError::Columns(error.to_string()))
        }
    }
}

/// The body as text, without a byte order mark.
fn text(body: &[u8]) -> Result<&str, BodyError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let valid = body.get(..error.valid_up_to()).unwrap_or_default();
        BodyError::NotUtf8 { line: memchr::memchr_iter(b'\n', valid).count() + 1 }
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The records of lines of JSON. Lines without text are passed over.
fn json_lines(rows: &RecordType, body: &[u8]) -> Result<Vec<RecordBatch>, BodyError> {
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
    fn add(&mut self, line: usize, text: &str) -> Result<(), BodyError> {
        let value = json::parse(text.as_bytes()).map_err(|error| {
            // The parser counts lines too, but there is only one line.
            let said = error.to_string();
            let problem = said.rsplit_once(" at line ").map_or(said.as_str(), |(problem, _)| problem);
            BodyError::Line { line, problem: format!(", column {}: {problem}", error.column()) }
        })?;
        self.values.push(value);
        self.lines.push(line);
        self.bytes += text.len();
        Ok(())
    }

    fn rows(self, rows: &RecordType) -> Result<RecordBatch, BodyError> {
        json::records(rows, &self.values).map_err(|error| match error {
            JsonError::Value { record, path, expected, found } => {
                let at = if path.is_empty() { String::new() } else { format!(" at `{path}`") };
                let line = self.lines.get(record).copied().unwrap_or_default();
                BodyError::Line { line, problem: format!("{at}: expected {expected}, found {found}") }
            }
            other => BodyError::Columns(other.to_string()),
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

    fn values(format: HttpFormat, ty: &RecordType, body: &[u8]) -> Result<Vec<Value>, String> {
        let chunks = records(format, ty, body).map_err(|error| error.to_string())?;
        let all = chunks.iter().flat_map(|chunk| (0..chunk.num_rows()).map(|row| row_to_json(chunk, ty, row).unwrap()));
        Ok(all.collect())
    }

    #[test]
    fn lines_are_records_and_what_is_not_text_is_refused() {
        let lines = |body: &[u8]| values(HttpFormat::Lines, &RecordType::text(), body);
        assert_eq!(lines(b""), Ok(vec![]));
        assert_eq!(lines("\u{feff}a\r\n\nb".as_bytes()), Ok(vec![json!("a"), json!(""), json!("b")]));
        assert_eq!(lines(b"a\nb\n"), Ok(vec![json!("a"), json!("b")]));
        assert_eq!(lines(b"a\nb\xff\nc"), Err("line 2 is not UTF-8".into()));
    }

    #[test]
    fn json_lines_are_typed_and_the_wrong_line_is_named() {
        let lines = |body: &str| values(HttpFormat::JsonLines, &pairs(), body.as_bytes());
        assert_eq!(lines("[\"a\",1]\n\n [\"b\",2] \r\n"), Ok(vec![json!(["a", 1]), json!(["b", 2])]));
        assert_eq!(lines("[\"a\",1]\n\n[\"b\",-2]"), Err("line 3 at `[1]`: expected u64, found -2".into()));
        assert_eq!(lines("[\"a\",1]\n{"), Err("line 2, column 1: EOF while parsing an object".into()));
        assert_eq!(lines("7"), Err("line 1: expected (text, u64) as an array of 2, found 7".into()));
        let many: String = (0..20_000).map(|number| format!("[\"x\",{number}]\n")).collect();
        assert_eq!(lines(&many).unwrap().len(), 20_000);
        assert!(lines(&format!("{many}[1]")).unwrap_err().starts_with("line 20001: "));
    }

    #[test]
    fn a_body_is_one_record() {
        let body = |ty: &RecordType, body: &[u8]| values(HttpFormat::Body, ty, body);
        assert_eq!(body(&RecordType::text(), b"a\nb"), Ok(vec![json!("a\nb")]));
        assert_eq!(body(&RecordType::text(), b""), Ok(vec![json!("")]));
        assert_eq!(body(&RecordType::bytes(), b"\xff\n"), Ok(vec![json!("ff0a")]));
        assert_eq!(body(&RecordType::text(), b"a\n\n\xff"), Err("line 3 is not UTF-8".into()));
    }

    #[test]
    fn formats_fit_types() {
        assert_eq!(misfit(HttpFormat::Lines, &RecordType::text()), None);
        assert_eq!(misfit(HttpFormat::JsonLines, &pairs()), None);
        assert_eq!(misfit(HttpFormat::Body, &RecordType::bytes()), None);
        assert_eq!(misfit(HttpFormat::Lines, &pairs()), Some("lines are text".into()));
        assert_eq!(misfit(HttpFormat::Body, &pairs()), Some("a body is text or bytes".into()));
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_standard_library(body in "[a\u{e9}\n\r]{0,30}") {
            let expected: Vec<Value> = body.lines().map(Value::from).collect();
            let chunks = records(HttpFormat::Lines, &RecordType::text(), body.as_bytes()).unwrap();
            prop_assert_eq!(row_count(&chunks), expected.len() as u64);
            prop_assert_eq!(values(HttpFormat::Lines, &RecordType::text(), body.as_bytes()), Ok(expected));
        }
    }
}
