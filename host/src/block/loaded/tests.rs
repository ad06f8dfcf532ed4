//! Tests of files that driver functions load.

use super::*;
use crate::data::arbitrary::ty;
use crate::data::json::row_to_json;
use crate::env::Simulation;
use arrow::array::{ArrayRef, Int64Array};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

fn budget() -> MemoryBudget {
    MemoryBudget::new(1 << 24, 0).unwrap()
}

struct World {
    simulation: Simulation,
    file: FileVersion,
}

impl World {
    fn new(content: impl Into<Vec<u8>>) -> Self {
        let simulation = Simulation::new(0, Time::from_ms(7));
        simulation.file("/f", content);
        let entry = simulation.env().disk.entry(Path::new("/f")).unwrap();
        Self { simulation, file: entry.into() }
    }

    fn read(&self, part: &LoadedPart, ty: &RecordType) -> Result<Vec<String>, String> {
        let told = |error: LoadError| Error::from(&error).to_string();
        let mut reader = part.read(&self.simulation.env().disk, &budget(), ty).map_err(told)?;
        let mut rows = Vec::new();
        while let Some(chunk) = reader.next_chunk().map_err(told)? {
            rows.extend((0..chunk.num_rows()).map(|row| row_to_json(&chunk, ty, row).unwrap().to_string()));
        }
        Ok(rows)
    }

    fn part(&self, format: LoadedFormat, start: u64, end: u64) -> LoadedPart {
        LoadedPart { file: self.file.clone(), format, start, end }
    }

    /// Reads all parts of a file that is cut at these places.
    fn read_cut(&self, format: LoadedFormat, cuts: &[u64], ty: &RecordType) -> Result<Vec<String>, String> {
        let end = self.file.bytes;
        let mut bounds: Vec<u64> = cuts.iter().map(|cut| *cut.min(&end)).chain([0, end]).collect();
        bounds.sort_unstable();
        let parts = bounds.windows(2).map(|range| self.part(format, range[0], range[1]));
        parts.map(|part| self.read(&part, ty)).collect::<Result<Vec<_>, _>>().map(|rows| rows.concat())
    }
}

fn number() -> RecordType {
    ty(&[("", "struct", 1), ("n", "i64", 0)])
}

const FIX: &str = "\nhelp: correct the file, or the record that the plugin reads it as";

proptest! {
    /// However a file is cut into parts, its records come once and in order.
    #[test]
    fn parts_give_each_record_once(
        numbers in prop::collection::vec(any::<i16>(), 0..20), cuts in prop::collection::vec(0u64..300, 0..5),
        blank in any::<bool>(),
    ) {
        let expected: Vec<String> = numbers.iter().map(|n| format!("{{\"n\":{n}}}")).collect();
        let text: String = expected.iter().map(|line| format!("{line}\n{}", if blank { "\r\n" } else { "" })).collect();
        let found = World::new(text).read_cut(LoadedFormat::Json, &cuts, &number());
        prop_assert_eq!(found, Ok(expected));
    }

    /// The error of a wrong record has its line in the file, whichever part contains the record.
    #[test]
    fn a_wrong_line_is_told(
        before in 0usize..9, after in 0usize..9, cuts in prop::collection::vec(0u64..300, 0..5),
    ) {
        let text = format!("{}{{\"n\":\"x\"}}\n{}", "{\"n\":12}\n".repeat(before), "{\"n\":3}\n".repeat(after));
        let found = World::new(text).read_cut(LoadedFormat::Json, &cuts, &number());
        let expected = format!("/f, line {}, column `n`: expected i64, found \"x\"{FIX}", before + 1);
        prop_assert_eq!(found, Err(expected));
    }

    /// The same is true for row groups of columns.
    #[test]
    fn row_groups_are_read_once(
        groups in prop::collection::vec(0i64..20, 0..5), cuts in prop::collection::vec(0u64..2000, 0..5),
        wrong in prop::option::of(0usize..50),
    ) {
        let rows: i64 = groups.iter().sum();
        let wrong = wrong.filter(|at| (*at as i64) < rows);
        let world = World::new(parquet(&groups, wrong));
        let found = world.read_cut(LoadedFormat::Parquet, &cuts, &number());
        let expected = match wrong {
            None => Ok((0..rows).map(|n| format!("{{\"n\":{n}}}")).collect::<Vec<_>>()),
            Some(at) => Err(format!("/f, row {}, column `n`: expected i64, found no value{FIX}", at + 1)),
        };
        prop_assert_eq!(found, expected);
    }
}

/// Numbers in groups of these sizes. One of the numbers may be absent.
fn parquet(groups: &[i64], absent: Option<usize>) -> Vec<u8> {
    let rows = |from: i64, count: i64| {
        let numbers = (from..from + count).map(|n| (absent != Some(n as usize)).then_some(n));
        let column = Arc::new(numbers.collect::<Int64Array>()) as ArrayRef;
        RecordBatch::try_from_iter_with_nullable([("n", column, true)]).unwrap()
    };
    let mut writer = ArrowWriter::try_new(Vec::new(), rows(0, 0).schema(), None).unwrap();
    let mut from = 0;
    for count in groups {
        writer.write(&rows(from, *count)).unwrap();
        writer.flush().unwrap();
        from += count;
    }
    writer.into_inner().unwrap()
}

/// Numbers in a group, compressed.
fn compressed(codec: Compression) -> Vec<u8> {
    let column = Arc::new((0..1000).collect::<Int64Array>()) as ArrayRef;
    let rows = RecordBatch::try_from_iter([("n", column)]).unwrap();
    let properties = WriterProperties::builder().set_compression(codec).set_dictionary_enabled(false).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn parquet_of_every_codec_is_read() {
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::BROTLI(BrotliLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
    ];
    let sizes = codecs.map(|codec| {
        let world = World::new(compressed(codec));
        let found = world.read_cut(LoadedFormat::Parquet, &[], &number()).unwrap();
        assert_eq!(found, (0..1000).map(|n| format!("{{\"n\":{n}}}")).collect::<Vec<_>>(), "{codec}");
        world.file.bytes
    });
    assert!(sizes[1..].iter().all(|size| *size < sizes[0]), "{sizes:?}");
}

#[test]
fn a_column_that_is_not_there_is_told_with_those_that_are() {
    let other = ty(&[("", "struct", 2), ("n", "?i64", 0), ("m", "text", 0)]);
    let told = |content: Vec<u8>, format| {
        let world = World::new(content);
        world.read_cut(format, &[], &other).unwrap_err()
    };
    let problem =
        |names: &str| format!("there is no such column, and text has to be there; the columns are {names}{FIX}");
    let expected = format!("/f, row 1, column `m`: {}", problem("`n`"));
    assert_eq!(told(parquet(&[1], None), LoadedFormat::Parquet), expected);
    let expected = format!("/f, line 1, column `m`: {}", problem("`n`, `M`, `x`"));
    assert_eq!(told(b"n,M,x\n1,2,3\n".to_vec(), LoadedFormat::Csv), expected);
    let expected = format!("/f, line 1, column `m`: {}", problem("`M`, `n`"));
    assert_eq!(told(b"{\"n\":1,\"M\":2}\n".to_vec(), LoadedFormat::Json), expected);
}

#[test]
fn a_name_that_an_object_or_a_header_has_twice_is_refused() {
    let told =
        |content: &str, format| World::new(content.as_bytes().to_vec()).read_cut(format, &[], &number()).unwrap_err();
    let json = told("{\"n\":1}\n{\"n\":1,\"n\":2}\n", LoadedFormat::Json);
    assert_eq!(json, format!("/f, line 2: an object has the member `n` twice, at character 10{FIX}"));
    let csv = told("n,n\n1,2\n", LoadedFormat::Csv);
    assert_eq!(csv, format!("/f, line 1, column `n`: there is more than one column of this name{FIX}"));
}

/// S5.09: all tasks of a batch read the same file.
#[test]
fn a_file_that_changed_is_told() {
    for format in [LoadedFormat::Text, LoadedFormat::Csv, LoadedFormat::Json, LoadedFormat::Parquet] {
        let world = World::new("value\n1\n");
        let part = world.part(format, 0, 8);
        world.simulation.file("/f", "value\n22\n");
        let text = RecordType::text();
        assert_eq!(
            world.read(&part, &text),
            Err("/f changed while the batch read it: it had 8 bytes, modified at 1970-01-01T00:00:00Z, and has 9 bytes, modified at 1970-01-01T00:00:00Z\n\
                 help: all reads of a batch must see the same file: give each new version a new name, or set \
                 job.on_error = \"continue\" to go on with the next batch, which reads the new version"
                .to_owned())
        );
    }
    // The file changes while it is read. A fault that was found in between is not reported.
    let world = World::new("{}\n".repeat(100_000));
    let part = world.part(LoadedFormat::Json, 0, 300_000);
    let mut reader =
        part.read(&world.simulation.env().disk, &budget(), &ty(&[("", "struct", 1), ("n", "?i64", 0)])).unwrap();
    assert!(reader.next_chunk().unwrap().is_some());
    world.simulation.file("/f", "x");
    let end = std::iter::from_fn(|| reader.next_chunk().transpose()).find_map(Result::err).unwrap();
    assert!(matches!(end, LoadError::Changed { .. }), "{end}");
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let whole = |content: &[u8], format, ty: &RecordType| {
        let world = World::new(content.to_vec());
        let parts = LoadedPart::parts(&world.file, format);
        parts.iter().try_for_each(|part| world.read(part, ty).map(drop)).unwrap_err()
    };
    let at = |content: &str| whole(content.as_bytes(), LoadedFormat::Json, &number());
    assert_eq!(at("{\"n\":1}\n{\"n\":\n"), format!("/f, line 2: EOF while parsing a value, at character 5{FIX}"));
    assert_eq!(at("[1]\n"), format!("/f, line 1: the line is not a JSON object{FIX}"));
    assert_eq!(
        at("{}"),
        format!("/f, line 1, column `n`: there is no such column, and i64 has to be there; there are no columns{FIX}")
    );
    let not_text = whole(b"{\"n\":1,\"x\":\"\xff\"}\n", LoadedFormat::Json, &number());
    assert_eq!(not_text, format!("/f, line 1: the text is not UTF-8{FIX}"));
    let long = vec![b'x'; LINE_BYTES_MAX + 1];
    for format in [LoadedFormat::Text, LoadedFormat::Json] {
        let told = whole(&long, format, &RecordType::text());
        assert_eq!(told, format!("/f cannot be read: it has a line of more than 16777216 bytes{FIX}"));
    }
    for content in [&b""[..], b"PAR1", b"not a Parquet file at all"] {
        let told = whole(content, LoadedFormat::Parquet, &number());
        assert!(told.starts_with("/f cannot be read: "), "{told}");
    }
    let mut damaged = parquet(&[100], None);
    damaged[10..60].fill(0xff);
    assert!(whole(&damaged, LoadedFormat::Parquet, &number()).starts_with("/f cannot be read: "));
}

#[test]
fn large_files_have_many_parts_and_csv_has_one() {
    let (modified, stamp) = (Time::default(), FileStamp::modified_at(Time::default()));
    let file = FileVersion { path: "/f".into(), bytes: 2 * PART_BYTES + 1, modified, stamp };
    let bounds =
        |format| LoadedPart::parts(&file, format).iter().map(|part| (part.start, part.end)).collect::<Vec<_>>();
    let parts = [(0, PART_BYTES), (PART_BYTES, 2 * PART_BYTES), (2 * PART_BYTES, 2 * PART_BYTES + 1)];
    for format in [LoadedFormat::Text, LoadedFormat::Json, LoadedFormat::Parquet] {
        assert_eq!(bounds(format), parts);
    }
    assert_eq!(bounds(LoadedFormat::Csv), [(0, file.bytes)]);
}

mod other_programs;
