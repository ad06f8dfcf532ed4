//! How a job is, in a sentence: a pure function of a few facts.
//!
//! Owns the words and their order: what stops the job comes first. Never reads a clock or a model.

use crate::listener::RunState;
use crate::shown::counted;
use serde::Serialize;
use std::fmt::Write as _;

/// An operator or a stage is named when it takes at least this share of the time.
const NAMED_SHARE: f64 = 0.3;
/// Without this many batches, no delay is judged.
const BATCHES_MIN: usize = 3;

/// The facts.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) state: RunState,
    pub(super) batch_interval_us: u64,
    /// Since when the job falls behind, as its scheduler has found. `None` if it keeps up.
    pub(super) behind_since_ms: Option<u64>,
    /// How many batches wait for their turn.
    pub(super) waiting: u64,
    /// Scheduling delay and processing time of the last batches, the newest first.
    pub(super) last_us: Vec<(u64, u64)>,
    /// How many of the last batches have a failed output.
    pub(super) failed: usize,
    /// How much time all stages took in the last batches.
    pub(super) all_us: u64,
    /// The parts of this time that operators took, or stages whose operators were not timed, by their labels.
    pub(super) parts_us: Vec<(String, u64)>,
    /// The receivers that are not connected.
    pub(super) away: Vec<String>,
    /// Since when checkpoints cannot be written. `None` if they can.
    pub(super) checkpoints_fail_since_ms: Option<u64>,
    /// The error that ended the job.
    pub(super) error: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Grade {
    /// All is well.
    Good,
    /// Nothing is to be judged: the job starts, stops or has ended.
    Neutral,
    /// Somebody should look.
    Poor,
    /// The job fails.
    Bad,
}

/// A piece of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Piece {
    Text(String),
    /// A point in time, which whoever shows it writes in the reader's time zone.
    TimeMs(u64),
}

/// How a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Health {
    pub(super) grade: Grade,
    /// The sentence, in pieces.
    pub(super) sentence: Vec<Piece>,
}

struct Sentence(Vec<Piece>);

impl Sentence {
    fn text(mut self, text: &str) -> Self {
        match self.0.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.0.push(Piece::Text(text.to_owned())),
        }
        self
    }

    fn since(self, time_ms: Option<u64>) -> Self {
        match time_ms {
            None => self,
            Some(time_ms) => {
                let mut begun = self.text(", since ");
                begun.0.push(Piece::TimeMs(time_ms));
                begun
            }
        }
    }

    fn graded(self, grade: Grade) -> Health {
        Health { grade, sentence: self.0 }
    }
}

/// Judges a job.
pub(super) fn judge(facts: &Facts) -> Health {
    let says = |text: &str| Sentence(Vec::new()).text(text);
    if let Some(error) = &facts.error {
        return says("has failed: ").text(error).graded(Grade::Bad);
    }
    match facts.state {
        RunState::Starting => return says("starts").graded(Grade::Neutral),
        RunState::Recovering => return says("runs the batches of an earlier start again").graded(Grade::Neutral),
        RunState::Stopped => return says("has ended").graded(Grade::Neutral),
        RunState::Stopping => {
            let left = facts.waiting;
            let text = format!("stops: {} still to be processed", counted(left, "batch"));
            return says(&text).graded(Grade::Neutral);
        }
        RunState::Running => {}
    }
    if facts.checkpoints_fail_since_ms.is_some() {
        return says("waits, because checkpoints cannot be written")
            .since(facts.checkpoints_fail_since_ms)
            .graded(Grade::Bad);
    }
    let mut health = pace(facts);
    let also = |health: &mut Health, grade: Grade, text: &str| {
        if health.grade != Grade::Bad {
            health.grade = grade;
        }
        let sentence = Sentence(std::mem::take(&mut health.sentence)).text("; ").text(text);
        health.sentence = sentence.0;
    };
    if facts.failed > 0 {
        let text =
            format!("outputs failed in {} of the last {}", facts.failed, counted(facts.last_us.len() as u64, "batch"));
        also(&mut health, Grade::Bad, &text);
    }
    match facts.away.as_slice() {
        [] => {}
        [one] => also(&mut health, Grade::Poor, &format!("the receiver of `{one}` is not connected")),
        [first, others @ ..] => {
            let text = format!(
                "the receivers of `{first}` and {} are not connected",
                counted(others.len() as u64, "other source")
            );
            also(&mut health, Grade::Poor, &text);
        }
    }
    health
}

/// Whether the job keeps up.
fn pace(facts: &Facts) -> Health {
    let says = |text: &str| Sentence(Vec::new()).text(text);
    let Some((scheduling_us, _)) = facts.last_us.first().copied() else {
        return says("runs, and no batch is done yet").graded(Grade::Neutral);
    };
    let processing_us =
        facts.last_us.iter().map(|(_, processing)| *processing).sum::<u64>() / facts.last_us.len() as u64;
    let (interval_us, is_judged) = (facts.batch_interval_us, facts.last_us.len() >= BATCHES_MIN);
    if facts.behind_since_ms.is_some() {
        let behind = says("falls behind by ").text(&span(scheduling_us)).since(facts.behind_since_ms);
        return behind.text(&hottest(facts)).graded(Grade::Poor);
    }
    if is_judged && processing_us > interval_us {
        let text = format!(
            "is about to fall behind: batches take {}, and one comes every {}",
            span(processing_us),
            span(interval_us)
        );
        return says(&text).text(&hottest(facts)).graded(Grade::Poor);
    }
    if is_judged && scheduling_us > interval_us {
        let text = format!("catches up: the last batch waited {}", span(scheduling_us));
        return says(&text).graded(Grade::Poor);
    }
    let share = if interval_us == 0 { 0.0 } else { processing_us as f64 / interval_us as f64 };
    let text = format!("keeps up: batches take {}, {} of the batch interval", span(processing_us), percent(share));
    says(&text).graded(Grade::Good)
}

/// The operator or stage that takes most of the time, if one does.
fn hottest(facts: &Facts) -> String {
    let Some((label, us)) = facts.parts_us.iter().max_by_key(|(_, us)| *us) else { return String::new() };
    let share = *us as f64 / facts.all_us.max(1) as f64;
    if share < NAMED_SHARE { String::new() } else { format!("; `{label}` takes {} of the time", percent(share)) }
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 1.0 { "less than 1 %".to_owned() } else { format!("{percent:.0} %") }
}

/// A span for people: three digits at most, with its unit.
pub(super) fn span(us: u64) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = match us {
        0..10_000 => write!(text, "{:.1} ms", us as f64 / 1e3),
        10_000..1_000_000 => write!(text, "{:.0} ms", us as f64 / 1e3),
        1_000_000..60_000_000 => write!(text, "{:.1} s", us as f64 / 1e6),
        60_000_000..7_200_000_000 => write!(text, "{:.1} min", us as f64 / 6e7),
        _ => write!(text, "{:.1} h", us as f64 / 3.6e9),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn running() -> Facts {
        Facts {
            state: RunState::Running,
            batch_interval_us: 1_000_000,
            last_us: vec![(500, 120_000); 5],
            all_us: 100,
            parts_us: vec![("parse".to_owned(), 71), ("count".to_owned(), 29)],
            ..Facts::default()
        }
    }

    fn said(facts: &Facts) -> (Grade, String) {
        let Health { grade, sentence } = judge(facts);
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::TimeMs(ms) => format!("<{ms}>"),
        };
        (grade, sentence.iter().map(piece).collect())
    }

    #[test]
    fn a_job_that_keeps_up_says_how_much_room_it_has() {
        assert_eq!(said(&running()), (Grade::Good, "keeps up: batches take 120 ms, 12 % of the batch interval".into()));
        let idle = Facts { last_us: vec![(0, 40)], ..running() };
        assert_eq!(said(&idle).1, "keeps up: batches take 0.0 ms, less than 1 % of the batch interval");
        let none = Facts { last_us: Vec::new(), ..running() };
        assert_eq!(said(&none), (Grade::Neutral, "runs, and no batch is done yet".into()));
    }

    #[test]
    fn a_job_that_falls_behind_says_since_when_and_why() {
        let behind = Facts { behind_since_ms: Some(5), last_us: vec![(2_340_000, 1_500_000); 5], ..running() };
        assert_eq!(
            said(&behind),
            (Grade::Poor, "falls behind by 2.3 s, since <5>; `parse` takes 71 % of the time".into())
        );
        let slow = Facts { last_us: vec![(0, 1_500_000); 5], all_us: 0, parts_us: Vec::new(), ..running() };
        assert_eq!(said(&slow).1, "is about to fall behind: batches take 1.5 s, and one comes every 1.0 s");
        let waits = Facts { last_us: vec![(3_000_000, 10_000); 5], ..running() };
        assert_eq!(said(&waits).1, "catches up: the last batch waited 3.0 s");
    }

    #[test]
    fn what_fails_is_named() {
        let failed = Facts { failed: 2, away: vec!["lines".into(), "words".into()], ..running() };
        assert_eq!(
            said(&failed),
            (
                Grade::Bad,
                "keeps up: batches take 120 ms, 12 % of the batch interval; outputs failed in 2 of the last 5 batches; the \
                 receivers of `lines` and 1 other source are not connected"
                    .into()
            )
        );
        let away = Facts { away: vec!["lines".into()], ..running() };
        assert_eq!(said(&away).0, Grade::Poor);
        let full = Facts { checkpoints_fail_since_ms: Some(7), ..failed };
        assert_eq!(said(&full), (Grade::Bad, "waits, because checkpoints cannot be written, since <7>".into()));
        let ended = Facts { error: Some("a trap".into()), state: RunState::Stopped, ..running() };
        assert_eq!(said(&ended), (Grade::Bad, "has failed: a trap".into()));
    }

    #[test]
    fn spans_have_units_and_few_digits() {
        let spans = [0, 9_949, 10_400, 999_499, 1_000_000, 59_940_000, 60_000_000, 7_200_000_000].map(span);
        assert_eq!(spans, ["0.0 ms", "9.9 ms", "10 ms", "999 ms", "1.0 s", "59.9 s", "1.0 min", "2.0 h"]);
    }

    proptest! {
        /// Whatever the facts, the sentence is not empty, has no number that is none, and says of a job that runs and fails
        /// nothing good.
        #[test]
        fn there_is_always_a_sentence(
            last_us in prop::collection::vec((any::<u32>(), any::<u32>()), 0..30),
            interval in any::<u32>(), failed in 0usize..3, behind in any::<Option<u64>>(), stages in prop::collection::vec(any::<u32>(), 0..5),
        ) {
            let facts = Facts {
                last_us: last_us.iter().map(|(a, b)| (u64::from(*a), u64::from(*b))).collect(),
                batch_interval_us: interval.into(),
                failed,
                behind_since_ms: behind,
                all_us: stages.iter().map(|us| u64::from(*us)).sum(),
                parts_us: stages.iter().map(|us| ("stage".to_owned(), u64::from(*us))).collect(),
                ..running()
            };
            let (grade, text) = said(&facts);
            prop_assert!(!text.is_empty() && !text.contains("NaN") && !text.contains("inf "), "{text}");
            prop_assert!(failed == 0 || grade == Grade::Bad);
        }
    }
}
