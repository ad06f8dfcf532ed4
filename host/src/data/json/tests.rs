//! Tests of records as JSON, both ways.

use super::super::arbitrary::{rows, ty};
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
    let found = format!("{:?}...", "x".repeat(40));
    assert_eq!(problem(&[("", "u8", 0)], &[json!("x".repeat(99))]), format!("record 0: expected u8, found {found}"));
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
