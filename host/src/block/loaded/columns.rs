//! Parquet files, read from a [`Disk`].
//!
//! Owns which row groups belong to a part: the row groups that begin in the range of the part. Owns what INT96 is: an
//! instant, in microseconds, as Spark reads it. Never decides what other columns mean: see `data/loading.rs`.

use super::{LoadError, LoadedPart};
use crate::data::loading::{column_names, from_columns};
use crate::data::schema::RecordType;
use crate::env::Disk;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Type;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{ChunkReader, Length};
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

/// The largest number of rows in a chunk.
const CHUNK_ROWS: usize = 8192;

/// A file on a [`Disk`], as the Parquet library reads it.
struct DiskFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    bytes: u64,
}

impl Length for DiskFile {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for DiskFile {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.disk.open(&self.path, start)?)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<bytes::Bytes, ParquetError> {
        let in_file = start.checked_add(length as u64).is_some_and(|end| end <= self.bytes);
        if !in_file {
            return Err(ParquetError::EOF(format!("it ends before byte {}", start.saturating_add(length as u64))));
        }
        let mut content = Vec::with_capacity(length);
        self.get_read(start)?.take(length as u64).read_to_end(&mut content)?;
        if content.len() < length {
            return Err(ParquetError::EOF("it is shorter than it was".to_owned()));
        }
        Ok(content.into())
    }
}

/// Reads the rows of the row groups of a part.
pub(super) struct ColumnsReader {
    rows: ParquetRecordBatchReader,
    /// For each row group: how many rows of the file come before the group, and how many rows the group has.
    groups: Vec<(u64, u64)>,
    /// How many rows were read so far.
    read: u64,
    /// The names of all columns of the file.
    names: Vec<String>,
}

fn begins_at(group: &RowGroupMetaData) -> u64 {
    let start = group
        .columns()
        .first()
        .map_or(0, |column| column.dictionary_page_offset().unwrap_or(i64::MAX).min(column.data_page_offset()));
    u64::try_from(start).unwrap_or_default()
}

/// What a file says about itself, with columns of INT96 as instants.
fn metadata(file: &DiskFile) -> Result<ArrowReaderMetadata, ParquetError> {
    let plain = ArrowReaderMetadata::load(file, ArrowReaderOptions::new())?;
    let mut types = plain.parquet_schema().columns().iter().map(|leaf| leaf.physical_type());
    if !types.clone().any(|ty| ty == Type::INT96) {
        return Ok(plain);
    }
    let fields: Vec<_> = plain.schema().fields().iter().map(|field| with_instants(field, &mut types)).collect();
    let schema = Schema::new_with_metadata(fields, plain.schema().metadata().clone());
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options)
}

/// A field with its leaves of INT96 as instants. Takes the types of its leaves off `types`.
fn with_instants(field: &FieldRef, types: &mut impl Iterator<Item = Type>) -> FieldRef {
    let ty = match field.data_type() {
        DataType::List(item) => DataType::List(with_instants(item, types)),
        DataType::LargeList(item) => DataType::LargeList(with_instants(item, types)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(with_instants(item, types), *length),
        DataType::Map(entries, is_sorted) => DataType::Map(with_instants(entries, types), *is_sorted),
        DataType::Struct(members) => {
            DataType::Struct(members.iter().map(|member| with_instants(member, types)).collect())
        }
        other => match types.next() {
            Some(Type::INT96) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            _ => other.clone(),
        },
    };
    Arc::new(Field::clone(field).with_data_type(ty))
}

impl ColumnsReader {
    pub(super) fn open(disk: Arc<dyn Disk>, part: &LoadedPart, ty: &RecordType) -> Result<Self, LoadError> {
        let file = DiskFile { disk, path: part.file.path.clone(), bytes: part.file.bytes };
        let refused = |error: ParquetError| part.content(error.to_string());
        let metadata = metadata(&file).map_err(refused)?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
        let wanted = column_names(ty);
        let columns = builder.schema().fields().iter().enumerate();
        let roots: Vec<usize> = columns.filter(|(_, field)| wanted.contains(field.name())).map(|(at, _)| at).collect();
        let names = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let (mut own, mut groups, mut before) = (Vec::new(), Vec::new(), 0);
        for (at, group) in builder.metadata().row_groups().iter().enumerate() {
            let rows = u64::try_from(group.num_rows()).unwrap_or_default();
            // The range is empty only if the file is.
            if (part.start..part.end).contains(&begins_at(group)) {
                own.push(at);
                groups.push((before, rows));
            }
            before += rows;
        }
        let builder = builder.with_projection(mask).with_row_groups(own).with_batch_size(CHUNK_ROWS);
        Ok(Self { rows: builder.build().map_err(refused)?, groups, read: 0, names })
    }

    pub(super) fn next_chunk(&mut self, part: &LoadedPart, ty: &RecordType) -> Result<Option<RecordBatch>, LoadError> {
        let Some(rows) = self.rows.next() else { return Ok(None) };
        let rows = rows.map_err(|error| part.content(error.to_string()))?;
        let first = self.read;
        self.read += rows.num_rows() as u64;
        let number = |row: usize| {
            let mut at = first + row as u64;
            for (before, own) in &self.groups {
                if at < *own {
                    return before + at + 1;
                }
                at -= own;
            }
            at + 1
        };
        from_columns(ty, &rows, &self.names).map(Some).map_err(|fault| part.wrong("row", number(fault.row), fault))
    }
}
