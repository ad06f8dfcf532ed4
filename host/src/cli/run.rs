//! `host run`: runs a job until the job ends or is stopped.

use super::error_stream::ErrorStream;
use super::job::{JobArgs, prepare};
use super::json_lines::{JsonConsole, JsonLines};
use super::log_form::LogArg;
use super::page::{Monitoring, Queued};
use super::progress::Progress;
use super::reports::{manager, tell};
use super::service::Service;
use super::status_line::{ConsoleAbove, StatusLine, is_shown_to_a_person};
use super::stopper::{STOPPED_AT_ONCE, Stopper};
use super::supervise::{SuperviseArgs, supervise};
use super::{recovery, words};
use crate::config::{LiveSettings, Settings};
use crate::context::{CatchUpMode, RunOptions, Running, StartFrom, StreamingContext};
use crate::control::Control;
use crate::env::{EarlySignals, Env, NotifySocket, end_with_supervisor, watchdog_interval};
use crate::error::{Error, ErrorKind};
use crate::ingest::StopRequest;
use crate::listener::{
    EventLog, EventQueue, ListenerBus, LogListener, QUEUED_EVENTS_MAX, QueuedListener, StatusListener,
    StreamingListener,
};
use crate::plugin::PluginLoader;
use crate::receiver::Receivers;
use crate::shown::Shown as _;
use crate::time::Duration;
use crate::ui::{ANY_PORT, JobParts};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::watch;

/// The arguments of `host run`.
#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    job: JobArgs,
    /// Stop gracefully after this many batches.
    #[arg(long, value_name = "BATCHES", value_parser = parse_count)]
    stop_after: Option<u64>,
    /// Stop gracefully when no source can bring more data, as when all queues are used up.
    #[arg(long)]
    stop_when_idle: bool,
    /// Go on from a checkpoint, or fail if there is none.
    #[arg(long, conflicts_with = "fresh")]
    from_checkpoint: bool,
    /// Start a new run in the checkpoint directory: it goes on with the next batch, with empty windows and without
    /// state. The old run's directory stays.
    #[arg(long)]
    fresh: bool,
    /// What happens to the batches whose times passed while the job did not run, instead of `job.max_catch_up`.
    #[arg(long, value_name = "WHICH")]
    catch_up: Option<CatchUpArg>,
    /// Only show which batches a start of the job would run again, and which missed batches it would make. Nothing is
    /// written.
    #[arg(long, conflicts_with_all = ["stop_after", "stop_when_idle", "events"])]
    dry_run_recovery: bool,
    /// Write each event to this file, as one JSON object a line. An existing file is replaced. docs/events.md describes
    /// the events.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Print JSON, one object a line: the rows of each `print`, the batches that are done, the start and the end. Tell
    /// an error as one JSON object, in the last line of standard error.
    #[arg(long)]
    pub json: bool,
    /// The form of the log, on standard error. With `json`, errors are one JSON object in the last line too.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub log: LogArg,
    /// Serve the page of the job at `ui.address`, or at a free port of this machine if the job file has no `ui.address`.
    /// The log says where. docs/web.md describes the page.
    #[arg(long)]
    ui: bool,
    /// Log only warnings and errors, and show no progress on a terminal.
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    supervision: SuperviseArgs,
}

/// Which missed batches are made.
#[derive(Clone, Copy, ValueEnum)]
enum CatchUpArg {
    /// All of them.
    All,
    /// None: they are left out, and the job records this.
    None,
}

impl RunArgs {
    fn start_from(&self) -> StartFrom {
        match (self.from_checkpoint, self.fresh) {
            (true, _) => StartFrom::Checkpoint,
            (_, true) => StartFrom::Fresh,
            _ => StartFrom::Either,
        }
    }

    fn catch_up(&self) -> CatchUpMode {
        match self.catch_up {
            None => CatchUpMode::Limited,
            Some(CatchUpArg::All) => CatchUpMode::All,
            Some(CatchUpArg::None) => CatchUpMode::None,
        }
    }

    /// The first given option that needs a checkpoint directory; `None` if there is no such option.
    fn needs_checkpoint(&self) -> Option<&'static str> {
        let given = [
            (self.from_checkpoint, "--from-checkpoint"),
            (self.fresh, "--fresh"),
            (self.catch_up.is_some(), "--catch-up"),
            (self.dry_run_recovery, "--dry-run-recovery"),
        ];
        given.into_iter().find_map(|(is_given, option)| is_given.then_some(option))
    }
}

fn parse_count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "it is not a whole number".to_owned())
}

/// Runs the job. If a person can see the line `line`, `stream` shows the progress of the job there.
pub fn run(args: &RunArgs, line: &StatusLine, stream: &ErrorStream, receivers: &Receivers) -> Result<ExitCode, Error> {
    if args.supervision.supervise {
        return supervise(&args.supervision);
    }
    let early_signals = EarlySignals::start().map_err(|error| no_signals(&error))?;
    args.supervision.parent().map_or(Ok(()), follow)?;
    let (executors, mut env, mut settings) = prepare(&args.job)?;
    if args.ui {
        settings.ui.address.get_or_insert(ANY_PORT);
    }
    if let (Some(option), None) = (args.needs_checkpoint(), &settings.job.checkpoint) {
        let message = format!("{option} needs a checkpoint directory, and job {} has none", settings.job.name);
        return Err(Error::new(ErrorKind::User, message).help("set job.checkpoint in the job file"));
    }
    if args.dry_run_recovery {
        let context = context(args, env, settings, receivers)?;
        let found = context.recovery(args.start_from(), args.catch_up())?;
        let code = recovery::tell(&found, args.json)?;
        executors.shutdown();
        return Ok(code);
    }
    env.console = Arc::new(ConsoleAbove { line: line.clone(), console: env.console });
    if args.json {
        env.console = Arc::new(JsonConsole(env.console));
    }
    let shows_progress = is_shown_to_a_person() && !args.json && !args.quiet && args.log == LogArg::Text;
    let progress = shows_progress.then(Arc::<Progress>::default);
    let outcome: Result<_, Error> = executors.block_on(async {
        let job = settings.job.clone();
        let context = context(args, env.clone(), settings.clone(), receivers)?;
        // The events file may be a pipe that nobody reads yet.
        let status = Arc::new(StatusListener::new(env.clock.clone(), &job.name, Some(std::process::id())));
        let service = service(args, &env, settings.job.batch_interval);
        let (mut monitoring, queued) = Monitoring::start(&env, &settings)?;
        let listeners = listeners(args, &env, (progress.clone(), status.clone(), service.clone()), queued)?;
        let (live, json) = (Arc::new(LiveSettings::new(&settings)), args.json || args.log == LogArg::Json);
        // Before this point a signal ends the program at once, as nothing was received yet.
        let (stopper, stops) =
            Stopper::start(&env, (&settings, live.clone()), status.clone(), move |error| words(error, json))
                .map_err(|error| no_signals(&error))?;
        early_signals.end();
        let facts = (&settings, status.clone(), context.explanation());
        monitoring.open(&env, facts, &stopper, &listeners).await?;
        let options = RunOptions {
            stop_after: args.stop_after,
            stop_when_idle: args.stop_when_idle,
            listeners,
            start_from: args.start_from(),
            catch_up: args.catch_up(),
            live: Some(live),
            ..RunOptions::default()
        };
        let running = context.start(options)?;
        service.iter().for_each(|service| service.running());
        if args.supervision.supervised_by.is_some() && job.checkpoint.is_none() {
            tracing::warn!("the job has no job.checkpoint: after a failure it begins anew, without what was received");
        }
        let upgrades = Arc::new(running.upgrades(PluginLoader::of_this_program()));
        let states = running.states().clone();
        monitoring.attach(JobParts {
            states: states.clone(),
            upgrades: upgrades.clone(),
            memory: running.memory().clone(),
        });
        let mut control = Control::start(&env, (&job.directory, &job.name), status, states, upgrades).await;
        let ended = wait(running, stops, &mut control, (&stopper, service.as_deref()));
        let outcome = match progress {
            None => ended.await,
            Some(progress) => {
                tokio::select! {
                    biased;
                    outcome = ended => outcome,
                    never = progress.show(env.clock.clone(), |text| stream.set_line(Some(text))) => never,
                }
            }
        };
        monitoring.finish().await;
        let farewell = control.finish(not_graceful(&outcome)).await;
        Ok((outcome, farewell))
    });
    stream.set_line(None);
    executors.shutdown();
    let (outcome, farewell) = outcome?;
    // Clients that wait for the end see it when this process has ended and its connections are closed.
    std::mem::forget(farewell);
    outcome
}

/// The job, with the plugin of the run that goes on. A new run has the plugin that the job file names.
fn context(args: &RunArgs, env: Env, settings: Settings, receivers: &Receivers) -> Result<StreamingContext, Error> {
    if args.fresh {
        return StreamingContext::of_job_file(env, settings, receivers);
    }
    StreamingContext::new(env, settings, receivers)
}

/// Why a run has not ended gracefully, for clients that wait for its end. `None` if the run has ended gracefully.
fn not_graceful(outcome: &Result<ExitCode, Error>) -> Option<String> {
    match outcome {
        Ok(code) if *code == ExitCode::SUCCESS => None,
        Ok(_) => Some("it was stopped at once, and what was received is not processed".to_owned()),
        Err(error) => Some(error.message.clone()),
    }
}

/// Waits until the run ends. Stops the run when a signal or a client requests it.
async fn wait(
    mut running: Running,
    mut stops: watch::Receiver<StopRequest>,
    control: &mut Control,
    (stopper, service): (&Stopper, Option<&Service>),
) -> Result<ExitCode, Error> {
    loop {
        tokio::select! {
            biased;
            outcome = running.await_termination() => {
                return if stopper.is_at_once() {
                    Ok(ExitCode::from(STOPPED_AT_ONCE))
                } else {
                    outcome.map(|()| ExitCode::SUCCESS)
                };
            }
            // The sender lives as long as the thread that hears signals.
            Ok(()) = stops.changed() => {
                service.into_iter().for_each(Service::stopping);
                running.stop(*stops.borrow_and_update());
            }
            request = control.stop_requested() => stopper.request("`host stop`", request),
        }
    }
}

fn no_signals(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot listen to signals: {error}"))
}

/// Ends this process as soon as its supervisor, the process with this number, ends.
fn follow(supervisor: u32) -> Result<(), Error> {
    let problem = match end_with_supervisor(supervisor) {
        Ok(true) => return Ok(()),
        Ok(false) => "it has ended".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Error::new(ErrorKind::Unavailable, format!("cannot follow the supervisor, process {supervisor}: {problem}"))
        .help("start the job with `host run --supervise`"))
}

/// What tells the service manager or the supervisor of the job. `None` if there is neither.
fn service(args: &RunArgs, env: &Env, batch_interval: Duration) -> Option<Arc<Service>> {
    let manager = manager(match args.supervision.parent() {
        Some(_) => NotifySocket::of_supervisor().map(Some),
        None => NotifySocket::of_environment(),
    })?;
    let send = move |message: &str| tell(Some(&manager), message);
    let service = Service::new(send, env.clock.clone(), watchdog_interval(), batch_interval);
    env.control.spawn("service", Box::pin(service.clone().report()));
    Some(service)
}

/// The listeners of the run. A listener that may have to wait for a disk or a pipe gets a queue.
fn listeners(
    args: &RunArgs,
    env: &Env,
    (progress, status, service): (Option<Arc<Progress>>, Arc<StatusListener>, Option<Arc<Service>>),
    queued: Vec<Queued>,
) -> Result<ListenerBus, Error> {
    let queue = |name, listener: Box<dyn QueuedListener>| EventQueue::start(env, name, QUEUED_EVENTS_MAX, listener);
    let mut queues = Vec::new();
    if let Some(path) = &args.events {
        let log = EventLog::create(&*env.disk, path).map_err(|error| cannot_create(path, &error))?;
        queues.push(queue("the events file", Box::new(log)));
    }
    if args.json {
        queues.push(queue("standard output", Box::new(JsonLines::new(env.console.clone()))));
    }
    queues.extend(queued.into_iter().map(|(name, listener)| queue(name, listener)));
    queues.push(queue("the log", Box::<LogListener>::default()));
    let progress = progress.map(|progress| progress as Arc<dyn StreamingListener>);
    let service = service.map(|service| service as Arc<dyn StreamingListener>);
    let direct = progress.into_iter().chain([status as Arc<dyn StreamingListener>]).chain(service);
    Ok(ListenerBus::new(direct.collect()).with_queues(queues))
}

fn cannot_create(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::User, format!("cannot write the events file {}: {error}", path.shown()))
        .help("give --events a file in a directory that is there and that you may write to")
}
