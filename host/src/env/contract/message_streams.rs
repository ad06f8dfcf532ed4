//! [`MessageStreams`](super::super::MessageStreams): messages are delivered until they are acknowledged, to one consumer
//! after the other. In the real world, the server is `nats-server`, if the machine has it.

use super::super::{ConsumerPlace, FirstMessage, Message, MessageConsumer, PullLimits, Receipt, Verdict};
use super::{StreamServer, World, in_each_world};
use crate::time::Duration;
use std::sync::Arc;

/// The shortest time that a server waits for an acknowledgement here.
const ACK_WAIT: Duration = Duration::from_secs(1);

fn place(server: &StreamServer) -> ConsumerPlace {
    ConsumerPlace {
        servers: vec![server.address.clone()],
        login: None,
        tls: false,
        tls_ca: None,
        stream: "S".to_owned(),
        consumer: "c".to_owned(),
        filter_subject: None,
        first: FirstMessage::All,
        resume: None,
        ack_wait: ACK_WAIT,
        max_ack_pending: 100,
    }
}

fn up_to(messages: usize) -> PullLimits {
    PullLimits { messages, bytes: 1000, wait: Duration::from_millis(300) }
}

/// Waits for as many messages, however many pulls that takes.
async fn next(consumer: &dyn MessageConsumer, count: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    while messages.len() < count {
        messages.extend(consumer.pull(up_to(count - messages.len())).await.unwrap());
    }
    messages
}

fn numbers(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.sequence).collect()
}

fn receipts(messages: &[Message]) -> Vec<Receipt> {
    messages.iter().map(|message| message.receipt.clone()).collect()
}

/// Runs a test in each world that has a server. `count` messages `S.a`, `S.b`, `S.a` and so on are in the stream `S`.
fn with_messages<F: Future<Output = ()> + Send + 'static>(
    count: u64,
    test: impl Fn(Arc<World>, Arc<StreamServer>) -> F + Copy + Send + 'static,
) {
    in_each_world(move |world| async move {
        let Some(server) = (world.streams)() else { return };
        for number in 1..=count {
            (server.publish)("S", if number % 2 == 1 { "S.a" } else { "S.b" }, format!("m{number}").as_bytes()).await;
        }
        test(world, Arc::new(server)).await;
    });
}

#[test]
fn messages_come_in_order_and_once_they_are_acknowledged_they_do_not_come_again() {
    with_messages(5, async |world: Arc<World>, server: Arc<StreamServer>| {
        let streams = &world.env.message_streams;
        let consumer = streams.consume(&place(&server)).await.unwrap();
        let first = next(&*consumer, 3).await;
        assert_eq!(numbers(&first), [1, 2, 3]);
        let content =
            |message: &Message| (message.subject.clone(), String::from_utf8(message.payload.clone()).unwrap());
        assert_eq!(content(&first[1]), ("S.b".to_owned(), "m2".to_owned()));
        consumer.settle(&receipts(&first[..1]), Verdict::Stored).await.unwrap();
        consumer.settle(&receipts(&first[1..2]), Verdict::GivenUp).await.unwrap();
        consumer.settle(&[], Verdict::Stored).await.unwrap();
        let identity = consumer.stream().to_owned();
        drop(consumer);
        // Another connection gets those that are not acknowledged, each when its time is over.
        let consumer = streams.consume(&place(&server)).await.unwrap();
        assert_eq!(consumer.stream(), identity);
        let mut later = next(&*consumer, 3).await;
        later.sort_by_key(|message| message.sequence);
        assert_eq!(numbers(&later), [3, 4, 5]);
        consumer.settle(&receipts(&later), Verdict::Stored).await.unwrap();
        assert!(consumer.pull(up_to(1)).await.unwrap().is_empty());
        (server.publish)("S", "S.a", b"m6").await;
        assert_eq!(numbers(&next(&*consumer, 1).await), [6]);
    });
}

#[test]
fn a_message_that_is_at_work_is_not_delivered_again() {
    with_messages(1, async |world: Arc<World>, server: Arc<StreamServer>| {
        let consumer = world.env.message_streams.consume(&place(&server)).await.unwrap();
        let message = next(&*consumer, 1).await;
        for _ in 0..6 {
            consumer.settle(&receipts(&message), Verdict::AtWork).await.unwrap();
            assert!(consumer.pull(up_to(1)).await.unwrap().is_empty());
        }
        // Without that, it is.
        let again = next(&*consumer, 1).await;
        assert_eq!(numbers(&again), [1]);
        // The first delivery can still be acknowledged.
        consumer.settle(&receipts(&message), Verdict::Stored).await.unwrap();
        for _ in 0..5 {
            assert!(consumer.pull(up_to(1)).await.unwrap().is_empty());
        }
    });
}

#[test]
fn pulls_have_limits() {
    with_messages(6, async |world: Arc<World>, server: Arc<StreamServer>| {
        (server.publish)("S", "S.a", &[b'x'; 3000]).await;
        (server.publish)("S", "S.a", b"m8").await;
        let consumer = world.env.message_streams.consume(&place(&server)).await.unwrap();
        assert_eq!(numbers(&next(&*consumer, 2).await), [1, 2]);
        // A message that is larger than a pull comes, and so do those after it.
        let rest = next(&*consumer, 6).await;
        assert_eq!(numbers(&rest), [3, 4, 5, 6, 7, 8]);
        assert_eq!(rest[4].payload.len(), 3000);
    });
    with_messages(6, async |world: Arc<World>, server: Arc<StreamServer>| {
        let place = ConsumerPlace { max_ack_pending: 2, ..place(&server) };
        let consumer = world.env.message_streams.consume(&place).await.unwrap();
        let two = consumer.pull(up_to(5)).await.unwrap();
        assert_eq!(numbers(&two), [1, 2]);
        consumer.settle(&receipts(&two), Verdict::Stored).await.unwrap();
        assert_eq!(numbers(&next(&*consumer, 2).await), [3, 4]);
    });
}

#[test]
fn a_new_consumer_begins_where_it_was_asked_to() {
    with_messages(5, async |world: Arc<World>, server: Arc<StreamServer>| {
        let streams = &world.env.message_streams;
        let named = |name: &str| ConsumerPlace { consumer: name.to_owned(), ..place(&server) };
        let filtered = ConsumerPlace { filter_subject: Some("S.b".to_owned()), ..named("filtered") };
        let consumer = streams.consume(&filtered).await.unwrap();
        assert_eq!(numbers(&next(&*consumer, 2).await), [2, 4]);
        let last = ConsumerPlace { first: FirstMessage::Last, ..named("last") };
        assert_eq!(numbers(&next(&*streams.consume(&last).await.unwrap(), 1).await), [5]);
        let new = ConsumerPlace { first: FirstMessage::New, ..named("new") };
        let new = streams.consume(&new).await.unwrap();
        (server.publish)("S", "S.a", b"m6").await;
        assert_eq!(numbers(&next(&*new, 1).await), [6]);
        let resume = Some((new.stream().to_owned(), 4));
        let resumed = ConsumerPlace { resume, first: FirstMessage::New, ..named("resumed") };
        assert_eq!(numbers(&next(&*streams.consume(&resumed).await.unwrap(), 3).await), [4, 5, 6]);
        // A consumer that is there goes on where it is, with the settings that are asked for.
        let other = ConsumerPlace { resume: Some(("another stream".to_owned(), 1)), ..named("filtered") };
        let consumer = streams.consume(&other).await.unwrap();
        let mut rest = next(&*consumer, 4).await;
        rest.sort_by_key(|message| message.sequence);
        assert_eq!(numbers(&rest), [2, 4, 5, 6]);
    });
}

#[test]
fn what_is_not_there_is_an_error() {
    with_messages(1, async |world: Arc<World>, server: Arc<StreamServer>| {
        let streams = &world.env.message_streams;
        let other = ConsumerPlace { stream: "OTHER".to_owned(), ..place(&server) };
        let error = streams.consume(&other).await.err().expect("there is no such stream").to_string();
        assert!(error.contains("`OTHER`") && error.contains("not found"), "{error}");
        let consumer = streams.consume(&place(&server)).await.unwrap();
        (server.stop)();
        let error = consumer.pull(PullLimits { wait: Duration::from_secs(5), ..up_to(9) }).await;
        let error = error.err();
        // Messages may have come before the connection ended.
        if error.is_none() {
            assert!(consumer.pull(up_to(9)).await.is_err());
        }
        assert!(consumer.settle(&[Receipt("1".to_owned())], Verdict::Stored).await.is_err());
        assert!(streams.consume(&place(&server)).await.is_err());
    });
}
