//! The time of a batch.

use std::fmt;
use std::time::Duration;

/// The end of a batch interval. This time names the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl std::ops::Add<Duration> for Time {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(whole_ms(span)))
    }
}

/// Subtraction stops at the Unix epoch.
impl std::ops::Sub<Duration> for Time {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(whole_ms(span)))
    }
}

fn whole_ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Time {
    pub(crate) const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// The time in milliseconds since the Unix epoch.
    pub const fn as_ms(self) -> u64 {
        self.0
    }
}

/// Shows a time as `1357008430000 ms`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}
