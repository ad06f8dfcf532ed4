//! Messages as rows of the types that plugins read.

use super::*;
use crate::data::schema::Field as Declared;
use crate::data::text;

fn ty(fields: &[(&str, &str, bool, u32)]) -> RecordType {
    let field = |(name, kind, nullable, children): &(&str, &str, bool, u32)| Declared {
        name: (*name).to_owned(),
        kind: (*kind).to_owned(),
        nullable: *nullable,
        children: *children,
        metadata: Vec::new(),
    };
    RecordType::parse(fields.iter().map(field).collect()).unwrap()
}

/// The type of a whole message.
fn whole() -> RecordType {
    ty(&[
        ("r", "struct", false, 7),
        ("key", "bytes", true, 0),
        ("value", "bytes", true, 0),
        ("topic", "text", false, 0),
        ("partition", "i32", false, 0),
        ("offset", "i64", false, 0),
        ("timestamp_ms", "i64", false, 0),
        ("headers", "list", false, 1),
        ("item", "struct", false, 2),
        ("key", "text", false, 0),
        ("value", "bytes", true, 0),
    ])
}

fn record<'a>(offset: i64, key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> LogRecord<'a> {
    LogRecord { offset, timestamp_ms: Some(5), key, value, headers: vec![(b"h", Some(b"1")), (b"n", None)] }
}

/// The rows of messages as text, and the offsets of those that are none, with what is wrong.
fn rows(format: KafkaFormat, ty: &RecordType, records: &[LogRecord<'_>]) -> (Vec<String>, Vec<(i64, String)>) {
    let partition = TopicPartition { topic: "t".to_owned(), number: 3 };
    let mut messages = Messages::new(Form::of(format, ty).unwrap());
    let mut misfits: Vec<_> = records.iter().filter_map(|record| messages.add(&partition, record).err()).collect();
    let (batch, late) = messages.rows().unwrap();
    misfits.extend(late);
    let row = |row| {
        let mut line = String::new();
        text::write_row(&batch, ty, row, &mut line).unwrap();
        line
    };
    let misfits = misfits.into_iter().map(|Misfit { offset, problem }| (offset, problem));
    ((0..batch.num_rows()).map(row).collect(), misfits.collect())
}

#[test]
fn a_message_becomes_the_columns_that_the_plugin_reads() {
    let records = [record(7, Some(b"k"), Some(b"v")), record(9, None, None)];
    let of = |ty: &RecordType| rows(KafkaFormat::Message, ty, &records).0;
    assert_eq!(of(&RecordType::text()), ["v", ""]);
    assert_eq!(
        of(&ty(&[("r", "struct", false, 2), ("0", "text", true, 0), ("1", "text", false, 0)])),
        ["(Some(k),v)", "(None,)"]
    );
    assert_eq!(of(&ty(&[("r", "struct", false, 2), ("offset", "i64", false, 0), ("value", "text", true, 0)])).len(), 2);
    let whole = of(&whole());
    assert!(whole[0].contains("offset: 7") || whole[0].contains('7'), "{whole:?}");
    let both = of(&ty(&[("r", "struct", false, 2), ("partition", "i32", false, 0), ("timestamp_ms", "i64", true, 0)]));
    assert!(both.iter().all(|row| row.contains('3') && row.contains('5')), "{both:?}");
}

#[test]
fn what_is_no_record_is_named_by_its_offset() {
    let records = [record(7, None, Some(b"\xff")), record(8, None, Some(b"ok")), record(9, None, Some(b"a\xc3"))];
    let (texts, misfits) = rows(KafkaFormat::Message, &RecordType::text(), &records);
    assert_eq!(texts, ["ok"]);
    let problem = |offset, at| (offset, format!("its value is not UTF-8 after byte {at}"));
    assert_eq!(misfits, [problem(7, 0), problem(9, 1)]);
    let pair = ty(&[("r", "struct", false, 2), ("a", "i64", false, 0), ("b", "text", false, 0)]);
    let records = [
        record(1, None, Some(b"{\"a\":1,\"b\":\"x\"}")),
        record(2, None, Some(b"{\"a\":1,")),
        record(3, None, Some(b"{\"a\":\"1\",\"b\":\"x\"}")),
        record(4, None, None),
        record(5, None, Some(b"{\"a\":5,\"b\":\"y\"}")),
    ];
    let (found, misfits) = rows(KafkaFormat::Json, &pair, &records);
    assert_eq!(found.len(), 2);
    let offsets: Vec<i64> = misfits.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, [2, 4, 3]);
    assert!(misfits[2].1.starts_with("at `a`: expected"), "{misfits:?}");
}

#[test]
fn types_that_a_message_does_not_have_are_refused() {
    let refused = |fields: &[(&str, &str, bool, u32)]| Form::of(KafkaFormat::Message, &ty(fields)).unwrap_err();
    assert_eq!(refused(&[("r", "i64", false, 0)]), "the `value` of a message is of another type");
    let named = [("r", "struct", false, 2), ("value", "text", false, 0), ("user", "text", false, 0)];
    assert_eq!(refused(&named), "a message has no `user`");
    assert!(Form::of(KafkaFormat::Json, &ty(&named)).is_ok());
}
