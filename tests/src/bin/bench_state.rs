//! The benchmark of state: what a batch costs, how even batches are, what snapshots cost, and how fast state is
//! restored.
//!
//! `cargo run --release -p millstream-tests --bin bench-state -- [MEASUREMENT]`
//!
//! Runs the host with the real engine and disk, a plugin with its limits on, and a clock of its own: batches are a
//! second apart, and the next batch comes as soon as a batch is done. Keys and states are numbers of 8 bytes. The
//! plugin makes the records. Each run is in a process of its own. The measurements:
//!
//! * `map`: `map_with_state` with 100,000 records a batch, at 10,000 keys and at 1,000,000 keys;
//! * `update`: `update_state_by_key` with 100,000 records a batch at 1,000,000 keys, in nanoseconds a key;
//! * `inverse`: windows of 10 minutes that slide by a second, with an inverse function, at 10,000 keys and at 1,000,000 keys,
//!   against `reduce_by_key` of the same records;
//! * `snapshots`: `map_with_state` at 1,000,000 keys of which a batch changes one in a hundred, with snapshots every ten
//!   batches and without, with a batch every 100 ms of the machine's clock and with batch after batch;
//! * `spill`: `map_with_state` at 10,000,000 keys, with memory for all of them and for about a third;
//! * `recovery`: how long a start takes that restores 1,000,000 keys.

use host::config::{self, Facts};
use host::context::{RunOptions, StreamingContext};
use host::env::{Env, RealExecutors, real};
use host::listener::ListenerBus;
use host::receiver::Receivers;
use host::time::{Duration, Time};
use millstream_tests::arguments;
use millstream_tests::paced::{PacedWorld, peak_mib};
use millstream_tests::programs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

/// Measures something, and prints it.
type Measure = fn() -> Result<(), String>;

const MEASUREMENTS: [(&str, Measure); 6] = [
    ("map", map),
    ("update", update),
    ("inverse", inverse),
    ("snapshots", snapshots),
    ("spill", spill),
    ("recovery", recovery),
];

/// Records are made by this many tasks.
const TASKS: u64 = 2;
/// How often a measurement is repeated whose two runs differ by less than the machine does from one moment to the next.
const ROUNDS: usize = 5;
/// The time between snapshots in runs that are to have none, in seconds.
const NEVER: u64 = 1_000_000;

/// One run of the host.
#[derive(Clone, Debug)]
struct Setup {
    program: &'static str,
    keys: u64,
    /// Records in a batch.
    records: u64,
    /// Whether the first batches bring each key once.
    loads: bool,
    /// Batches after that.
    batches: u64,
    /// The length of the window, in seconds.
    length: u64,
    /// The time between two snapshots, in seconds.
    checkpoint: u64,
    memory_mib: u64,
    /// The least time between two batches on the machine's clock, in milliseconds.
    pace_ms: u64,
}

/// What a run has measured.
#[derive(Clone, Debug, Default)]
struct Measured {
    mean_ms: f64,
    median_ms: f64,
    max_ms: f64,
    peak_mib: f64,
    spilled_mib: f64,
    snapshots: f64,
    /// Bytes of the largest snapshot for each key in it.
    saved_bytes: f64,
    start_ms: f64,
}

impl Setup {
    const fn new(program: &'static str, keys: u64, records: u64, batches: u64) -> Self {
        Self {
            program,
            keys,
            records,
            loads: true,
            batches,
            length: 600,
            checkpoint: NEVER,
            memory_mib: 2048,
            pace_ms: 0,
        }
    }

    /// The batches that bring each key once.
    fn loading(&self) -> u64 {
        if self.loads { self.keys.div_ceil(self.records) } else { 0 }
    }

    /// Runs the host with this setup, in a process of its own.
    fn run(&self) -> Result<Measured, String> {
        let directory = std::env::temp_dir().join(format!("millstream-bench-state-{}", std::process::id()));
        let outcome = self.run_in(&directory);
        // If the directory cannot be removed, the system removes it with other temporary files.
        let _ = std::fs::remove_dir_all(&directory);
        outcome
    }

    fn run_in(&self, directory: &Path) -> Result<Measured, String> {
        std::fs::create_dir_all(directory).map_err(|error| format!("cannot make a directory: {error}"))?;
        let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
        let Self { program: name, keys, records, loads, batches, length, checkpoint, memory_mib, pace_ms } = self;
        let numbers = [*keys, *records, u64::from(*loads), *batches, *length, *checkpoint, *memory_mib, *pace_ms];
        let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
        let output = Command::new(program).args(["--run", name]).args(numbers).arg(directory).output();
        let output = output.map_err(|error| format!("cannot run this program: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let found: Vec<f64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        let [mean_ms, median_ms, max_ms, peak_mib, spilled_mib, snapshots, saved_bytes, start_ms] = found[..] else {
            return Err(format!("a run printed {text}"));
        };
        Ok(Measured { mean_ms, median_ms, max_ms, peak_mib, spilled_mib, snapshots, saved_bytes, start_ms })
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--run", program, ref rest @ ..] => run_here(program, rest),
        [] => MEASUREMENTS.iter().try_for_each(|(_, measure)| measure()),
        [name] => match MEASUREMENTS.iter().find(|(known, _)| *known == name) {
            Some((_, measure)) => measure(),
            None => Err(format!("there is no measurement {name}; see the head of bench_state.rs")),
        },
        _ => Err("give one measurement, or none for all".to_owned()),
    };
    arguments::end(outcome)
}

fn line(what: &str, measured: &Measured) {
    let Measured { mean_ms, median_ms, max_ms, peak_mib, .. } = measured;
    println!("{what:46} mean {mean_ms:7.1} ms  median {median_ms:7.1}  max {max_ms:7.1}  memory {peak_mib:5.0} MiB");
}

fn map() -> Result<(), String> {
    let (mut means, mut largest) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (few, many) =
            (Setup::new("state-map", 10_000, 100_000, 60), Setup::new("state-map", 1_000_000, 100_000, 60));
        let (few, many) = (few.run()?, many.run()?);
        line("map_with_state, 10,000 keys", &few);
        line("map_with_state, 1,000,000 keys", &many);
        means.push(many.mean_ms / few.mean_ms);
        largest.push(many.max_ms / many.median_ms);
    }
    println!(
        "    many keys to few keys: {:.2} by means; largest to median: {:.2} (medians of {ROUNDS} rounds)",
        middle(&mut means),
        middle(&mut largest)
    );
    Ok(())
}

fn update() -> Result<(), String> {
    let keys = 1_000_000;
    let measured = Setup::new("state-update", keys, 100_000, 60).run()?;
    line("update_state_by_key, 1,000,000 keys", &measured);
    println!("    {:.0} ns a key", measured.mean_ms * 1e6 / keys as f64);
    Ok(())
}

fn inverse() -> Result<(), String> {
    let plain = Setup { loads: false, ..Setup::new("state-none", 10_000, 100_000, 200) };
    let window = Setup { program: "state-inverse", batches: 900, ..plain.clone() };
    let (plain, window) = (plain.run()?, window.run()?);
    line("reduce_by_key, 10,000 keys", &plain);
    line("window with inverse, 10,000 keys", &window);
    println!("    window to reduce_by_key: {:.2} by medians", window.median_ms / plain.median_ms);
    let keys = 1_000_000;
    let many = Setup { loads: false, ..Setup::new("state-inverse", keys, 100_000, 100) }.run()?;
    line("window with inverse, up to 1,000,000 keys", &many);
    println!("    {:.0} ns a key that comes out, in the last batch", many.max_ms * 1e6 / keys as f64);
    Ok(())
}

fn snapshots() -> Result<(), String> {
    for (pace_ms, when) in [(100, "a batch every 100 ms"), (0, "batch after batch")] {
        let (mut means, mut largest) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let without = Setup { pace_ms, ..Setup::new("state-map", 1_000_000, 10_000, 100) };
            let with = Setup { checkpoint: 10, ..without.clone() };
            let (without, with) = (without.run()?, with.run()?);
            line(&format!("{when}, no snapshots"), &without);
            line(&format!("{when}, {} snapshots", with.snapshots), &with);
            means.push(with.mean_ms / without.mean_ms);
            largest.push(with.max_ms / with.median_ms);
        }
        println!(
            "    {when}: mean with to without: {:.3}; largest to median: {:.2} (medians of {ROUNDS} rounds)",
            middle(&mut means),
            middle(&mut largest),
        );
    }
    Ok(())
}

/// The median.
fn middle(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

fn spill() -> Result<(), String> {
    let keys = 10_000_000;
    let whole = Setup { memory_mib: 3072, ..Setup::new("state-map", keys, 100_000, 40) };
    // The instances of the plugin take 192 MiB, and a key takes 32 bytes and more.
    let third = Setup { memory_mib: 192 + 160, ..whole.clone() };
    let (whole, third) = (whole.run()?, third.run()?);
    line("10,000,000 keys in memory", &whole);
    line("10,000,000 keys, memory for about a third", &third);
    println!("    {:.1} times the time; {:.0} MiB spilled", third.mean_ms / whole.mean_ms, third.spilled_mib);
    Ok(())
}

fn recovery() -> Result<(), String> {
    let directory = std::env::temp_dir().join(format!("millstream-bench-state-{}", std::process::id()));
    let first = Setup { checkpoint: 10, ..Setup::new("state-map", 1_000_000, 100_000, 10) };
    let outcome = first.run_in(&directory).and_then(|_| Setup { batches: 20, ..first }.run_in(&directory));
    let _ = std::fs::remove_dir_all(&directory);
    let restored = outcome?;
    println!("recovery of 1,000,000 keys: {:.0} ms from the start to the first batch", restored.start_ms);
    println!("    {:.1} bytes a key in the largest snapshot", restored.saved_bytes);
    Ok(())
}

/// Runs the host in this process.
fn run_here(program: &str, rest: &[&str]) -> Result<(), String> {
    let (directory, numbers) = rest.split_last().ok_or("a run needs its numbers")?;
    let numbers: Vec<u64> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
    let [keys, records, loads, batches, length, checkpoint, memory_mib, pace_ms] = numbers[..] else {
        return Err("a run needs eight numbers".to_owned());
    };
    let directory = PathBuf::from(directory);
    let setup =
        Setup { program: "", keys, records, loads: loads == 1, batches, length, checkpoint, memory_mib, pace_ms };
    let loading = setup.loading();
    let row = |batch: u64| -> String {
        let number = |task: u64| {
            let number = (batch * TASKS + task) as i64;
            if batch < loading { -number - 1 } else { number }
        };
        let numbers: Vec<String> = (0..TASKS).map(|task| number(task).to_string()).collect();
        format!("[{}]\n", numbers.join(", "))
    };
    let queue: String = (0..loading + batches).map(row).collect();
    std::fs::write(directory.join("queue.jsonl"), queue).map_err(|error| format!("cannot write the queue: {error}"))?;
    let plugin = programs::plugin_path("benchmarks").canonicalize();
    let plugin = plugin.map_err(|error| format!("cannot find the plugin: {error}"))?;
    let job = format!(
        "[job]\nname = \"bench\"\nplugin = {plugin:?}\nparallelism = 2\ncheckpoint = \"checkpoint\"\n\
         args = {{ program = {program:?}, rows = \"{}\", keys = \"{keys}\", length = \"{length}\", \
         checkpoint = \"{checkpoint}\" }}\n\n\
         [sources.numbers]\ntype = \"queue\"\npath = \"queue.jsonl\"\n\n\
         [engine]\nthreads = 2\nmemory = \"{memory_mib}MiB\"\nspill_limit = \"6GiB\"\n\n[limits]\nmemory = \"64MiB\"\n",
        records / TASKS,
    );
    let settings = config::load(&job, &directory.join("job.toml"), &[], &Facts { cpus: 2 });
    let settings = settings.map_err(|error| error.to_string())?;
    let executors = RealExecutors::start(2).map_err(|error| format!("cannot start threads: {error}"))?;
    // A run that goes on begins later than the run before it ended.
    let goes_on = directory.join("checkpoint").exists();
    let start = if goes_on { loading + batches } else { 0 };
    let world = Arc::new(PacedWorld::starting_at(Time::from_ms(start * 1000), Duration::from_millis(pace_ms)));
    let machine = real(&executors);
    let machine_clock = machine.clock.clone();
    let env = Env { clock: world.clock(machine.clock.clone()), console: world.clone(), ..machine };
    let run_options =
        RunOptions { stop_when_idle: true, listeners: ListenerBus::new(vec![world.clone()]), ..RunOptions::default() };
    let begun = machine_clock.monotonic();
    let outcome = executors.block_on(async {
        let context = StreamingContext::new(env, settings, &Receivers::default())?;
        context.start(run_options)?.await_termination().await
    });
    executors.shutdown();
    outcome.map_err(|error| error.to_string())?;
    let seen = world.lock();
    if let Some(reason) = &seen.failed {
        return Err(format!("a task ran again: {reason}"));
    }
    let skipped = seen.processing_ms.len().saturating_sub(batches as usize);
    // Windows are measured when they are full.
    let skipped = skipped.max(if batches > length { length as usize } else { 0 });
    let mut times = seen.processing_ms.get(skipped..).unwrap_or_default().to_vec();
    times.sort_by(f64::total_cmp);
    let mean = times.iter().sum::<f64>() / times.len().max(1) as f64;
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
    let saved = seen.snapshots.iter().filter(|snapshot| snapshot.rows > 0).max_by_key(|snapshot| snapshot.rows);
    println!(
        "{mean} {} {} {} {} {} {} {}",
        at(0.5),
        times.last().copied().unwrap_or_default(),
        peak_mib()?,
        seen.spilled_bytes >> 20,
        seen.snapshots.len(),
        saved.map_or(0.0, |saved| saved.bytes as f64 / saved.rows as f64),
        seen.first_batch.map_or(0.0, |first| first.saturating_sub(begun).as_secs_f64() * 1000.0),
    );
    Ok(())
}
