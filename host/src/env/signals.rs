//! Signals of the system, on a thread of their own.
//!
//! Owns which signals ask for a stop. The thread waits for nothing else, so a signal is heard whatever the rest of the
//! process does.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;

/// Calls `heard` on a thread of its own at each SIGINT, SIGTERM and SIGHUP, as long as the process lives. A SIGHUP that
/// the process was told to ignore, as by `nohup`, stays ignored.
///
/// # Errors
/// When the system refuses a handler or a thread.
pub fn hear_stop_signals(mut heard: impl FnMut() + Send + 'static) -> io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let hang_up = (!is_ignored(&status, SIGHUP)).then_some(SIGHUP);
    let mut signals = Signals::new([SIGINT, SIGTERM].into_iter().chain(hang_up))?;
    let run = move || signals.forever().for_each(|_| heard());
    std::thread::Builder::new().name("signals".to_owned()).spawn(run).map(drop)
}

/// A write beyond the limit of the system for the size of a file fails from here on, as one to a full disk does, and does
/// not end the process.
///
/// # Errors
/// When the system refuses a handler.
pub fn outlive_file_size_limit() -> io::Result<()> {
    // A signal that has a handler does not do what it would do without one. Nobody looks at the flag.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// Whether a process ignores a signal, as its `/proc/PID/status` says: `SigIgn` has a bit for each signal, from 1 on.
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
