//! Records of user types: their description for the host, their form on the way to the host, and wrong input.

use super::{Builder, Column, Field, fields_of, read_column, write_chunk};
use crate::chunk::Chunk;
use crate::{Bytes, Key, Record, Text, testing};
use ::serde::{Deserialize, Serialize};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Record, Key, Clone, Debug, PartialEq)]
enum Color {
    Red,
    r#Green = 7,
}

#[derive(Record, Key, Clone, Debug, PartialEq)]
struct Point(i32, f64);

/// More members than a tuple may have; a raw name; records in records.
#[derive(Record, Clone, Debug, PartialEq)]
struct Wide {
    r#type: Color,
    at: Option<Point>,
    path: Vec<Point>,
    text: Text,
    bytes: Bytes,
    flag: bool,
    nested: (Point, Option<Color>),
    events: Vec<Option<Event>>,
}

#[derive(Record, Key, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[record(serde, version = 3)]
enum Event {
    Nothing,
    Moved { to: (i32, i32), by: Text },
    Many(Vec<Event>, BTreeMap<String, Option<Box<Event>>>, Bytes),
}

/// A value whose encoding has no bytes.
#[derive(Record, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[record(serde)]
struct Tick;

mod tagged;

fn round_trip<T: Record>(values: Vec<T>) -> Vec<T> {
    let count = values.len();
    let (column, rows) = read_column::<T>(chunk(values)).expect("it is well-formed");
    assert_eq!(rows, count);
    (0..rows).map(|row| column.get(row)).collect()
}

fn chunk<T: Record>(values: Vec<T>) -> Chunk {
    let mut builder = T::Builder::default();
    let count = values.len();
    values.into_iter().for_each(|value| builder.push(value));
    write_chunk(&mut builder, count)
}

fn wide(seed: u8) -> Wide {
    let point = |n: u8| Point(i32::from(n) - 100, f64::from(n) / 4.0);
    let color = if seed.is_multiple_of(2) { Color::Red } else { Color::Green };
    let moved = Event::Moved { to: (i32::from(seed), -1), by: "me".into() };
    Wide {
        r#type: color.clone(),
        at: seed.is_multiple_of(3).then(|| point(seed)),
        path: (0..seed % 4).map(point).collect(),
        text: seed.to_string().into(),
        bytes: Bytes(vec![seed; usize::from(seed % 3)]),
        flag: seed.is_multiple_of(5),
        nested: (point(seed), seed.is_multiple_of(7).then_some(color)),
        events: vec![None, Some(Event::Nothing), Some(moved)],
    }
}

#[test]
fn a_struct_is_described_by_its_fields() {
    let fields = fields_of::<Wide>();
    let shown: Vec<String> = fields
        .iter()
        .map(|field| format!("{}:{}{}", field.name, field.kind, if field.nullable { "?" } else { "" }))
        .collect();
    assert_eq!(
        shown.join(" "),
        "value:struct type:text at:struct? 0:i32 1:f64 path:list item:struct 0:i32 1:f64 text:text bytes:bytes flag:bool \
         nested:struct 0:struct 0:i32 1:f64 1:text? events:list item:bytes?"
    );
    assert_eq!(fields[0].children, 8);
    const { assert!(Wide::FLAT && Point::FLAT && !Color::FLAT && !Event::FLAT) };
}

#[test]
fn a_type_in_serdes_encoding_says_what_it_is() {
    let [field] = fields_of::<Event>().try_into().expect("one field");
    let Field { kind, metadata, .. } = field;
    let value = |key: &str| metadata.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str());
    assert_eq!((&*kind, value("type"), value("version")), ("bytes", Some("Event"), Some("3")));
    let structure = value("structure").expect("it has one");
    assert!(structure.len() == 16 && structure.bytes().all(|digit| digit.is_ascii_hexdigit()), "{structure}");
    assert_ne!(fields_of::<Tick>()[0].metadata[2].1, structure);
}

proptest! {
    #[test]
    fn records_come_back_as_they_went(seeds in prop::collection::vec(any::<u8>(), 0..20)) {
        let rows: Vec<Wide> = seeds.iter().map(|seed| wide(*seed)).collect();
        prop_assert_eq!(round_trip(rows.clone()), rows);
    }

    #[test]
    fn keys_come_back_from_their_encoding(n in any::<i32>(), f in any::<f64>(), red in any::<bool>(), by in ".{0,9}") {
        let color = if red { Color::Red } else { Color::Green };
        let event = Event::Many(vec![Event::Nothing, Event::Moved { to: (n, 7), by: by.into() }], BTreeMap::new(), Bytes(vec![1]));
        let key = (Point(n, f + 0.0), color, event.clone(), vec![event]);
        let mut bytes = Vec::new();
        key.encode(true, &mut bytes);
        type Keys = (Point, Color, Event, Vec<Event>);
        prop_assert_eq!(Keys::decode(&mut bytes.as_slice(), true), key);
    }
}

#[test]
fn what_encodes_to_nothing_comes_back() {
    assert_eq!(round_trip(vec![Tick, Tick]), [Tick, Tick]);
    assert_eq!(round_trip(vec![Some(Tick), None]), [Some(Tick), None]);
}

/// A derived key has the encoding of the tuple or the text as which it is sent. The host computes the same encoding.
#[test]
fn a_key_is_encoded_as_its_columns_are() {
    fn encoded<K: Key>(key: K) -> Vec<u8> {
        let mut bytes = Vec::new();
        key.encode(true, &mut bytes);
        bytes
    }
    assert_eq!(encoded(Point(1, -0.0)), encoded((1i32, 0.0f64)));
    assert_eq!(encoded((Color::Green, 1u8)), encoded((Text::from("Green"), 1u8)));
    assert_eq!(encoded((Event::Nothing, 1u8)), encoded((Bytes(vec![0]), 1u8)));
    assert_eq!(encoded(Event::Nothing), [0]);
}

#[test]
fn a_value_that_cannot_be_decoded_makes_its_chunk_malformed() {
    let problem = |error: Option<crate::chunk::Malformed>| error.expect("it is refused").to_string();
    let names = chunk(vec![Text::from("Red"), Text::from("Purple")]);
    assert_eq!(
        problem(read_column::<Color>(names).err()),
        "`Purple` is no variant of `Color`, which has `Red`, `Green`"
    );
    for (bytes, why) in [
        (vec![9], "1 bytes are no `Event` of version 3: "),
        (vec![0, 0], "2 bytes are no `Event` of version 3: 1 bytes are left over"),
        (vec![1, 2], "2 bytes are no `Event` of version 3: Hit the end of buffer"),
    ] {
        let problem = problem(read_column::<Event>(chunk(vec![Bytes(bytes)])).err());
        assert!(problem.starts_with(why), "{problem}");
    }
}

/// Uses `deserialize_any`, which `serde(untagged)` and similar attributes need, in a way that the derive macro cannot
/// see.
#[derive(Record, Serialize, Clone, Debug, PartialEq)]
#[record(serde)]
struct Any(u8);

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(::serde::de::IgnoredAny).map(|_| Any(0))
    }
}

#[test]
fn a_type_that_needs_another_kind_of_format_is_told_so() {
    let error = read_column::<Any>(chunk(vec![Any(1)])).err().expect("it is refused").to_string();
    assert!(error.contains("the type needs a format that names what it holds, as JSON does"), "{error}");
}

#[test]
fn records_print_as_tuples_text_and_bytes() {
    let build = |ctx: &crate::StreamingContext| {
        let rows = ctx.stream::<Wide>("rows");
        rows.print();
        rows.map(|row| (Color::Green, Some(row.nested.0))).print();
        rows.map(|_| Event::Nothing).print();
    };
    let printed = testing::Job::new(build).batch("rows", [wide(6)]).run();
    let shown: Vec<&str> = printed.iter().map(|printed| printed.rows[0].as_str()).collect();
    assert_eq!(
        shown[0],
        "(Red,Some((-94,1.5)),[(-100,0.0), (-99,0.25)],6,,false,((-94,1.5),None),[None, Some(00), Some(010c01026d65)])"
    );
    assert_eq!(shown[1..], ["(Green,Some((-94,1.5)))", "00"]);
}
