//! A host that runs a job, and the commands that ask it.

use crate::events::Events;
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The most samples of memory that may wait: those of a benchmark of some hours.
const SAMPLES_MAX: usize = 1 << 20;

/// How long something may take before the benchmark gives up.
const PATIENCE_MS: u64 = 60_000;
/// The time between two looks at the events.
const LOOK: Duration = Duration::from_millis(20);
/// The time between two looks at the memory.
const MEMORY_LOOK: Duration = Duration::from_millis(50);

/// Waits.
pub fn pause(span: Duration) {
    #[expect(clippy::disallowed_methods, reason = "a benchmark runs in real time")]
    std::thread::sleep(span);
}

/// The time of the machine's clock.
pub fn now_ms() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The path for a new directory of the program `name`, in `parent` or else beside the program.
///
/// # Errors
/// Returns an error if the system does not tell where this program is.
pub fn directory(parent: Option<&str>, name: &str) -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let parent = parent.map(PathBuf::from).or_else(|| program.parent().map(Path::to_path_buf)).unwrap_or_default();
    Ok(parent.join(format!("millstream-{name}-{}", std::process::id())))
}

/// A host that runs the file `job.toml` of a directory. Its end is the end of the host.
pub struct LiveHost {
    program: PathBuf,
    directory: PathBuf,
    child: Child,
    /// The events of the job.
    pub events: Events,
    is_over: Arc<AtomicBool>,
    seen: mpsc::Receiver<(u64, u64)>,
}

impl LiveHost {
    /// Starts the host that lies beside this program.
    ///
    /// # Errors
    /// Returns an error if the directory cannot be written, or if the host cannot be started.
    pub fn start(directory: &Path, job: &str) -> Result<Self, String> {
        Self::start_with(directory, job, Stdio::null())
    }

    /// As [`Self::start`]. The host prints to `output`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(directory: &Path, job: &str, output: Stdio) -> Result<Self, String> {
        let failed = |what: &str, error: std::io::Error| format!("cannot {what}: {error}");
        fs::create_dir_all(directory.join("out")).map_err(|error| failed("make a directory", error))?;
        fs::write(directory.join("job.toml"), job).map_err(|error| failed("write the job file", error))?;
        // The events of an earlier host are not those of this one. There need not be any.
        let _ = fs::remove_file(directory.join("events"));
        let log = File::create(directory.join("log")).map_err(|error| failed("write a log", error))?;
        let program = std::env::current_exe().map_err(|error| failed("find this program", error))?;
        let program = program.with_file_name("host");
        let mut command = Command::new(&program);
        command.args(["run", "job.toml", "--quiet", "--events", "events"]).current_dir(directory);
        command.env("MILLSTREAM_LOG", "warn").stdout(output).stderr(log);
        let child = command.spawn().map_err(|error| {
            format!("cannot run {}: {error}; build it in the same profile: cargo build -p host", program.display())
        })?;
        let (is_over, (send, seen)) = (Arc::new(AtomicBool::new(false)), mpsc::sync_channel(SAMPLES_MAX));
        let (over, process) = (is_over.clone(), child.id());
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                if let Some(kib) = resident_kib(process)
                    && send.send((now_ms(), kib)).is_err()
                {
                    return;
                }
                pause(MEMORY_LOOK);
            }
        });
        let events = Events::of(directory.join("events"));
        Ok(Self { program, directory: directory.to_owned(), child, events, is_over, seen })
    }

    /// The directory of the job.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the host prints. `None` if that is no pipe, or was taken before.
    pub fn take_output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// The number of the host's process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Kills the host, which cannot do anything before its end.
    ///
    /// # Errors
    /// Returns an error if the system does not do so.
    pub fn kill(mut self) -> Result<(), String> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(drop).map_err(|error| format!("cannot kill the host: {error}"))
    }

    /// Waits until the events show something.
    ///
    /// # Errors
    /// Returns an error if the host ends, or if the wait is too long.
    pub fn wait_for<T>(&mut self, what: &str, mut look: impl FnMut(&Events) -> Option<T>) -> Result<T, String> {
        let until = now_ms() + PATIENCE_MS;
        loop {
            self.events.read()?;
            if let Some(found) = look(&self.events) {
                return Ok(found);
            }
            self.check().map_err(|error| format!("there is no {what}: {error}"))?;
            if now_ms() > until {
                return Err(format!("there is no {what} after {} s{}", PATIENCE_MS / 1000, self.log()));
            }
            pause(LOOK);
        }
    }

    /// Checks that the host runs.
    ///
    /// # Errors
    /// Returns an error if the host has ended.
    pub fn check(&mut self) -> Result<(), String> {
        match self.child.try_wait().map_err(|error| format!("cannot wait: {error}"))? {
            Some(status) => Err(format!("the host ended with {status}{}", self.log())),
            None => Ok(()),
        }
    }

    /// Waits until this many more batches are done.
    ///
    /// # Errors
    /// As [`Self::wait_for`].
    pub fn wait_for_batches(&mut self, count: usize) -> Result<(), String> {
        self.events.read()?;
        let done = self.events.batches.len();
        self.wait_for("batches", |events| (events.batches.len() >= done + count).then_some(()))
    }

    /// Waits for one of these steps after the first `seen` steps. Returns when the step began.
    ///
    /// # Errors
    /// Returns an error if the upgrade ends otherwise.
    pub fn wait_for_step(&mut self, seen: usize, wanted: &[&str]) -> Result<u64, String> {
        let is_end = |step: &str| step == "withdrawn" || step == "aborted";
        let found = self.wait_for(wanted[0], |events| {
            let mut steps = events.steps.iter().skip(seen);
            steps.find(|step| wanted.contains(&step.step.as_str()) || is_end(&step.step)).cloned()
        })?;
        if is_end(&found.step) { Err(format!("the upgrade was {}{}", found.step, self.log())) } else { Ok(found.at_ms) }
    }

    /// Runs a command of the host about the job, and returns the status of the upgrade.
    ///
    /// # Errors
    /// Returns an error if the command fails.
    pub fn ask(&self, args: &[&str]) -> Result<Value, String> {
        let output = Command::new(&self.program).args(args).arg("--json").current_dir(&self.directory).output();
        let output = output.map_err(|error| format!("cannot run the host: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(format!("host {} failed: {said}{}", args.join(" "), self.log()));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| format!("host {}: {error}", args.join(" ")))
    }

    /// The resident memory of the host since the last call: the time and KiB.
    pub fn memory(&self) -> Vec<(u64, u64)> {
        self.seen.try_iter().collect()
    }

    /// Stops the job, and waits until all that was received is processed.
    ///
    /// # Errors
    /// Returns an error if the host does not stop, or ends with an error.
    pub fn stop(&mut self) -> Result<(), String> {
        let output = Command::new(&self.program).args(["stop", "job.toml"]).current_dir(&self.directory).output();
        let output = output.map_err(|error| format!("cannot run the host: {error}"))?;
        if !output.status.success() {
            return Err(format!("host stop failed: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let status = self.child.wait().map_err(|error| format!("cannot wait for the host: {error}"))?;
        if !status.success() {
            return Err(format!("the host ended with {status}{}", self.log()));
        }
        self.events.read()
    }

    /// The last lines of the host's log.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.iter().skip(lines.len().saturating_sub(10));
        last.map(|line| format!("\n  {line}")).collect()
    }
}

impl Drop for LiveHost {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // A host that has ended already cannot be ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The resident memory of a process. `None` if the system does not tell.
fn resident_kib(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok())
}
