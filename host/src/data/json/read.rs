//! Reads rows from JSON values, column by column.

use super::super::decimal::Decimal;
use super::super::fixed;
use super::super::schema::{Kind, Node, RecordType};
use super::super::text::parse_hex;
use super::JsonError;
use crate::shown;
use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, ListArray, PrimitiveArray, RecordBatch,
    RecordBatchOptions, StringArray, StructArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow::error::ArrowError;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The longest value that a message quotes, in characters.
const QUOTED_CHARS_MAX: usize = 40;
/// How many members of an object a message names, and in how many characters.
const MEMBERS_MAX: usize = 20;
const NAMES_CHARS_MAX: usize = 200;
/// Two different numbers of this many decimal digits are never the same float of 64 bits.
const FLOAT_DIGITS: usize = 15;

/// Makes a batch of `ty` with one row for each of `values`.
///
/// # Errors
/// [`JsonError::Value`] with the first value, column by column, that does not have the type.
pub fn records(ty: &RecordType, values: &[Value]) -> Result<RecordBatch, JsonError> {
    let cells: Vec<Cell<'_>> = values.iter().map(Some).collect();
    let columns = if ty.is_flat() { members(ty.root(), &cells) } else { column(ty.root(), &cells).map(|c| vec![c]) };
    let columns = columns.map_err(Trouble::into_error)?;
    let options = RecordBatchOptions::new().with_row_count(Some(values.len()));
    RecordBatch::try_new_with_options(Arc::clone(ty.arrow()), columns, &options)
        .map_err(|error| JsonError::Arrow(error.to_string()))
}

/// The JSON of one value of a column. `None` if the parent is absent, so that the value has no JSON.
type Cell<'a> = Option<&'a Value>;

/// A problem on its way up from the cell that has it. Each list turns its items' cells into its own.
enum Trouble {
    Cell { cell: usize, path: Vec<String>, expected: String, found: String },
    Other(JsonError),
}

impl Trouble {
    fn new(cell: usize, expected: impl Into<String>, found: &Value) -> Self {
        Self::Cell { cell, path: Vec::new(), expected: expected.into(), found: quoted(found) }
    }

    /// The same problem, seen from the struct that has the member.
    fn in_member(mut self, parent: &Node, name: &str) -> Self {
        if let Self::Cell { path, .. } = &mut self {
            path.push(if parent.is_tuple { format!("[{name}]") } else { format!(".{name}") });
        }
        self
    }

    /// The same problem, seen from the list whose items lie at `offsets`.
    fn in_item(mut self, offsets: &[i32]) -> Self {
        if let Self::Cell { cell, path, .. } = &mut self {
            let list = offsets.partition_point(|&offset| offset as usize <= *cell).saturating_sub(1);
            let start = offsets.get(list).map_or(0, |&offset| offset as usize);
            path.push(format!("[{}]", *cell - start));
            *cell = list;
        }
        self
    }

    fn into_error(self) -> JsonError {
        match self {
            Self::Other(error) => error,
            Self::Cell { cell, mut path, expected, found } => {
                path.reverse();
                let path = path.concat().trim_start_matches('.').to_owned();
                JsonError::Value { record: cell, path, expected, found }
            }
        }
    }
}

impl From<ArrowError> for Trouble {
    fn from(error: ArrowError) -> Self {
        Self::Other(JsonError::Arrow(error.to_string()))
    }
}

fn quoted(value: &Value) -> String {
    match value {
        // The array is not copied, because it may be large.
        Value::Array(items) if items.len() > QUOTED_CHARS_MAX / 2 => format!("an array of {} items", items.len()),
        Value::Object(members) if !members.is_empty() => format!("an object of {} members", members.len()),
        Value::String(text) if text.len() > QUOTED_CHARS_MAX => {
            let start: String = text.chars().take(QUOTED_CHARS_MAX).collect();
            format!("{}...", Value::String(start))
        }
        value => {
            let text = value.to_string();
            match text.char_indices().nth(QUOTED_CHARS_MAX) {
                Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
                None => text,
            }
        }
    }
}

/// The names in an object, shortened.
fn members_of(object: &Map<String, Value>) -> String {
    if object.is_empty() {
        return "{}".to_owned();
    }
    let names: Vec<String> = object.keys().take(MEMBERS_MAX).map(|name| shown::name(name)).collect();
    let more = object.len() - names.len();
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    let names: String = names.join(", ").chars().take(NAMES_CHARS_MAX).collect();
    format!("an object with the members {names}{rest}")
}

fn column(node: &Node, cells: &[Cell<'_>]) -> Result<ArrayRef, Trouble> {
    let there: Vec<Cell<'_>>;
    let (cells, nulls) = if node.nullable() {
        there = cells.iter().map(|cell| cell.filter(|value| !value.is_null())).collect();
        (there.as_slice(), Some(there.iter().map(Option::is_some).collect::<NullBuffer>()))
    } else {
        (cells, None)
    };
    let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
    Ok(match node.kind {
        Kind::Bool => {
            let bits = map(node, cells, Value::as_bool)?;
            Arc::new(BooleanArray::new(bits.into(), nulls))
        }
        Kind::I8 => integers::<Int8Type>(node, cells, nulls)?,
        Kind::I16 => integers::<Int16Type>(node, cells, nulls)?,
        Kind::I32 => integers::<Int32Type>(node, cells, nulls)?,
        Kind::I64 => integers::<Int64Type>(node, cells, nulls)?,
        Kind::U8 => integers::<UInt8Type>(node, cells, nulls)?,
        Kind::U16 => integers::<UInt16Type>(node, cells, nulls)?,
        Kind::U32 => integers::<UInt32Type>(node, cells, nulls)?,
        Kind::U64 => integers::<UInt64Type>(node, cells, nulls)?,
        Kind::F32 => numbers::<Float32Type>(map(node, cells, float32)?, nulls)?,
        Kind::F64 => numbers::<Float64Type>(map(node, cells, float64)?, nulls)?,
        Kind::Temporal(temporal) => {
            let values = map(node, cells, |value| temporal.parse(value.as_str()?))?;
            fixed::temporals(temporal, values, nulls)?
        }
        Kind::Decimal(ty) => {
            let values: Vec<i128> = map(node, cells, |value| decimal(ty, value))?;
            fixed::array(node.field.data_type(), cells.len(), Buffer::from_vec(values), nulls)?
        }
        Kind::Text => {
            let texts = map(node, cells, |value| value.as_str().map(str::as_bytes))?;
            Arc::new(StringArray::try_new(offsets(texts.iter().map(|t| t.len()))?, texts.concat().into(), nulls)?)
        }
        Kind::Bytes => {
            let pieces = map(node, cells, |value| parse_hex(value.as_str()?))?;
            let bytes = Buffer::from_vec(pieces.concat());
            Arc::new(BinaryArray::try_new(offsets(pieces.iter().map(Vec::len))?, bytes, nulls)?)
        }
        Kind::List => {
            let lists = map(node, cells, |value| value.as_array().map(Vec::as_slice))?;
            let offsets = offsets(lists.iter().map(|list| list.len()))?;
            let items: Vec<Cell<'_>> = lists.iter().flat_map(|list| list.iter()).map(Some).collect();
            let [item] = node.children.as_slice() else {
                return Err(Trouble::Other(JsonError::Arrow("a list without a child".to_owned())));
            };
            let values = column(item, &items).map_err(|trouble| trouble.in_item(&offsets))?;
            Arc::new(ListArray::try_new(Arc::clone(&item.field), offsets, values, nulls)?)
        }
        Kind::Struct => {
            let DataType::Struct(fields) = node.field.data_type() else {
                return Err(Trouble::Other(JsonError::Arrow("a struct without fields".to_owned())));
            };
            let members = members(node, cells)?;
            Arc::new(StructArray::try_new_with_length(fields.clone(), members, nulls, cells.len())?)
        }
    })
}

/// The result of `parse` for each cell, or a default where there is no JSON.
fn map<'a, T: Default>(
    node: &Node,
    cells: &[Cell<'a>],
    parse: impl Fn(&'a Value) -> Option<T>,
) -> Result<Vec<T>, Trouble> {
    let values = cells.iter().enumerate().map(|(at, cell)| match cell {
        None => Ok(T::default()),
        Some(value) => parse(value).ok_or_else(|| Trouble::new(at, expected(node), value)),
    });
    values.collect()
}

/// The type for a message, and the JSON form of its values where that form is not obvious.
fn expected(node: &Node) -> String {
    match node.kind {
        Kind::Bytes => format!("{node} as a string of hexadecimal digits"),
        Kind::Temporal(temporal) => format!("{node} as a string such as {}", temporal.example()),
        Kind::Decimal(_) => format!("{node} as a string of digits"),
        Kind::Struct if node.variants.is_some() => {
            format!("{node} as a string, or an object of one variant with its data")
        }
        _ => node.to_string(),
    }
}

fn integers<T: ArrowPrimitiveType>(
    node: &Node,
    cells: &[Cell<'_>],
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, Trouble>
where
    T::Native: TryFrom<i64> + TryFrom<u64> + Default,
{
    let parse = |value: &Value| match value.as_i64() {
        Some(value) => T::Native::try_from(value).ok(),
        None => T::Native::try_from(value.as_u64()?).ok(),
    };
    numbers::<T>(map(node, cells, parse)?, nulls)
}

fn numbers<T: ArrowPrimitiveType>(values: Vec<T::Native>, nulls: Option<NullBuffer>) -> Result<ArrayRef, Trouble> {
    Ok(Arc::new(PrimitiveArray::<T>::try_new(values.into(), nulls)?))
}

fn float64(value: &Value) -> Option<f64> {
    match value {
        Value::String(name) => match name.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        value => value.as_f64(),
    }
}

/// A number in JSON has 64 bits here. Numbers of more digits than a float can tell apart have to be strings.
fn decimal(ty: Decimal, value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => ty.parse(text),
        Value::Number(number) if number.is_f64() => {
            let text = number.to_string();
            let digits = text.split('e').next().unwrap_or_default().bytes().filter(u8::is_ascii_digit);
            let significant = digits.skip_while(|digit| *digit == b'0').count();
            ty.parse(&text).filter(|_| significant <= FLOAT_DIGITS)
        }
        Value::Number(number) => ty.parse(&number.to_string()),
        _ => None,
    }
}

fn float32(value: &Value) -> Option<f32> {
    let wide = float64(value)?;
    let narrow = wide as f32;
    (narrow.is_infinite() == wide.is_infinite()).then_some(narrow)
}

fn offsets(lengths: impl Iterator<Item = usize>) -> Result<OffsetBuffer<i32>, Trouble> {
    let mut end: i32 = 0;
    let mut offsets = vec![0];
    for length in lengths {
        let next = i32::try_from(length).ok().and_then(|length| end.checked_add(length));
        end = next.ok_or(Trouble::Other(JsonError::TooLarge))?;
        offsets.push(end);
    }
    Ok(OffsetBuffer::new(offsets.into()))
}

/// The columns of an enum: the name of the variant, and a column for each variant with data.
fn variants(node: &Node, names: &[String], cells: &[Cell<'_>]) -> Result<Vec<ArrayRef>, Trouble> {
    let Some((tag, data)) = node.children.split_first() else {
        return Err(Trouble::Other(JsonError::Arrow("an enum without variants".to_owned())));
    };
    let has_data = |name: &str| data.iter().any(|child| child.name() == name);
    let variant = |value: &'_ Value| match value {
        Value::String(name) => (names.contains(name) && !has_data(name)).then(|| name.clone()),
        Value::Object(object) => {
            let (name, value) = object.iter().next().filter(|_| object.len() == 1)?;
            (has_data(name) && !value.is_null()).then(|| name.clone())
        }
        _ => None,
    };
    let tags: Vec<Value> = map(node, cells, variant)?.into_iter().map(Value::String).collect();
    let tag_cells: Vec<Cell<'_>> = cells.iter().zip(&tags).map(|(cell, tag)| cell.map(|_| tag)).collect();
    let mut columns = vec![column(tag, &tag_cells)?];
    for child in data {
        let cells: Vec<Cell<'_>> = cells.iter().map(|cell| cell.and_then(|value| value.get(child.name()))).collect();
        columns.push(column(child, &cells).map_err(|trouble| trouble.in_member(node, child.name()))?);
    }
    Ok(columns)
}

/// The columns of the members of a struct.
fn members(node: &Node, cells: &[Cell<'_>]) -> Result<Vec<ArrayRef>, Trouble> {
    if let Some(names) = &node.variants {
        return variants(node, names, cells);
    }
    for (at, value) in cells.iter().enumerate().filter_map(|(at, cell)| cell.map(|value| (at, value))) {
        check_members(node, at, value)?;
    }
    let columns = node.children.iter().enumerate().map(|(position, child)| {
        // `check_members` has checked that only members that may be absent are missing.
        let member = |value| member(node, position, value).unwrap_or(&Value::Null);
        let cells: Vec<Cell<'_>> = cells.iter().map(|cell| cell.map(member)).collect();
        column(child, &cells).map_err(|trouble| trouble.in_member(node, child.name()))
    });
    columns.collect()
}

/// The member of `value`, which stands for a struct, at a position of the struct.
fn member<'a>(node: &Node, position: usize, value: &'a Value) -> Option<&'a Value> {
    if node.is_tuple { value.get(position) } else { value.get(node.children.get(position)?.name()) }
}

/// Checks that `value` has the members of `node`. The values of the members are not checked.
fn check_members(node: &Node, at: usize, value: &Value) -> Result<(), Trouble> {
    if node.is_tuple {
        return match value.as_array() {
            Some(items) if items.len() == node.children.len() => Ok(()),
            _ => Err(Trouble::new(at, format!("{node} as an array of {}", node.children.len()), value)),
        };
    }
    let Some(object) = value.as_object() else {
        return Err(Trouble::new(at, format!("{node} as an object"), value));
    };
    if let Some(missing) = node.children.iter().find(|child| !child.nullable() && !object.contains_key(child.name())) {
        let expected = format!("{node} with the member `{}`", missing.name());
        let found = members_of(object);
        return Err(Trouble::Cell { cell: at, path: Vec::new(), expected, found });
    }
    match object.keys().find(|&name| node.children.iter().all(|child| child.name() != name)) {
        None => Ok(()),
        Some(name) => {
            Err(Trouble::new(at, format!("{node}"), &Value::from(format!("an object with the member `{name}`"))))
        }
    }
}
