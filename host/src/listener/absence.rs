//! How often the log reports that a source is away: a pure decision.
//!
//! Owns the state of one source: since when the source is away, how often it failed, and what was reported. The first
//! failure is reported, then few of the further failures, each with the number of all failures, and then the return. A
//! source that comes and goes at once counts as away. Never makes the text of a report.

use crate::time::{Duration, Time};

/// The pause between the first and the second failure that are reported.
const PAUSE_FIRST: Duration = Duration::from_secs(60);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(3600);
/// A source that is back for this time is not away any more: its next failure counts as a first failure.
const STEADY: Duration = Duration::from_secs(10);

/// What is to be reported of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tell {
    /// The failure is the first one.
    First,
    /// The failure is one of many.
    Repeated(Away),
    /// Nothing is to be reported.
    Nothing,
}

/// How long a source was away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Away {
    /// How often the source failed.
    pub(super) failures: u64,
    /// How long ago the first failure was.
    pub(super) time: Duration,
}

/// The state of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Absence {
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    since: Time,
    failures: u64,
    told: Time,
    pause: Duration,
    /// When the source came back last; `None` if it is away right now.
    back: Option<Time>,
    is_return_told: bool,
}

impl Absence {
    /// Whether the source failed, and was not back for [`STEADY`] since then.
    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Records that the source failed, and decides what is reported.
    pub(super) fn failed(&mut self, now: Time) -> Tell {
        let is_away = |open: &&mut Open| open.back.is_none_or(|back| now.since(back) < STEADY);
        let Some(open) = self.open.as_mut().filter(is_away) else {
            self.open = Some(Open {
                since: now,
                failures: 1,
                told: now,
                pause: PAUSE_FIRST,
                back: None,
                is_return_told: false,
            });
            return Tell::First;
        };
        open.failures += 1;
        open.back = None;
        if now.since(open.told) < open.pause {
            return Tell::Nothing;
        }
        open.told = now;
        open.pause = open.pause.saturating_mul(2).min(PAUSE_MAX);
        open.is_return_told = false;
        Tell::Repeated(Away { failures: open.failures, time: now.since(open.since) })
    }

    /// Records that the source is reached. Returns `None` if the return needs no report, because no failure was
    /// reported since the last report of a return.
    pub(super) fn returned(&mut self, now: Time) -> Option<Away> {
        let open = self.open.as_mut()?;
        open.back = Some(now);
        let is_told = std::mem::replace(&mut open.is_return_told, true);
        (!is_told).then(|| Away { failures: open.failures, time: now.since(open.since) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_ms(1000 * seconds)
    }

    #[test]
    fn the_first_failure_is_told_then_few_then_the_return() {
        let mut absence = Absence::default();
        let mut told = Vec::new();
        // A day of a server that is away, tried every two seconds.
        for second in (0..86_400).step_by(2) {
            match absence.failed(at(second)) {
                Tell::First => told.push((second, 1)),
                Tell::Repeated(away) => {
                    assert_eq!(away.time, Duration::from_secs(second));
                    told.push((second, away.failures));
                }
                Tell::Nothing => {}
            }
        }
        assert_eq!(told[..5], [(0, 1), (60, 31), (180, 91), (420, 211), (900, 451)]);
        assert!(told.len() < 40, "{told:?}");
        let away = Away { failures: 43_200, time: Duration::from_secs(86_400) };
        assert_eq!(absence.returned(at(86_400)), Some(away));
        assert_eq!(absence.failed(at(86_500)), Tell::First);
    }

    #[test]
    fn a_server_that_accepts_and_closes_is_away() {
        let mut absence = Absence::default();
        assert_eq!(absence.returned(at(0)), None);
        let mut told = 0;
        for second in (0..600).step_by(2) {
            told += usize::from(absence.failed(at(second)) != Tell::Nothing);
            told += usize::from(absence.returned(at(second + 1)).is_some());
        }
        // At 0, 60, 180 and 420 seconds, each with a return.
        assert_eq!(told, 8);
    }
}
