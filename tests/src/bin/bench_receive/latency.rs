//! How late small batches are, without and with the log.

use crate::{Options, job};
use millstream_tests::live::{LiveHost, pause};
use millstream_tests::numbers::{median, quantile};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The batch interval.
const INTERVAL_MS: u64 = 1;
/// The number of lines in a millisecond.
const LINES_PER_MS: u64 = 100;
/// How long nothing is measured at the beginning.
const WARM_UP: Duration = Duration::from_secs(2);
/// The first letter of each line, after which comes the time.
const LINE: char = 't';

/// One measurement.
struct Measured {
    /// The processing times of the batches, in ms.
    processing: Vec<f64>,
    /// From the sending of the first line of a batch until the line was printed, in ms.
    from_receipt: Vec<f64>,
}

/// Measures both, round by round.
///
/// # Errors
/// Returns an error if a host or a server fails.
pub fn measure(directory: &Path, options: &Options) -> Result<(), String> {
    let mut ratios = Vec::new();
    for round in 0..options.rounds {
        let off = run(&directory.join(format!("off-{round}")), options, false)?;
        let on = run(&directory.join(format!("on-{round}")), options, true)?;
        for (what, measured) in [("off", &off), ("on", &on)] {
            println!(
                "log {what}: processing {} of {} batches, from receipt to output {}",
                shown(&measured.processing),
                measured.processing.len(),
                shown(&measured.from_receipt)
            );
        }
        let ratio = |of: fn(&Measured) -> &Vec<f64>, share: f64| quantile(of(&on), share) / quantile(of(&off), share);
        ratios.push([
            ratio(|measured| &measured.processing, 0.5),
            ratio(|measured| &measured.processing, 0.99),
            ratio(|measured| &measured.from_receipt, 0.5),
            ratio(|measured| &measured.from_receipt, 0.99),
        ]);
    }
    let of = |at: usize| median(&ratios.iter().map(|ratios| ratios[at]).collect::<Vec<_>>());
    println!(
        "log on / log off: processing p50 {:.2}, p99 {:.2}; from receipt to output p50 {:.2}, p99 {:.2}",
        of(0),
        of(1),
        of(2),
        of(3)
    );
    Ok(())
}

fn shown(times: &[f64]) -> String {
    format!("p50 {:.2} ms, p99 {:.2} ms", quantile(times, 0.5), quantile(times, 0.99))
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn run(directory: &Path, options: &Options, has_log: bool) -> Result<Measured, String> {
    let origin = Instant::now();
    let is_over = Arc::new(AtomicBool::new(false));
    let (address, sender) = serve(origin, is_over.clone())?;
    let job = job("first", address, INTERVAL_MS, has_log)?;
    let mut host = LiveHost::start_with(directory, &job, Stdio::piped())?;
    let output = host.take_output().ok_or("the host has no output")?;
    let reader = std::thread::spawn(move || {
        let mut seen: Vec<(Duration, f64)> = Vec::new();
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let sent_us = line.strip_prefix(LINE).and_then(|rest| rest.parse::<u64>().ok());
            if let Some(sent_us) = sent_us {
                let now = origin.elapsed();
                seen.push((now, (now.as_secs_f64() * 1e6 - sent_us as f64) / 1e3));
            }
        }
        seen
    });
    host.wait_for_batches(1)?;
    pause(WARM_UP);
    let from = origin.elapsed();
    host.events.read()?;
    let warm = host.events.batches.len();
    pause(Duration::from_secs(options.seconds));
    let until = origin.elapsed();
    host.events.read()?;
    let processing = host.events.batches.iter().skip(warm).map(|batch| batch.processing_ms).collect();
    is_over.store(true, Ordering::Relaxed);
    host.stop()?;
    let seen = reader.join().map_err(|_| "the reader panicked".to_owned())?;
    // If the thread panicked, the host got fewer lines.
    let _ = sender.join();
    let measured = seen.into_iter().filter(|(at, _)| (from..until).contains(at)).map(|(_, late)| late);
    Ok(Measured { processing, from_receipt: measured.collect() })
}

/// Serves one client: lines at a steady rate, each with its time since `origin` in microseconds.
#[expect(clippy::disallowed_methods, reason = "a load generator runs on the real clock")]
fn serve(origin: Instant, is_over: Arc<AtomicBool>) -> Result<(SocketAddr, JoinHandle<io::Result<()>>), String> {
    let failed = |error: io::Error| format!("cannot serve lines: {error}");
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let send = move || {
        let (mut client, _) = listener.accept()?;
        client.set_nodelay(true)?;
        let (begun, mut sent) = (Instant::now(), 0);
        while !is_over.load(Ordering::Relaxed) {
            let due = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX) * LINES_PER_MS / 1000;
            let line = format!("{LINE}{}\n", origin.elapsed().as_micros());
            let lines = line.repeat(usize::try_from(due - sent).unwrap_or_default());
            client.write_all(lines.as_bytes())?;
            sent = due;
            pause(Duration::from_micros(500));
        }
        Ok(())
    };
    Ok((address, std::thread::spawn(send)))
}
