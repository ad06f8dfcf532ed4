//! Dates, times and decimals in files that pyarrow, DuckDB and Spark wrote: `tests/fixtures/columns`.

use super::*;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, &include_bytes!(concat!("../../../../../tests/fixtures/columns/", $name))[..])),*]
    };
}

/// The rows that all files hold, unless a test says something else.
const ROWS: [&str; 3] = [
    r#"{"at":"2026-01-31T23:59:59.500Z","clock":"12:00:00.000001","day":"2026-01-31","id":1,"local":"2026-01-31T23:59:59.500","price":"19.90"}"#,
    r#"{"at":"1969-12-31T23:59:59.999999Z","clock":"00:00:00","day":"1969-12-31","id":2,"local":"1969-12-31T23:59:59.999999","price":"-0.01"}"#,
    r#"{"at":null,"clock":null,"day":null,"id":3,"local":null,"price":null}"#,
];

fn sales() -> RecordType {
    ty(&[
        ("", "struct", 6),
        ("at", "?timestamp[us]", 0),
        ("clock", "?time[us]", 0),
        ("day", "?date", 0),
        ("id", "i64", 0),
        ("local", "?datetime[us]", 0),
        ("price", "?decimal(12,2)", 0),
    ])
}

fn read(content: &[u8], format: LoadedFormat, ty: &RecordType) -> Result<Vec<String>, String> {
    let world = World::new(content);
    world.read(&world.part(format, 0, world.file.bytes), ty)
}

#[test]
fn parquet_files_of_every_codec_hold_the_same_rows() {
    let files = files![
        "pyarrow-none.parquet",
        "pyarrow-snappy.parquet",
        "pyarrow-gzip.parquet",
        "pyarrow-lz4.parquet",
        "pyarrow-brotli.parquet",
        "pyarrow-zstd.parquet",
        // Nanoseconds, a zone and decimals of 40 digits.
        "pyarrow-nanos.parquet",
        "duckdb-snappy.parquet",
        "duckdb-gzip.parquet",
        "duckdb-zstd.parquet",
        "duckdb-lz4_raw.parquet",
        "duckdb-brotli.parquet",
    ];
    for (name, content) in files {
        assert_eq!(read(content, LoadedFormat::Parquet, &sales()), Ok(ROWS.map(str::to_owned).to_vec()), "{name}");
    }
}

#[test]
fn csv_and_json_files_hold_the_same_rows() {
    for (name, content) in files!["pyarrow.csv", "duckdb.csv"] {
        assert_eq!(read(content, LoadedFormat::Csv, &sales()), Ok(ROWS.map(str::to_owned).to_vec()), "{name}");
    }
    let [(name, content)] = files!["duckdb.json"];
    assert_eq!(read(content, LoadedFormat::Json, &sales()), Ok(ROWS.map(str::to_owned).to_vec()), "{name}");
}

/// Spark has no type for the time of a day, and CSV of Spark has no local times here.
#[test]
fn files_of_spark_hold_the_same_rows() {
    let without = |text: &str| {
        let start = text.find(r#""clock""#).unwrap();
        let end = text.find(r#""day""#).unwrap();
        format!("{}\"clock\":null,{}", &text[..start], &text[end..])
    };
    let rows: Vec<String> = ROWS.iter().map(|row| without(row)).collect();
    for (name, content) in files!["spark-int96.parquet", "spark-micros.parquet"] {
        assert_eq!(read(content, LoadedFormat::Parquet, &sales()), Ok(rows.clone()), "{name}");
    }
    // Row 2 has microseconds.
    let whole = [rows[0].clone(), rows[2].clone()];
    let [(name, content)] = files!["spark-millis.parquet"];
    assert_eq!(read(content, LoadedFormat::Parquet, &sales()), Ok(whole.to_vec()), "{name}");
    let columns =
        ty(&[("", "struct", 3), ("at", "?timestamp[us]", 0), ("day", "?date", 0), ("price", "?decimal(12,2)", 0)]);
    let expected = [
        // Spark's default format of CSV cuts to milliseconds.
        r#"{"at":"2026-01-31T23:59:59.500Z","day":"2026-01-31","price":"19.90"}"#,
        r#"{"at":"1969-12-31T23:59:59.999Z","day":"1969-12-31","price":"-0.01"}"#,
        r#"{"at":null,"day":null,"price":null}"#,
    ];
    let [(name, content)] = files!["spark.csv"];
    assert_eq!(read(content, LoadedFormat::Csv, &columns), Ok(expected.map(str::to_owned).to_vec()), "{name}");
}

#[test]
fn int96_is_an_instant() {
    let [(_, content)] = files!["pyarrow-int96.parquet"];
    let nested = ty(&[
        ("", "struct", 3),
        ("at", "timestamp[ns]", 0),
        ("ats", "list", 1),
        ("", "?timestamp[us]", 0),
        ("id", "i64", 0),
    ]);
    let row = r#"{"at":"2026-01-31T23:59:59.500Z","ats":["1969-12-31T23:59:59.999999Z",null],"id":1}"#;
    assert_eq!(read(content, LoadedFormat::Parquet, &nested), Ok(vec![row.to_owned()]));
    let local = ty(&[("", "struct", 1), ("at", "datetime[us]", 0)]);
    let told = "/f, row 1, column `at`: expected datetime[us], found Timestamp(µs, \"UTC\"); a field of type timestamp[us] reads such a column";
    assert_eq!(read(content, LoadedFormat::Parquet, &local), Err(format!("{told}{FIX}")));
}

#[test]
fn a_column_without_a_record_says_so() {
    let [(_, content)] = files!["pyarrow-duration.parquet"];
    let told = |name: &str, kind: &str| {
        read(content, LoadedFormat::Parquet, &ty(&[("", "struct", 1), (name, kind, 0)])).unwrap_err()
    };
    assert_eq!(
        told("span", "i64"),
        format!(
            "/f, row 1, column `span`: expected i64, found Duration(s); no record has such a column: cast it to a number \
             where the file is written{FIX}"
        )
    );
    assert_eq!(
        told("at", "timestamp[us]"),
        format!(
            "/f, row 1, column `at`: expected timestamp[us], found Timestamp(µs); a field of type datetime[us] reads such a \
             column{FIX}"
        )
    );
}
