//! The machine's times as points in time.

use crate::time::Time;
use std::time::{SystemTime, UNIX_EPOCH};

/// Converts a time of the machine. Times before 1970 become 1970.
pub(super) fn time_of(time: SystemTime) -> Time {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The time of the machine, for lines of the log: they are written also where there is no [`Clock`](super::Clock).
#[expect(clippy::disallowed_methods, reason = "the log of a simulation is not part of its results")]
pub fn machine_time() -> Time {
    time_of(SystemTime::now())
}
