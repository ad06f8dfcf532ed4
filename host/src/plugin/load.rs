//! Loads a component: checks what it is and which version it speaks, compiles it, links it.

use super::bindings;
use super::instance::TaskState;
use super::runtime::{Cancel, Runtime};
use super::wasi;
use crate::error::{Error, ErrorKind};
use std::sync::Arc;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker};

/// The package that plugins and the host agree on.
const PACKAGE: &str = "millstream:plugin";
/// The versions of it that this host serves.
const SERVED: &str = "0.1";

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
            Self::NotAPlugin(_) => "does the plugin call `millstream::plugin!(build)`?",
            Self::Version { .. } => "rebuild it with the millstream crate of this host's version",
            Self::Import(_) => "a plugin may import `millstream:plugin` and WASI 0.2 only",
            Self::Engine(_) => "please report this",
        };
        let kind = if matches!(self, Self::Engine(_)) { ErrorKind::Internal } else { ErrorKind::User };
        Error::new(kind, format!("cannot load plugin {subject}: {self}")).help(help)
    }
}

/// A component that was checked, compiled and linked.
pub struct Plugin {
    pub(super) pre: bindings::PluginPre<TaskState>,
    pub(super) runtime: Arc<Runtime>,
}

impl Plugin {
    /// Stops all code of this plugin when used.
    pub fn cancel(&self) -> Cancel {
        self.runtime.cancel()
    }

    /// Loads the component `bytes`. Compiling takes 100 ms and more.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(runtime: Arc<Runtime>, bytes: &[u8]) -> Result<Self, LoadError> {
        let limit = runtime.limits.plugin_bytes;
        if bytes.len() as u64 > limit {
            return Err(LoadError::TooLarge { limit });
        }
        match bytes {
            [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => return Err(LoadError::CoreModule),
            [0, b'a', b's', b'm', ..] => {}
            _ => return Err(LoadError::NotWasm),
        }
        let component =
            Component::from_binary(&runtime.engine, bytes).map_err(|error| LoadError::Invalid(format!("{error:#}")))?;
        check_interfaces(&runtime, &component)?;
        let mut linker = Linker::new(&runtime.engine);
        bindings::millstream::plugin::runtime::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut TaskState| {
            state
        })
        .map_err(LoadError::Engine)?;
        wasi::add_to_linker(&mut linker, &component)?;
        let pre = linker.instantiate_pre(&component).map_err(|error| LoadError::Invalid(format!("{error:#}")))?;
        let pre = bindings::PluginPre::new(pre).map_err(|error| LoadError::Invalid(format!("{error:#}")))?;
        Ok(Self { pre, runtime })
    }
}

/// Checks names and versions of imports and exports, so that a mismatch is told in these terms.
fn check_interfaces(runtime: &Runtime, component: &Component) -> Result<(), LoadError> {
    let ty = component.component_type();
    for (name, _) in ty.imports(&runtime.engine) {
        let provided = name.starts_with("wasi:") && name.contains("@0.2.");
        match version_of(name) {
            Some(version) => check_version(version)?,
            None if provided => {}
            None => return Err(LoadError::Import(name.to_owned())),
        }
        if name.starts_with(&format!("{PACKAGE}/data-sets@")) {
            return Err(LoadError::Import(name.to_owned()));
        }
    }
    for (name, _) in ty.exports(&runtime.engine) {
        version_of(name).map_or(Ok(()), check_version)?;
    }
    for interface in ["program", "tasks", "driver"] {
        let wanted = format!("{PACKAGE}/{interface}");
        let found = ty.exports(&runtime.engine).any(|(name, item)| {
            name.split('@').next() == Some(&wanted) && matches!(item.ty, ComponentItem::ComponentInstance(_))
        });
        if !found {
            return Err(LoadError::NotAPlugin(wanted));
        }
    }
    Ok(())
}

/// The version that an interface of our package names.
fn version_of(interface: &str) -> Option<&str> {
    interface.strip_prefix(PACKAGE)?.strip_prefix('/')?.split_once('@').map(|(_, version)| version)
}

fn check_version(version: &str) -> Result<(), LoadError> {
    match version.strip_prefix(SERVED).is_some_and(|rest| rest.starts_with('.')) {
        true => Ok(()),
        false => Err(LoadError::Version { found: version.to_owned() }),
    }
}
