//! Why a component is not accepted as a plugin, and what to do about it.

use crate::error::{Error, ErrorKind};
use std::time::Duration;

/// The name of the interface package of plugins and the host.
pub(super) const PACKAGE: &str = "millstream:plugin";
/// The versions of the package that this host supports.
pub(super) const SERVED: &str = "0.1";

/// Why a component was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file does not begin with the first bytes of WebAssembly.
    #[error("it is not a WebAssembly component: it does not begin with `\\0asm`")]
    NotWasm,
    /// The file is a core module, but a component is needed.
    #[error("it is a core module, not a component")]
    CoreModule,
    /// The file is larger than the limit.
    #[error("it is larger than limits.plugin_size = {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The plugin needs more memory than its limit before it runs any code.
    #[error("it needs {needed} bytes of memory before it reads anything, and limits.memory = {limit} bytes")]
    TooMuchMemory {
        /// The size of its memory at the start, in bytes.
        needed: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The component cannot be compiled.
    #[error("it cannot be compiled: {0}")]
    Invalid(String),
    /// Compiling the component takes too long.
    #[error("compiling it takes longer than {} s", limit.as_secs_f64())]
    CompileTimeout {
        /// The longest time for compiling.
        limit: Duration,
    },
    /// Compiling the component takes too much memory.
    #[error("compiling it takes more than {limit} bytes of memory")]
    CompileMemory {
        /// The most memory for compiling, in bytes.
        limit: u64,
    },
    /// The process that compiles the component ended in an unexpected way.
    #[error("the compiler failed: {0}")]
    CompilerCrashed(String),
    /// The process that compiles the component could not be run.
    #[error("the process that compiles it cannot be run: {0}")]
    NoCompiler(std::io::Error),
    /// The component does not export the functions of a plugin.
    #[error("it is a component, but not a Millstream plugin: it does not export `{0}`")]
    NotAPlugin(String),
    /// The component was built for another version of the interface.
    #[error("it needs {PACKAGE} {found}; this host serves {SERVED}")]
    Version {
        /// The version that the component was built for.
        found: String,
    },
    /// The component imports something that no plugin gets.
    #[error("it imports `{0}`, which this host does not provide")]
    Import(String),
    /// The WebAssembly engine itself failed.
    #[error("the WebAssembly engine failed: {0}")]
    Engine(wasmtime::Error),
}

impl LoadError {
    /// The error that is reported. `subject` names the plugin.
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
