//! Rule `layers`: a module of the host imports only modules below it, and the table allows no import that nobody uses.
//!
//! Arguments go down, and events go up. The rule applies to test code, too: a test that needs a higher module belongs
//! to that module. The rule `circles` covers the files inside each module.

use std::collections::{BTreeMap, BTreeSet};

use millstream_tests::repository::{self, SourceFile};

use super::paths::{NamedPath, Paths};
use super::source::{Violation, host_files, require_none, syntax, tokens};

const RULE: &str = "layers";

/// Each top-level module, lowest first, with the modules it may import besides itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("lock", &[]),
    ("shown", &[]),
    ("encoding", &[]),
    ("error", &["shown"]),
    ("time", &[]),
    ("ids", &["time"]),
    ("data", &["shown", "encoding", "time"]),
    ("env", &["lock", "shown", "error", "time"]),
    ("config", &["encoding", "error", "time"]),
    ("memory", &["lock"]),
    ("clients", &["shown", "error", "env", "config"]),
    ("messages", &["data", "env", "config"]),
    ("grants", &["shown", "env", "config"]),
    ("http", &["lock", "shown", "error", "time", "env", "config", "clients"]),
    ("listener", &["lock", "shown", "time", "ids", "env"]),
    ("graph", &["shown", "time", "ids", "data"]),
    ("block", &["lock", "shown", "encoding", "error", "time", "ids", "data", "env", "memory"]),
    ("state", &["lock", "time", "ids", "data", "env", "memory", "block"]),
    (
        "input",
        &[
            "lock", "shown", "encoding", "error", "time", "ids", "data", "env", "config", "messages", "listener",
            "block",
        ],
    ),
    ("variables", &["lock", "shown", "time", "data", "env", "memory", "listener", "block"]),
    ("plugin", &["shown", "error", "time", "ids", "data", "env", "memory", "listener", "graph", "block", "variables"]),
    (
        "receiver",
        &[
            "lock", "shown", "encoding", "error", "time", "ids", "data", "env", "config", "memory", "clients", "http",
            "messages", "listener", "block",
        ],
    ),
    (
        "output",
        &[
            "lock", "shown", "error", "time", "ids", "data", "env", "config", "clients", "memory", "grants", "graph",
            "block",
        ],
    ),
    ("comparison", &["lock", "shown", "time", "data", "env", "memory", "block"]),
    ("checkpoint", &["lock", "shown", "error", "time", "ids", "data", "env", "listener", "graph", "block"]),
    ("tracker", &["error", "time", "ids", "env", "listener", "block", "input", "receiver", "checkpoint"]),
    (
        "engine",
        &[
            "lock",
            "shown",
            "encoding",
            "error",
            "time",
            "ids",
            "data",
            "env",
            "memory",
            "listener",
            "graph",
            "block",
            "state",
            "variables",
            "plugin",
            "output",
        ],
    ),
    (
        "driver",
        &[
            "lock",
            "shown",
            "error",
            "time",
            "ids",
            "data",
            "env",
            "listener",
            "graph",
            "block",
            "variables",
            "plugin",
            "output",
            "engine",
        ],
    ),
    (
        "ingest",
        &[
            "lock",
            "encoding",
            "error",
            "time",
            "ids",
            "data",
            "env",
            "config",
            "memory",
            "clients",
            "listener",
            "graph",
            "block",
            "input",
            "receiver",
            "checkpoint",
            "tracker",
        ],
    ),
    (
        "scheduler",
        &[
            "lock",
            "shown",
            "error",
            "time",
            "ids",
            "env",
            "config",
            "listener",
            "graph",
            "block",
            "state",
            "output",
            "checkpoint",
            "tracker",
            "ingest",
            "engine",
            "driver",
        ],
    ),
    (
        "run",
        &[
            "lock",
            "error",
            "time",
            "ids",
            "env",
            "config",
            "memory",
            "grants",
            "listener",
            "graph",
            "block",
            "state",
            "variables",
            "plugin",
            "output",
            "checkpoint",
            "tracker",
            "ingest",
            "engine",
            "driver",
            "scheduler",
        ],
    ),
    (
        "state_reader",
        &[
            "lock",
            "shown",
            "error",
            "time",
            "ids",
            "data",
            "env",
            "memory",
            "listener",
            "graph",
            "block",
            "state",
            "checkpoint",
        ],
    ),
    ("upgrade", &["lock", "shown", "error", "time", "ids", "listener", "comparison"]),
    (
        "control",
        &[
            "shown",
            "error",
            "time",
            "data",
            "env",
            "memory",
            "listener",
            "block",
            "state",
            "ingest",
            "state_reader",
            "upgrade",
        ],
    ),
    (
        "ui",
        &[
            "lock",
            "shown",
            "error",
            "time",
            "ids",
            "data",
            "env",
            "config",
            "memory",
            "clients",
            "http",
            "listener",
            "graph",
            "ingest",
            "state_reader",
            "upgrade",
        ],
    ),
    ("context", EVERYTHING_BELOW),
    (
        "cli",
        &[
            "lock",
            "shown",
            "error",
            "ids",
            "time",
            "config",
            "env",
            "control",
            "context",
            "listener",
            "graph",
            "plugin",
            "receiver",
            "output",
            "checkpoint",
            "ingest",
            "run",
            "state_reader",
            "upgrade",
            "ui",
        ],
    ),
    ("fuzzing", &["time", "ids", "config", "data", "env", "memory", "block", "state", "receiver", "checkpoint"]),
    ("main", &["plugin", "cli"]),
];

/// Stands for all modules that come earlier in the table.
const EVERYTHING_BELOW: &[&str] = &["*"];

/// The crate roots. They declare and re-export modules, and import nothing.
const LIBRARY_ROOT: &str = "lib";

fn row(module: &str) -> Option<(usize, &'static [&'static str])> {
    LAYERS.iter().position(|(name, _)| *name == module).map(|at| (at, LAYERS[at].1))
}

fn may_import(module: &str, imported: &str) -> bool {
    let Some((at, allowed)) = row(module) else { return false };
    let is_below = || LAYERS[..at].iter().any(|(name, _)| *name == imported);
    module == imported || allowed.contains(&imported) || (allowed == EVERYTHING_BELOW && is_below())
}

/// A file of the host's library or program, by its top-level module.
struct Located<'a> {
    module: &'a str,
    is_program: bool,
    /// How many modules enclose the file.
    depth: usize,
}

/// `None` for a crate root, and for files outside the host.
fn located(file: &SourceFile) -> Option<Located<'_>> {
    let below = file.path.strip_prefix("host/src/")?.strip_suffix(".rs")?;
    let mut location: Vec<&str> = below.split('/').collect();
    if location.last() == Some(&"mod") {
        location.pop();
    }
    let is_program = location == ["main"] || location.first() == Some(&"bin");
    let module = if is_program { "main" } else { location.first()? };
    let depth = if is_program { 0 } else { location.len() };
    (module != LIBRARY_ROOT).then_some(Located { module, is_program, depth })
}

/// Imports that go against the table.
fn against_layers(file: &SourceFile) -> Vec<Violation> {
    let Some(Located { module, is_program, depth }) = located(file) else { return Vec::new() };
    if row(module).is_none() {
        let message = format!("module `{module}` is not in the table of tests/suite/tidy/layers.rs: add it");
        return vec![Violation::new(RULE, file, 1, message)];
    }
    let report = |path: &NamedPath| {
        let imported = top_level_module(path, depth, is_program)?;
        if may_import(module, imported) {
            return None;
        }
        let message = match row(imported) {
            Some(_) => format!("`{module}` must not import `{imported}`: pass it what it needs, or report by event"),
            None => format!("`crate::{imported}` is no module of the table: name the module that owns it"),
        };
        Some(Violation::new(RULE, file, path.line, message))
    };
    Paths::of(tokens(file)).written.iter().filter_map(report).collect()
}

/// The permissions in rows of a table that no file of the row's module uses.
fn unused_permissions(table: &[(&str, &[&str])], files: &[SourceFile]) -> Vec<String> {
    let mut used: BTreeSet<(String, String)> = BTreeSet::new();
    for file in files {
        let Some(Located { module, is_program, depth }) = located(file) else { continue };
        let paths = Paths::of(tokens(file)).written;
        let imported = paths.iter().filter_map(|path| top_level_module(path, depth, is_program));
        used.extend(imported.map(|imported| (module.to_owned(), imported.to_owned())));
    }
    let permissions = table.iter().flat_map(|(module, allowed)| allowed.iter().map(move |name| (*module, *name)));
    let unused = permissions.filter(|(module, name)| {
        let is_used = used.contains(&((*module).to_owned(), (*name).to_owned()));
        !EVERYTHING_BELOW.contains(name) && !is_used
    });
    unused.map(|(module, name)| format!("{module} -> {name}")).collect()
}

/// The first part of a path below the root of the host's library, if the path starts there. `depth` is how many
/// modules enclose the file.
fn top_level_module(path: &NamedPath, depth: usize, is_program: bool) -> Option<&str> {
    let parts = &path.parts;
    let first = parts.first()?.as_str();
    let climbed = parts.iter().take_while(|part| *part == "super").count();
    let below_root = match first {
        "crate" => 1,
        "host" if is_program => 1,
        "super" if climbed >= depth + path.depth => climbed,
        "self" if parts.get(1).is_some_and(|part| part == "super") => {
            let climbed = parts.iter().skip(1).take_while(|part| *part == "super").count();
            if climbed < depth + path.depth {
                return None;
            }
            1 + climbed
        }
        _ => return None,
    };
    parts.get(below_root).map(String::as_str)
}

/// The permissions in rows of a table for modules that are not below the row's module. Without such permissions, the
/// table has no cycle.
fn upward_rows(table: &[(&str, &[&str])]) -> Vec<String> {
    let mut below: Vec<&str> = Vec::new();
    let mut upward = Vec::new();
    for (module, allowed) in table {
        let not_below = allowed.iter().filter(|name| **name != "*" && !below.contains(name));
        upward.extend(not_below.map(|name| format!("{module} -> {name}")));
        below.push(module);
    }
    upward
}

/// Modules of `lib.rs` that are not in the table, or that are declared before a module that they may import.
fn wrong_declarations(file: &SourceFile) -> Vec<Violation> {
    let mut declared: BTreeMap<String, usize> = BTreeMap::new();
    let mut violations = Vec::new();
    for item in syntax(file).items {
        let syn::Item::Mod(module) = item else { continue };
        let (name, line) = (module.ident.to_string(), module.mod_token.span.start().line);
        if row(&name).is_none() {
            let message = format!("module `{name}` is not in the table of tests/suite/tidy/layers.rs: add it");
            violations.push(Violation::new(RULE, file, line, message));
        }
        for (earlier, _) in declared.iter().filter(|(earlier, _)| may_import(earlier, &name)) {
            let message = format!("declare `{name}` before `{earlier}`, which may import it: lower modules come first");
            violations.push(Violation::new(RULE, file, line, message));
        }
        declared.insert(name, line);
    }
    violations
}

#[test]
fn the_host_imports_downwards_only() {
    require_none(&host_files().iter().flat_map(against_layers).collect::<Vec<_>>());
}

#[test]
fn the_modules_of_the_host_are_declared_lower_first() {
    let library = repository::file("host/src/lib.rs").expect("host/src/lib.rs can be read");
    require_none(&wrong_declarations(&library));
}

#[test]
fn the_table_has_no_cycle() {
    assert_eq!(upward_rows(LAYERS), Vec::<String>::new());
}

#[test]
fn every_permission_of_the_table_is_used() {
    assert_eq!(unused_permissions(LAYERS, &host_files()), Vec::<String>::new());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        against_layers(&SourceFile::new(path, text)).iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn an_import_against_the_table_is_found_however_it_is_written() {
        let bad = "use crate::{error::Error,\n engine::Engine};\n\
                   fn f() {\n crate::scheduler::run();\n log!(crate::context::X);\n super::super::plugin::load() }\n\
                   mod tests {\n use super::super::super::plugin::P; }";
        assert_eq!(lines("host/src/block/store.rs", bad), [2, 4, 5, 6, 8]);
        assert_eq!(lines("host/src/block.rs", "use super::engine::Engine;"), [1]);
        assert_eq!(lines("host/src/main.rs", "fn main() { host::scheduler::run() }"), [1]);
        assert_eq!(lines("host/src/block.rs", "use crate::Error;\nuse crate::*;"), [1, 2]);
        assert_eq!(lines("host/src/novel.rs", "fn f() {}"), [1]);
    }

    #[test]
    fn an_import_along_the_table_is_not() {
        let good = "use crate::{error::Error, time};\nuse super::memory_blocks;\npub(crate) fn f() {}\n\
                    mod tests { use super::*; use crate::block::Block; }";
        assert_eq!(lines("host/src/block/store.rs", good), [0usize; 0]);
        assert_eq!(lines("host/src/context.rs", "use crate::scheduler::JobScheduler;"), [0usize; 0]);
        assert_eq!(lines("host/src/main.rs", "fn main() { host::cli::run() }"), [0usize; 0]);
    }

    #[test]
    fn a_table_with_a_cycle_is_found() {
        assert_eq!(upward_rows(&[("a", &["b"]), ("b", &["a"])]), ["a -> b"]);
    }

    #[test]
    fn a_permission_that_nobody_uses_is_found() {
        let files = [
            SourceFile::new("host/src/block/store.rs", "use crate::data::Row; fn f() { super::super::time::now() }"),
            SourceFile::new("host/src/context.rs", "fn f() {}"),
        ];
        let table: &[(&str, &[&str])] = &[("block", &["data", "time", "env"]), ("context", EVERYTHING_BELOW)];
        assert_eq!(unused_permissions(table, &files), ["block -> env"]);
    }

    #[test]
    fn a_wrong_order_and_an_unknown_module_are_found() {
        let library = SourceFile::new("host/src/lib.rs", "mod block;\nmod error;\nmod novel;\n");
        let found: Vec<usize> = wrong_declarations(&library).iter().map(|violation| violation.line).collect();
        assert_eq!(found, [2, 3]);
    }
}
