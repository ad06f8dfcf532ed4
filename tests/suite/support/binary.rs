//! The real binary, run as a user runs it: as a process in a directory of its own, whose output is read as it comes.
//!
//! No process exists longer than its test: dropping a [`Running`] kills the process.

use millstream_tests::programs;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may print nothing before its test gives up. Only a program that hangs takes this long.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a test waits for a text or for the end, however much the program prints in the meantime. Only a program
/// that never prints the text takes this long.
const PATIENCE_WITH_OTHER_LINES: Duration = Duration::from_secs(300);

/// How long, in both cases, if the program builds crates: other tests build as well, and cargo lets one build in after the other.
const PATIENCE_WITH_BUILDS: Duration = Duration::from_secs(1800);

/// How many lines may wait to be read by the test.
const LINES_MAX: usize = 64;

/// Three batches for a source of lines.
pub const QUEUE: &str = "[\"to be or not to be\", \"that is\"]\n[\"hello world\"]\n[]\n";

/// A directory that is deleted at the end. Programs run in it, so that messages name files without a directory.
pub struct Directory(tempfile::TempDir);

impl Directory {
    /// Makes an empty directory.
    pub fn new() -> Self {
        // A hidden directory could not be granted to a plugin.
        Self(tempfile::Builder::new().prefix("millstream-").tempdir().expect("a temporary directory can be made"))
    }

    /// The lines that a job with the plugin `recoverable` has saved in `out`, each with the number of times.
    pub fn saved_lines(&self) -> BTreeMap<String, u64> {
        let mut lines = BTreeMap::new();
        let Ok(batches) = std::fs::read_dir(self.path("out")) else { return lines };
        for batch in batches.map(|batch| batch.expect("the directory can be read")) {
            if !batch.file_name().to_string_lossy().starts_with("lines-") {
                continue;
            }
            for file in std::fs::read_dir(batch.path()).expect("an output is a directory") {
                let text = std::fs::read_to_string(file.expect("the directory can be read").path());
                for line in text.expect("a file can be read").lines() {
                    *lines.entry(line.to_owned()).or_default() += 1;
                }
            }
        }
        lines
    }

    /// Makes a directory with the component `PLUGIN.wasm` of a workspace package, with `job.toml`, and with the
    /// [`QUEUE`] that the job reads.
    pub fn with_job(plugin: &str) -> Self {
        let directory = Self::new();
        directory.write(&format!("{plugin}.wasm"), programs::plugin(plugin));
        directory.write("queue.jsonl", QUEUE);
        directory.write("job.toml", job(plugin));
        directory
    }

    /// The path of a file in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("a temporary directory can be written to");
    }

    /// `host` with these arguments. The program does not see the environment variables of this test about logs and
    /// colours. Compiled plugins are kept beside the tests, and not in the cache of the user who runs the tests.
    pub fn host(&self, args: &[&str]) -> Command {
        self.program(programs::host(), args)
    }

    /// As [`Directory::host`], for another program that has the same commands.
    pub fn program(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        for leaked in ["MILLSTREAM_LOG", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(leaked);
        }
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            command.env_remove(name);
        }
        for leaked in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
            command.env_remove(leaked);
        }
        command.env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/caches"));
        command
    }

    /// Runs `host` to its end.
    pub fn run(&self, args: &[&str]) -> Said {
        Running::start(self.host(args)).finish()
    }
}

/// A job file for a plugin in the same directory, which reads lines from `queue.jsonl`.
fn job(plugin: &str) -> String {
    format!(
        "[job]\nname = \"word-count\"\nplugin = \"{plugin}.wasm\"\nbatch_interval = \"20ms\"\n\n\
         [sources.lines]\ntype = \"queue\"\npath = \"queue.jsonl\"\n"
    )
}

/// The output of a program.
#[derive(Debug, Default)]
pub struct Said {
    /// The exit code. `None` if a signal ended the program, or while the program runs.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    fn add(&mut self, (stream, line): (Stream, String)) {
        match stream {
            Stream::Out => self.out.push_str(&line),
            Stream::Err => self.err.push_str(&line),
        }
    }

    /// The error of the program: everything from the first line on that begins with `error: `. Empty if there is none.
    pub fn error(&self) -> &str {
        let is_error = |at: &usize| self.err[*at..].starts_with("error: ");
        let mut starts = std::iter::once(0).chain(self.err.match_indices('\n').map(|(at, _)| at + 1));
        starts.find(is_error).map_or("", |at| &self.err[at..])
    }
}

/// `text` with `T` in place of each time, in milliseconds or as `2026-11-27T19:46:40.020Z`.
pub fn without_times(text: &str) -> String {
    // No other number is that long.
    const DIGITS_MIN: usize = 13;
    let (mut out, mut rest) = (String::new(), text);
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let found = &rest[start..];
        let digits = found.find(|c: char| !c.is_ascii_digit()).unwrap_or(found.len());
        let readable = readable_time(found);
        let length = readable.unwrap_or(digits);
        out.push_str(&rest[..start]);
        out.push_str(if readable.is_some() || digits >= DIGITS_MIN { "T" } else { &found[..length] });
        rest = &found[length..];
    }
    out + rest
}

/// The length of the time with which the text begins, as in `2026-11-27T19:46:40Z`. `None` if it begins with something else.
fn readable_time(text: &str) -> Option<usize> {
    let end = text.find('Z')? + 1;
    let shape: String = text[..end].chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    ["0000-00-00T00:00:00Z", "0000-00-00T00:00:00.000Z"].contains(&shape.as_str()).then_some(end)
}

/// The milliseconds since 1970 of a time such as `2026-11-27T19:46:40.020Z`.
pub fn time_ms(shown: &str) -> u64 {
    let parts = shown.trim_end_matches('Z').split(['-', 'T', ':', '.']);
    let parts: Vec<u64> = parts.map(|part| part.parse().expect("a time has numbers")).collect();
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let february = 28 + u64::from(is_leap(parts[0]));
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let days_before_year: u64 = (1970..parts[0]).map(|year| 365 + u64::from(is_leap(year))).sum();
    let days_before_month: u64 = months.iter().zip(1..parts[1]).map(|(days, _)| days).sum();
    let days = days_before_year + days_before_month + parts[2] - 1;
    let seconds = ((days * 24 + parts[3]) * 60 + parts[4]) * 60 + parts[5];
    seconds * 1000 + parts.get(6).copied().unwrap_or(0)
}

#[derive(Clone, Copy, Debug)]
enum Stream {
    Out,
    Err,
}

/// A running program. Dropping the value kills the program.
pub struct Running {
    child: Child,
    lines: Receiver<(Stream, String)>,
    said: Said,
    patience: Duration,
    patience_with_other_lines: Duration,
}

impl Running {
    /// Starts a program whose standard output and standard error are both collected.
    pub fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped());
        command.stderr(Stdio::piped());
        Self::start_as_it_is(command)
    }

    /// Starts a program whose streams lead where the command says. Streams that the command pipes are collected.
    pub fn start_as_it_is(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the program can be started");
        let (send, lines) = sync_channel(LINES_MAX);
        if let Some(out) = child.stdout.take() {
            read_lines(out, Stream::Out, send.clone());
        }
        if let Some(err) = child.stderr.take() {
            read_lines(err, Stream::Err, send);
        }
        Self {
            child,
            lines,
            said: Said::default(),
            patience: PATIENCE,
            patience_with_other_lines: PATIENCE_WITH_OTHER_LINES,
        }
    }

    /// The same program, which builds crates: everything takes longer.
    pub fn that_builds(mut self) -> Self {
        (self.patience, self.patience_with_other_lines) = (PATIENCE_WITH_BUILDS, PATIENCE_WITH_BUILDS);
        self
    }

    /// Waits until standard output contains `text`.
    pub fn wait_for_out(&mut self, text: &str) {
        self.wait_until(&format!("{text:?}"), |said| said.out.contains(text));
    }

    /// Waits until standard output contains `text` this many times more than now.
    pub fn wait_for_more_out(&mut self, text: &str, times: usize) {
        let wanted = self.said.out.matches(text).count() + times;
        self.wait_until(&format!("{text:?} again"), |said| said.out.matches(text).count() >= wanted);
    }

    /// Waits until standard error contains `text`.
    pub fn wait_for_err(&mut self, text: &str) {
        self.wait_until(&format!("{text:?}"), |said| said.err.contains(text));
    }

    /// Waits until standard error contains `text` this many times more than now.
    pub fn wait_for_more_err(&mut self, text: &str, times: usize) {
        let wanted = self.said.err.matches(text).count() + times;
        self.wait_until(&format!("{text:?} again"), |said| said.err.matches(text).count() >= wanted);
    }

    /// Reads lines until `is_said` returns true. `wanted` names the text that the program has to print.
    fn wait_until(&mut self, wanted: &str, is_said: impl Fn(&Said) -> bool) {
        let deadline = self.deadline();
        while !is_said(&self.said) {
            assert!(self.read_line(deadline), "it ended without saying {wanted}: {:#?}", self.said);
        }
    }

    /// The standard output of the program so far, as far as the test has waited for it.
    pub fn out(&self) -> &str {
        &self.said.out
    }

    /// The standard error of the program so far, as far as the test has waited for it.
    pub fn err(&self) -> &str {
        &self.said.err
    }

    /// The number of the program's process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `INT`. In the name, `$PID` stands for the process, so that a text can send further
    /// signals.
    pub fn signal(&self, name: &str) {
        // The shell has a built-in `kill` on every machine.
        let kill = format!("PID={pid}; kill -{name} {pid}", pid = self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("a shell can be started");
        assert!(status.success(), "`{kill}` failed: {:#?}", self.said);
    }

    /// Sends a signal again and again until the program has ended.
    pub fn signal_until_it_ends(&mut self, name: &str) {
        while self.child.try_wait().expect("a child can be waited for").is_none() {
            self.signal(name);
            // The program may have to print something before it ends.
            while let Ok(line) = self.lines.try_recv() {
                self.said.add(line);
            }
        }
    }

    /// Waits until `host stop` and `host status` reach the job of this directory.
    pub fn wait_for_socket(&self, directory: &Directory) {
        while !directory.path(".millstream/word-count.sock").exists() {
            assert!(Path::new(&format!("/proc/{}", self.id())).exists(), "the host has ended");
            thread::yield_now();
        }
    }

    /// Asks the host to stop, and waits until it has ended without an error.
    pub fn stopped(self) -> Said {
        self.signal("INT");
        let said = self.finish();
        assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
        said
    }

    /// Waits for the end of the program.
    pub fn finish(mut self) -> Said {
        let deadline = self.deadline();
        while self.read_line(deadline) {}
        let status = self.child.wait().expect("a child can be waited for");
        let mut said = std::mem::take(&mut self.said);
        said.code = status.code();
        said
    }

    /// The time at which a wait that begins now is given up.
    fn deadline(&self) -> Instant {
        now() + self.patience_with_other_lines
    }

    /// Reads the next line. Returns false when there are no more lines. Gives up after the deadline, or when no line
    /// comes for long.
    fn read_line(&mut self, deadline: Instant) -> bool {
        match self.lines.recv_timeout(self.patience.min(deadline.saturating_duration_since(now()))) {
            Ok(line) => self.said.add(line),
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => panic!("it hangs; so far it said: {:#?}", self.said),
        }
        assert!(now() < deadline, "it was waited for in vain; so far it said: {:#?}", self.said);
        true
    }
}

#[expect(clippy::disallowed_methods, reason = "the real program runs on the real clock")]
fn now() -> Instant {
    Instant::now()
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Passes on lines with their ends until the stream ends, or until nobody receives them any more.
fn read_lines(stream: impl Read + Send + 'static, which: Stream, lines: SyncSender<(Stream, String)>) {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            if lines.send((which, String::from_utf8_lossy(&line).into_owned())).is_err() {
                return;
            }
            line.clear();
        }
    });
}
