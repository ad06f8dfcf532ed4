//! Records that a receiver has stored and that wait because of its rate.
//!
//! Owns these records, in order, and the limiter. The records are let into the block generator one by one, as the rate
//! allows. So if a future that stores records is dropped while it waits, its records stay here, and the next call lets
//! them in. At most the records of the calls that wait are here. Never waits.

use super::block_generator::BlockGenerator;
use super::rate_limiter::RateLimiter;
use crate::time::Duration;
use arrow::array::RecordBatch;
use std::collections::VecDeque;

/// Records that come in one call.
pub(super) enum Records<'a> {
    /// Bytes of lines. Each line end counts as a record. In an encoding like UTF-16, other characters may have the byte
    /// of a line end as well, so that fewer records than the rate come in.
    Bytes(&'a [u8]),
    /// A line, without its end.
    Line(&'a str),
    /// Rows.
    Rows(RecordBatch),
}

/// Records that wait.
enum Held {
    /// Bytes of lines, the first of which are already in the generator.
    Bytes { bytes: Vec<u8>, begin: usize },
    /// A line.
    Line(String),
    /// Rows.
    Rows(RecordBatch),
}

/// Lets the records of one receiver in.
pub(super) struct Admission {
    limiter: RateLimiter,
    held: VecDeque<Held>,
    /// How many calls have brought records.
    accepted: u64,
}

impl Admission {
    /// Makes the admission of a receiver with this limit, in records a second. `None` if there is no limit.
    pub(super) const fn new(limit: Option<u64>, now: Duration) -> Self {
        Self { limiter: RateLimiter::new(limit, now), held: VecDeque::new(), accepted: 0 }
    }

    /// Sets the limit.
    pub(super) fn set_limit(&mut self, limit: Option<u64>, now: Duration) {
        self.limiter.set_rate(limit, now);
    }

    /// Takes the records of a call, and lets as many in as the rate allows. Returns the number of the call.
    pub(super) fn accept(&mut self, records: Records<'_>, now: Duration, generator: &mut BlockGenerator) -> u64 {
        self.accepted += 1;
        if self.limiter.is_open() && self.held.is_empty() {
            match records {
                Records::Bytes(bytes) => generator.push_bytes(bytes),
                Records::Line(line) => generator.push_line(line),
                Records::Rows(rows) => generator.push_rows(rows),
            }
            return self.accepted;
        }
        self.held.push_back(match records {
            Records::Bytes(bytes) => Held::Bytes { bytes: bytes.to_vec(), begin: 0 },
            Records::Line(line) => Held::Line(line.to_owned()),
            Records::Rows(rows) => Held::Rows(rows),
        });
        self.release(now, generator);
        self.accepted
    }

    /// Lets in as many records as the rate allows.
    pub(super) fn release(&mut self, now: Duration, generator: &mut BlockGenerator) {
        while let Some(mut first) = self.held.pop_front() {
            let (records, rest) = first.let_in(self.limiter.available(now), generator);
            self.limiter.take(records);
            if rest {
                self.held.push_front(first);
                return;
            }
        }
    }

    /// Lets all records in, whatever the rate is.
    pub(super) fn release_all(&mut self, generator: &mut BlockGenerator) {
        while let Some(mut first) = self.held.pop_front() {
            let (records, _) = first.let_in(u64::MAX, generator);
            self.limiter.take(records);
        }
    }

    /// Whether all records of the call with this number are in.
    pub(super) fn is_in(&self, call: u64) -> bool {
        call <= self.accepted.saturating_sub(self.held.len() as u64)
    }

    /// How long to wait until more records can be let in.
    pub(super) fn wait(&mut self, now: Duration) -> Duration {
        self.limiter.wait(now)
    }

    /// Takes records that cannot be separated, and that do not wait here. Returns how long to wait before, `None` if they
    /// were taken.
    pub(super) fn take_whole(&mut self, records: u64, now: Duration) -> Option<Duration> {
        if self.held.is_empty() && self.limiter.available(now) > 0 {
            self.limiter.take(records);
            return None;
        }
        Some(self.limiter.wait(now))
    }
}

impl Held {
    /// Lets in at most `available` records. A line with line ends in it is not separated. Returns the number of records,
    /// and whether some are left.
    fn let_in(&mut self, available: u64, generator: &mut BlockGenerator) -> (u64, bool) {
        match self {
            Self::Bytes { bytes, begin } => {
                let rest = bytes.get(*begin..).unwrap_or_default();
                let (mut end, mut records) = (0, 0);
                let mut line_ends = memchr::memchr_iter(b'\n', rest);
                loop {
                    match line_ends.next() {
                        Some(_) if records == available => break,
                        Some(at) => (end, records) = (at + 1, records + 1),
                        // The beginning of a line is no record yet.
                        None => {
                            end = rest.len();
                            break;
                        }
                    }
                }
                generator.push_bytes(rest.get(..end).unwrap_or_default());
                *begin += end;
                (records, *begin < bytes.len())
            }
            Self::Line(_) if available == 0 => (0, true),
            Self::Line(line) => {
                generator.push_line(line);
                (1 + memchr::memchr_iter(b'\n', line.as_bytes()).count() as u64, false)
            }
            Self::Rows(rows) => {
                let count = usize::try_from(available).unwrap_or(usize::MAX).min(rows.num_rows());
                if count > 0 {
                    generator.push_rows(rows.slice(0, count));
                }
                *rows = rows.slice(count, rows.num_rows() - count);
                (count as u64, rows.num_rows() > 0)
            }
        }
    }
}

#[cfg(test)]
mod tests;
