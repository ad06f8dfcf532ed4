//! A simulated world: one thread, one seed, time that passes only when nobody has anything to do.
//!
//! Owns a small executor that picks the next ready future by the seed, virtual time, scripted connections, files in
//! memory, and a log of everything that was printed and noted. Two runs of a seed give the same log. The host cannot
//! tell it from the real world.

use super::memory_disk::MemoryDisk;
use super::{Clock, Console, Env, Executor, Incoming, Network};
use crate::time::{Duration, Time};
use futures::future::BoxFuture;
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use tokio::io::{AsyncRead, ReadBuf};

/// What a scripted server does with one client.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// What it sends, and how long after the connection (or the send before) it does so.
    pub sends: Vec<(Duration, Vec<u8>)>,
    /// Whether it keeps the connection open after the last send.
    pub stays_open: bool,
}

/// Nothing can ever happen any more, and the main future is not done.
#[derive(Debug, thiserror::Error)]
#[error("the simulation of seed {seed} is stuck at {at}: {waiting} futures wait for each other")]
pub struct SimulationError {
    seed: u64,
    at: Time,
    waiting: usize,
}

/// A world under construction, then a world that ran.
pub struct Simulation {
    seed: u64,
    world: Arc<World>,
}

struct World {
    now: Arc<Mutex<Time>>,
    timers: Mutex<BTreeMap<(Time, u64), Waker>>,
    timer_count: Mutex<u64>,
    spawned: Mutex<Vec<(&'static str, BoxFuture<'static, ()>)>>,
    servers: Mutex<BTreeMap<String, VecDeque<Connection>>>,
    files: Arc<MemoryDisk>,
    log: Mutex<Vec<String>>,
    printed: Mutex<String>,
}

/// No code runs between a panic and the next use of a lock that could leave the data half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Simulation {
    /// A world that begins at `start`, whose every choice follows from `seed`.
    pub fn new(seed: u64, start: Time) -> Self {
        let now = Arc::new(Mutex::new(start));
        let files = Arc::new(MemoryDisk::new(now.clone()));
        let world = World {
            now,
            timers: Mutex::default(),
            timer_count: Mutex::default(),
            spawned: Mutex::default(),
            servers: Mutex::default(),
            files,
            log: Mutex::default(),
            printed: Mutex::default(),
        };
        Self { seed, world: Arc::new(world) }
    }

    /// Adds a server that serves these connections, one after the other, and refuses further ones.
    pub fn server(&self, address: &str, connections: Vec<Connection>) {
        lock(&self.world.servers).insert(address.to_owned(), connections.into());
    }

    /// Adds a file that is there from the start.
    pub fn file(&self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) {
        self.file_at(Time::default(), Time::default(), path, bytes);
    }

    /// Adds a file that appears at a time, with another as its modification time.
    pub fn file_at(&self, appears: Time, modified: Time, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) {
        self.world.files.add(appears, modified, path.into(), bytes.into());
    }

    /// The files that are there now, with what they hold.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.world.files.all()
    }

    /// From now on, files can grow by `bytes` in all before the disk is full.
    pub fn disk_space(&self, bytes: u64) {
        self.world.files.space(bytes);
    }

    /// From now on, nothing can be made or removed in a directory.
    pub fn read_only(&self, directory: impl Into<PathBuf>) {
        self.world.files.read_only(directory.into());
    }

    /// The world, to be given to a host.
    pub fn env(&self) -> Env {
        Env {
            clock: Arc::new(VirtualClock(self.world.clone())),
            disk: self.world.files.clone(),
            network: Arc::new(ScriptedNetwork(self.world.clone())),
            console: self.world.clone(),
            control: self.world.clone(),
            engine: self.world.clone(),
            identity: "a process of the simulation".into(),
            background: self.world.clone(),
        }
    }

    /// Adds a line to the log, with the time.
    pub fn note(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let world = self.world.clone();
        move |line| world.note(line)
    }

    /// What was printed so far.
    pub fn printed(&self) -> String {
        lock(&self.world.printed).clone()
    }

    /// What was printed and noted so far, line by line, with the time of each.
    pub fn log(&self) -> Vec<String> {
        lock(&self.world.log).clone()
    }

    /// Runs `main` and all it spawns until `main` is done.
    ///
    /// # Errors
    /// When every future waits and no timer is set.
    pub fn run<T: Send + 'static>(&self, main: impl Future<Output = T> + Send + 'static) -> Result<T, SimulationError> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let result = Arc::new(Mutex::new(None));
        let slot = result.clone();
        let main = async move { *lock(&slot) = Some(main.await) };
        let ready = Arc::new(Mutex::new(Vec::new()));
        let mut tasks: Vec<Option<(Arc<Task>, BoxFuture<'static, ()>)>> = Vec::new();
        lock(&self.world.spawned).push(("main", Box::pin(main)));
        loop {
            for (_, future) in lock(&self.world.spawned).drain(..) {
                let task = Arc::new(Task { id: tasks.len(), ready: ready.clone() });
                lock(&ready).push(task.id);
                tasks.push(Some((task, future)));
            }
            let next = {
                let mut ready = lock(&ready);
                if ready.is_empty() { None } else { Some(rng.random_range(0..ready.len())) }.map(|at| ready.remove(at))
            };
            let Some(id) = next else {
                if !self.world.pass_time() {
                    let waiting = tasks.iter().flatten().count();
                    return Err(SimulationError { seed: self.seed, at: *lock(&self.world.now), waiting });
                }
                continue;
            };
            let Some(Some((task, future))) = tasks.get_mut(id) else { continue };
            let waker = Waker::from(task.clone());
            if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                tasks[id] = None;
            }
            if let Some(result) = lock(&result).take() {
                return Ok(result);
            }
        }
    }
}

/// A spawned future that says when it can go on.
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
    /// Jumps to the next timer and wakes whoever set it. False if there is none.
    fn pass_time(&self) -> bool {
        let mut timers = lock(&self.timers);
        let Some((&(time, _), _)) = timers.first_key_value() else { return false };
        let mut now = lock(&self.now);
        *now = (*now).max(time);
        while let Some(entry) = timers.first_entry() {
            if entry.key().0 > *now {
                break;
            }
            entry.remove().wake();
        }
        true
    }

    fn note(&self, line: &str) {
        let now = *lock(&self.now);
        lock(&self.log).push(format!("{now} {line}"));
    }
}

impl Executor for World {
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        lock(&self.spawned).push((name, future));
    }
}

struct VirtualClock(Arc<World>);

impl Clock for VirtualClock {
    fn now(&self) -> Time {
        *lock(&self.0.now)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(lock(&self.0.now).as_ms())
    }

    fn sleep_until(&self, time: Time) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { world: self.0.clone(), until: time })
    }
}

struct Sleep {
    world: Arc<World>,
    until: Time,
}

impl Future for Sleep {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if *lock(&self.world.now) >= self.until {
            return Poll::Ready(());
        }
        let mut count = lock(&self.world.timer_count);
        *count += 1;
        lock(&self.world.timers).insert((self.until, *count), cx.waker().clone());
        Poll::Pending
    }
}

impl Console for World {
    fn write(&self, text: &str) -> io::Result<()> {
        text.lines().for_each(|line| self.note(line));
        lock(&self.printed).push_str(text);
        Ok(())
    }

    fn is_terminal(&self) -> bool {
        false
    }
}

struct ScriptedNetwork(Arc<World>);

impl Network for ScriptedNetwork {
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Box<dyn Incoming>>> {
        let connection = lock(&self.0.servers).get_mut(address).and_then(VecDeque::pop_front);
        let world = self.0.clone();
        Box::pin(async move {
            let connection = connection.ok_or(io::ErrorKind::ConnectionRefused)?;
            let stream = ScriptedStream { world, script: connection, wait: None, pending: VecDeque::new() };
            Ok(Box::new(stream) as Box<dyn Incoming>)
        })
    }
}

/// Sends what the script says, when it says so.
struct ScriptedStream {
    world: Arc<World>,
    script: Connection,
    wait: Option<Sleep>,
    pending: VecDeque<u8>,
}

impl AsyncRead for ScriptedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.pending.is_empty() {
            let Some((delay, _)) = this.script.sends.first() else {
                return if this.script.stays_open { Poll::Pending } else { Poll::Ready(Ok(())) };
            };
            let until = *lock(&this.world.now) + *delay;
            let wait = this.wait.get_or_insert_with(|| Sleep { world: this.world.clone(), until });
            if Pin::new(wait).poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.wait = None;
            this.pending.extend(this.script.sends.remove(0).1);
        }
        let count = buffer.remaining().min(this.pending.len());
        let bytes: Vec<u8> = this.pending.drain(..count).collect();
        buffer.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;

    fn interleaving(seed: u64) -> Vec<String> {
        let simulation = Simulation::new(seed, Time::from_ms(1000));
        let env = simulation.env();
        let note = Arc::new(simulation.note());
        simulation
            .run(async move {
                let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
                for id in 0..5u32 {
                    let (clock, note, sender) = (env.clock.clone(), note.clone(), sender.clone());
                    env.control.spawn(
                        "sleeper",
                        Box::pin(async move {
                            note(&format!("{id} begins"));
                            clock.sleep_until(Time::from_ms(2000)).await;
                            note(&format!("{id} ends"));
                            let _ = sender.send(id).await;
                        }),
                    );
                }
                drop(sender);
                while receiver.recv().await.is_some() {}
            })
            .unwrap();
        simulation.log()
    }

    #[test]
    fn a_seed_decides_the_order_and_repeats_it() {
        assert_eq!(interleaving(7), interleaving(7));
        assert!((0..10).any(|seed| interleaving(seed) != interleaving(7)), "every seed gives the same order");
    }

    #[test]
    fn a_scripted_server_sends_when_the_script_says_and_then_closes() {
        let simulation = Simulation::new(1, Time::from_ms(0));
        let sends = vec![(Duration::from_millis(5), b"ab".to_vec()), (Duration::from_millis(5), b"c".to_vec())];
        simulation.server("server:1", vec![Connection { sends, stays_open: false }]);
        let env = simulation.env();
        let (text, at) = simulation
            .run(async move {
                let mut stream = env.network.connect("server:1").await.unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).await.unwrap();
                assert!(env.network.connect("server:1").await.is_err());
                (text, env.clock.now())
            })
            .unwrap();
        assert_eq!((text.as_str(), at.as_ms()), ("abc", 10));
    }

    #[test]
    fn waiting_for_nothing_is_an_error() {
        let stuck = Simulation::new(1, Time::from_ms(0)).run(std::future::pending::<()>());
        assert_eq!(
            stuck.unwrap_err().to_string(),
            "the simulation of seed 1 is stuck at 0 ms: 1 futures wait for each other"
        );
    }
}
