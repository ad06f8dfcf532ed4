//! [`StreamingContext`]: the one place that puts an ingest and its runs together, starts them, and stops them.
//!
//! Owns the wiring and the life cycle. Everything below gets what it needs from here and never sees the context.

mod beside;
mod checkpoint;
mod fit;
mod grants;
mod job;
mod resume;
mod start;

pub use self::beside::{OtherOptions, OtherOutputs, OtherRun};
pub use self::checkpoint::{CatchUpMode, Resumption, StartFrom, open_store, store as checkpoint_store};
pub use self::start::Running;
pub use crate::grants::Listed;

use self::fit::JobFacts;
use self::grants::grants;
use self::job::JobParts;
use crate::block::{SpillSettings, Storage};
use crate::config::Settings;
use crate::engine::{FaultInjector, NoFaults};
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::graph::{DescribedNode, Graph, GraphError, Intervals, Node};
use crate::ingest::{Sources, check_sources};
use crate::listener::ListenerBus;
use crate::memory::MemoryBudget;
use crate::output::{self, Outputs};
use crate::plugin::{Failure, Limits, LoadError, Plugin, PluginLoader, Runtime, StartError};
use crate::receiver::Receivers;
use crate::run::RunMemory;
use crate::shown::Shown as _;
use std::sync::Arc;

/// What a run can be given besides its settings.
#[derive(Clone)]
pub struct RunOptions {
    /// Stop gracefully after this many batches.
    pub stop_after: Option<u64>,
    /// Stop gracefully when no source can bring more.
    pub stop_when_idle: bool,
    /// Who hears of events.
    pub listeners: ListenerBus,
    /// What a test makes fail.
    pub faults: Arc<dyn FaultInjector>,
    /// How the job starts, if it has a checkpoint directory.
    pub start_from: StartFrom,
    /// What becomes of the batches whose times passed while it did not run.
    pub catch_up: CatchUpMode,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            stop_after: None,
            stop_when_idle: false,
            listeners: ListenerBus::default(),
            faults: Arc::new(NoFaults),
            start_from: StartFrom::default(),
            catch_up: CatchUpMode::default(),
        }
    }
}

/// A job that was checked and can be started, once.
pub struct StreamingContext {
    env: Env,
    settings: Settings,
    plugin: Arc<Plugin>,
    described: Vec<DescribedNode>,
    graph: Arc<Graph>,
    intervals: Arc<Intervals>,
    memory: RunMemory,
    outputs: Outputs,
    sources: Sources,
}

/// A plugin that was loaded, and the graph that it described.
pub struct Program {
    plugin: Arc<Plugin>,
    /// The nodes, as the plugin described them.
    pub described: Vec<DescribedNode>,
    /// The graph they are.
    pub graph: Graph,
}

impl Program {
    /// Asks a plugin that was loaded for its graph.
    ///
    /// # Errors
    /// When it fails, or its graph is wrong in itself.
    pub fn describe(settings: &Settings, plugin: Arc<Plugin>) -> Result<Self, Error> {
        let subject = settings.job.plugin.shown().into_owned();
        let described = plugin.describe(&arguments(settings)).map_err(|failure| {
            // Describing a graph takes next to nothing: the limit does not fit the plugin.
            if let Failure::OutOfMemory { asked: needed, limit } = failure {
                return LoadError::TooMuchMemory { needed, limit }.into_error(&subject);
            }
            Error::new(ErrorKind::Plugin, format!("plugin {subject} failed to describe its graph: {failure}"))
                .help("run the plugin's `build` function natively with millstream::testing to see why")
        })?;
        let graph = Graph::from_described(&described).map_err(|errors| graph_error(&subject, &errors))?;
        Ok(Self { plugin, described, graph })
    }
}

impl StreamingContext {
    /// Reads and loads the plugin, asks it for its graph, and checks that graph and job file fit. The sources of type
    /// `custom` are served by `receivers`.
    ///
    /// # Errors
    /// Everything that can be known before the job starts.
    pub fn new(env: Env, settings: Settings, receivers: &Receivers) -> Result<Self, Error> {
        let program = Self::describe(&env, &settings)?;
        Self::with_program(env, settings, program, receivers)
    }

    /// Reads and loads the plugin and asks it for its graph, whether or not that fits the job file.
    ///
    /// # Errors
    /// When there is no plugin, it cannot be loaded, or its graph is wrong in itself.
    pub fn describe(env: &Env, settings: &Settings) -> Result<Program, Error> {
        let path = &settings.job.plugin;
        let limit = settings.limits.plugin_size_bytes;
        let bytes = env.disk.read(path, limit).map_err(|error| {
            if error.kind() == std::io::ErrorKind::FileTooLarge {
                return LoadError::TooLarge { limit }.into_error(&path.shown());
            }
            Error::new(ErrorKind::User, format!("cannot read plugin {}: {error}", path.shown())).help(
                "build it with `cargo build --release --target wasm32-wasip2`, and name the .wasm file in job.plugin",
            )
        })?;
        let plugin = Self::load_plugin_with(&PluginLoader::of_this_program(), settings, &bytes)?;
        Program::describe(settings, plugin)
    }

    /// Compiles a plugin for jobs with these limits, in this process and without a cache.
    ///
    /// # Errors
    /// When it is not a plugin that this host can run.
    pub fn load_plugin(settings: &Settings, bytes: &[u8]) -> Result<Arc<Plugin>, Error> {
        Self::load_plugin_with(&PluginLoader::default(), settings, bytes)
    }

    /// Loads a plugin for jobs with these limits.
    ///
    /// # Errors
    /// When it is not a plugin that this host can run.
    pub fn load_plugin_with(loader: &PluginLoader, settings: &Settings, bytes: &[u8]) -> Result<Arc<Plugin>, Error> {
        let limits = Limits {
            memory_bytes: settings.limits.memory_bytes,
            task_time: settings.limits.task_time,
            result_bytes: settings.limits.result_size_bytes,
            plugin_bytes: settings.limits.plugin_size_bytes,
        };
        // One for the driver, one that is being thrown away.
        let instances = settings.engine.threads as usize + 2;
        let runtime = Runtime::start(limits, instances).map_err(StartError::into_error)?;
        let subject = settings.job.plugin.shown().into_owned();
        let plugin = loader.load(Arc::new(runtime), bytes).map_err(|error| error.into_error(&subject))?;
        Ok(Arc::new(plugin))
    }

    /// A job of a plugin that was asked before. The sources of type `custom` are served by `receivers`.
    ///
    /// # Errors
    /// When the plugin's graph does not fit the job file, or the job file does not fit the machine.
    pub fn with_program(env: Env, settings: Settings, program: Program, receivers: &Receivers) -> Result<Self, Error> {
        let Program { plugin, graph, described } = program;
        let subject = settings.job.plugin.shown().into_owned();
        let budget = MemoryBudget::new(settings.engine.memory_bytes, 0);
        let reserved = budget.and_then(|budget| {
            let instances = budget.set_aside(RunMemory::instance_bytes(&settings))?;
            Ok((budget, instances))
        });
        let (budget, instances) = reserved.map_err(|error| {
            Error::new(ErrorKind::User, format!("engine.memory is too small for its plugin instances: {error}"))
                .help("raise engine.memory, or lower limits.memory or engine.threads")
        })?;
        let intervals = Intervals::of(&graph, settings.job.batch_interval);
        let intervals = intervals.map_err(|errors| graph_error(&subject, &errors))?;
        check_sources(&graph, &settings)?;
        let grants = grants(&settings);
        grants.check(&*env.disk).map_err(|error| {
            Error::new(ErrorKind::User, format!("job {}: {error}", settings.job.name)).help(error.help())
        })?;
        let storage = Storage::new(&budget, env.disk.clone(), spill_settings(&settings));
        let outputs = Outputs::open(&env, &settings.job.name, &graph, &grants, &storage)?;
        let sources = Sources::open(&env, &graph, &settings, receivers)?;
        Ok(Self {
            env,
            settings,
            plugin,
            described,
            graph: Arc::new(graph),
            intervals: Arc::new(intervals),
            memory: RunMemory { budget, storage, instances },
            outputs,
            sources,
        })
    }

    /// The graph that the plugin described.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Where the outputs that save files put those of a batch: the node, and a path in which `TIME_IN_MS` stands for the
    /// batch's time.
    pub fn destinations<'a>(settings: &Settings, graph: &'a Graph) -> Vec<(&'a Node, String)> {
        output::destinations(graph, &grants(settings))
    }

    /// What the plugin may read and write.
    pub fn granted(&self) -> Vec<Listed> {
        grants(&self.settings).listed(&*self.env.disk)
    }

    /// Whether the data that is there already is what the graph reads.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check_data(&self) -> Result<(), Error> {
        self.sources.inputs.iter().try_for_each(|input| input.check())
    }

    /// What starting the job would find and do in its checkpoint directory. Nothing is written.
    ///
    /// # Errors
    /// When the job has no such directory, or could not start.
    pub fn resumption(&self, from: StartFrom, catch_up: CatchUpMode) -> Result<Resumption, Error> {
        Resumption::find(&self.facts(), &self.sources, from, catch_up)
    }

    fn job_parts(&self) -> JobParts {
        JobParts {
            env: self.env.clone(),
            settings: self.settings.clone(),
            graph: self.graph.clone(),
            budget: self.memory.budget.clone(),
            storage: self.memory.storage.clone(),
        }
    }

    fn facts(&self) -> JobFacts<'_> {
        JobFacts {
            env: &self.env,
            settings: &self.settings,
            plugin_digest: self.plugin.digest(),
            nodes: &self.described,
            graph: &self.graph,
            intervals: &self.intervals,
        }
    }
}

/// How rows are spilled.
fn spill_settings(settings: &Settings) -> SpillSettings {
    SpillSettings {
        directory: settings.engine.spill_directory.clone(),
        limit_bytes: settings.engine.spill_limit_bytes,
        compressed: settings.engine.compress,
    }
}

fn arguments(settings: &Settings) -> Vec<(String, String)> {
    settings.job.args.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn graph_error(subject: &str, errors: &[GraphError]) -> Error {
    let message = match errors {
        [GraphError::NoOutput] => format!("{}, in plugin {subject}", GraphError::NoOutput),
        [one @ (GraphError::Interval { .. } | GraphError::Slides { .. })] => one.to_string(),
        errors => {
            let lines: Vec<String> = errors.iter().map(|error| format!("\n  {error}")).collect();
            format!("plugin {subject} described a graph that cannot run:{}", lines.concat())
        }
    };
    let help = errors.iter().find_map(GraphError::help);
    let help = help.unwrap_or_else(|| "build the plugin with the millstream crate of this host's version".to_owned());
    Error::new(ErrorKind::User, message).help(help)
}

#[cfg(test)]
mod tests;
