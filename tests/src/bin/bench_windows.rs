//! The benchmark of long windows: whether they stay inside the memory budget, and what a batch costs when they are
//! full.
//!
//! `cargo run --release -p millstream-tests --bin bench-windows -- [--records-per-second N] [--window N] [--batches N]
//! [--slide N] [--keys N] [--memory-mib N]`
//!
//! Runs the host with the real engine and disk, a plugin with its limits on, and a clock of its own: batches are a
//! second apart, and the next batch comes as soon as a batch is done. `--batches` is the number of batches after the
//! window is full. The plugin makes the records, which are short lines, from a number. There are four programs, each in
//! a process of its own:
//!
//! * `lines`: all records are kept, and every `--slide` seconds the records of the window are counted; * `counts`, `sums`:
//!   `count_by_window` and `reduce_by_key_and_window`, which keep the result of each batch, and merge the results every
//!   second; * `batches`: `reduce_by_key` on each batch, for comparison.
//!
//! Prints for each program the largest resident memory, the bytes that were spilled, and the processing times of the
//! first and the last fifth of the batches after the window was full. The resulting counts are checked.
//!
//! With the defaults, 60 million lines in the window, on two busy cores: `lines` 71 ms a batch, last fifth to first
//! 1.01, 367 of 512 MiB, 1248 MiB spilled; `batches` 19.5 ms and `sums` 24.6 ms, 1.3 times as much, because 600 results
//! of 100 keys are merged each second. With 10,000 keys, 12 million results of keys are merged, and a batch takes 328
//! ms.

use host::config::{self, Facts};
use host::context::{RunOptions, StreamingContext};
use host::env::{Env, RealExecutors, real};
use host::listener::ListenerBus;
use host::receiver::Receivers;
use millstream_tests::arguments::{self, Place};
use millstream_tests::paced::{PacedWorld, Seen, peak_mib};
use millstream_tests::programs;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;

/// The programs: the name of each on the command line, and its name in the plugin.
const PROGRAMS: [(&str, &str); 4] = [
    ("batches", "generated_batches"),
    ("counts", "generated_counts"),
    ("sums", "generated_sums"),
    ("lines", "generated_lines"),
];

/// The linear memory of a plugin instance, of which there are three.
const INSTANCE_MIB: u64 = 64;

#[derive(Clone)]
struct Options {
    records_per_second: u64,
    window: u64,
    batches: u64,
    slide: u64,
    keys: u64,
    memory_mib: u64,
    /// Run only this program, in this process.
    program: Option<String>,
}

fn main() -> ExitCode {
    arguments::end(options().and_then(|options| run(&options)))
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        records_per_second: 100_000,
        window: 600,
        batches: 300,
        slide: 60,
        keys: 100,
        memory_mib: 512,
        program: None,
    };
    arguments::read(vec![
        ("--records-per-second", Place::Number(&mut options.records_per_second)),
        ("--window", Place::Number(&mut options.window)),
        ("--batches", Place::Number(&mut options.batches)),
        ("--slide", Place::Number(&mut options.slide)),
        ("--keys", Place::Number(&mut options.keys)),
        ("--memory-mib", Place::Number(&mut options.memory_mib)),
        ("--program", Place::Text(&mut options.program)),
    ])?;
    Ok(options)
}

fn run(options: &Options) -> Result<(), String> {
    if let Some(program) = &options.program {
        let directory = std::env::temp_dir().join(format!("millstream-bench-{}", std::process::id()));
        let outcome = measure(&directory, program, options);
        // If the directory cannot be removed, the system removes it with other temporary files.
        let _ = std::fs::remove_dir_all(&directory);
        return outcome;
    }
    println!(
        "{} records a second for {} s, windows of {} s, {} keys, engine.memory {} MiB, {} CPUs",
        options.records_per_second,
        options.window + options.batches,
        options.window,
        options.keys,
        options.memory_mib,
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    for (name, _) in PROGRAMS {
        let args: Vec<String> = std::env::args().skip(1).chain(["--program".to_owned(), name.to_owned()]).collect();
        let status = Command::new(&program).args(args).status();
        if !status.map_err(|error| format!("cannot run {}: {error}", program.display()))?.success() {
            return Err(format!("{name} failed"));
        }
    }
    Ok(())
}

fn measure(directory: &Path, program: &str, options: &Options) -> Result<(), String> {
    let operator = PROGRAMS.iter().find(|(name, _)| *name == program).map(|(_, operator)| *operator);
    let operator = operator.ok_or_else(|| format!("there is no program {program}"))?;
    std::fs::create_dir_all(directory).map_err(|error| format!("cannot make a directory: {error}"))?;
    let batches = options.window + options.batches;
    // Each batch has two numbers, each in a partition of its own.
    let queue = (0..batches).map(|batch| format!("[{}, {}]\n", 2 * batch, 2 * batch + 1)).collect::<String>();
    std::fs::write(directory.join("queue.jsonl"), queue).map_err(|error| format!("cannot write the queue: {error}"))?;
    let plugin = programs::plugin_path("operators").canonicalize();
    let plugin = plugin.map_err(|error| format!("cannot find the plugin: {error}"))?;
    let slide = if program == "lines" { options.slide } else { 1 };
    let job = format!(
        "[job]\nname = \"bench\"\nplugin = {plugin:?}\nparallelism = 2\n\
         args = {{ operator = {operator:?}, rows = \"{}\", keys = \"{}\", length = \"{}\", slide = \"{slide}\" }}\n\n\
         [sources.lines]\ntype = \"queue\"\npath = \"queue.jsonl\"\n\n\
         [engine]\nthreads = 2\nmemory = \"{}MiB\"\nspill_limit = \"6GiB\"\n\n[limits]\nmemory = \"{INSTANCE_MIB}MiB\"\n",
        options.records_per_second / 2,
        options.keys,
        options.window,
        options.memory_mib,
    );
    let settings = config::load(&job, &directory.join("job.toml"), &[], &Facts { cpus: 2 });
    let settings = settings.map_err(|error| error.to_string())?;
    let executors = RealExecutors::start(2).map_err(|error| format!("cannot start threads: {error}"))?;
    let world = Arc::new(PacedWorld::default());
    let machine = real(&executors);
    let clock = world.clock(machine.clock.clone());
    let env = Env { clock, console: world.clone(), ..machine };
    let run_options = RunOptions {
        stop_after: Some(batches),
        listeners: ListenerBus::new(vec![world.clone()]),
        ..RunOptions::default()
    };
    let outcome = executors.block_on(async {
        let context = StreamingContext::new(env, settings, &Receivers::default())?;
        context.start(run_options)?.await_termination().await
    });
    executors.shutdown();
    outcome.map_err(|error| error.to_string())?;
    report(program, options, &world.lock())
}

fn report(program: &str, options: &Options, seen: &Seen) -> Result<(), String> {
    if let Some(reason) = &seen.failed {
        return Err(format!("a task ran again: {reason}"));
    }
    let in_window = options.window * (options.records_per_second / 2 * 2);
    if matches!(program, "lines" | "counts") && !seen.printed.lines().any(|line| line == in_window.to_string()) {
        return Err(format!("the last window should have {in_window} records, and the host prints {}", seen.printed));
    }
    let full = seen.processing_ms.get(options.window as usize..).unwrap_or_default();
    let fifth = (full.len() / 5).max(1).min(full.len());
    let mean = |times: &[f64]| times.iter().sum::<f64>() / times.len().max(1) as f64;
    let (first, last) = (mean(&full[..fifth]), mean(&full[full.len() - fifth..]));
    let mut text = String::new();
    let _ = write!(
        text,
        "{program:8} processing time {:.1} ms a batch; first fifth {first:.1}, last fifth {last:.1}, ratio {:.2}; ",
        mean(full),
        last / first
    );
    let _ = write!(
        text,
        "largest resident memory {} MiB, {:.2} of the budget; spilled {} MiB",
        peak_mib()?,
        peak_mib()? as f64 / options.memory_mib as f64,
        seen.spilled_bytes >> 20
    );
    println!("{text}");
    Ok(())
}
