//! The benchmark of small batches: how long they take, whether they wait, and what an idle host costs.
//!
//! `cargo run --release -p millstream-tests --bin bench-batches -- [--seconds N] [--interval-ms N] [--records N]
//! [--rounds N] [--pages N]`
//!
//! Runs `host run` in real time on a queue of small batches of words, which the example network_word_count counts with
//! its limits on. Reads from the events file the processing time and scheduling delay of each batch, the time from exec
//! to StreamingStarted, and the time from there to the end of the first batch. Prints how much memory the host had.
//! With `--rounds`, the host runs that often without and that often with a checkpoint directory, in turn, and the
//! benchmark prints the cost of checkpoints. With `--pages` as well, the host has no checkpoint directory but so many open
//! pages, and a scrape of its metrics each second, and the benchmark prints the cost of these.

use millstream_tests::arguments::{self, Place};
use millstream_tests::live::pause;
use millstream_tests::{http_client, programs};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

struct Options {
    seconds: u64,
    interval_ms: u64,
    records: u64,
    /// The number of runs without and of runs with checkpoints, in turn; 0 for one run without checkpoints.
    rounds: u64,
    /// The number of open pages in place of checkpoints; 0 for checkpoints.
    pages: u64,
}

/// What a run has that other runs do not have.
#[derive(Clone, Copy)]
enum Extra {
    Nothing,
    Checkpoints,
    /// So many open pages, and a scrape each second.
    Pages(u64),
}

fn main() -> ExitCode {
    arguments::end(options().and_then(|options| run(&options)))
}

fn options() -> Result<Options, String> {
    let mut options = Options { seconds: 60, interval_ms: 10, records: 100, rounds: 0, pages: 0 };
    arguments::read(vec![
        ("--seconds", Place::Number(&mut options.seconds)),
        ("--interval-ms", Place::Number(&mut options.interval_ms)),
        ("--records", Place::Number(&mut options.records)),
        ("--rounds", Place::Number(&mut options.rounds)),
        ("--pages", Place::Number(&mut options.pages)),
    ])?;
    Ok(options)
}

fn run(options: &Options) -> Result<(), String> {
    let directory = std::env::temp_dir().join(format!("millstream-bench-{}", std::process::id()));
    let outcome = measure(&directory, options);
    // If the directory cannot be removed, the system removes it with other temporary files.
    let _ = std::fs::remove_dir_all(&directory);
    outcome
}

fn measure(directory: &Path, options: &Options) -> Result<(), String> {
    let failed = |what: &str, error: std::io::Error| format!("cannot {what}: {error}");
    std::fs::create_dir_all(directory).map_err(|error| failed("make a directory", error))?;
    let batches = options.seconds * 1000 / options.interval_ms.max(1);
    let write = |name: &str, text: &str| std::fs::write(directory.join(name), text);
    write("queue.jsonl", &queue(batches, options.records)).map_err(|error| failed("write the queue", error))?;
    let plugin = programs::plugin_path("network_word_count").canonicalize();
    let plugin = plugin.map_err(|error| failed("find the plugin", error))?;
    let job = format!(
        "[job]\nname = \"bench\"\nplugin = {plugin:?}\nbatch_interval = \"{}ms\"\n\n\
         [sources.lines]\ntype = \"queue\"\npath = \"queue.jsonl\"\n\n[engine]\nthreads = 2\n",
        options.interval_ms
    );
    write("job.toml", &job).map_err(|error| failed("write the job file", error))?;
    let bin = std::env::current_exe().map_err(|error| failed("find this program", error))?.with_file_name("host");
    let bench = |extra: Extra, stop_after: u64| {
        let begun_ms = now_ms();
        // Each run begins with a directory of its own.
        let _ = std::fs::remove_dir_all(directory.join("checkpoint"));
        let memory_kib = run_host(&bin, directory, stop_after, extra)?;
        let events = std::fs::read_to_string(directory.join("events")).map_err(|error| failed("read events", error))?;
        Measured::read(&events, begun_ms, memory_kib)
    };
    // The first run compiles the plugin.
    bench(Extra::Nothing, 1)?;
    if options.rounds == 0 {
        bench(Extra::Nothing, batches)?.report(options);
        return Ok(());
    }
    let (extra, name) = match options.pages {
        0 => (Extra::Checkpoints, "checkpoints"),
        pages => (Extra::Pages(pages), "pages"),
    };
    let (mut ratios, mut slowest, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let (without, with) = (bench(Extra::Nothing, batches)?, bench(extra, batches)?);
        for (what, measured) in [("without", &without), ("with", &with)] {
            println!("---- {what} {name}");
            measured.report(options);
        }
        ratios.push(with.batches_per_second() / without.batches_per_second());
        slowest.push(with.slowest_ms() / without.slowest_ms());
        memory.push(with.memory_kib as f64 / 1024.0 - without.memory_kib as f64 / 1024.0);
    }
    println!("---- rate with {name} / without: {ratios:.3?}");
    println!("---- p99 of the processing time with {name} / without: {slowest:.3?}");
    println!("---- memory with {name} beyond that without, in MiB: {memory:.1?}");
    Ok(())
}

/// A queue of batches of words, many of which repeat.
fn queue(batches: u64, records: u64) -> String {
    let mut lines = String::new();
    for batch in 0..batches {
        let words = (0..records).map(|record| format!("\"word{}\"", (batch * 31 + record * 7) % 57));
        let _ = writeln!(lines, "[{}]", words.collect::<Vec<_>>().join(","));
    }
    lines
}

/// Runs the host to its end and returns the largest resident memory that was seen, in KiB.
fn run_host(program: &Path, directory: &Path, stop_after: u64, extra: Extra) -> Result<u64, String> {
    let mut command = Command::new(program);
    command.args(["run", "job.toml", "--quiet", "--events", "events", "--stop-after", &stop_after.to_string()]);
    let mut address = None;
    match extra {
        Extra::Nothing => {}
        Extra::Checkpoints => _ = command.args(["--set", "job.checkpoint=checkpoint"]),
        Extra::Pages(_) => {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let free = free.map_err(|error| format!("cannot find a free port: {error}"))?;
            command.args(["--set", &format!("ui.address={free}")]);
            address = Some(free);
        }
    }
    command.current_dir(directory).stdout(Stdio::null()).env("MILLSTREAM_LOG", "error");
    let mut child = command.spawn().map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    if let (Some(address), Extra::Pages(pages)) = (address, extra) {
        (0..pages).for_each(|_| drop(std::thread::spawn(move || keep_open(address))));
        std::thread::spawn(move || scrape(address));
    }
    let mut memory_kib = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let seen =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        memory_kib = seen.unwrap_or(memory_kib);
        match child.try_wait().map_err(|error| format!("cannot wait for the host: {error}"))? {
            Some(status) if status.success() => return Ok(memory_kib),
            Some(status) => return Err(format!("the host ended with {status}")),
            #[expect(clippy::disallowed_methods, reason = "a benchmark runs in real time")]
            None => std::thread::sleep(std::time::Duration::from_millis(20)),
        }
    }
}

/// What a page of the host sends to the end: its size. `None` if nobody answers.
fn ask(address: SocketAddr, path: &str) -> Option<u64> {
    let mut connection = TcpStream::connect(address).ok()?;
    let host = format!("Host: {address}");
    connection.write_all(&http_client::asks(path, &[&host])).ok()?;
    std::io::copy(&mut connection, &mut std::io::sink()).ok()
}

/// An open page, which reads everything. Ends with the host.
fn keep_open(address: SocketAddr) {
    while ask(address, "/api/millstream/v1/events").is_none() {
        pause(Duration::from_millis(50));
    }
}

/// Scrapes the metrics each second. Ends with the host.
fn scrape(address: SocketAddr) {
    let mut has_answered = false;
    loop {
        match ask(address, "/metrics") {
            Some(_) => has_answered = true,
            None if has_answered => return,
            None => {}
        }
        pause(Duration::from_secs(1));
    }
}

fn now_ms() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The measurements of a run, from its events file.
struct Measured {
    start_ms: u64,
    first_batch_ms: u64,
    /// The time from the end of the first batch to the end of the last batch.
    batches_ms: u64,
    processing: Vec<f64>,
    scheduling: Vec<f64>,
    memory_kib: u64,
}

impl Measured {
    fn read(events: &str, begun_ms: u64, memory_kib: u64) -> Result<Self, String> {
        let (mut processing, mut scheduling) = (Vec::new(), Vec::new());
        let (mut started_ms, mut first_done_ms, mut last_done_ms) = (None, None, 0);
        for line in events.lines() {
            let event: serde_json::Value =
                serde_json::from_str(line).map_err(|error| format!("an event is not JSON: {error}: {line}"))?;
            match event["event"].as_str() {
                Some("StreamingStarted") => started_ms = event["time_ms"].as_u64(),
                Some("BatchCompleted") => {
                    processing.extend(event["batch"]["processing_time_ms"].as_f64());
                    scheduling.extend(event["batch"]["scheduling_delay_ms"].as_f64());
                    first_done_ms = first_done_ms.or(event["time_ms"].as_u64());
                    last_done_ms = event["time_ms"].as_u64().unwrap_or(last_done_ms);
                }
                _ => {}
            }
        }
        let (Some(started_ms), Some(first_done_ms)) = (started_ms, first_done_ms) else {
            return Err("the host completed no batch".to_owned());
        };
        Ok(Self {
            start_ms: started_ms.saturating_sub(begun_ms),
            first_batch_ms: first_done_ms.saturating_sub(started_ms),
            batches_ms: last_done_ms.saturating_sub(first_done_ms),
            processing,
            scheduling,
            memory_kib,
        })
    }

    fn batches_per_second(&self) -> f64 {
        (self.processing.len() as f64 - 1.0) * 1000.0 / (self.batches_ms.max(1) as f64)
    }

    /// 99 % of the batches took at most this long.
    fn slowest_ms(&self) -> f64 {
        let mut sorted = self.processing.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() * 99 / 100).copied().unwrap_or(f64::NAN)
    }

    fn report(&self, options: &Options) {
        println!(
            "{} batches of {} records every {} ms, {} CPUs: {:.1} batches a second",
            self.processing.len(),
            options.records,
            options.interval_ms,
            std::thread::available_parallelism().map_or(1, usize::from),
            self.batches_per_second(),
        );
        println!("from exec to StreamingStarted: {} ms", self.start_ms);
        println!("from there to the end of the first batch: {} ms", self.first_batch_ms);
        let (first, second) = self.scheduling.split_at(self.scheduling.len() / 2);
        println!("processing time: {}", quantiles(&self.processing));
        println!("scheduling delay, first half: {}", quantiles(first));
        println!("scheduling delay, second half: {}", quantiles(second));
        let total: Vec<f64> = self.processing.iter().zip(&self.scheduling).map(|(a, b)| a + b).collect();
        println!("total delay: {}", quantiles(&total));
        println!("largest resident memory: {} MiB", self.memory_kib / 1024);
    }
}

fn quantiles(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted.get(((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1)));
    let show = |share| at(share).map_or_else(|| "-".to_owned(), |value| format!("{value:.2} ms"));
    format!("p50 {}, p99 {}, max {}", show(0.5), show(0.99), show(1.0))
}
