//! Files that are read back with the readers of Arrow, and comparisons of their bytes.

use super::super::error::SaveError;
use super::super::tests::storage;
use super::super::{Granted, Outputs};
use crate::config::Access;
use crate::data::arbitrary::{rows, ty};
use crate::data::key::hash;
use crate::data::loading::from_columns;
use crate::data::schema::RecordType;
use crate::data::signed::Signed;
use crate::data::{columns, json, text};
use crate::env::Simulation;
use crate::grants::Grants;
use crate::graph::{DescribedNode, Graph, ParameterValue};
use crate::ids::NodeId;
use crate::time::Time;
use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::concat_batches;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::io::{Cursor, Write as _};
use std::path::Path;

const KINDS: [&str; 5] =
    ["save_as_text_files", "save_as_object_files", "save_as_parquet_files", "save_as_csv_files", "save_as_json_files"];

fn graph(kind: &str, ty: &RecordType) -> Result<Graph, String> {
    graph_with(kind, ty, &[])
}

/// A graph whose output has options.
fn graph_with(kind: &str, ty: &RecordType, options: &[(&str, &str)]) -> Result<Graph, String> {
    let node = |kind: &str, parents: Vec<u32>, parameters: &[(&str, &str)], rows| DescribedNode {
        kind: kind.to_owned(),
        name: None,
        parents,
        parameters: parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), ParameterValue::Text((*value).to_owned())))
            .collect(),
        rows,
        exchanged: None,
        state: None,
        earlier_state: None,
    };
    let source = node("source", vec![], &[("source", "s")], ty.fields().to_vec());
    let nodes = [source, node(kind, vec![0], &[&[("prefix", "x")], options].concat(), Vec::new())];
    Graph::from_described(&nodes)
        .map_err(|errors| format!("{}\nhelp: {}", errors[0], errors[0].help().unwrap_or_default()))
}

/// The file that an output of this kind saves for a partition with these rows.
fn saved(kind: &str, ty: &RecordType, batches: Vec<RecordBatch>) -> Vec<u8> {
    saved_with(kind, ty, &[], batches).unwrap()
}

/// The file that an output with options saves, or the reason why it does not.
fn saved_with(
    kind: &str,
    ty: &RecordType,
    options: &[(&str, &str)],
    batches: Vec<RecordBatch>,
) -> Result<Vec<u8>, crate::error::Error> {
    let simulation = Simulation::new(0, Time::default());
    simulation.file("/jobs/job.toml", "");
    let grants = Grants::writing("/jobs");
    let graph = graph_with(kind, ty, options).unwrap();
    let storage = storage(&simulation.env());
    let outputs = Outputs::open(&simulation.env(), "job", &graph, Granted::files(&grants), &storage).unwrap();
    let output = outputs.get(NodeId(1)).unwrap().clone();
    let work = async move {
        let batch = output.begin(Time::from_ms(5), Time::default()).await?;
        let mut writer = batch.writer(0, 0).await?;
        for rows in batches {
            writer.write(rows).await?;
        }
        writer.finish().await?;
        batch.commit(1).await
    };
    simulation.run(work).unwrap()?;
    let extension = match kind {
        "save_as_object_files" => ".arrow",
        "save_as_parquet_files" => ".parquet",
        "save_as_csv_files" => ".csv",
        "save_as_json_files" => ".json",
        _ => "",
    };
    Ok(simulation.files()[Path::new(&format!("/jobs/x-5/part-00000{extension}"))].clone())
}

fn batch(ty: &RecordType, values: &[Value]) -> RecordBatch {
    json::records(ty, values).unwrap()
}

/// The rows between neighbouring places in `cuts`, as slices.
fn cut(batch: &RecordBatch, cuts: &[usize]) -> Vec<RecordBatch> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (batch.num_rows() + 1)).collect();
    ends.extend([0, batch.num_rows()]);
    ends.sort_unstable();
    ends.windows(2).map(|ends| batch.slice(ends[0], ends[1] - ends[0])).collect()
}

fn read_arrow(bytes: &[u8]) -> RecordBatch {
    let reader = arrow_ipc::reader::FileReader::try_new(Cursor::new(bytes), None).unwrap();
    let schema = reader.schema();
    concat_batches(&schema, &reader.map(Result::unwrap).collect::<Vec<_>>()).unwrap()
}

fn parquet_reader(bytes: &[u8]) -> ParquetRecordBatchReaderBuilder<std::fs::File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    ParquetRecordBatchReaderBuilder::try_new(file).unwrap()
}

fn read_parquet(bytes: &[u8]) -> RecordBatch {
    let reader = parquet_reader(bytes);
    let schema = reader.schema().clone();
    concat_batches(&schema, &reader.build().unwrap().map(Result::unwrap).collect::<Vec<_>>()).unwrap()
}

fn read_json(ty: &RecordType, bytes: &[u8]) -> RecordBatch {
    let schema = columns::schema(ty);
    let reader =
        arrow_json::ReaderBuilder::new(schema.clone()).with_strict_mode(true).build(Cursor::new(bytes)).unwrap();
    concat_batches(&schema, &reader.map(Result::unwrap).collect::<Vec<_>>()).unwrap()
}

fn shown(batch: &RecordBatch, ty: &RecordType) -> Vec<String> {
    let show = |row| {
        let mut line = String::new();
        text::write_row(batch, ty, row, &mut line).unwrap();
        line
    };
    (0..batch.num_rows()).map(show).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// S6.05, S6.06: readers find the saved rows, with the names and types of the columns.
    #[test]
    fn rows_are_read_back_as_they_were((ty, _, batch) in rows(12)) {
        let expected = shown(&batch, &ty);
        let arrow = read_arrow(&saved("save_as_object_files", &ty, vec![batch.clone()]));
        prop_assert_eq!((arrow.schema(), shown(&arrow, &ty)), (columns::schema(&ty), expected.clone()));
        let parquet = saved_with("save_as_parquet_files", &ty, &[("u64", "decimal")], vec![batch.clone()]).unwrap();
        let parquet = read_parquet(&parquet);
        let (found, signed) = (parquet.schema(), Signed::new(&columns::schema(&ty), true));
        let loaded = from_columns(&ty, &parquet, &[]).unwrap();
        prop_assert_eq!((found.fields(), shown(&loaded, &ty)), (signed.schema().fields(), expected.clone()));
        let json = read_json(&ty, &saved("save_as_json_files", &ty, vec![batch]));
        prop_assert_eq!(shown(&json, &ty), expected);
    }

    /// S6.17: the bytes are a function of the rows, however they arrive.
    #[test]
    fn the_same_rows_make_the_same_bytes(
        (ty, _, batch) in rows(20), cuts in proptest::collection::vec(0usize..21, 0..4),
    ) {
        for kind in KINDS.into_iter().filter(|kind| graph(kind, &ty).is_ok()) {
            // Decimals hold any value.
            let save = |rows| saved_with(kind, &ty, &[("u64", "decimal")], rows).unwrap();
            prop_assert_eq!(save(cut(&batch, &cuts)), save(vec![batch.clone()]), "{}", kind);
        }
    }
}

/// More rows than a piece has, and more bytes than a row group.
#[test]
fn large_files_are_whole_and_the_same_however_rows_arrive() {
    let ty = ty(&[("", "struct", 2), ("0", "u64", 0), ("1", "text", 0)]);
    // Text that neither a dictionary nor a compressor makes small.
    let noise = |n: u64, at: u64| format!("{:016x}", hash(&(n * 256 + at).to_le_bytes()));
    let text = |n| (0..256).map(|at| noise(n, at)).collect::<String>();
    let values: Vec<Value> = (0..9000).map(|n| json!([n, text(n)])).collect();
    let all = batch(&ty, &values);
    for (kind, read) in
        [("save_as_object_files", read_arrow as fn(&[u8]) -> RecordBatch), ("save_as_parquet_files", read_parquet)]
    {
        let whole = saved(kind, &ty, vec![all.clone()]);
        assert!(whole == saved(kind, &ty, cut(&all, &[1, 100, 8191, 8192, 8500])), "{kind}");
        let loaded = from_columns(&ty, &read(&whole), &[]).unwrap();
        assert!(shown(&loaded, &ty) == shown(&all, &ty), "{kind}");
        if kind == "save_as_parquet_files" {
            let metadata = parquet_reader(&whole).metadata().clone();
            let rows: Vec<i64> = metadata.row_groups().iter().map(|group| group.num_rows()).collect();
            assert!(rows.len() == 2 && rows.iter().sum::<i64>() == 9000, "{rows:?}");
        }
    }
}

/// A reader needs the columns also if there are no rows.
#[test]
fn a_partition_without_rows_has_columns() {
    let pair = ty(&[("", "struct", 2), ("0", "text", 0), ("1", "u64", 0)]);
    assert_eq!(read_arrow(&saved("save_as_object_files", &pair, vec![])).schema(), columns::schema(&pair));
    let parquet = parquet_reader(&saved("save_as_parquet_files", &pair, vec![]));
    assert_eq!(parquet.schema().fields(), Signed::new(&columns::schema(&pair), false).schema().fields());
    assert_eq!(parquet.metadata().file_metadata().num_rows(), 0);
    assert_eq!(saved("save_as_csv_files", &pair, vec![]), b"_1,_2\n");
    assert_eq!(saved("save_as_json_files", &pair, vec![]), b"");
}

#[test]
fn a_parquet_file_says_who_has_written_it_and_is_compressed() {
    let ty = RecordType::text();
    let reader = parquet_reader(&saved("save_as_parquet_files", &ty, vec![batch(&ty, &[json!("a")])]));
    let metadata = reader.metadata();
    let expected = format!("millstream version {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(metadata.file_metadata().created_by(), Some(expected.as_str()));
    assert_eq!(metadata.row_group(0).column(0).compression(), Compression::SNAPPY);
}

#[test]
fn a_parquet_file_can_be_compressed_with_zstd() {
    let ty = RecordType::text();
    let rows = vec![batch(&ty, &[json!("a")])];
    let reader =
        parquet_reader(&saved_with("save_as_parquet_files", &ty, &[("compression", "zstd")], rows.clone()).unwrap());
    assert!(matches!(reader.metadata().row_group(0).column(0).compression(), Compression::ZSTD(_)));
    for (option, value, known) in
        [("compression", "lzo", "`snappy` and `zstd`"), ("u64", "uint64", "`int64` and `decimal`")]
    {
        let error = graph_with("save_as_parquet_files", &ty, &[(option, value)]).unwrap_err();
        let expected =
            format!("`save_as_parquet_files` (node 1): its `{option}` is `{value}`, and this host knows {known}");
        assert!(error.starts_with(&expected), "{error}");
    }
}

/// S6.06: the columns do not depend on the values, so a count that does not fit fails.
#[test]
fn a_count_that_does_not_fit_into_a_signed_column_fails() {
    let pair = ty(&[("", "struct", 2), ("0", "text", 0), ("1", "u64", 0)]);
    let save = |count: u64, options| {
        saved_with("save_as_parquet_files", &pair, options, vec![batch(&pair, &[json!(["a", count])])])
    };
    let columns = |options, count| parquet_reader(&save(count, options).unwrap()).schema().fields().clone();
    assert_eq!(columns(&[], 1), columns(&[], i64::MAX as u64));
    let error = save(u64::MAX, &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "output `save_as_parquet_files` (node 1) did not save batch 1970-01-01T00:00:00.005Z: column `_2` has the value \
         18446744073709551615, which does not fit into a signed column of 64 bits\n\
         help: save it with `u64_as(U64Column::Decimal)`, or map it to another type"
    );
    assert_eq!(error.kind, crate::error::ErrorKind::User);
    let decimals: &[(&str, &str)] = &[("u64", "decimal")];
    assert_eq!(columns(decimals, 1), columns(decimals, u64::MAX));
}

/// A reader of CSV finds the names and the values, but cannot distinguish empty text from absent text.
#[test]
fn csv_is_read_back() {
    let ty = ty(&[("", "struct", 4), ("who", "text", 0), ("n", "?i32", 0), ("x", "f64", 0), ("ok", "bool", 0)]);
    let values = [
        json!({"who": "a \"b\", c\nd", "n": null, "x": 1e300, "ok": true}),
        json!({"who": "é", "n": -3, "x": "-Infinity", "ok": false}),
        json!({"who": "-", "n": 0, "x": 0.1, "ok": false}),
    ];
    let rows = batch(&ty, &values);
    let bytes = saved("save_as_csv_files", &ty, vec![rows.clone()]);
    let reader =
        arrow_csv::ReaderBuilder::new(columns::schema(&ty)).with_header(true).build(Cursor::new(&bytes)).unwrap();
    let read: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    assert_eq!(read.iter().flat_map(|batch| shown(batch, &ty)).collect::<Vec<_>>(), shown(&rows, &ty));
    assert!(bytes.starts_with(b"who,n,x,ok\n"));
}

/// Rows whose columns are not single values cannot be CSV. The mistake is reported when the job is checked.
#[test]
fn csv_of_nested_values_is_refused() {
    let refused = |fields: &[(&str, &str, u32)]| graph("save_as_csv_files", &ty(fields)).unwrap_err();
    let help = "help: save JSON or Parquet files, or map such values to text";
    assert_eq!(
        refused(&[("", "struct", 2), ("0", "text", 0), ("1", "list", 1), ("", "u8", 0)]),
        format!(
            "`save_as_csv_files` (node 1): column `_2` is list<u8>, and a field of a CSV file is a single value\n{help}"
        )
    );
    assert_eq!(
        refused(&[("", "list", 1), ("", "text", 0)]),
        format!(
            "`save_as_csv_files` (node 1): column `value` is list<text>, and a field of a CSV file is a single value\n\
             {help}"
        )
    );
}

#[test]
fn json_is_an_object_a_line() {
    let lines = |fields: &[(&str, &str, u32)], values: &[Value]| {
        let ty = ty(fields);
        String::from_utf8(saved("save_as_json_files", &ty, vec![batch(&ty, values)])).unwrap()
    };
    assert_eq!(
        lines(&[("", "?text", 0)], &[json!("a\n\"b\""), json!(null)]),
        "{\"value\":\"a\\n\\\"b\\\"\"}\n{\"value\":null}\n"
    );
    let fields = [
        ("", "struct", 3),
        ("0", "?f32", 0),
        ("1", "struct", 2),
        ("z", "bytes", 0),
        ("a", "u64", 0),
        ("2", "list", 1),
        ("", "struct", 2),
        ("0", "bool", 0),
        ("1", "i8", 0),
    ];
    let values = [
        json!([0.1, {"z": "00ff", "a": u64::MAX}, [[true, -1], [false, 2]]]),
        json!(["NaN", {"z": "", "a": 0}, []]),
        json!([null, {"z": "", "a": 0}, []]),
    ];
    assert_eq!(
        lines(&fields, &values),
        "{\"_1\":0.1,\"_2\":{\"z\":\"00ff\",\"a\":18446744073709551615},\"_3\":[{\"_1\":true,\"_2\":-1},{\"_1\":false,\"_2\":2}]}\n\
         {\"_1\":\"NaN\",\"_2\":{\"z\":\"\",\"a\":0},\"_3\":[]}\n\
         {\"_1\":null,\"_2\":{\"z\":\"\",\"a\":0},\"_3\":[]}\n"
    );
}

/// Bytes stay bytes in formats that have a type for bytes.
#[test]
fn bytes_are_bytes_in_arrow_and_parquet() {
    let ty = ty(&[("", "bytes", 0)]);
    let rows = batch(&ty, &[json!("00ff")]);
    for read in [
        read_arrow(&saved("save_as_object_files", &ty, vec![rows.clone()])),
        read_parquet(&saved("save_as_parquet_files", &ty, vec![rows])),
    ] {
        let column: &ArrayRef = read.column(0);
        assert_eq!((column.len(), column.as_binary::<i32>().value(0)), (1, &[0u8, 0xff][..]));
    }
}

/// The host checks the rows that an engine gives it.
#[test]
fn rows_of_another_type_are_a_defect() {
    let rows = batch(&ty(&[("", "u8", 0)]), &[json!(1)]);
    for format in [crate::graph::FileFormat::Arrow, crate::graph::FileFormat::Json] {
        let simulation = Simulation::new(0, Time::default());
        simulation.file("/jobs/job.toml", "");
        let grants = Grants::writing("/jobs");
        let id = super::super::OutputId { job: "job".to_owned(), output: "x".to_owned() };
        let disk = simulation.env().disk;
        let directories = super::super::BatchDirectories::new(
            disk,
            &id,
            "`x`",
            grants.resolve("x", Access::Write).unwrap(),
            ("x", ""),
        )
        .unwrap();
        let directory = directories.begin(Time::from_ms(5)).unwrap();
        let mut file = directory.part("part-00000", 0).unwrap();
        let error = super::encoder(format, &RecordType::text()).unwrap().write(&rows, &mut file).unwrap_err();
        assert!(matches!(&error, SaveError::Rows(_) | SaveError::Encode(_)));
        let told = directory.error(&error);
        assert_eq!(told.kind, crate::error::ErrorKind::Internal);
        assert!(told.message.ends_with("column `value` is of the arrow type UInt8, text is needed"), "{told}");
    }
}
