//! Tests of lines from bytes: however the bytes are cut, the lines are the same.

use super::*;
use arrow::array::AsArray;
use proptest::prelude::*;

fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let texts = batches.iter().flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten());
    texts.map(str::to_owned).collect()
}

fn split(bytes: &[u8]) -> Vec<String> {
    let mut splitter = LineSplitter::new(100, 100);
    splitter.push(bytes);
    lines(&splitter.finish())
}

/// The lines of the whole stream, split in the simplest way, and the replaced and dropped lines.
fn expected(bytes: &[u8], max_line_bytes: usize) -> (Vec<String>, LineFaults) {
    let mut pieces: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    let last = pieces.pop().unwrap();
    let mut all: Vec<&[u8]> = pieces.iter().map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    if !last.is_empty() {
        all.push(last);
    }
    let (mut texts, mut faults) = (Vec::new(), LineFaults::default());
    for (number, line) in (1..).zip(all) {
        if line.len() > max_line_bytes {
            faults.dropped.add(number);
            continue;
        }
        texts.push(String::from_utf8_lossy(line).into_owned());
        if std::str::from_utf8(line).is_err() {
            faults.replaced.add(number);
        }
    }
    (texts, faults)
}

#[test]
fn lines_end_with_a_line_feed() {
    assert_eq!(split(b"a\nb\r\n\nc\rd\r\r\n\r\n"), ["a", "b", "", "c\rd\r", ""]);
    assert_eq!(split(b"a\nrest"), ["a", "rest"]);
    assert_eq!(split(b"rest\r"), ["rest\r"]);
    assert_eq!(split(b""), [] as [&str; 0]);
}

#[test]
fn what_is_not_text_is_replaced_and_counted() {
    let mut splitter = LineSplitter::new(100, 1000);
    // If line ends did not separate them, the bytes of the second and third line would be an `é`.
    splitter.push(b"good\n\xc3\n\xa9\nalso g\xc3\xb6\xc3\xb6d\na\xff\xffb");
    assert_eq!(lines(&splitter.take()), ["good", "\u{fffd}", "\u{fffd}", "also gööd"]);
    assert_eq!(splitter.faults().replaced, BadLines { count: 2, first: 2 });
    assert_eq!(lines(&splitter.finish()), ["a\u{fffd}\u{fffd}b"]);
    assert_eq!(splitter.take_faults().replaced, BadLines { count: 3, first: 2 });
    splitter.push(b"g\n\xff\n");
    assert_eq!(lines(&splitter.take()), ["g", "\u{fffd}"]);
    assert_eq!(splitter.faults().replaced, BadLines { count: 1, first: 7 });
}

#[test]
fn a_line_that_is_too_long_is_dropped_as_a_whole() {
    let mut splitter = LineSplitter::new(3, 1000);
    for piece in ["abc\r", "\nabcd\nab", "cd", "efg", "\nx\nabcdefg\nyz", "w\r", "z\nabcd"] {
        splitter.push(piece.as_bytes());
    }
    assert_eq!(lines(&splitter.take()), ["abc", "x"]);
    assert_eq!(splitter.faults().dropped, BadLines { count: 4, first: 2 });
    assert_eq!(lines(&splitter.finish()), [] as [&str; 0]);
    assert_eq!(splitter.faults().dropped.count, 5);
    splitter.push(b"ok");
    assert_eq!(lines(&splitter.finish()), ["ok"]);
}

/// The numbers of lines are right, however many lines are dropped between two chunks.
#[test]
fn lines_are_counted_whatever_is_dropped() {
    let mut splitter = LineSplitter::new(1, 1 << 20);
    splitter.push(&[&b"aa\n".repeat(3 * DROPPED_AT_MAX)[..], b"b\ncc\n\xff\n"].concat());
    assert_eq!(lines(&splitter.finish()), ["b", "\u{fffd}"]);
    let lines = 3 * DROPPED_AT_MAX as u64;
    assert_eq!(splitter.faults().dropped, BadLines { count: lines + 1, first: 1 });
    assert_eq!(splitter.faults().replaced, BadLines { count: 1, first: lines + 3 });
}

#[test]
fn chunks_have_about_the_target_size() {
    let mut splitter = LineSplitter::new(1000, 500);
    let line = [b"x".repeat(46), b"\n".to_vec()].concat();
    splitter.push(&line.repeat(100));
    splitter.push(&[b"y".repeat(700), b"\n".to_vec()].concat());
    assert!(splitter.buffered_bytes() > 5000);
    let batches = splitter.take();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [vec![10; 10], vec![1]].concat());
    assert!(batches.iter().all(|batch| batch.schema() == *RecordType::text().arrow()));
    assert_eq!(splitter.take(), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn lines_do_not_depend_on_the_cuts(
        pieces in proptest::collection::vec(prop_oneof![
            3 => "[a-cé€😀]{0,5}".prop_map(String::into_bytes),
            3 => proptest::sample::select(vec![b"\n".to_vec(), b"\r\n".to_vec(), b"\r".to_vec(), b"\n\n".to_vec()]),
            1 => proptest::collection::vec(any::<u8>(), 0..4),
        ], 0..20),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..10),
        max_line_bytes in 1..12usize,
        target_chunk_bytes in 1..60usize,
    ) {
        let bytes = pieces.concat();
        let mut splitter = LineSplitter::new(max_line_bytes, target_chunk_bytes);
        let mut cuts: Vec<_> = cuts.iter().map(|(at, take)| (at.index(bytes.len() + 1), *take)).collect();
        cuts.sort_unstable();
        let (mut batches, mut start) = (Vec::new(), 0);
        for (end, take) in cuts {
            splitter.push(&bytes[start..end]);
            start = end;
            if take {
                batches.extend(splitter.take());
            }
        }
        splitter.push(&bytes[start..]);
        batches.extend(splitter.finish());
        let (texts, faults) = expected(&bytes, max_line_bytes);
        prop_assert_eq!(lines(&batches), texts);
        prop_assert_eq!(splitter.faults(), faults);
        prop_assert!(batches.iter().all(|batch| batch.num_rows() > 0));
    }
}
