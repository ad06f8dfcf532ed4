//! Clients and servers in a simulated world, where time is virtual.

use super::*;
use crate::env::{Connection, Env, Simulation};
use crate::time::{Duration, Time};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

const ADDRESS: &str = "127.0.0.1:8080";
const PATIENCE: Duration = Duration::from_secs(15);

/// Answers with many bytes, with pieces without end, or with what was sent.
struct Answers(watch::Receiver<bool>);

#[async_trait]
impl Service for Answers {
    async fn answer(&self, head: Head, mut body: Body) -> Response {
        let content = match head.uri.path() {
            "/large" => Content::Whole(Bytes::from(vec![b'x'; 1 << 20])),
            "/endless" => Content::Pieces(futures::stream::repeat(Bytes::from_static(&[b'x'; 1000])).boxed()),
            _ => {
                let mut all = Vec::new();
                while let Some(Ok(piece)) = body.next().await {
                    all.extend_from_slice(&piece);
                }
                Content::Whole(all.into())
            }
        };
        Response { status: 200, headers: vec![("x-bad", "a\nb".to_owned())], content }
    }

    async fn stopped(&self) {
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }
}

/// Runs a client beside a server of so many connections. Also returns when the server had ended.
fn served<T, R>(connections: usize, client: impl FnOnce(Env) -> R + Send + 'static) -> (T, u64)
where
    T: Send + 'static,
    R: Future<Output = T> + Send,
{
    let simulation = Simulation::new(7, Time::from_ms(0));
    let env = simulation.env();
    let run = async move {
        let listener = env.network.listen(ADDRESS.parse().unwrap()).await.unwrap();
        let (stop, stopped) = watch::channel(false);
        let limits = ServerLimits { connections, patience: PATIENCE };
        let server = serve_all(listener, None, Arc::new(Answers(stopped)), env.clock.clone(), limits);
        let client = async {
            let result = client(env.clone()).await;
            stop.send_replace(true);
            result
        };
        let ((), result) = tokio::join!(server, client);
        (result, env.clock.now().as_ms())
    };
    simulation.run(run).unwrap()
}

async fn asks(env: &Env, path: &str) -> Box<dyn crate::env::Duplex> {
    let mut connection = env.network.connect(ADDRESS).await.unwrap();
    connection.write_all(format!("GET {path} HTTP/1.1\r\nHost: host\r\n\r\n").as_bytes()).await.unwrap();
    connection
}

/// A client that leaves its answer unread is cut off, whether the answer is large or has no end. Meanwhile, others are
/// served.
#[test]
fn a_client_that_does_not_read_is_cut_off() {
    for path in ["/large", "/endless"] {
        let (answer, ended) = served(8, move |env| async move {
            let deaf = asks(&env, path).await;
            env.clock.sleep(Duration::from_secs(1)).await;
            let request = JsonRequest { server: ADDRESS, path: "/", authorization: None, body: "[1]".to_owned() };
            let answer = post_json(&*env.network, &*env.clock, request, PATIENCE).await.unwrap();
            env.clock.sleep(Duration::from_secs(40)).await;
            drop(deaf);
            (answer, env.clock.now().as_ms())
        });
        assert_eq!(answer, ((200, "[1]".to_owned()), 41_000));
        // Nothing is left to be waited for.
        assert!(ended <= 41_000, "{ended}");
    }
}

/// A client that reads gets pieces for as long as it likes.
#[test]
fn a_client_that_reads_slowly_is_not_cut_off() {
    let (read, _) = served(8, |env| async move {
        let mut connection = asks(&env, "/endless").await;
        let mut bytes = vec![0; 100_000];
        for _ in 0..100 {
            connection.read_exact(&mut bytes).await.unwrap();
            env.clock.sleep(Duration::from_secs(1)).await;
        }
        env.clock.now().as_ms()
    });
    assert_eq!(read, 100_000);
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let simulation = Simulation::new(7, Time::from_ms(0));
    simulation.server("silent:80", vec![Connection { sends: Vec::new(), stays_open: true }; 2]);
    let env = simulation.env();
    let run = async move {
        let post = async |server, path| {
            let request = JsonRequest { server, path, authorization: Some("Bearer x"), body: String::new() };
            let answer = post_json(&*env.network, &*env.clock, request, Duration::from_secs(3)).await;
            answer.unwrap_err().to_string()
        };
        [post("silent:80", "/").await, post("127.0.0.1:1", "/").await, post("silent:80", " ").await]
    };
    let errors = simulation.run(run).unwrap();
    assert_eq!(errors[0], "it does not answer within 3s");
    assert!(errors[1].starts_with("cannot connect: "), "{}", errors[1]);
    assert!(errors[2].starts_with("the request cannot be sent: "), "{}", errors[2]);
}
