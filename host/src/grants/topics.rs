//! Topics that plugin code names, resolved through the connections of the job file.
//!
//! Owns which topics a connection grants, and the form of the text that names a topic. Nothing is granted by default.
//! Never connects to anything.

use crate::config::{ConnectionSettings, KafkaConnection};
use crate::shown;
use std::collections::BTreeMap;

/// The name of the connection that topics without a name of a connection belong to.
pub const KAFKA: &str = "kafka";
/// The longest name of a topic, in bytes: the limit of Kafka.
const TOPIC_BYTES_MAX: usize = 249;

/// A topic that the job grants.
#[derive(Clone, Debug)]
pub struct GrantedTopic<'a> {
    /// The name of the connection.
    pub connection: &'a str,
    /// The settings of the connection.
    pub settings: &'a KafkaConnection,
    /// The topic.
    pub topic: &'a str,
}

/// Why a topic is not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The job file has no such connection.
    #[error("topic {} belongs to connection {}, which the job file does not have", shown::name(.text), shown::name(.connection))]
    NoConnection {
        /// The text of the plugin.
        text: String,
        /// The connection that the text names.
        connection: String,
    },
    /// Kafka allows no topic of this name.
    #[error("{} is no name of a topic", shown::name(.0))]
    NoTopic(String),
    /// The connection does not grant the topic.
    #[error("connection `{connection}` does not grant topic `{topic}`")]
    NotGranted {
        /// The connection.
        connection: String,
        /// The topic.
        topic: String,
    },
}

impl TopicError {
    /// What the reader can do.
    pub fn help(&self) -> String {
        match self {
            Self::NoConnection { connection, .. } => format!(
                "add a table [connections.{connection}] with type = \"kafka\"; a topic without a connection, as in \
                 save_to_kafka(\"clean\"), belongs to [connections.{KAFKA}]"
            ),
            Self::NoTopic(_) => "use 1 to 249 letters (a-z, A-Z), digits, `.`, `_` and `-`".to_owned(),
            Self::NotGranted { connection, topic } => {
                format!("add it to the topics of the connection: connections.{connection}.topics = \"{topic}\"")
            }
        }
    }
}

/// The topic that a plugin calls `text`: `connection:topic`, or `topic` for the connection called `kafka`.
///
/// # Errors
/// Returns an error if the text names no topic, or one that the job does not grant.
pub fn granted_topic<'a>(
    connections: &'a BTreeMap<String, ConnectionSettings>,
    text: &'a str,
) -> Result<GrantedTopic<'a>, TopicError> {
    let (name, topic) = text.split_once(':').unwrap_or((KAFKA, text));
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if topic.is_empty()
        || topic.len() > TOPIC_BYTES_MAX
        || !topic.chars().all(is_allowed)
        || [".", ".."].contains(&topic)
    {
        return Err(TopicError::NoTopic(topic.to_owned()));
    }
    let Some((connection, ConnectionSettings::Kafka(settings))) = connections.get_key_value(name) else {
        return Err(TopicError::NoConnection { text: text.to_owned(), connection: name.to_owned() });
    };
    if !settings.topics.iter().any(|pattern| fits(pattern, topic)) {
        return Err(TopicError::NotGranted { connection: connection.clone(), topic: topic.to_owned() });
    }
    Ok(GrantedTopic { connection, settings, topic })
}

/// Whether a topic fits a pattern, in which `*` stands for any characters, also for none.
fn fits(pattern: &str, topic: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == topic };
    let Some(topic) = topic.strip_prefix(head) else { return false };
    let Some((middle, last)) = rest.rsplit_once('*') else { return topic.ends_with(rest) };
    let Some(mut topic) = topic.strip_suffix(last) else { return false };
    // The first place of each part leaves the most for those after it.
    for part in middle.split('*') {
        let Some(at) = topic.find(part) else { return false };
        topic = topic.get(at.saturating_add(part.len())..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The meaning of a pattern, tried out place by place.
    fn fits_slowly(pattern: &[u8], topic: &[u8]) -> bool {
        match (pattern, topic) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=topic.len()).any(|from| fits_slowly(rest, &topic[from..])),
            ([p, rest @ ..], [t, topic @ ..]) if p == t => fits_slowly(rest, topic),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn patterns_mean_what_they_say(pattern in "[ab*]{0,6}", topic in "[ab]{0,7}") {
            prop_assert_eq!(fits(&pattern, &topic), fits_slowly(pattern.as_bytes(), topic.as_bytes()), "{} {}", pattern, topic);
        }
    }
}
