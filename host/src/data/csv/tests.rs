//! Tests of rows as CSV.

use super::super::arbitrary::ty;
use super::super::json;
use super::*;
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

/// Readers pass over empty lines.
#[test]
fn no_line_is_empty() {
    assert_eq!(lines(&[("", "?u8", 0)], &[json!(1), json!(null), json!(2)]), "value\n1\n\"\"\n2");
    assert_eq!(lines(&[("", "text", 0)], &[json!("")]), "value\n\"\"");
}
