//! The settings that can be changed while a job runs.
//!
//! Owns the list of their keys, and their present values. Never reads a job file.

use super::settings::{OnError, Settings};
use crate::time::{Duration, whole_ms};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// The keys that can be changed while a job runs.
pub const LIVE_KEYS: [&str; 6] = [
    "job.on_error",
    "job.stop_timeout",
    "receiver.max_rate",
    "backpressure.enabled",
    "backpressure.min_rate",
    "engine.task_attempts",
];

/// The present values of the settings that can be changed while a job runs.
#[derive(Debug)]
pub struct LiveSettings {
    continues_on_error: AtomicBool,
    stop_timeout_ms: AtomicU64,
    task_attempts: AtomicU32,
}

impl LiveSettings {
    /// Makes the values of these settings.
    pub fn new(settings: &Settings) -> Self {
        let live = Self {
            continues_on_error: AtomicBool::new(false),
            stop_timeout_ms: AtomicU64::new(0),
            task_attempts: AtomicU32::new(1),
        };
        live.apply(settings);
        live
    }

    /// Takes the values of other settings.
    pub fn apply(&self, settings: &Settings) {
        self.continues_on_error.store(settings.job.on_error == OnError::Continue, Ordering::Relaxed);
        self.stop_timeout_ms.store(whole_ms(settings.job.stop_timeout), Ordering::Relaxed);
        self.task_attempts.store(settings.engine.task_attempts, Ordering::Relaxed);
    }

    /// What happens when a batch fails for good.
    pub fn on_error(&self) -> OnError {
        if self.continues_on_error.load(Ordering::Relaxed) { OnError::Continue } else { OnError::Stop }
    }

    /// The longest time that a graceful stop may take.
    pub fn stop_timeout(&self) -> Duration {
        Duration::from_millis(self.stop_timeout_ms.load(Ordering::Relaxed))
    }

    /// How many attempts of a task may fail by causes outside the plugin.
    pub fn task_attempts(&self) -> u32 {
        self.task_attempts.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::KEYS;
    use super::super::{Facts, load};
    use super::*;
    use std::path::Path;

    const JOB: &str = "[job]\nname = \"a\"\nplugin = \"p.wasm\"\n";

    #[test]
    fn live_settings_take_the_values_of_a_job_file() {
        let settings = |set: &[(&str, &str)]| {
            let set: Vec<_> = set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            load(JOB, Path::new("job.toml"), &set, &Facts { cpus: 1 }).unwrap()
        };
        let live = LiveSettings::new(&settings(&[]));
        assert_eq!(
            (live.on_error(), live.stop_timeout(), live.task_attempts()),
            (OnError::Stop, Duration::from_secs(60), 4)
        );
        let set = [("job.on_error", "continue"), ("job.stop_timeout", "7s"), ("engine.task_attempts", "2")];
        live.apply(&settings(&set));
        assert_eq!(
            (live.on_error(), live.stop_timeout(), live.task_attempts()),
            (OnError::Continue, Duration::from_secs(7), 2)
        );
    }

    #[test]
    fn each_live_key_is_a_key() {
        assert!(LIVE_KEYS.iter().all(|key| KEYS.iter().any(|known| known.name() == *key)));
    }
}
