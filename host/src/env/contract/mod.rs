//! The contract of every trait of `env`: one suite of tests that runs in the real world and in the simulated world. So
//! a run that works in the simulation also works outside.
//!
//! A test is a future that gets a [`World`]. It states in the same words what both worlds do.

mod clock;
mod disk;
mod executors;
mod kafka;
mod listeners;
mod local_sockets;
mod message_producers;
mod message_streams;
mod network;
mod objects;
mod stores;

use self::kafka::Cluster;
use super::{Connection, Env, Executor, Objects, RealExecutors, Simulation, Store, nats, real, s3};
use crate::time::{Duration, Time};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// The number of schedules of the simulated world under which each test runs.
const SEEDS: u64 = 8;

/// A world that is tested.
pub(super) struct World {
    /// The traits of the world.
    pub(super) env: Env,
    /// An empty directory.
    pub(super) root: PathBuf,
    /// A store behind a network, as for checkpoints.
    pub(super) store: Arc<dyn Store>,
    /// A store of objects behind a network, as for outputs.
    pub(super) outputs: Arc<dyn Objects>,
    /// Starts a server of streams of messages. `None` if the world has none.
    pub(super) streams: Box<dyn Fn() -> Option<StreamServer> + Send + Sync>,
    /// A cluster of Kafka. `None` if the world has none.
    kafka: Box<dyn Fn() -> Option<Arc<dyn Cluster>> + Send + Sync>,
    /// A cluster of Kafka to which messages are written. `None` if the world has none.
    producers: Box<dyn Fn() -> Option<Arc<dyn message_producers::Cluster>> + Send + Sync>,
    /// Starts a server that follows a script, and returns the server's address.
    serve: Box<dyn Fn(Vec<Connection>) -> String + Send + Sync>,
}

/// A server of streams of messages.
pub(super) struct StreamServer {
    pub(super) address: String,
    /// Puts a message into a stream. The subject begins with the name of the stream.
    pub(super) publish: Box<Publish>,
    /// Stops the server.
    pub(super) stop: Box<dyn Fn() + Send + Sync>,
}

/// Puts a message into a stream, given by stream, subject and content.
type Publish = dyn Fn(&str, &str, &[u8]) -> BoxFuture<'static, ()> + Send + Sync;

impl StreamServer {
    /// A server of the machine. `None` if the machine has none.
    fn real() -> Option<Self> {
        let server = Arc::new(Mutex::new(Some(nats::tests::Server::start()?)));
        let address = server.lock().unwrap().as_ref().unwrap().address.clone();
        let publisher = server.clone();
        let publish = move |stream: &str, subject: &str, payload: &[u8]| {
            publisher.lock().unwrap().as_ref().unwrap().publish(stream, subject, payload)
        };
        let stop = move || drop(server.lock().unwrap().take());
        Some(Self { address, publish: Box::new(publish), stop: Box::new(stop) })
    }

    /// A server of a simulation.
    fn simulated(simulation: &Arc<Simulation>) -> Self {
        let (publisher, stopped) = (simulation.clone(), simulation.clone());
        let publish = move |stream: &str, subject: &str, payload: &[u8]| {
            publisher.message(Time::default(), stream, subject, payload);
            std::future::ready(()).boxed()
        };
        let stop = move || {
            // A connection that is as old as the absence of the server has not ended yet.
            let now = stopped.env().clock.now();
            stopped.streams_away(now + Duration::from_millis(1), Time::from_ms(u64::MAX));
        };
        Self { address: "nats:4222".to_owned(), publish: Box::new(publish), stop: Box::new(stop) }
    }
}

impl World {
    /// Starts a server that serves these connections, one after the other, and returns the server's address.
    pub(super) fn server(&self, connections: Vec<Connection>) -> String {
        (self.serve)(connections)
    }

    /// The address of a port on which no server listens.
    pub(super) fn closed_port(&self) -> String {
        self.server(Vec::new())
    }

    /// All executors, with their names.
    pub(super) fn executors(&self) -> [(&'static str, Arc<dyn Executor>); 3] {
        let Env { control, engine, background, .. } = self.env.clone();
        [("control", control), ("engine", engine), ("background", background)]
    }

    /// Waits for a span of time on the clock of the world.
    pub(super) async fn pause(&self, time: Duration) {
        self.env.clock.sleep_until(self.env.clock.now() + time).await;
    }
}

/// Runs a future on an executor, and returns its result. `None` if the executor dropped the future.
pub(super) async fn on<T: Send + 'static>(
    executor: &dyn Executor,
    future: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (send, receive) = oneshot::channel();
    let run = async move {
        let _ = send.send(future.await);
    };
    executor.spawn("contract", Box::pin(run));
    receive.await.ok()
}

/// Runs a test in the real world, and in the simulated world under several schedules.
pub(super) fn in_each_world<F: Future<Output = ()> + Send + 'static>(test: impl Fn(Arc<World>) -> F) {
    let directory = tempfile::tempdir().unwrap();
    let executors = RealExecutors::start(2).unwrap();
    // A server that speaks S3 is tested only with the whole program.
    let (store, outputs) = s3::tests::in_memory();
    let root = directory.path().to_path_buf();
    let streams = Box::new(StreamServer::real);
    let kafka = Box::new(kafka::real);
    let producers = Box::new(message_producers::real);
    let env = real(&executors);
    let world = World { env, root, store, outputs, streams, kafka, producers, serve: Box::new(serve) };
    executors.block_on(test(Arc::new(world)));
    executors.shutdown();
    for seed in 0..SEEDS {
        let simulation = Arc::new(Simulation::new(seed, Time::from_ms(1_700_000_000_000)));
        let env = simulation.env();
        let root = PathBuf::from("/root");
        env.disk.create_directory(&root).unwrap();
        let (servers, count) = (simulation.clone(), AtomicU32::new(0));
        let serve = move |connections: Vec<Connection>| {
            let address = format!("server:{}", count.fetch_add(1, Ordering::Relaxed) + 1);
            servers.server(&address, connections);
            address
        };
        let store = env.objects.open("s3://bucket/checkpoint").unwrap();
        let outputs = env.objects.outputs("s3://bucket/outputs").unwrap();
        let of_streams = simulation.clone();
        let streams = Box::new(move || Some(StreamServer::simulated(&of_streams)));
        let of_kafka = simulation.clone();
        let kafka = Box::new(move || Some(kafka::simulated(&of_kafka)));
        let of_producers = simulation.clone();
        let producers = Box::new(move || Some(message_producers::simulated(&of_producers)));
        let world = World { env, root, store, outputs, streams, kafka, producers, serve: Box::new(serve) };
        simulation.run(test(Arc::new(world))).unwrap();
    }
}

/// Starts a server on the machine that follows a script, on a free port of the loopback interface.
#[expect(clippy::disallowed_methods, reason = "a server is not part of the host")]
fn serve(connections: Vec<Connection>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    if connections.is_empty() {
        // From here on the address is known and no server listens on it.
        return address;
    }
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for connection in connections {
            let (mut stream, _) = listener.accept().unwrap();
            for (pause, bytes) in connection.sends {
                std::thread::sleep(pause);
                // The client may have closed the connection.
                let _ = stream.write_all(&bytes);
            }
            if connection.stays_open {
                open.push(stream);
            }
        }
        if !open.is_empty() {
            // The connections stay open until the test ends the process.
            std::thread::park();
        }
    });
    address
}

/// The script of a server that sends these bytes after a pause, and then closes the connection.
pub(super) fn sends(pause: Duration, bytes: &[u8]) -> Connection {
    Connection { sends: vec![(pause, bytes.to_vec())], stays_open: false }
}

/// Writes a file and waits until it is durable.
pub(super) fn write(world: &World, path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = world.env.disk.create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync()
}
