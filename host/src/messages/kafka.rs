//! The rows of messages of Kafka: which columns a plugin reads, and how messages become rows.
//!
//! Owns what is no record. A message is taken as a whole or not at all: nothing in it is replaced.

use crate::config::KafkaFormat;
use crate::data::json::{self, JsonError};
use crate::data::schema::RecordType;
use crate::env::{LogRecord, TopicPartition};
use arrow::array::{
    ArrayRef, BinaryArray, BinaryBuilder, Int32Array, Int64Array, Int64Builder, ListBuilder, RecordBatch, StringArray,
    StringBuilder, StructBuilder,
};
use arrow::datatypes::{DataType, Field, Fields};
use serde_json::Value;
use std::sync::Arc;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Key,
    Value,
    Timestamp,
    Headers,
    Topic,
    Partition,
    Offset,
}

/// The names of the columns of a message, for a plugin that reads a struct.
const NAMES: &[(&str, Part)] = &[
    ("key", Part::Key),
    ("value", Part::Value),
    ("timestamp_ms", Part::Timestamp),
    ("headers", Part::Headers),
    ("topic", Part::Topic),
    ("partition", Part::Partition),
    ("offset", Part::Offset),
];

/// How messages become rows of a type.
#[derive(Clone, Debug)]
pub enum Form {
    /// Each column is a part of the message.
    Columns(RecordType, Vec<Column>),
    /// The value is a row as JSON.
    Json(RecordType),
}

/// A column of a form.
#[derive(Clone, Debug)]
pub struct Column {
    part: Part,
    ty: DataType,
    nullable: bool,
}

impl Form {
    /// What a user can do whose plugin reads a type that messages do not have.
    pub const HELP: &str = "use ctx.kafka_stream for whole messages, read text or bytes, or set format = \"json\" for values \
                            that are JSON";

    /// How messages become rows of a type.
    ///
    /// # Errors
    /// Returns why messages do not have this type.
    pub fn of(format: KafkaFormat, rows: &RecordType) -> Result<Self, String> {
        if let Some(ty) = rows.opaque() {
            return Err(format!("{ty} is a type of the plugin's own, whose bytes only the plugin can read"));
        }
        if format == KafkaFormat::Json {
            return Ok(Self::Json(rows.clone()));
        }
        let fields = rows.arrow().fields();
        let names: Vec<Option<Part>> = match fields.len() {
            _ if rows.is_pair() => vec![Some(Part::Key), Some(Part::Value)],
            _ => fields.iter().map(|field| part_named(field.name())).collect(),
        };
        let column = |(field, part): (&Arc<Field>, Option<Part>)| {
            let part = part.ok_or_else(|| format!("a message has no `{}`", field.name()))?;
            let fits = match (part, field.data_type()) {
                (Part::Key | Part::Value, DataType::Utf8 | DataType::Binary)
                | (Part::Timestamp | Part::Offset, DataType::Int64)
                | (Part::Partition, DataType::Int32)
                | (Part::Topic, DataType::Utf8) => true,
                (Part::Headers, ty) => *ty == headers_type(field),
                _ => false,
            };
            if fits {
                let (ty, nullable) = (field.data_type().clone(), field.is_nullable());
                Ok(Column { part, ty, nullable })
            } else {
                Err(format!("the `{}` of a message is of another type", field.name()))
            }
        };
        let columns: Result<Vec<Column>, String> = fields.iter().zip(names).map(column).collect();
        Ok(Self::Columns(rows.clone(), columns?))
    }
}

fn part_named(name: &str) -> Option<Part> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, part)| *part)
}

/// The type of headers: a list of names and values. The field of the list says the names that carry no meaning.
fn headers_type(field: &Field) -> DataType {
    match field.data_type() {
        DataType::List(item) => {
            let members = Fields::from(vec![
                Field::new("key", DataType::Utf8, false),
                Field::new("value", DataType::Binary, true),
            ]);
            DataType::List(Arc::new(item.as_ref().clone().with_data_type(DataType::Struct(members))))
        }
        other => other.clone(),
    }
}

/// Collects messages, and makes rows of them.
pub struct Messages {
    form: Form,
    topics: StringBuilder,
    partitions: Vec<i32>,
    /// The offset of each message.
    offsets: Vec<i64>,
    timestamps: Vec<Option<i64>>,
    keys: BinaryBuilder,
    values: BinaryBuilder,
    headers: Vec<Headers>,
    json: Vec<Value>,
    bytes: usize,
}

/// A message that is no record.
#[derive(Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The offset of the message.
    pub offset: i64,
    /// What is wrong with the message.
    pub problem: String,
}

impl Messages {
    /// Begins to collect messages for rows of a form.
    pub fn new(form: Form) -> Self {
        Self {
            form,
            topics: StringBuilder::new(),
            partitions: Vec::new(),
            offsets: Vec::new(),
            timestamps: Vec::new(),
            keys: BinaryBuilder::new(),
            values: BinaryBuilder::new(),
            headers: Vec::new(),
            json: Vec::new(),
            bytes: 0,
        }
    }

    /// How many bytes the messages have.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there are no messages.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Adds a message of a partition.
    ///
    /// # Errors
    /// If the message is no record. Then it is left out.
    pub fn add(&mut self, of: &TopicPartition, record: &LogRecord<'_>) -> Result<(), Misfit> {
        let misfit = |problem: String| Misfit { offset: record.offset, problem };
        match &self.form {
            Form::Json(_) => {
                let value = record.value.ok_or_else(|| misfit("it has no value".to_owned()))?;
                let value = json::parse(value).map_err(|error| misfit(error.to_string()))?;
                self.json.push(value);
            }
            Form::Columns(_, columns) => {
                for column in columns {
                    let bytes = match column.part {
                        Part::Key => record.key,
                        Part::Value => record.value,
                        Part::Headers => {
                            if record.headers.iter().any(|(name, _)| std::str::from_utf8(name).is_err()) {
                                return Err(misfit("the name of a header is not UTF-8".to_owned()));
                            }
                            continue;
                        }
                        _ => continue,
                    };
                    if column.ty == DataType::Utf8
                        && let Some(Err(error)) = bytes.map(std::str::from_utf8)
                    {
                        let what = if column.part == Part::Key { "key" } else { "value" };
                        return Err(misfit(format!("its {what} is not UTF-8 after byte {}", error.valid_up_to())));
                    }
                }
                let has = |part| columns.iter().any(|column| column.part == part);
                if has(Part::Key) {
                    self.keys.append_option(record.key);
                }
                if has(Part::Value) {
                    self.values.append_option(record.value);
                }
                if has(Part::Headers) {
                    let owned = record.headers.iter().map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec)));
                    self.headers.push(owned.collect());
                }
                if has(Part::Topic) {
                    self.topics.append_value(&of.topic);
                }
                self.partitions.push(of.number);
                self.timestamps.push(record.timestamp_ms);
            }
        }
        self.offsets.push(record.offset);
        let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len)).sum();
        self.bytes += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + headers;
        Ok(())
    }

    /// The rows of the messages, and the messages that are none.
    ///
    /// # Errors
    /// Returns in words why the messages have no columns.
    pub fn rows(&mut self) -> Result<(RecordBatch, Vec<Misfit>), String> {
        self.bytes = 0;
        let offsets = std::mem::take(&mut self.offsets);
        match self.form.clone() {
            Form::Json(rows) => json_rows(&rows, offsets, std::mem::take(&mut self.json)),
            Form::Columns(rows, columns) => {
                let (keys, values) = (self.keys.finish(), self.values.finish());
                let timestamps = std::mem::take(&mut self.timestamps);
                let headers = std::mem::take(&mut self.headers);
                let (topics, partitions) = (self.topics.finish(), std::mem::take(&mut self.partitions));
                let column = |column: &Column| -> Result<ArrayRef, String> {
                    Ok(match column.part {
                        Part::Key => bytes_column(&keys, column)?,
                        Part::Value => bytes_column(&values, column)?,
                        Part::Offset => Arc::new(Int64Array::from(offsets.clone())),
                        Part::Timestamp => timestamps_column(&timestamps, column.nullable),
                        Part::Partition => Arc::new(Int32Array::from(partitions.clone())),
                        Part::Topic => Arc::new(topics.clone()),
                        Part::Headers => headers_column(&headers, &column.ty)?,
                    })
                };
                let columns: Result<Vec<ArrayRef>, String> = columns.iter().map(column).collect();
                let batch = RecordBatch::try_new(rows.arrow().clone(), columns?);
                Ok((batch.map_err(|error| error.to_string())?, Vec::new()))
            }
        }
    }
}

/// A column of keys or values. If the plugin's type has no absence, what is absent is empty.
fn bytes_column(bytes: &BinaryArray, column: &Column) -> Result<ArrayRef, String> {
    let bytes = match column.nullable {
        true => bytes.clone(),
        false => BinaryArray::new(bytes.offsets().clone(), bytes.values().clone(), None),
    };
    match column.ty {
        DataType::Utf8 => {
            let text = StringArray::try_from_binary(bytes).map_err(|error| error.to_string())?;
            Ok(Arc::new(text))
        }
        _ => Ok(Arc::new(bytes)),
    }
}

fn timestamps_column(timestamps: &[Option<i64>], nullable: bool) -> ArrayRef {
    let mut column = Int64Builder::with_capacity(timestamps.len());
    for timestamp in timestamps {
        match nullable {
            true => column.append_option(*timestamp),
            // As Kafka writes it.
            false => column.append_value(timestamp.unwrap_or(-1)),
        }
    }
    Arc::new(column.finish())
}

/// The headers of messages.
type Headers = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn headers_column(headers: &[Headers], ty: &DataType) -> Result<ArrayRef, String> {
    let DataType::List(item) = ty else { return Err("headers are a list".to_owned()) };
    let DataType::Struct(members) = item.data_type() else { return Err("a header is a struct".to_owned()) };
    let mut list = ListBuilder::new(StructBuilder::from_fields(members.clone(), 0)).with_field(item.clone());
    for of_message in headers {
        let pairs = list.values();
        for (name, value) in of_message {
            let name = String::from_utf8_lossy(name);
            if let Some(names) = pairs.field_builder::<StringBuilder>(0) {
                names.append_value(name);
            }
            if let Some(values) = pairs.field_builder::<BinaryBuilder>(1) {
                values.append_option(value.as_deref());
            }
            pairs.append(true);
        }
        list.append(true);
    }
    Ok(Arc::new(list.finish()))
}

/// The rows of JSON values. A value that does not have the type is left out, and all others are read again.
fn json_rows(
    rows: &RecordType,
    mut offsets: Vec<i64>,
    mut values: Vec<Value>,
) -> Result<(RecordBatch, Vec<Misfit>), String> {
    let mut misfits = Vec::new();
    loop {
        match json::records(rows, &values) {
            Ok(batch) => return Ok((batch, misfits)),
            Err(JsonError::Value { record, path, expected, found }) if record < values.len() => {
                let at = if path.is_empty() { String::new() } else { format!("at `{path}`: ") };
                let problem = format!("{at}expected {expected}, found {found}");
                misfits.push(Misfit { offset: offsets.remove(record), problem });
                values.remove(record);
            }
            Err(other) => return Err(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
