//! The files of the repository, named by their paths from its root.
//!
//! Owns the walk over the source tree. Build output and hidden directories are never part of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A text file of the repository, or a file that the test of a rule invents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path from the root of the repository, with `/` between its parts.
    pub path: String,
    /// The whole text of the file.
    pub text: String,
}

impl SourceFile {
    /// Makes a file that need not exist.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// The file name without its extension.
    pub fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        name.split_once('.').map_or(name, |(stem, _)| stem)
    }
}

/// The root of the repository.
pub fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// All text files below `dirs` whose names end in `extension`, sorted by path. Directories that do not exist are left
/// out.
pub fn files(dirs: &[&str], extension: &str) -> io::Result<Vec<SourceFile>> {
    let mut paths = Vec::new();
    for dir in dirs {
        walk(&root().join(dir), &mut paths)?;
    }
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    paths.into_iter().map(|path| Ok(SourceFile::new(relative(&path), fs::read_to_string(&path)?))).collect()
}

/// The text file at a path from the root. `None` if there is no such file.
pub fn file(path: &str) -> Option<SourceFile> {
    fs::read_to_string(root().join(path)).ok().map(|text| SourceFile::new(path, text))
}

/// The path of a file and its bytes.
pub type Bytes = (String, Vec<u8>);

/// All files below `dir`, whatever they contain, by their paths relative to `dir`. `None` if there is no such
/// directory.
pub fn bytes_below(dir: &str) -> io::Result<Option<Vec<Bytes>>> {
    let dir = root().join(dir);
    if !dir.is_dir() {
        return Ok(None);
    }
    let mut paths = Vec::new();
    walk(&dir, &mut paths)?;
    paths.sort();
    let read = |path: PathBuf| {
        let below = path.strip_prefix(&dir).unwrap_or(&path).to_string_lossy().into_owned();
        Ok((below, fs::read(&path)?))
    };
    paths.into_iter().map(read).collect::<io::Result<_>>().map(Some)
}

fn walk(dir: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "target" || name.to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), paths)?;
        } else {
            paths.push(entry.path());
        }
    }
    Ok(())
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_file_is_found_with_its_path_from_the_root() {
        let found = files(&["tests/src"], "rs").expect("tests/src can be read");
        assert!(found.iter().any(|file| file.path == "tests/src/repository.rs"), "{found:#?}");
    }

    #[test]
    fn a_missing_directory_has_no_files() {
        assert_eq!(files(&["no-such-directory"], "rs").expect("it is not an error"), []);
        assert_eq!(bytes_below("no-such-directory").expect("it is not an error"), None);
    }

    #[test]
    fn the_stem_is_the_name_up_to_the_first_dot() {
        assert_eq!(SourceFile::new("host/src/block/store.rs", "").stem(), "store");
    }
}
