//! Why a component is not accepted as a plugin, and what to do about it.

use crate::error::{Error, ErrorKind};
use std::time::Duration;

/// The package that plugins and the host agree on.
pub(super) const PACKAGE: &str = "millstream:plugin";
/// The versions of it that this host serves.
pub(super) const SERVED: &str = "0.1";

/// Why a component was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file does not begin as WebAssembly does.
    #[error("it is not a WebAssembly component: it does not begin with `\\0asm`")]
    NotWasm,
    /// A module where a component is needed.
    #[error("it is a core module, not a component")]
    CoreModule,
    /// A file that is larger than allowed.
    #[error("it is larger than limits.plugin_size = {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// It cannot begin to run within its limit.
    #[error("it needs {needed} bytes of memory before it reads anything, and limits.memory = {limit} bytes")]
    TooMuchMemory {
        /// What its memory is from the start.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// It cannot be compiled.
    #[error("it cannot be compiled: {0}")]
    Invalid(String),
    /// Compiling it takes too long.
    #[error("compiling it takes longer than {} s", limit.as_secs_f64())]
    CompileTimeout {
        /// How long it may take.
        limit: Duration,
    },
    /// Compiling it takes too much memory.
    #[error("compiling it takes more than {limit} bytes of memory")]
    CompileMemory {
        /// How much it may take.
        limit: u64,
    },
    /// The process that compiles it ended in a way of its own.
    #[error("the compiler failed: {0}")]
    CompilerCrashed(String),
    /// The process that compiles it could not be run.
    #[error("the process that compiles it cannot be run: {0}")]
    NoCompiler(std::io::Error),
    /// It does not export what a plugin exports.
    #[error("it is a component, but not a Millstream plugin: it does not export `{0}`")]
    NotAPlugin(String),
    /// It was built for another version.
    #[error("it needs {PACKAGE} {found}; this host serves {SERVED}")]
    Version {
        /// The version it was built for.
        found: String,
    },
    /// It wants something that no plugin gets.
    #[error("it imports `{0}`, which this host does not provide")]
    Import(String),
    /// The engine itself failed.
    #[error("the WebAssembly engine failed: {0}")]
    Engine(wasmtime::Error),
}

impl LoadError {
    /// The error as its reader sees it, for the plugin that `subject` names.
    pub fn into_error(self, subject: &str) -> Error {
        let help = match &self {
            Self::NotWasm | Self::CoreModule => {
                "build it with `cargo build --release --target wasm32-wasip2` or `cargo component build --release`"
            }
            Self::TooLarge { .. } => "strip it (`strip = true` in its profile), or raise limits.plugin_size",
            Self::TooMuchMemory { .. } => "raise limits.memory",
            Self::Invalid(_) => "build it again; the file may be damaged",
            Self::CompileTimeout { .. } | Self::CompileMemory { .. } => {
                "make the plugin smaller (`opt-level = \"s\"` in its profile), or try again if the machine was busy"
            }
            Self::CompilerCrashed(_) => "please report this, with the plugin",
            Self::NoCompiler(_) => "try again when the machine has processes and memory to spare",
            Self::NotAPlugin(_) => "does the plugin call `millstream::plugin!(build)`?",
            Self::Version { .. } => "rebuild it with the millstream crate of this host's version",
            Self::Import(_) => "a plugin may import `millstream:plugin` and WASI 0.2 only",
            Self::Engine(_) => "please report this",
        };
        let kind = match self {
            Self::Engine(_) | Self::CompilerCrashed(_) => ErrorKind::Internal,
            Self::NoCompiler(_) => ErrorKind::Unavailable,
            _ => ErrorKind::User,
        };
        Error::new(kind, format!("cannot load plugin {subject}: {self}")).help(help)
    }
}
