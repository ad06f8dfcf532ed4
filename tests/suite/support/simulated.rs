//! A whole job in a simulated world, through the real WebAssembly path.

use super::columns;
use super::killer::Killer;
pub use super::outcome::Outcome;
use super::plugins::Lease;
use super::topics;
use host::config::{self, Facts};
use host::context::{CatchUpMode, Program, RunOptions, StartFrom, StreamingContext};
use host::engine::{FaultInjector, NoFaults};
use host::env::{Connection, Disk, Env, Simulation, SimulationError, TopicPartition};
use host::error::{Error, ErrorKind};
use host::ingest::StopRequest;
use host::listener::{Event, ListenerBus, StreamingListener};
use host::receiver::Receivers;
use host::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// When simulated worlds begin.
pub const START: Time = Time::from_ms(1_000_000_000_500);

/// The time between two of `spaced_lines`, as in `examples/run`.
const NEXT_LINE: Duration = Duration::from_millis(50);

/// When the first of `spaced_lines` comes. No later line comes in the instant in which a batch or a block of `BLOCKS` ends.
const FIRST_LINE: Duration = Duration::from_millis(57);

/// A table of a job file with which no block ends in the instant in which a batch ends. The events of one instant may
/// happen in any order.
pub const BLOCKS: &str = "\n[receiver]\nblock_interval = \"170ms\"\n";

/// A connection that brings these lines, each at its own time, and stays open.
pub fn spaced_lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Connection {
    let pauses = std::iter::once(FIRST_LINE).chain(std::iter::repeat(NEXT_LINE));
    let sends = pauses.zip(lines).map(|(pause, line)| (pause, format!("{line}\n").into_bytes())).collect();
    Connection { sends, stays_open: true }
}

/// Starts clients of a job in a simulated world.
pub type Clients = dyn Fn(&Env) + Send + Sync;

/// A job to be run in a simulated world.
#[derive(Clone)]
pub struct Job {
    /// The workspace package of the plugin.
    pub plugin: String,
    /// The job file, without `plugin`.
    pub job_file: String,
    /// Files beside the job file.
    pub files: Vec<(String, String)>,
    /// Files that appear while the job runs: when each appears, its modification time, its path and its content.
    pub appearing: Vec<(Time, Time, String, String)>,
    /// Servers: their addresses and connections.
    pub servers: Vec<(String, Vec<Connection>)>,
    /// The messages of the stream `EVENTS`: when each comes, and its content.
    pub messages: Vec<(Time, String)>,
    /// The time span in which the server of the stream is away.
    pub streams_away: Option<(Time, Time)>,
    /// Of the acknowledgements, each of this number is lost. 0 if none is.
    pub verdicts_lost: u64,
    /// The records of topics of Kafka: when each comes, its partition and its value. `None` is the marker of a transaction.
    pub kafka: Vec<(Time, TopicPartition, Option<String>)>,
    /// The time span in which no broker answers.
    pub kafka_away: Option<(Time, Time)>,
    /// Starts clients that connect to the host, in each life of the host.
    pub clients: Option<Arc<Clients>>,
    /// The seed of all random choices.
    pub seed: u64,
    /// The failures that are injected.
    pub faults: Arc<dyn FaultInjector>,
    /// How many bytes can be written to the disk. `None` for no limit.
    pub disk_space: Option<u64>,
    /// Directories in which nothing can be made.
    pub read_only: Vec<String>,
    /// The number of batches after which the run ends. If it is `None`, the run ends when it is idle.
    pub stop_after: Option<u64>,
    /// The times at which the run is asked to stop gracefully. The run lasts until then, or until `stop_after`.
    pub stop_at: Vec<Time>,
    /// The receivers of sources of type `custom`.
    pub receivers: Receivers,
    /// The listeners that get events, besides the log.
    pub listeners: Vec<Arc<dyn StreamingListener>>,
    /// How the job starts if it has a checkpoint.
    pub start_from: StartFrom,
    /// What happens to missed batches.
    pub catch_up: CatchUpMode,
    /// Changes the job after its first death.
    pub after_first: Option<fn(&mut Job)>,
    /// The time span in which the checkpoint directory cannot be reached or written, and the error of the disk.
    pub unreachable: Option<(Time, Time, io::ErrorKind)>,
    /// Whether a host that ended because of this error is started again.
    pub restarts: bool,
    /// Which operation on a file below [`fails_in`](Self::fails_in) fails, from 1. `None` if none fails.
    pub fails_at: Option<u64>,
    /// The name of the directories whose operations are counted: by default those of snapshots of state.
    pub fails_in: &'static str,
    /// Changes the disk when an event comes.
    pub meddles: Option<fn(&dyn Disk, &Event)>,
    /// The time span in which the directory `in` cannot be listed or read.
    pub source_away: Option<(Time, Time)>,
    /// The time at which the clock is set, and the time to which it is set.
    pub clock_jump: Option<(Time, Time)>,
    /// How long no host runs after a death.
    pub pause: Option<Duration>,
    /// Damages a file of the checkpoint directory after a death.
    pub damage: Option<fn(&str, &mut Vec<u8>)>,
}

impl Job {
    /// A job of `plugin` that reads `queue`, one data set a line, as its source `lines`.
    pub fn on_queue(plugin: &str, queue: &str) -> Self {
        Self {
            plugin: plugin.to_owned(),
            job_file: "[job]\nname = \"golden\"\n\n[sources.lines]\ntype = \"queue\"\npath = \"queue.jsonl\"\n"
                .to_owned(),
            files: vec![("queue.jsonl".to_owned(), queue.to_owned())],
            appearing: Vec::new(),
            servers: Vec::new(),
            messages: Vec::new(),
            streams_away: None,
            verdicts_lost: 0,
            kafka: Vec::new(),
            kafka_away: None,
            clients: None,
            seed: 0,
            faults: Arc::new(NoFaults),
            disk_space: None,
            read_only: Vec::new(),
            stop_after: None,
            stop_at: Vec::new(),
            receivers: Receivers::default(),
            listeners: Vec::new(),
            start_from: StartFrom::default(),
            catch_up: CatchUpMode::default(),
            after_first: None,
            unreachable: None,
            fails_at: None,
            fails_in: "snapshots",
            meddles: None,
            source_away: None,
            restarts: false,
            clock_jump: None,
            pause: None,
            damage: None,
        }
    }

    /// Adds keys to the table `[job]`.
    #[must_use]
    pub fn with_job_keys(mut self, keys: &str) -> Self {
        self.job_file = self.job_file.replacen("[job]\n", &format!("[job]\n{keys}\n"), 1);
        self
    }

    /// Adds tables to the job file.
    #[must_use]
    pub fn with_tables(mut self, tables: &str) -> Self {
        self.job_file.push_str(tables);
        self
    }

    /// Times the operators of each stage whenever the clock has moved on.
    #[must_use]
    pub fn with_samples(self) -> Self {
        self.with_tables("\n[ui]\naddress = \"127.0.0.1:1\"\nsample_interval = \"1ms\"\n")
    }

    /// The same job at another parallelism.
    #[must_use]
    pub fn with_parallelism(mut self, parallelism: u32) -> Self {
        let lines = self.job_file.lines().filter(|line| !line.starts_with("parallelism = "));
        self.job_file = lines.flat_map(|line| [line, "\n"]).collect();
        self.with_job_keys(&format!("parallelism = {parallelism}"))
    }

    /// The same job with another seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same job with failures.
    #[must_use]
    pub fn with_faults(mut self, faults: impl FaultInjector + 'static) -> Self {
        self.faults = Arc::new(faults);
        self
    }

    /// The same job with a checkpoint directory. A job that has one already stays as it is.
    #[must_use]
    pub fn with_checkpoint(self) -> Self {
        if self.job_file.contains(&format!("checkpoint = \"{CHECKPOINT}\"")) {
            return self;
        }
        self.with_job_keys(&format!("checkpoint = \"{CHECKPOINT}\""))
    }

    /// Runs the job.
    pub fn run(&self) -> Outcome {
        self.run_through(&[])
    }

    /// Runs the job, lets it die in these ways, one after the other, and starts it again each time.
    pub fn run_through(&self, deaths: &[Death]) -> Outcome {
        let simulation = Simulation::new(self.seed, START);
        for (name, text) in &self.files {
            simulation.file(Path::new("/jobs").join(name), text.as_str());
        }
        for (appears, modified, name, text) in &self.appearing {
            simulation.file_at(*appears, *modified, Path::new("/jobs").join(name), text.as_str());
        }
        let given = simulation.files();
        self.disk_space.into_iter().for_each(|bytes| simulation.disk_space(bytes));
        self.read_only.iter().for_each(|directory| simulation.read_only(directory));
        for (address, connections) in &self.servers {
            simulation.server(address, connections.clone());
        }
        for (comes, message) in &self.messages {
            simulation.message(*comes, "EVENTS", "events", message.as_str());
        }
        for (comes, of, value) in &self.kafka {
            match value {
                Some(value) => simulation.kafka_record(*comes, of, None, Some(value.as_bytes())),
                None => simulation.kafka_marker(*comes, of),
            }
        }
        self.kafka_away.into_iter().for_each(|(from, until)| simulation.kafka_away(from, until));
        simulation.verdicts_lost(self.verdicts_lost);
        self.streams_away.into_iter().for_each(|(from, until)| simulation.streams_away(from, until));
        if let Some((from, until, kind)) = self.unreachable {
            simulation.disk_unreachable(from, until, Path::new("/jobs").join(CHECKPOINT), kind);
        }
        // The operations are counted in any case.
        simulation.disk_fails_once(self.fails_in, self.fails_at.unwrap_or(u64::MAX));
        if let Some((from, until)) = self.source_away {
            simulation.disk_unreachable(from, until, "/jobs/in", io::ErrorKind::TimedOut);
        }
        if let Some((at, to)) = self.clock_jump {
            simulation.clock_jump(at, to);
        }
        let recorder = Arc::new(Recorder::new(&simulation));
        let mut job = self.clone();
        for death in deaths {
            if let Some(result) = job.live_if_reachable(&simulation, &recorder, Some(death)) {
                return self.outcome(&simulation, &given, &recorder, result);
            }
            self.between_lives(&simulation);
            if let Some(change) = job.after_first.take() {
                change(&mut job);
            }
        }
        let result = job.live_if_reachable(&simulation, &recorder, None).expect("nothing ends the last life");
        self.outcome(&simulation, &given, &recorder, result)
    }

    /// The events between two lives of the host.
    fn between_lives(&self, simulation: &Simulation) {
        if let Some(damage) = self.damage {
            let checkpoint = Path::new("/jobs").join(CHECKPOINT);
            for (path, mut bytes) in simulation.files() {
                if path.starts_with(&checkpoint) {
                    damage(&path.display().to_string(), &mut bytes);
                    simulation.file(path, bytes);
                }
            }
        }
        if let Some(pause) = self.pause {
            let clock = simulation.env().clock;
            simulation.run(async move { clock.sleep_until(clock.now() + pause).await }).expect("time passes");
        }
    }

    /// Runs the host like a supervisor that starts it again if it ends because its checkpoint directory cannot be
    /// reached.
    fn live_if_reachable(
        &self,
        simulation: &Simulation,
        recorder: &Arc<Recorder>,
        death: Option<&Death>,
    ) -> Option<Result<(), Error>> {
        loop {
            match self.live(simulation, recorder, death) {
                Some(Err(Error { kind: ErrorKind::Unavailable, message, .. }))
                    if (self.unreachable.is_some() || self.fails_at.is_some())
                        && self.restarts
                        && message.contains("checkpoint") =>
                {
                    let clock = simulation.env().clock;
                    let pause = async move { clock.sleep_until(clock.now() + Duration::from_secs(1)).await };
                    simulation.run(pause).expect("time passes");
                }
                ended => return ended,
            }
        }
    }

    /// Runs the host until it ends, or until its death. Returns `None` if it dies.
    fn live(
        &self,
        simulation: &Simulation,
        recorder: &Arc<Recorder>,
        death: Option<&Death>,
    ) -> Option<Result<(), Error>> {
        let mut keys = "[job]\nplugin = \"plugin.wasm\"\n".to_owned();
        if !self.job_file.contains("directories = ") {
            keys.push_str("directories = { out = \".\" }\n");
        }
        let job_file = self.job_file.replacen("[job]\n", &keys, 1);
        let settings = config::load(&job_file, Path::new("/jobs/job.toml"), &[], &Facts { cpus: 2 });
        let settings = match settings {
            Ok(settings) => settings,
            Err(errors) => return Some(Err(errors.into())),
        };
        let lease = match Lease::take(&self.plugin, &settings) {
            Ok(lease) => lease,
            Err(error) => return Some(Err(error)),
        };
        let plugin = lease.plugin();
        let mut listeners = self.listeners.clone();
        listeners.push(recorder.clone());
        let (killer, mut killed) = Killer::new(death);
        listeners.push(Arc::new(killer));
        listeners.extend(self.meddles.map(|meddle| Meddler::listener(simulation, meddle)));
        let options = RunOptions {
            stop_after: self.stop_after,
            stop_when_idle: self.stop_after.is_none() && self.stop_at.is_empty(),
            listeners: ListenerBus::new(listeners),
            faults: self.faults.clone(),
            start_from: self.start_from,
            catch_up: self.catch_up,
            live: None,
        };
        let env = simulation.env();
        self.clients.iter().for_each(|clients| clients(&env));
        let (receivers, stop_at) = (self.receivers.clone(), self.stop_at.clone());
        let main = async move {
            let program = Program::describe(&settings, plugin)?;
            let context = StreamingContext::with_program(env.clone(), settings, program, &receivers)?;
            let mut running = context.start(options)?;
            for at in stop_at {
                tokio::select! {
                    biased;
                    outcome = running.await_termination() => return outcome,
                    () = env.clock.sleep_until(at) => running.stop(StopRequest::Graceful),
                }
            }
            running.await_termination().await
        };
        let main = async move {
            tokio::select! {
                biased;
                outcome = main => Some(outcome),
                _ = killed.wait_for(|killed| *killed) => None,
            }
        };
        if let Some(Death::AtWrite { write, .. }) = death {
            simulation.halt_at_write(simulation.writes() + write);
        }
        let result = match simulation.run(main) {
            Ok(result) => result,
            Err(SimulationError::Halted { .. }) => None,
            Err(error) => panic!("{error}; log: {:#?}", simulation.log()),
        };
        match death {
            Some(Death::AtWrite { seed, .. }) => simulation.crash(*seed),
            _ => simulation.kill(),
        }
        match (death, &result) {
            (Some(Death::ByPanic), Some(Err(error))) if error.kind == ErrorKind::Internal => None,
            _ => result,
        }
    }

    fn outcome(
        &self,
        simulation: &Simulation,
        given: &BTreeMap<PathBuf, Vec<u8>>,
        recorder: &Recorder,
        result: Result<(), Error>,
    ) -> Outcome {
        let retries = *recorder.retries.lock().unwrap_or_else(PoisonError::into_inner);
        let spilled_bytes = *recorder.spilled_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let appearing: BTreeSet<PathBuf> =
            self.appearing.iter().map(|(.., name, _)| Path::new("/jobs").join(name)).collect();
        let checkpoint = Path::new("/jobs").join(CHECKPOINT);
        let is_written = |(path, bytes): &(PathBuf, Vec<u8>)| {
            given.get(path) != Some(bytes) && !appearing.contains(path) && !path.starts_with(&checkpoint)
        };
        let bytes = simulation.files().into_iter().filter(is_written).map(|(path, bytes)| {
            let path = path.strip_prefix("/jobs").unwrap_or(&path).display().to_string();
            (path, bytes)
        });
        let bytes: BTreeMap<_, _> = bytes.chain(topics::shown(simulation.topics())).collect();
        let saved = bytes.iter().map(|(path, bytes)| (path.clone(), columns::shown(bytes))).collect();
        let in_checkpoint = |(path, _): &(PathBuf, Vec<u8>)| path.starts_with(&checkpoint);
        let kept = simulation.files().into_iter().filter(in_checkpoint);
        let kept = kept.map(|(path, bytes)| (path.display().to_string(), bytes)).collect();
        let (printed, log) = (simulation.printed(), simulation.log());
        let (writes, counted_operations) = (simulation.writes(), simulation.disk_operations());
        let checkpoint = kept;
        Outcome { printed, saved, bytes, log, result, retries, spilled_bytes, writes, counted_operations, checkpoint }
    }
}

/// The checkpoint directory of jobs that have one, beside the job file.
pub const CHECKPOINT: &str = "checkpoint";

/// How a host ends that was not asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The process ends right after the n-th batch was completed, counted from 1.
    AfterBatch(usize),
    /// The machine ends at the n-th write of this life. The seed decides which unsynced bytes survive.
    AtWrite {
        /// The number of the write.
        write: u64,
        /// The seed of this choice.
        seed: u64,
    },
    /// The run ends because code of the host panics, and then the process ends.
    ByPanic,
}

impl Death {
    /// A machine that ends at a write which depends on the seed, a process that ends after a batch, and a machine again.
    pub fn three(seed: u64) -> [Self; 3] {
        [Self::AtWrite { write: 20 + seed * 13, seed }, Self::AfterBatch(2), Self::AtWrite { write: 90, seed }]
    }
}

/// Changes the disk when an event comes.
struct Meddler {
    disk: Arc<dyn Disk>,
    meddle: fn(&dyn Disk, &Event),
}

impl Meddler {
    fn listener(simulation: &Simulation, meddle: fn(&dyn Disk, &Event)) -> Arc<dyn StreamingListener> {
        Arc::new(Self { disk: simulation.env().disk, meddle })
    }
}

impl StreamingListener for Meddler {
    fn on_event(&self, event: &Event) {
        (self.meddle)(&*self.disk, event);
    }
}

/// Writes events into the log of the simulated world.
struct Recorder {
    note: Box<dyn Fn(&str) + Send + Sync>,
    retries: Mutex<usize>,
    spilled_bytes: Mutex<u64>,
}

impl Recorder {
    fn new(simulation: &Simulation) -> Self {
        Self { note: Box::new(simulation.note()), retries: Mutex::default(), spilled_bytes: Mutex::default() }
    }
}

impl StreamingListener for Recorder {
    fn on_event(&self, event: &Event) {
        (self.note)(&event.to_string());
        match event {
            Event::TaskRetried { .. } => *self.retries.lock().unwrap_or_else(PoisonError::into_inner) += 1,
            Event::DataSpilled { bytes, .. } => {
                *self.spilled_bytes.lock().unwrap_or_else(PoisonError::into_inner) += bytes;
            }
            _ => {}
        }
    }
}
