//! Tests of how values print.

use super::super::arbitrary::{rows, ty};
use super::super::json;
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn shown(fields: &[(&str, &str, u32)], value: Value) -> String {
    let ty = ty(fields);
    let batch = json::records(&ty, &[value]).unwrap();
    let mut out = String::from("> ");
    write_row(&batch, &ty, 0, &mut out).unwrap();
    out.split_off(2)
}

#[test]
fn rows_print_as_in_scala() {
    assert_eq!(shown(&[("", "struct", 2), ("0", "text", 0), ("1", "u64", 0)], json!(["hello", 1])), "(hello,1)");
    let named = [("", "struct", 2), ("a", "i8", 0), ("b", "text", 0)];
    assert_eq!(shown(&named, json!({"a": -1, "b": "x"})), "(-1,x)");
    assert_eq!(shown(&[("", "text", 0)], json!("a line, with (text)")), "a line, with (text)");
    assert_eq!(shown(&[("", "bool", 0)], json!(true)), "true");
    assert_eq!(shown(&[("", "u64", 0)], json!(u64::MAX)), "18446744073709551615");
    assert_eq!(shown(&[("", "bytes", 0)], json!("00ff7E")), "00ff7e");
    assert_eq!(shown(&[("", "list", 1), ("", "u8", 0)], json!([])), "[]");
    assert_eq!(shown(&[("", "list", 1), ("", "?u8", 0)], json!([1, null, 2])), "[Some(1), None, Some(2)]");
    assert_eq!(shown(&[("", "?struct", 2), ("0", "u8", 0), ("1", "f64", 0)], json!([1, 2])), "Some((1,2.0))");
    assert_eq!(shown(&[("", "?struct", 2), ("0", "u8", 0), ("1", "f64", 0)], json!(null)), "None");
    assert_eq!(shown(&[("", "timestamp[us]", 0)], json!("2026-02-01T01:59:59.5+02:00")), "2026-01-31T23:59:59.500Z");
    let day = [("", "struct", 2), ("0", "?date", 0), ("1", "decimal(5,2)", 0)];
    assert_eq!(shown(&day, json!(["2026-01-31", "-1.5"])), "(Some(2026-01-31),-1.50)");
    let twice = [("", "?struct", 1), ("value", "?u8", 0)];
    assert_eq!(shown(&twice, json!({"value": 1})), "Some(Some(1))");
    assert_eq!(shown(&twice, json!({"value": null})), "Some(None)");
    assert_eq!(shown(&twice, json!(null)), "None");
    let nested = [("", "struct", 2), ("0", "struct", 2), ("0", "u8", 0), ("1", "u8", 0), ("1", "text", 0)];
    assert_eq!(shown(&nested, json!([[1, 2], "x"])), "((1,2),x)");
}

#[test]
fn floats_print_as_in_java() {
    let double = |value: f64| {
        let mut out = String::new();
        write_f64(value, &mut out);
        out
    };
    let float = |value: f32| {
        let mut out = String::new();
        write_f32(value, &mut out);
        out
    };
    let doubles = [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (-1.5, "-1.5"),
        (0.1, "0.1"),
        (0.01, "0.01"),
        (0.001, "0.001"),
        (0.002, "0.002"),
        (0.00123, "0.00123"),
        (0.000_999, "9.99E-4"),
        (1e-5, "1.0E-5"),
        (100.0, "100.0"),
        (120.0, "120.0"),
        (123.456, "123.456"),
        (1_000_000.0, "1000000.0"),
        (9_999_999.0, "9999999.0"),
        (9_999_999.5, "9999999.5"),
        (1e7, "1.0E7"),
        (1.234_567_89e8, "1.23456789E8"),
        (1e10, "1.0E10"),
        (-1e100, "-1.0E100"),
        (0.1 + 0.2, "0.30000000000000004"),
        (2e23, "2.0E23"),
        (f64::MAX, "1.7976931348623157E308"),
        (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
        (f64::from_bits(1), "4.9E-324"),
        (f64::from_bits(2), "9.9E-324"),
        (f64::NAN, "NaN"),
        (-f64::NAN, "NaN"),
        (f64::INFINITY, "Infinity"),
        (f64::NEG_INFINITY, "-Infinity"),
    ];
    for (value, expected) in doubles {
        assert_eq!(double(value), expected);
    }
    let floats = [
        (0.1, "0.1"),
        (16_777_216.0, "1.6777216E7"),
        (3.402_823_5e38, "3.4028235E38"),
        (f32::from_bits(1), "1.4E-45"),
        (f32::from_bits(2), "2.8E-45"),
        (1e-3, "0.001"),
        (1e10, "1.0E10"),
        (33_554_432.0, "3.3554432E7"),
        (f32::NAN, "NaN"),
        (f32::NEG_INFINITY, "-Infinity"),
    ];
    for (value, expected) in floats {
        assert_eq!(float(value), expected);
    }
}

#[test]
fn a_row_that_is_not_there_is_an_error() {
    let batch = json::records(&RecordType::text(), &[json!("a")]).unwrap();
    let mut out = String::new();
    let missing = write_row(&batch, &RecordType::text(), 1, &mut out);
    assert_eq!((missing, out.as_str()), (Err(ViewError::Row { row: 1, rows: 1 }), ""));
}

proptest! {
    #[test]
    fn any_float_reads_back(double in any::<f64>(), float in any::<f32>()) {
        let (mut wide, mut narrow) = (String::new(), String::new());
        write_f64(double, &mut wide);
        write_f32(float, &mut narrow);
        prop_assert_eq!(wide.parse::<f64>().unwrap().to_bits(), double.to_bits());
        prop_assert_eq!(narrow.parse::<f32>().unwrap().to_bits(), float.to_bits());
        prop_assert!(wide.split('E').next().unwrap().contains('.'), "{}", wide);
    }

    #[test]
    fn every_type_prints((ty, values, batch) in rows(3)) {
        let writer = RowWriter::new(&batch, &ty).unwrap();
        for row in 0..values.len() {
            let (mut one, mut other) = (String::new(), String::new());
            writer.write(row, &mut one).unwrap();
            write_row(&batch, &ty, row, &mut other).unwrap();
            prop_assert_eq!(one, other);
        }
    }
}
