//! Rules about files: `names` (the name of a file says what the file does), `reachable` (the crate uses every file) and
//! `header` (each file says what it is for).

use std::collections::{BTreeMap, BTreeSet};

use millstream_tests::repository::SourceFile;

use super::source::{Violation, check_all, require_none, rust_files, syntax};

/// Names that do not say what the file contains.
const DRAWERS: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "manager", "imp"];

fn drawer_names(file: &SourceFile) -> Vec<Violation> {
    let is_drawer = |part: &str| {
        let name = part.strip_suffix(".rs").unwrap_or(part);
        DRAWERS.contains(&name.rsplit('_').next().unwrap_or(name))
    };
    let drawers = file.path.split('/').filter(|part| is_drawer(part));
    drawers.map(|part| Violation::new("names", file, 1, format!("`{part}`: name it by what it does"))).collect()
}

fn missing_header(file: &SourceFile) -> Vec<Violation> {
    let first = file.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    if first.starts_with("//! ") || first.starts_with("#![doc = include_str!") {
        return Vec::new();
    }
    vec![Violation::new("header", file, 1, "begin with `//!`: what it is for, what it owns, what it never does")]
}

/// Source files that no chain of `mod` declarations connects to a crate root.
fn unreachable(files: &[SourceFile]) -> Vec<Violation> {
    let by_path: BTreeMap<&str, &SourceFile> = files.iter().map(|file| (file.path.as_str(), file)).collect();
    let mut reached = BTreeSet::new();
    for file in files.iter().filter(|file| is_crate_root(&file.path)) {
        follow(file, true, &by_path, &mut reached);
    }
    let message = "no `mod` declaration leads here: declare it or delete it";
    let left_over = files.iter().filter(|file| is_module_file(&file.path) && !reached.contains(&file.path));
    left_over.map(|file| Violation::new("reachable", file, 1, message)).collect()
}

/// Whether every file of its directory belongs to a crate root in or above it.
fn is_module_file(path: &str) -> bool {
    path.contains("/src/") || path.starts_with("tests/suite/")
}

fn is_crate_root(path: &str) -> bool {
    let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
    let in_src = dir.ends_with("/src") && (name == "lib.rs" || name == "main.rs");
    let in_src = in_src || (dir.contains("/src/bin/") && name == "main.rs");
    in_src || dir.ends_with("/src/bin") || path == "tests/suite/main.rs"
}

/// Marks a file, and all files that it declares, as reached.
fn follow(file: &SourceFile, is_root: bool, files: &BTreeMap<&str, &SourceFile>, reached: &mut BTreeSet<String>) {
    if !reached.insert(file.path.clone()) {
        return;
    }
    let dir = file.path.rsplit_once('/').map_or("", |(dir, _)| dir);
    let below = if is_root || file.stem() == "mod" { dir.to_owned() } else { format!("{dir}/{}", file.stem()) };
    let mut declared = Vec::new();
    declarations(&syntax(file).items, dir, &below, &mut declared);
    for path in declared {
        if let Some(file) = files.get(path.as_str()) {
            follow(file, false, files, reached);
        }
    }
}

/// The paths at which the declared modules can be. `dir` is the directory of the file, and `below` is the directory of
/// its modules.
fn declarations(items: &[syn::Item], dir: &str, below: &str, paths: &mut Vec<String>) {
    for item in items {
        let syn::Item::Mod(module) = item else { continue };
        match (&module.content, path_attribute(&module.attrs)) {
            (Some((_, items)), _) => declarations(items, dir, &format!("{below}/{}", module.ident), paths),
            (None, Some(path)) => paths.push(format!("{dir}/{path}")),
            (None, None) => {
                paths.push(format!("{below}/{}.rs", module.ident));
                paths.push(format!("{below}/{}/mod.rs", module.ident));
            }
        }
    }
}

fn path_attribute(attributes: &[syn::Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(syn::MetaNameValue {
            path,
            value: syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }),
            ..
        }) if path.is_ident("path") => Some(text.value()),
        _ => None,
    })
}

#[test]
fn files_are_named_by_what_they_do() {
    require_none(&check_all(&rust_files(), drawer_names));
}

#[test]
fn every_file_has_a_header() {
    require_none(&check_all(&rust_files(), missing_header));
}

#[test]
fn every_file_is_reachable() {
    require_none(&unreachable(&rust_files()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawer_is_found() {
        let found = |path: &str| drawer_names(&SourceFile::new(path, "")).len();
        assert_eq!(found("host/src/utils.rs"), 1);
        assert_eq!(found("host/src/helpers/time.rs"), 1);
        assert_eq!(found("host/src/block_manager.rs"), 1);
        assert_eq!(found("host/src/import.rs"), 0);
    }

    #[test]
    fn a_missing_header_is_found() {
        let found = |text: &str| missing_header(&SourceFile::new("host/src/block.rs", text)).len();
        assert_eq!(found("use std::fmt;\n//! Late.\n"), 1);
        assert_eq!(found(""), 1);
        assert_eq!(found("//! Blocks.\n"), 0);
        assert_eq!(found("#![doc = include_str!(\"../README.md\")]\n"), 0);
    }

    #[test]
    fn a_file_that_nothing_declares_is_found() {
        let files = [
            SourceFile::new("host/src/lib.rs", "mod block; mod outer { mod inner; }"),
            SourceFile::new("host/src/main.rs", "fn main() {}"),
            SourceFile::new("host/src/block.rs", "#[cfg(test)] mod tests; mod disk; #[path = \"b.rs\"] mod a;"),
            SourceFile::new("host/src/b.rs", ""),
            SourceFile::new("host/src/block/tests.rs", ""),
            SourceFile::new("host/src/block/disk/mod.rs", "mod page;"),
            SourceFile::new("host/src/block/disk/page.rs", ""),
            SourceFile::new("host/src/outer/inner.rs", ""),
            SourceFile::new("host/src/block/memory.rs", ""),
            SourceFile::new("host/src/disk.rs", ""),
            SourceFile::new("host/benches/guest_call.rs", ""),
        ];
        let left_over: Vec<String> = unreachable(&files).into_iter().map(|found| found.path).collect();
        assert_eq!(left_over, ["host/src/block/memory.rs", "host/src/disk.rs"]);
    }
}
