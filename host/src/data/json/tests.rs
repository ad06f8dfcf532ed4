//! Tests of records as JSON, both ways.

use super::super::arbitrary::{an_enum, rows, ty};
use super::super::text::write_row;
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn problem(fields: &[(&str, &str, u32)], values: &[Value]) -> String {
    records(&ty(fields), values).unwrap_err().to_string()
}

#[test]
fn each_mistake_is_named() {
    let pair = [("", "struct", 2), ("0", "text", 0), ("1", "u8", 0)];
    assert_eq!(problem(&pair, &[json!(["a", 1]), json!(["b", 256])]), "record 1 at `[1]`: expected u8, found 256");
    assert_eq!(problem(&pair, &[json!(["a"])]), "record 0: expected (text, u8) as an array of 2, found [\"a\"]");
    assert_eq!(problem(&[("", "i64", 0)], &[json!(1), json!(1.5)]), "record 1: expected i64, found 1.5");
    assert_eq!(problem(&[("", "i64", 0)], &[json!(u64::MAX)]), "record 0: expected i64, found 18446744073709551615");
    assert_eq!(problem(&[("", "u64", 0)], &[json!(-1)]), "record 0: expected u64, found -1");
    assert_eq!(problem(&[("", "text", 0)], &[json!(null)]), "record 0: expected text, found null");
    assert_eq!(problem(&[("", "f32", 0)], &[json!(1e300)]), "record 0: expected f32, found 1e+300");
    assert_eq!(
        problem(&[("", "bytes", 0)], &[json!("abc")]),
        "record 0: expected bytes as a string of hexadecimal digits, found \"abc\""
    );
    assert_eq!(
        problem(&[("", "timestamp[us]", 0)], &[json!("2016-12-31T23:59:60Z")]),
        "record 0: expected timestamp[us] as a string such as 2026-01-31T23:59:59.5Z or 2026-02-01T01:59:59.5+02:00, found \
         \"2016-12-31T23:59:60Z\""
    );
    assert_eq!(
        problem(&[("", "decimal(5,2)", 0)], &[json!(1.005)]),
        "record 0: expected decimal(5,2) as a string of digits, found 1.005"
    );
    let found = format!("{:?}...", "x".repeat(40));
    assert_eq!(problem(&[("", "u8", 0)], &[json!("x".repeat(99))]), format!("record 0: expected u8, found {found}"));
}

#[test]
fn an_enum_is_a_string_or_an_object() {
    let ty = an_enum();
    let values =
        [json!("Start"), json!({"Moved": {"by": -5}}), json!({"Said": "a"}), json!({"Perhaps": {"value": null}})];
    let batch = records(&ty, &values).unwrap();
    let mut text = String::new();
    for (row, value) in values.iter().enumerate() {
        assert_eq!(row_to_json(&batch, &ty, row).unwrap(), *value);
        write_row(&batch, &ty, row, &mut text).unwrap();
        text.push(' ');
    }
    assert_eq!(text, "Start Moved(-5) Said(a) Perhaps(None) ");
    // In files, an enum is the struct that stands for it.
    let mut lines = Vec::new();
    let writer = ObjectWriter::new(&batch, &ty).unwrap();
    for row in 0..values.len() {
        let mut line = String::new();
        writer.write(row, &mut line).unwrap();
        lines.push(parse(line.as_bytes()).unwrap());
    }
    assert_eq!(lines[1], json!({"type": "Moved", "Moved": {"by": -5}, "Said": null, "Perhaps": null}));
    assert_eq!(named_records(&ty, lines).unwrap(), batch);
    for wrong in [
        json!("Moved"),
        json!("End"),
        json!({"Start": {}}),
        json!({}),
        json!({"Said": "a", "Moved": {"by": 1}}),
        json!({"Said": null}),
        json!(7),
    ] {
        let told = records(&ty, std::slice::from_ref(&wrong)).unwrap_err().to_string();
        let expected = "record 0: expected enum{Start, Moved: struct{by: i64}, Said: text, Perhaps: option<u8>} as a string, or \
                        an object of one variant with its data, found ";
        assert!(told.starts_with(expected), "{told}");
    }
    let told = records(&ty, &[json!({"Moved": {"by": "x"}})]).unwrap_err().to_string();
    assert_eq!(told, "record 0 at `Moved.by`: expected i64, found \"x\"");
}

#[test]
fn the_path_leads_to_the_mistake() {
    let nested = [("", "struct", 1), ("a", "list", 1), ("", "?list", 1), ("", "struct", 1), ("b", "?u8", 0)];
    let ok = json!({"a": [null, [{"b": 1}, {}], []]});
    let bad = json!({"a": [[], null, [{"b": 1}, {"b": null}, {"b": "x"}]]});
    assert_eq!(
        problem(&nested, &[ok.clone(), bad, ok.clone()]),
        "record 1 at `a[2][2].b`: expected option<u8>, found \"x\""
    );
    let unknown = json!({"a": [[{"c": 1}]]});
    assert_eq!(
        problem(&nested, &[ok, unknown]),
        "record 1 at `a[0][0]`: expected struct{b: option<u8>}, found \"an object with the member `c`\""
    );
    assert_eq!(
        problem(&nested, &[json!({})]),
        "record 0: expected struct{a: list<option<list<struct{b: option<u8>}>>>} with the member `a`, found {}"
    );
}

/// A number of JSON is a float here, which may stand for several decimals of more than 15 digits.
#[test]
fn decimals_are_strings_or_short_numbers() {
    let ty = ty(&[("", "decimal(38,3)", 0)]);
    let read = |value: Value| Some(row_to_json(&records(&ty, &[value]).ok()?, &ty, 0).unwrap());
    for (value, text) in [
        (json!(1), "1.000"),
        (json!(u64::MAX), "18446744073709551615.000"),
        (json!(-0.1), "-0.100"),
        (json!(0.001), "0.001"),
        (json!(1e20), "100000000000000000000.000"),
        (json!(123_456_789_012.345), "123456789012.345"),
        (json!("12345678901234567890123456789012345.678"), "12345678901234567890123456789012345.678"),
    ] {
        assert_eq!(read(value), Some(json!(text)));
    }
    for value in [json!(0.1 + 0.2), json!(1_234_567_890_123.456), json!(0.0005), json!(1e40), json!(true), json!("")] {
        assert_eq!(read(value.clone()), None, "{value}");
    }
}

#[test]
fn what_may_be_absent_may_be_left_out() {
    let ty = ty(&[("", "struct", 2), ("a", "u8", 0), ("b", "?struct", 1), ("c", "text", 0)]);
    let batch = records(&ty, &[json!({"a": 1}), json!({"b": {"c": "x"}, "a": 2})]).unwrap();
    assert_eq!(row_to_json(&batch, &ty, 0).unwrap(), json!({"a": 1, "b": null}));
    assert_eq!(row_to_json(&batch, &ty, 1).unwrap(), json!({"a": 2, "b": {"c": "x"}}));
    assert!(row_to_json(&batch, &ty, 2).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn rows_come_back_as_they_were_read((ty, values, batch) in rows(8)) {
        for (row, value) in values.iter().enumerate() {
            prop_assert_eq!(&row_to_json(&batch, &ty, row).unwrap(), value);
        }
    }

    #[test]
    fn any_json_is_read_or_refused((ty, _, _) in rows(0), (_, values, _) in rows(4)) {
        if let Ok(batch) = records(&ty, &values) {
            prop_assert_eq!(batch.num_rows(), values.len());
        }
    }
}
