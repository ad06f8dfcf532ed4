//! The files of a program under test, in memory.
//!
//! Owns the files that driver functions load, save, read and write. Nothing is parsed. A file that a driver function
//! loads was given by the test as records, or was saved by the program, or holds lines of text.

use super::chunk_of;
use crate::chunk::Chunk;
use crate::kind::Kind;
use crate::record::{Field, Record, fields_of};
use crate::text::Text;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Converts rows to lines, in the form in which `print` shows them.
type Show = fn(Chunk) -> Vec<String>;

struct File {
    /// The records of the file; `None` if they are not known.
    rows: Option<Vec<Chunk>>,
    content: Vec<u8>,
    is_given: bool,
}

/// Files by path.
#[derive(Default)]
pub(super) struct Files(RefCell<BTreeMap<String, File>>);

/// The extension of the names of files that an action of this kind saves. The host uses the same extensions.
fn extension(kind: Kind) -> &'static str {
    match kind {
        Kind::SaveAsObjectFile => ".arrow",
        Kind::SaveAsParquetFile => ".parquet",
        Kind::SaveAsCsvFile => ".csv",
        Kind::SaveAsJsonFile => ".json",
        _ => "",
    }
}

/// The name of the file of a saved data set, without its extension.
fn part(path: &str) -> String {
    format!("{path}/part-00000")
}

impl Files {
    /// Adds a file, given by its records.
    pub fn give<T: Record>(&self, path: &str, rows: Vec<T>) {
        let mut content = String::new();
        for row in &rows {
            row.show(&mut content);
            content.push('\n');
        }
        let file = File { rows: Some(vec![chunk_of(rows)]), content: content.into_bytes(), is_given: true };
        self.0.borrow_mut().insert(path.to_owned(), file);
    }

    /// Saves a data set, as an action of this kind does.
    pub fn save(&self, kind: Kind, path: &str, rows: Vec<Chunk>, show: Show) {
        let lines = rows.iter().cloned().flat_map(show);
        let content = lines.flat_map(|line| line.into_bytes().into_iter().chain([b'\n'])).collect();
        let file = File { rows: Some(rows), content, is_given: false };
        let part = part(path);
        let mut files = self.0.borrow_mut();
        let is_there = files.keys().any(|name| name.starts_with(&part));
        files.insert(part + extension(kind), file);
        assert!(!is_there, "{path} is there already: let the path have the batch's time in it");
    }

    /// Loads the records of a file. `fields` are the fields of the records' type.
    pub fn load(&self, path: &str, fields: &[Field]) -> Vec<Chunk> {
        let files = self.0.borrow();
        let saved = |part: String| files.iter().find(|(name, _)| name.starts_with(&part)).map(|(_, file)| file);
        let file = files.get(path).or_else(|| saved(part(path)));
        let file = file.unwrap_or_else(|| panic!("cannot load `{path}`: the test gives no such file"));
        match &file.rows {
            Some(rows) => rows.clone(),
            None => {
                let is_text = fields == fields_of::<Text>();
                assert!(is_text, "cannot load `{path}`: a test gives records with `Job::file`, nothing is parsed");
                let content = String::from_utf8_lossy(&file.content);
                vec![chunk_of(content.lines().map(Text::from).collect())]
            }
        }
    }

    /// Writes a small file.
    pub fn write(&self, path: &str, content: &[u8]) {
        let file = File { rows: None, content: content.to_vec(), is_given: false };
        self.0.borrow_mut().insert(path.to_owned(), file);
    }

    /// Reads a small file; `None` if the file does not exist.
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.0.borrow().get(path).map(|file| file.content.clone())
    }

    /// The files that the program wrote.
    pub fn written(&self) -> BTreeMap<String, Vec<u8>> {
        let files = self.0.borrow();
        let written = files.iter().filter(|(_, file)| !file.is_given);
        written.map(|(path, file)| (path.clone(), file.content.clone())).collect()
    }
}
