//! Tests of the encoding and the hash of keys: pinned bytes, equal keys and different keys.

use super::super::arbitrary::{field, rows, ty};
use super::super::json;
use super::*;
use arrow::array::{Float64Array, StructArray};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The rows of `key` as one column, also if their type has several columns.
fn key_column(key: &RecordType, values: &[Value]) -> ArrayRef {
    let mut fields = vec![field("", "struct", false, 1)];
    fields.extend(key.fields().iter().cloned());
    let wrapped = RecordType::parse(fields).unwrap();
    let values: Vec<_> = values.iter().map(|value| json!({ "value": value })).collect();
    json::records(&wrapped, &values).unwrap().column(0).clone()
}

fn encoded(key: &RecordType, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    KeyEncoder::new(key).encode(&key_column(key, std::slice::from_ref(value)), 0, &mut out).unwrap();
    out
}

fn hashed(key: &RecordType, value: &Value) -> u64 {
    let mut out = Vec::new();
    KeyEncoder::new(key).hash_column(&key_column(key, std::slice::from_ref(value)), &mut out).unwrap();
    out[0]
}

/// The same examples as in the plugin SDK's `key.rs`.
#[test]
fn encodings_are_those_of_the_specification() {
    let text = RecordType::text();
    assert_eq!(encoded(&text, &json!("ab")), b"ab");
    let tuple = ty(&[("", "struct", 2), ("0", "text", 0), ("1", "u16", 0)]);
    assert_eq!(encoded(&tuple, &json!(["ab", 1])), b"\x02\0\0\0ab\x01\0");
    let tuple = ty(&[("", "struct", 2), ("0", "u16", 0), ("1", "text", 0)]);
    assert_eq!(encoded(&tuple, &json!([1, "ab"])), b"\x01\0ab");
    assert_eq!(encoded(&ty(&[("", "i32", 0)]), &json!(-1)), [0xff; 4]);
    assert_eq!(encoded(&ty(&[("", "f64", 0)]), &json!(-0.0)), [0; 8]);
    assert_eq!(encoded(&ty(&[("", "f64", 0)]), &json!("NaN")), 0x7ff8_0000_0000_0000_u64.to_le_bytes());
    assert_eq!(encoded(&ty(&[("", "?u8", 0)]), &json!(null)), [0]);
    assert_eq!(encoded(&ty(&[("", "?u8", 0)]), &json!(7)), [1, 7]);
    assert_eq!(encoded(&ty(&[("", "list", 1), ("", "text", 0)]), &json!(["a"])), b"\x01\0\0\0\x01\0\0\0a");
    assert_eq!(encoded(&ty(&[("", "date", 0)]), &json!("1969-12-31")), [0xff; 4]);
    assert_eq!(encoded(&ty(&[("", "time[ms]", 0)]), &json!("00:00:00.258")), [2, 1, 0, 0]);
    assert_eq!(encoded(&ty(&[("", "time[us]", 0)]), &json!("00:00:00.000258")), [2, 1, 0, 0, 0, 0, 0, 0]);
    let timestamp = ty(&[("", "timestamp[us]", 0)]);
    assert_eq!(encoded(&timestamp, &json!("1969-12-31T23:59:59.999998Z")), (-2_i64).to_le_bytes());
    assert_eq!(encoded(&timestamp, &json!("1970-01-01T02:00:00+02:00")), [0; 8]);
    assert_eq!(encoded(&ty(&[("", "decimal(5,2)", 0)]), &json!("-1.5")), (-150_i128).to_le_bytes());
}

#[test]
fn every_kind_has_its_encoding() {
    assert_eq!(encoded(&ty(&[("", "bool", 0)]), &json!(true)), [1]);
    assert_eq!(encoded(&ty(&[("", "i8", 0)]), &json!(-2)), [0xfe]);
    assert_eq!(encoded(&ty(&[("", "i16", 0)]), &json!(-2)), [0xfe, 0xff]);
    assert_eq!(encoded(&ty(&[("", "i64", 0)]), &json!(0x0102_0304)), [4, 3, 2, 1, 0, 0, 0, 0]);
    assert_eq!(encoded(&ty(&[("", "u32", 0)]), &json!(u32::MAX)), [0xff; 4]);
    assert_eq!(encoded(&ty(&[("", "f32", 0)]), &json!(-0.0)), [0; 4]);
    assert_eq!(encoded(&ty(&[("", "f32", 0)]), &json!("NaN")), 0x7fc0_0000_u32.to_le_bytes());
    assert_eq!(encoded(&ty(&[("", "f32", 0)]), &json!(1.0)), 0x3f80_0000_u32.to_le_bytes());
    assert_eq!(encoded(&ty(&[("", "bytes", 0)]), &json!("00ff")), [0, 0xff]);
    // The last member of a last struct is last, also inside of an option. An item of a list is never last.
    let nested = ty(&[("", "struct", 2), ("0", "bytes", 0), ("1", "?struct", 1), ("0", "?text", 0)]);
    assert_eq!(encoded(&nested, &json!(["ff", ["ab"]])), b"\x01\0\0\0\xff\x01\x01ab");
    assert_eq!(encoded(&nested, &json!(["", null])), b"\0\0\0\0\0");
    let listed = ty(&[("", "list", 1), ("", "struct", 2), ("0", "u8", 0), ("1", "?text", 0)]);
    assert_eq!(encoded(&listed, &json!([[7, "a"], [8, null]])), b"\x02\0\0\0\x07\x01\x01\0\0\0a\x08\0");
}

/// These hashes come from the reference implementation of xxHash. If this test fails, keys move between partitions, and
/// state is lost.
#[test]
fn hashes_are_pinned() {
    let text = RecordType::text();
    assert_eq!(hashed(&text, &json!("")), 0x2d06_8005_38d3_94c2);
    assert_eq!(hashed(&text, &json!("a")), 0xe6c6_32b6_1e96_4e1f);
    assert_eq!(hashed(&text, &json!("ab")), 0xa873_719c_24d5_735c);
    assert_eq!(hashed(&text, &json!("hello")), 0x9555_e855_5c62_dcfd);
    let long = "the quick brown fox jumps over the lazy dog".repeat(10);
    assert_eq!(hashed(&text, &json!(long)), 0x6e85_108c_10ff_ba68);
    assert_eq!(hashed(&ty(&[("", "u64", 0)]), &json!(42)), 0xd5a6_f8c8_38df_27c8);
    assert_eq!(hashed(&ty(&[("", "i32", 0)]), &json!(-1)), 0xcd6b_1c92_0d3f_662c);
    assert_eq!(hashed(&ty(&[("", "f64", 0)]), &json!(-0.0)), 0xc77b_3abb_6f87_acd9);
    assert_eq!(hashed(&ty(&[("", "f64", 0)]), &json!("NaN")), 0x0aa6_1dcf_a381_c167);
    let timestamp = ty(&[("", "timestamp[us]", 0)]);
    assert_eq!(hashed(&timestamp, &json!("1970-01-01T00:00:00.000042Z")), 0xd5a6_f8c8_38df_27c8);
    let tuple = ty(&[("", "struct", 2), ("0", "text", 0), ("1", "u16", 0)]);
    assert_eq!(hashed(&tuple, &json!(["ab", 1])), 0x0954_4aae_07a3_396b);
}

#[test]
fn key_groups_are_shared_out_evenly_and_in_order() {
    assert_eq!((group_of(0), group_of(0x01ff_ffff_ffff_ffff), group_of(u64::MAX)), (0, 1, 255));
    for partitions in 1..=256 {
        let of: Vec<usize> = (0..=255).map(|group| partition_of(group, partitions)).collect();
        assert!(of.is_sorted());
        assert_eq!((of[0], of[255]), (0, (255 * partitions) / 256));
        let counts: Vec<usize> = (0..partitions).map(|p| of.iter().filter(|&&q| q == p).count()).collect();
        assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{partitions}");
    }
    assert_eq!(partition_of(128, 2), 1);
    assert_eq!(partition_of(127, 2), 0);
}

#[test]
fn any_nan_is_the_same_key() {
    let key = ty(&[("", "f64", 0)]);
    let nans = [f64::NAN, -f64::NAN, f64::from_bits(0x7ff0_0000_0000_0001), f64::from_bits(u64::MAX)];
    let column: ArrayRef = std::sync::Arc::new(Float64Array::from(nans.to_vec()));
    let mut hashes = Vec::new();
    KeyEncoder::new(&key).hash_column(&column, &mut hashes).unwrap();
    assert!(hashes.iter().all(|&h| h == 0x0aa6_1dcf_a381_c167));
}

#[test]
fn a_column_of_another_type_is_an_error() {
    let column: ArrayRef = std::sync::Arc::new(Float64Array::from(vec![1.0]));
    let encoder = KeyEncoder::new(&RecordType::text());
    assert!(matches!(encoder.hash_column(&column, &mut Vec::new()), Err(ViewError::Type { .. })));
    let encoder = KeyEncoder::new(&ty(&[("", "f64", 0)]));
    let missing = encoder.encode(&column, 1, &mut Vec::new());
    assert_eq!(missing.unwrap_err().to_string(), "there is no row 1 in a batch of 1");
}

/// The keys of a column, by the bytes that they are ordered by.
fn ordered(column: &ArrayRef, descending: bool) -> Vec<Vec<u8>> {
    let mut order = KeyOrder::new(column.data_type(), descending).unwrap();
    order.bytes(column).unwrap().iter().map(|key| key.as_ref().to_vec()).collect()
}

/// Checks that all keys are in order, and that the keys of an inner list are equal; and the reverse for a descending
/// order.
fn check_order(column: &ArrayRef, groups: &[usize]) {
    let group = |row: usize| {
        groups
            .iter()
            .scan(0, |end, size| {
                Some({
                    *end += size;
                    *end
                })
            })
            .position(|end| row < end)
    };
    let (ascending, descending) = (ordered(column, false), ordered(column, true));
    assert_eq!(ascending.len(), groups.iter().sum::<usize>());
    for a in 0..ascending.len() {
        for b in 0..ascending.len() {
            assert_eq!(ascending[a].cmp(&ascending[b]), group(a).cmp(&group(b)), "{a} {b}");
            assert_eq!(descending[a].cmp(&descending[b]), group(b).cmp(&group(a)), "{a} {b}, descending");
        }
    }
}

/// The same examples as in the plugin SDK's `key.rs`.
#[test]
fn the_order_is_that_of_the_specification() {
    use arrow::array::{Float32Array, ListArray};
    use arrow::buffer::{NullBuffer, OffsetBuffer};
    use arrow::datatypes::{DataType, Field};
    use std::sync::Arc;
    let nan = f64::NAN;
    let floats = |values: Vec<f64>| Arc::new(Float64Array::from(values)) as ArrayRef;
    let (low, high) = (f64::NEG_INFINITY, f64::INFINITY);
    check_order(&floats(vec![low, -1.0, -0.0, 0.0, 1.0, high, nan, -nan]), &[1, 1, 2, 1, 1, 2]);
    let narrow = Float32Array::from(vec![f32::NEG_INFINITY, -0.0, 0.0, f32::INFINITY, f32::NAN, -f32::NAN]);
    check_order(&(Arc::new(narrow) as ArrayRef), &[1, 2, 1, 2]);
    check_order(&(Arc::new(Float64Array::from(vec![None, Some(low), Some(nan), Some(-nan)])) as ArrayRef), &[1, 1, 2]);
    // [], [-0.0], [0.0], [0.0, 1.0], [-NaN], [NaN, 1.0]
    let item = Arc::new(Field::new("item", DataType::Float64, false));
    let items = floats(vec![-0.0, 0.0, 0.0, 1.0, -nan, nan, 1.0]);
    let lists = ListArray::new(item, OffsetBuffer::new(vec![0, 0, 1, 2, 4, 5, 7].into()), items, None);
    check_order(&(Arc::new(lists) as ArrayRef), &[1, 2, 1, 1, 1]);
    let fields = vec![Field::new("0", DataType::Float64, false), Field::new("1", DataType::Float64, false)];
    let members = vec![
        floats(vec![9.0, -0.0, 0.0, 0.0, high, -nan, nan, -nan]),
        floats(vec![9.0, 1.0, 1.0, 2.0, 0.0, 0.0, 0.0, 1.0]),
    ];
    let there = NullBuffer::from(vec![false, true, true, true, true, true, true, true]);
    let structs = StructArray::new(fields.into(), members, Some(there));
    check_order(&(Arc::new(structs) as ArrayRef), &[1, 2, 1, 1, 2, 1]);
}

/// JSON values that count as the same key.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b))),
        // The numbers of a type are equal as numbers, so that -0.0 is 0.0.
        (Value::Number(a), Value::Number(b)) => a == b || (a.is_f64() && a.as_f64() == b.as_f64()),
        _ => a == b,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn keys_are_equal_exactly_if_their_encodings_are((key, values, _) in rows(12)) {
        let column = key_column(&key, &values);
        let encoder = KeyEncoder::new(&key);
        let mut hashes = Vec::new();
        encoder.hash_column(&column, &mut hashes).unwrap();
        let encode = |row: usize| {
            let mut out = Vec::new();
            encoder.encode(&column, row, &mut out).unwrap();
            out
        };
        let encodings: Vec<_> = (0..values.len()).map(encode).collect();
        prop_assert_eq!(hashes, encodings.iter().map(|bytes| hash(bytes)).collect::<Vec<_>>());
        let all = encoder.encode_column(&column).unwrap();
        let order = ordered(&column, false);
        let start = values.len() / 2;
        let last = encoder.encode_column(&column.slice(start, values.len() - start)).unwrap();
        for (row, (a, x)) in values.iter().zip(&encodings).enumerate() {
            for (other, (b, y)) in values.iter().zip(&encodings).enumerate() {
                prop_assert_eq!(same(a, b), x == y, "{} {} {:?} {:?}", a, b, x, y);
                prop_assert_eq!(all.same(row, &all, other), x == y);
                prop_assert_eq!(order[row] == order[other], x == y);
                if other >= start {
                    prop_assert_eq!(all.same(row, &last, other - start), x == y);
                }
            }
        }
    }

    #[test]
    fn texts_that_could_run_into_each_other_do_not(a in any::<[String; 3]>(), b in "[ab]{0,3}", c in "[ab]{0,3}") {
        let key = ty(&[("", "struct", 3), ("0", "text", 0), ("1", "?text", 0), ("2", "text", 0)]);
        let one = encoded(&key, &json!([b, c, a[0]]));
        let two = encoded(&key, &json!([c, b, a[0]]));
        let three = encoded(&key, &json!([b, null, a[0]]));
        prop_assert_eq!(b == c, one == two);
        prop_assert_ne!(&one, &three);
        let longer = format!("{}x", a[2]);
        prop_assert_ne!(encoded(&key, &json!([a[0], a[1], a[2]])), encoded(&key, &json!([a[0], a[1], longer])));
    }

    #[test]
    fn slices_hash_like_their_rows((key, values, _) in rows(8), start in any::<prop::sample::Index>()) {
        let column = key_column(&key, &values);
        let start = start.index(values.len() + 1);
        let (mut all, mut part) = (Vec::new(), vec![1]);
        KeyEncoder::new(&key).hash_column(&column, &mut all).unwrap();
        KeyEncoder::new(&key).hash_column(&column.slice(start, values.len() - start), &mut part).unwrap();
        prop_assert_eq!(&all[start..], part.as_slice());
    }
}

/// A key of several members is one struct column of the pair.
#[test]
fn a_tuple_key_is_read_from_a_struct_column() {
    let tuple = ty(&[("", "struct", 2), ("0", "u8", 0), ("1", "u8", 0)]);
    let column = key_column(&tuple, &[json!([1, 2])]);
    assert!(column.as_any().is::<StructArray>());
    assert_eq!(encoded(&tuple, &json!([1, 2])), [1, 2]);
}
