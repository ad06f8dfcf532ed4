//! Tests of text in any encoding.

use super::*;
use proptest::prelude::*;

/// The text of a stream that arrives in pieces which end at these places.
fn decoded(expected: Encoding, bytes: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut decoder = StreamDecoder::new(expected);
    let mut bounds: Vec<usize> = cuts.iter().map(|cut| *cut.min(&bytes.len())).chain([0, bytes.len()]).collect();
    bounds.sort_unstable();
    let mut text = Vec::new();
    bounds.windows(2).for_each(|piece| text.extend_from_slice(decoder.push(&bytes[piece[0]..piece[1]])));
    text.extend_from_slice(decoder.finish());
    text
}

fn named(name: &str) -> Encoding {
    Encoding::named(name).unwrap()
}

fn utf16(text: &str, big: bool) -> Vec<u8> {
    text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

#[test]
fn encodings_have_the_names_of_the_encoding_standard() {
    for (name, standard) in [
        ("utf-8", "UTF-8"),
        ("UTF8", "UTF-8"),
        ("utf-16", "UTF-16LE"),
        ("utf-16be", "UTF-16BE"),
        ("latin-1", "windows-1252"),
        ("Latin1", "windows-1252"),
        ("latin-2", "ISO-8859-2"),
        ("shift_jis", "Shift_JIS"),
    ] {
        assert_eq!(named(name).to_string(), standard);
    }
    for name in ["", "utf-32", "latin-99", "utf 8", "hz-gb-2312"] {
        assert_eq!(Encoding::named(name), None, "{name}");
    }
    assert!(COMMON.iter().all(|name| Encoding::named(name).is_some()));
}

#[test]
fn lines_end_with_a_byte_in_all_but_few_encodings() {
    let without = ["utf-16", "utf-16be", "iso-2022-jp"];
    assert!(without.iter().all(|name| !named(name).has_line_bytes()));
    assert!(
        COMMON
            .iter()
            .filter(|name| !without.contains(name) && **name != "utf-16le")
            .all(|name| named(name).has_line_bytes())
    );
}

#[test]
fn text_is_read_in_its_encoding() {
    assert_eq!(decoded(named("latin-1"), b"caf\xe9 \x80\n", &[]), "café €\n".as_bytes());
    assert_eq!(decoded(named("utf-16"), &utf16("é€😀\n", false), &[]), "é€😀\n".as_bytes());
    assert_eq!(decoded(named("utf-16be"), &utf16("é€😀\n", true), &[]), "é€😀\n".as_bytes());
    assert_eq!(decoded(named("shift_jis"), b"\x93\xfa\x96{\n", &[]), "日本\n".as_bytes());
}

/// A byte order mark is not text, and takes precedence over the expected encoding.
#[test]
fn a_byte_order_mark_says_the_encoding() {
    let little = [&b"\xff\xfe"[..], &utf16("é\n", false)].concat();
    let big = [&b"\xfe\xff"[..], &utf16("é\n", true)].concat();
    for expected in ["utf-8", "utf-16", "utf-16be", "latin-1"] {
        for bytes in [&little[..], &big, "\u{feff}é\n".as_bytes()] {
            assert_eq!(decoded(named(expected), bytes, &[]), "é\n".as_bytes(), "{expected} {bytes:?}");
        }
    }
    // Only one mark is removed, and only at the beginning.
    assert_eq!(decoded(Encoding::UTF_8, "\u{feff}\u{feff}a\u{feff}".as_bytes(), &[]), "\u{feff}a\u{feff}".as_bytes());
    // Bytes that are only the beginning of a mark are text.
    assert_eq!(decoded(Encoding::UTF_8, b"\xef\xbb", &[1]), b"\xef\xbb");
    assert_eq!(decoded(named("latin-1"), b"\xef\xbb", &[1]), "ï»".as_bytes());
    assert_eq!(decoded(Encoding::UTF_8, b"", &[]), b"");
}

#[test]
fn what_is_not_of_the_encoding_becomes_one_byte_that_is_no_text() {
    assert_eq!(decoded(named("utf-16"), b"a\0\0\xd8b\0", &[]), b"a\xffb");
    assert_eq!(decoded(named("utf-16"), b"a\0b", &[]), b"a\xff");
    assert_eq!(decoded(named("shift_jis"), b"a\x93", &[]), b"a\xff");
    assert_eq!(decoded(named("euc-jp"), b"\x8e\nb", &[]), b"\xff\nb");
    // In UTF-8, the splitter of lines finds the invalid bytes.
    assert_eq!(decoded(Encoding::UTF_8, b"a\xc3\nb", &[]), b"a\xc3\nb");
}

#[test]
fn text_in_utf_8_is_not_copied() {
    let mut decoder = StreamDecoder::new(Encoding::UTF_8);
    let bytes = b"\xef\xbb\xbfone";
    assert_eq!(decoder.push(bytes).as_ptr(), bytes[3..].as_ptr());
    let bytes = b"two\xff";
    assert_eq!(decoder.push(bytes).as_ptr(), bytes.as_ptr());
}

#[test]
fn a_stream_that_follows_may_have_a_mark_too() {
    let mut decoder = StreamDecoder::new(named("utf-16"));
    assert_eq!(decoder.push(b"\xfe\xff\0a"), b"a");
    assert_eq!(decoder.finish(), b"");
    // The next stream has the encoding of the stream before.
    assert_eq!(decoder.push(b"\0b\0"), b"b");
    assert_eq!(decoder.finish(), b"\xff");
    assert_eq!(decoder.push(b"\xff\xfea\0"), b"a");
    assert!(!decoder.abandon());
    decoder.push(b"a");
    assert!(decoder.abandon());
    assert_eq!(decoder.push(b"a\0"), b"a");
    assert_eq!(decoder.encoding(), named("utf-16"));
}

proptest! {
    /// However a stream is cut, its text is the same. If the bytes are valid in the encoding, the text is that of the
    /// library.
    #[test]
    fn cuts_change_nothing(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            prop::collection::vec(prop::sample::select(b"\xef\xbb\xbf\xfe\xff\x00\x81\x1b$B\na".to_vec()), 0..20),
            "[aé日😀\n\u{feff}]{0,10}".prop_map(|text| utf16(&text, false)),
            "[aé日😀\n\u{feff}]{0,10}".prop_map(String::into_bytes),
        ],
        cuts in prop::collection::vec(0usize..40, 0..6),
        name in prop::sample::select([&COMMON[..], &["iso-2022-jp", "gbk"]].concat()),
    ) {
        let expected = named(name);
        let text = decoded(expected, &bytes, &[]);
        prop_assert_eq!(&decoded(expected, &bytes, &cuts), &text);
        prop_assert_eq!(&decode_all(expected, bytes.clone()), &text);
        let (library, _, _) = expected.0.decode(&bytes);
        prop_assert_eq!(String::from_utf8_lossy(&text), library);
    }

    /// If lines end with a byte, splitting before decoding and decoding before splitting give the same lines.
    #[test]
    fn lines_can_be_read_one_by_one(
        lines in prop::collection::vec(prop::collection::vec(any::<u8>().prop_filter("an end", |byte| *byte != b'\n'), 0..9), 0..6),
        name in prop::sample::select(&COMMON[..]),
    ) {
        let encoding = named(name);
        // A mark in the middle is text, so the test has no mark at the beginning either.
        prop_assume!(encoding.has_line_bytes() && lines.iter().all(|line| !MARK_STARTS.iter().any(|mark| line.starts_with(mark))));
        let one_by_one = lines.iter().map(|line| decoded(encoding, &[line, &b"\n"[..]].concat(), &[])).collect::<Vec<_>>();
        let all: Vec<u8> = lines.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect();
        prop_assert_eq!(decoded(encoding, &all, &[]), one_by_one.concat());
    }
}
