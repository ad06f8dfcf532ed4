//! The receiver of HTTP requests in a simulated world: clients send bytes, and read answers.

mod keys;
mod limits;

use super::*;
use crate::config::{HttpSettings, PayloadFormat, Secret};
use crate::receiver::http;
use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const ADDRESS: &str = "127.0.0.1:8080";
const TOKEN: &str = "Authorization: Bearer s3cret";

fn settings() -> HttpSettings {
    HttpSettings {
        address: ADDRESS.parse().unwrap(),
        path: "/events".to_owned(),
        format: PayloadFormat::Lines,
        token: None,
        tls: None,
        max_body_bytes: 10_000,
        max_requests: 8,
        max_wait: ms(5000),
        request_timeout: ms(30_000),
        restart_delay: ms(2000),
    }
}

/// A request with these lines of its head and this body.
fn request(head: &[&str], body: &[u8]) -> Vec<u8> {
    let lines: String = head.iter().map(|line| format!("{line}\r\n")).collect();
    let head = format!("POST /events HTTP/1.1\r\nHost: host\r\nContent-Length: {}\r\n{lines}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A request after which the connection closes.
fn last(head: &[&str], body: &[u8]) -> Vec<u8> {
    request(&[head, &["Connection: close"]].concat(), body)
}

/// The status and the body of an answer. The status is 0 if there is none.
fn parsed(answer: &str) -> (u16, String) {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, answer.split_once("\r\n\r\n").unwrap_or_default().1.to_owned())
}

/// Clients of the receiver.
#[derive(Clone)]
struct Clients {
    env: Env,
    store: BlockStore,
}

impl Clients {
    /// Connects; waits until the receiver listens.
    async fn connect(&self) -> Box<dyn crate::env::Duplex> {
        loop {
            if let Ok(connection) = self.env.network.connect(ADDRESS).await {
                return connection;
            }
            self.env.clock.sleep(ms(1)).await;
        }
    }

    /// Sends bytes on a connection of its own, and returns everything that is answered until the connection closes.
    async fn exchange(&self, bytes: &[u8]) -> String {
        let mut connection = self.connect().await;
        // The receiver may answer before it has read everything, and close the connection.
        let _ = connection.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    async fn post(&self, head: &[&str], body: &[u8]) -> (u16, String) {
        parsed(&self.exchange(&last(head, body)).await)
    }

    fn now(&self) -> u64 {
        self.env.clock.now().as_ms()
    }
}

/// Runs the receiver and its clients until the time `stop`, in ms. The result of the clients must be there by then.
fn served<T, R>(
    world: World,
    settings: &HttpSettings,
    rows: RecordType,
    stop: u64,
    clients: impl FnOnce(Clients) -> R,
) -> (Outcome, T)
where
    T: Send + 'static,
    R: Future<Output = T> + Send + 'static,
{
    let made = http(&world.env, "lines", settings, &rows).unwrap();
    let (result, env) = (Arc::new(Mutex::new(None)), world.env.clone());
    let (told, store) = (result.clone(), world.store.clone());
    let run = clients(Clients { env: env.clone(), store });
    env.control.spawn("clients", Box::pin(async move { *told.lock().unwrap() = Some(run.await) }));
    let outcome = world.run_with(WhenFull::Wait, rows, made, &[(stop, StopReceiver::Graceful)], |_, _| {});
    assert!(env.panics.found().is_none(), "{:?}", env.panics.found());
    let result = result.lock().unwrap().take().expect("the clients are done");
    (outcome, result)
}

fn lines_served<T, R>(settings: &HttpSettings, clients: impl FnOnce(Clients) -> R) -> (Outcome, T)
where
    T: Send + 'static,
    R: Future<Output = T> + Send + 'static,
{
    served(world(), settings, RecordType::text(), 600_000, clients)
}

/// S2.45, S2.46: the answer to a request means that its records are stored.
#[test]
fn a_request_is_answered_when_its_records_are_stored() {
    let (outcome, answers) = lines_served(&settings(), |clients| async move {
        let first = clients.post(&[], b"a\nb\n").await;
        let stored = clients.store.len();
        (first, stored, clients.post(&["Content-Type: text/plain; charset=utf-8"], b"c").await, clients.now())
    });
    let answer = |records: u64| (200, format!("{{\"records\":{records}}}"));
    assert_eq!(answers, (answer(2), 1, answer(1), 1005));
    assert_eq!(outcome.blocks, [vec!["a", "b"], vec!["c"]]);
    assert_eq!(outcome.at("ReceiverListens lines: http://127.0.0.1:8080/events"), [1000]);
    assert_eq!(outcome.at("ReceiverStopped lines").len(), 1);
}

#[test]
fn several_requests_may_come_on_one_connection() {
    let (outcome, answers) = lines_served(&settings(), |clients| async move {
        let all = [request(&[], b"a"), request(&[], b""), last(&[], b"b")].concat();
        let all = clients.exchange(&all).await;
        let chunked = b"POST /events HTTP/1.1\r\nHost: host\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                        2\r\nc\n\r\n3\r\nd\ne\r\n0\r\n\r\n";
        (all.matches("HTTP/1.1 200 OK").count(), parsed(&clients.exchange(chunked).await))
    });
    assert_eq!(answers, (3, (200, "{\"records\":3}".to_owned())));
    assert_eq!(outcome.records(), ["a", "b", "c", "d", "e"]);
}

/// Each mistake of a client has its status, and a text that says what is wrong. Nothing of such a request is stored.
#[test]
fn each_mistake_has_its_status() {
    let world = world();
    world.simulation.file("/token", "s3cret\n");
    let settings = HttpSettings { token: Some(Secret::File("/token".into())), ..settings() };
    let (outcome, answers) = served(world, &settings, RecordType::text(), 600_000, |clients| async move {
        let get = format!("GET /events HTTP/1.1\r\nHost: host\r\n{TOKEN}\r\nConnection: close\r\n\r\n");
        let elsewhere = format!("POST /event HTTP/1.1\r\nHost: host\r\n{TOKEN}\r\nConnection: close\r\n\r\n");
        let chunks = format!("{:x}\r\n{}\r\n", 6000, "x".repeat(6000)).repeat(2);
        let chunked = format!(
            "POST /events HTTP/1.1\r\nHost: host\r\n{TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
        );
        let mut answers = vec![
            clients.exchange(&last(&[], b"a")).await,
            clients.exchange(&last(&["Authorization: Bearer s3cre"], b"a")).await,
            clients.exchange(elsewhere.as_bytes()).await,
            clients.exchange(get.as_bytes()).await,
            clients.exchange(&last(&[TOKEN, "Content-Encoding: gzip"], b"a")).await,
            clients.exchange(&last(&[TOKEN, "Content-Type: multipart/form-data; boundary=x"], b"a")).await,
            clients.exchange(&last(&[TOKEN], &[b'x'; 10_001])).await,
            clients.exchange(chunked.as_bytes()).await,
            clients.exchange(&last(&[TOKEN], b"a\n\xff")).await,
            clients.exchange(&last(&[TOKEN, "Idempotency-Key: a b"], b"a")).await,
            clients.exchange(&last(&[TOKEN, "Idempotency-Key: a", "Idempotency-Key: b"], b"a")).await,
        ];
        answers.push(clients.exchange(&last(&[TOKEN], b"fine")).await);
        answers
    });
    let found: Vec<(u16, String)> = answers.iter().map(|answer| parsed(answer)).collect();
    let statuses: Vec<u16> = found.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [401, 401, 404, 405, 415, 415, 413, 413, 400, 400, 400, 200], "{found:?}");
    assert!(answers[0].contains("www-authenticate: Bearer") && answers[3].contains("allow: POST"), "{answers:?}");
    assert_eq!(found[8].1, "{\"error\":\"line 2 is not UTF-8\"}");
    assert!(found.iter().all(|(_, body)| serde_json::from_str::<serde_json::Value>(body).is_ok()), "{found:?}");
    assert_eq!(outcome.records(), ["fine"]);
    // One report for all of them.
    assert_eq!(outcome.at("ReceiverError lines: refused a request with 401: ").len(), 1);
    assert!(outcome.log.iter().all(|(_, line)| !line.contains("s3cret")), "{:?}", outcome.log);
}

/// Records are read as the type that the plugin reads. A request with one wrong line is refused as a whole.
#[test]
fn json_lines_have_the_type_that_the_plugin_reads() {
    let rows = struct_of(["name", "count"]);
    let settings = HttpSettings { format: PayloadFormat::JsonLines, max_body_bytes: 1 << 20, ..settings() };
    // From 64 KiB on, a body is parsed on a thread of its own.
    let many: String = (0..4000).map(|count| format!("{{\"name\":\"n{count}\",\"count\":{count}}}\n")).collect();
    let (outcome, answers) = served(world(), &settings, rows, 600_000, |clients| async move {
        let small = clients.post(&[], b"{\"name\":\"a\",\"count\":1}\n{\"count\":2,\"name\":\"b\"}").await;
        let wrong = clients.post(&[], b"{\"name\":\"c\",\"count\":1}\n\n{\"name\":\"d\",\"count\":-1}").await;
        (small, wrong, clients.post(&[], many.as_bytes()).await)
    });
    assert_eq!(answers.0, (200, "{\"records\":2}".to_owned()));
    assert_eq!(answers.1, (400, "{\"error\":\"line 3 at `count`: expected u64, found -1\"}".to_owned()));
    assert_eq!(answers.2, (200, "{\"records\":4000}".to_owned()));
    assert_eq!((outcome.records().len(), outcome.records()[1].as_str()), (4002, "b"));
}

/// While another program has the address, the receiver tries again.
#[test]
fn an_address_that_is_in_use_is_tried_again() {
    let world = world();
    let env = world.env.clone();
    let other = env.network.listen(ADDRESS.parse().unwrap()).now_or_never().unwrap().unwrap();
    let (outcome, answer) = served(world, &settings(), RecordType::text(), 600_000, |clients| async move {
        clients.env.clock.sleep(ms(3000)).await;
        drop(other);
        clients.env.clock.sleep(ms(2000)).await;
        clients.post(&[], b"a").await.0
    });
    assert_eq!(answer, 200);
    let expected = "ReceiverError lines: cannot take requests at 127.0.0.1:8080: address in use; next try in 2000 ms";
    assert_eq!(outcome.at(expected), [1000, 3000]);
    assert_eq!(outcome.at("ReceiverListens"), [5000]);
}

/// S1.27: a graceful stop in the middle of requests. What was answered with 200 is stored, each record once, and nothing
/// else is: a request is finished or refused.
#[test]
fn a_graceful_stop_finishes_the_requests_that_have_begun() {
    for seed in 0..40 {
        let answered = Arc::new(Mutex::new(Vec::new()));
        let told = answered.clone();
        let (outcome, ()) =
            served(World::new(seed, 1 << 20), &settings(), RecordType::text(), 1005 + seed * 7, |clients| async move {
                for client in 0..5 {
                    let (of_client, told) = (clients.clone(), told.clone());
                    let run = async move { of_client.sends_until_refused(client, &told).await };
                    clients.env.control.spawn("client", Box::pin(run));
                }
            });
        let answered = std::mem::take(&mut *answered.lock().unwrap());
        let (mut stored, mut answered) = (outcome.records(), answered);
        stored.sort();
        answered.sort();
        assert_eq!(stored, answered, "seed {seed}");
        assert!(!stored.is_empty(), "seed {seed}");
        assert!(outcome.at("ReceiverError lines: it did not stop").is_empty(), "{:?}", outcome.log);
    }
}

impl Clients {
    /// Sends records one after the other until nobody listens, and tells which were answered with 200.
    async fn sends_until_refused(&self, client: u64, answered: &Mutex<Vec<String>>) {
        for number in 0..1000 {
            let record = format!("{client}-{number}");
            match self.slowly(record.as_bytes(), (client * 31 + number * 17) % 23).await {
                Ok(200) => answered.lock().unwrap().push(record),
                Ok(503 | 0) => {}
                Ok(other) => panic!("status {other}"),
                Err(_) => return,
            }
        }
    }

    /// Sends a record with a pause in the middle of its request, in ms. The status is 0 if there is no answer.
    async fn slowly(&self, record: &[u8], pause: u64) -> io::Result<u16> {
        let clock = &self.env.clock;
        clock.sleep(ms(1)).await;
        let mut connection = match self.env.network.connect(ADDRESS).await {
            Ok(connection) => connection,
            // The receiver has not begun to listen.
            Err(_) if self.now() < 1010 => return Ok(0),
            Err(error) => return Err(error),
        };
        let bytes = last(&[], record);
        let (first, second) = bytes.split_at(usize::try_from(pause).unwrap() * bytes.len() / 23);
        let _ = connection.write_all(first).await;
        clock.sleep(ms(pause)).await;
        let _ = connection.write_all(second).await;
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer).await;
        Ok(parsed(&String::from_utf8_lossy(&answer)).0)
    }
}
