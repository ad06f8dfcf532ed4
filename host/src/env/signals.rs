//! Signals of the system, which are handled on a thread of their own.
//!
//! Owns which signals ask for a stop. The thread waits for nothing else, so that a signal is noticed whatever the rest
//! of the process does.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;

/// Calls `heard` on a thread of its own for each SIGINT, SIGTERM and SIGHUP, as long as the process lives. If the
/// process was started so that it ignores SIGHUP, as by `nohup`, SIGHUP stays ignored.
///
/// # Errors
/// If the system refuses a handler or a thread.
pub fn hear_stop_signals(mut heard: impl FnMut() + Send + 'static) -> io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let hang_up = (!is_ignored(&status, SIGHUP)).then_some(SIGHUP);
    let mut signals = Signals::new([SIGINT, SIGTERM].into_iter().chain(hang_up))?;
    let run = move || signals.forever().for_each(|_| heard());
    std::thread::Builder::new().name("signals".to_owned()).spawn(run).map(drop)
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
