//! A child process that a supervisor starts and watches, and the signals that the supervisor gets meanwhile.
//!
//! Owns the child, the socket through which the child reports, and the reaping of processes. Everything that happens
//! comes through one function, in order. The standard input of the child is its end of the socket, or empty if the child is
//! another program; its other streams are those of this process. All processes that become children of this one are reaped, since process 1 of a
//! container inherits those of others. Never decides what follows from the end of a child.

use super::notify_socket::{SOCKET_VARIABLE, WATCHDOG_PROCESS_VARIABLE, WATCHDOG_VARIABLE, watchdog_interval};
use super::signals::{StopSignal, Watched, hear_signals_of_supervisor};
use crate::time::Duration;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getppid, kill_process, set_parent_process_death_signal, wait,
};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Instant;

/// How many signals and reports wait at most. A sender that finds the queue full waits.
const NOTES_MAX: usize = 64;
/// The most bytes of a report.
const REPORT_BYTES_MAX: usize = 4096;
/// How long the end of a child is held back for reports that are still on their way, if a process that the child has
/// started keeps the socket open.
const LAST_REPORTS_MAX: Duration = Duration::from_secs(1);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "ended with exit code {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
        }
    }
}

/// Something that a supervisor has to handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// This process got a signal that asks for a stop.
    Signal(StopSignal),
    /// The child has sent a report.
    Told(String),
    /// The child has ended, and all its reports have been handled.
    Ended(Ended),
    /// The time until which the supervisor wanted to wait has come.
    TimePassed,
}

enum Note {
    Signal(StopSignal),
    /// Some child of this process has ended.
    ChildEnded,
    /// The child with this number has sent a report.
    Told(u64, String),
    /// The child with this number sends no further report.
    IsSilent(u64),
}

struct Running {
    number: u64,
    process: Child,
    /// How and when the process ended. `None` while the process runs.
    ended: Option<(Ended, Duration)>,
    is_silent: bool,
}

/// A command that runs another program, or this one.
#[derive(Clone, Debug, Default)]
pub struct ChildCommand {
    /// The program, as `PATH` finds it. `None` stands for the program of this process.
    pub program: Option<&'static str>,
    /// The arguments.
    pub arguments: Vec<OsString>,
    /// The working directory. `None` stands for that of this process.
    pub directory: Option<PathBuf>,
    /// Environment variables that are set for the child.
    pub variables: Vec<(&'static str, OsString)>,
    /// Whether the output of the child is thrown away.
    pub is_quiet: bool,
}

impl ChildCommand {
    fn of(&self, this: &Path) -> Command {
        let mut command = Command::new(self.program.map_or(this, Path::new));
        command.args(&self.arguments).stdin(Stdio::null());
        self.directory.iter().for_each(|directory| _ = command.current_dir(directory));
        self.variables.iter().for_each(|(name, value)| _ = command.env(name, value));
        command
    }
}

/// The child of a supervisor: at most one at a time.
pub struct ChildProcess {
    program: PathBuf,
    began: Instant,
    sender: SyncSender<Note>,
    notes: Receiver<Note>,
    last_number: u64,
    running: Option<Running>,
}

impl ChildProcess {
    /// Begins to watch signals. The children will run the program of this process, as it is then in the same file. No
    /// child is started yet.
    ///
    /// # Errors
    /// If the system refuses a handler or a thread, or does not tell the path of this program.
    #[expect(clippy::disallowed_methods, reason = "a supervisor runs on the machine's clock")]
    pub fn new() -> io::Result<Self> {
        let (sender, notes) = sync_channel(NOTES_MAX);
        let heard = sender.clone();
        hear_signals_of_supervisor(move |watched| {
            let note = match watched {
                Watched::Stop(signal) => Note::Signal(signal),
                Watched::ChildEnded => Note::ChildEnded,
            };
            // The receiver lives as long as this process does anything.
            let _ = heard.send(note);
        })?;
        // Children of the program that this process ran before may have ended before there was a handler.
        let _ = sender.try_send(Note::ChildEnded);
        let program = std::env::current_exe()?;
        Ok(Self { program, began: Instant::now(), sender, notes, last_number: 0, running: None })
    }

    /// The time since [`ChildProcess::new`].
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Starts the child, and returns the number of its process. The calling thread must live as long as this process: the
    /// child ends with this thread.
    ///
    /// # Errors
    /// If the system refuses a process or a socket.
    pub fn start(&mut self, arguments: &[OsString]) -> io::Result<u32> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::from(theirs));
        command.env_remove(SOCKET_VARIABLE).env_remove(WATCHDOG_PROCESS_VARIABLE);
        if watchdog_interval().is_none() {
            command.env_remove(WATCHDOG_VARIABLE);
        }
        self.last_number += 1;
        let (number, sender) = (self.last_number, self.sender.clone());
        // If no process can be started, `theirs` is closed, and the thread ends.
        std::thread::Builder::new().name("reports".to_owned()).spawn(move || pass_reports(&ours, number, &sender))?;
        let process = command.spawn()?;
        let id = process.id();
        self.running = Some(Running { number, process, ended: None, is_silent: false });
        Ok(id)
    }

    /// Starts a child that sends no reports, and whose standard input is empty. Returns the number of its process.
    ///
    /// # Errors
    /// If the system refuses a process; [`io::ErrorKind::NotFound`] if there is no such program.
    pub fn start_command(&mut self, command: &ChildCommand) -> io::Result<u32> {
        let mut started = command.of(&self.program);
        if command.is_quiet {
            started.stdout(Stdio::null()).stderr(Stdio::null());
        }
        let process = started.spawn()?;
        self.last_number += 1;
        let id = process.id();
        self.running = Some(Running { number: self.last_number, process, ended: None, is_silent: true });
        Ok(id)
    }

    /// What a command prints to standard output. Returns when the command has ended.
    ///
    /// # Errors
    /// If the system refuses a process, or if the output cannot be read.
    pub fn output_of(&self, command: &ChildCommand) -> io::Result<String> {
        let output = command.of(&self.program).stderr(Stdio::null()).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Sends a signal to the child, if it still runs.
    pub fn pass_on(&self, signal: StopSignal) {
        let Some(Running { process, ended: None, .. }) = &self.running else { return };
        let signal = match signal {
            StopSignal::Interrupt => Signal::INT,
            StopSignal::Terminate => Signal::TERM,
            StopSignal::HangUp => Signal::HUP,
        };
        if let Some(id) = pid_of(process) {
            // An error means that the process has ended, which is noticed soon.
            let _ = kill_process(id, signal);
        }
    }

    /// Waits until something happens. `until` is a time of [`ChildProcess::now`]; `None` if there is nothing else to do.
    pub fn next(&mut self, until: Option<Duration>) -> Happening {
        loop {
            let ended = self.running.as_ref().and_then(|child| Some((child.ended?, child.is_silent)));
            let held_until = match ended {
                Some(((ended, at), is_silent)) => {
                    if is_silent || self.now() >= at + LAST_REPORTS_MAX {
                        self.running = None;
                        return Happening::Ended(ended);
                    }
                    Some(at + LAST_REPORTS_MAX)
                }
                None => None,
            };
            let note = match [until, held_until].into_iter().flatten().min() {
                Some(deadline) => self.notes.recv_timeout(deadline.saturating_sub(self.now())),
                None => self.notes.recv().map_err(RecvTimeoutError::from),
            };
            match note {
                Ok(Note::Signal(signal)) => return Happening::Signal(signal),
                Ok(Note::ChildEnded) => self.reap(),
                Ok(Note::Told(number, text)) if self.is_running(number) => return Happening::Told(text),
                Ok(Note::IsSilent(number)) => {
                    let child = self.running.as_mut().filter(|child| child.number == number);
                    child.into_iter().for_each(|child| child.is_silent = true);
                }
                // A report of an earlier child says nothing any more.
                Ok(Note::Told(..)) => {}
                Err(_) if until.is_some_and(|until| self.now() >= until) => return Happening::TimePassed,
                Err(_) => {}
            }
        }
    }

    /// Whether there is a child that was started and whose end was not reported yet.
    pub const fn has_child(&self) -> bool {
        self.running.is_some()
    }

    fn is_running(&self, number: u64) -> bool {
        self.running.as_ref().is_some_and(|child| child.number == number)
    }

    /// Reaps all processes that have ended and whose parent is this one.
    fn reap(&mut self) {
        while let Ok(Some((id, status))) = wait(WaitOptions::NOHANG) {
            let now = self.now();
            if let Some(child) = self.running.as_mut().filter(|child| pid_of(&child.process) == Some(id)) {
                child.ended = ended(status).map(|ended| (ended, now));
            }
        }
    }
}

fn pid_of(process: &Child) -> Option<Pid> {
    Pid::from_raw(process.id().try_into().ok()?)
}

/// How a process with this status has ended. `None` if it has not.
fn ended(status: WaitStatus) -> Option<Ended> {
    status.exit_status().map(Ended::Code).or_else(|| status.terminating_signal().map(Ended::Signal))
}

/// Passes on the reports of a child until the child has closed its socket.
fn pass_reports(socket: &OwnedFd, number: u64, notes: &SyncSender<Note>) {
    let mut buffer = [0; REPORT_BYTES_MAX];
    loop {
        let length = match recv(socket, &mut buffer, RecvFlags::empty()) {
            Ok((length, _)) if length > 0 => length,
            Err(rustix::io::Errno::INTR) => continue,
            Ok(_) | Err(_) => break,
        };
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
        if notes.send(Note::Told(number, text)).is_err() {
            return;
        }
    }
    // The receiver lives as long as this process does anything.
    let _ = notes.send(Note::IsSilent(number));
}

/// Makes this process end at once, as by `kill -9`, when its supervisor ends. Returns false if the supervisor, a process
/// with this number, has ended already. To be called on a thread that lives as long as the process.
///
/// # Errors
/// If the system refuses it.
pub fn end_with_supervisor(supervisor: u32) -> io::Result<bool> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let parent = getppid().map(|parent| parent.as_raw_nonzero().get());
    Ok(parent.and_then(|parent| u32::try_from(parent).ok()) == Some(supervisor))
}
