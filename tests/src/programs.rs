//! Builds the programs that tests run: plugins as components, and the host's own binary. Each program is built once in
//! a test run.

use crate::repository;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The component of the workspace package `name`, as bytes.
///
/// # Panics
/// If the component cannot be built.
pub fn plugin(name: &str) -> Vec<u8> {
    let path = plugin_path(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// The component of the workspace package `name`.
///
/// # Panics
/// If the component cannot be built.
pub fn plugin_path(name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = built.get(name) {
        return path.clone();
    }
    cargo(&["build", "--locked", "--release", "--target", "wasm32-wasip2", "-p", name]);
    let path = target_directory().join("wasm32-wasip2/release").join(format!("{name}.wasm"));
    built.insert(name.to_owned(), path.clone());
    path
}

/// The binary `host`, built as the tests are.
///
/// # Panics
/// If the program cannot be built.
pub fn host() -> &'static Path {
    static HOST: OnceLock<PathBuf> = OnceLock::new();
    HOST.get_or_init(|| native("host"))
}

/// The native program of the workspace package `name`, built as the tests are.
///
/// # Panics
/// If the program cannot be built.
pub fn native(name: &str) -> PathBuf {
    program(name, name)
}

/// The native program `name` of a workspace package, built as the tests are.
///
/// # Panics
/// If the program cannot be built.
pub fn program(name: &str, package: &str) -> PathBuf {
    cargo(&["build", "--locked", "-p", package, "--bin", name]);
    target_directory().join("debug").join(name)
}

/// The directory of cargo's build output, which also contains this program.
fn target_directory() -> PathBuf {
    let exe = std::env::current_exe().expect("a program knows its own path");
    let profile = exe.ancestors().find(|path| path.ends_with("debug") || path.ends_with("release"));
    profile.and_then(Path::parent).expect("the program lies in a target directory").to_owned()
}

fn cargo(args: &[&str]) {
    let mut command = Command::new("cargo");
    command.args(args).current_dir(repository::root()).env("CARGO_TARGET_DIR", target_directory());
    // Variables that the surrounding cargo has set for this test must not reach the inner cargo: some crates would be
    // built again.
    for leaked in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"] {
        command.env_remove(leaked);
    }
    let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"];
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| of_package.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    let output = command.output().expect("cargo can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    let help = "if the target is missing: rustup target add wasm32-wasip2";
    assert!(output.status.success(), "cargo {} failed ({help}):\n{said}", args.join(" "));
}
