//! The benchmark of recovery: how long a job takes to go on whose checkpoint directory has a long history.
//!
//! `cargo run --release -p millstream-tests --bin bench-recovery -- [BATCHES]`
//!
//! Makes the history in a simulated world, in which time costs nothing: a job that dies, and is started again when a million
//! of its batches were missed, makes them all. Then the real program goes on with the directory that is left, and the time
//! from exec to the event that says so is measured.

use host::config::{self, Facts};
use host::context::{CatchUpMode, Program, RunOptions, StreamingContext};
use host::env::Simulation;
use host::receiver::Receivers;
use host::time::{Duration, Time};
use millstream_tests::programs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// How often the real program is measured.
const ROUNDS: u32 = 5;

fn main() -> ExitCode {
    let batches = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse::<u32>());
    let outcome = batches.map_err(|error| error.to_string()).and_then(measure);
    if let Err(error) = outcome {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn job(plugin: &str) -> String {
    format!(
        "[job]\nname = \"history\"\nplugin = {plugin:?}\nbatch_interval = \"1ms\"\ncheckpoint = \"checkpoint\"\n\
         args = {{ batch_ms = \"1\" }}\n\n[sources.lines]\ntype = \"text-files\"\npath = \"in\"\n"
    )
}

fn measure(batches: u32) -> Result<(), String> {
    let directory = std::env::temp_dir().join(format!("millstream-recovery-{}", std::process::id()));
    let outcome = measure_in(&directory, batches);
    // What could not be removed is in the system's own directory for such things.
    let _ = std::fs::remove_dir_all(&directory);
    outcome
}

fn measure_in(directory: &Path, batches: u32) -> Result<(), String> {
    let plugin = programs::plugin_path("recoverable").canonicalize().map_err(|error| error.to_string())?;
    let job = job(&plugin.display().to_string());
    // The history ends a moment ago, so that the real program has little to make up for.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_err(|error| error.to_string())?;
    let end = Time::from_ms(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    let span = Duration::from_millis(u64::from(batches));
    let world = Simulation::new(0, end - span - Duration::from_millis(100));
    world.file("/jobs/in/.keep", "");
    let started = Instant::now();
    live(&world, &job, Some(50))?;
    world.kill();
    let clock = world.env().clock;
    world.run(async move { clock.sleep_until(end).await }).map_err(|error| error.to_string())?;
    live(&world, &job, Some(1))?;
    world.kill();
    println!("a history of {batches} batches was made in {:.1} s", started.elapsed().as_secs_f64());
    let mut bytes = 0;
    for (path, content) in world.files() {
        let Ok(name) = path.strip_prefix("/jobs") else { continue };
        if name.starts_with("checkpoint") || name.starts_with("in") {
            bytes += content.len();
            write(&directory.join(name), &content)?;
        }
    }
    write(&directory.join("job.toml"), job.as_bytes())?;
    println!("its checkpoint directory holds {bytes} bytes");
    let host = std::env::current_exe().map_err(|error| error.to_string())?.with_file_name("host");
    for round in 0..=ROUNDS {
        let events = directory.join("events");
        let _ = std::fs::remove_file(&events);
        let begun = now_ms();
        let status = Command::new(&host)
            .args(["run", "job.toml", "--quiet", "--from-checkpoint", "--stop-after", "1", "--events", "events"])
            .args(["--catch-up", "all"])
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
            println!(
                "from exec to RecoveryStarted {} ms, to the first batch {} ms",
                recovered.saturating_sub(begun),
                first.saturating_sub(begun)
            );
        }
    }
    Ok(())
}

/// Runs the job in a simulated world until it has made so many batches, but for those that had nothing to do.
fn live(world: &Simulation, job: &str, stop_after: Option<u64>) -> Result<(), String> {
    let facts = Facts { cpus: 2 };
    let settings =
        config::load(job, Path::new("/jobs/job.toml"), &[], &facts).map_err(|errors| format!("{errors:?}"))?;
    let plugin =
        StreamingContext::load_plugin(&settings, &programs::plugin("recoverable")).map_err(|e| e.to_string())?;
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

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
