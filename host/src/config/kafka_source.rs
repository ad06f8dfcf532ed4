//! Reads the keys of sources of the types `kafka` and `kafka-receiver`.
//!
//! Owns the rules between these keys: topics are named in one way, and there is one place to begin.

use std::path::Path;

use super::kafka_connection;
use super::kafka_settings::{KafkaReceiverSettings, KafkaSettings, KafkaStart, KafkaTopics};
use super::keys::{self, StartWord};
use super::report::Reported;
use super::sections::{Reader, Section};
use crate::time::Time;

/// Reads the keys of a source of type `kafka`.
pub(super) fn read(
    table: &Section<'_>,
    directory: &Path,
    reader: &mut Reader<'_, '_>,
) -> Result<KafkaSettings, Reported> {
    let client = kafka_connection::read(table, &keys::KAFKA_CLIENT, directory, reader);
    let topics = read_topics(table, reader);
    let start = read_start(table, reader);
    let group = reader.given(table, &keys::KAFKA_GROUP);
    let commits_offsets = reader.read(table, &keys::KAFKA_COMMIT_OFFSETS);
    let format = reader.read(table, &keys::KAFKA_FORMAT);
    let on_data_loss = reader.read(table, &keys::KAFKA_ON_DATA_LOSS);
    let on_bad_message = reader.read(table, &keys::KAFKA_ON_BAD_MESSAGE);
    let max_rate = reader.given(table, &keys::KAFKA_MAX_RATE);
    let min_rate = reader.read(table, &keys::KAFKA_MIN_RATE);
    Ok(KafkaSettings {
        client: client?,
        topics: topics?,
        start: start?,
        group: group?.map(|given| given.value),
        commits_offsets: commits_offsets?,
        format: format?,
        on_data_loss: on_data_loss?,
        on_bad_message: on_bad_message?,
        max_rate_per_partition: max_rate?.map(|given| given.value),
        min_rate_per_partition: min_rate?,
    })
}

/// Reads the keys of a source of type `kafka-receiver`.
pub(super) fn read_receiver(
    table: &Section<'_>,
    directory: &Path,
    reader: &mut Reader<'_, '_>,
) -> Result<KafkaReceiverSettings, Reported> {
    let client = kafka_connection::read(table, &keys::KAFKA_RECEIVER_CLIENT, directory, reader);
    let topics = reader.read(table, &keys::KAFKA_RECEIVER_TOPICS);
    let group = reader.read(table, &keys::KAFKA_RECEIVER_GROUP);
    let format = reader.read(table, &keys::KAFKA_RECEIVER_FORMAT);
    let on_bad_message = reader.read(table, &keys::KAFKA_RECEIVER_ON_BAD_MESSAGE);
    let restart_delay = reader.read(table, &keys::KAFKA_RECEIVER_RESTART_DELAY);
    Ok(KafkaReceiverSettings {
        client: client?,
        topics: topics?,
        group: group?,
        format: format?,
        on_bad_message: on_bad_message?,
        restart_delay: restart_delay?,
    })
}

/// Reads which partitions are read. There is exactly one way to say so.
fn read_topics(table: &Section<'_>, reader: &mut Reader<'_, '_>) -> Result<KafkaTopics, Reported> {
    let named = reader.given(table, &keys::KAFKA_TOPICS);
    let patterns = reader.given(table, &keys::KAFKA_TOPICS_PATTERN);
    let assigned = reader.given(table, &keys::KAFKA_PARTITIONS);
    match (named?, patterns?, assigned?) {
        (Some(named), None, None) => Ok(KafkaTopics::Named(named.value)),
        (None, Some(patterns), None) => Ok(KafkaTopics::Patterns(patterns.value)),
        (None, None, Some(assigned)) => Ok(KafkaTopics::Assigned(assigned.value)),
        (None, None, None) => Err(reader.missing(table, "topics", "\"words\"")),
        (named, patterns, assigned) => {
            let places = [named.map(|given| given.place), patterns.map(|given| given.place)];
            let place = places.into_iter().chain([assigned.map(|given| given.place)]).flatten().last();
            let place = place.unwrap_or_else(|| table.place().clone());
            let message = "more than one of `topics`, `topics_pattern` and `partitions` is given".to_owned();
            Err(reader.report.error(&place, message, "keep one of them".to_owned()))
        }
    }
}

/// Reads where a job begins.
fn read_start(table: &Section<'_>, reader: &mut Reader<'_, '_>) -> Result<KafkaStart, Reported> {
    let word = reader.given(table, &keys::KAFKA_START);
    let time = reader.given(table, &keys::KAFKA_START_TIME);
    let offsets = reader.given(table, &keys::KAFKA_START_OFFSETS);
    match (word?, time?, offsets?) {
        (None, Some(time), None) => Ok(KafkaStart::Since(Time::from_ms(time.value))),
        (None, None, Some(offsets)) => Ok(KafkaStart::Offsets(offsets.value)),
        (Some(word), None, None) => Ok(of_word(word.value)),
        (None, None, None) => reader.read(table, &keys::KAFKA_START).map(of_word),
        (word, time, offsets) => {
            let places = [word.map(|given| given.place), time.map(|given| given.place)];
            let place = places.into_iter().chain([offsets.map(|given| given.place)]).flatten().last();
            let place = place.unwrap_or_else(|| table.place().clone());
            let message = "more than one of `start`, `start_time_ms` and `start_offsets` is given".to_owned();
            Err(reader.report.error(&place, message, "keep one of them".to_owned()))
        }
    }
}

const fn of_word(word: StartWord) -> KafkaStart {
    match word {
        StartWord::Earliest => KafkaStart::Earliest,
        StartWord::Latest => KafkaStart::Latest,
        StartWord::Committed => KafkaStart::Committed,
    }
}
