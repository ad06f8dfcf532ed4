//! Jobs over topics of Kafka, by ranges of offsets and as a member of a group, killed again and again, and now and then their
//! broker too. The topic grows. A producer puts each record into the topic once.

use super::*;
use millstream_tests::kafka_broker::Broker;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex};

/// Puts records into the topic one after the other, each into another partition. Returns how many there are.
fn produce(broker: &Mutex<Broker>, topic: &str, partitions: &AtomicI32, is_over: &AtomicBool) -> u64 {
    let producer = broker.lock().expect("nobody panics").producer();
    let mut sent = 0;
    while !is_over.load(Ordering::Relaxed) {
        let number = i32::try_from(sent % 16).unwrap_or(0) % partitions.load(Ordering::Relaxed);
        Broker::send_by(&producer, topic, number, &format!("n{sent} w{}", sent % 5));
        sent += 1;
        sleep(Duration::from_millis(2));
    }
    Broker::flush(&producer);
    sent
}

/// Kills the host and the broker of a job with this source again and again. Each record is saved once, and windows and state
/// hold each once.
fn check(source: &str, group: &str, tables: &str) {
    let Some(broker) = Broker::start("", Vec::new()) else { return };
    programs::host();
    let topic = broker.topic(2);
    let source = format!(
        "type = \"{source}\"\nservers = \"{}\"\ntopics = \"{topic}\"\ngroup = \"{group}\"\n{tables}",
        broker.address()
    );
    let directory = with_interval(LONG_INTERVAL_MS, &source, ", states = \"all\"");
    let (broker, is_over) = (Arc::new(Mutex::new(broker)), Arc::new(AtomicBool::new(false)));
    let partitions = Arc::new(AtomicI32::new(2));
    let client = std::thread::spawn({
        let (broker, is_over, partitions, topic) = (broker.clone(), is_over.clone(), partitions.clone(), topic.clone());
        move || produce(&broker, &topic, &partitions, &is_over)
    });
    let mut numbers = Numbers(seed());
    for kill in 0..kills().div_ceil(4) {
        let mut host = Running::start(directory.host(&["run", "job.toml", "--json"]));
        if numbers.below(4) > 0 {
            host.wait_for_out("StreamingStarted");
        }
        sleep(Duration::from_millis(numbers.below(LONG_INTERVAL_MS)));
        if numbers.below(4) == 0 {
            let mut broker = broker.lock().expect("nobody panics");
            broker.kill();
            sleep(Duration::from_millis(numbers.below(100)));
            broker.resume();
        }
        if kill == 3 {
            broker.lock().expect("nobody panics").grow_topic(&topic, 3);
            partitions.store(3, Ordering::Relaxed);
        }
        sleep(Duration::from_millis(numbers.below(2 * LONG_INTERVAL_MS)));
        host.signal("KILL");
        let ended = host.finish();
        assert_eq!((ended.code, ended.error()), (None, ""), "{}", ended.err);
        assert!(!ended.out.contains("RecordsLost") && !ended.out.contains("DataLost"), "{}", ended.out);
    }
    let mut host = Running::start(directory.host(&["run", "job.toml", "--json"]));
    host.wait_for_out("StreamingStarted");
    is_over.store(true, Ordering::Relaxed);
    let sent = client.join().expect("the broker answers");
    let known = || {
        let broker = broker.lock().expect("nobody panics");
        let of = |number| broker.committed(group, &topic, number).unwrap_or(0);
        (0..partitions.load(Ordering::Relaxed)).map(of).sum::<i64>()
    };
    // There are no markers in the topic, so that offsets count records.
    while known() < i64::try_from(sent).unwrap_or(i64::MAX) {
        host.wait_for_more_out("\"event\":\"BatchCompleted\"", 1);
    }
    host.wait_for_more_out("\"event\":\"BatchCompleted\"", 4);
    host.signal("TERM");
    let ended = host.finish();
    assert_eq!((ended.code, ended.error()), (Some(0), ""), "{}", ended.err);
    println!("{sent} records were produced");
    let received = received(&directory);
    assert_eq!(received.numbers(), (0..sent).map(|number| (number, 1)).collect());
    received.check_windows_and_state("");
}

/// S2.32, S16.22.
#[test]
fn a_job_over_ranges_of_a_topic_saves_each_record_once() {
    check("kafka", "watched", "");
}

/// S2.28, S16.21.
#[test]
fn a_job_of_a_member_of_a_group_saves_each_record_once() {
    let tables = "restart_delay = \"20ms\"\noptions = { \"session.timeout.ms\" = \"6000\" }\n\n[receiver]\nblock_interval = \"50ms\"\nwrite_ahead_log = true\n";
    check("kafka-receiver", "members", tables);
}
