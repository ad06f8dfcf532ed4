//! Loads a component: checks what it is and which version of the interface it uses, compiles it, and links it.

use super::bindings;
use super::cache::{CacheDirectory, Key, digest};
use super::compile::CompilerProcess;
use super::driver::DriverPlugin;
use super::linked::Plugin;
use super::load_error::{LoadError, PACKAGE, SERVED};
use super::runtime::{Cancel, Runtime};
use super::state::TaskState;
use super::wasi;
use crate::shown::Shown as _;
use std::sync::Arc;
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker};

/// Loads plugins. The default loader stores no compiled forms and compiles in this process.
#[derive(Clone, Debug, Default)]
pub struct PluginLoader {
    cache: Option<CacheDirectory>,
    compiler: Option<CompilerProcess>,
}

impl PluginLoader {
    /// Makes a loader. With `cache`, it stores compiled forms; with `compiler`, it compiles in a separate process.
    pub fn new(cache: Option<CacheDirectory>, compiler: Option<CompilerProcess>) -> Self {
        Self { cache, compiler }
    }

    /// Makes the loader for this program. Only the program `host` uses the user's cache and a separate process for
    /// compiling.
    pub fn of_this_program() -> Self {
        let compiler = CompilerProcess::of_this_program();
        Self { cache: compiler.as_ref().and_then(|_| CacheDirectory::of_user()), compiler }
    }

    /// Loads the component `bytes`. Compiling it takes 100 ms or more, unless the cache has the compiled form.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(&self, runtime: Arc<Runtime>, bytes: &[u8]) -> Result<Plugin, LoadError> {
        let limit = runtime.limits.plugin_bytes;
        if bytes.len() as u64 > limit {
            return Err(LoadError::TooLarge { limit });
        }
        match bytes {
            [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => return Err(LoadError::CoreModule),
            [0, b'a', b's', b'm', ..] => {}
            _ => return Err(LoadError::NotWasm),
        }
        let component = self.component(&runtime.engine, bytes)?;
        check_interfaces(&runtime, &component)?;
        let mut linker = Linker::new(&runtime.engine);
        bindings::millstream::plugin::runtime::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut TaskState| {
            state
        })
        .map_err(LoadError::Engine)?;
        bindings::millstream::plugin::shared_variables::add_to_linker::<_, HasSelf<_>>(
            &mut linker,
            |state: &mut TaskState| state,
        )
        .map_err(LoadError::Engine)?;
        wasi::add_to_linker(&mut linker, &component)?;
        // Tasks without driver functions are called directly. Tasks with driver functions run on a stack of their own,
        // so that they can wait for the host. The engine chooses the way by the functions that are linked.
        let mut driver_linker = linker.clone();
        wasi::trap_imports(&mut linker, &component, PACKAGE)?;
        let pre = linker.instantiate_pre(&component).map_err(invalid)?;
        let pre = bindings::PluginPre::new(pre).map_err(invalid)?;
        let driver = DriverPlugin::new(&mut driver_linker, &component)?;
        Ok(Plugin { pre, driver, runtime, cancel: Cancel::default(), digest: digest(bytes), variables: None })
    }

    /// Takes the compiled form from the cache, or compiles the component and stores its compiled form in the cache.
    fn component(&self, engine: &Engine, bytes: &[u8]) -> Result<Component, LoadError> {
        if self.cache.is_none() && self.compiler.is_none() {
            return Component::from_binary(engine, bytes).map_err(invalid);
        }
        let key = Key::new(engine, bytes);
        let kept = self.cache.as_ref().and_then(|cache| kept(cache, &key, engine));
        if let Some(component) = kept {
            return Ok(component);
        }
        let code = match &self.compiler {
            Some(process) => process.compile(bytes)?,
            None => engine.precompile_component(bytes).map_err(invalid)?,
        };
        // SAFETY: this program's own compiler has just returned this code, complete. The code came from a call of the
        // compiler, or through a pipe that no other process has, from a process of this same program that was started
        // for it.
        let component = unsafe { Component::deserialize(engine, &code) }.map_err(invalid)?;
        if let Some(cache) = &self.cache {
            match cache.store(&key, &code) {
                Ok(()) => tracing::debug!("compiled the plugin; kept in {}", cache.file(&key).shown()),
                Err(error) => tracing::debug!("compiled the plugin; not kept: {error}"),
            }
        }
        Ok(component)
    }
}

/// The compiled form in the cache. `None` if the cache has no compiled form, or one that is not valid.
fn kept(cache: &CacheDirectory, key: &Key, engine: &Engine) -> Option<Component> {
    let code = match cache.load(key) {
        Ok(code) => code?,
        Err(error) => {
            tracing::debug!("the plugin's compiled form cannot be used: {error}");
            return None;
        }
    };
    // Directory and file belong to the user of this process, and nobody else may write to them. No job file and no argument
    // can name the file.
    // SAFETY: the code comes from the cache's own directory. Only `store` writes there: it writes the code that the compiler
    // returned for this component and these settings. The checksum shows that the code has not changed.
    match unsafe { Component::deserialize(engine, &code) } {
        Ok(component) => {
            tracing::debug!("the plugin is compiled already: {}", cache.file(key).shown());
            Some(component)
        }
        Err(error) => {
            tracing::debug!("the plugin's compiled form cannot be used: {error:#}");
            None
        }
    }
}

fn invalid(error: wasmtime::Error) -> LoadError {
    LoadError::Invalid(format!("{error:#}"))
}

/// Checks the names and versions of imports and exports, so that the error of a mismatch names them.
fn check_interfaces(runtime: &Runtime, component: &Component) -> Result<(), LoadError> {
    let ty = component.component_type();
    for (name, _) in ty.imports(&runtime.engine) {
        let provided = name.starts_with("wasi:") && name.contains("@0.2.");
        match version_of(name) {
            Some(version) => check_version(version)?,
            None if provided => {}
            None => return Err(LoadError::Import(name.to_owned())),
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

/// The version in the name of an interface of Millstream's package. `None` for other interfaces.
fn version_of(interface: &str) -> Option<&str> {
    interface.strip_prefix(PACKAGE)?.strip_prefix('/')?.split_once('@').map(|(_, version)| version)
}

fn check_version(version: &str) -> Result<(), LoadError> {
    match version.strip_prefix(SERVED).is_some_and(|rest| rest.starts_with('.')) {
        true => Ok(()),
        false => Err(LoadError::Version { found: version.to_owned() }),
    }
}
