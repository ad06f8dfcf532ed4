//! Tests of rows as messages.

use super::super::arbitrary::{rows, ty};
use super::super::json::records;
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Key and value of each row, as text.
fn messages(fields: &[(&str, &str, u32)], values: &[Value]) -> Vec<(Option<String>, Option<String>)> {
    let ty = ty(fields);
    let batch = records(&ty, values).unwrap();
    let reader = MessageReader::new(&batch, &ty).unwrap();
    let mut text = MessageText::default();
    let shown = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
    (0..values.len())
        .map(|row| {
            let message = reader.read(row, &mut text).unwrap();
            (shown(message.key), shown(message.value))
        })
        .collect()
}

fn of(key: Option<&str>, value: Option<&str>) -> (Option<String>, Option<String>) {
    (key.map(str::to_owned), value.map(str::to_owned))
}

#[test]
fn text_and_bytes_are_sent_as_they_are_and_all_else_as_json() {
    assert_eq!(messages(&[("", "text", 0)], &[json!("é\n"), json!("")]), [of(None, Some("é\n")), of(None, Some(""))]);
    assert_eq!(messages(&[("", "?bytes", 0)], &[json!("6162"), json!(null)]), [of(None, Some("ab")), of(None, None)]);
    assert_eq!(messages(&[("", "u64", 0)], &[json!(7)]), [of(None, Some("7"))]);
    let pair = [("", "struct", 2), ("0", "?text", 0), ("1", "list", 1), ("", "u8", 0)];
    assert_eq!(
        messages(&pair, &[json!(["k", [1, 2]]), json!([null, []])]),
        [of(Some("k"), Some("[1,2]")), of(None, Some("[]"))]
    );
    let row = [("", "struct", 3), ("key", "text", 0), ("value", "text", 0), ("more", "f64", 0)];
    let value = r#"{"key":"a","value":"b","more":0.5}"#;
    assert_eq!(messages(&row, &[json!({"key": "a", "value": "b", "more": 0.5})]), [of(None, Some(value))]);
}

const MESSAGE: [(&str, &str, u32); 9] = [
    ("", "struct", 5),
    ("key", "?bytes", 0),
    ("value", "?bytes", 0),
    ("headers", "list", 1),
    ("", "struct", 2),
    ("key", "text", 0),
    ("value", "?bytes", 0),
    ("partition", "?i32", 0),
    ("timestamp_ms", "?i64", 0),
];

#[test]
fn a_row_can_say_everything_about_its_message() {
    let ty = ty(&MESSAGE);
    let all = json!({"key": "6b", "value": "76", "headers": [{"key": "h", "value": "01"}, {"key": "h", "value": null}], "partition": 3, "timestamp_ms": 5});
    let nothing = json!({"key": null, "value": null, "headers": [], "partition": null, "timestamp_ms": null});
    let batch = records(&ty, &[all, nothing]).unwrap();
    let reader = MessageReader::new(&batch, &ty).unwrap();
    let mut text = MessageText::default();
    let expected = RowMessage {
        key: Some(b"k"),
        value: Some(b"v"),
        headers: vec![("h", Some(&[1])), ("h", None)],
        partition: Some(3),
        timestamp_ms: Some(5),
    };
    assert_eq!(reader.read(0, &mut text).unwrap(), expected);
    assert_eq!(reader.read(1, &mut text).unwrap(), RowMessage::default());
    assert!(reader.read(2, &mut text).is_err());
}

proptest! {
    /// Every row of every type is a message, and what is not text or bytes is JSON.
    #[test]
    fn every_row_is_a_message((ty, values, batch) in rows(4)) {
        let reader = MessageReader::new(&batch, &ty).unwrap();
        let mut text = MessageText::default();
        for row in 0..values.len() {
            let message = reader.read(row, &mut text).unwrap();
            if let (Parts::Object(_), Some(value)) = (&reader.parts, message.value) {
                prop_assert!(serde_json::from_slice::<Value>(value).is_ok());
            }
        }
    }
}
