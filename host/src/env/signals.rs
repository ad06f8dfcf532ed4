//! Signals of the system, which are handled on a thread of their own.
//!
//! Owns which signals ask for a stop. The thread waits for nothing else, so that a signal is noticed whatever the rest
//! of the process does. Before that thread is there, a signal ends the process, also if it is process 1.

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A signal that asks for a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP.
    HangUp,
}

impl StopSignal {
    /// The number of the signal.
    pub const fn number(self) -> i32 {
        match self {
            Self::Interrupt => SIGINT,
            Self::Terminate => SIGTERM,
            Self::HangUp => SIGHUP,
        }
    }
}

/// What a supervisor hears of signals.
pub(super) enum Watched {
    /// A signal asks for a stop.
    Stop(StopSignal),
    /// A child process has ended.
    ChildEnded,
}

/// The signals that ask for a stop. If the process was started so that it ignores SIGHUP, as by `nohup`, SIGHUP stays
/// ignored.
fn stop_signals() -> impl Iterator<Item = StopSignal> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let hang_up = (!is_ignored(&status, SIGHUP)).then_some(StopSignal::HangUp);
    [StopSignal::Interrupt, StopSignal::Terminate].into_iter().chain(hang_up)
}

/// Calls `heard` on a thread of its own for each SIGINT, SIGTERM and SIGHUP, as long as the process lives. If the
/// process was started so that it ignores SIGHUP, as by `nohup`, SIGHUP stays ignored.
///
/// # Errors
/// If the system refuses a handler or a thread.
pub fn hear_stop_signals(mut heard: impl FnMut() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new(stop_signals().map(StopSignal::number))?;
    let run = move || signals.forever().for_each(|_| heard());
    std::thread::Builder::new().name("signals".to_owned()).spawn(run).map(drop)
}

/// Calls `heard` on a thread of its own for each signal that asks for a stop, and whenever a child process has ended, as
/// long as the process lives.
///
/// # Errors
/// If the system refuses a handler or a thread.
pub(super) fn hear_signals_of_supervisor(mut heard: impl FnMut(Watched) + Send + 'static) -> io::Result<()> {
    let stops: Vec<StopSignal> = stop_signals().collect();
    let mut signals = Signals::new(stops.iter().map(|signal| signal.number()).chain([SIGCHLD]))?;
    let run = move || {
        for number in signals.forever() {
            let stop = stops.iter().find(|signal| signal.number() == number);
            heard(stop.map_or(Watched::ChildEnded, |signal| Watched::Stop(*signal)));
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(run).map(drop)
}

/// Ends process 1 when a signal asks for a stop, until somebody else handles the signals. The system itself ends any
/// other process, but drops signals that process 1 does not handle.
pub struct EarlySignals(Arc<AtomicBool>);

impl EarlySignals {
    /// Begins to handle signals, if this is process 1.
    ///
    /// # Errors
    /// If the system refuses a handler.
    pub fn start() -> io::Result<Self> {
        let is_early = Arc::new(AtomicBool::new(std::process::id() == 1));
        if is_early.load(Ordering::SeqCst) {
            for signal in stop_signals().map(StopSignal::number) {
                // Shells show the end by a signal as this code.
                signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, is_early.clone())?;
            }
        }
        Ok(Self(is_early))
    }

    /// Leaves the signals to others from here on.
    pub fn end(self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// If a file would exceed the system's limit of file sizes, writing to the file fails from here on, as writing to a
/// full disk does. Without this call, such a write ends the process.
///
/// # Errors
/// If the system refuses a handler.
pub fn outlive_file_size_limit() -> io::Result<()> {
    // With a handler, the signal does not end the process. The flag that the handler sets is not used.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// Whether a process ignores a signal. `status` is its `/proc/PID/status`: `SigIgn` has a bit for each signal, from 1
/// on.
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    u32::try_from(signal - 1).is_ok_and(|bit| mask.checked_shr(bit).unwrap_or_default() & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status_of_a_process() {
        let status = "Name:\thost\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\nSigCgt:\tffffffffffffffff\n";
        assert!(is_ignored(status, SIGHUP));
        assert!(is_ignored(status, 13));
        assert!(!is_ignored(status, SIGTERM));
        assert!(!is_ignored("", SIGHUP), "a system without this file");
        assert!(!is_ignored("SigIgn:\tword\n", SIGHUP));
    }
}
