//! Loaded plugins, each for one simulated run at a time.
//!
//! Owns the plugins that no run uses at the moment. A plugin has room for the instances of one run, so two runs never
//! share a plugin. A component is compiled once for all runs, and the result is stored beside the tests.

use host::config::Settings;
use host::context::StreamingContext;
use host::error::Error;
use host::plugin::{CacheDirectory, Plugin, PluginLoader};
use millstream_tests::programs;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The plugins that no run uses, by their package and all settings that a loaded plugin depends on.
static IDLE: Mutex<BTreeMap<String, Vec<Arc<Plugin>>>> = Mutex::new(BTreeMap::new());

/// A plugin that one run uses. When the lease is dropped, another run can use the plugin.
pub struct Lease {
    key: String,
    plugin: Arc<Plugin>,
}

impl Lease {
    /// Takes a plugin that was loaded with these settings and that no run uses, or loads one.
    ///
    /// # Errors
    /// Returns an error if the host cannot load the plugin with these settings.
    pub fn take(name: &str, settings: &Settings) -> Result<Self, Error> {
        let interval = settings.job.batch_interval;
        let key = format!("{name} {:?} {} {interval:?}", settings.limits, settings.engine.threads);
        let idle = idle().get_mut(&key).and_then(Vec::pop);
        let plugin = match idle {
            Some(plugin) => plugin,
            None => load(name, settings)?,
        };
        Ok(Self { key, plugin })
    }

    /// The plugin.
    pub fn plugin(&self) -> Arc<Plugin> {
        self.plugin.clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        idle().entry(std::mem::take(&mut self.key)).or_default().push(self.plugin.clone());
    }
}

fn idle() -> MutexGuard<'static, BTreeMap<String, Vec<Arc<Plugin>>>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Loads a component, which is compiled unless the compiled form is stored already.
///
/// # Errors
/// Returns an error if the host cannot load the component with these settings.
pub fn load(name: &str, settings: &Settings) -> Result<Arc<Plugin>, Error> {
    StreamingContext::load_plugin_with(&loader(), settings, &programs::plugin(name))
}

/// Compiles a component unless the compiled form is stored already.
pub fn loader() -> PluginLoader {
    let cache = CacheDirectory::at(concat!(env!("CARGO_TARGET_TMPDIR"), "/caches/simulated"));
    PluginLoader::new(Some(cache), None)
}
