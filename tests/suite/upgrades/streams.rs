//! Upgrades of a job over a stream of messages, whose server loses acknowledgements and goes away for a while.

use super::sockets::{read_from, three_upgrades};
use super::*;
use host::env::TopicPartition;

/// A job that counts the words `w0`, `w1` and so on of a stream, to which one comes every 125 ms.
fn world(seed: u64) -> World {
    let mut world = World::new(seed);
    for number in 0..400 {
        let comes = START + Duration::from_millis(130 + number * 125);
        world.simulation.message(comes, "WORDS", "words", format!("w{number}"));
    }
    world.simulation.verdicts_lost(5);
    world.simulation.streams_away(START + Duration::from_secs(8), START + Duration::from_secs(9));
    let source = "type = \"nats\"\nservers = \"nats:4222\"\nstream = \"WORDS\"\nack_wait = \"1s\"\n\
                  restart_delay = \"100ms\"\n\n[receiver]\nwrite_ahead_log = true\n";
    read_from(&mut world, source);
    world.stop_after = Some(24);
    world
}

/// The messages of a stream are received once, and both runs read them. No record is lost, doubled or skipped when the new
/// plugin takes over, when the old one gets the job back, and when a plugin is withdrawn.
#[test]
fn no_message_of_a_stream_is_lost_or_doubled() {
    for seed in 0..3 {
        three_upgrades(world(seed), seed);
    }
}

/// A job that counts the words `w0`, `w1` and so on of a topic with two partitions, to which one comes every 125 ms.
fn topic_world(seed: u64) -> World {
    let mut world = World::new(seed);
    for number in 0..400 {
        let comes = START + Duration::from_millis(130 + number * 125);
        let of = TopicPartition { topic: "words".to_owned(), number: i32::from(number % 3 == 0) };
        world.simulation.kafka_record(comes, &of, None, Some(format!("w{number}").as_bytes()));
    }
    world.simulation.kafka_away(START + Duration::from_secs(8), START + Duration::from_secs(9));
    let source = "type = \"kafka\"\nservers = \"kafka:9092\"\ntopics = \"words\"\n";
    read_from(&mut world, source);
    world.stop_after = Some(24);
    world
}

/// Both runs read the same ranges of a topic, from the same positions. No record is lost, doubled or skipped.
#[test]
fn no_record_of_a_topic_is_lost_or_doubled() {
    for seed in 0..3 {
        three_upgrades(topic_world(seed), seed);
    }
}
