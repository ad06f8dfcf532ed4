//! Topics of Kafka, read by ranges of offsets, without a receiver.
//!
//! Owns which partitions are read, and how far each batch reads them. A batch gets a range of each partition that has
//! records, and tasks read the ranges, by `reader.rs`. Positions are those of the allocation log. The consumer group is
//! only told of them.

mod commits;
mod news;
mod plan;
mod reader;

use self::commits::Commits;
use self::news::{News, Question};
use self::plan::Limits;
use self::reader::KafkaReader;
use super::selection::at_or_after;
use super::{Input, InputHistory, NewData};
use crate::block::{InputPartition, LogRange, RangeReader};
use crate::config::{KafkaSettings, OnDataLoss};
use crate::data::schema::RecordType;
use crate::env::{Env, KafkaLog, KafkaPlace, Offsets, TopicPartition};
use crate::error::{Error, ErrorKind};
use crate::listener::Event;
use crate::lock::lock;
use crate::messages::Form;
use crate::time::{Duration, Time};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// The shortest and the longest time that a batch waits for the answer of the brokers.
const ANSWER_TIMES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// How long the end of a job waits until the group knows where the job has stopped.
const LAST_COMMIT_TIME: Duration = Duration::from_secs(5);

/// A source that reads topics of Kafka.
pub struct Kafka {
    source: String,
    settings: KafkaSettings,
    slide: Duration,
    log: Arc<dyn KafkaLog>,
    reader: Arc<KafkaReader>,
    /// The next offset of each partition that is read.
    positions: Offsets,
    /// Whether batches were given positions before. If not, `start` says where to begin.
    is_begun: bool,
    /// The question to the brokers that was not answered yet.
    asked: Option<BoxFuture<'static, io::Result<News>>>,
    /// The last answer, or why there is none.
    answer: Result<News, String>,
    /// The partitions as they were found last, and when.
    partitions: Option<(Duration, Vec<TopicPartition>)>,
    /// The limit of the rate, if backpressure is on.
    rate: Option<watch::Receiver<Option<u64>>>,
    /// The offsets after the ranges of each batch that is not done.
    given: BTreeMap<Time, Offsets>,
    /// What the group is to be told. `None` while nobody tells the group anything.
    committing: Arc<Mutex<Option<Offsets>>>,
    found_in_last_batch: bool,
}

/// The name of a partition in the allocation log.
fn name_of(partition: &TopicPartition) -> String {
    partition.to_string()
}

/// The partition of a name in the allocation log. `None` if it is no such name.
fn partition_of(name: &str) -> Option<TopicPartition> {
    let (topic, number) = name.rsplit_once('/')?;
    Some(TopicPartition { topic: topic.to_owned(), number: number.parse().ok()? })
}

impl Kafka {
    /// Makes the source `name` of a job, whose records are of type `rows`. Connects in the background.
    ///
    /// # Errors
    /// If messages do not have records of the type, or if the client library refuses a setting.
    pub fn start(
        env: &Env,
        (job, name): (&str, &str),
        settings: &KafkaSettings,
        place: &KafkaPlace,
        rows: &RecordType,
        slide: Duration,
    ) -> Result<Self, Error> {
        let form = Form::of(settings.format, rows).map_err(|problem| {
            let message =
                format!("the plugin reads {rows} from source `{name}`, which messages do not give: {problem}");
            Error::new(ErrorKind::User, message).help(Form::HELP)
        })?;
        let group = settings.group.clone().unwrap_or_else(|| format!("millstream.{job}.{name}"));
        let log = env.kafka.log(place, &group).map_err(|error| {
            Error::new(ErrorKind::User, format!("source `{name}`: the client of Kafka cannot be made: {error}"))
                .help("correct the keys of the source, or its `options`")
        })?;
        let reader = KafkaReader {
            log: log.clone(),
            form,
            on_data_loss: settings.on_data_loss,
            on_bad_message: settings.on_bad_message,
            commits: Commits::new(settings.commits_offsets),
        };
        Ok(Self {
            source: name.to_owned(),
            settings: settings.clone(),
            slide,
            log,
            reader: Arc::new(reader),
            positions: Offsets::new(),
            is_begun: false,
            asked: None,
            answer: Ok(News::default()),
            partitions: None,
            rate: None,
            given: BTreeMap::new(),
            committing: Arc::default(),
            found_in_last_batch: true,
        })
    }

    fn range(&self, partition: &TopicPartition, from: i64, until: i64) -> InputPartition {
        InputPartition::Range(LogRange {
            source: self.source.clone(),
            partition: name_of(partition),
            from,
            until,
            is_last: false,
            checksum: None,
        })
    }

    fn question(&self, now: Duration) -> Question {
        Question {
            topics: self.settings.topics.clone(),
            start: self.settings.start.clone(),
            is_begun: self.is_begun,
            positions: self.positions.clone(),
            known: self
                .partitions
                .as_ref()
                .filter(|(at, _)| now < *at + news::KNOWN_TIME)
                .map(|(_, known)| known.clone()),
        }
    }

    /// The ranges of partitions that have lost records, and events. A partition that ends before its position is another
    /// one of the same name. If that is an error, a task finds it.
    fn lost(&mut self, news: &News, ranges: &mut Vec<InputPartition>, events: &mut Vec<Event>) {
        for (partition, start) in &news.restarted {
            let (Some(position), Some(end)) = (self.positions.get(partition).copied(), news.ends.get(partition)) else {
                continue;
            };
            if self.settings.on_data_loss == OnDataLoss::Fail {
                ranges.push(self.range(partition, position, position.saturating_add(1)));
                continue;
            }
            events.push(Event::DataLost {
                source: self.source.clone(),
                partition: name_of(partition),
                position,
                problem: format!("the partition ends at offset {end} now, and is read from offset {start}"),
            });
            self.positions.insert(partition.clone(), *start);
            // An empty range tells the allocation log of the position.
            ranges.push(self.range(partition, *start, *start));
        }
    }

    /// Tells the group, in the background. Offsets that are not told yet are told together.
    fn commit(&self, env: &Env, offsets: Offsets) {
        if let Some(waiting) = &mut *lock(&self.committing) {
            waiting.extend(offsets);
            return;
        }
        *lock(&self.committing) = Some(offsets);
        let (log, committing, source) = (self.log.clone(), self.committing.clone(), self.source.clone());
        let tell = async move {
            loop {
                let offsets = match &mut *lock(&committing) {
                    Some(waiting) if !waiting.is_empty() => std::mem::take(waiting),
                    done => {
                        *done = None;
                        return;
                    }
                };
                if let Err(error) = log.commit(offsets).await {
                    tracing::warn!(
                        "source `{source}`: the consumer group was not told how far the job has read: {error}"
                    );
                }
            }
        };
        env.control.spawn("commit of offsets", Box::pin(tell));
    }
}

impl Input for Kafka {
    fn source(&self) -> &str {
        &self.source
    }

    fn ranges(&self) -> Option<Arc<dyn RangeReader>> {
        Some(self.reader.clone())
    }

    fn limit_rate(&mut self, rate: watch::Receiver<Option<u64>>) -> bool {
        self.rate = Some(rate);
        true
    }

    fn resume(&mut self, history: InputHistory<'_>) -> Result<(), Error> {
        self.is_begun = !history.log_positions.is_empty();
        let known = history.log_positions.iter();
        self.positions = known.filter_map(|(name, position)| Some((partition_of(name)?, *position))).collect();
        for (batch, partitions) in &history.given {
            let offsets = partitions.iter().filter_map(|partition| match partition {
                InputPartition::Range(range) => Some((partition_of(&range.partition)?, range.until)),
                InputPartition::Block { .. } | InputPartition::Split(_) => None,
            });
            self.given.insert(*batch, offsets.collect());
        }
        Ok(())
    }

    /// Asks the brokers which partitions there are, and where they end. If they do not answer in time, the next batch waits
    /// for the same answer.
    fn prepare<'a>(&'a mut self, env: &'a Env) -> BoxFuture<'a, ()> {
        async move {
            let now = env.clock.monotonic();
            let mut asked = match self.asked.take() {
                Some(asked) => asked,
                None => self.question(now).ask(self.log.clone()).boxed(),
            };
            let (shortest, longest) = ANSWER_TIMES;
            let answer = tokio::select! {
                biased;
                answer = &mut asked => Some(answer),
                () = env.clock.sleep(self.slide.clamp(shortest, longest)) => None,
            };
            self.answer = match answer {
                Some(Ok(news)) => {
                    if self.question(now).known.is_none() {
                        self.partitions = Some((now, news.partitions.clone()));
                    }
                    Ok(news)
                }
                Some(Err(error)) => Err(error.to_string()),
                None => {
                    self.asked = Some(asked);
                    Err(format!("the brokers {} do not answer yet", self.settings.client.servers.join(", ")))
                }
            };
        }
        .boxed()
    }

    fn read(&mut self, _: &Env, batch: Time) -> Result<NewData, String> {
        let news = std::mem::replace(&mut self.answer, Ok(News::default()))?;
        let (mut ranges, mut events) = (Vec::new(), Vec::new());
        if let Some(problem) = &news.problem {
            events.push(Event::InputError { source: self.source.clone(), error: problem.clone() });
        }
        for (partition, start) in &news.starts {
            self.positions.insert(partition.clone(), *start);
            // An empty range tells the allocation log of the position.
            ranges.push(self.range(partition, *start, *start));
        }
        self.is_begun |= !news.starts.is_empty();
        self.lost(&news, &mut ranges, &mut events);
        let limits = Limits {
            rate: self.rate.as_ref().and_then(|rate| *rate.borrow()),
            max_rate_per_partition: self.settings.max_rate_per_partition,
            min_rate_per_partition: self.settings.min_rate_per_partition,
            interval: self.slide,
        };
        let untils = limits.untils(&self.positions, &news.ends);
        for (partition, until) in &untils {
            let from = self.positions.insert(partition.clone(), *until).unwrap_or(*until);
            // It is read in place of the empty range.
            ranges.retain(|range| !matches!(range, InputPartition::Range(range) if range.is_empty() && range.partition == name_of(partition)));
            ranges.push(self.range(partition, from, *until));
        }
        self.found_in_last_batch = !ranges.is_empty();
        if !untils.is_empty() {
            self.given.insert(batch, untils);
        }
        Ok(NewData { partitions: ranges, blocks: Vec::new(), events })
    }

    /// Every batch whose time has not passed yet may have data.
    fn next_data(&mut self, env: &Env, from: Time) -> Option<Time> {
        let now = env.clock.now();
        Some(if self.found_in_last_batch { from } else { at_or_after(now, self.slide) })
    }

    fn done(&mut self, env: &Env, batch: Time) {
        let given = self.given.remove(&batch).unwrap_or_default();
        let offsets = if self.settings.commits_offsets { given } else { self.reader.commits.take(batch) };
        if !offsets.is_empty() {
            self.commit(env, offsets);
        }
    }

    fn end<'a>(&'a mut self, env: &'a Env) -> BoxFuture<'a, ()> {
        async move {
            let last = env.clock.monotonic() + LAST_COMMIT_TIME;
            while lock(&self.committing).is_some() && env.clock.monotonic() < last {
                env.clock.sleep(Duration::from_millis(5)).await;
            }
        }
        .boxed()
    }

    fn is_used_up(&self) -> bool {
        !self.found_in_last_batch
    }
}

#[cfg(test)]
mod tests;
