//! Requests that come again, with the keys that make them known.

use super::*;
use rand_of_tests::Dice;

/// Numbers that look random and follow from a seed.
mod rand_of_tests {
    pub(super) struct Dice(pub(super) u64);

    impl Dice {
        pub(super) fn below(&mut self, sides: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % sides
        }
    }
}

fn key(name: &str) -> String {
    format!("Idempotency-Key: \"{name}\"")
}

#[test]
fn a_repeated_key_is_answered_as_the_first_time() {
    let (outcome, answers) = lines_served(&settings(), |clients| async move {
        let (one, two) = (key("one"), key("two"));
        vec![
            clients.post(&[&one], b"a\nb").await,
            clients.post(&[&one], b"a\nb").await,
            clients.post(&[&one], b"other").await,
            clients.post(&[&two], b"\xff").await,
            clients.post(&[&two], b"c").await,
            clients.post(&["Idempotency-Key: two"], b"c").await,
            clients.post(&[], b"c").await,
        ]
    });
    let statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [200, 200, 422, 400, 200, 200, 200], "{answers:?}");
    assert_eq!(answers[0], answers[1]);
    assert_eq!(outcome.blocks, [vec!["a", "b"], vec!["c"], vec!["c"]]);
}

/// The second request with a key comes while the first is being received, or waits for room: it waits for the first.
#[test]
fn a_key_that_comes_twice_at_once_is_taken_once() {
    for seed in 0..20 {
        let world = World::new(seed, 1 << 20);
        let (outcome, answers) = served(world, &settings(), RecordType::text(), 600_000, |clients| async move {
            let key = key("k");
            let sends = (0..6).map(|_| async { clients.post(&[&key], b"a").await });
            futures::future::join_all(sends).await
        });
        assert!(answers.iter().all(|answer| *answer == (200, "{\"records\":1}".to_owned())), "{seed}: {answers:?}");
        assert_eq!(outcome.records(), ["a"]);
    }
}

/// The first request waits for room until its client is told to come again. Its key is free then, and the next request
/// with it is stored, once.
#[test]
fn a_request_that_found_no_room_may_come_again() {
    let world = World::new(1, 1);
    let (outcome, answers) = served(world, &settings(), RecordType::text(), 600_000, |clients| async move {
        let fills = clients.post(&[], b"first").await.0;
        let key = key("k");
        let busy = clients.exchange(&last(&[&key], b"second")).await;
        let at = clients.now();
        let waits = clients.clone();
        let again = async { waits.post(&[&key], b"second").await.0 };
        let twice = async { waits.post(&[&key], b"second").await.0 };
        let room = async {
            clients.env.clock.sleep(ms(1000)).await;
            clients.store.remove(&[crate::ids::BlockId { source: "lines".into(), sequence: 0 }]);
        };
        let (again, twice, ()) = tokio::join!(again, twice, room);
        (fills, busy, at, again, twice)
    });
    let (fills, busy, at, again, twice) = answers;
    assert_eq!((fills, parsed(&busy).0, again, twice), (200, 503, 200, 200));
    assert!(busy.contains("retry-after: 1"), "{busy}");
    assert_eq!(at, 6005, "after max_wait");
    assert_eq!(outcome.records(), ["first", "second"]);
}

/// 1,000 numbered requests of clients that give up before the answer comes, that send half a request, and that send
/// again until they are answered: each record is stored once.
#[test]
fn each_record_of_clients_that_send_again_is_stored_once() {
    for seed in 0..3 {
        let world = World::new(seed, 1 << 24);
        let settings = HttpSettings { max_requests: 3, max_wait: ms(20), ..settings() };
        let (outcome, repeats) = served(world, &settings, RecordType::text(), 6_000_000, |clients| async move {
            let client = |client: u64| {
                let clients = clients.clone();
                async move {
                    let (mut dice, mut repeats) = (Dice(seed * 100 + client), 0_u64);
                    for number in 0..100 {
                        let name = format!("{client}-{number}");
                        while clients.carelessly(&name, &mut dice).await != 200 {
                            repeats += 1;
                        }
                    }
                    repeats
                }
            };
            futures::future::join_all((0..10).map(client)).await.iter().sum::<u64>()
        });
        let mut stored = outcome.records();
        stored.sort();
        let mut expected: Vec<String> =
            (0..10).flat_map(|client| (0..100).map(move |number| format!("{client}-{number}"))).collect();
        expected.sort();
        assert_eq!(stored, expected, "seed {seed}");
        assert!(repeats > 100, "{repeats}");
    }
}

impl Clients {
    /// Sends a record with a key, and loses the connection now and then: before the end of the request, or before the
    /// answer.
    async fn carelessly(&self, name: &str, dice: &mut Dice) -> u16 {
        let mut connection = self.connect().await;
        let bytes = last(&[&key(name)], name.as_bytes());
        let cut = match dice.below(8) {
            0 => usize::try_from(dice.below(bytes.len() as u64)).unwrap(),
            _ => bytes.len(),
        };
        let _ = connection.write_all(&bytes[..cut]).await;
        self.env.clock.sleep(ms(dice.below(3))).await;
        if cut < bytes.len() || dice.below(8) == 0 {
            return 0;
        }
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer).await;
        parsed(&String::from_utf8_lossy(&answer)).0
    }
}

/// The keys of stored blocks outlive the host: another host gets them back, and knows the requests.
#[test]
fn keys_that_were_stored_with_their_blocks_are_known_after_a_restart() {
    let (outcome, _) = lines_served(&settings(), |clients| async move {
        clients.post(&[&key("a")], b"one\ntwo").await;
        clients.post(&[], b"three").await;
    });
    assert_eq!(outcome.keys.len(), 1);
    let world = World { known_keys: outcome.keys, ..world() };
    let (outcome, answers) = served(world, &settings(), RecordType::text(), 600_000, |clients| async move {
        let again = clients.post(&[&key("a")], b"one\ntwo").await;
        (again, clients.post(&[&key("a")], b"else").await.0)
    });
    assert_eq!(answers, ((200, "{\"records\":2}".to_owned()), 422));
    assert_eq!(outcome.records(), Vec::<String>::new());
}
