//! Parses JSON text, and refuses objects that have a name twice.
//!
//! Owns this rule. If an object has two members with one name, no reader can know which of them is meant.

use crate::shown;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// The longest name that a message quotes, in characters.
const QUOTED_CHARS_MAX: usize = 40;

/// Reads one JSON value.
///
/// # Errors
/// If the text is not JSON, or an object in it has two members with the same name.
pub fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice::<Strict>(text).map(|strict| strict.0)
}

/// A value whose objects have each name once.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                let name = shown::short_name(&name, QUOTED_CHARS_MAX);
                return Err(A::Error::custom(format!("an object has the member {name} twice")));
            }
            let Strict(value) = members.next_value()?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::arbitrary::rows;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_that_an_object_has_twice_is_refused() {
        let told = |text: &str| parse(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(told(r#"{"n":1,"n":2}"#), "an object has the member `n` twice at line 1 column 10");
        assert_eq!(told(r#"[{"a":[{"n\n":1,"n\n":1}]}]"#), "an object has the member `n\\n` twice at line 1 column 21");
        let long = "x".repeat(50);
        let expected = format!("an object has the member `{}...` twice at line 1 column 108", "x".repeat(40));
        assert_eq!(told(&format!(r#"{{"{long}":1,"{long}":2}}"#)), expected);
        assert_eq!(parse(br#"[{"n":1},{"n":2}]"#).unwrap(), serde_json::json!([{"n": 1}, {"n": 2}]));
        assert!(told("{").starts_with("EOF while parsing"));
    }

    proptest! {
        /// Otherwise values are those of serde_json.
        #[test]
        fn values_are_what_they_are((_, values, _) in rows(4)) {
            for value in values {
                prop_assert_eq!(parse(value.to_string().as_bytes()).unwrap(), value);
            }
        }
    }
}
