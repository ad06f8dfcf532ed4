//! Lines of text from a stream of bytes in any encoding.
//!
//! Owns the way from bytes to lines: [`StreamDecoder`] first, then [`LineSplitter`]. Bytes that are not valid in the
//! encoding are counted by the splitter, together with its lines. Never reads a socket or a file.

use super::lines::{LineFaults, LineSplitter};
use crate::encoding::{Encoding, StreamDecoder};
use arrow::array::RecordBatch;

/// The byte order mark as text.
const MARK: &str = "\u{feff}";

/// Splits a stream of bytes into lines of text.
pub struct DecodedLines {
    decoder: StreamDecoder,
    lines: LineSplitter,
    /// The encoding of the stream that bytes came from last.
    encoding: Encoding,
    /// Whether nothing has come since the stream began.
    is_at_start: bool,
}

impl DecodedLines {
    /// Makes a splitter of a stream whose expected encoding is `expected`. The sizes are those of
    /// [`LineSplitter::new`], and count bytes of UTF-8.
    pub fn new(expected: Encoding, max_line_bytes: usize, target_chunk_bytes: usize) -> Self {
        Self {
            decoder: StreamDecoder::new(expected),
            lines: LineSplitter::new(max_line_bytes, target_chunk_bytes),
            encoding: expected,
            is_at_start: true,
        }
    }

    /// Starts in the middle of a stream, whose encoding was found to be `encoding`.
    pub fn begin(&mut self, encoding: Encoding) {
        self.decoder.begin(encoding);
        self.encoding = encoding;
        self.is_at_start = false;
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.is_at_start = false;
        self.lines.push(self.decoder.push(bytes));
        self.encoding = self.decoder.encoding();
    }

    /// Takes a line that is text already, without its end.
    pub fn push_text(&mut self, line: &str) {
        let line = if self.is_at_start { line.strip_prefix(MARK).unwrap_or(line) } else { line };
        self.is_at_start = false;
        self.lines.push(line.as_bytes());
        self.lines.push(b"\n");
    }

    /// The complete lines that came since the last call: see [`LineSplitter::take`].
    pub fn take(&mut self) -> Vec<RecordBatch> {
        self.lines.take()
    }

    /// Ends the stream: returns the lines of [`DecodedLines::take`], and the last line even if it has no line end. A
    /// new stream may follow, whose expected encoding is the encoding of this stream. The numbers of lines go on.
    pub fn finish(&mut self) -> Vec<RecordBatch> {
        self.lines.push(self.decoder.finish());
        self.encoding = self.decoder.encoding();
        self.is_at_start = true;
        self.lines.finish()
    }

    /// Drops the beginning of a line whose end will not come, and returns whether there was one. A new stream may
    /// follow.
    pub fn abandon(&mut self) -> bool {
        self.is_at_start = true;
        let is_cut_off = self.lines.has_partial_line();
        self.lines.abandon();
        self.decoder.abandon() || is_cut_off
    }

    /// See [`LineSplitter::buffered_bytes`].
    pub fn buffered_bytes(&self) -> usize {
        self.lines.buffered_bytes()
    }

    /// See [`LineSplitter::drop_partial_line`].
    pub fn drop_partial_line(&mut self) {
        self.lines.drop_partial_line();
    }

    /// The encoding of the stream that bytes came from last, as far as it is known.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// See [`LineSplitter::faults`].
    pub fn faults(&self) -> LineFaults {
        self.lines.faults()
    }

    /// See [`LineSplitter::take_faults`].
    pub fn take_faults(&mut self) -> LineFaults {
        self.lines.take_faults()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray as _;

    fn texts(batches: &[RecordBatch]) -> Vec<String> {
        let texts = batches.iter().flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten());
        texts.map(str::to_owned).collect()
    }

    #[test]
    fn lines_come_from_bytes_in_another_encoding() {
        let mut lines = DecodedLines::new(Encoding::named("utf-16").unwrap(), 100, 1000);
        // The first byte of the second character looks like a line end.
        for byte in b"\xff\xfea\0\x0a\x01\x0d\0\x0a\0b\0\0\xd8\x0a\0c\0" {
            lines.push(&[*byte]);
        }
        assert_eq!(texts(&lines.take()), ["a\u{10a}", "b\u{fffd}"]);
        assert_eq!((lines.faults().replaced.count, lines.faults().replaced.first), (1, 2));
        assert_eq!(texts(&lines.finish()), ["c"]);
        assert!(!lines.abandon());
        lines.push(b"d");
        assert!(lines.abandon());
        assert_eq!(lines.encoding(), Encoding::named("utf-16").unwrap());
        assert!(!lines.take_faults().is_empty() && lines.faults().is_empty());
    }

    /// Faults of a stream are reported after its end, with the encoding of the stream.
    #[test]
    fn the_encoding_is_known_after_the_end_of_a_stream() {
        let latin = Encoding::named("latin-1").unwrap();
        let mut lines = DecodedLines::new(latin, 100, 1000);
        lines.push(b"\xef\xbb\xbfb\xffd");
        assert_eq!(texts(&lines.finish()), ["b\u{fffd}d"]);
        assert!(!lines.abandon());
        assert_eq!((lines.take_faults().replaced.count, lines.encoding()), (1, Encoding::UTF_8));
        lines.push(b"\xe9");
        assert_eq!((texts(&lines.finish()), lines.encoding()), (vec!["é".to_owned()], latin));
    }

    #[test]
    fn a_mark_before_a_line_is_no_text() {
        let mut lines = DecodedLines::new(Encoding::UTF_8, 100, 1000);
        lines.push_text("\u{feff}a");
        lines.push_text("\u{feff}b");
        lines.push("c".as_bytes());
        assert_eq!(texts(&lines.finish()), ["a", "\u{feff}b", "c"]);
        lines.push("\u{feff}d\n".as_bytes());
        assert_eq!(texts(&lines.take()), ["d"]);
    }
}
