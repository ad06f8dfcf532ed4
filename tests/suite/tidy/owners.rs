//! Rule `owners`: only its owner names a heavy dependency, or a path that reaches outside of the process.
//!
//! Access to clocks, disks, sockets and random numbers belongs to `env`, so that a simulation can replace all of them.

use millstream_tests::repository::SourceFile;

use super::paths::{NamedPath, Paths};
use super::source::{Violation, check_all, host_files, is_test_module, require_none, syntax, test_lines, tokens};

const RULE: &str = "owners";

/// Which files of the host may name a path. A module stands for its file and everything below it.
#[derive(Clone, Copy)]
enum Place {
    Only(&'static [&'static str]),
    /// These files, and test modules: traces that tests leave outside of the process do no harm to a simulation.
    OnlyAndTests(&'static [&'static str]),
    NotIn(&'static [&'static str]),
}

/// A path, and the files that may name it.
const OWNERS: &[(&str, Place)] = &[
    ("wasmtime", Place::Only(&["plugin"])),
    ("wasmtime_wasi", Place::Only(&["plugin"])),
    ("datafusion_common", Place::Only(&["engine", "memory"])),
    ("datafusion_execution", Place::Only(&["engine", "memory"])),
    ("datafusion_physical_expr", Place::Only(&["engine", "memory"])),
    ("datafusion_physical_plan", Place::Only(&["engine", "memory"])),
    ("toml", Place::Only(&["config"])),
    ("clap", Place::Only(&["cli", "main"])),
    ("arrow_ipc", Place::Only(&["block", "output", "state/saved"])),
    ("parquet", Place::Only(&["block", "output"])),
    ("bincode", Place::Only(&["checkpoint/codec"])),
    ("http_body_util", Place::Only(&["http"])),
    ("hyper", Place::Only(&["http"])),
    ("hyper_util", Place::Only(&["http"])),
    ("tokio_rustls", Place::Only(&["http/tls"])),
    ("object_store", Place::Only(&["env/s3"])),
    ("async_nats", Place::Only(&["env/nats"])),
    ("rdkafka", Place::Only(&["env/kafka"])),
    ("tempfile", Place::OnlyAndTests(&["env"])),
    ("twox_hash", Place::Only(&["data"])),
    ("encoding_rs", Place::Only(&["encoding"])),
    ("flate2", Place::Only(&["block/codec"])),
    ("bzip2", Place::Only(&["block/codec"])),
    ("zstd", Place::Only(&["block/codec"])),
    ("lz4_flex", Place::Only(&["block/codec"])),
    ("snap", Place::Only(&["block/codec"])),
    (
        "arrow",
        Place::NotIn(&["error", "time", "ids", "graph", "ingest", "scheduler", "run", "listener", "config", "cli"]),
    ),
    ("tokio::net", Place::Only(&["env"])),
    ("tokio::time", Place::Only(&["env"])),
    ("tokio::fs", Place::Only(&["env"])),
    ("signal_hook", Place::Only(&["env/signals", "env/last_resort"])),
    ("std::time::Instant", Place::Only(&["env", "plugin/limits"])),
    ("std::time::SystemTime", Place::Only(&["env"])),
    ("std::thread::sleep", Place::Only(&["env"])),
    // The cache belongs to the machine and the user, not to the job. A simulation runs without the cache.
    ("std::fs", Place::OnlyAndTests(&["env", "cli", "main", "plugin/cache"])),
    ("std::process::Command", Place::OnlyAndTests(&["env/child_process", "plugin/compile"])),
    ("rustix", Place::Only(&["env", "plugin"])),
    ("sha2", Place::Only(&["plugin", "data/schema/id"])),
    // Not all of `std::net` is listed, because an address is plain data.
    ("std::net::TcpListener", Place::Only(&["env"])),
    ("std::net::TcpStream", Place::Only(&["env"])),
    ("std::net::ToSocketAddrs", Place::Only(&["env"])),
    ("std::net::UdpSocket", Place::Only(&["env"])),
    ("rand", Place::Only(&["env"])),
    ("rand_chacha", Place::Only(&["env"])),
];

impl Place {
    fn holds(self, location: &str) -> bool {
        let is_in =
            |module: &&str| location.strip_prefix(*module).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match self {
            Self::Only(owners) | Self::OnlyAndTests(owners) => owners.iter().any(is_in),
            Self::NotIn(others) => !others.iter().any(is_in),
        }
    }

    fn advice(self) -> String {
        match self {
            Self::Only(owners) | Self::OnlyAndTests(owners) => format!("it belongs to {}", owners.join(", ")),
            Self::NotIn(others) => format!("{} do without it", others.join(", ")),
        }
    }
}

/// Whether a path names `owned` or something below it. `use std::time::*` names everything in `std::time`.
fn names(parts: &[String], owned: &[&str]) -> bool {
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.split_last() {
        Some((&"*", parent)) if !parent.is_empty() && parent.len() < owned.len() => owned.starts_with(parent),
        _ => parts.starts_with(owned),
    }
}

/// Whether a path names `owned`, directly or through an imported name of something above `owned`. An import of `owned`
/// is reported where the import stands, and not again at each use of its short name.
fn reaches(path: &NamedPath, paths: &Paths, owned: &[&str]) -> bool {
    if path.parts.len() < 2 {
        return false;
    }
    let through_import = || {
        let full = paths.resolved(path).filter(|full| names(full, owned));
        full.is_some_and(|full| !names(&full[..full.len() + 1 - path.parts.len()], owned))
    };
    names(&path.parts, owned) || through_import()
}

fn outside_owner(file: &SourceFile) -> Vec<Violation> {
    let Some(location) = file.path.strip_prefix("host/src/").and_then(|path| path.strip_suffix(".rs")) else {
        return Vec::new();
    };
    let paths = Paths::of(tokens(file));
    let test_lines = test_lines(&syntax(file));
    let is_test = |line| is_test_module(&file.path) || test_lines.iter().any(|lines| lines.contains(&line));
    let mut violations = Vec::new();
    for (owned, place) in OWNERS.iter().filter(|(_, place)| !place.holds(location)) {
        let parts: Vec<&str> = owned.split("::").collect();
        let is_exempt = |line| matches!(place, Place::OnlyAndTests(_)) && is_test(line);
        let named = paths.written.iter().filter(|path| reaches(path, &paths, &parts) && !is_exempt(path.line));
        let message = format!("`{owned}` is not for this file: {}", place.advice());
        violations.extend(named.map(|path| Violation::new(RULE, file, path.line, message.clone())));
    }
    violations.dedup();
    violations
}

#[test]
fn what_has_an_owner_is_named_by_its_owner_only() {
    require_none(&check_all(&host_files(), outside_owner));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        outside_owner(&SourceFile::new(path, text)).iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn a_crate_outside_its_owner_is_found_however_it_is_named() {
        assert_eq!(lines("host/src/engine/task.rs", "fn f(e: &wasmtime::Engine) {}"), [1]);
        assert_eq!(lines("host/src/block.rs", "use tokio::{sync::mpsc,\n net::TcpStream};"), [2]);
        assert_eq!(lines("host/src/block.rs", "use std::fs::{self, File};\nfn f() { fs::read(p); }"), [1]);
        assert_eq!(lines("host/src/block.rs", "use std::time;\nfn f() { time::Instant::now(); }"), [2]);
        assert_eq!(lines("host/src/block.rs", "use std::thread as t;\nfn f() { m!(t::sleep(d)); }"), [2]);
        assert_eq!(lines("host/src/plugin/limits_of.rs", "use std::time::*;"), [1, 1]);
        assert_eq!(lines("host/src/block.rs", "use std::net::{SocketAddr, TcpStream};"), [1]);
        assert_eq!(lines("host/src/block.rs", "#[cfg(test)] mod t { use std::thread::sleep; }"), [1]);
        assert_eq!(lines("host/src/graph/node.rs", "use arrow::array::Array;"), [1]);
    }

    #[test]
    fn an_owner_may_name_it_and_a_like_name_is_no_match() {
        assert_eq!(lines("host/src/plugin/instance.rs", "use wasmtime::component::Linker;"), [0usize; 0]);
        assert_eq!(lines("host/src/plugin/limits.rs", "use std::time::Instant;"), [0usize; 0]);
        assert_eq!(lines("host/src/cli.rs", "use clap::Parser;\nuse std::fs;"), [0usize; 0]);
        assert_eq!(lines("host/src/data/layout.rs", "use arrow::array::Array;"), [0usize; 0]);
        assert_eq!(lines("host/src/block.rs", "use std::time::Duration;\nfn f(rand: u8) { rand; }"), [0usize; 0]);
        assert_eq!(
            lines("host/src/config.rs", "use std::net::SocketAddr;\n#[cfg(test)] mod t { use std::fs; }"),
            [0usize; 0]
        );
        assert_eq!(lines("host/src/config/tests.rs", "use std::fs;"), [0usize; 0]);
    }
}
