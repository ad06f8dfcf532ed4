//! Whether the process of a job is started again when it has ended: a pure decision.
//!
//! Owns which ends are final, the pauses before restarts, and their limit. Never reads a clock, and never starts
//! anything. All times are those of a clock that never goes back.

use super::stopper::STOPPED_AT_ONCE;
use crate::env::{Ended, StopSignal};
use crate::error::ErrorKind;
use crate::time::Duration;
use std::collections::VecDeque;

/// How long a process may take until its job runs. Meanwhile the supervisor gives the signs of life.
const START_MAX: Duration = Duration::from_secs(600);
/// Signals that the system sends when a program itself has gone wrong: SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV
/// and SIGSYS.
const SIGNALS_OF_DEFECTS: [i32; 7] = [4, 5, 6, 7, 8, 11, 31];

/// How often, and after which pauses, a process is started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    /// The most restarts within the window.
    pub(super) restarts_max: u32,
    /// The span in which restarts are counted.
    pub(super) window: Duration,
    /// The pause before the first restart. Each further pause is twice as long.
    pub(super) pause_min: Duration,
    /// The longest pause. A job that has run for this long begins with the first pause again.
    pub(super) pause_max: Duration,
}

/// What follows from the end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Start the process again after this pause. The number counts the restarts within the window.
    Restart { pause: Duration, number: u32 },
    /// The supervisor ends with this exit code: a restart is not wanted, or cannot help.
    End(u8),
    /// The supervisor ends with an error of this kind: there were too many restarts within the window.
    GiveUp(ErrorKind),
}

/// The process, as far as the supervisor knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// The process runs since this time, and its job does not run yet.
    Starting(Duration),
    /// The job of the process runs since this time.
    Ready(Duration),
    /// There is no process.
    Ended,
}

/// The restarts of one job.
#[derive(Clone, Debug)]
pub(super) struct Restarts {
    policy: Policy,
    /// The times of the restarts within the window, the earliest first.
    restarts: VecDeque<Duration>,
    next_pause: Duration,
    life: Life,
    /// The last signal that asked for a stop.
    stop: Option<StopSignal>,
    /// Whether the job has been asked to stop, by a signal or by a client.
    is_stopping: bool,
    /// The exit code that the end of the last process stands for.
    last_code: u8,
}

impl Restarts {
    pub(super) fn new(policy: Policy) -> Self {
        let next_pause = policy.pause_min;
        let restarts = VecDeque::new();
        Self { policy, restarts, next_pause, life: Life::Ended, stop: None, is_stopping: false, last_code: 0 }
    }

    /// A process was started.
    pub(super) fn started(&mut self, at: Duration) {
        self.life = Life::Starting(at);
    }

    /// The job of the process runs.
    pub(super) fn ready(&mut self, at: Duration) {
        if let Life::Starting(_) = self.life {
            self.life = Life::Ready(at);
        }
    }

    /// The job of the process stops, because somebody wants it.
    pub(super) fn stopping(&mut self) {
        self.is_stopping = true;
    }

    /// The supervisor got a signal. Returns the exit code with which the supervisor ends at once; `None` if there is a
    /// process, which has to get the signal.
    pub(super) fn signal(&mut self, signal: StopSignal) -> Option<u8> {
        self.is_stopping = true;
        self.stop = Some(signal);
        // Whoever stops a job that has failed learns that it has failed.
        (self.life == Life::Ended).then_some(self.last_code)
    }

    /// Whether the supervisor has to give signs of life in place of the process.
    pub(super) fn answers_for_the_job(&self, at: Duration) -> bool {
        match self.life {
            Life::Starting(since) => at.saturating_sub(since) < START_MAX,
            Life::Ready(_) => false,
            Life::Ended => true,
        }
    }

    /// Decides what follows from the end of the process.
    pub(super) fn ended(&mut self, at: Duration, how: Ended) -> Decision {
        let life = std::mem::replace(&mut self.life, Life::Ended);
        let code = self.code(how);
        self.last_code = code;
        let is_refused = matches!(life, Life::Starting(_)) && ErrorKind::of_exit_code(code) == Some(ErrorKind::Plugin);
        if self.is_stopping || is_refused || is_final(how, code) {
            return Decision::End(code);
        }
        if let Life::Ready(since) = life
            && at.saturating_sub(since) >= self.policy.pause_max
        {
            self.next_pause = self.policy.pause_min;
        }
        while self.restarts.front().is_some_and(|restart| at.saturating_sub(*restart) >= self.policy.window) {
            self.restarts.pop_front();
        }
        let number = u32::try_from(self.restarts.len()).unwrap_or(u32::MAX);
        if number >= self.policy.restarts_max {
            return Decision::GiveUp(ErrorKind::of_exit_code(code).unwrap_or(ErrorKind::Internal));
        }
        let pause = self.next_pause.min(self.policy.pause_max);
        self.next_pause = pause.saturating_mul(2).min(self.policy.pause_max);
        self.restarts.push_back(at.saturating_add(pause));
        Decision::Restart { pause, number: number.saturating_add(1) }
    }

    /// The exit code that the end of a process stands for.
    fn code(&self, how: Ended) -> u8 {
        match how {
            Ended::Code(code) => u8::try_from(code).unwrap_or(ErrorKind::Internal.exit_code()),
            // The process did not handle signals yet, so that nothing was received.
            Ended::Signal(signal) if self.stop.is_some_and(|stop| stop.number() == signal) => 0,
            Ended::Signal(signal) if SIGNALS_OF_DEFECTS.contains(&signal) => ErrorKind::Internal.exit_code(),
            Ended::Signal(_) => ErrorKind::Unavailable.exit_code(),
        }
    }
}

/// Whether a restart after this end is not wanted or cannot help.
fn is_final(how: Ended, code: u8) -> bool {
    let is_wanted = code == 0 || code == STOPPED_AT_ONCE;
    let needs_a_person = matches!(ErrorKind::of_exit_code(code), Some(ErrorKind::User | ErrorKind::Data));
    matches!(how, Ended::Code(_)) && (is_wanted || needs_a_person)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> Policy {
        Policy { restarts_max: 4, window: SECOND * 600, pause_min: SECOND, pause_max: SECOND * 60 }
    }

    fn running(at: Duration) -> Restarts {
        let mut restarts = Restarts::new(policy());
        restarts.started(at);
        restarts.ready(at);
        restarts
    }

    fn pauses(restarts: &mut Restarts, count: u32) -> Vec<u64> {
        let mut at = Duration::ZERO;
        let mut pause = |_| {
            let Decision::Restart { pause, .. } = restarts.ended(at, Ended::Code(4)) else { panic!("it gave up") };
            at += pause;
            restarts.started(at);
            restarts.ready(at);
            pause.as_secs()
        };
        (0..count).map(&mut pause).collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut restarts = Restarts::new(Policy { restarts_max: 100, ..policy() });
        assert_eq!(pauses(&mut restarts, 9), [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn a_job_that_has_run_well_begins_with_the_first_pause_again() {
        let mut restarts = running(Duration::ZERO);
        assert_eq!(restarts.ended(SECOND, Ended::Signal(9)), Decision::Restart { pause: SECOND, number: 1 });
        restarts.started(SECOND * 2);
        restarts.ready(SECOND * 10);
        assert_eq!(restarts.ended(SECOND * 69, Ended::Signal(9)), Decision::Restart { pause: SECOND * 2, number: 2 });
        restarts.started(SECOND * 71);
        restarts.ready(SECOND * 80);
        assert_eq!(restarts.ended(SECOND * 140, Ended::Signal(9)), Decision::Restart { pause: SECOND, number: 3 });
        // The time of a process whose job does not run yet does not count.
        restarts.started(SECOND * 141);
        assert_eq!(restarts.ended(SECOND * 400, Ended::Code(4)), Decision::Restart { pause: SECOND * 2, number: 4 });
    }

    #[test]
    fn after_too_many_restarts_it_gives_up_with_the_kind_of_the_last_failure() {
        for (how, kind) in [
            (Ended::Code(4), ErrorKind::Unavailable),
            (Ended::Code(3), ErrorKind::Plugin),
            (Ended::Code(101), ErrorKind::Internal),
            (Ended::Code(-1), ErrorKind::Internal),
            (Ended::Signal(9), ErrorKind::Unavailable),
            (Ended::Signal(11), ErrorKind::Internal),
        ] {
            let mut restarts = running(Duration::ZERO);
            assert_eq!(pauses(&mut restarts, 4), [1, 2, 4, 8]);
            assert_eq!(restarts.ended(SECOND * 100, how), Decision::GiveUp(kind), "{how}");
        }
    }

    #[test]
    fn restarts_before_the_window_do_not_count() {
        let mut restarts = running(Duration::ZERO);
        pauses(&mut restarts, 4);
        // The first restart was made after one second.
        assert!(matches!(restarts.clone().ended(SECOND * 600, Ended::Code(4)), Decision::GiveUp(_)));
        assert!(matches!(restarts.ended(SECOND * 601, Ended::Code(4)), Decision::Restart { number: 4, .. }));
    }

    #[test]
    fn an_end_that_a_restart_cannot_mend_is_final() {
        for code in [0, 2, 5, 130] {
            assert_eq!(running(SECOND).ended(SECOND, Ended::Code(code)), Decision::End(u8::try_from(code).unwrap()));
        }
        for code in [3, 4, 70, 1, 101] {
            assert!(matches!(running(SECOND).ended(SECOND, Ended::Code(code)), Decision::Restart { .. }), "{code}");
        }
        // A plugin that fails before its job runs is refused.
        let mut starting = Restarts::new(policy());
        starting.started(SECOND);
        assert_eq!(starting.ended(SECOND, Ended::Code(3)), Decision::End(3));
    }

    #[test]
    fn a_job_that_was_to_stop_is_not_started_again() {
        let mut restarts = running(SECOND);
        assert_eq!(restarts.signal(StopSignal::Terminate), None);
        assert_eq!(restarts.ended(SECOND, Ended::Code(4)), Decision::End(4));
        let mut restarts = running(SECOND);
        restarts.stopping();
        assert_eq!(restarts.ended(SECOND, Ended::Signal(9)), Decision::End(4));
        // The process did not handle signals yet.
        let mut restarts = Restarts::new(policy());
        restarts.started(SECOND);
        assert_eq!(restarts.signal(StopSignal::Interrupt), None);
        assert_eq!(restarts.ended(SECOND, Ended::Signal(2)), Decision::End(0));
        // In a pause there is no process.
        let mut restarts = running(SECOND);
        restarts.ended(SECOND, Ended::Code(70));
        assert_eq!(restarts.signal(StopSignal::HangUp), Some(70));
    }

    #[test]
    fn the_supervisor_answers_for_a_job_that_does_not_run_but_not_for_ever() {
        let mut restarts = Restarts::new(policy());
        assert!(restarts.answers_for_the_job(SECOND * 9999));
        restarts.started(SECOND);
        assert!(restarts.answers_for_the_job(START_MAX) && !restarts.answers_for_the_job(START_MAX + SECOND));
        restarts.ready(SECOND * 2);
        assert!(!restarts.answers_for_the_job(SECOND * 2));
    }

    proptest! {
        /// Whatever a process does, restarts keep to the limit and pauses to their bounds. Pauses only get longer, unless
        /// the job has run for as long as the longest pause.
        #[test]
        fn restarts_keep_to_the_policy(
            lives in prop::collection::vec((0u64..200, 0u64..200, prop::bool::ANY, prop::sample::select(vec![1, 3, 4, 70])), 1..60),
            restarts_max in 0u32..8,
            window_s in 1u64..2000,
            pause_min_s in 1u64..10,
            longer_s in 0u64..100,
        ) {
            let policy = Policy {
                restarts_max,
                window: SECOND * u32::try_from(window_s).unwrap(),
                pause_min: Duration::from_secs(pause_min_s),
                pause_max: Duration::from_secs(pause_min_s + longer_s),
            };
            let mut restarts = Restarts::new(policy.clone());
            let (mut at, mut made, mut last) = (Duration::ZERO, Vec::<Duration>::new(), Duration::ZERO);
            for (starting_s, running_s, is_ready, code) in lives {
                restarts.started(at);
                at += Duration::from_secs(starting_s);
                if is_ready {
                    restarts.ready(at);
                    at += Duration::from_secs(running_s);
                }
                let ran_well = is_ready && running_s >= policy.pause_max.as_secs();
                let within = made.iter().filter(|restart| at - **restart < policy.window).count();
                match restarts.ended(at, Ended::Code(code)) {
                    Decision::Restart { pause, number } => {
                        prop_assert!(within < restarts_max as usize);
                        prop_assert_eq!(number as usize, within + 1);
                        prop_assert!(policy.pause_min <= pause && pause <= policy.pause_max);
                        let follows = if ran_well { pause == policy.pause_min } else { pause >= last };
                        prop_assert!(follows, "{:?} after {:?}", pause, last);
                        at += pause;
                        made.push(at);
                        last = pause;
                    }
                    Decision::GiveUp(_) => {
                        prop_assert_eq!(within, restarts_max as usize);
                        return Ok(());
                    }
                    Decision::End(code) => {
                        prop_assert_eq!((code, is_ready), (3, false));
                        return Ok(());
                    }
                }
            }
        }
    }
}
