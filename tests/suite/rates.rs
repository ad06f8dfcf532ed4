//! Rates of receivers in a simulated world, where each record takes the time that the test says.

use super::support::simulated::{Death, Job, Outcome, START};
use async_trait::async_trait;
use host::engine::{FaultInjector, FaultPoint};
use host::env::Connection;
use host::ids::{StageId, TaskId};
use host::listener::{BatchInfo, Event, RateLimitInfo, StreamingListener};
use host::receiver::{Receiver, ReceiverContext, ReceiverError, Receivers};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a record takes. Tasks run one at a time, so that the capacity is 2000 records a second.
const RECORD: Duration = Duration::from_micros(500);

/// How many records a second a job can process.
const CAPACITY: u64 = 2000;

/// Makes each record that the first stage reads take its time.
struct Slow;

impl FaultInjector for Slow {
    fn fails(&self, _: TaskId, _: u32, _: FaultPoint) -> bool {
        false
    }

    fn stalls(&self, task: TaskId, rows_read: u64) -> Duration {
        if task.stage == StageId(0) {
            RECORD * u32::try_from(rows_read).expect("batches are small")
        } else {
            Duration::ZERO
        }
    }
}

/// What listeners were told of batches and rates.
#[derive(Default)]
struct Told {
    batches: Mutex<Vec<BatchInfo>>,
    /// The limits, each with the number of batches that were completed before.
    rates: Mutex<Vec<(usize, RateLimitInfo)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StreamingListener for Told {
    fn on_event(&self, event: &Event) {
        match event {
            Event::BatchCompleted(info) => lock(&self.batches).push(info.clone()),
            Event::RateLimitChanged(info) => {
                let batches = lock(&self.batches).len();
                lock(&self.rates).push((batches, info.clone()));
            }
            _ => {}
        }
    }
}

impl Told {
    /// The scheduling delay of each batch, in ms.
    fn delays_ms(&self) -> Vec<u128> {
        let batches = lock(&self.batches);
        batches.iter().map(|info| info.scheduling_delay.expect("the batch is done").as_millis()).collect()
    }

    /// The number of records of each batch.
    fn records(&self) -> Vec<u64> {
        lock(&self.batches).iter().map(BatchInfo::num_records).collect()
    }

    /// The limits, with the words for their reasons.
    fn limits(&self) -> Vec<(Option<u64>, &'static str)> {
        lock(&self.rates).iter().map(|(_, info)| (info.limit.rate, info.limit.reason.word())).collect()
    }
}

/// Makes a job that counts the words of a server. The server sends `rate` lines a second, unless it has to wait.
fn job(rate: u64, seconds: u64, line: &str, tables: &str) -> (Job, Arc<Told>) {
    let lines = line.repeat((rate / 100) as usize).into_bytes();
    let sends = (0..seconds * 100).map(|_| (Duration::from_millis(10), lines.clone())).collect();
    let mut job = Job::on_queue("network_word_count", "").with_faults(Slow);
    job.job_file = format!(
        "[job]\nname = \"rates\"\nbatch_interval = \"1s\"\n\n[sources.lines]\ntype = \"socket\"\n\
         address = \"server:9999\"\n[engine]\nthreads = 1\n{tables}"
    );
    job.servers = vec![("server:9999".to_owned(), vec![Connection { sends, stays_open: true }])];
    let told = Arc::new(Told::default());
    job.listeners = vec![told.clone()];
    (job, told)
}

/// The time of the last line of the log, in ms.
fn ended_ms(outcome: &Outcome) -> u64 {
    let line = outcome.log.last().expect("there is a log");
    line.split(' ').next().and_then(|ms| ms.parse().ok()).expect("a log line begins with a time")
}

fn is_near_capacity(rate: u64) -> bool {
    (CAPACITY * 9 / 10..=CAPACITY * 11 / 10).contains(&rate)
}

/// S12.20, S15.18: a source at twice the capacity. Without backpressure, each batch waits longer than the one before it.
/// With backpressure, the delay is below one batch interval within 30 batches and stays there, and the rate is within
/// 10 % of the capacity.
#[test]
fn backpressure_settles_at_the_capacity() {
    let (mut job, told) = self::job(2 * CAPACITY, 60, "word\n", "");
    job.stop_after = Some(20);
    assert_eq!(job.run().result, Ok(()));
    let delays = told.delays_ms();
    assert!(delays.is_sorted() && delays.last() > Some(&8000), "{delays:?}");
    for (seed, initial) in [(1, ""), (2, ""), (3, "initial_rate = 500\n"), (4, "initial_rate = 3000\n")] {
        let (job, told) = self::job(2 * CAPACITY, 120, "word\n", &format!("[backpressure]\nenabled = true\n{initial}"));
        let mut job = job.with_seed(seed);
        job.stop_after = Some(60);
        let outcome = job.run();
        assert_eq!(outcome.result, Ok(()));
        let (delays, records) = (told.delays_ms(), told.records());
        assert!(delays[30..].iter().all(|delay| *delay < 1000), "{delays:?}");
        let settled = &records[30..59];
        assert!(is_near_capacity(settled.iter().sum::<u64>() / settled.len() as u64), "{records:?}");
        let limits = lock(&told.rates).clone();
        let late = limits.iter().rev().take_while(|(batches, _)| *batches > 30).map(|(_, info)| &info.limit);
        let late: Vec<_> = late.map(|limit| (limit.rate, limit.reason.word())).collect();
        let is_settled =
            |(rate, word): &(Option<u64>, &str)| rate.is_some_and(is_near_capacity) && *word == "backpressure";
        assert!(!late.is_empty() && late.iter().all(is_settled), "{limits:?}");
        assert_eq!(outcome.totals().into_values().sum::<u64>(), records.iter().sum::<u64>());
    }
}

/// S12.18: a receiver takes no more records than the job file allows, and loses none.
#[test]
fn a_receiver_takes_no_more_than_the_largest_rate() {
    let (mut job, told) = self::job(CAPACITY, 30, "word\n", "[receiver]\nmax_rate = 300\n");
    job.stop_after = Some(10);
    let outcome = job.run();
    assert_eq!(outcome.result, Ok(()));
    let records = told.records();
    // A block of 60 records may be in either of two batches, and the last batch has all that was received.
    assert!(records[..9].iter().all(|count| *count <= 300 + 60 + 31), "{records:?}");
    let sum: u64 = records[..9].iter().sum();
    assert!((8 * 300 - 60..=9 * 300 + 31).contains(&sum), "{records:?}");
    assert_eq!(told.limits(), [(Some(300), "max_rate")]);
    assert_eq!(outcome.totals().into_values().sum::<u64>(), records.iter().sum::<u64>());
}

/// S1.27, S12.18: a graceful stop does not wait for the rate, and processes all records that were received.
#[test]
fn a_graceful_stop_does_not_wait_for_the_rate() {
    let (mut job, told) = self::job(100_000, 1, "word\n", "[receiver]\nmax_rate = 10\n");
    job.stop_at = vec![START + Duration::from_millis(3100)];
    let outcome = job.run();
    assert_eq!(outcome.result, Ok(()));
    // All lines of the first piece that the server has sent, of which the rate let few in.
    assert_eq!(outcome.totals().into_values().sum::<u64>(), 1000);
    let records = told.records();
    assert!(records.iter().rev().skip(1).sum::<u64>() <= 32, "{records:?}");
    let stopping = ended_ms(&outcome) - START.as_ms() - 3100;
    assert!(stopping < 1500, "the stop took {stopping} ms");
}

/// S12.20: after a restart, the initial rate holds again until batches of the new host were measured, whatever the rate
/// was before and however long the batches of the old host waited.
#[test]
fn the_initial_rate_holds_after_a_restart() {
    let (job, told) = self::job(2 * CAPACITY, 60, "word\n", "[backpressure]\nenabled = true\ninitial_rate = 400\n");
    let mut job = job.with_checkpoint();
    let again = job.servers[0].1[0].clone();
    job.servers[0].1.push(again);
    job.stop_after = Some(15);
    let outcome = job.run_through(&[Death::AfterBatch(12)]);
    assert_eq!(outcome.result, Ok(()));
    let rates = lock(&told.rates).clone();
    let starts: Vec<usize> =
        rates.iter().filter(|(_, info)| info.limit.reason.word() == "initial").map(|(batches, _)| *batches).collect();
    assert_eq!((starts.len(), starts[0]), (2, 0), "{rates:?}");
    let batches = lock(&told.batches).clone();
    for start in starts {
        let before = batches[..start].iter().map(|info| info.batch_time).max();
        let new: Vec<&BatchInfo> =
            batches[start..].iter().filter(|info| Some(info.batch_time) > before && info.num_records() > 0).collect();
        // The second of these batches is received while the first is processed. A block may be in either of them.
        let records: Vec<u64> = new.iter().map(|info| info.num_records()).collect();
        assert!(records[0] + records[1] <= 800 + 41, "{records:?}");
        assert!(records.iter().max() > Some(&1000), "{records:?}");
    }
    assert!(rates.iter().any(|(_, info)| info.limit.rate > Some(1500)), "{rates:?}");
}

/// Stores lines as fast as it can, and counts those that the host has taken.
struct Eager {
    taken: Arc<Mutex<u64>>,
    is_reliable: bool,
}

#[async_trait]
impl Receiver for Eager {
    async fn run(&mut self, context: &ReceiverContext) -> Result<(), ReceiverError> {
        let line = format!("{}\n", "x".repeat(999));
        while !context.is_stopped() {
            context.sleep(Duration::from_millis(25)).await;
            if self.is_reliable {
                context.store_lines(&vec![line.trim_end(); 100]).await?;
            } else {
                context.store_bytes(line.repeat(100).as_bytes()).await?;
            }
            *lock(&self.taken) += 100;
        }
        Ok(())
    }
}

/// S2.51: a source at twice the capacity fills the block store. Nothing fails then and nothing is lost: the receiver waits,
/// and so batches wait no longer than the records of the store take.
#[test]
fn a_full_store_never_ends_in_an_error() {
    for is_reliable in [false, true] {
        let (mut job, told) = self::job(100, 0, "", "[receiver]\nstore_limit = \"16MiB\"\n");
        job.job_file = job
            .job_file
            .replace("type = \"socket\"\naddress = \"server:9999\"", "type = \"custom\"\nreceiver = \"eager\"");
        let taken = Arc::new(Mutex::new(0));
        let counted = taken.clone();
        let eager = move |_: &mut _| {
            let receiver: Box<dyn Receiver> = Box::new(Eager { taken: counted.clone(), is_reliable });
            Ok(receiver)
        };
        job.receivers = Receivers::default().with("eager", eager);
        job.stop_after = Some(20);
        let outcome = job.run();
        assert_eq!(outcome.result, Ok(()));
        let bad = ["ReceiverError", "RecordsDropped", "RecordsLost", "LinesDropped"];
        assert!(!outcome.log.iter().any(|line| bad.iter().any(|bad| line.contains(bad))), "{:#?}", outcome.log);
        let (taken, counted) = (*lock(&taken), outcome.totals().into_values().sum::<u64>());
        assert_eq!(taken, counted);
        let (delays, records) = (told.delays_ms(), told.records());
        // The store holds less than 16 thousand of these lines, which take less than eight seconds.
        assert!(delays.iter().all(|delay| *delay < 8000), "{delays:?}");
        let seconds = (ended_ms(&outcome) - START.as_ms()) / 1000;
        assert!(taken > CAPACITY * seconds * 8 / 10, "the job was idle: {records:?}");
        assert!(taken < 2 * CAPACITY * 20 * 8 / 10, "the source did not wait: {records:?}");
    }
}
