//! A real server for tests, on a free port of this machine.

use super::super::real::RealExecutors;
use async_nats::jetstream;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// A server. Dropping it stops the server and removes its streams.
pub(in super::super) struct Server {
    child: Child,
    _directory: tempfile::TempDir,
    pub(in super::super) address: String,
}

impl Server {
    /// Starts a server. `None` if this machine has none, which is printed.
    pub(in super::super) fn start() -> Option<Arc<Self>> {
        let directory = tempfile::tempdir().unwrap();
        let started = Command::new("nats-server")
            .args(["-js", "-a", "127.0.0.1", "-p", "-1", "-sd"])
            .arg(directory.path())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(error) => {
                println!("skipped: nats-server cannot be started: {error}");
                return None;
            }
        };
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let listens = lines.find_map(|line| Some(line.split_once("client connections on ")?.1.to_owned()));
        assert!(lines.any(|line| line.contains("Server is ready")));
        // The server must not wait until somebody reads what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Arc::new(Self { child, _directory: directory, address: listens.unwrap() }))
    }

    /// Puts a message into a stream, whose subjects begin with its name. If there is no such stream, it is made.
    pub(in super::super) fn publish(&self, stream: &str, subject: &str, payload: &[u8]) -> BoxFuture<'static, ()> {
        let (address, stream, subject) = (self.address.clone(), stream.to_owned(), subject.to_owned());
        let payload = payload.to_vec();
        async move {
            let client = async_nats::connect(address).await.unwrap();
            let context = jetstream::new(client);
            let subjects = vec![format!("{stream}.>")];
            let config = jetstream::stream::Config { name: stream, subjects, ..Default::default() };
            context.get_or_create_stream(config).await.unwrap();
            context.publish(subject, payload.into()).await.unwrap().await.unwrap();
        }
        .boxed()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The errors of a real server name the cause.
#[test]
fn a_consumer_that_could_lose_messages_is_refused() {
    use super::super::{ConsumerPlace, FirstMessage, MessageStreams as _};
    let Some(server) = Server::start() else { return };
    let executors = RealExecutors::start(1).unwrap();
    executors.block_on(async {
        server.publish("s", "s.a", b"1").await;
        let stream = jetstream::new(async_nats::connect(&server.address).await.unwrap()).get_stream("s").await.unwrap();
        let config = |name: &str| jetstream::consumer::pull::Config {
            durable_name: Some(name.to_owned()),
            ack_policy: jetstream::consumer::AckPolicy::Explicit,
            ..Default::default()
        };
        let mut lax = config("lax");
        lax.ack_policy = jetstream::consumer::AckPolicy::None;
        stream.create_consumer(lax).await.unwrap();
        let mut once = config("once");
        once.max_deliver = 1;
        stream.create_consumer(once).await.unwrap();
        let push = jetstream::consumer::push::Config {
            durable_name: Some("push".to_owned()),
            deliver_subject: "p".to_owned(),
            ..Default::default()
        };
        stream.create_consumer(push).await.unwrap();
        let mut place = ConsumerPlace {
            servers: vec![server.address.clone()],
            login: None,
            tls: false,
            tls_ca: None,
            stream: "s".to_owned(),
            consumer: String::new(),
            filter_subject: None,
            first: FirstMessage::All,
            resume: None,
            ack_wait: crate::time::Duration::from_secs(30),
            max_ack_pending: 10,
        };
        for (consumer, problem) in [("lax", "not explicit"), ("once", "max_deliver"), ("push", "push consumer")] {
            place.consumer = consumer.to_owned();
            let error = super::Nats.consume(&place).await.err().expect("it is refused").to_string();
            assert!(error.contains(problem) && error.contains(&format!("`{consumer}`")), "{error}");
        }
    });
    executors.shutdown();
}
