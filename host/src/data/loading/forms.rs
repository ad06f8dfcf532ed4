//! Which kind of field reads a column of a file, for advice.
//!
//! Owns the words about columns that no record has. Never reads a value.

use arrow::datatypes::{DataType, TimeUnit};

/// The type of a column, and what to do if a record has another type.
pub(super) fn advised(found: &DataType) -> String {
    let advice = match (form(found), substitute(found)) {
        (Some(form), _) => format!("a field of type {form} reads such a column"),
        (None, substitute) => format!("no record has such a column: cast it to {substitute} where the file is written"),
    };
    format!("{found}; {advice}")
}

/// The type of the field that reads all values of a column.
fn form(found: &DataType) -> Option<String> {
    let unit = |unit: &TimeUnit| match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    };
    Some(match found {
        DataType::Boolean => "bool".to_owned(),
        DataType::Int8 => "i8".to_owned(),
        DataType::Int16 => "i16".to_owned(),
        DataType::Int32 => "i32".to_owned(),
        DataType::Int64 => "i64".to_owned(),
        DataType::UInt8 => "u8".to_owned(),
        DataType::UInt16 => "u16".to_owned(),
        DataType::UInt32 => "u32".to_owned(),
        DataType::UInt64 => "u64".to_owned(),
        DataType::Float16 | DataType::Float32 => "f32".to_owned(),
        DataType::Float64 => "f64".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "bytes".to_owned()
        }
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Time32(of) | DataType::Time64(of) => format!("time[{}]", unit(of)),
        DataType::Timestamp(of, None) => format!("datetime[{}]", unit(of)),
        DataType::Timestamp(of, Some(_)) => format!("timestamp[{}]", unit(of)),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale)
            if *precision <= 38 && *scale >= 0 =>
        {
            format!("decimal({precision},{scale})")
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => "list".to_owned(),
        DataType::Map(..) => "list of structs with the members `key` and `value`".to_owned(),
        DataType::Struct(_) => "struct".to_owned(),
        DataType::Dictionary(_, value) if form(value).as_deref() == Some("text") => "text".to_owned(),
        _ => return None,
    })
}

/// The type that a column should have instead.
const fn substitute(found: &DataType) -> &'static str {
    match found {
        DataType::Duration(_) => "a number",
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            "a decimal of at most 38 digits with a scale of 0 or more"
        }
        DataType::Dictionary(..) | DataType::RunEndEncoded(..) => "the type of its values",
        DataType::Null => "the type of the field",
        DataType::ListView(_) | DataType::LargeListView(_) => "a list",
        DataType::Union(..) => "a struct",
        _ => "text",
    }
}
