//! Random types and rows, for the property tests of this module.

use super::json;
use super::schema::{Field, Kind, Node, RecordType};
use super::temporal::{Temporal, Unit};
use arrow::array::RecordBatch;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Kinds without children: first all that have no parameters, then dates, times and decimals.
const LEAVES: [&str; 24] = [
    "bool",
    "i8",
    "i16",
    "i32",
    "i64",
    "u8",
    "u16",
    "u32",
    "u64",
    "f32",
    "f64",
    "text",
    "bytes",
    "date",
    "time[s]",
    "time[us]",
    "time[ns]",
    "datetime[ms]",
    "datetime[ns]",
    "timestamp[s]",
    "timestamp[us]",
    "decimal(1,0)",
    "decimal(12,2)",
    "decimal(38,38)",
];

/// A field without metadata.
pub fn field(name: &str, kind: &str, nullable: bool, children: u32) -> Field {
    Field { name: name.to_owned(), kind: kind.to_owned(), nullable, children, metadata: Vec::new() }
}

/// The type of fields `(name, kind, children)`. A `?` before the kind makes it an option.
pub fn ty(fields: &[(&str, &str, u32)]) -> RecordType {
    let fields = fields
        .iter()
        .map(|(name, kind, children)| field(name, kind.trim_start_matches('?'), kind.starts_with('?'), *children));
    RecordType::parse(fields.collect()).unwrap()
}

/// An enum whose variants hold data.
pub fn an_enum() -> RecordType {
    RecordType::parse(enum_fields(false)).unwrap()
}

fn enum_fields(nullable: bool) -> Vec<Field> {
    let mut root = field("", "struct", nullable, 4);
    root.metadata = vec![("variants".to_owned(), "Start,Moved,Said,Perhaps".to_owned())];
    let moved = [field("Moved", "struct", true, 1), field("by", "i64", false, 0)];
    let perhaps = [field("Perhaps", "struct", true, 1), field("value", "u8", true, 0)];
    [
        vec![root, field("type", "text", false, 0)],
        moved.to_vec(),
        vec![field("Said", "text", true, 0)],
        perhaps.to_vec(),
    ]
    .concat()
}

/// Any type of a few fields.
pub fn record_type() -> impl Strategy<Value = RecordType> {
    fields().prop_map(|fields| RecordType::parse(fields).unwrap())
}

fn fields() -> impl Strategy<Value = Vec<Field>> {
    let plain = proptest::sample::select(&LEAVES[..13]);
    let other = proptest::sample::select(&LEAVES[13..]);
    let leaf = (prop_oneof![2 => plain, 1 => other], any::<bool>());
    let leaf = leaf.prop_map(|(kind, nullable)| vec![field("", kind, nullable, 0)]);
    let enums = any::<bool>().prop_map(enum_fields);
    prop_oneof![9 => leaf, 1 => enums].prop_recursive(3, 8, 3, |inner| {
        let list = (inner.clone(), any::<bool>()).prop_map(|(item, nullable)| {
            let mut fields = vec![field("", "list", nullable, 1)];
            fields.extend(item);
            fields
        });
        let members = proptest::collection::vec(inner, 1..4);
        let structs = (members, any::<bool>(), proptest::sample::select(vec!["", "value", "m"]));
        let structs = structs.prop_map(|(mut members, nullable, prefix)| {
            let mut fields = vec![field("", "struct", nullable, members.len() as u32)];
            for (at, member) in members.iter_mut().enumerate() {
                let number = if prefix == "value" && at == 0 { String::new() } else { at.to_string() };
                member[0].name = format!("{prefix}{number}");
            }
            fields.extend(members.concat());
            fields
        });
        prop_oneof![list, structs]
    })
}

/// Any JSON of a value of the type.
fn value(node: &Node) -> BoxedStrategy<Value> {
    let special = || proptest::sample::select(vec!["NaN", "Infinity", "-Infinity"]).prop_map(Value::from);
    let values = match node.kind {
        Kind::Bool => any::<bool>().prop_map(Value::from).boxed(),
        Kind::I8 => any::<i8>().prop_map(Value::from).boxed(),
        Kind::I16 => any::<i16>().prop_map(Value::from).boxed(),
        Kind::I32 => any::<i32>().prop_map(Value::from).boxed(),
        Kind::I64 => any::<i64>().prop_map(Value::from).boxed(),
        Kind::U8 => any::<u8>().prop_map(Value::from).boxed(),
        Kind::U16 => any::<u16>().prop_map(Value::from).boxed(),
        Kind::U32 => any::<u32>().prop_map(Value::from).boxed(),
        Kind::U64 => any::<u64>().prop_map(Value::from).boxed(),
        Kind::F32 => {
            let shortest = any::<f32>().prop_map(|n| n.to_string().parse::<f64>().map_or(Value::Null, Value::from));
            prop_oneof![8 => shortest, 1 => special()].boxed()
        }
        Kind::F64 => prop_oneof![8 => any::<f64>().prop_map(Value::from), 1 => special()].boxed(),
        Kind::Temporal(temporal) => {
            // Other readers know the years from 0 to 9999 only.
            let within = |value: i64, unit: Unit| match 315_569_520_000_i64.checked_mul(unit.per_second()) {
                Some(span) => value.rem_euclid(span) - 62_167_219_200 * unit.per_second(),
                None => value,
            };
            let text = move |value: i64| {
                let value = match temporal {
                    Temporal::Date => value.rem_euclid(3_652_425) - 719_528,
                    Temporal::Time(unit) => value.rem_euclid(86_400 * unit.per_second()),
                    Temporal::DateTime(unit) | Temporal::Timestamp(unit) => within(value, unit),
                };
                let mut text = String::new();
                temporal.write(value, &mut text);
                Value::from(text)
            };
            any::<i64>().prop_map(text).boxed()
        }
        Kind::Decimal(decimal) => {
            let text = move |value: i128| {
                let mut text = String::new();
                decimal.write(value % 10_i128.pow(u32::from(decimal.precision)), &mut text);
                Value::from(text)
            };
            any::<i128>().prop_map(text).boxed()
        }
        Kind::Text => "[aé€😀 ]{0,4}".prop_map(Value::from).boxed(),
        Kind::Bytes => "([0-9a-f]{2}){0,3}".prop_map(Value::from).boxed(),
        Kind::List => proptest::collection::vec(value(&node.children[0]), 0..4).prop_map(Value::Array).boxed(),
        Kind::Struct if node.variants.is_some() => {
            let data = node.children.iter().skip(1).map(|child| {
                let name = child.name().to_owned();
                let there = value(child).prop_filter("it is there", |value| !value.is_null());
                there.prop_map(move |value| json!({ name.clone(): value })).boxed()
            });
            let all: Vec<_> = data.chain([Just(json!("Start")).boxed()]).collect();
            proptest::strategy::Union::new(all).boxed()
        }
        Kind::Struct => {
            let members: Vec<_> = node.children.iter().map(value).collect();
            if node.is_tuple {
                members.prop_map(Value::Array).boxed()
            } else {
                let names: Vec<_> = node.children.iter().map(|child| child.name().to_owned()).collect();
                let object = move |values: Vec<Value>| Value::Object(names.iter().cloned().zip(values).collect());
                members.prop_map(object).boxed()
            }
        }
    };
    if node.nullable() { prop_oneof![2 => values, 1 => Just(Value::Null)].boxed() } else { values }
}

/// Any type, with up to `rows_max` rows of the type, as JSON and as a batch.
pub fn rows(rows_max: usize) -> impl Strategy<Value = (RecordType, Vec<Value>, RecordBatch)> {
    record_type().prop_flat_map(move |ty| {
        proptest::collection::vec(value(ty.root()), 0..=rows_max).prop_map(move |values| {
            let batch = json::records(&ty, &values).unwrap();
            (ty.clone(), values, batch)
        })
    })
}
