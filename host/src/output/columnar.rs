//! Columnar files: Arrow IPC files and Parquet.
//!
//! Owns how these files are written. The same rows always make the same bytes. Never knows where a file is.

use super::encoder::{Encoder, Part};
use super::error::{EncodeError, SaveError};
use crate::data::columns::{Pieces, schema};
use crate::data::schema::RecordType;
use crate::data::signed::Signed;
use crate::graph::{Compression, ParquetOptions};
use arrow::array::RecordBatch;
use arrow_ipc::writer::FileWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::ZstdLevel;
use parquet::file::properties::WriterProperties;

/// The program that has written a Parquet file, in the form that readers expect.
const CREATED_BY: &str = concat!("millstream version ", env!("CARGO_PKG_VERSION"));
/// A row group ends when its encoded rows take about this many bytes. Until then they are in memory.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// Writes into memory. The bytes are taken out after each piece.
enum Writer {
    Arrow(Box<FileWriter<Vec<u8>>>),
    Parquet(Box<ArrowWriter<Vec<u8>>>, Signed),
}

impl Writer {
    fn write(&mut self, piece: &RecordBatch) -> Result<(), EncodeError> {
        match self {
            Self::Arrow(writer) => writer.write(piece)?,
            Self::Parquet(writer, signed) => {
                writer.write(&signed.columns(piece)?)?;
                if writer.in_progress_size() >= ROW_GROUP_BYTES {
                    writer.flush()?;
                }
            }
        }
        Ok(())
    }

    /// The bytes that were written and not taken out yet.
    fn bytes(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Arrow(writer) => writer.get_mut(),
            Self::Parquet(writer, _) => writer.inner_mut(),
        }
    }

    fn held_bytes(&self) -> usize {
        match self {
            Self::Arrow(writer) => writer.get_ref().capacity(),
            Self::Parquet(writer, _) => writer.memory_size() + writer.inner().capacity(),
        }
    }

    fn finish(self) -> Result<Vec<u8>, EncodeError> {
        Ok(match self {
            Self::Arrow(writer) => writer.into_inner()?,
            Self::Parquet(writer, _) => writer.into_inner()?,
        })
    }
}

/// Collects rows into pieces, and writes each piece.
pub(super) struct ColumnEncoder {
    pieces: Pieces,
    writer: Writer,
}

impl ColumnEncoder {
    /// Makes the encoder of a file in Arrow's IPC format. The file is not compressed, so that every library can read it
    /// and can map it into memory.
    pub(super) fn arrow(ty: &RecordType) -> Result<Self, EncodeError> {
        let writer = Box::new(FileWriter::try_new(Vec::new(), &schema(ty))?);
        Ok(Self { pieces: Pieces::new(ty.clone()), writer: Writer::Arrow(writer) })
    }

    /// Makes the encoder of a Parquet file. Its columns have no unsigned integers, because Hive, Athena and Iceberg
    /// refuse them.
    pub(super) fn parquet(ty: &RecordType, options: ParquetOptions) -> Result<Self, EncodeError> {
        let compression = match options.compression {
            Compression::Snappy => parquet::basic::Compression::SNAPPY,
            Compression::Zstd => parquet::basic::Compression::ZSTD(ZstdLevel::default()),
        };
        let properties =
            WriterProperties::builder().set_created_by(CREATED_BY.to_owned()).set_compression(compression).build();
        let signed = Signed::new(&schema(ty), options.u64_as_decimals);
        let writer = Box::new(ArrowWriter::try_new(Vec::new(), signed.schema().clone(), Some(properties))?);
        Ok(Self { pieces: Pieces::new(ty.clone()), writer: Writer::Parquet(writer, signed) })
    }
}

impl Encoder for ColumnEncoder {
    fn write(&mut self, rows: &RecordBatch, file: &mut dyn Part) -> Result<(), SaveError> {
        let Self { pieces, writer } = self;
        pieces.push(rows, |piece| -> Result<(), SaveError> {
            writer.write(piece)?;
            let bytes = writer.bytes();
            file.write(bytes)?;
            bytes.clear();
            Ok(())
        })
    }

    fn held_bytes(&self) -> usize {
        // A piece is put together from waiting rows and then encoded. So its rows are in memory twice.
        self.writer.held_bytes() + 2 * self.pieces.pending_bytes()
    }

    fn finish(self: Box<Self>, file: &mut dyn Part) -> Result<(), SaveError> {
        let Self { mut pieces, mut writer } = *self;
        if let Some(piece) = pieces.rest().map_err(EncodeError::from)? {
            writer.write(&piece)?;
        }
        file.write(&writer.finish()?)
    }
}
