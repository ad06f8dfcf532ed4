//! The whole-program benchmark: word count over files, through `host run` against the native baseline, in one run.
//!
//! `cargo run --release -p millstream-tests --bin bench-word-count -- [--mib N] [--rounds N] [--threads N] [--plugin PATH]`
//!
//! Makes N MiB of text (words by Zipf's law, lines of about 80 bytes) in a file, and lets both programs count its words on
//! two threads, in turns. The host runs with its limits on, from exec to exit; its plugin is the example
//! network_word_count. Prints seconds and MB/s of each round, the ratio of the best rounds, and the ratio of the host's
//! processing time alone. Says on which machine.

use millstream_tests::programs;
use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// How many different words there are.
const VOCABULARY: usize = 100_000;

struct Options {
    mib: u64,
    rounds: u32,
    threads: u32,
    plugin: Option<PathBuf>,
}

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options { mib: 512, rounds: 3, threads: 2, plugin: None };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let mut number = || {
            let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
            value.parse::<u32>().map_err(|_| format!("{name} {value}: not a number"))
        };
        match name.as_str() {
            "--mib" => options.mib = u64::from(number()?),
            "--rounds" => options.rounds = number()?,
            "--threads" => options.threads = number()?,
            "--plugin" => options.plugin = args.next().map(PathBuf::from),
            _ => return Err(format!("unknown option {name}; there are --mib, --rounds, --threads and --plugin")),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> Result<(), String> {
    let directory = std::env::temp_dir().join(format!("millstream-bench-{}", std::process::id()));
    let outcome = compare(&directory, options);
    // What could not be removed is in the system's own directory for such things.
    let _ = std::fs::remove_dir_all(&directory);
    outcome
}

fn compare(directory: &Path, options: &Options) -> Result<(), String> {
    let failed = |what: &str, error: std::io::Error| format!("cannot {what}: {error}");
    let input = directory.join("in");
    std::fs::create_dir_all(&input).map_err(|error| failed("make a directory", error))?;
    eprintln!("making {} MiB of text", options.mib);
    let text = input.join("text");
    let bytes = make_text(&text, options.mib << 20).map_err(|error| failed("write the text", error))?;
    let job = directory.join("job.toml");
    let plugin = options.plugin.clone().unwrap_or_else(|| programs::plugin_path("network_word_count"));
    let plugin = plugin.canonicalize().map_err(|error| failed("find the plugin", error))?;
    std::fs::write(&job, job_file(&plugin, options.threads)).map_err(|error| failed("write the job file", error))?;
    let bin = std::env::current_exe().map_err(|error| failed("find this program", error))?;
    let beside = |name: &str| bin.with_file_name(name);

    let mb = bytes as f64 / 1e6;
    let (mut native, mut host, mut processing) = (f64::MAX, f64::MAX, f64::MAX);
    println!(
        "{mb:.0} MB, {} threads, {} CPUs",
        options.threads,
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    for round in 1..=options.rounds {
        let seconds = run_native(&beside("native-word-count"), &text, options.threads)?;
        native = native.min(seconds);
        touch(&text).map_err(|error| failed("set the modification time", error))?;
        let (total, batch) = run_host(&beside("host"), &job)?;
        host = host.min(total);
        processing = processing.min(batch);
        println!(
            "round {round}: native {seconds:.3} s ({:.0} MB/s), host {total:.3} s ({:.0} MB/s), of which processing {batch:.3} s ({:.0} MB/s)",
            mb / seconds,
            mb / total,
            mb / batch
        );
    }
    println!("ratio of processing to native: {:.3}", native / processing);
    println!("ratio of the whole run to native, waiting for the batch included: {:.3}", native / host);
    Ok(())
}

fn job_file(plugin: &Path, threads: u32) -> String {
    format!(
        "[job]\nname = \"bench\"\nplugin = {plugin:?}\nbatch_interval = \"100ms\"\nparallelism = {threads}\n\n\
         [sources.lines]\ntype = \"text-files\"\npath = \"in\"\nexisting_files = \"read\"\nmin_remember = \"24h\"\n\n\
         [engine]\nthreads = {threads}\n"
    )
}

/// Writes text and returns its size. The same text every time.
fn make_text(file: &Path, bytes: u64) -> std::io::Result<u64> {
    let mut random = Random(1);
    let words: Vec<String> = (0..VOCABULARY).map(|rank| word(rank, &mut random)).collect();
    let mut written = 0;
    let mut out = BufWriter::new(std::fs::File::create(file)?);
    let mut line = String::new();
    while written < bytes {
        line.clear();
        while line.len() < 75 {
            // The inverse of Zipf's distribution, about: rank = size ^ uniform.
            let rank = (VOCABULARY as f64).powf(random.uniform()) as usize - 1;
            let _ = write!(line, "{} ", words[rank.min(VOCABULARY - 1)]);
        }
        line.pop();
        line.push('\n');
        out.write_all(line.as_bytes())?;
        written += line.len() as u64;
    }
    out.flush()?;
    Ok(written)
}

/// Frequent words are short.
fn word(rank: usize, random: &mut Random) -> String {
    let length = 2 + (rank.max(1).ilog2() as usize) / 2 + random.below(3);
    (0..length).map(|_| char::from(b'a' + random.below(26) as u8)).collect()
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Makes the file as new as a source wants it.
fn touch(file: &Path) -> std::io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a benchmark runs in real time")]
    let now = std::time::SystemTime::now();
    std::fs::File::options().append(true).open(file)?.set_modified(now)
}

/// The seconds that the baseline needs, from exec to exit.
fn run_native(program: &Path, text: &Path, threads: u32) -> Result<f64, String> {
    let mut command = Command::new(program);
    command.arg(text).args(["--threads", &threads.to_string()]).stdout(Stdio::null());
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    let start = Instant::now();
    let status = command.status().map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    if status.success() { Ok(start.elapsed().as_secs_f64()) } else { Err(format!("the baseline ended with {status}")) }
}

/// The seconds that the host needs from exec to exit, and those that it says the batch took.
fn run_host(program: &Path, job: &Path) -> Result<(f64, f64), String> {
    let mut command = Command::new(program);
    command.arg("run").arg(job).args(["--stop-after", "1"]);
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    let start = Instant::now();
    let output = command.output().map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    let seconds = start.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("the host ended with {}:\n{said}", output.status));
    }
    let processing = said.split("processing time ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
    let processing = processing.ok_or_else(|| format!("the host did not say how long the batch took:\n{said}"))?;
    Ok((seconds, processing / 1e3))
}
