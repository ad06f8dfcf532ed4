//! Random types and rows, for the property tests of this module.

use super::json;
use super::schema::{Field, Kind, Node, RecordType};
use arrow::array::RecordBatch;
use proptest::prelude::*;
use serde_json::Value;

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

/// Any type of a few fields.
pub fn record_type() -> impl Strategy<Value = RecordType> {
    fields().prop_map(|fields| RecordType::parse(fields).unwrap())
}

fn fields() -> impl Strategy<Value = Vec<Field>> {
    let leaf = (proptest::sample::select(&Kind::ALL[..13]), any::<bool>());
    let leaf = leaf.prop_map(|(kind, nullable)| vec![field("", kind.name(), nullable, 0)]);
    leaf.prop_recursive(3, 8, 3, |inner| {
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
        Kind::Text => "[aé€😀 ]{0,4}".prop_map(Value::from).boxed(),
        Kind::Bytes => "([0-9a-f]{2}){0,3}".prop_map(Value::from).boxed(),
        Kind::List => proptest::collection::vec(value(&node.children[0]), 0..4).prop_map(Value::Array).boxed(),
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
