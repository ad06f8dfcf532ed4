//! `host state export`: writes all keys of an operator and their states.
//!
//! Owns the file: it gets its name when all rows are in it. Rows are read and written part by part, so that state of any size
//! can be exported.

use super::super::print;
use super::{ExportArgs, FormatArg, Looked};
use crate::error::{Error, ErrorKind};
use crate::graph::{FileFormat, ParquetOptions};
use crate::output::RowFile;
use crate::shown::{Shown as _, counted, escape_control};
use crate::state_reader::{SavedRows, SavedStates};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::process::ExitCode;

/// Writes the rows.
pub(super) fn export(looked: &Looked<'_>, args: &ExportArgs) -> Result<ExitCode, Error> {
    let store = looked.place.checkpoint(looked.env)?;
    let saved = SavedStates::open(&store)?;
    let rows = saved.rows(args.operator.operator.as_deref())?;
    let format = match args.format {
        FormatArg::Json => FileFormat::Json,
        FormatArg::Csv => FileFormat::Csv,
        FormatArg::Parquet => FileFormat::Parquet(ParquetOptions::default()),
    };
    let Some(path) = &args.output else {
        let out = io::stdout();
        let is_terminal = out.is_terminal();
        if is_terminal && args.format == FormatArg::Parquet {
            let message = "Parquet cannot be shown on a terminal";
            return Err(Error::new(ErrorKind::User, message).help("write it to a file with --output FILE"));
        }
        write(rows, format, "standard output", Out { out, is_terminal })?;
        return Ok(ExitCode::SUCCESS);
    };
    let label = rows.operator().label();
    let written = write_file(path, |file| write(rows, format, &path.shown(), file))?;
    let keys = counted(written, "key");
    print(&format!("{}: {keys} of operator {} after batch {}\n", path.shown(), escape_control(&label), saved.batch()))
}

/// Writes all rows, and returns their number.
fn write(rows: SavedRows<'_>, format: FileFormat, name: &str, file: impl Write + Send) -> Result<u64, Error> {
    let subject = format!("the state of operator {} in {name}", rows.operator().label());
    let mut out = RowFile::new(format, rows.row_type(), &subject, file)?;
    let mut written = 0;
    for rows in rows {
        let rows = rows?;
        out.write(&rows)?;
        written += rows.num_rows() as u64;
    }
    let mut file = out.finish()?;
    file.flush().map_err(|error| cannot_write(name, &error))?;
    Ok(written)
}

/// Writes a file beside its place, and gives it its name when all of it is there.
fn write_file(path: &Path, write: impl FnOnce(&File) -> Result<u64, Error>) -> Result<u64, Error> {
    let failed = |error: io::Error| cannot_write(&path.shown(), &error);
    if path.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    let mut aside = OsString::from(".new-");
    aside.push(name);
    let aside = path.with_file_name(aside);
    let file = File::create(&aside).map_err(failed)?;
    let written = write(&file).and_then(|written| {
        file.sync_all().and_then(|()| fs::rename(&aside, path)).map_err(failed)?;
        Ok(written)
    });
    if written.is_err() {
        // The error that is reported is the one that came first.
        let _ = fs::remove_file(&aside);
    }
    written
}

fn cannot_write(name: &str, error: &io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot write {name}: {error}"))
        .help("is there room, and may you write there? is the program that reads the output still there?")
}

/// Standard output. A person on a terminal sees control characters of the rows escaped.
struct Out<W> {
    out: W,
    is_terminal: bool,
}

impl<W: Write> Write for Out<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_terminal {
            // The encoders write whole lines of text.
            for line in String::from_utf8_lossy(bytes).lines() {
                writeln!(self.out, "{}", escape_control(line))?;
            }
        } else {
            self.out.write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
