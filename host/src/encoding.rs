//! Encodings of text: their names, their byte order marks, and the conversion of text in any encoding to UTF-8.
//!
//! Owns the detection of the encoding at the beginning of a stream. Never knows what a line is, nor where bytes come
//! from.

use std::fmt;

/// The byte that replaces each sequence of bytes that is not valid in its encoding. This byte never occurs in UTF-8, so
/// the reader of the text finds the place.
const NOT_TEXT: u8 = 0xff;

/// The longest byte order mark, in bytes.
pub const MARK_BYTES_MAX: usize = 3;

/// The first bytes of all byte order marks.
const MARK_STARTS: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];

/// Names of encodings that messages and documentation offer. [`Encoding::named`] knows more names.
pub const COMMON: [&str; 12] = [
    "utf-8",
    "utf-16",
    "utf-16le",
    "utf-16be",
    "latin-1",
    "windows-1251",
    "windows-1252",
    "iso-8859-15",
    "shift_jis",
    "euc-jp",
    "gb18030",
    "big5",
];

/// An encoding: how bytes represent text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Encoding(&'static encoding_rs::Encoding);

impl Encoding {
    /// The default encoding.
    pub const UTF_8: Self = Self(encoding_rs::UTF_8);

    /// The encoding with this name: a name of the Encoding Standard, in upper or lower case, or `latin-1` to `latin-6`.
    /// `None` if no encoding has the name.
    pub fn named(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let label = lower.strip_prefix("latin-").map(|number| format!("latin{number}"));
        let label = label.as_deref().unwrap_or(&lower);
        encoding_rs::Encoding::for_label_no_replacement(label.as_bytes()).map(Self)
    }

    /// The name of the encoding in the Encoding Standard.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Whether a byte `\n` is always the end of a line, and the text after a `\n` can be decoded without the text
    /// before it.
    pub fn has_line_bytes(self) -> bool {
        self.0.is_ascii_compatible()
    }

    /// The encoding of a stream with these first bytes, and the length of its byte order mark. Without a mark, the
    /// encoding is `self` and the length is 0.
    pub fn at_start(self, first: &[u8]) -> (Self, usize) {
        encoding_rs::Encoding::for_bom(first).map_or((self, 0), |(encoding, length)| (Self(encoding), length))
    }
}

impl Default for Encoding {
    fn default() -> Self {
        Self::UTF_8
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The state of a decoder.
enum State {
    /// These bytes may be the beginning of a byte order mark.
    Start(Vec<u8>),
    /// The bytes are passed on as they are.
    Utf8,
    Decoding(Box<encoding_rs::Decoder>),
}

/// Converts a stream of bytes to UTF-8, and removes the byte order mark at the beginning. A mark takes precedence over
/// the expected encoding: the stream is decoded as the mark says.
///
/// A stream in UTF-8 is passed on without a copy and without a check. In a stream of another encoding, each sequence
/// that is not valid in the encoding becomes one byte that is not UTF-8. The text does not depend on how the stream is
/// cut into pushes.
pub struct StreamDecoder {
    encoding: Encoding,
    expected: Encoding,
    state: State,
    text: Vec<u8>,
}

impl StreamDecoder {
    /// A decoder of a stream whose expected encoding is `expected`.
    pub fn new(expected: Encoding) -> Self {
        Self { encoding: expected, expected, state: State::Start(Vec::new()), text: Vec::new() }
    }

    /// The encoding of the stream, as far as it is known.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Takes the next bytes of the stream, and returns the text that these bytes complete.
    pub fn push<'a>(&'a mut self, bytes: &'a [u8]) -> &'a [u8] {
        self.text.clear();
        let State::Start(first) = &mut self.state else { return self.decode(bytes) };
        if first.is_empty() && !may_become_mark(bytes) {
            let (encoding, mark) = self.encoding.at_start(bytes);
            self.begin(encoding);
            return self.decode(bytes.get(mark..).unwrap_or_default());
        }
        first.extend_from_slice(bytes);
        if may_become_mark(first) {
            return &[];
        }
        let first = std::mem::take(first);
        self.text_after_mark(&first, false)
    }

    /// Ends the stream and returns the text of the remaining bytes. Another stream may follow, whose expected encoding
    /// is the encoding of this stream.
    pub fn finish(&mut self) -> &[u8] {
        self.text.clear();
        match std::mem::replace(&mut self.state, State::Start(Vec::new())) {
            State::Start(first) if first.is_empty() => {}
            State::Start(first) => drop(self.text_after_mark(&first, true)),
            State::Utf8 => {}
            State::Decoding(mut decoder) => append(&mut decoder, &[], true, &mut self.text),
        }
        self.state = State::Start(Vec::new());
        &self.text
    }

    /// Drops the remaining bytes of the stream, and returns whether there were any. A new stream may follow, whose
    /// expected encoding is that of [`StreamDecoder::new`].
    pub fn abandon(&mut self) -> bool {
        let has_rest = !self.finish().is_empty();
        self.encoding = self.expected;
        has_rest
    }

    /// Starts in the middle of a stream, whose encoding was found to be `encoding`.
    pub fn begin(&mut self, encoding: Encoding) {
        self.encoding = encoding;
        self.state = if encoding == Encoding::UTF_8 {
            State::Utf8
        } else {
            State::Decoding(Box::new(encoding.0.new_decoder_without_bom_handling()))
        };
    }

    fn text_after_mark(&mut self, first: &[u8], is_all: bool) -> &[u8] {
        let (encoding, mark) = self.encoding.at_start(first);
        self.begin(encoding);
        let rest = first.get(mark..).unwrap_or_default();
        match &mut self.state {
            State::Decoding(decoder) => append(decoder, rest, is_all, &mut self.text),
            _ => self.text.extend_from_slice(rest),
        }
        &self.text
    }

    fn decode<'a>(&'a mut self, bytes: &'a [u8]) -> &'a [u8] {
        match &mut self.state {
            State::Decoding(decoder) => {
                append(decoder, bytes, false, &mut self.text);
                &self.text
            }
            _ => bytes,
        }
    }
}

/// Decodes a whole text, as [`StreamDecoder`] decodes a stream.
pub fn decode_all(expected: Encoding, mut bytes: Vec<u8>) -> Vec<u8> {
    let (encoding, mark) = expected.at_start(&bytes);
    if encoding == Encoding::UTF_8 {
        return if mark == 0 { bytes } else { bytes.split_off(mark) };
    }
    let mut decoder = StreamDecoder::new(expected);
    let mut text = decoder.push(&bytes).to_vec();
    text.extend_from_slice(decoder.finish());
    text
}

/// Whether more bytes are needed to decide whether a stream begins with a byte order mark.
fn may_become_mark(first: &[u8]) -> bool {
    MARK_STARTS.iter().any(|mark| mark.len() > first.len() && mark.starts_with(first))
}

/// Appends the text of the next bytes.
fn append(decoder: &mut encoding_rs::Decoder, mut bytes: &[u8], is_last: bool, text: &mut Vec<u8>) {
    loop {
        let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len()).unwrap_or(bytes.len());
        let start = text.len();
        text.resize(start + room, 0);
        let into = text.get_mut(start..).unwrap_or_default();
        let (result, read, written) = decoder.decode_to_utf8_without_replacement(bytes, into, is_last);
        text.truncate(start + written);
        bytes = bytes.get(read..).unwrap_or_default();
        match result {
            encoding_rs::DecoderResult::InputEmpty => return,
            encoding_rs::DecoderResult::OutputFull => {}
            encoding_rs::DecoderResult::Malformed(..) => text.push(NOT_TEXT),
        }
    }
}

#[cfg(test)]
mod tests;
