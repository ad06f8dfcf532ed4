//! What the brokers are asked before each batch: which partitions there are, and where they end.

use crate::config::{KafkaStart, KafkaTopics};
use crate::env::{KafkaLog, LogPlace, Offsets, TopicPartition};
use crate::shown::Shown as _;
use crate::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

/// How long the partitions of topics are taken to be the same.
pub(super) const KNOWN_TIME: Duration = Duration::from_secs(2);

/// A question to the brokers.
pub(super) struct Question {
    pub topics: KafkaTopics,
    pub start: KafkaStart,
    /// Whether the source has begun to read. Then partitions that are new are read from their beginning.
    pub is_begun: bool,
    pub positions: Offsets,
    /// The partitions, if they need not be asked for again.
    pub known: Option<Vec<TopicPartition>>,
}

/// The answer of the brokers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// The partitions that are read.
    pub partitions: Vec<TopicPartition>,
    /// The positions of the partitions that are new.
    pub starts: Offsets,
    /// The offset after the last record of each partition.
    pub ends: Offsets,
    /// The partitions that end before their positions, each with its first offset.
    pub restarted: Offsets,
    /// What is missing, in words.
    pub problem: Option<String>,
}

impl Question {
    /// Asks the brokers.
    pub(super) async fn ask(self, log: Arc<dyn KafkaLog>) -> io::Result<News> {
        let (partitions, problem) = match &self.known {
            Some(known) => (known.clone(), None),
            None => self.partitions(&*log).await?,
        };
        let new = partitions.iter().filter(|partition| !self.positions.contains_key(partition)).cloned();
        let starts = self.starts(&*log, new.collect()).await?;
        let all: BTreeSet<TopicPartition> = partitions.iter().chain(self.positions.keys()).cloned().collect();
        let is_there = |partition: &TopicPartition| partitions.contains(partition);
        let ends = log.offsets(all.into_iter().filter(is_there).map(|of| (of, LogPlace::End)).collect()).await?;
        let is_before = |(partition, end): &(&TopicPartition, &i64)| {
            self.positions.get(*partition).is_some_and(|position| *end < position)
        };
        let restarted = ends.iter().filter(is_before).map(|(partition, _)| (partition.clone(), LogPlace::Start));
        let restarted = log.offsets(restarted.collect()).await?;
        Ok(News { partitions, starts, ends, restarted, problem })
    }

    /// The partitions that are read now, and what is missing.
    async fn partitions(&self, log: &dyn KafkaLog) -> io::Result<(Vec<TopicPartition>, Option<String>)> {
        let of_topic = |(topic, count): (String, i32)| {
            (0..count).map(move |number| TopicPartition { topic: topic.clone(), number })
        };
        match &self.topics {
            KafkaTopics::Named(names) => {
                let there = log.topics(Some(names.clone())).await?;
                let missing: Vec<&str> =
                    names.iter().filter(|name| !there.contains_key(*name)).map(String::as_str).collect();
                let problem =
                    (!missing.is_empty()).then(|| format!("there is no topic {}", missing.join(", ").shown()));
                Ok((there.into_iter().flat_map(of_topic).collect(), problem))
            }
            KafkaTopics::Patterns(patterns) => {
                let patterns: Vec<glob::Pattern> =
                    patterns.iter().filter_map(|text| glob::Pattern::new(text).ok()).collect();
                // Topics such as that of the offsets of groups belong to the brokers.
                let is_wanted =
                    |name: &str| !name.starts_with("__") && patterns.iter().any(|pattern| pattern.matches(name));
                let mut there = log.topics(None).await?;
                there.retain(|name, _| is_wanted(name));
                let problem = there.is_empty().then(|| "no topic fits `topics_pattern`".to_owned());
                Ok((there.into_iter().flat_map(of_topic).collect(), problem))
            }
            KafkaTopics::Assigned(assigned) => {
                let names: BTreeSet<String> = assigned.iter().map(|(topic, _)| topic.clone()).collect();
                let there = log.topics(Some(names.into_iter().collect())).await?;
                let wanted =
                    assigned.iter().map(|(topic, number)| TopicPartition { topic: topic.clone(), number: *number });
                let is_there = |partition: &TopicPartition| {
                    there.get(&partition.topic).is_some_and(|count| partition.number < *count)
                };
                let (found, missing): (Vec<_>, Vec<_>) = wanted.partition(is_there);
                let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
                let problem =
                    (!missing.is_empty()).then(|| format!("there is no partition {}", missing.join(", ").shown()));
                Ok((found, problem))
            }
        }
    }

    /// Where new partitions begin.
    async fn starts(&self, log: &dyn KafkaLog, new: Vec<TopicPartition>) -> io::Result<Offsets> {
        let at =
            |place: LogPlace, of: Vec<TopicPartition>| of.into_iter().map(move |of| (of, place)).collect::<Vec<_>>();
        if new.is_empty() {
            return Ok(Offsets::new());
        }
        match &self.start {
            _ if self.is_begun => log.offsets(at(LogPlace::Start, new)).await,
            KafkaStart::Earliest => log.offsets(at(LogPlace::Start, new)).await,
            KafkaStart::Latest => log.offsets(at(LogPlace::End, new)).await,
            KafkaStart::Since(time) => log.offsets(at(LogPlace::Since(*time), new)).await,
            KafkaStart::Committed => {
                let mut starts = log.committed(new.clone()).await?;
                let others = new.into_iter().filter(|partition| !starts.contains_key(partition)).collect();
                starts.extend(log.offsets(at(LogPlace::Start, others)).await?);
                Ok(starts)
            }
            KafkaStart::Offsets(given) => {
                let given: BTreeMap<TopicPartition, i64> = given
                    .iter()
                    .map(|((topic, number), offset)| {
                        (TopicPartition { topic: topic.clone(), number: *number }, *offset)
                    })
                    .collect();
                let (named, others): (Vec<_>, Vec<_>) =
                    new.into_iter().partition(|partition| given.contains_key(partition));
                let mut starts = log.offsets(at(LogPlace::Start, others)).await?;
                starts.extend(named.into_iter().filter_map(|partition| {
                    let offset = *given.get(&partition)?;
                    Some((partition, offset))
                }));
                Ok(starts)
            }
        }
    }
}
