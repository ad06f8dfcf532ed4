//! [`StreamingContext`]: the one place that puts a run together, starts it, and stops it.
//!
//! Owns the wiring and the life cycle. Everything below gets what it needs from here and never sees the context.

mod sources;

use self::sources::{ReceiverSource, Sources, check_sources};
use crate::block::{BlockStore, SpillSettings, Storage};
use crate::config::Settings;
use crate::driver::Drivers;
use crate::engine::{EmbeddedEngine, Engine, EngineParts, FaultInjector, JobPlan, NoFaults};
use crate::env::{Clock, Env};
use crate::error::{Error, ErrorKind};
use crate::grants::Grants;
use crate::graph::{DescribedNode, Graph, GraphError, Intervals, Node, StageGraph};
use crate::listener::{Event, ListenerBus};
use crate::memory::MemoryBudget;
use crate::output::{self, DriverFiles, Outputs};
use crate::plugin::{Cancel, Failure, Limits, LoadError, Plugin, PluginLoader, Runtime};
use crate::receiver::{self, Receivers};
use crate::scheduler::{GeneratorParts, GeneratorSettings, JobGenerator, JobScheduler, SchedulerParts, StopRequest};
use crate::time::Duration;
use crate::tracker::ReceiverTracker;
use std::sync::{Arc, Weak};
use tokio::sync::{mpsc, oneshot, watch};

/// How many batches may wait for the scheduler before the batch clock waits too.
const QUEUED_BATCHES_MAX: usize = 1000;
/// How many stored blocks may wait for the tracker before receivers wait.
const REPORTED_BLOCKS_MAX: usize = 64;

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
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { stop_after: None, stop_when_idle: false, listeners: ListenerBus::default(), faults: Arc::new(NoFaults) }
    }
}

/// A job that was checked and can be started, once.
pub struct StreamingContext {
    env: Env,
    settings: Settings,
    plugin: Arc<Plugin>,
    graph: Arc<Graph>,
    intervals: Arc<Intervals>,
    budget: MemoryBudget,
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
        let subject = settings.job.plugin.display().to_string();
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

/// A job that runs.
pub struct Running {
    stop: Arc<watch::Sender<StopRequest>>,
    cancel: Cancel,
    ended: oneshot::Receiver<Result<(), Error>>,
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
                return LoadError::TooLarge { limit }.into_error(&path.display().to_string());
            }
            Error::new(ErrorKind::User, format!("cannot read plugin {}: {error}", path.display())).help(
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
        let runtime = Runtime::start(limits, instances).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("cannot start the WebAssembly engine: {error:#}"))
        })?;
        let subject = settings.job.plugin.display().to_string();
        let plugin = loader.load(Arc::new(runtime), bytes).map_err(|error| error.into_error(&subject))?;
        Ok(Arc::new(plugin))
    }

    /// A job of a plugin that was asked before. The sources of type `custom` are served by `receivers`.
    ///
    /// # Errors
    /// When the plugin's graph does not fit the job file, or the job file does not fit the machine.
    pub fn with_program(env: Env, settings: Settings, program: Program, receivers: &Receivers) -> Result<Self, Error> {
        let Program { plugin, graph, .. } = program;
        let subject = settings.job.plugin.display().to_string();
        let instance_bytes = settings.limits.memory_bytes.saturating_mul(u64::from(settings.engine.threads) + 1);
        let budget = MemoryBudget::new(settings.engine.memory_bytes, instance_bytes).map_err(|error| {
            Error::new(ErrorKind::User, format!("engine.memory is too small for its plugin instances: {error}"))
                .help("raise engine.memory, or lower limits.memory or engine.threads")
        })?;
        let intervals = Intervals::of(&graph, settings.job.batch_interval);
        let intervals = intervals.map_err(|errors| graph_error(&subject, &errors))?;
        check_sources(&graph, &settings)?;
        let outputs = Outputs::open(&env, &settings.job.name, &graph, &grants(&settings))?;
        let sources = Sources::open(&env, &graph, &settings, receivers)?;
        Ok(Self {
            env,
            settings,
            plugin,
            graph: Arc::new(graph),
            intervals: Arc::new(intervals),
            budget,
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

    /// Starts receiving and processing. Nothing can be added any more.
    ///
    /// # Errors
    /// When the engine cannot be set up.
    pub fn start(self, options: RunOptions) -> Result<Running, Error> {
        let Self { env, settings, plugin, graph, intervals, budget, outputs, sources } = self;
        let cancel = plugin.cancel();
        let stages = Arc::new(StageGraph::cut_ahead(&graph, settings.job.parallelism));
        let spill = SpillSettings {
            directory: settings.engine.spill_directory.clone(),
            limit_bytes: settings.engine.spill_limit_bytes,
            compressed: settings.engine.compress,
        };
        let storage = Storage::new(&budget, env.disk.clone(), spill);
        let store = BlockStore::new(storage.clone(), settings.receiver.store_limit_bytes);
        let (reports, reported) = mpsc::channel(REPORTED_BLOCKS_MAX);
        let engine = EmbeddedEngine::new(EngineParts {
            env: env.clone(),
            job: settings.job.name.clone(),
            arguments: arguments(&settings),
            intervals: intervals.clone(),
            parallelism: settings.job.parallelism,
            plugin: plugin.clone(),
            blocks: store.clone(),
            storage,
            budget,
            slots: settings.engine.threads as usize,
            tries: settings.engine.task_retries,
            faults: options.faults,
            listeners: options.listeners.clone(),
        })?;
        let listeners = options.listeners;
        listeners.post(&Event::StreamingStarted {
            job: settings.job.name.clone(),
            time: env.clock.now(),
            batch_interval: settings.job.batch_interval,
        });
        let start = |source: ReceiverSource| {
            let ReceiverSource { settings, make, options } = source;
            receiver::start(&env, settings, make, options, store.clone(), reports.clone(), listeners.clone())
        };
        let receivers = sources.receivers.into_iter().map(start).collect();
        let tracker =
            ReceiverTracker::start(&env, store.clone(), sources.inputs, receivers, reported, listeners.clone());
        let (stop, stopping) = watch::channel(StopRequest::None);
        let stop = Arc::new(stop);
        let (batches, queued) = mpsc::channel(QUEUED_BATCHES_MAX);
        let generator_settings = GeneratorSettings {
            interval: settings.job.batch_interval,
            stop_after: options.stop_after,
            stop_when_idle: options.stop_when_idle,
        };
        let generator_parts = GeneratorParts {
            env: env.clone(),
            tracker: tracker.clone(),
            graph: graph.clone(),
            listeners: listeners.clone(),
        };
        let generator = JobGenerator::new(generator_parts, generator_settings, batches, stopping.clone());
        let engine: Arc<dyn Engine> = Arc::new(engine);
        let plan = Arc::new(JobPlan { graph, stages, calls: Arc::default(), loaded: Arc::default() });
        let drivers = drivers(&env, &engine, plugin, &settings, &plan, &intervals);
        let parts = SchedulerParts {
            env: env.clone(),
            engine,
            tracker: tracker.clone(),
            plan,
            drivers,
            intervals,
            outputs,
            listeners: listeners.clone(),
            on_error: settings.job.on_error,
            batch_interval: settings.job.batch_interval,
        };
        let overdue = overdue(stopping.clone(), env.clock.clone(), settings.job.stop_timeout);
        let stop_now = StopNow { stop: Arc::downgrade(&stop), cancel: cancel.clone() };
        let scheduler = JobScheduler::new(parts, stopping);
        let (end, ended) = oneshot::channel();
        let (clock, control) = (env.clock.clone(), env.control.clone());
        control.spawn("job generator", Box::pin(generator.run()));
        control.spawn(
            "job scheduler",
            Box::pin(async move {
                let outcome = run_in_time(scheduler.run(queued), overdue, stop_now).await;
                store.close();
                tracker.stop_receivers_now().await;
                let error = outcome.as_ref().err().map(|error| error.message.clone());
                listeners.post(&Event::StreamingStopped { time: clock.now(), error });
                listeners.drain().await;
                // Nobody awaits the end: the program is going away.
                let _ = end.send(outcome);
            }),
        );
        Ok(Running { stop, cancel, ended })
    }
}

impl Running {
    /// Asks the run to stop. A graceful stop processes what was received; a second request, or [`StopRequest::Now`],
    /// stops at once.
    pub fn stop(&self, request: StopRequest) {
        let again = *self.stop.borrow() == StopRequest::Graceful;
        let request = if again { StopRequest::Now } else { request };
        if request == StopRequest::Now {
            self.cancel.cancel();
        }
        self.stop.send_if_modified(|stop| {
            let stronger = request > *stop;
            *stop = request.max(*stop);
            stronger
        });
    }

    /// Waits until the run ends, by a stop or by an error.
    ///
    /// # Errors
    /// What ended it.
    pub async fn await_termination(&mut self) -> Result<(), Error> {
        (&mut self.ended).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Internal, "the job scheduler ended without a word").help("please report this"))
        })
    }
}

/// Makes a run stop at once. Does not keep it alive.
struct StopNow {
    stop: Weak<watch::Sender<StopRequest>>,
    cancel: Cancel,
}

/// Resolves with the error of a run that was asked to stop gracefully and has not within `timeout`.
async fn overdue(mut stop: watch::Receiver<StopRequest>, clock: Arc<dyn Clock>, timeout: Duration) -> Error {
    if stop.wait_for(|stop| *stop != StopRequest::None).await.is_err() {
        // Nobody can ask any more.
        std::future::pending::<()>().await;
    }
    clock.sleep_until(clock.now() + timeout).await;
    let seconds = timeout.as_secs_f64();
    let message = format!(
        "the graceful stop took longer than job.stop_timeout = {seconds} s: what was not processed yet is lost"
    );
    Error::new(ErrorKind::Unavailable, message).help("raise job.stop_timeout, or make batches cheaper")
}

/// Runs the scheduler to its end, which comes at once when it is `overdue`.
async fn run_in_time(
    run: impl Future<Output = Result<(), Error>>,
    overdue: impl Future<Output = Error>,
    stop_now: StopNow,
) -> Result<(), Error> {
    tokio::pin!(run);
    let error = tokio::select! {
        biased;
        outcome = &mut run => return outcome,
        error = overdue => error,
    };
    stop_now.cancel.cancel();
    if let Some(stop) = stop_now.stop.upgrade() {
        stop.send_replace(StopRequest::Now);
    }
    // What it was doing was interrupted, and its error would say no more than that.
    let _ = run.await;
    Err(error)
}

/// What runs driver functions, if the graph has any.
fn drivers(
    env: &Env,
    engine: &Arc<dyn Engine>,
    plugin: Arc<Plugin>,
    settings: &Settings,
    plan: &Arc<JobPlan>,
    intervals: &Arc<Intervals>,
) -> Option<Arc<Drivers>> {
    let has_functions = plan.graph.nodes().iter().any(|node| node.operation.is_driver());
    let drivers = Drivers {
        env: env.clone(),
        engine: engine.clone(),
        plugin,
        job: settings.job.name.clone(),
        arguments: arguments(settings).into(),
        plan: plan.clone(),
        files: DriverFiles::new(env.disk.clone(), &settings.job.name, grants(settings)),
        intervals: intervals.clone(),
        default_partitions: settings.job.parallelism,
    };
    has_functions.then(|| Arc::new(drivers))
}

fn arguments(settings: &Settings) -> Vec<(String, String)> {
    settings.job.args.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What the job lets its plugin write to.
fn grants(settings: &Settings) -> Grants {
    Grants::new(settings.job.directory.clone(), settings.job.directories.clone())
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
