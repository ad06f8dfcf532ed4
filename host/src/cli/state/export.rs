//! `host state export`: writes all keys of an operator and their states.
//!
//! Owns the file: it gets its name when all rows are in it. Rows are read and written part by part, so that state of
//! any size can be exported.

use super::super::print;
use super::{ExportArgs, FormatArg, Looked};
use crate::error::{Error, ErrorKind};
use crate::graph::{FileFormat, ParquetOptions};
use crate::output::RowFile;
use crate::shown::{Shown as _, counted, escape_control, json};
use crate::state_reader::{SavedRows, SavedStates};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How many unfinished files of one name may lie in a directory.
const UNFINISHED_MAX: u32 = 1000;

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
        let is_json = args.format == FormatArg::Json;
        write(rows, format, "standard output", Out { out, is_terminal, is_json })?;
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

/// Writes a file beside its place, and gives the file its name when all of it is there. An existing file stays as it is
/// until then. If the path leads to a pipe or a device, writes to it.
fn write_file(path: &Path, write: impl FnOnce(&File) -> Result<u64, Error>) -> Result<u64, Error> {
    let failed = |error: io::Error| cannot_write(&path.shown(), &error);
    let path = match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(failed(io::ErrorKind::IsADirectory.into())),
        Ok(found) if !found.is_file() => {
            return write(&File::options().write(true).open(path).map_err(failed)?);
        }
        // A link to a file leads to the new content.
        Ok(_) => fs::canonicalize(path).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_path_buf(),
        Err(error) => return Err(failed(error)),
    };
    let (unfinished, file) = create_beside(&path).map_err(failed)?;
    let written = write(&file).and_then(|written| {
        file.sync_all().and_then(|()| fs::rename(&unfinished, &path)).map_err(failed)?;
        Ok(written)
    });
    if written.is_err() {
        // The error that is reported is the one that came first.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// Creates a file beside `path` whose name no other file has: `.NAME.unfinished-1` or a later number.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut last = io::ErrorKind::AlreadyExists.into();
    for number in 1..=UNFINISHED_MAX {
        let mut unfinished = OsString::from(".");
        unfinished.push(name);
        unfinished.push(format!(".unfinished-{number}"));
        let unfinished = path.with_file_name(unfinished);
        match File::create_new(&unfinished) {
            Ok(file) => return Ok((unfinished, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

fn cannot_write(name: &str, error: &io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot write {name}: {error}"))
        .help("is there room, and may you write there? is the program that reads the output still there?")
}

/// Standard output. A person on a terminal sees control characters of the rows escaped.
struct Out<W> {
    out: W,
    is_terminal: bool,
    /// Whether the lines are JSON, which has escapes of its own.
    is_json: bool,
}

impl<W: Write> Write for Out<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_terminal {
            // The encoders write whole lines of text.
            for line in String::from_utf8_lossy(bytes).lines() {
                writeln!(self.out, "{}", if self.is_json { json(line) } else { escape_control(line) })?;
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
