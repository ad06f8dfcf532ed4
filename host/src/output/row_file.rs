//! [`RowFile`]: rows in one file of any format, for commands that write files outside of a job.

use super::encoder::{Encoder, Part};
use super::error::{EncodeError, SaveError};
use super::format::encoder;
use crate::data::columns::nested;
use crate::data::schema::RecordType;
use crate::data::signed::SignedError;
use crate::error::{Error, ErrorKind};
use crate::graph::FileFormat;
use arrow::array::RecordBatch;
use std::io;
use std::path::PathBuf;

/// Writes rows into one file.
pub struct RowFile<W> {
    encoder: Box<dyn Encoder>,
    /// The name of the file, for messages.
    name: String,
    file: Sink<W>,
}

/// The file as the encoders see it.
struct Sink<W> {
    path: PathBuf,
    file: W,
}

impl<W: io::Write + Send> Part for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SaveError> {
        let failed = |error| SaveError::Disk { action: "write", path: self.path.clone(), error };
        self.file.write_all(bytes).map_err(failed)
    }
}

impl<W: io::Write + Send> RowFile<W> {
    /// Begins a file of rows of type `ty`. `name` is the name of the file, for messages.
    ///
    /// # Errors
    /// Returns an error if files of the format cannot hold such rows.
    pub fn new(format: FileFormat, ty: &RecordType, name: &str, file: W) -> Result<Self, Error> {
        if let (FileFormat::Csv, Some((column, found))) = (format, nested(ty)) {
            let message = format!("{name} cannot be written as CSV: column `{column}` has values of type {found}");
            return Err(Error::new(ErrorKind::User, message).help("write it as JSON or Parquet"));
        }
        let encoder = encoder(format, ty).map_err(|error| told(name, &error))?;
        Ok(Self { encoder, name: name.to_owned(), file: Sink { path: name.into(), file } })
    }

    /// Writes rows.
    ///
    /// # Errors
    /// Returns an error if the format cannot hold a value, or if the bytes cannot be written to the file.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), Error> {
        self.encoder.write(rows, &mut self.file).map_err(|error| told(&self.name, &error))
    }

    /// Writes the rest, and returns the file.
    ///
    /// # Errors
    /// Returns an error if the bytes cannot be written to the file.
    pub fn finish(mut self) -> Result<W, Error> {
        self.encoder.finish(&mut self.file).map_err(|error| told(&self.name, &error))?;
        Ok(self.file.file)
    }
}

fn told(name: &str, error: &SaveError) -> Error {
    match error {
        SaveError::Disk { error, .. } => Error::new(ErrorKind::Unavailable, format!("cannot write {name}: {error}"))
            .help("is there room, and may you write there? is the program that reads the output still there?"),
        SaveError::Encode(EncodeError::Signed(SignedError::TooLarge { .. } | SignedError::TooFar { .. })) => {
            Error::new(ErrorKind::User, format!("{name} cannot be written as Parquet: {error}"))
                .help("write it as JSON")
        }
        other => Error::new(ErrorKind::Internal, format!("cannot write {name}: {other}")).help("please report this"),
    }
}
