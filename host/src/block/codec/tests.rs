//! Tests of compressed files: files of other programs, and files that are cut off or damaged.

#[path = "../../../../tests/fixtures/compressed/words.rs"]
mod words;

use super::*;
use crate::memory::MemoryBudget;
use proptest::prelude::*;
use std::io::Write as _;
use words::FIXTURES;

/// The content of each of [`FIXTURES`].
const WORDS: &str = "to be or not to be\nthat is the question\ncafé\n";

fn codec(name: &str) -> Codec {
    Codec::of(Path::new(name)).unwrap()
}

/// Everything that can be read of a file, and how reading ends.
fn read_with(budget: &MemoryBudget, codec: Codec, bytes: &[u8]) -> (Vec<u8>, Result<(), String>) {
    let file = Box::new(io::Cursor::new(bytes.to_vec()));
    let mut content = Vec::new();
    let read = codec.read(file, budget.room("test")).and_then(|mut file| file.read_to_end(&mut content));
    (content, read.map(drop).map_err(|error| error.to_string()))
}

fn read(codec: Codec, bytes: &[u8]) -> (Vec<u8>, Result<(), String>) {
    read_with(&MemoryBudget::new(1 << 26, 0).unwrap(), codec, bytes)
}

#[test]
fn the_extension_says_the_format() {
    for (name, codec) in [
        ("a.gz", Some(Codec::Gzip)),
        ("in/a.txt.BZ2", Some(Codec::Bzip2)),
        ("a.zst", Some(Codec::Zstd)),
        ("a.lz4", Some(Codec::Lz4)),
        ("a.snappy", Some(Codec::Snappy)),
        ("a.sz", Some(Codec::Snappy)),
        ("a.gz.txt", None),
        ("gz", None),
        ("gz/a", None),
    ] {
        assert_eq!(Codec::of(Path::new(name)), codec, "{name}");
    }
}

/// Files of other programs are read, and several files in one are read as one.
#[test]
fn files_of_other_programs_are_read_whole() {
    for (name, bytes) in FIXTURES {
        assert_eq!(read(codec(name), bytes), (WORDS.into(), Ok(())), "{name}");
        assert_eq!(read(codec(name), &bytes.repeat(3)), (WORDS.repeat(3).into(), Ok(())), "{name}");
    }
    let frames_and_nothing = [b"\x50\x2a\x4d\x18\x03\0\0\0abc", FIXTURES[2].1, b"\x5f\x2a\x4d\x18\0\0\0\0"].concat();
    assert_eq!(read(Codec::Zstd, &frames_and_nothing), (WORDS.into(), Ok(())));
    let frames_and_nothing = [b"\x50\x2a\x4d\x18\x03\0\0\0abc", FIXTURES[4].1, b"\x5f\x2a\x4d\x18\0\0\0\0"].concat();
    assert_eq!(read(Codec::Lz4, &frames_and_nothing), (WORDS.into(), Ok(())));
    assert_eq!(read(Codec::Snappy, b"\0\0\0\0"), (Vec::new(), Ok(())));
}

/// Wherever a file is cut off, reading it is an error, and the content before the error is a beginning of the whole
/// content.
#[test]
fn a_file_that_is_cut_off_is_an_error_wherever_it_is_cut() {
    for (name, bytes) in FIXTURES {
        for (end, copies) in (0..bytes.len()).map(|end| (end, 0)).chain((1..bytes.len()).map(|end| (end, 1))) {
            // The stream identifier of Snappy's frames alone is a complete file without content.
            if name == "words.sz" && end == SNAPPY_FRAMES.len() {
                continue;
            }
            let (content, end_of_it) = read(codec(name), &[&bytes.repeat(copies)[..], &bytes[..end]].concat());
            let said = end_of_it.expect_err("a part of a file is no file");
            let expected = format!("its {} data is cut off, after {} bytes of content", codec(name), content.len());
            assert_eq!(said, expected, "{name} cut at {end}");
            assert!(WORDS.repeat(copies + 1).as_bytes().starts_with(&content), "{name} cut at {end}");
        }
    }
}

#[test]
fn a_file_in_another_format_is_damaged() {
    for (name, bytes) in FIXTURES {
        let (content, end) = read(codec(name), WORDS.as_bytes());
        let said = end.expect_err("text is not compressed");
        assert!(content.is_empty() && said.contains("data is damaged, after 0 bytes of content: "), "{name}: {said}");
        let (content, end) = read(codec(name), &[bytes, WORDS.as_bytes()].concat());
        let said = end.expect_err("there is something behind the end");
        assert!(content == WORDS.as_bytes() && said.contains("data is damaged, after 46 bytes"), "{name}: {said}");
    }
    let (_, end) = read(Codec::Lz4, b"\x02\x21\x4c\x18\x05\0\0\0abcde");
    assert_eq!(
        end.unwrap_err(),
        "its lz4 data is damaged, after 0 bytes of content: it is in the old (legacy) format, which is not read"
    );
}

/// A disk that fails is not a file that is damaged.
#[test]
fn what_the_disk_says_is_passed_on() {
    struct Failing(bool);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the disk is gone"));
            }
            Read::read(&mut &FIXTURES[0].1[..30], buffer)
        }
    }
    let budget = MemoryBudget::new(1 << 20, 0).unwrap();
    for (codec, has_failed) in [(Codec::Gzip, false), (Codec::Zstd, true)] {
        let file = codec.read(Box::new(Failing(has_failed)), budget.room("test"));
        let error = file.and_then(|mut file| file.read_to_end(&mut Vec::new())).unwrap_err();
        assert_eq!((error.to_string().as_str(), Damaged::of(&error)), ("the disk is gone", None));
    }
}

/// The decoder takes its memory from the budget, however much memory the file says that it needs.
#[test]
fn what_a_decoder_needs_is_taken_from_the_budget() {
    let budget = MemoryBudget::new(2 << 20, 0).unwrap();
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(24).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.write_all(WORDS.as_bytes()).unwrap();
    let large_window = encoder.finish().unwrap();
    let (_, end) = read_with(&budget, Codec::Zstd, &large_window);
    assert!(end.unwrap_err().contains("do not fit into engine.memory = 2097152 bytes"));
    assert_eq!(read(Codec::Zstd, &large_window).0, WORDS.as_bytes());
    // The files ask for a window of nearly 2 TiB, for 2^60 bytes of content in one segment, and for a block of Hadoop
    // with 4 GiB.
    for (codec, bytes) in [
        (Codec::Zstd, &b"\x28\xb5\x2f\xfd\x00\xff\0\0\0\0\0\0\0\0\0\0\0"[..]),
        (Codec::Zstd, b"\x28\xb5\x2f\xfd\xe0\0\0\0\0\0\0\0\x10\0\0\0\0"),
        (Codec::Snappy, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
        (Codec::Snappy, b"\x03\0\0\0\x03\0\0\0abc"),
        (Codec::Lz4, b"\x04\x22\x4d\x18\x64\x70\xb9\0\0\0\0"),
        (Codec::Bzip2, b"BZh9"),
    ] {
        let (content, end) = read_with(&budget, codec, bytes);
        assert!(content.is_empty() && end.is_err(), "{codec}");
        // All memory was given back.
        budget.room("all").take(2 << 20).unwrap();
    }
}

/// 256 MiB of zeros from a few kilobytes, in a budget of 1 MiB: the content is passed on as it is read, and never held.
#[test]
fn a_file_that_grows_a_thousandfold_is_read_in_a_small_budget() {
    const CONTENT_BYTES: u64 = 256 << 20;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    io::copy(&mut io::repeat(0).take(CONTENT_BYTES), &mut encoder).unwrap();
    let file = encoder.finish().unwrap();
    assert!(file.len() < 512 * 1024);
    let budget = MemoryBudget::new(1 << 20, 0).unwrap();
    let mut content = Codec::Gzip.read(Box::new(io::Cursor::new(file)), budget.room("test")).unwrap();
    assert_eq!(io::copy(&mut content, &mut io::sink()).unwrap(), CONTENT_BYTES);
}

fn compressed(codec: Codec, content: &[u8]) -> Vec<u8> {
    match codec {
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Zstd => {
            let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Lz4 => {
            let info = lz4_flex::frame::FrameInfo::new().content_checksum(true);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Snappy => {
            let mut encoder = snap::write::FrameEncoder::new(Vec::new());
            encoder.write_all(content).unwrap();
            encoder.into_inner().unwrap()
        }
    }
}

fn codecs() -> impl Strategy<Value = Codec> {
    prop::sample::select(vec![Codec::Gzip, Codec::Bzip2, Codec::Zstd, Codec::Lz4, Codec::Snappy])
}

proptest! {
    /// Any content comes back, however it was divided into pieces when it was compressed, and however it is read.
    #[test]
    fn content_is_read_as_it_was(
        codec in codecs(),
        pieces in prop::collection::vec(("[ab\n]{1,20}", 1usize..9000), 1..4),
        read_bytes in 1usize..70_000,
    ) {
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|(text, times)| text.repeat(*times).into_bytes()).collect();
        let file: Vec<u8> = pieces.iter().flat_map(|piece| compressed(codec, piece)).collect();
        let budget = MemoryBudget::new(1 << 26, 0).unwrap();
        let mut reader = codec.read(Box::new(io::Cursor::new(file)), budget.room("test")).unwrap();
        let (mut content, mut buffer) = (Vec::new(), vec![0; read_bytes]);
        loop {
            match reader.read(&mut buffer).unwrap() {
                0 => break,
                count => content.extend_from_slice(&buffer[..count]),
            }
        }
        prop_assert!(content == pieces.concat());
    }

    /// Whatever a file contains, reading it ends, without a panic and within the budget.
    #[test]
    fn a_changed_file_is_no_danger(
        codec in codecs(), text in "[ab\n]{1,40}", at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = compressed(codec, text.as_bytes());
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let (content, end) = read(codec, &bytes);
        // A change is noticed, except for a change that turns a piece of the file into a piece that readers skip.
        prop_assert!(end.is_err() || text.as_bytes().starts_with(&content), "{content:?}");
    }

    #[test]
    fn any_bytes_are_no_danger(codec in codecs(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (content, end) = read(codec, &bytes);
        prop_assert!(end.is_err() || content.len() <= bytes.len() << 10);
    }
}
