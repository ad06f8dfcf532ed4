//! Clients that are slow, silent, too many, or that speak no HTTP. None of them harms the receiver.

use super::*;
use proptest::prelude::*;

/// A client that sends nothing, half a head or half a body is not waited for. Other clients are served meanwhile.
#[test]
fn a_client_that_does_not_go_on_is_given_up() {
    let half_head = b"POST /events HTTP/1.1\r\nHost: ho".to_vec();
    let half_body = b"POST /events HTTP/1.1\r\nHost: host\r\nContent-Length: 100\r\n\r\nabc".to_vec();
    for (sent, expected) in [(Vec::new(), 0), (half_head, 0), (half_body, 408)] {
        let (outcome, answers) = lines_served(&settings(), |clients| async move {
            let slow = async { (parsed(&clients.exchange(&sent).await).0, clients.now()) };
            let quick = async { (clients.post(&[], b"a").await.0, clients.now()) };
            tokio::join!(slow, quick)
        });
        assert_eq!(answers, ((expected, 31_000), (200, 1000)));
        assert_eq!(outcome.records(), ["a"]);
    }
}

/// One byte a second does not keep a connection open either.
#[test]
fn a_client_that_goes_on_slowly_is_given_up() {
    let (outcome, at) = lines_served(&settings(), |clients| async move {
        let mut connection = clients.connect().await;
        for byte in b"POST /events HTTP/1.1\r\nHost: host\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        {
            clients.env.clock.sleep(ms(1000)).await;
            if connection.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        clients.now()
    });
    assert!(at <= 33_000, "{at}");
    assert!(outcome.records().is_empty());
}

/// Requests beyond `max_requests` wait, and are told to come again.
#[test]
fn requests_beyond_the_limit_wait() {
    let settings = HttpSettings { max_requests: 1, ..settings() };
    let (outcome, answers) = lines_served(&settings, |clients| async move {
        let mut slow = clients.connect().await;
        let bytes = last(&[], b"slow");
        slow.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
        clients.env.clock.sleep(ms(1)).await;
        let busy = clients.exchange(&last(&[], b"a")).await;
        let at = clients.now();
        let waits = async { clients.post(&[], b"b").await.0 };
        let ends = async {
            clients.env.clock.sleep(ms(1000)).await;
            slow.write_all(&bytes[bytes.len() - 1..]).await.unwrap();
            let mut answer = String::new();
            slow.read_to_string(&mut answer).await.unwrap();
            parsed(&answer).0
        };
        let (waited, slow) = tokio::join!(waits, ends);
        (parsed(&busy).0, busy.contains("retry-after: 1"), at, waited, slow)
    });
    assert_eq!(answers, (503, true, 6001, 200, 200));
    assert_eq!(outcome.records(), ["slow", "b"]);
}

/// When there are many connections, the one that has waited longest for a request makes room.
#[test]
fn idle_connections_make_room_for_new_ones() {
    let settings = HttpSettings { max_requests: 1, ..settings() };
    let (outcome, answers) = lines_served(&settings, |clients| async move {
        let mut idle = Vec::new();
        for _ in 0..4 {
            idle.push(clients.connect().await);
            clients.env.clock.sleep(ms(10)).await;
        }
        let quick = (clients.post(&[], b"a").await.0, clients.now());
        let first = idle[0].read_u8().await.is_err();
        (quick, first, clients.now())
    });
    assert_eq!(answers, ((200, 1040), true, 1040));
    assert_eq!(outcome.records(), ["a"]);
}

/// All bodies together have a bounded size: a request whose body finds no room is told to come again.
#[test]
fn bodies_wait_for_memory() {
    let settings = HttpSettings { max_body_bytes: 100_000, ..settings() };
    let world = World::new(1, 400_000);
    let (outcome, answers) = served(world, &settings, RecordType::text(), 600_000, |clients| async move {
        let mut slow = clients.connect().await;
        let head = b"POST /events HTTP/1.1\r\nHost: host\r\nContent-Length: 100000\r\n\r\n";
        slow.write_all(head).await.unwrap();
        slow.write_all(&[b'x'; 99_999]).await.unwrap();
        clients.env.clock.sleep(ms(10)).await;
        let large = clients.post(&[], &[b'y'; 99_000]).await.0;
        drop(slow);
        clients.env.clock.sleep(ms(10)).await;
        (large, clients.post(&[], &[b'z'; 99_000]).await.0)
    });
    assert_eq!(answers, (503, 200));
    assert_eq!(outcome.records(), ["z".repeat(99_000)]);
}

/// A stop at once does not wait for clients, and acknowledges nothing any more.
#[test]
fn a_stop_at_once_drops_connections() {
    let world = World::new(1, 1);
    let made = http(&world.env, "lines", &settings(), &RecordType::text()).unwrap();
    let clients = Clients { env: world.env.clone(), store: world.store.clone() };
    let statuses = Arc::new(Mutex::new(Vec::new()));
    let told = statuses.clone();
    let run = async move {
        for body in ["a", "b"] {
            let (status, _) = clients.post(&[], body.as_bytes()).await;
            told.lock().unwrap().push((status, clients.now()));
        }
    };
    world.env.control.spawn("clients", Box::pin(run));
    let outcome = world.run(made, &[(3000, StopReceiver::Now)]);
    assert_eq!(*statuses.lock().unwrap(), [(200, 1000), (0, 3000)]);
    assert_eq!((outcome.records().len(), outcome.at("ReceiverStopped")), (1, vec![3000]));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// Whatever bytes a client sends, the receiver goes on.
    #[test]
    fn any_bytes_do_no_harm(bytes: Vec<u8>, cut in 0..200_usize, seed: u64) {
        let mut sent = last(&["Idempotency-Key: k"], b"a\nb");
        sent.truncate(cut);
        sent.extend(bytes);
        let world = World::new(seed, 1 << 20);
        let (_, answer) = served(world, &settings(), RecordType::text(), 600_000, |clients| async move {
            clients.exchange(&sent).await;
            clients.post(&[], b"fine").await.0
        });
        prop_assert_eq!(answer, 200);
    }
}

/// Requests that come together share a block, and a request that comes alone does not wait.
#[test]
fn requests_that_come_together_share_a_block() {
    let settings = HttpSettings { max_requests: 200, ..settings() };
    let (outcome, at) = lines_served(&settings, |clients| async move {
        let alone = (clients.post(&[], b"alone").await.0, clients.now());
        let bodies: Vec<String> = (0..100).map(|number| format!("{number}\nmore of {number}")).collect();
        let together = bodies.iter().map(|body| clients.post(&[], body.as_bytes()));
        let together = futures::future::join_all(together).await;
        assert!(together.iter().all(|(status, _)| *status == 200));
        (alone, clients.now())
    });
    assert_eq!(at, ((200, 1000), 1005));
    let sizes: Vec<usize> = outcome.blocks.iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 128, 72], "64 requests are the most");
    for block in &outcome.blocks[1..] {
        for pair in block.chunks(2) {
            assert_eq!(pair[1], format!("more of {}", pair[0]), "a request stays together");
        }
    }
}
