//! Tests of rows as CSV.

use super::super::arbitrary::{rows, ty};
use super::super::json;
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn lines(fields: &[(&str, &str, u32)], values: &[Value]) -> String {
    let ty = ty(fields);
    let batch = json::records(&ty, values).unwrap();
    let writer = CsvWriter::new(&batch, &ty).unwrap();
    let mut out = String::new();
    write_header(&ty, &mut out);
    for row in 0..values.len() {
        out.push('\n');
        writer.write(row, &mut out).unwrap();
    }
    assert!(matches!(writer.write(values.len(), &mut out), Err(ViewError::Row { .. })));
    out
}

#[test]
fn text_is_quoted_where_readers_need_it() {
    let pair = [("", "struct", 2), ("0", "text", 0), ("1", "?text", 0)];
    let values = [
        json!(["plain text", "it's"]),
        json!(["a,b", null]),
        json!(["", ""]),
        json!(["say \"hi\"", "\""]),
        json!(["two\nlines", "\r"]),
        json!([" space ", "None"]),
    ];
    let expected =
        "_1,_2\nplain text,it's\n\"a,b\",\n\"\",\"\"\n\"say \"\"hi\"\"\",\"\"\"\"\n\"two\nlines\",\"\r\"\n space ,None";
    assert_eq!(lines(&pair, &values), expected);
}

#[test]
fn values_are_written_as_print_shows_them() {
    let fields = [
        ("", "struct", 5),
        ("n", "i64", 0),
        ("a,b", "?f64", 0),
        ("yes", "bool", 0),
        ("raw", "bytes", 0),
        ("u", "u64", 0),
    ];
    let values = [
        json!({"n": -7, "a,b": 1.5, "yes": true, "raw": "00ff", "u": u64::MAX}),
        json!({"n": 0, "a,b": null, "yes": false, "raw": "", "u": 0}),
        json!({"n": 0, "a,b": "-Infinity", "yes": false, "raw": "10", "u": 0}),
        json!({"n": 0, "a,b": 1e10, "yes": false, "raw": "10", "u": 0}),
    ];
    let expected = "n,\"a,b\",yes,raw,u\n-7,1.5,true,00ff,18446744073709551615\n0,,false,\"\",0\n0,-Infinity,false,10,0\n\
                    0,1.0E10,false,10,0";
    assert_eq!(lines(&fields, &values), expected);
}

/// No line is empty, because readers skip empty lines.
#[test]
fn no_line_is_empty() {
    assert_eq!(lines(&[("", "?u8", 0)], &[json!(1), json!(null), json!(2)]), "value\n1\n\"\"\n2");
    assert_eq!(lines(&[("", "text", 0)], &[json!("")]), "value\n\"\"");
}

fn read(ty: &RecordType, pieces: &[&[u8]]) -> Result<Vec<Value>, String> {
    let mut reader = CsvReader::new(ty);
    let told =
        |(line, fault): (u64, super::super::loading::Fault)| format!("{line} {}: {}", fault.column, fault.problem);
    pieces.iter().try_for_each(|piece| reader.push(piece)).map_err(told)?;
    reader.finish().map_err(told)?;
    let batches = reader.take();
    let row = |batch: &RecordBatch, row| json::row_to_json(batch, ty, row).unwrap();
    Ok(batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |at| row(batch, at))).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Written lines are read as the same rows, however the bytes arrive.
    #[test]
    fn rows_come_back_from_their_lines(
        (ty, values, batch) in rows(20), cuts in proptest::collection::vec(0usize..500, 0..4),
    ) {
        let is_only = ty.columns().len() == 1;
        // If a line has only one column, empty text and an absent text have the same form.
        let is_ambiguous = is_only && ty.columns()[0].nullable();
        // Most types are nested.
        if super::super::columns::nested(&ty).is_some() || is_ambiguous {
            return Ok(());
        }
        let writer = CsvWriter::new(&batch, &ty).unwrap();
        let mut text = String::new();
        write_header(&ty, &mut text);
        for row in 0..batch.num_rows() {
            text.push_str(if row % 2 == 0 { "\n" } else { "\r\n" });
            writer.write(row, &mut text).unwrap();
        }
        let bytes = text.as_bytes();
        let mut bounds: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain([0, bytes.len()]).collect();
        bounds.sort_unstable();
        let pieces: Vec<&[u8]> = bounds.windows(2).map(|range| &bytes[range[0]..range[1]]).collect();
        let found = read(&ty, &pieces);
        prop_assert_eq!(found, Ok(values), "{}", text);
    }

    /// Any bytes are read or refused.
    #[test]
    fn any_bytes_are_read_or_refused((ty, _, _) in rows(0), text in "(a|1|,|\"|\n|\r|\\PC){0,60}") {
        if super::super::columns::nested(&ty).is_some() {
            return Ok(());
        }
        let _ = read(&ty, &[text.as_bytes()]);
    }
}

#[test]
fn columns_are_found_by_their_names() {
    let wanted = ty(&[("", "struct", 3), ("id", "u16", 0), ("name", "?text", 0), ("ok", "?bool", 0)]);
    let text = "name,x,id\r\nTom,1,7\r\n\r\n,\"2\n\",8\n\"\",,9";
    let found = read(&wanted, &[text.as_bytes()]).unwrap();
    let expected = [
        json!({"id": 7, "name": "Tom", "ok": null}),
        json!({"id": 8, "name": null, "ok": null}),
        json!({"id": 9, "name": "", "ok": null}),
    ];
    assert_eq!(found, expected);
    assert_eq!(read(&wanted, &[]), Ok(Vec::new()));
}

#[test]
fn what_is_wrong_is_told_with_line_and_column() {
    let wanted = ty(&[("", "struct", 2), ("id", "u8", 0), ("x", "f64", 0)]);
    let fault = |text: &str| read(&wanted, &[text.as_bytes()]).unwrap_err();
    assert_eq!(fault("id\n1"), "1 x: there is no such column, and f64 has to be there; the columns are `id`");
    assert_eq!(fault("id,x,id\n1,2,3"), "1 id: there is more than one column of this name");
    assert_eq!(fault("id,x\n1,2\n\n256,\"1\n\"\n"), "4 id: expected u8, found `256`");
    assert_eq!(fault("id,x\n1,\n"), "2 x: expected f64, found nothing");
    assert_eq!(fault("id,x\n1,2,3\n"), "2 : it has 3 fields, and the first line has 2");
    assert_eq!(fault("id,x\n1,\"2\n3"), "2 : a quoted field is not closed");
    assert_eq!(fault("id,x\n1,\"2\"3"), "2 : there is text behind a quoted field");
    assert_eq!(fault("id,x\n1,2\"3"), "2 : there is a quote inside of a field that has none around it");
    let not_text = read(&ty(&[("", "text", 0)]), &[b"value\n\xff"]);
    assert_eq!(not_text, Err("2 value: the text is not UTF-8".to_owned()));
}
