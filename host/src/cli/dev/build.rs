//! How cargo builds the plugin that a job names.
//!
//! Owns the commands for cargo, which follow from the path of the plugin. Never runs them.

use crate::env::{ChildCommand, Disk};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The crate of a plugin, and where cargo builds the plugin.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Build {
    /// The directory of the crate.
    pub crate_directory: PathBuf,
    /// The target that the plugin is compiled for: `wasm32-wasip2`.
    pub target: String,
    target_directory: PathBuf,
    profile: String,
}

impl Build {
    /// The build of a plugin at a path such as `target/wasm32-wasip2/release/traffic.wasm`. Both paths are absolute. `None`
    /// if cargo does not put plugins there.
    pub fn of(plugin: &Path, crate_directory: PathBuf) -> Option<Self> {
        let is_component = plugin.extension().is_some_and(|extension| extension == "wasm");
        let by_profile = plugin.parent().filter(|_| is_component)?;
        let by_target = by_profile.parent()?;
        let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let (profile, target) = (name(by_profile)?, name(by_target)?);
        let target_directory = by_target.parent()?.to_owned();
        target.starts_with("wasm32-").then_some(Self { crate_directory, target, target_directory, profile })
    }

    /// Builds the plugin.
    pub fn build(&self) -> ChildCommand {
        let profile = match self.profile.as_str() {
            "release" => vec!["--release"],
            "debug" => Vec::new(),
            other => vec!["--profile", other],
        };
        self.cargo(&[&["build"], profile.as_slice(), &["--target", &self.target]].concat())
    }

    /// Runs the tests of the crate.
    pub fn test(&self) -> ChildCommand {
        self.cargo(&["test", "--quiet"])
    }

    /// Prints the directory of the standard library for the target. It exists if the target is installed.
    pub fn library(&self) -> ChildCommand {
        let arguments = ["--print", "target-libdir", "--target", &self.target].map(OsString::from).to_vec();
        ChildCommand { program: Some("rustc"), arguments, ..self.cargo(&[]) }
    }

    fn cargo(&self, arguments: &[&str]) -> ChildCommand {
        ChildCommand {
            program: Some("cargo"),
            arguments: arguments.iter().map(OsString::from).collect(),
            directory: Some(self.crate_directory.clone()),
            variables: vec![("CARGO_TARGET_DIR", self.target_directory.clone().into())],
            is_quiet: false,
        }
    }
}

/// A command as a person would type it.
pub(super) fn typed(command: &ChildCommand) -> String {
    let arguments = command.arguments.iter().map(|argument| argument.to_string_lossy());
    let program = command.program.unwrap_or("host");
    arguments.fold(program.to_owned(), |typed, argument| format!("{typed} {argument}"))
}

/// The directory of the crate that a directory is in: the nearest one with a `Cargo.toml`, upwards.
pub(super) fn crate_of<'a>(directory: &'a Path, disk: &dyn Disk) -> Option<&'a Path> {
    directory.ancestors().find(|directory| disk.entry(&directory.join("Cargo.toml")).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_plugin_says_how_it_is_built() {
        let build = |path: &str| Build::of(Path::new(path), PathBuf::from("/crate"));
        let typed = |path: &str| build(path).map(|build| super::typed(&build.build()));
        assert_eq!(
            typed("/crate/target/wasm32-wasip2/release/traffic.wasm").as_deref(),
            Some("cargo build --release --target wasm32-wasip2")
        );
        assert_eq!(typed("/t/wasm32-wasip1/debug/x.wasm").as_deref(), Some("cargo build --target wasm32-wasip1"));
        assert_eq!(
            typed("/t/wasm32-wasip2/plugin/x.wasm").as_deref(),
            Some("cargo build --profile plugin --target wasm32-wasip2")
        );
        let built = build("/t/wasm32-wasip2/release/x.wasm").unwrap();
        assert_eq!(built.test().variables, [("CARGO_TARGET_DIR", OsString::from("/t"))]);
        assert_eq!(built.test().directory.as_deref(), Some(Path::new("/crate")));
        for elsewhere in ["/crate/x.wasm", "/t/x86_64/release/x.wasm", "/t/wasm32-wasip2/release/x", "x.wasm"] {
            assert_eq!(build(elsewhere), None, "{elsewhere}");
        }
    }
}
