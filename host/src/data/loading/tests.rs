//! Tests of columns of files as rows.

use super::super::arbitrary::{rows, ty};
use super::super::columns::{ColumnsError, Pieces};
use super::super::json::{self, row_to_json};
use super::*;
use arrow::array::{Int64Array, LargeListArray, LargeStringArray, StringArray};
use arrow::datatypes::Field;
use proptest::prelude::*;
use serde_json::json;

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

/// Reads a batch as a file that has all of its columns and no others.
fn from_columns(ty: &RecordType, batch: &RecordBatch) -> Result<RecordBatch, Fault> {
    let names: Vec<String> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    super::from_columns(ty, batch, &names)
}

fn shown(ty: &RecordType, rows: &RecordBatch) -> Vec<String> {
    (0..rows.num_rows()).map(|row| row_to_json(rows, ty, row).unwrap().to_string()).collect()
}

fn told(fault: &Fault) -> String {
    format!("{} {}: {}", fault.row, fault.column, fault.problem)
}

proptest! {
    /// Written columns are read as the same rows, whatever other columns the file has, in any order.
    #[test]
    fn rows_come_back_from_their_columns((ty, values, batch) in rows(20)) {
        let mut pieces = Pieces::new(ty.clone());
        let mut found = Vec::new();
        let read = |piece: &RecordBatch| {
            let named = piece.schema().fields().iter().zip(piece.columns())
                .map(|(field, column)| (field.name().clone(), Arc::clone(column), true)).rev().collect::<Vec<_>>();
            let other = ("other".to_owned(), piece.columns()[0].clone(), true);
            from_columns(&ty, &RecordBatch::try_from_iter_with_nullable(named.into_iter().chain([other])).unwrap())
        };
        pieces.push(&batch, |piece| -> Result<(), ColumnsError> { found.push(read(piece).unwrap()); Ok(()) }).unwrap();
        found.extend(pieces.rest().unwrap().map(|piece| read(&piece).unwrap()));
        let found: Vec<String> = found.iter().flat_map(|rows| shown(&ty, rows)).collect();
        let expected: Vec<String> = values.iter().map(ToString::to_string).collect();
        prop_assert_eq!(found, expected);
    }

    /// Columns of any other rows are read or refused.
    #[test]
    fn any_columns_are_read_or_refused((ty, _, _) in rows(0), (_, _, batch) in rows(5)) {
        if let Ok(rows) = from_columns(&ty, &batch) {
            prop_assert_eq!(rows.num_rows(), batch.num_rows());
        }
    }
}

#[test]
fn other_widths_are_read_as_long_as_values_fit() {
    let wanted = ty(&[("", "struct", 3), ("n", "u8", 0), ("text", "?text", 0), ("list", "list", 1), ("", "i16", 0)]);
    let lists = LargeListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>([
        Some(vec![Some(1), Some(2)]),
        Some(vec![]),
        Some(vec![Some(3)]),
    ]);
    let columns = |last: i64| {
        vec![
            ("list", Arc::new(lists.clone()) as ArrayRef),
            ("text", Arc::new(LargeStringArray::from(vec![Some("a"), None, Some("")])) as ArrayRef),
            ("n", Arc::new(Int64Array::from(vec![0, 255, last])) as ArrayRef),
        ]
    };
    let found = from_columns(&wanted, &batch(columns(7))).unwrap();
    let expected = [
        json!({"n": 0, "text": "a", "list": [1, 2]}),
        json!({"n": 255, "text": null, "list": []}),
        json!({"n": 7, "text": "", "list": [3]}),
    ];
    assert_eq!(found, json::records(&wanted, &expected).unwrap());
    let fault = from_columns(&wanted, &batch(columns(256))).unwrap_err();
    assert_eq!(told(&fault), "2 n: expected u8, found a value outside of its range");
}

#[test]
fn what_does_not_fit_is_told_with_row_and_column() {
    let wanted = ty(&[("", "struct", 2), ("n", "i64", 0), ("inner", "?struct", 1), ("m", "text", 0)]);
    let numbers = Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef;
    let fault = |columns| told(&from_columns(&wanted, &batch(columns)).unwrap_err());
    assert_eq!(fault(vec![("n", numbers.clone())]), "1 n: expected i64, found no value");
    assert_eq!(
        fault(vec![("m", numbers.clone())]),
        "0 n: there is no such column, and i64 has to be there; the columns are `m`"
    );
    let texts = Arc::new(StringArray::from(vec!["1", "2"])) as ArrayRef;
    assert_eq!(
        fault(vec![("n", texts.clone())]),
        "0 n: expected i64, found Utf8; a field of type text reads such a column"
    );
    let whole = Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef;
    let members = |columns: Vec<(&str, ArrayRef)>| Arc::new(StructArray::from(batch(columns))) as ArrayRef;
    assert_eq!(
        fault(vec![("n", whole.clone()), ("inner", members(vec![("m", numbers)]))]),
        "1 inner.m: expected text, found no value"
    );
    assert_eq!(
        fault(vec![("n", whole.clone()), ("inner", members(vec![("x", texts)]))]),
        "0 inner.m: there is no such column, and text has to be there; the columns are `x`"
    );
    // If a column that may be absent is missing, it is absent in all rows.
    assert_eq!(
        shown(&wanted, &from_columns(&wanted, &batch(vec![("n", whole)])).unwrap()),
        [r#"{"inner":null,"n":1}"#, r#"{"inner":null,"n":2}"#]
    );
}

#[test]
fn a_column_that_is_not_there_is_told_beside_those_that_are() {
    let listed = |names: &[&str]| listed(names.iter().copied());
    assert_eq!(listed(&[]), "there are no columns");
    assert_eq!(listed(&["a", "b\n"]), "the columns are `a`, `b\\n`");
    let many: Vec<String> = (0..1000).map(|n| format!("column_{n:03}")).collect();
    let told = listed(&many.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(told.starts_with("the columns are `column_000`, `column_001`, "), "{told}");
    assert!(told.ends_with("`column_013` and 986 more"), "{told}");
    let long = "x".repeat(1 << 20);
    assert!(listed(&[&long, "a"]).len() < 300);
}

/// Other programs write integers in this form that do not fit into 64 bits with a sign.
#[test]
fn decimals_without_a_fraction_are_integers() {
    use arrow::array::Decimal128Array;
    let decimals = |values: Vec<i128>, scale| {
        let array = Decimal128Array::from(values).with_precision_and_scale(20, scale).unwrap();
        batch(vec![("value", Arc::new(array) as ArrayRef)])
    };
    let wanted = ty(&[("", "u64", 0)]);
    let found = from_columns(&wanted, &decimals(vec![0, i128::from(u64::MAX)], 0)).unwrap();
    assert_eq!(shown(&wanted, &found), ["0", "18446744073709551615"]);
    let fault = from_columns(&wanted, &decimals(vec![0, -1], 0)).unwrap_err();
    assert_eq!(told(&fault), "1 value: expected u64, found a value outside of its range");
    let fault = from_columns(&wanted, &decimals(vec![10], 1)).unwrap_err();
    assert_eq!(
        told(&fault),
        "0 value: expected u64, found Decimal128(20, 1); a field of type decimal(20,1) reads such a column"
    );
}

/// Each value of a column of times, in the text of the record's type, or the fault.
fn times(kind: &str, ty: DataType, values: Vec<Option<i64>>) -> Result<Vec<String>, String> {
    let wanted = super::super::arbitrary::ty(&[("", kind, 0)]);
    let numbers = Arc::new(Int64Array::from(values)) as ArrayRef;
    let narrow = arrow::compute::cast(&numbers, &DataType::Int32);
    let is_narrow = matches!(ty, DataType::Date32 | DataType::Time32(_));
    let numbers = if is_narrow { narrow.unwrap() } else { numbers };
    let column = arrow::compute::cast(&numbers, &ty).unwrap();
    match from_columns(&wanted, &batch(vec![("value", column)])) {
        Ok(rows) => Ok(shown(&wanted, &rows)),
        Err(fault) => Err(told(&fault)),
    }
}

#[test]
fn times_of_any_unit_are_read_if_nothing_is_lost() {
    use arrow::datatypes::TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    let zone = |zone: &str| Some(zone.into());
    let half = Ok(vec!["\"1970-01-01T00:00:00.500Z\"".to_owned()]);
    let read = |kind, unit, zone, value| times(kind, DataType::Timestamp(unit, zone), vec![Some(value)]);
    assert_eq!(read("timestamp[us]", Millisecond, zone("UTC"), 500), half);
    assert_eq!(read("timestamp[ms]", Nanosecond, zone("Europe/Berlin"), 500_000_000), half);
    assert_eq!(read("timestamp[ns]", Microsecond, zone("+02:00"), 500_000), half);
    assert_eq!(
        read("timestamp[us]", Nanosecond, zone("UTC"), -1),
        Err("0 value: expected timestamp[us], found 1969-12-31T23:59:59.999999999Z, which does not fit exactly".into())
    );
    assert!(read("timestamp[ns]", Second, zone("UTC"), i64::MAX).unwrap_err().ends_with("does not fit exactly"));
    assert_eq!(
        read("timestamp[us]", Microsecond, None, 0),
        Err("0 value: expected timestamp[us], found Timestamp(µs); a field of type datetime[us] reads such a column"
            .into())
    );
    assert_eq!(read("datetime[s]", Millisecond, None, 2_000), Ok(vec!["\"1970-01-01T00:00:02\"".to_owned()]));
    assert_eq!(times("date", DataType::Date32, vec![Some(-1)]), Ok(vec!["\"1969-12-31\"".to_owned()]));
    assert_eq!(times("date", DataType::Date64, vec![Some(86_400_000)]), Ok(vec!["\"1970-01-02\"".to_owned()]));
    assert!(times("date", DataType::Date64, vec![Some(1)]).is_err());
    let clock = Ok(vec!["\"00:00:01\"".to_owned()]);
    assert_eq!(times("time[s]", DataType::Time64(Nanosecond), vec![Some(1_000_000_000)]), clock);
    assert_eq!(times("time[ns]", DataType::Time32(Millisecond), vec![Some(1_000)]), clock);
    // Some programs write the end of a day so.
    let midnight = times("time[us]", DataType::Time64(Microsecond), vec![Some(0), Some(86_400_000_000)]);
    assert_eq!(midnight, Err("1 value: expected time[us], found 86400000000, which does not fit exactly".into()));
}

#[test]
fn decimals_of_any_scale_are_read_if_nothing_is_lost() {
    use arrow::array::{Decimal128Array, Decimal256Array, UInt64Array};
    use arrow::datatypes::i256;
    let wanted = ty(&[("", "?decimal(20,2)", 0)]);
    let read = |column: ArrayRef| match from_columns(&wanted, &batch(vec![("value", column)])) {
        Ok(rows) => Ok(shown(&wanted, &rows)),
        Err(fault) => Err(told(&fault)),
    };
    let of = |value: i128, precision, scale| {
        let array = Decimal128Array::from(vec![None, Some(value)]).with_precision_and_scale(precision, scale).unwrap();
        read(Arc::new(array))
    };
    let one = Ok(vec!["null".to_owned(), "\"1.50\"".to_owned()]);
    assert_eq!((of(15, 3, 1), of(1_500_000, 20, 6), of(150, 38, 2)), (one.clone(), one.clone(), one));
    assert_eq!(
        of(1_005, 10, 3),
        Err("1 value: expected option<decimal(20,2)>, found 1.005, which does not fit exactly".to_owned())
    );
    assert!(of(10_i128.pow(18), 38, 0).is_err() && of(10_i128.pow(18) - 1, 38, 0).is_ok());
    let wide = Decimal256Array::from(vec![i256::from(-25)]).with_precision_and_scale(60, 1).unwrap();
    assert_eq!(read(Arc::new(wide)), Ok(vec!["\"-2.50\"".to_owned()]));
    assert_eq!(read(Arc::new(UInt64Array::from(vec![7]))), Ok(vec!["\"7.00\"".to_owned()]));
    let floats = read(Arc::new(arrow::array::Float64Array::from(vec![1.5])));
    let advice = "0 value: expected option<decimal(20,2)>, found Float64; a field of type f64 reads such a column";
    assert_eq!(floats, Err(advice.to_owned()));
}

#[test]
fn a_column_that_no_record_has_is_told_with_what_it_should_be() {
    use arrow::array::{DurationSecondArray, IntervalMonthDayNanoArray, MapBuilder, NullArray, StringBuilder};
    let wanted = ty(&[("", "?i64", 0)]);
    let fault = |column: ArrayRef| told(&from_columns(&wanted, &batch(vec![("value", column)])).unwrap_err());
    assert_eq!(
        fault(Arc::new(DurationSecondArray::from(vec![1]))),
        "0 value: expected option<i64>, found Duration(s); no record has such a column: cast it to a number where the file \
         is written"
    );
    assert!(fault(Arc::new(IntervalMonthDayNanoArray::from(vec![None]))).contains("cast it to text where"));
    let absent = from_columns(&wanted, &batch(vec![("value", Arc::new(NullArray::new(2)))])).unwrap();
    assert_eq!(shown(&wanted, &absent), ["null", "null"]);
    // A map is a list of its entries.
    let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    map.keys().append_value("a");
    map.values().append_null();
    map.append(true).unwrap();
    map.append(true).unwrap();
    let column: ArrayRef = Arc::new(map.finish());
    assert!(fault(column.clone()).contains("a field of type list of structs with the members `key` and `value` reads"));
    let names = column.as_map().entries_fields();
    let (key, value) = (names.0.name().as_str(), names.1.name().as_str());
    let entries = ty(&[("", "list", 1), ("", "struct", 2), (key, "text", 0), (value, "?text", 0)]);
    let rows = from_columns(&entries, &batch(vec![("value", column.clone())])).unwrap();
    assert_eq!(shown(&entries, &rows), [format!(r#"[{{"{key}":"a","{value}":null}}]"#), "[]".to_owned()]);
}

/// A file may mark each member of an absent struct as absent, at any depth.
#[test]
fn members_of_an_absent_struct_need_no_values() {
    let structs = |name: &str, member: ArrayRef, nulls: [bool; 3]| {
        let field = Arc::new(Field::new(name, member.data_type().clone(), true));
        let nulls = NullBuffer::from(nulls.to_vec());
        Arc::new(StructArray::try_new([field].into(), vec![member], Some(nulls)).unwrap()) as ArrayRef
    };
    let column = |middle: [bool; 3], leaf: [Option<i64>; 3]| {
        let leaf = Arc::new(Int64Array::from(leaf.to_vec()));
        batch(vec![("a", structs("b", structs("c", leaf, middle), [true, false, true]))])
    };
    let absent = column([true, false, true], [Some(1), None, Some(3)]);
    for (middle, leaf) in [("struct", "i64"), ("?struct", "i64"), ("struct", "?i64"), ("?struct", "?i64")] {
        let wanted = ty(&[("", "struct", 1), ("a", "?struct", 1), ("b", middle, 1), ("c", leaf, 0)]);
        let rows = from_columns(&wanted, &absent).unwrap();
        assert_eq!(shown(&wanted, &rows), [r#"{"a":{"b":{"c":1}}}"#, r#"{"a":null}"#, r#"{"a":{"b":{"c":3}}}"#]);
    }
    let wanted = ty(&[("", "struct", 1), ("a", "?struct", 1), ("b", "?struct", 1), ("c", "i64", 0)]);
    let rows = from_columns(&wanted, &column([true, false, false], [Some(1), None, None])).unwrap();
    assert_eq!(shown(&wanted, &rows), [r#"{"a":{"b":{"c":1}}}"#, r#"{"a":null}"#, r#"{"a":{"b":null}}"#]);
    // A row is a fault if the member alone is absent.
    let fault = from_columns(&wanted, &column([true, false, true], [Some(1), None, None])).unwrap_err();
    assert_eq!(told(&fault), "2 a.b.c: expected i64, found no value");
}

/// Arrow's lists of a fixed size have items also in rows without a list.
#[test]
fn items_of_an_absent_list_need_no_values() {
    use arrow::array::FixedSizeListArray;
    let items = Arc::new(Int64Array::from(vec![Some(1), Some(2), None, None, Some(5), Some(6)]));
    let field = Arc::new(Field::new("item", DataType::Int64, true));
    let lists = |items| -> ArrayRef {
        let nulls = NullBuffer::from(vec![true, false, true]);
        Arc::new(FixedSizeListArray::try_new(field.clone(), 2, items, Some(nulls)).unwrap())
    };
    let wanted = ty(&[("", "?list", 1), ("", "i64", 0)]);
    let rows = from_columns(&wanted, &batch(vec![("value", lists(items))])).unwrap();
    assert_eq!(shown(&wanted, &rows), ["[1,2]", "null", "[5,6]"]);
    let one_missing = Arc::new(Int64Array::from(vec![Some(1), Some(2), None, None, Some(5), None]));
    let fault = from_columns(&wanted, &batch(vec![("value", lists(one_missing))])).unwrap_err();
    assert_eq!(told(&fault), "2 value.item: expected i64, found no value");
    // A column without values is that of any type.
    let nothing: ArrayRef = Arc::new(arrow::array::NullArray::new(2));
    for wanted in
        [ty(&[("", "?list", 1), ("", "i64", 0)]), ty(&[("", "struct", 1), ("value", "?struct", 1), ("a", "i64", 0)])]
    {
        let rows = from_columns(&wanted, &batch(vec![("value", nothing.clone())])).unwrap();
        assert_eq!(rows.num_rows(), 2);
        assert!(shown(&wanted, &rows)[0].contains("null"));
    }
}
