//! The soak: one job that runs for a long time under a steady load, and must not grow.
//!
//! `cargo run --release -p millstream-tests --bin soak -- [--minutes N] [--lines-per-second N] [--interval-ms N]
//! [--recovery-seconds N] [--directory PATH]`
//!
//! Build the real program first: `cargo build --release -p host`. The directory of the job is made in `--directory`, by
//! default beside this program, because the directory for temporary files may be in memory. The job reads a socket,
//! files and requests, keeps a window, three states and their join, saves two outputs, and has the write-ahead log and checkpoints. A
//! reader takes each saved batch and removes it. Each second the soak looks at the resident memory, open files and threads
//! of the host, and at the size and the number of files of each directory of the job. The soak fails
//!
//! * if something grows: the first third of the time warms up; the largest value of the last third may be 10 % and a
//!   constant above the largest value of the second third. For the delays of batches, the 90th percentiles are compared;
//! * if totals are wrong: at the end the load pauses, and states and saved batches must hold exactly what was sent. Each
//!   window must hold the records of its batches;
//! * if a restart is slow: the job is stopped and started again; then it is killed under load, and started again. Each time
//!   the first batch must be done within `--recovery-seconds`. After the kill, files, requests, windows and states must be exact.
//!   Lines of the socket may be missing that came less than a second before the kill, or while no host ran.

mod load;
mod results;
mod samples;

use load::Load;
use millstream_tests::arguments::{self, Place};
use millstream_tests::live::{self, LiveHost, now_ms, pause};
use results::Results;
use samples::Samples;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// The time between two looks at the job.
const LOOK: Duration = Duration::from_secs(1);
/// How long the job runs between a restart and the kill.
const BEFORE_KILL: Duration = Duration::from_secs(15);
/// How long the job may take to process what was sent before a pause.
const PATIENCE_MS: u64 = 60_000;

struct Options {
    minutes: u64,
    lines_per_second: u64,
    interval_ms: u64,
    recovery_seconds: u64,
    directory: Option<String>,
}

fn main() -> ExitCode {
    arguments::end(options().and_then(|options| run(&options)))
}

fn options() -> Result<Options, String> {
    let mut options =
        Options { minutes: 3, lines_per_second: 5000, interval_ms: 500, recovery_seconds: 10, directory: None };
    arguments::read(vec![
        ("--minutes", Place::Number(&mut options.minutes)),
        ("--lines-per-second", Place::Number(&mut options.lines_per_second)),
        ("--interval-ms", Place::Number(&mut options.interval_ms)),
        ("--recovery-seconds", Place::Number(&mut options.recovery_seconds)),
        ("--directory", Place::Text(&mut options.directory)),
    ])?;
    Ok(options)
}

fn run(options: &Options) -> Result<(), String> {
    let directory = live::directory(options.directory.as_deref(), "soak")?;
    soak(&directory, options)
        .map_err(|error| format!("{error}\nthe directory of the job is {}", directory.display()))?;
    // What cannot be removed has no effect on the next run, which has another name.
    let _ = fs::remove_dir_all(&directory);
    Ok(())
}

fn soak(directory: &Path, options: &Options) -> Result<(), String> {
    for below in ["in", "out", "spill"] {
        fs::create_dir_all(directory.join(below)).map_err(|error| format!("cannot make a directory: {error}"))?;
    }
    let load = Load::start(&directory.join("in"), options.lines_per_second)?;
    let job = job(&load, options.interval_ms)?;
    let mut results = Results::of(&directory.join("out"), options.interval_ms);

    let host = run_until(directory, &job, &load, options, &mut results)?;
    let lost = finish(host, &load, &mut results)?;
    if lost > 0 {
        return Err(format!("{lost} lines are missing without a kill"));
    }
    println!(
        "all {} lines, {} lines of files and {} lines of requests are in the saved batches, windows and states",
        load.lines().0,
        load.files().0,
        load.posts().0
    );

    load.go_on();
    let host = restart(directory, &job, &load, options, "a stop")?;
    pause(BEFORE_KILL);
    host.kill()?;
    let host = restart(directory, &job, &load, options, "a kill")?;
    let lost = finish(host, &load, &mut results)?;
    let may_be_lost = load.lines_sent_unread() + options.lines_per_second;
    println!("after the kill {lost} lines are missing, of at most {may_be_lost} that were not in the log");
    if lost > may_be_lost {
        return Err("more lines are missing than came within a second".to_owned());
    }
    Ok(())
}

/// Runs the job for the time that was asked for, and checks that nothing grows.
fn run_until(
    directory: &Path,
    job: &str,
    load: &Load,
    options: &Options,
    results: &mut Results,
) -> Result<LiveHost, String> {
    let mut host = LiveHost::start(directory, job)?;
    take_requests(&mut host, load)?;
    host.wait_for_batches(1)?;
    // Files that are older than the first batch by more than `min_remember` are not for this job.
    load.begin_files();
    let mut samples = Samples::of(host.process(), directory);
    let until = now_ms() + options.minutes * 60_000;
    let mut next_report = now_ms();
    while now_ms() < until {
        pause(LOOK);
        results.take()?;
        samples.take()?;
        // A host that has ended ends the soak at once.
        host.check()?;
        if now_ms() >= next_report {
            println!("{}", samples.shown());
            next_report += 30_000;
        }
    }
    host.events.read()?;
    if let Some(batch) = host.events.batches.iter().find(|batch| batch.failures > 0) {
        return Err(format!("an output of batch {} ms failed", batch.time_ms));
    }
    let delays: Vec<f64> = host.events.batches.iter().map(|batch| batch.total_ms).collect();
    samples.check(&delays, options.interval_ms as f64)?;
    Ok(host)
}

/// Pauses the load, waits until all that was received is in the results, stops the host, and checks the results. Returns
/// how many lines of the socket are missing.
fn finish(mut host: LiveHost, load: &Load, results: &mut Results) -> Result<u64, String> {
    load.pause();
    let until = now_ms() + PATIENCE_MS;
    let mut before = None;
    loop {
        pause(LOOK);
        results.take()?;
        let now = results.totals();
        let is_complete = now.is_some_and(|totals| {
            totals.files == load.files() && totals.posts == load.posts() && totals.lines == results.lines()
        });
        if is_complete && (now.is_some_and(|totals| totals.lines == load.lines()) || now == before) {
            break;
        }
        before = now;
        if now_ms() > until {
            let (lines, files, posts) = (load.lines(), load.files(), load.posts());
            let saved = results.lines();
            return Err(format!("sent {lines:?}, {files:?} and {posts:?}, saved {saved:?}, states {now:?}"));
        }
    }
    host.stop()?;
    results.take()?;
    results.check_windows()?;
    Ok(load.lines().0.saturating_sub(results.lines().0))
}

/// Starts the job again. Fails if the job takes too long until a batch is done.
fn restart(directory: &Path, job: &str, load: &Load, options: &Options, after: &str) -> Result<LiveHost, String> {
    let begun_ms = now_ms();
    let mut host = LiveHost::start(directory, job)?;
    take_requests(&mut host, load)?;
    host.wait_for_batches(1)?;
    let took_ms = now_ms() - begun_ms;
    println!("after {after}, the first batch was done {took_ms} ms after the start");
    if took_ms > options.recovery_seconds * 1000 {
        return Err(format!("that is more than {} s", options.recovery_seconds));
    }
    Ok(host)
}

/// Sends the requests of the load to a host, once the host takes them.
fn take_requests(host: &mut LiveHost, load: &Load) -> Result<(), String> {
    load.post_to(host.wait_for("address of requests", |events| events.addresses.get("posts").cloned())?);
    Ok(())
}

fn job(load: &Load, interval_ms: u64) -> Result<String, String> {
    let plugin = millstream_tests::programs::plugin_path("benchmarks").canonicalize();
    let plugin = plugin.map_err(|error| format!("cannot find the plugin: {error}"))?;
    Ok(format!(
        "[job]\nname = \"soak\"\nplugin = {plugin:?}\nbatch_interval = \"{interval_ms}ms\"\ncheckpoint = \"checkpoint\"\n\
         args = {{ program = \"soak\", batch_ms = \"{interval_ms}\" }}\ndirectories = {{ out = \"out\" }}\n\n\
         [sources.lines]\ntype = \"socket\"\naddress = \"{}\"\nreconnect_delay = \"100ms\"\n\n\
         [sources.files]\ntype = \"text-files\"\npath = \"in\"\nwhen_done = \"delete\"\nmin_remember = \"10s\"\n\n\
         [sources.posts]\ntype = \"http\"\naddress = \"127.0.0.1:0\"\npath = \"/posts\"\n\n\
         [receiver]\nwrite_ahead_log = true\n\n[engine]\nspill_directory = \"spill\"\n",
        load.address()
    ))
}
