//! The messages that a job wrote to simulated topics, as text.

use host::env::WrittenMessage;
use std::collections::{BTreeMap, BTreeSet};

/// The header with the id of a message.
const ID_HEADER: &str = "millstream-id";

/// The messages of each topic, one a line and without their ids, by the name `topic NAME`.
///
/// # Panics
/// If a message has no id, or the id of another one.
pub fn shown(topics: BTreeMap<String, Vec<WrittenMessage>>) -> BTreeMap<String, Vec<u8>> {
    let mut ids = BTreeSet::new();
    let mut line = |message: WrittenMessage| {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("tests write text");
        let part = |bytes: Option<Vec<u8>>| bytes.map_or_else(|| "-".to_owned(), text);
        let mut headers: BTreeMap<String, String> =
            message.headers.into_iter().map(|(name, value)| (name, text(value))).collect();
        let id = headers.remove(ID_HEADER).expect("each message has an id");
        assert!(ids.insert(id.clone()), "two messages have the id {id}");
        let headers: String = headers.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        let place = message.partition.map_or(String::new(), |partition| format!(" partition {partition}"));
        let time = message.timestamp_ms.map_or(String::new(), |ms| format!(" at {ms}"));
        format!("{}: {}{headers}{place}{time}\n", part(message.key), part(message.value))
    };
    let topic = |(name, messages): (String, Vec<WrittenMessage>)| {
        let lines: String = messages.into_iter().map(&mut line).collect();
        (format!("topic {name}"), lines.into_bytes())
    };
    topics.into_iter().map(topic).collect()
}
