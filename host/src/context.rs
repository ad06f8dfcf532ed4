//! [`StreamingContext`]: the one place that puts an ingest and its runs together, starts them and stops them.
//!
//! Owns the wiring and the life cycle of a job. Lower layers get everything they need from here, and never see the
//! context.

mod beside;
mod carry;
mod checkpoint;
mod fit;
mod grants;
mod job;
mod received;
mod relay;
mod resume;
mod runs;
mod start;
mod state;
mod upgrade;
mod upgraded;

pub use self::beside::{OtherOptions, OtherRun};
pub use self::checkpoint::{CatchUpMode, Resumption, StartFrom, open_store, store as checkpoint_store};
pub use self::start::Running;
pub use self::upgrade::Upgrades;
pub use crate::grants::Listed;

use self::fit::JobFacts;
use self::grants::grants;
use self::received::Received;
use self::upgraded::Upgraded;
use crate::block::{RowStorage, SpillSettings};
use crate::config::{LiveSettings, Settings};
use crate::engine::{FaultInjector, NoFaults};
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::graph::{DescribedNode, Explanation, Graph, GraphError, Intervals, Node};
use crate::ingest::{Sources, check_sources};
use crate::listener::ListenerBus;
use crate::memory::MemoryBudget;
use crate::output::{self, Granted, Outputs};
use crate::plugin::{Failure, Limits, LoadError, Plugin, PluginLoader, Runtime, StartError};
use crate::receiver::Receivers;
use crate::run::RunMemory;
use crate::shown::{self, Shown as _};
use std::path::Path;
use std::sync::Arc;

/// Options of a run that are not settings.
#[derive(Clone)]
pub struct RunOptions {
    /// Stop gracefully after this many batches.
    pub stop_after: Option<u64>,
    /// Stop gracefully when no source can bring more data.
    pub stop_when_idle: bool,
    /// The listeners that are told of events.
    pub listeners: ListenerBus,
    /// Makes parts of the host fail in tests.
    pub faults: Arc<dyn FaultInjector>,
    /// How the job starts, if it has a checkpoint directory.
    pub start_from: StartFrom,
    /// The settings that can change while the job runs. `None` if nobody else needs them.
    pub live: Option<Arc<LiveSettings>>,
    /// What happens to missed batches, whose times passed while the job did not run.
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
            live: None,
            catch_up: CatchUpMode::default(),
        }
    }
}

/// A job that was checked and can be started once.
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
    unread_arguments: Vec<String>,
}

/// A plugin that was loaded, and the graph that it described.
pub struct Program {
    plugin: Arc<Plugin>,
    /// The nodes, as the plugin described them.
    pub described: Vec<DescribedNode>,
    /// The arguments of the job that the program does not read.
    unread_arguments: Vec<String>,
    /// The graph that these nodes form.
    pub graph: Graph,
}

impl Program {
    /// Asks a loaded plugin for its graph.
    ///
    /// # Errors
    /// Returns an error if the plugin fails, or if its graph is not valid.
    pub fn describe(settings: &Settings, plugin: Arc<Plugin>) -> Result<Self, Error> {
        let subject = settings.job.plugin.shown().into_owned();
        let description = plugin.describe(&arguments(settings)).map_err(|failure| {
            if let Failure::Argument { name, .. } = &failure {
                return Error::new(ErrorKind::User, format!("plugin {subject} cannot use its {failure}"))
                    .help(format!("correct `{name}` in `args` of the table [job]"));
            }
            // Describing a graph needs almost no memory, so the memory limit is too small for this plugin.
            if let Failure::OutOfMemory { asked: needed, limit } = failure {
                return LoadError::TooMuchMemory { needed, limit }.into_error(&subject);
            }
            let help = match failure {
                Failure::Refused(_) => "the plugin itself says this: correct the plugin, or `args` of the table [job]",
                _ => "run the plugin's `build` function natively with millstream::testing to see why",
            };
            Error::new(ErrorKind::Plugin, format!("plugin {subject} failed to describe its graph: {failure}"))
                .help(help)
        })?;
        let described = description.nodes;
        let graph = Graph::from_described(&described).map_err(|errors| graph_error(&subject, &errors))?;
        let unread_arguments = match description.arguments_read {
            Some(read) => settings.job.args.keys().filter(|name| !read.contains(name)).cloned().collect(),
            None => Vec::new(),
        };
        for name in &unread_arguments {
            tracing::warn!("{}", unread_argument(name));
        }
        Ok(Self { plugin, described, unread_arguments, graph })
    }
}

impl StreamingContext {
    /// Reads and loads the plugin, asks the plugin for its graph, and checks that the graph fits the job file.
    /// `receivers` serve the sources of type `custom`.
    ///
    /// # Errors
    /// Returns an error for every problem that can be found before the job starts.
    pub fn new(env: Env, settings: Settings, receivers: &Receivers) -> Result<Self, Error> {
        Self::with_loader(env, settings, &PluginLoader::of_this_program(), receivers)
    }

    /// Does the same as [`StreamingContext::new`], but always uses the plugin that the job file names, also if the job was
    /// upgraded to another plugin.
    ///
    /// # Errors
    /// Returns an error for every problem that can be found before the job starts.
    pub fn of_job_file(env: Env, settings: Settings, receivers: &Receivers) -> Result<Self, Error> {
        let program = Self::describe(&env, &settings)?;
        Self::with_program(env, settings, program, receivers)
    }

    /// Does the same as [`StreamingContext::new`]. `loader` compiles the plugin.
    ///
    /// # Errors
    /// Returns an error for every problem that can be found before the job starts.
    pub fn with_loader(
        env: Env,
        settings: Settings,
        loader: &PluginLoader,
        receivers: &Receivers,
    ) -> Result<Self, Error> {
        let Upgraded { plugin, settings } = Upgraded::find(&env, &settings)?;
        let plugin = Self::load_plugin_with(loader, &settings, &plugin)?;
        let program = Program::describe(&settings, plugin)?;
        Self::with_program(env, settings, program, receivers)
    }

    /// The graph of the job and its stages, for people.
    pub fn explanation(&self) -> Explanation {
        Explanation::new(&self.described, &self.graph, self.settings.job.parallelism)
    }

    /// Reads and loads the plugin and asks it for its graph. Does not check whether the graph fits the job file.
    ///
    /// # Errors
    /// Returns an error if there is no plugin, if the plugin cannot be loaded, or if its graph is not valid.
    pub fn describe(env: &Env, settings: &Settings) -> Result<Program, Error> {
        let bytes = read_plugin(env, settings)?;
        let plugin = Self::load_plugin_with(&PluginLoader::of_this_program(), settings, &bytes)?;
        Program::describe(settings, plugin)
    }

    /// Compiles a plugin for jobs with these limits, in this process and without a cache.
    ///
    /// # Errors
    /// Returns an error if the bytes are not a plugin that this host can run.
    pub fn load_plugin(settings: &Settings, bytes: &[u8]) -> Result<Arc<Plugin>, Error> {
        Self::load_plugin_with(&PluginLoader::default(), settings, bytes)
    }

    /// Loads a plugin for jobs with these limits.
    ///
    /// # Errors
    /// Returns an error if the bytes are not a plugin that this host can run.
    pub fn load_plugin_with(loader: &PluginLoader, settings: &Settings, bytes: &[u8]) -> Result<Arc<Plugin>, Error> {
        let limits = Limits {
            memory_bytes: settings.limits.memory_bytes,
            task_time: settings.limits.task_time,
            result_bytes: settings.limits.result_size_bytes,
            plugin_bytes: settings.limits.plugin_size_bytes,
        };
        // In addition to one instance for each thread: one for the driver, and one that is being thrown away.
        let instances = settings.engine.threads as usize + 2;
        let runtime = Runtime::start(limits, instances, settings.job.batch_interval).map_err(StartError::into_error)?;
        let subject = settings.job.plugin.shown().into_owned();
        let plugin = loader.load(Arc::new(runtime), bytes).map_err(|error| error.into_error(&subject))?;
        Ok(Arc::new(plugin))
    }

    /// Makes a job from a plugin that has described its graph. `receivers` serve the sources of type `custom`.
    ///
    /// # Errors
    /// Returns an error if the graph does not fit the job file, or if the job file does not fit the machine.
    pub fn with_program(env: Env, settings: Settings, program: Program, receivers: &Receivers) -> Result<Self, Error> {
        let Program { plugin, graph, described, unread_arguments } = program;
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
        fit::check_state(&graph, &settings)?;
        check_sources(&graph, &settings)?;
        let grants = grants(&settings);
        grants.check(&*env.disk).map_err(|error| {
            Error::new(ErrorKind::User, format!("job {}: {error}", settings.job.name)).help(error.help())
        })?;
        let storage = RowStorage::new(&budget, env.disk.clone(), spill_settings(&settings));
        let granted = Granted { grants: &grants, connections: &settings.connections };
        let outputs = Outputs::open(&env, &settings.job.name, &graph, granted, &storage)?;
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
            unread_arguments,
        })
    }

    /// The graph that the plugin described.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What looks wrong about the job and does not keep it from running.
    pub fn warnings(&self) -> Vec<String> {
        self.unread_arguments.iter().map(|name| unread_argument(name)).collect()
    }

    /// The outputs that write somewhere, each with the place: a topic, or the path of the files of a batch, in which
    /// `TIME_IN_MS` stands for the batch's time.
    pub fn destinations<'a>(settings: &Settings, graph: &'a Graph) -> Vec<(&'a Node, String)> {
        let granted = Granted { grants: &grants(settings), connections: &settings.connections };
        output::destinations(graph, granted)
    }

    /// The places that the plugin may read or write.
    pub fn granted(&self) -> Vec<Listed> {
        grants(&self.settings).listed(&*self.env.disk)
    }

    /// Checks that the existing data of the inputs has the types that the graph reads.
    ///
    /// # Errors
    /// Returns an error for the first data that does not.
    pub fn check_data(&self) -> Result<(), Error> {
        self.sources.inputs.iter().try_for_each(|input| input.check())
    }

    /// Finds out what a start of the job would find in its checkpoint directory and what it would do. Writes nothing.
    ///
    /// # Errors
    /// Returns an error if the job has no checkpoint directory, or could not start.
    pub fn resumption(&self, from: StartFrom, catch_up: CatchUpMode) -> Result<Resumption, Error> {
        Resumption::find(&self.facts(), from, catch_up)
    }

    /// As [`Self::resumption`], with the records that the restart would lose.
    ///
    /// # Errors
    /// As [`Self::resumption`], and an error if the write-ahead log cannot be used.
    pub fn recovery(&self, from: StartFrom, catch_up: CatchUpMode) -> Result<Resumption, Error> {
        let mut found = self.resumption(from, catch_up)?;
        let store = found.store.clone();
        Received::find(&self.env, &self.settings, &self.sources, (&store, &mut found), None)?;
        Ok(found)
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

/// The largest job file that is read.
const JOB_FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads a job file.
///
/// # Errors
/// Returns an error if the file cannot be read, or is larger than job files are.
pub fn read_job_file(env: &Env, file: &Path) -> Result<Vec<u8>, Error> {
    env.disk.read(file, JOB_FILE_BYTES_MAX).map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::FileTooLarge => "it is larger than 1MiB".to_owned(),
            _ => error.to_string(),
        };
        Error::new(ErrorKind::User, format!("cannot read job file {}: {why}", file.shown()))
            .help("name a job file; without a name, it is job.toml in the current directory")
    })
}

/// Reads the component that a job file names.
fn read_plugin(env: &Env, settings: &Settings) -> Result<Vec<u8>, Error> {
    let path = &settings.job.plugin;
    let limit = settings.limits.plugin_size_bytes;
    env.disk.read(path, limit).map_err(|error| {
        if error.kind() == std::io::ErrorKind::FileTooLarge {
            return LoadError::TooLarge { limit }.into_error(&path.shown());
        }
        let mut help =
            "build it with `cargo build --release --target wasm32-wasip2`, and name the .wasm file in job.plugin"
                .to_owned();
        if error.kind() == std::io::ErrorKind::NotFound {
            help.push_str("; there is no such file unless the [lib] of Cargo.toml has `crate-type = [\"cdylib\"]`");
        }
        Error::new(ErrorKind::User, format!("cannot read plugin {}: {error}", path.shown())).help(help)
    })
}

/// The settings for spilling rows to disk.
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

/// The warning that the program does not read an argument.
fn unread_argument(name: &str) -> String {
    format!("the plugin does not read the argument {} of job.args: is its name right?", shown::name(name))
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
