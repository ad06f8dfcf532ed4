//! The whole-program benchmark: plugins through `host run` against native programs that compute the same, in one run.
//!
//! `cargo run --release -p millstream-tests --bin bench-programs -- [--program NAME] [--mib N] [--rounds N] [--threads
//! N] [--plugin PATH]`
//!
//! For each program of the table below (or only for the program NAME), makes N MiB of lines in a file, and lets the
//! host and the native program read the file on two threads, in turns. The host runs with its limits on, and is
//! measured from exec to exit. Both programs must print the same. Prints seconds and MB/s of each round, the ratio of
//! the best rounds, the ratio of the host's processing time alone, and the machine.

use millstream_tests::arguments::{self, Place};
use millstream_tests::programs;
use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// How many different words and keys there are.
const VOCABULARY: usize = 100_000;

/// A program that is measured.
struct Program {
    name: &'static str,
    /// The package of the plugin; its argument `program` is the name.
    plugin: &'static str,
    /// The native program, and its arguments before the file and the number of threads.
    native: &'static [&'static str],
    /// Appends one line of input, without its end.
    line: fn(&mut Input, &mut String),
}

const PROGRAMS: [Program; 6] = [
    Program {
        name: "word-count",
        plugin: "network_word_count",
        native: &["native-word-count", "--top", "0", "--threads"],
        line: Input::words,
    },
    Program { name: "grep", plugin: "benchmarks", native: &["native-programs", "grep"], line: Input::needles },
    Program {
        name: "count-by-value",
        plugin: "benchmarks",
        native: &["native-programs", "count-by-value"],
        line: Input::words,
    },
    Program { name: "sums", plugin: "benchmarks", native: &["native-programs", "sums"], line: Input::pair },
    Program { name: "join", plugin: "benchmarks", native: &["native-programs", "join"], line: Input::sides },
    Program { name: "structs", plugin: "benchmarks", native: &["native-programs", "structs"], line: Input::trade },
];

struct Options {
    /// The only program to measure; `None` for all programs.
    program: Option<String>,
    mib: u64,
    rounds: u64,
    threads: u64,
    plugin: Option<String>,
}

fn main() -> ExitCode {
    arguments::end(options().and_then(|options| run(&options)))
}

fn options() -> Result<Options, String> {
    let mut options = Options { program: None, mib: 512, rounds: 3, threads: 2, plugin: None };
    arguments::read(vec![
        ("--program", Place::Text(&mut options.program)),
        ("--mib", Place::Number(&mut options.mib)),
        ("--rounds", Place::Number(&mut options.rounds)),
        ("--threads", Place::Number(&mut options.threads)),
        ("--plugin", Place::Text(&mut options.plugin)),
    ])?;
    Ok(options)
}

fn run(options: &Options) -> Result<(), String> {
    let programs: Vec<&Program> =
        PROGRAMS.iter().filter(|program| options.program.as_ref().is_none_or(|name| name == program.name)).collect();
    if programs.is_empty() {
        let names = PROGRAMS.map(|program| program.name).join(", ");
        return Err(format!("there is no such program; there are {names}"));
    }
    println!("{} threads, {} CPUs", options.threads, std::thread::available_parallelism().map_or(1, usize::from));
    for program in programs {
        let directory = std::env::temp_dir().join(format!("millstream-bench-{}", std::process::id()));
        let outcome = compare(&directory, program, options);
        // If the directory cannot be removed, the system removes it with other temporary files.
        let _ = std::fs::remove_dir_all(&directory);
        outcome?;
    }
    Ok(())
}

fn compare(directory: &Path, program: &Program, options: &Options) -> Result<(), String> {
    let failed = |what: &str, error: std::io::Error| format!("cannot {what}: {error}");
    let input = directory.join("in");
    std::fs::create_dir_all(&input).map_err(|error| failed("make a directory", error))?;
    eprintln!("{}: making {} MiB of lines", program.name, options.mib);
    let text = input.join("text");
    let bytes = make_text(&text, options.mib << 20, program.line).map_err(|error| failed("write the text", error))?;
    let job = directory.join("job.toml");
    let plugin = options.plugin.as_ref().map_or_else(|| programs::plugin_path(program.plugin), PathBuf::from);
    let plugin = plugin.canonicalize().map_err(|error| failed("find the plugin", error))?;
    let file = job_file(&plugin, program.name, options.threads);
    std::fs::write(&job, file).map_err(|error| failed("write the job file", error))?;
    let bin = std::env::current_exe().map_err(|error| failed("find this program", error))?;
    let beside = |name: &str| bin.with_file_name(name);

    let mb = bytes as f64 / 1e6;
    let (mut native, mut host, mut processing) = (f64::MAX, f64::MAX, f64::MAX);
    for round in 1..=options.rounds {
        let [name, args @ ..] = program.native else { return Err("a native program has a name".to_owned()) };
        let (seconds, expected) = run_native(&beside(name), args, &text, options.threads)?;
        native = native.min(seconds);
        touch(&text).map_err(|error| failed("set the modification time", error))?;
        let ran = run_host(&beside("host"), &job)?;
        if program.name != "word-count" && !are_same(&ran.rows, &expected) {
            return Err(format!("{}: the host printed {:?}, not {expected:?}", program.name, ran.rows));
        }
        host = host.min(ran.seconds);
        processing = processing.min(ran.processing);
        println!(
            "{} round {round}: {mb:.0} MB, native {seconds:.3} s ({:.0} MB/s), host {:.3} s ({:.0} MB/s), \
             of which processing {:.3} s ({:.0} MB/s)",
            program.name,
            mb / seconds,
            ran.seconds,
            mb / ran.seconds,
            ran.processing,
            mb / ran.processing
        );
    }
    println!(
        "{}: ratio of processing to native: {:.3}; of the whole run, waiting for the batch included: {:.3}",
        program.name,
        native / processing,
        native / host
    );
    Ok(())
}

/// Whether both sides printed the same numbers, each in its own way.
fn are_same(ours: &[String], theirs: &[String]) -> bool {
    let number = |text: &String| text.parse::<f64>().ok();
    ours.len() == theirs.len()
        && ours.iter().zip(theirs).all(|(a, b)| a == b || number(a).is_some_and(|a| Some(a) == number(b)))
}

fn job_file(plugin: &Path, program: &str, threads: u64) -> String {
    format!(
        "[job]\nname = \"bench\"\nplugin = {plugin:?}\nbatch_interval = \"100ms\"\nparallelism = {threads}\n\
         args = {{ program = \"{program}\" }}\n\n\
         [sources.lines]\ntype = \"text-files\"\npath = \"in\"\nexisting_files = \"read\"\n\n\
         [engine]\nthreads = {threads}\nmemory = \"4GiB\"\n\n[limits]\nmemory = \"512MiB\"\ntask_time = \"2m\"\n"
    )
}

/// Writes the lines and returns their size. The lines are the same every time.
fn make_text(file: &Path, bytes: u64, line: fn(&mut Input, &mut String)) -> std::io::Result<u64> {
    let mut input = Input::new();
    let mut written = 0;
    let mut out = BufWriter::new(std::fs::File::create(file)?);
    let mut text = String::new();
    while written < bytes {
        text.clear();
        line(&mut input, &mut text);
        text.push('\n');
        out.write_all(text.as_bytes())?;
        written += text.len() as u64;
    }
    out.flush()?;
    Ok(written)
}

/// The state from which lines are made.
struct Input {
    words: Vec<String>,
    random: Random,
}

// Writing to a string cannot fail.
impl Input {
    fn new() -> Self {
        let mut random = Random(1);
        Self { words: (0..VOCABULARY).map(|rank| word(rank, &mut random)).collect(), random }
    }

    /// A random rank below the size of the vocabulary, by about the inverse of Zipf's distribution: rank = size ^
    /// uniform.
    fn rank(&mut self) -> usize {
        ((VOCABULARY as f64).powf(self.random.uniform()) as usize - 1).min(VOCABULARY - 1)
    }

    /// Words, about 80 bytes.
    fn words(&mut self, line: &mut String) {
        while line.len() < 75 {
            let rank = self.rank();
            let _ = write!(line, "{} ", self.words[rank]);
        }
        line.pop();
    }

    /// Words; in one of a hundred lines, there is a needle.
    fn needles(&mut self, line: &mut String) {
        self.words(line);
        if self.random.below(100) == 0 {
            line.push_str(" needle");
        }
    }

    /// A key and a value whose sums are exact.
    fn pair(&mut self, line: &mut String) {
        let _ = write!(line, "{} {}", self.rank(), self.random.below(4000) as f64 / 4.0);
    }

    /// A side, a key and a value; keys are evenly distributed.
    fn sides(&mut self, line: &mut String) {
        let side = if self.random.below(8) == 0 { 'r' } else { 'l' };
        let _ = write!(line, "{side} {} {}", self.random.below(4 * VOCABULARY), self.random.below(1000));
    }

    /// A trade of ten fields.
    fn trade(&mut self, line: &mut String) {
        let (id, account, rank) = (self.random.below(1 << 40), self.random.below(100_000), self.rank());
        let (price, quantity) = (self.random.below(40_000) as f64 / 4.0, self.random.below(1000));
        let side = if self.random.below(2) == 0 { "buy" } else { "sell" };
        let (venue, time_ms) = (self.random.below(8), 1_700_000_000_000 + id % 100_000_000);
        let note = &self.words[id % VOCABULARY];
        let symbol = &self.words[rank];
        let _ = write!(line, "{id},{account},{symbol},{price},{quantity},{side},0.5,venue-{venue},{time_ms},{note}");
    }
}

/// The word of a rank. Frequent words are short.
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

/// Sets the modification time of the file to now, because a source reads only new files.
fn touch(file: &Path) -> std::io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a benchmark runs in real time")]
    let now = std::time::SystemTime::now();
    std::fs::File::options().append(true).open(file)?.set_modified(now)
}

/// The seconds that the native program needs, from exec to exit, and the lines that it printed.
fn run_native(program: &Path, args: &[&str], text: &Path, threads: u64) -> Result<(f64, Vec<String>), String> {
    let mut command = Command::new(program);
    let threads = threads.to_string();
    match args {
        // `--threads` is the last of its arguments.
        [.., "--threads"] => command.arg(text).args(args).arg(threads),
        args => command.args(args).arg(text).arg(threads),
    };
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    let start = Instant::now();
    let output = command.output().map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    let seconds = start.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(format!("the native program ended with {}", output.status));
    }
    Ok((seconds, String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()))
}

/// The measurements and the output of a run of the host.
struct Ran {
    /// The seconds from exec to exit.
    seconds: f64,
    /// The seconds of the batch's processing time.
    processing: f64,
    /// The lines that the host printed, without the lines that frame a batch.
    rows: Vec<String>,
}

fn run_host(program: &Path, job: &Path) -> Result<Ran, String> {
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
    let is_heading = |line: &str| ["---", "Time: ", "Output: "].iter().any(|begin| line.starts_with(begin));
    let is_row = |line: &&str| !line.is_empty() && !is_heading(line);
    let printed = String::from_utf8_lossy(&output.stdout);
    let rows = printed.lines().filter(is_row).map(str::to_owned).collect();
    Ok(Ran { seconds, processing: processing / 1e3, rows })
}
