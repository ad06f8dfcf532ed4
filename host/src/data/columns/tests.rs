//! Tests of columns: their names, and pieces that do not depend on how rows arrived.

use super::super::arbitrary::{rows, ty};
use super::super::{json, text};
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn pieces(ty: &RecordType, batches: &[RecordBatch]) -> Vec<RecordBatch> {
    let (mut pieces, mut found) = (Pieces::new(ty.clone()), Vec::new());
    for batch in batches {
        let pushed: Result<(), ColumnsError> = pieces.push(batch, |piece| {
            found.push(piece.clone());
            Ok(())
        });
        pushed.unwrap();
    }
    found.extend(pieces.rest().unwrap());
    assert!(pieces.rest().unwrap().is_none());
    found
}

/// The rows between neighbouring places in `cuts`, as slices.
fn cut(batch: &RecordBatch, cuts: &[usize]) -> Vec<RecordBatch> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (batch.num_rows() + 1)).collect();
    ends.extend([0, batch.num_rows()]);
    ends.sort_unstable();
    ends.windows(2).map(|ends| batch.slice(ends[0], ends[1] - ends[0])).collect()
}

#[test]
fn members_of_tuples_are_counted_from_one() {
    let deep = ty(&[
        ("", "struct", 3),
        ("0", "text", 0),
        ("1", "?list", 1),
        ("", "struct", 2),
        ("0", "u8", 0),
        ("1", "?f32", 0),
        ("2", "struct", 2),
        ("a", "bytes", 0),
        ("b", "struct", 1),
        ("0", "bool", 0),
    ]);
    let fields: Vec<String> = schema(&deep).fields().iter().map(|field| format!("{field}")).collect();
    assert_eq!(fields[0], r#"Field { "_1": Utf8 }"#);
    assert_eq!(fields[1], r#"Field { "_2": nullable List(non-null Struct("_1": non-null UInt8, "_2": Float32)) }"#);
    assert_eq!(
        fields[2],
        r#"Field { "_3": Struct("a": non-null Binary, "b": non-null Struct("_1": non-null Boolean)) }"#
    );
    assert_eq!(nested(&deep), Some(("_2".to_owned(), "option<list<(u8, option<f32>)>>".to_owned())));
    let named = ty(&[("", "struct", 2), ("at", "u64", 0), ("who", "?text", 0)]);
    assert_eq!((schema(&named).field(1).name().as_str(), nested(&named)), ("who", None));
    assert_eq!(schema(&RecordType::text()).field(0).name(), "value");
    // An optional tuple is a single value.
    let optional = ty(&[("", "?struct", 2), ("0", "u8", 0), ("1", "u8", 0)]);
    assert_eq!(nested(&optional), Some(("value".to_owned(), "option<(u8, u8)>".to_owned())));
}

#[test]
fn a_piece_ends_after_its_rows_or_its_bytes() {
    let numbers = ty(&[("", "u32", 0)]);
    let values: Vec<_> = (0..2 * PIECE_ROWS + 5).map(|n| json!(n)).collect();
    let batch = json::records(&numbers, &values).unwrap();
    let sizes = |found: &[RecordBatch]| found.iter().map(RecordBatch::num_rows).collect::<Vec<_>>();
    let whole = pieces(&numbers, std::slice::from_ref(&batch));
    assert_eq!(sizes(&whole), [PIECE_ROWS, PIECE_ROWS, 5]);
    assert_eq!(pieces(&numbers, &cut(&batch, &[1, 7, 8191, 8192, 8193, 16_000])), whole);

    let texts = RecordType::text();
    let values: Vec<_> = (0..9).map(|n| json!(n.to_string().repeat(PIECE_BYTES / 3))).collect();
    let batch = json::records(&texts, &values).unwrap();
    assert_eq!(sizes(&pieces(&texts, &cut(&batch, &[]))), [3, 3, 3]);
    assert_eq!(sizes(&pieces(&texts, &cut(&batch, &[1, 2, 4, 5, 7]))), [3, 3, 3]);
    // A row that is larger than a piece is a piece.
    let values = [json!("x".repeat(2 * PIECE_BYTES)), json!("y"), json!("z")];
    let batch = json::records(&texts, &values).unwrap();
    assert_eq!(sizes(&pieces(&texts, &[batch])), [1, 2]);
}

#[test]
fn rows_of_another_type_are_refused() {
    let batch = json::records(&ty(&[("", "u8", 0)]), &[json!(1)]).unwrap();
    let refused = Pieces::new(RecordType::text()).push(&batch, |_| Err(ColumnsError::Arrow(ArrowError::DivideByZero)));
    assert_eq!(refused.unwrap_err().to_string(), "column `value` is of the arrow type UInt8, text is needed");
}

proptest! {
    /// The same rows have the same values in the same buffers, however they were divided before.
    #[test]
    fn pieces_do_not_tell_how_rows_arrived(
        (ty, _, batch) in rows(20), cuts in proptest::collection::vec(0usize..21, 0..4),
    ) {
        let whole = pieces(&ty, std::slice::from_ref(&batch));
        let parts = pieces(&ty, &cut(&batch, &cuts));
        prop_assert_eq!(&parts, &whole);
        prop_assert_eq!(whole.len(), usize::from(batch.num_rows() > 0));
        for piece in &whole {
            prop_assert_eq!(piece.schema(), schema(&ty));
            for row in 0..batch.num_rows() {
                let (mut expected, mut found) = (String::new(), String::new());
                text::write_row(&batch, &ty, row, &mut expected).unwrap();
                text::write_row(piece, &ty, row, &mut found).unwrap();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
