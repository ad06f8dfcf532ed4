//! The benchmark of recovery: how long a job with a long history in its checkpoint directory takes to resume.
//!
//! `cargo run --release -p millstream-tests --bin bench-recovery -- [BATCHES]`
//!
//! The history is made in a simulated world, in which waiting costs nothing: a job with a window of thirty batches
//! makes `BATCHES` batches, and dies. Then the real program resumes from the directory. The benchmark measures the time
//! from exec to the event that reports the recovery, and the same time for a history of a hundred batches.

use host::config::{self, Facts};
use host::context::{CatchUpMode, Program, RunOptions, StreamingContext};
use host::env::Simulation;
use host::receiver::Receivers;
use host::time::Time;
use millstream_tests::arguments;
use millstream_tests::programs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration as Elapsed, SystemTime, UNIX_EPOCH};

/// How often the real program is measured.
const ROUNDS: u32 = 5;
/// The number of batches of a short history, for comparison.
const SHORT: u64 = 100;

fn main() -> ExitCode {
    let batches = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse::<u64>());
    arguments::end(batches.map_err(|error| error.to_string()).and_then(measure))
}

fn job(plugin: &str) -> String {
    format!(
        "[job]\nname = \"history\"\nplugin = {plugin:?}\nbatch_interval = \"1s\"\ncheckpoint = \"checkpoint\"\n\n[sources.lines]\ntype = \"queue\"\npath = \"queue.jsonl\"\n"
    )
}

fn measure(batches: u64) -> Result<(), String> {
    for batches in [SHORT, batches] {
        let directory = std::env::temp_dir().join(format!("millstream-recovery-{}-{batches}", std::process::id()));
        let outcome = measure_in(&directory, batches);
        // If the directory cannot be removed, the system removes it with other temporary files.
        let _ = std::fs::remove_dir_all(&directory);
        outcome?;
    }
    Ok(())
}

fn measure_in(directory: &Path, batches: u64) -> Result<(), String> {
    let plugin = programs::plugin_path("windowed_word_count").canonicalize().map_err(|error| error.to_string())?;
    let job = job(&plugin.display().to_string());
    let begun = since_1970();
    let world = Simulation::new(0, Time::from_ms(ms(begun).saturating_sub(batches * 1000)));
    // The queue has some more lines, for the real program.
    let queue: String = (0..batches + 1000).map(|batch| format!("[\"{batch} a\", \"b\"]\n")).collect();
    world.file("/jobs/queue.jsonl", queue.as_bytes());
    live(&world, &job, Some(batches))?;
    world.kill();
    let seconds = since_1970().saturating_sub(begun).as_secs_f64();
    println!("a history of {batches} batches was made in {seconds:.1} s");
    let mut bytes = 0;
    for (path, content) in world.files() {
        let Ok(name) = path.strip_prefix("/jobs") else { continue };
        if name.starts_with("checkpoint") {
            bytes += content.len();
            write(&directory.join(name), &content)?;
        }
    }
    write(&directory.join("job.toml"), job.as_bytes())?;
    write(&directory.join("queue.jsonl"), queue.as_bytes())?;
    println!("its checkpoint directory holds {bytes} bytes");
    (0..=ROUNDS).try_for_each(|round| go_on(directory, round))
}

/// Runs the real program for one batch, and prints how long the program took to begin.
fn go_on(directory: &Path, round: u32) -> Result<(), String> {
    let host = std::env::current_exe().map_err(|error| error.to_string())?.with_file_name("host");
    let events = directory.join("events");
    // Before the first round there is no events file.
    let _ = std::fs::remove_file(&events);
    let begun = ms(since_1970());
    let status = Command::new(&host)
        .args(["run", "job.toml", "--quiet", "--from-checkpoint", "--stop-after", "1", "--events", "events"])
        .args(["--catch-up", "none"])
        .current_dir(directory)
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("cannot run {}: {error}", host.display()))?;
    if !status.success() {
        return Err(format!("the host ended with {status}"));
    }
    let text = std::fs::read_to_string(&events).map_err(|error| error.to_string())?;
    let at = |event: &str| {
        let line = text.lines().find(|line| line.contains(event))?;
        let parsed: serde_json::Value = serde_json::from_str(line).ok()?;
        parsed["time_ms"].as_u64()
    };
    let recovered = at("RecoveryStarted").ok_or("it did not say that it recovered")?;
    let first = at("BatchStarted").ok_or("it ran no batch")?;
    // The first round compiles the plugin.
    if round > 0 {
        let (recovered, first) = (recovered.saturating_sub(begun), first.saturating_sub(begun));
        println!("from exec to RecoveryStarted {recovered} ms, to the first batch {first} ms");
    }
    Ok(())
}

/// Runs the job in a simulated world until it has made `stop_after` batches.
fn live(world: &Simulation, job: &str, stop_after: Option<u64>) -> Result<(), String> {
    let facts = Facts { cpus: 2 };
    let settings =
        config::load(job, Path::new("/jobs/job.toml"), &[], &facts).map_err(|errors| format!("{errors:?}"))?;
    let plugin = StreamingContext::load_plugin(&settings, &programs::plugin("windowed_word_count"))
        .map_err(|e| e.to_string())?;
    let env = world.env();
    let options = RunOptions { stop_after, catch_up: CatchUpMode::All, ..RunOptions::default() };
    let main = async move {
        let program = Program::describe(&settings, plugin)?;
        let context = StreamingContext::with_program(env, settings, program, &Receivers::default())?;
        context.start(options)?.await_termination().await
    };
    world.run(main).map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    let parent = path.parent().ok_or("a file has a directory")?;
    std::fs::create_dir_all(parent).and_then(|()| std::fs::write(path, content)).map_err(|error| error.to_string())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn since_1970() -> Elapsed {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn ms(time: Elapsed) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
