//! The real world: the machine's clock, files and sockets, and two thread pools.

use super::alarm::Alarm;
use super::kafka::{Kafka, KafkaProducers};
use super::machine_time::time_of;
use super::nats::Nats;
use super::panics::{Panics, recorded};
use super::processes::LinuxProcesses;
use super::real_disk::Files;
use super::real_local::UnixSockets;
use super::s3::S3;
use super::{Call, Clock, Console, Duplex, Env, Executor, Listener, Network, Priority, WritePieces};
use crate::lock::lock;
use crate::time::{Duration, Time};
use futures::future::BoxFuture;
use rustix::net::sockopt;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::{Builder, Handle, Runtime};

/// The thread pools of a run. Dropping the value stops them.
pub struct RealExecutors {
    control: Runtime,
    engine: Runtime,
    low_engine: LaterRuntime,
}

/// A pool of threads of low priority for tasks. Its threads are started when the first task comes.
#[derive(Clone)]
struct LaterRuntime {
    threads: usize,
    started: Arc<Mutex<Option<Runtime>>>,
}

impl LaterRuntime {
    /// The pool.
    ///
    /// # Errors
    /// If the system refuses more threads.
    fn handle(&self) -> io::Result<Handle> {
        let mut started = lock(&self.started);
        if let Some(runtime) = &*started {
            return Ok(runtime.handle().clone());
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(self.threads)
            .thread_name("low engine")
            .on_thread_start(|| set_priority(LOW_PRIORITY))
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        *started = Some(runtime);
        Ok(handle)
    }
}

/// Sets the priority of the calling thread alone, as `nice` has it. A thread for which this fails does its work, too.
fn set_priority(nice: i32) {
    let _ = rustix::process::setpriority_process(None, nice);
}

impl RealExecutors {
    /// Starts a small pool for actors and `engine_threads` threads for tasks.
    ///
    /// # Errors
    /// If the system refuses more threads.
    pub fn start(engine_threads: usize) -> io::Result<Self> {
        let control = Builder::new_multi_thread().worker_threads(2).thread_name("control").enable_all().build()?;
        // Outputs run on the engine, too, and wait for the clock there while a checkpoint directory cannot be reached.
        let engine =
            Builder::new_multi_thread().worker_threads(engine_threads).thread_name("engine").enable_all().build()?;
        let low_engine = LaterRuntime { threads: engine_threads, started: Arc::default() };
        Ok(Self { control, engine, low_engine })
    }

    /// Runs the host's main future on this thread.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.control.block_on(future)
    }

    /// Stops the pools without waiting for tasks that still compute.
    pub fn shutdown(self) {
        self.engine.shutdown_background();
        if let Some(low_engine) = lock(&self.low_engine.started).take() {
            low_engine.shutdown_background();
        }
        self.control.shutdown_background();
    }
}

/// The real world, with futures running on these pools.
#[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
pub fn real(executors: &RealExecutors) -> Env {
    let clock = Arc::new(SystemClock { start: Instant::now(), alarm: Arc::new(Alarm::start()) });
    let panics = Panics::default();
    let pool = |runtime: &Runtime| Arc::new(Pool { runtime: runtime.handle().clone(), panics: panics.clone() });
    let runtime = executors.control.handle();
    let threads = |nice| Arc::new(Threads { runtime: runtime.clone(), panics: panics.clone(), nice });
    Env {
        clock: clock.clone(),
        disk: Arc::new(Files),
        network: Arc::new(Tcp),
        local: Arc::new(UnixSockets { clock }),
        console: Arc::new(Stdout),
        control: pool(&executors.control),
        engine: pool(&executors.engine),
        low_engine: Arc::new(LaterPool { runtime: executors.low_engine.clone(), normal: pool(&executors.engine) }),
        identity: identity().into(),
        processes: Arc::new(LinuxProcesses),
        objects: Arc::new(S3::default()),
        message_streams: Arc::new(Nats),
        kafka: Arc::new(Kafka),
        message_producers: Arc::new(KafkaProducers),
        background: threads(None),
        low_priority: threads(Some(LOWEST_PRIORITY)),
        priority: Priority::default(),
        panics,
    }
}

/// A description of this process for people: `process 17 on m`.
fn identity() -> String {
    let machine = rustix::system::uname();
    format!("process {} on {}", std::process::id(), machine.nodename().to_string_lossy())
}

/// A wait that the runtime does ends this much before its time. [`Alarm`] waits for the rest.
const ALARM_LEAD: Duration = Duration::from_millis(4);

struct SystemClock {
    start: Instant,
    alarm: Arc<Alarm>,
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
impl Clock for SystemClock {
    fn now(&self) -> Time {
        time_of(SystemTime::now())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep_until(&self, time: Time) -> BoxFuture<'static, ()> {
        let alarm = self.alarm.clone();
        Box::pin(async move {
            loop {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let left = Duration::from_millis(time.as_ms()).saturating_sub(now);
                if left.is_zero() {
                    return;
                }
                let early = left.saturating_sub(ALARM_LEAD);
                match alarm.sleep(left).filter(|_| early.is_zero()) {
                    Some(sleep) => sleep.await,
                    // A long sleep is divided, so that a change of the clock is noticed.
                    None => tokio::time::sleep(early.max(Duration::from_millis(1)).min(Duration::from_secs(1))).await,
                }
            }
        })
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move { tokio::time::sleep(span).await })
    }
}

/// After this time of silence, the other side of a connection is probed.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// The time between two probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// The number of probes without an answer after which the other side counts as gone.
const KEEPALIVE_COUNT: u32 = 6;

/// Makes the system notice if the other side of a connection disappears without closing it.
fn keep_alive(stream: &tokio::net::TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
    Ok(sockopt::set_tcp_keepcnt(stream, KEEPALIVE_COUNT)?)
}

struct Tcp;

impl Network for Tcp {
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Box<dyn Duplex>>> {
        let address = address.to_owned();
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(address).await?;
            keep_alive(&stream)?;
            Ok(Box::new(stream) as Box<dyn Duplex>)
        })
    }

    fn listen(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = tokio::net::TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok(Box::new(TcpListening { listener, address }) as Box<dyn Listener>)
        })
    }
}

struct TcpListening {
    listener: tokio::net::TcpListener,
    address: SocketAddr,
}

impl Listener for TcpListening {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>> {
        Box::pin(async {
            let (stream, _) = self.listener.accept().await?;
            keep_alive(&stream)?;
            // Answers are short, and clients wait for them.
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Duplex>)
        })
    }
}

struct Stdout;

impl Console for Stdout {
    fn write(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    fn write_pieces(&self, write: &mut WritePieces<'_>) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        write(&mut |text| stdout.write_all(text.as_bytes()))?;
        stdout.flush()
    }

    fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }
}

struct Pool {
    runtime: Handle,
    panics: Panics,
}

impl Executor for Pool {
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        self.runtime.spawn(recorded(self.panics.clone(), name, future));
    }
}

/// Runs tasks on threads of low priority.
struct LaterPool {
    runtime: LaterRuntime,
    /// Runs the tasks if the system refuses threads.
    normal: Arc<Pool>,
}

impl Executor for LaterPool {
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        match self.runtime.handle() {
            Ok(handle) => drop(handle.spawn(recorded(self.normal.panics.clone(), name, future))),
            Err(_) => self.normal.spawn(name, future),
        }
    }
}

/// The `nice` value of threads that leave the processors to all others.
const LOWEST_PRIORITY: i32 = 19;
/// The `nice` value of the threads that run tasks of low priority. Beside threads of normal priority, such a thread gets about
/// a tenth of a processor: a new run must keep up with its batches on a busy machine.
const LOW_PRIORITY: i32 = 10;

/// Starts a thread for each future. When the program ends, it does not wait for threads that still run.
struct Threads {
    runtime: Handle,
    panics: Panics,
    /// The priority of the threads, as `nice` has it. `None` if the threads have the priority of the program.
    nice: Option<i32>,
}

impl Executor for Threads {
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        let (handle, future) = (self.runtime.clone(), recorded(self.panics.clone(), name, future));
        let nice = self.nice;
        let started = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            nice.into_iter().for_each(set_priority);
            handle.block_on(future);
        });
        if let Err(error) = started {
            tracing::warn!("cannot start a thread for {name}: {error}");
        }
    }

    fn call_all(&self, calls: Vec<Call<'_>>) {
        let calls = Mutex::new(calls.into_iter());
        let work = || {
            while let Some(call) = { lock(&calls).next() } {
                call();
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..std::thread::available_parallelism().map_or(1, usize::from) {
                // Without a thread, the other threads make all calls.
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
    }
}
