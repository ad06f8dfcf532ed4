//! A source of Kafka in a simulated world: topics that grow, a cluster that is away, records that are removed, and a host
//! that restarts.

use super::*;
use crate::block::RangeError;
use crate::config::{KafkaClientSettings, KafkaFormat, KafkaStart, KafkaTopics, OnBadKafkaMessage, OnDataLoss};
use crate::env::Simulation;
use arrow::array::AsArray as _;

const SECOND: Duration = Duration::from_secs(1);

fn settings() -> KafkaSettings {
    KafkaSettings {
        client: KafkaClientSettings {
            servers: vec!["kafka:9092".to_owned()],
            tls: false,
            tls_ca: None,
            tls_client: None,
            login: None,
            options: BTreeMap::new(),
        },
        topics: KafkaTopics::Named(vec!["a".to_owned()]),
        start: KafkaStart::Earliest,
        group: Some("g".to_owned()),
        commits_offsets: true,
        format: KafkaFormat::Message,
        on_data_loss: OnDataLoss::Fail,
        on_bad_message: OnBadKafkaMessage::Fail,
        max_rate_per_partition: None,
        min_rate_per_partition: 1,
    }
}

fn partition(topic: &str, number: i32) -> TopicPartition {
    TopicPartition { topic: topic.to_owned(), number }
}

/// A job with one source, as far as the source sees the job.
struct Job {
    env: Env,
    settings: KafkaSettings,
    input: Kafka,
    /// The positions, as the allocation log has them.
    positions: BTreeMap<String, i64>,
    given: Vec<(Time, Vec<InputPartition>)>,
    batch: Time,
    rate: Option<watch::Sender<Option<u64>>>,
}

/// The result of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
struct Batch {
    /// The values of each range that is not empty, with the range.
    values: Vec<(String, Vec<String>)>,
    /// The errors of tasks.
    errors: Vec<String>,
    /// The events.
    events: Vec<String>,
    /// The error of the input.
    refused: Option<String>,
}

impl Job {
    fn new(env: &Env, settings: &KafkaSettings) -> Self {
        let input = Self::input(env, settings);
        let batch = env.clock.now();
        let (env, settings) = (env.clone(), settings.clone());
        Self { env, settings, input, positions: BTreeMap::new(), given: Vec::new(), batch, rate: None }
    }

    fn input(env: &Env, settings: &KafkaSettings) -> Kafka {
        let place = KafkaPlace { servers: settings.client.servers.clone(), values: BTreeMap::new() };
        Kafka::start(env, ("job", "words"), settings, &place, &RecordType::text(), SECOND).unwrap()
    }

    /// Starts the host again.
    fn restart(&mut self) {
        self.input = Self::input(&self.env, &self.settings);
        let history = InputHistory {
            started: Time::default(),
            last_batch: Some(self.batch),
            next_block: 0,
            checksum: None,
            log_positions: self.positions.clone(),
            given: self.given.clone(),
            needed: Vec::new(),
            is_outcome_known: &|_| true,
        };
        self.input.resume(history).unwrap();
    }

    /// Makes the next batch, at its time, and reads its ranges.
    async fn batch(&mut self) -> Batch {
        self.batch = self.batch + SECOND;
        self.env.clock.sleep_until(self.batch).await;
        self.input.prepare(&self.env).await;
        let data = match self.input.read(&self.env, self.batch) {
            Ok(data) => data,
            Err(refused) => return Batch { refused: Some(refused), ..Batch::default() },
        };
        let mut batch = Batch { events: data.events.iter().map(ToString::to_string).collect(), ..Batch::default() };
        self.given.push((self.batch, data.partitions.clone()));
        for partition in &data.partitions {
            let InputPartition::Range(range) = partition else { panic!("{partition:?}") };
            self.positions.insert(range.partition.clone(), range.until);
            if range.is_empty() {
                continue;
            }
            match Self::read(self.input.ranges().unwrap(), range).await {
                Ok((values, faults)) => {
                    batch.values.push((range.to_string(), values));
                    batch.events.extend(faults);
                }
                Err(error) => batch.errors.push(error.problem),
            }
        }
        batch
    }

    async fn read(ranges: Arc<dyn RangeReader>, range: &LogRange) -> Result<(Vec<String>, Option<String>), RangeError> {
        let mut rows = ranges.open(range)?;
        let mut values = Vec::new();
        while let Some(chunk) = rows.next_chunk().await? {
            values.extend(chunk.column(0).as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        let faults = rows.faults();
        let refused =
            faults.refused.map(|refused| format!("{} from {}: {}", refused.messages, refused.first, refused.problem));
        let gone = faults
            .gone
            .map(|gone| format!("gone: {} to {}, has {} to {}", gone.from, gone.until, gone.start, gone.end));
        Ok((values, refused.or(gone)))
    }
}

/// Runs a test in a simulated world, under some schedules.
fn simulated<F: Future<Output = ()> + Send + 'static>(test: impl Fn(Arc<Simulation>) -> F) {
    for seed in 0..4 {
        let simulation = Arc::new(Simulation::new(seed, Time::from_ms(1_000_000)));
        simulation.run(test(simulation.clone())).unwrap();
    }
}

fn send(simulation: &Simulation, of: &TopicPartition, values: &[&str]) {
    values.iter().for_each(|value| simulation.kafka_record(Time::default(), of, None, Some(value.as_bytes())));
}

fn values(of: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    of.iter().map(|(range, values)| ((*range).to_owned(), values.iter().map(ToString::to_string).collect())).collect()
}

#[test]
fn each_record_is_read_once_whenever_the_host_restarts() {
    simulated(async |simulation: Arc<Simulation>| {
        let (a0, a1) = (partition("a", 0), partition("a", 1));
        send(&simulation, &a0, &["1", "2"]);
        simulation.kafka_marker(Time::default(), &a0);
        send(&simulation, &a1, &["3"]);
        let mut job = Job::new(&simulation.env(), &settings());
        let first = job.batch().await;
        assert_eq!(first.values, values(&[("a/0 from 0 to 3", &["1", "2"]), ("a/1 from 0 to 1", &["3"])]));
        assert_eq!(job.batch().await, Batch::default());
        send(&simulation, &a1, &["4"]);
        job.restart();
        // A topic that grows while the host is down.
        send(&simulation, &partition("a", 2), &["5"]);
        let second = job.batch().await;
        assert_eq!(second.values, values(&[("a/1 from 1 to 2", &["4"]), ("a/2 from 0 to 1", &["5"])]));
        // And one that grows while it runs.
        send(&simulation, &partition("a", 3), &["6"]);
        let mut later = Vec::new();
        for _ in 0..3 {
            later.extend(job.batch().await.values);
        }
        assert_eq!(later, values(&[("a/3 from 0 to 1", &["6"])]));
        // What a batch was given stays what it was.
        for (_, partitions) in job.given.clone() {
            for range in partitions {
                let InputPartition::Range(range) = range else { panic!("{range:?}") };
                assert!(Job::read(job.input.ranges().unwrap(), &range).await.is_ok());
            }
        }
    });
}

#[test]
fn a_job_begins_where_the_job_file_says() {
    let starts = [
        (KafkaStart::Earliest, &["1", "2", "3"][..]),
        (KafkaStart::Latest, &[]),
        (KafkaStart::Committed, &["3"]),
        (KafkaStart::Since(Time::from_ms(2)), &["2", "3"]),
        (KafkaStart::Offsets([(("a".to_owned(), 0), 1)].into()), &["2", "3"]),
    ];
    for (start, expected) in starts {
        simulated(move |simulation: Arc<Simulation>| {
            let (start, expected) = (start.clone(), expected.to_vec());
            async move {
                let of = partition("a", 0);
                for (at, value) in [(1, "1"), (2, "2"), (3, "3")] {
                    simulation.kafka_record(Time::from_ms(at), &of, None, Some(value.as_bytes()));
                }
                let place = KafkaPlace { servers: Vec::new(), values: BTreeMap::new() };
                let log = simulation.env().kafka.log(&place, "g").unwrap();
                log.commit(Offsets::from([(of.clone(), 2)])).await.unwrap();
                let mut job = Job::new(&simulation.env(), &KafkaSettings { start: start.clone(), ..settings() });
                let found: Vec<String> = job.batch().await.values.into_iter().flat_map(|(_, values)| values).collect();
                assert_eq!(found, expected, "{start:?}");
                // A position without records is remembered, too.
                assert!(job.positions.contains_key("a/0"), "{start:?}");
                send(&simulation, &of, &["4"]);
                job.restart();
                assert_eq!(job.batch().await.values, values(&[("a/0 from 3 to 4", &["4"])]), "{start:?}");
            }
        });
    }
}

#[test]
fn patterns_and_partitions_choose_what_is_read() {
    simulated(async |simulation: Arc<Simulation>| {
        for topic in ["a", "b1", "b2", "__b"] {
            send(&simulation, &partition(topic, 0), &[topic]);
            send(&simulation, &partition(topic, 1), &[topic]);
        }
        let of = |topics: KafkaTopics| KafkaSettings { topics, ..settings() };
        let mut job = Job::new(&simulation.env(), &of(KafkaTopics::Patterns(vec!["b*".to_owned(), "c".to_owned()])));
        let found: Vec<String> = job.batch().await.values.into_iter().map(|(range, _)| range).collect();
        assert_eq!(found, ["b1/0", "b1/1", "b2/0", "b2/1"].map(|name| format!("{name} from 0 to 1")));
        send(&simulation, &partition("c", 0), &["new"]);
        let mut later = Vec::new();
        for _ in 0..3 {
            later.extend(job.batch().await.values);
        }
        assert_eq!(later, values(&[("c/0 from 0 to 1", &["new"])]));
        let assigned = vec![("a".to_owned(), 1), ("a".to_owned(), 7)];
        let mut job = Job::new(&simulation.env(), &of(KafkaTopics::Assigned(assigned)));
        let batch = job.batch().await;
        assert_eq!(batch.values, values(&[("a/1 from 0 to 1", &["a"])]));
        assert_eq!(batch.events, ["InputError words: there is no partition a/7"]);
        let missing = KafkaTopics::Named(vec!["a".to_owned(), "zz".to_owned()]);
        let batch = Job::new(&simulation.env(), &of(missing)).batch().await;
        assert_eq!((batch.values.len(), batch.events), (2, vec!["InputError words: there is no topic zz".to_owned()]));
    });
}

#[test]
fn records_that_are_gone_fail_the_batch_or_are_left_out() {
    for on_data_loss in [OnDataLoss::Fail, OnDataLoss::Skip] {
        simulated(move |simulation: Arc<Simulation>| async move {
            let of = partition("a", 0);
            send(&simulation, &of, &["1", "2", "3", "4"]);
            let settings = KafkaSettings { on_data_loss, max_rate_per_partition: Some(1), ..settings() };
            let mut job = Job::new(&simulation.env(), &settings);
            assert_eq!(job.batch().await.values, values(&[("a/0 from 0 to 1", &["1"])]));
            simulation.kafka_removes(Time::default(), &of, 3);
            let (second, third) = (job.batch().await, job.batch().await);
            if on_data_loss == OnDataLoss::Fail {
                let expected =
                    "partition a/0 has offsets 3 to 4, and the batch reads 1 to 2: older records were removed";
                assert_eq!(second.errors, [expected]);
                return;
            }
            assert_eq!(second.values, values(&[("a/0 from 1 to 2", &[])]));
            assert_eq!(second.events, ["gone: 1 to 2, has 3 to 4"]);
            assert_eq!(third.events, ["gone: 2 to 3, has 3 to 4"]);
            assert_eq!(job.batch().await.values, values(&[("a/0 from 3 to 4", &["4"])]));
        });
    }
}

#[test]
fn a_partition_that_ends_before_its_position_is_noticed() {
    for on_data_loss in [OnDataLoss::Fail, OnDataLoss::Skip] {
        simulated(move |simulation: Arc<Simulation>| async move {
            send(&simulation, &partition("a", 0), &["1", "2"]);
            let mut job = Job::new(&simulation.env(), &KafkaSettings { on_data_loss, ..settings() });
            // The batches before were given records of an earlier topic of the name.
            job.positions.insert("a/0".to_owned(), 50);
            job.restart();
            let batch = job.batch().await;
            if on_data_loss == OnDataLoss::Fail {
                let expected = "partition a/0 has offsets 0 to 2, and the batch reads 50 to 51: the topic was made again or \
                                was truncated";
                assert_eq!(batch.errors, [expected]);
                return;
            }
            let expected = "DataLost words: whatever followed position 50 of a/0 is lost: the partition ends at offset 2 now, \
                            and is read from offset 0";
            assert_eq!(batch.events, [expected]);
            assert_eq!(batch.values, values(&[("a/0 from 0 to 2", &["1", "2"])]));
        });
    }
}

#[test]
fn batches_do_not_wait_long_for_brokers_that_are_away() {
    simulated(async |simulation: Arc<Simulation>| {
        let start = simulation.env().clock.now();
        send(&simulation, &partition("a", 0), &["1"]);
        simulation.kafka_away(start + Duration::from_millis(2500), start + Duration::from_millis(6500));
        let mut job = Job::new(&simulation.env(), &settings());
        assert_eq!(job.batch().await.values.len(), 1);
        assert_eq!(job.batch().await, Batch::default());
        send(&simulation, &partition("a", 0), &["2"]);
        for _ in 0..3 {
            let refused = "the brokers kafka:9092 do not answer yet";
            assert_eq!(job.batch().await.refused.as_deref(), Some(refused));
        }
        let mut later = Vec::new();
        for _ in 0..3 {
            later.extend(job.batch().await.values);
        }
        assert_eq!(later, values(&[("a/0 from 1 to 2", &["2"])]));
    });
}

#[test]
fn the_group_is_told_of_batches_that_are_done() {
    for commits_offsets in [true, false] {
        simulated(move |simulation: Arc<Simulation>| async move {
            let of = partition("a", 0);
            let env = simulation.env();
            let mut job = Job::new(&env, &KafkaSettings { commits_offsets, ..settings() });
            for value in ["1", "2", "3"] {
                send(&simulation, &of, &[value]);
                job.batch().await;
            }
            let batches: Vec<Time> = job.given.iter().map(|(batch, _)| *batch).collect();
            assert_eq!(simulation.kafka_committed("g", &of), None);
            for (batch, expected) in batches.into_iter().zip([1, 2, 3]) {
                job.input.done(&env, batch);
                job.input.end(&env).await;
                assert_eq!(simulation.kafka_committed("g", &of), commits_offsets.then_some(expected));
            }
        });
    }
}

#[test]
fn a_rate_limits_what_a_batch_takes() {
    simulated(async |simulation: Arc<Simulation>| {
        let texts: Vec<String> = (0..100).map(|number: u32| number.to_string()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        send(&simulation, &partition("a", 0), &texts[..75]);
        send(&simulation, &partition("a", 1), &texts[75..]);
        let mut job = Job::new(&simulation.env(), &settings());
        let (rate, limited) = watch::channel(Some(20));
        assert!(job.input.limit_rate(limited));
        job.rate = Some(rate);
        let ranges = |batch: Batch| batch.values.into_iter().map(|(range, _)| range).collect::<Vec<_>>();
        assert_eq!(ranges(job.batch().await), ["a/0 from 0 to 15", "a/1 from 0 to 5"]);
        job.rate.as_ref().unwrap().send_replace(Some(0));
        assert_eq!(ranges(job.batch().await), ["a/0 from 15 to 16", "a/1 from 5 to 6"]);
        job.rate.as_ref().unwrap().send_replace(None);
        assert_eq!(ranges(job.batch().await), ["a/0 from 16 to 75", "a/1 from 6 to 25"]);
    });
}

#[test]
fn a_message_that_is_no_record_is_named_by_its_offset() {
    for on_bad_message in [OnBadKafkaMessage::Fail, OnBadKafkaMessage::Skip] {
        simulated(move |simulation: Arc<Simulation>| async move {
            let of = partition("a", 0);
            send(&simulation, &of, &["1"]);
            simulation.kafka_record(Time::default(), &of, None, Some(b"\xff"));
            send(&simulation, &of, &["2"]);
            let batch = Job::new(&simulation.env(), &KafkaSettings { on_bad_message, ..settings() }).batch().await;
            if on_bad_message == OnBadKafkaMessage::Fail {
                let expected = "offset 1 of partition a/0 is no record: its value is not UTF-8 after byte 0";
                assert_eq!(batch.errors, [expected]);
                return;
            }
            assert_eq!(batch.values, values(&[("a/0 from 0 to 3", &["1", "2"])]));
            assert_eq!(batch.events, ["1 from 1: its value is not UTF-8 after byte 0"]);
        });
    }
}
