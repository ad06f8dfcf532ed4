//! A simulated world: one thread, one seed, and time that passes only when no future can run.
//!
//! Owns a small executor that picks the next ready future by the seed, virtual time, connections, files in memory, and a
//! log of everything that was printed and noted. Two runs with the same seed give the same log. The host
//! cannot distinguish this world from the real one.

#[cfg(test)]
mod tests;

use super::memory_disk::MemoryDisk;
use super::panics::{Panics, recorded};
use super::simulated_kafka::SimulatedKafka;
use super::simulated_local::Pipes;
use super::simulated_network::{Connection, SimulatedNetwork};
use super::simulated_producers::{SimulatedProducers, WrittenMessage};
use super::simulated_streams::SimulatedStreams;
use super::virtual_clock::VirtualClock;
use super::{Clock as _, Console, Env, Executor, Priority, TopicPartition};
use crate::lock::lock;
use crate::time::Time;
use futures::future::BoxFuture;
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

/// Why the main future of a simulation did not run to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulationError {
    /// All futures wait, and no timer is set.
    #[error("the simulation of seed {seed} is stuck at {at}: {waiting} futures wait for each other")]
    Stuck {
        /// The seed of the world.
        seed: u64,
        /// The time in the simulation.
        at: Time,
        /// The number of waiting futures.
        waiting: usize,
    },
    /// The machine stopped at the write that the test asked for.
    #[error("the machine of seed {seed} stopped at {at}, after {writes} writes")]
    Halted {
        /// The seed of the world.
        seed: u64,
        /// The time in the simulation.
        at: Time,
        /// How many operations on files had changed something.
        writes: u64,
    },
}

/// A simulated world: first it is set up, then it runs.
pub struct Simulation {
    seed: u64,
    world: Arc<World>,
}

struct World {
    clock: VirtualClock,
    spawned: Mutex<Vec<BoxFuture<'static, ()>>>,
    runs: Mutex<u64>,
    network: SimulatedNetwork,
    streams: SimulatedStreams,
    kafka: SimulatedKafka,
    producers: SimulatedProducers,
    files: MemoryDisk,
    pipes: Pipes,
    panics: Panics,
    log: Mutex<Vec<String>>,
    printed: Mutex<String>,
}

impl Simulation {
    /// Makes a world that begins at `start`. All its choices follow from `seed`.
    pub fn new(seed: u64, start: Time) -> Self {
        let clock = VirtualClock::new(start);
        let files = MemoryDisk::new(clock.clone());
        let world = World {
            pipes: Pipes::new(files.clone()),
            network: SimulatedNetwork::new(clock.clone(), files.clone()),
            streams: SimulatedStreams::new(clock.clone(), files.clone()),
            kafka: SimulatedKafka::new(clock.clone(), files.clone()),
            producers: SimulatedProducers::new(clock.clone(), files.clone()),
            clock,
            spawned: Mutex::default(),
            runs: Mutex::default(),
            files,
            panics: Panics::default(),
            log: Mutex::default(),
            printed: Mutex::default(),
        };
        Self { seed, world: Arc::new(world) }
    }

    /// Adds a server that serves these connections, one after the other, and refuses further connections.
    pub fn server(&self, address: &str, connections: Vec<Connection>) {
        self.world.network.serve(address, connections);
    }

    /// Adds a message that appears in a stream at a time. The messages of a stream are added in the order of their times.
    pub fn message(&self, appears: Time, stream: &str, subject: &str, payload: impl Into<Vec<u8>>) {
        self.world.streams.add(appears, stream, subject, payload.into());
    }

    /// During a span of time, the server of all streams of messages is away. Its connections end when the span begins.
    pub fn streams_away(&self, from: Time, until: Time) {
        self.world.streams.away(from, until);
    }

    /// Of all that the server of streams is told of messages, each of this number is lost.
    pub fn verdicts_lost(&self, every: u64) {
        self.world.streams.lose(every);
    }

    /// Somebody removes the consumers of all streams of messages at a time.
    pub fn remove_consumers(&self, at: Time) {
        self.world.streams.remove_consumers(at);
    }

    /// Makes a topic of Kafka, or gives it more partitions.
    pub fn kafka_topic(&self, topic: &str, partitions: usize) {
        self.world.kafka.topic(topic, partitions);
    }

    /// Adds a record that appears in a partition at a time. The records of a partition are added in the order of their
    /// times, and numbered in this order.
    pub fn kafka_record(&self, appears: Time, of: &TopicPartition, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.world.kafka.add(appears, of, key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec));
    }

    /// Adds the marker of a transaction to a partition: it takes an offset, and is no record.
    pub fn kafka_marker(&self, appears: Time, of: &TopicPartition) {
        self.world.kafka.add_marker(appears, of);
    }

    /// During a span of time, no broker of Kafka answers.
    pub fn kafka_away(&self, from: Time, until: Time) {
        self.world.kafka.away(from, until);
    }

    /// At a time, the records of a partition before an offset are removed.
    pub fn kafka_removes(&self, at: Time, of: &TopicPartition, before: i64) {
        self.world.kafka.remove_before(at, of, before);
    }

    /// The offset that a group has committed for a partition. `None` if there is none.
    pub fn kafka_committed(&self, group: &str, of: &TopicPartition) -> Option<i64> {
        self.world.kafka.committed_by(group, of)
    }

    /// The messages that were written to each topic, as readers of committed messages see them.
    pub fn topics(&self) -> BTreeMap<String, Vec<WrittenMessage>> {
        self.world.producers.topics()
    }

    /// During a span of time, nobody can write to topics.
    pub fn topics_away(&self, from: Time, until: Time) {
        self.world.producers.away(from, until);
    }

    /// Of the writes to topics, each of this number fails: by turns before the messages are stored, and after.
    pub fn writes_to_topics_fail(&self, every: u64) {
        self.world.producers.fail(every);
    }

    /// Adds a file that exists from now on.
    pub fn file(&self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) {
        self.file_at(Time::default(), Time::default(), path, bytes);
    }

    /// Adds a synced file that appears at the time `appears` and has the modification time `modified`.
    pub fn file_at(&self, appears: Time, modified: Time, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) {
        self.world.files.add(appears, modified, path.into(), bytes.into());
    }

    /// The files that exist now, with their content.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.world.files.all()
    }

    /// From now on, files can grow by `bytes` in all. Then the disk is full.
    pub fn disk_space(&self, bytes: u64) {
        self.world.files.space(bytes);
    }

    /// From now on, nothing can be created or removed in a directory.
    pub fn read_only(&self, directory: impl Into<PathBuf>) {
        self.world.files.read_only(directory.into());
    }

    /// During a span of time, all operations on files below a path fail with this kind of error. If the sync of a file
    /// fails, the file may lose bytes in a crash until it is created again, even if it is synced successfully later.
    pub fn disk_unreachable(&self, from: Time, until: Time, below: impl Into<PathBuf>, kind: io::ErrorKind) {
        self.world.files.unreachable(from, until, below.into(), kind);
    }

    /// Of the operations on files below directories of this name, the one with this number, from 1, fails. All others
    /// succeed.
    pub fn disk_fails_once(&self, directory: &'static str, number: u64) {
        self.world.files.fails_once(directory, number);
    }

    /// How many operations there were on files below the directories of [`disk_fails_once`](Self::disk_fails_once).
    pub fn disk_operations(&self) -> u64 {
        self.world.files.operations_seen()
    }

    /// Sets the wall clock to another time. The times of all parts of the script, this one included, are those of a
    /// clock that is never set.
    pub fn clock_jump(&self, at: Time, to: Time) {
        self.world.clock.jump(at, to);
    }

    /// How many operations on files have changed or synced something. Operations on scratch files do not count. If
    /// several directories are created or removed, each counts, and so does each file in a removed directory.
    pub fn writes(&self) -> u64 {
        self.world.files.writes()
    }

    /// Stops the machine before the operation with the number `write`, counted as [`Simulation::writes`] counts from
    /// the start of the world. The operation is not done, and [`Simulation::run`] ends. The running future continues
    /// until it waits and may notice that all operations fail, but nothing that it does is visible.
    pub fn halt_at_write(&self, write: u64) {
        self.world.files.halt_at_write(write);
    }

    /// Kills the host, after [`Simulation::run`]. Everything that was written stays, and the host's locks are released.
    /// Another host can run afterwards.
    pub fn kill(&self) {
        self.world.panics.forget();
        self.world.files.kill();
    }

    /// Cuts the power, after [`Simulation::run`]. The seed decides which changes survive that were not synced. Of the
    /// changes of names, some of the first survive. Of each file, any pieces of the written bytes survive, with zeros
    /// in place of the missing pieces. Another host can run afterwards.
    pub fn crash(&self, seed: u64) {
        self.world.panics.forget();
        self.world.files.crash(seed);
    }

    /// The traits of this world, for a host.
    pub fn env(&self) -> Env {
        Env {
            clock: Arc::new(self.world.clock.clone()),
            disk: Arc::new(self.world.files.clone()),
            network: Arc::new(self.world.network.clone()),
            local: Arc::new(self.world.pipes.clone()),
            console: self.world.clone(),
            control: self.world.clone(),
            engine: self.world.clone(),
            low_engine: self.world.clone(),
            identity: "a process of the simulation".into(),
            processes: Arc::new(self.world.files.clone()),
            objects: Arc::new(self.world.files.clone()),
            message_streams: Arc::new(self.world.streams.clone()),
            kafka: Arc::new(self.world.kafka.clone()),
            message_producers: Arc::new(self.world.producers.clone()),
            background: self.world.clone(),
            low_priority: self.world.clone(),
            priority: Priority::default(),
            panics: self.world.panics.clone(),
        }
    }

    /// Returns a function that adds a line to the log, with the time.
    pub fn note(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let world = self.world.clone();
        move |line| world.note(line)
    }

    /// Everything that was printed so far.
    pub fn printed(&self) -> String {
        lock(&self.world.printed).clone()
    }

    /// Everything that was printed and noted so far, line by line, with the time of each line.
    pub fn log(&self) -> Vec<String> {
        lock(&self.world.log).clone()
    }

    /// Runs `main` and all futures that it spawns until `main` is done. Other futures are dropped then. Another main
    /// future can run afterwards; time and files continue from where they were.
    ///
    /// # Errors
    /// If all futures wait and no timer is set, or if the machine stops.
    pub fn run<T: Send + 'static>(&self, main: impl Future<Output = T> + Send + 'static) -> Result<T, SimulationError> {
        let result = Arc::new(Mutex::new(None));
        let slot = result.clone();
        lock(&self.world.spawned).push(Box::pin(async move { *lock(&slot) = Some(main.await) }));
        let mut tasks = Vec::new();
        let outcome = self.poll(&mut tasks, &result);
        drop(tasks);
        // A dropped future may spawn another future.
        loop {
            let spawned = std::mem::take(&mut *lock(&self.world.spawned));
            if spawned.is_empty() {
                return outcome;
            }
        }
    }

    fn poll<T>(&self, tasks: &mut Vec<Option<Spawned>>, result: &Mutex<Option<T>>) -> Result<T, SimulationError> {
        let seed = self.seed;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Each run has an order of its own.
        let run = {
            let mut runs = lock(&self.world.runs);
            *runs += 1;
            *runs - 1
        };
        rng.set_stream(run);
        let ready = Arc::new(Mutex::new(Vec::new()));
        loop {
            if self.world.files.is_halted() {
                return Err(SimulationError::Halted { seed, at: self.world.clock.now(), writes: self.writes() });
            }
            if let Some(result) = lock(result).take() {
                return Ok(result);
            }
            for future in lock(&self.world.spawned).drain(..) {
                let task = Arc::new(Task { id: tasks.len(), ready: ready.clone() });
                lock(&ready).push(task.id);
                tasks.push(Some((task, future)));
            }
            let next = {
                let mut ready = lock(&ready);
                if ready.is_empty() { None } else { Some(rng.random_range(0..ready.len())) }.map(|at| ready.remove(at))
            };
            let Some(id) = next else {
                if !self.world.clock.pass() {
                    let waiting = tasks.iter().flatten().count();
                    return Err(SimulationError::Stuck { seed, at: self.world.clock.now(), waiting });
                }
                continue;
            };
            let Some(Some((task, future))) = tasks.get_mut(id) else { continue };
            let waker = Waker::from(task.clone());
            if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                tasks[id] = None;
            }
        }
    }
}

type Spawned = (Arc<Task>, BoxFuture<'static, ()>);

/// A spawned future, which says when it can continue.
struct Task {
    id: usize,
    ready: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let mut ready = lock(&self.ready);
        if !ready.contains(&self.id) {
            ready.push(self.id);
        }
    }
}

impl World {
    fn note(&self, line: &str) {
        // Nothing that a stopped machine does is visible.
        if self.files.is_halted() {
            return;
        }
        let now_ms = self.clock.now().as_ms();
        lock(&self.log).push(format!("{now_ms} ms {line}"));
    }
}

impl Executor for World {
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        lock(&self.spawned).push(recorded(self.panics.clone(), name, future));
    }
}

impl Console for World {
    fn write(&self, text: &str) -> io::Result<()> {
        if self.files.is_halted() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        text.lines().for_each(|line| self.note(line));
        lock(&self.printed).push_str(text);
        Ok(())
    }

    fn is_terminal(&self) -> bool {
        false
    }
}
