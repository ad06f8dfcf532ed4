//! Rates, and the processor time that they took.

use std::fs;
use std::path::PathBuf;

/// One measurement.
pub struct Rate {
    pub bytes_per_second: f64,
    /// The processor time of the side that received, in seconds of each second. `None` if the system does not tell.
    processors: Option<f64>,
}

impl Rate {
    /// The rate over a time, with the processor time at its begin and its end.
    pub fn new(bytes_per_second: f64, before: Option<f64>, after: Option<f64>, seconds: u64) -> Self {
        let processors = before.zip(after).map(|(before, after)| (after - before) / seconds as f64);
        Self { bytes_per_second, processors }
    }

    /// The bytes in a second of processor time. Not a number if the system does not tell.
    pub fn for_each(&self) -> f64 {
        self.bytes_per_second / self.processors.map_or(f64::NAN, |processors| processors.max(0.01))
    }

    /// The rate, for people.
    pub fn shown(&self) -> String {
        let of_each = |processors| format!(" ({processors:.2} processors, {:.0} MB/s for each)", self.for_each() / 1e6);
        format!("{:.0} MB/s{}", self.bytes_per_second / 1e6, self.processors.map(of_each).unwrap_or_default())
    }
}

/// The processor time of a process so far, in seconds. `None` if the system does not tell.
pub fn of_process(process: u32) -> Option<f64> {
    seconds(&PathBuf::from(format!("/proc/{process}/stat")))
}

/// A thread of this program.
pub struct Thread(Option<PathBuf>);

impl Thread {
    /// The thread that calls this.
    pub fn current() -> Self {
        Self(fs::read_link("/proc/thread-self").ok().map(|thread| PathBuf::from("/proc").join(thread).join("stat")))
    }

    /// The processor time of the thread so far, in seconds. `None` if the system does not tell.
    pub fn seconds(&self) -> Option<f64> {
        seconds(self.0.as_ref()?)
    }
}

fn seconds(stat: &PathBuf) -> Option<f64> {
    let stat = fs::read_to_string(stat).ok()?;
    // The name of the program, which may hold anything, is in parentheses. The times are the 14th and 15th word.
    let mut words = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let ticks = |word: Option<&str>| word?.parse::<f64>().ok();
    Some((ticks(words.next())? + ticks(words.next())?) / 100.0)
}
