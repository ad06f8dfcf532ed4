//! Keys as people write them: a text becomes a key of a type.
//!
//! Owns the form of such a text. A key of type `text` is the text itself, bytes are hexadecimal digits, dates, times and
//! decimals may stand without quotes, and all other keys are JSON, in the form in which `queue` sources read rows.

use crate::data::json::{JsonError, parse, records, row_to_json};
use crate::data::schema::RecordType;
use arrow::array::ArrayRef;
use serde_json::Value;

/// Reads a key of a type. Returns a column with the key as its only row, and the key as JSON.
///
/// # Errors
/// If the text is no such key: a text that says why.
pub fn read(ty: &RecordType, text: &str) -> Result<(ArrayRef, Value), String> {
    let root = ty.fields().first().filter(|root| !root.nullable).map_or("", |root| root.kind.as_str());
    let parsed = parse(text.as_bytes());
    let value = match (root, parsed) {
        ("text" | "bytes", _) => Value::from(text),
        (_, Ok(Value::Number(_)) | Err(_)) if ty.is_temporal_or_decimal() => Value::from(text),
        // A float may be `NaN` or `Infinity`, which are no JSON.
        ("f32" | "f64", Err(_)) => Value::from(text),
        (_, Ok(value)) => value,
        (_, Err(error)) => return Err(format!("it is no JSON value: {error}")),
    };
    // A type whose only column is the key, whatever the type of the key is.
    let wrapped = RecordType::tuple(&[ty]).map_err(|error| error.to_string())?;
    let rows = records(&wrapped, &[Value::Array(vec![value])]).map_err(|error| match error {
        JsonError::Value { path, expected, found, .. } => {
            let path = path.strip_prefix("[0]").unwrap_or(&path);
            let at = if path.is_empty() { String::new() } else { format!(" at `{}`", path.trim_start_matches('.')) };
            format!("expected {expected}{at}, found {found}")
        }
        other => other.to_string(),
    })?;
    let shown = row_to_json(&rows, &wrapped, 0).map_err(|error| error.to_string())?;
    let keys = rows.columns().first().cloned().ok_or_else(|| "it has no columns".to_owned())?;
    Ok((keys, shown.get(0).cloned().unwrap_or_default()))
}

/// How a key of a type is written, for advice.
pub fn form(ty: &str) -> String {
    match ty {
        "text" => "a text".to_owned(),
        "bytes" => "hexadecimal digits, two for each byte".to_owned(),
        _ => format!("a value of type {ty} as JSON, such as 7, [\"a\",7] or {{\"name\":\"a\"}}"),
    }
}
