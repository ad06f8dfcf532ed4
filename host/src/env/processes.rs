//! The processes of this machine: a unique name for each process, and whether a process has ended.
//!
//! Owns the name of a process. It consists of the boot of the machine, the namespace of the process's number, the
//! number, and the time at which the process started. A name of another boot, machine or namespace says nothing here.
//! Never sends signals.

use super::Processes;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::path::Path;

/// The processes of a machine that has `/proc`. On other machines nothing is known about processes.
pub(super) struct LinuxProcesses;

impl Processes for LinuxProcesses {
    fn this(&self) -> Option<String> {
        let number = std::process::id();
        Some(format!("{} {number} {}", space()?, started(number)?))
    }

    fn has_ended(&self, process: &str) -> bool {
        let ended = || {
            let mut words = process.rsplitn(3, ' ');
            let start: u64 = words.next()?.parse().ok()?;
            let number: u32 = words.next()?.parse().ok()?;
            // Process numbers can be compared only in the same namespace and boot.
            if words.next()? != space()? {
                return None;
            }
            let id = Pid::from_raw(number.try_into().ok()?)?;
            match test_kill_process(id) {
                Err(Errno::SRCH) => Some(true),
                // There is a process with this number. If it started at another time, it is another process.
                _ => Some(started(number)? != start),
            }
        };
        ended().unwrap_or(false)
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// The boot and the namespace in which process numbers are unique: `boot namespace`.
fn space() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.to_str()?))
}

/// When a process started, in ticks since the boot.
fn started(number: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(number.to_string()).join("stat")).ok()?;
    // The name of the program stands in parentheses and may contain any characters. The 22nd field is the 20th after
    // the name.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_that_is_gone_has_ended() {
        let this = LinuxProcesses.this().unwrap();
        assert!(!LinuxProcesses.has_ended(&this));
        // A process that has the same number and started earlier is another process.
        let (rest, start) = this.rsplit_once(' ').unwrap();
        assert!(LinuxProcesses.has_ended(&format!("{rest} {}", start.parse::<u64>().unwrap() - 1)));
        let (space, _) = rest.rsplit_once(' ').unwrap();
        // No process has the largest number that fits into the type.
        assert!(LinuxProcesses.has_ended(&format!("{space} {} 1", i32::MAX)));
    }

    #[test]
    fn of_other_machines_and_of_nonsense_nothing_is_known() {
        let this = LinuxProcesses.this().unwrap();
        let (_, process) = this.split_once(' ').unwrap();
        let elsewhere = format!("another-boot {process}");
        for text in [elsewhere.as_str(), "", " ", "1 2", "a b c d", "a 0 0", "a -1 5"] {
            assert!(!LinuxProcesses.has_ended(text), "{text}");
        }
    }
}
