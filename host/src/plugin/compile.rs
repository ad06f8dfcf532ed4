//! Compiles components, in a separate process where that is possible.
//!
//! Owns both sides of this process. The parent starts the process, sends it the component, waits for a limited time and
//! kills it. The child limits its own memory before it reads any byte of the component. So a component that makes the
//! compiler run for ever, use up the memory or crash stops only its own job, not the host. The child is this same
//! program, called with an argument that is not part of the command line. The child sees no environment variables and
//! writes no files.

use super::load_error::LoadError;
use super::runtime::code_settings;
use super::words::foreign;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;
use wasmtime::Engine;

/// The argument that makes this process compile. The limit of its memory in bytes follows.
const ARGUMENT: &str = "__compile-plugin";

/// The longest time for compiling. A plugin of 1 MiB takes a fraction of a second; CPython, 18 MiB, took 30 s on two
/// busy cores.
const TIME_MAX: Duration = Duration::from_secs(30);
/// The most memory for compiling. A plugin of 64 MiB, the default limit, can be compiled in this memory.
const ADDRESS_SPACE_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// The most threads of the compiler. Each thread needs memory of its own.
const THREADS_MAX: usize = 8;
/// The largest compiled form. CPython has 33 MiB.
const CODE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// The most bytes of the child's messages that are kept.
const MESSAGE_BYTES_MAX: u64 = 8 * 1024;
/// How often the parent checks whether the child has ended, after the child has closed its streams.
const END_POLLS_MAX: u32 = 1000;
const END_POLL: Duration = Duration::from_millis(1);

/// The exit code of a child that cannot compile the component, because the component is invalid. The child's message
/// says why.
const EXIT_INVALID: u8 = 65;
/// The exit code of a child that has used up its memory.
const EXIT_MEMORY: u8 = 66;
/// The exit code of a child that fails for any other reason. The child's message says which.
const EXIT_UNABLE: u8 = 67;
/// The message with which the standard library aborts if there is no memory left.
const ALLOCATION_FAILED: &str = "memory allocation of ";

/// Whether this program answers [`ARGUMENT`]. Set by [`serve_compilation`].
static ANSWERS: AtomicBool = AtomicBool::new(false);

/// Compiles a component if a parent process has asked this process to do so, and returns the exit code. `None` if there
/// is no such parent. The program `host` calls this function first.
pub fn serve_compilation() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != ARGUMENT) {
        ANSWERS.store(true, Ordering::Relaxed);
        return None;
    }
    let limit = arguments.next().and_then(|limit| limit.to_str()?.parse().ok()).unwrap_or(ADDRESS_SPACE_MAX);
    Some(match serve(limit) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, why)) => {
            // The exit code is enough if nobody reads the message.
            let _ = io::stderr().write_all(why.as_bytes());
            ExitCode::from(code)
        }
    })
}

/// Reads a component from standard input and writes its compiled form to standard output.
fn serve(address_space: u64) -> Result<(), (u8, String)> {
    let unable = |what: &'static str| {
        move |error: io::Error| {
            let exit = if error.kind() == io::ErrorKind::OutOfMemory { EXIT_MEMORY } else { EXIT_UNABLE };
            (exit, format!("cannot {what}: {error}"))
        }
    };
    // If the parent has ended, nobody would read the result or kill this process. So it ends with its parent.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| unable("follow its parent")(error.into()))?;
    for (resource, max) in [(Resource::As, address_space), (Resource::Core, 0), (Resource::Fsize, 0)] {
        let max = getrlimit(resource).maximum.map_or(max, |hard| hard.min(max));
        let limit = Rlimit { current: Some(max), maximum: Some(max) };
        setrlimit(resource, limit).map_err(|error| unable("limit itself")(error.into()))?;
    }
    let mut component = Vec::new();
    io::stdin().read_to_end(&mut component).map_err(unable("read the component"))?;
    let engine = Engine::new(&code_settings()).map_err(|error| (EXIT_UNABLE, format!("{error:#}")))?;
    let code = engine.precompile_component(&component).map_err(|error| {
        let exit = if error.is::<wasmtime::OutOfMemory>() { EXIT_MEMORY } else { EXIT_INVALID };
        (exit, format!("{error:#}"))
    })?;
    io::stdout().write_all(&code).map_err(unable("write the compiled form"))
}

/// The program that compiles in a process of its own, and the limits of the process.
#[derive(Clone, Debug)]
pub struct CompilerProcess {
    program: PathBuf,
    arguments: Vec<String>,
    time_max: Duration,
    address_space_max: u64,
}

impl CompilerProcess {
    /// A compiler process that runs the program `host` at this path.
    ///
    /// # Safety
    /// The file must be that program, built from these sources: the output of the process is run as machine code.
    pub unsafe fn of_host(program: impl Into<PathBuf>) -> Self {
        Self::of_program(program.into(), vec![ARGUMENT.to_owned()])
    }

    fn of_program(program: PathBuf, arguments: Vec<String>) -> Self {
        Self { program, arguments, time_max: TIME_MAX, address_space_max: ADDRESS_SPACE_MAX }
    }

    /// A compiler process that runs this program. `None` if this program is not `host`, as in tests.
    pub(super) fn of_this_program() -> Option<Self> {
        if !ANSWERS.load(Ordering::Relaxed) {
            return None;
        }
        match std::env::current_exe() {
            // SAFETY: `program` is this program, which has declared that it is `host`.
            Ok(program) => Some(unsafe { Self::of_host(program) }),
            Err(error) => {
                tracing::warn!("the plugin is compiled without limits: the path of this program is unknown: {error}");
                None
            }
        }
    }

    /// The same program with other limits of time and of memory in bytes.
    #[must_use]
    pub fn with_limits(self, time_max: Duration, address_space_max: u64) -> Self {
        Self { time_max, address_space_max, ..self }
    }

    /// Compiles a component.
    ///
    /// # Errors
    /// If the component cannot be compiled, or not within the limits, or if the process cannot be run.
    pub(super) fn compile(&self, component: &[u8]) -> Result<Vec<u8>, LoadError> {
        let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get).min(THREADS_MAX);
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(self.address_space_max.to_string());
        command.env_clear().env("RAYON_NUM_THREADS", threads.to_string());
        // Without this variable, a program whose shared libraries are in unusual places does not start.
        command.envs(std::env::var_os("LD_LIBRARY_PATH").map(|path| ("LD_LIBRARY_PATH", path)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Mortal(command.spawn().map_err(LoadError::NoCompiler)?);
        thread::scope(|scope| {
            let (ending, ended) = sync_channel(1);
            let feeding = child.0.stdin.take().map(|mut stdin| {
                // If the child does not read the whole component, the way in which it ends says why.
                thread::Builder::new().spawn_scoped(scope, move || _ = stdin.write_all(component))
            });
            feeding.transpose().map_err(LoadError::NoCompiler)?;
            let code = collect(scope, child.0.stdout.take(), CODE_BYTES_MAX, ending.clone())?;
            let message = collect(scope, child.0.stderr.take(), MESSAGE_BYTES_MAX, ending)?;
            // Nothing is ever sent through the channel. It closes when both streams have ended.
            let is_silent = ended.recv_timeout(self.time_max) == Err(RecvTimeoutError::Disconnected);
            let status = if is_silent { child.end().map_err(LoadError::NoCompiler)? } else { None };
            // If the child has not ended yet, it is killed here, so that its streams end.
            drop(child);
            let (code, message) = (joined(code), joined(message).unwrap_or_default());
            let Some(status) = status else {
                return Err(LoadError::CompileTimeout { limit: self.time_max });
            };
            let message = String::from_utf8_lossy(&message).into_owned();
            let is_code = |code| status.code() == Some(i32::from(code));
            let whole = code.map_err(LoadError::NoCompiler)?;
            if status.success() && whole.len() as u64 == CODE_BYTES_MAX {
                Err(LoadError::Invalid(format!("its compiled form is larger than {CODE_BYTES_MAX} bytes")))
            } else if status.success() {
                Ok(whole)
            } else if is_code(EXIT_INVALID) {
                Err(LoadError::Invalid(foreign(&message)))
            } else if is_code(EXIT_MEMORY) || message.contains(ALLOCATION_FAILED) {
                Err(LoadError::CompileMemory { limit: self.address_space_max })
            } else {
                Err(LoadError::CompilerCrashed(foreign(&format!("{status}: {}", message.trim()))))
            }
        })
    }
}

/// A child process that is killed when its owner is dropped.
struct Mortal(Child);

impl Mortal {
    /// Returns how the child ended. `None` if the child still runs although it has closed its streams.
    fn end(&mut self) -> io::Result<Option<std::process::ExitStatus>> {
        for _ in 0..END_POLLS_MAX {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            thread::park_timeout(END_POLL);
        }
        Ok(None)
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        // An error means that the child has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

type Collected<'scope> = ScopedJoinHandle<'scope, io::Result<Vec<u8>>>;

/// Reads a stream to its end and keeps at most `max` bytes of it. Then drops `ending`.
fn collect<'scope>(
    scope: &'scope Scope<'scope, '_>,
    stream: Option<impl Read + Send + 'scope>,
    max: u64,
    ending: SyncSender<()>,
) -> Result<Collected<'scope>, LoadError> {
    let read = move || {
        let mut bytes = Vec::new();
        let mut outcome = Ok(());
        if let Some(stream) = stream {
            let mut start = stream.take(max);
            let read = start.read_to_end(&mut bytes);
            outcome = read.and_then(|_| io::copy(&mut start.into_inner(), &mut io::sink())).map(drop);
        }
        drop(ending);
        outcome.map(|()| bytes)
    };
    thread::Builder::new().spawn_scoped(scope, read).map_err(LoadError::NoCompiler)
}

fn joined(collected: Collected<'_>) -> io::Result<Vec<u8>> {
    collected.join().unwrap_or_else(|_| Err(io::Error::other("reading what the compiler says panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stands in for the child. It inherits no path, so it uses what the shell has built in, and one absolute path.
    fn shell(script: &str) -> CompilerProcess {
        CompilerProcess::of_program("/bin/sh".into(), ["-c", script].map(str::to_owned).to_vec())
    }

    #[test]
    fn what_the_child_writes_is_the_result() {
        let large = vec![b'x'; 1 << 20];
        assert_eq!(shell("exec /bin/cat").compile(&large).expect("it succeeds"), large);
        // The child may end without reading the whole component.
        assert_eq!(shell("echo ok").compile(&large).expect("it succeeds"), b"ok\n");
    }

    #[test]
    fn a_child_that_takes_too_long_is_killed() {
        let limit = Duration::from_millis(50);
        for script in ["exec /bin/sleep 600", "while :; do echo; done", "while :; do echo >&2; done"] {
            let outcome = shell(script).with_limits(limit, ADDRESS_SPACE_MAX).compile(b"");
            assert!(matches!(outcome, Err(LoadError::CompileTimeout { limit: l }) if l == limit), "{outcome:?}");
        }
    }

    #[test]
    fn a_child_that_closes_its_streams_and_goes_on_is_killed() {
        let outcome = shell("exec >&- 2>&-; while :; do :; done").compile(b"");
        assert!(matches!(outcome, Err(LoadError::CompileTimeout { .. })), "{outcome:?}");
    }

    #[test]
    fn what_the_child_says_becomes_the_error() {
        let error = |script| shell(script).compile(b"").expect_err("it fails");
        assert!(matches!(error("echo no. >&2; exit 65"), LoadError::Invalid(why) if why == "no."));
        assert!(matches!(error("exit 66"), LoadError::CompileMemory { limit: ADDRESS_SPACE_MAX }));
        let memory = error("echo memory allocation of 12 bytes failed >&2; kill -ABRT $$");
        assert!(matches!(memory, LoadError::CompileMemory { .. }), "{memory}");
        let crash = error("echo \"$(printf 'a\\033b')\" >&2; kill -SEGV $$").to_string();
        assert!(crash.starts_with("the compiler failed: signal: 11 (SIGSEGV)") && !crash.contains('\x1b'), "{crash}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named_as_such() {
        let outcome = CompilerProcess::of_program("/nonexistent".into(), Vec::new()).compile(b"");
        assert!(matches!(outcome, Err(LoadError::NoCompiler(_))), "{outcome:?}");
    }

    #[test]
    fn the_child_sees_no_environment() {
        let seen = shell("exec /usr/bin/env").compile(b"").expect("it succeeds");
        let seen = String::from_utf8_lossy(&seen).into_owned();
        let allowed = ["RAYON_NUM_THREADS=", "LD_LIBRARY_PATH=", "PWD=", "OLDPWD=", "SHLVL=", "_="];
        assert!(seen.lines().all(|line| allowed.iter().any(|start| line.starts_with(start))), "{seen}");
    }
}
