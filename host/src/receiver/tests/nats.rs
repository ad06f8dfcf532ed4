//! The receiver of messages of a stream in a simulated world, whose server delivers messages again, loses
//! acknowledgements, goes away and comes back.

use super::*;
use crate::config::{DeliverFrom, NatsLogin, NatsSettings, OnBadMessage, PayloadFormat, Secret};
use crate::receiver::nats;

fn settings() -> NatsSettings {
    NatsSettings {
        servers: vec!["nats:4222".to_owned()],
        stream: "EVENTS".to_owned(),
        consumer: None,
        filter_subject: None,
        deliver: DeliverFrom::All,
        format: PayloadFormat::Lines,
        login: None,
        tls: false,
        tls_ca: None,
        ack_wait: ms(1000),
        max_ack_pending: 100,
        on_bad_message: OnBadMessage::Terminate,
        restart_delay: ms(2000),
    }
}

/// A world in which the numbers below `count` come as messages, one each `pause` ms from 1000 ms on.
fn with_messages(seed: u64, count: u64, pause: u64) -> World {
    let world = World::new(seed, 1 << 20);
    for number in 0..count {
        world.simulation.message(Time::from_ms(1000 + number * pause), "EVENTS", "events", number.to_string());
    }
    world
}

fn numbers(count: u64) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

/// Runs the receiver until the time `stop`, in ms.
fn read(world: World, settings: &NatsSettings, rows: RecordType, stop: u64) -> Outcome {
    let env = world.env.clone();
    let made = nats(&env, ("job", "lines"), settings, &rows).unwrap();
    let outcome = world.run_with(WhenFull::Wait, rows, made, &[(stop, StopReceiver::Graceful)], |_, _| {});
    assert!(env.panics.found().is_none(), "{:?}", env.panics.found());
    outcome
}

/// Many messages become one block, which ends with the block interval, and is stored with the numbers of its messages.
#[test]
fn messages_become_blocks_of_an_interval() {
    let outcome = read(with_messages(1, 50, 10), &settings(), RecordType::text(), 5000);
    assert_eq!(outcome.records(), numbers(50));
    // The block interval is 200 ms: the first block ends at 1180 ms.
    let sizes: Vec<usize> = outcome.blocks.iter().map(Vec::len).collect();
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    assert!(sizes[0] >= 18 && sizes[1] >= 20, "{sizes:?}");
    let label = |first: usize, count: usize| format!("EVENTS of the simulation:{first}.{count}");
    assert_eq!(
        outcome.keys,
        [label(1, sizes[0]), label(sizes[0] + 1, sizes[1]), label(sizes[0] + sizes[1] + 1, sizes[2])]
    );
    assert_eq!(outcome.at("ReceiverStarted lines"), [1000]);
    assert_eq!(outcome.at("ReceiverError"), [0; 0]);
    assert_eq!(outcome.at("ReceiverStopped lines").len(), 1);
}

/// S2.46: acknowledgements get lost, the server goes away and comes back, and the messages are delivered again. Each is stored
/// once, and none is missing.
#[test]
fn each_message_is_stored_once() {
    for seed in 0..20 {
        let world = with_messages(seed, 400, 23);
        world.simulation.verdicts_lost(3 + seed % 5);
        world.simulation.streams_away(Time::from_ms(3000 + seed * 97), Time::from_ms(6000));
        if seed % 2 == 1 {
            world.simulation.remove_consumers(Time::from_ms(8000 + seed * 31));
        }
        let settings = NatsSettings { max_ack_pending: 7 + 13 * u32::try_from(seed).unwrap(), ..settings() };
        let outcome = read(world, &settings, RecordType::text(), 400_000);
        let mut records = outcome.records();
        records.sort_by_key(|record| record.parse::<u64>().unwrap());
        assert_eq!(records, numbers(400), "seed {seed}");
        assert!(!outcome.at("ReceiverError lines: lost stream `EVENTS`: ").is_empty(), "{:?}", outcome.log);
        assert!(outcome.at("ReceiverError lines: it did not stop").is_empty(), "{:?}", outcome.log);
    }
}

/// After a crash, blocks that are in the log bring their messages back, whose acknowledgements the crash prevented.
#[test]
fn messages_of_blocks_that_are_known_are_not_stored_again() {
    let known = read(with_messages(1, 50, 10), &settings(), RecordType::text(), 1250);
    let stored = known.records().len();
    assert!((20..50).contains(&stored), "{stored}");
    // The server of the next world has forgotten all acknowledgements, and the consumer is there.
    for with_another_stream in [false, true] {
        let mut world = with_messages(2, 50, 10);
        world.known_keys = known.keys.clone();
        if with_another_stream {
            world.known_keys.insert(0, "another stream:1.50".to_owned());
        }
        let outcome = read(world, &settings(), RecordType::text(), 5000);
        assert_eq!([known.records(), outcome.records()].concat(), numbers(50));
    }
}

/// Nothing is asked of the server while the host has no room. The messages come when there is room.
#[test]
fn a_full_store_makes_the_messages_wait_at_the_server() {
    let world = World::new(1, 64 << 10);
    for number in 0..100_u64 {
        world.simulation.message(Time::from_ms(1000), "EVENTS", "events", format!("{number:>4000}"));
    }
    let store = world.store.clone();
    let env = world.env.clone();
    let made = nats(&env, ("job", "lines"), &settings(), &RecordType::text()).unwrap();
    let most = Arc::new(Mutex::new(0));
    let (seen, ids) = (most.clone(), Arc::new(Mutex::new(Vec::new())));
    let blocks = ids.clone();
    // Every second, the oldest block is removed.
    let clock = env.clock.clone();
    let removing = async move {
        loop {
            clock.sleep(ms(1000)).await;
            let mut ids = blocks.lock().unwrap();
            if !ids.is_empty() {
                let oldest: crate::ids::BlockId = ids.remove(0);
                store.remove(&[oldest]);
            }
        }
    };
    env.control.spawn("batches", Box::pin(removing));
    let stops = [(600_000, StopReceiver::Graceful)];
    let outcome = world.run_with(WhenFull::Wait, RecordType::text(), made, &stops, move |store, block| {
        ids.lock().unwrap().push(block.id.clone());
        let mut most = seen.lock().unwrap();
        *most = store.len().max(*most);
    });
    assert_eq!(outcome.records().len(), 100);
    assert!(*most.lock().unwrap() <= 2, "{most:?}");
    assert_eq!(outcome.at("ReceiverError"), [0; 0]);
}

/// S12.18: the rate limits how many messages are asked for.
#[test]
fn the_rate_is_kept() {
    let mut world = with_messages(1, 1000, 0);
    world.rate_limit = watch::channel(Some(100)).1;
    let outcome = read(world, &settings(), RecordType::text(), 6000);
    let count = outcome.records().len();
    assert!((450..=540).contains(&count), "{count}");
    assert!(outcome.blocks.iter().all(|block| block.len() <= 21), "{:?}", outcome.blocks);
}

/// A message that is no record is reported with its number, and does not come again. The others of its block are stored.
#[test]
fn a_bad_message_is_given_up_and_reported() {
    let rows = struct_of(["name", "count"]);
    let world = || {
        let world = World::new(1, 1 << 20);
        for (at, payload) in [(1000, "{\"name\":\"a\",\"count\":1}"), (1001, "{\"name\":"), (1002, "7"), (1003, "")] {
            world.simulation.message(Time::from_ms(at), "EVENTS", "events.x", payload);
        }
        world.simulation.message(Time::from_ms(4000), "EVENTS", "events.x", "{\"name\":\"b\",\"count\":2}\n");
        world
    };
    let format = NatsSettings { format: PayloadFormat::JsonLines, ..settings() };
    let outcome = read(world(), &format, rows.clone(), 60_000);
    assert_eq!(outcome.records(), ["a", "b"]);
    let expected = "MessagesGivenUp lines: 2 messages of stream `EVENTS`; message 2 is no record: line 1, column 8: ";
    assert_eq!(outcome.at(expected).len(), 1, "{:?}", outcome.log);
    assert_eq!(outcome.at("ReceiverError"), [0; 0]);
    // Or the receiver stops, with the good ones before it.
    let stops = NatsSettings { on_bad_message: OnBadMessage::Stop, ..format };
    let outcome = read(world(), &stops, rows, 60_000);
    assert_eq!(outcome.records(), ["a"]);
    let expected = "ReceiverError lines: message 2 of stream `EVENTS`, events.x, is no record: line 1, column 8: ";
    assert_eq!(outcome.at(expected).len(), 1, "{:?}", outcome.log);
    assert_eq!(outcome.at("ReceiverStopped").len(), 1);
}

/// A stream that does not exist is tried again.
#[test]
fn a_stream_that_is_not_there_is_tried_again() {
    let outcome = read(World::new(1, 1 << 20), &settings(), RecordType::text(), 6000);
    let expected = "ReceiverError lines: cannot read stream `EVENTS` at nats:4222: stream `EVENTS`: stream not found; next try in 2000 ms";
    assert_eq!(outcome.at(expected), [1000, 3000, 5000]);
}

/// Wrong secrets are found before the job starts, and are not shown.
#[test]
fn secrets_are_read_and_not_shown() {
    let world = World::new(1, 1 << 20);
    world.simulation.file("/secret", "two\nlines");
    let file = || Secret::File("/secret".into());
    for (login, expected) in [
        (NatsLogin::Token(file()), "source `lines`: /secret holds no token: one line of text"),
        (NatsLogin::Credentials(file()), "source `lines`: /secret holds no credentials of NATS"),
        (NatsLogin::NkeySeed(file()), "source `lines`: /secret holds no seed of an NKey of a user"),
        (
            NatsLogin::Password { user: "u".to_owned(), password: Secret::Variable("P".to_owned()) },
            "source `lines`: the environment variable P is not set",
        ),
    ] {
        let settings = NatsSettings { login: Some(login), ..settings() };
        let error = nats(&world.env, ("job", "lines"), &settings, &RecordType::text()).err().expect("it is refused");
        assert_eq!(error.to_string(), expected);
    }
    let settings = NatsSettings { tls_ca: Some("/secret".into()), ..settings() };
    let error = nats(&world.env, ("job", "lines"), &settings, &RecordType::text()).err().expect("it is refused");
    assert_eq!(error.to_string(), "source `lines`: its `tls_ca`, /secret, cannot be used: it has no certificate");
    let error = nats(&world.env, ("job", "lines"), &self::settings(), &pairs()).err().expect("it is refused");
    assert!(error.to_string().ends_with("do not give: lines are text"), "{error}");
}
