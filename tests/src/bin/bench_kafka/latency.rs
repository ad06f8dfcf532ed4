//! How long it takes from sending a record to seeing it in the other topic.

use super::Options;
use super::job::{self, DELIVERIES};
use millstream_tests::kafka_broker::Broker;
use millstream_tests::live::pause;
use millstream_tests::numbers::quantile;
use std::path::Path;
use std::time::{Duration, Instant};

const INTERVALS_MS: [u64; 2] = [1, 10];
/// The time between two records.
const GAP: Duration = Duration::from_millis(1);
/// Records that are sent before the others, so that all connections are there.
const WARM_UP: u64 = 1000;

/// Measures, and prints the quantiles.
pub fn measure(broker: &Broker, directory: &Path, options: &Options) -> Result<(), String> {
    for delivery in DELIVERIES {
        for interval_ms in INTERVALS_MS {
            let (from, to) = (format!("from-{delivery}-{interval_ms}"), format!("to-{delivery}-{interval_ms}"));
            broker.make_topic(&from, 1, 1);
            broker.make_topic(&to, 1, 1);
            let host = job::start(broker, directory, (&from, &to), delivery, interval_ms)?;
            let latencies = latencies(broker, (&from, &to), WARM_UP + options.seconds * 1000);
            host.kill()?;
            let of = |share| quantile(&latencies, share);
            println!(
                "{delivery}, batches of {interval_ms:>2} ms: p50 {:.1} ms, p99 {:.1} ms, largest {:.1} ms",
                of(0.5),
                of(0.99),
                of(1.0)
            );
        }
    }
    Ok(())
}

/// The latency of each record after the first ones, in ms.
fn latencies(broker: &Broker, (from, to): (&str, &str), records: u64) -> Vec<f64> {
    let origin = now();
    let micros = |instant: Instant| instant.duration_since(origin).as_micros() as u64;
    let mut latencies = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let sender = broker.producer();
            for number in 0..records {
                let record = format!("{number} {} {}", micros(now()), "x".repeat(80));
                Broker::send_by(&sender, from, 0, &record);
                pause(GAP);
            }
            Broker::flush(&sender);
        });
        let mut seen = 0;
        broker.follow(to, |record| {
            let at = micros(now());
            let value = record.value.unwrap_or_default();
            let mut words = value.split(' ');
            let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or_default();
            let (number, sent) = (number(), number());
            if number >= WARM_UP {
                latencies.push(at.saturating_sub(sent) as f64 / 1000.0);
            }
            seen += 1;
            seen < records
        });
    });
    latencies
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    Instant::now()
}
