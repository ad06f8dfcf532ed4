//! The progress of a job, in one line.
//!
//! Owns the counts and the text of the line, and when the line is written. `status_line` owns the place on the
//! terminal. Never writes to the terminal.

use crate::env::Clock;
use crate::listener::{Event, StreamingListener};
use crate::lock::lock;
use crate::shown::counted;
use crate::time::Duration;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Notify;

/// The shortest time between two writes of the line.
const DRAWN_EVERY: Duration = Duration::from_millis(250);
/// The number of batches that the rate of records is an average of.
const BATCHES_OF_RATE: usize = 10;

/// The counts that the line shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    batch_interval: Duration,
    submitted: u64,
    started: u64,
    completed: u64,
    outputs_failed: u64,
    /// The numbers of records of the last batches.
    records: VecDeque<u64>,
    total_delay: Duration,
    is_behind: bool,
}

impl Counts {
    fn hear(&mut self, event: &Event) {
        match event {
            Event::StreamingStarted { batch_interval, .. } => self.batch_interval = *batch_interval,
            Event::BatchSubmitted(_) => self.submitted += 1,
            Event::BatchStarted(_) => self.started += 1,
            Event::BatchCompleted(info) => {
                self.completed += 1;
                self.outputs_failed += info.outputs_failed() as u64;
                self.total_delay = info.total_delay().unwrap_or_default();
                self.records.push_front(info.num_records());
                self.records.truncate(BATCHES_OF_RATE);
            }
            Event::FallingBehind(_) => self.is_behind = true,
            Event::CaughtUp(_) => self.is_behind = false,
            _ => {}
        }
    }

    /// Records for each second of the last batches.
    fn rate(&self) -> f64 {
        let seconds = self.batch_interval.as_secs_f64() * self.records.len() as f64;
        if seconds > 0.0 { self.records.iter().sum::<u64>() as f64 / seconds } else { 0.0 }
    }

    fn text(&self) -> String {
        let batches = counted(self.completed, "batch");
        let queued = self.submitted.saturating_sub(self.started);
        let delay = self.total_delay.as_secs_f64();
        let mut text =
            format!("{batches} done, {queued} queued, {:.0} records/s, total delay {delay:.1} s", self.rate());
        if self.outputs_failed > 0 {
            text.push_str(&format!(", {} failed", counted(self.outputs_failed, "output")));
        }
        if self.is_behind {
            text.push_str(", falling behind");
        }
        text
    }
}

/// A listener that counts events, and shows the counts in a line.
#[derive(Default)]
pub struct Progress {
    counts: Mutex<Counts>,
    changed: Notify,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        lock(&self.counts)
    }

    /// The counts, in one line.
    pub fn text(&self) -> String {
        self.lock().text()
    }

    /// Sets the line to the counts whenever they change, but not too often. Never ends.
    pub async fn show<T>(&self, clock: Arc<dyn Clock>, set: impl Fn(&str)) -> T {
        loop {
            self.changed.notified().await;
            let text = self.lock().text();
            set(&text);
            clock.sleep_until(clock.now() + DRAWN_EVERY).await;
        }
    }
}

impl StreamingListener for Progress {
    fn on_event(&self, event: &Event) {
        let mut counts = self.lock();
        let before = counts.clone();
        counts.hear(event);
        if *counts != before {
            self.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::status_line::StatusLine;
    use super::*;
    use crate::env::Simulation;
    use crate::listener::{BatchInfo, LagInfo, StreamInputInfo};
    use crate::time::Time;
    use std::io::{self, Write};

    fn batch(num_records: u64) -> BatchInfo {
        let input = StreamInputInfo { stream_id: 0, name: "lines".to_owned(), num_records, description: None };
        BatchInfo {
            batch_time: Time::from_ms(1000),
            inputs: [(0, input)].into(),
            submission_time: Time::from_ms(1000),
            processing_start_time: None,
            processing_end_time: None,
            scheduling_delay: Some(Duration::from_millis(100)),
            processing_delay: Some(Duration::from_millis(250)),
            output_operations: [].into(),
        }
    }

    fn lag() -> LagInfo {
        LagInfo {
            batch_time: Time::from_ms(1000),
            scheduling_delay: Duration::ZERO,
            growth: Duration::ZERO,
            processing_delay_average: Duration::ZERO,
            batch_interval: Duration::ZERO,
        }
    }

    fn started() -> Event {
        let batch_interval = Duration::from_millis(500);
        Event::StreamingStarted { job: "job".to_owned(), time: Time::from_ms(0), batch_interval }
    }

    #[test]
    fn the_line_tells_what_is_done_and_what_waits() {
        let mut counts = Counts::default();
        assert_eq!(counts.text(), "0 batches done, 0 queued, 0 records/s, total delay 0.0 s");
        let events = [
            started(),
            Event::BatchSubmitted(batch(0)),
            Event::BatchSubmitted(batch(0)),
            Event::BatchSubmitted(batch(0)),
            Event::BatchStarted(batch(0)),
            Event::BatchCompleted(batch(40)),
        ];
        events.iter().for_each(|event| counts.hear(event));
        assert_eq!(counts.text(), "1 batch done, 2 queued, 80 records/s, total delay 0.3 s");
        counts.hear(&Event::BatchCompleted(batch(60)));
        counts.hear(&Event::FallingBehind(lag()));
        assert_eq!(counts.text(), "2 batches done, 2 queued, 100 records/s, total delay 0.3 s, falling behind");
        counts.hear(&Event::CaughtUp(lag()));
        assert!(!counts.text().contains("behind"));
    }

    /// A writer that hands each written text to a function, which records the text with its time.
    struct Notes(Box<dyn Fn(&str) + Send + Sync>);

    impl Write for Notes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            (self.0)(&String::from_utf8_lossy(bytes));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_line_is_written_after_each_batch_but_at_most_four_times_a_second() {
        let simulation = Simulation::new(1, Time::from_ms(0));
        let line = StatusLine::new(Box::new(Notes(Box::new(simulation.note()))));
        let env = simulation.env();
        let main = async move {
            let progress = Arc::new(Progress::default());
            let shown = progress.clone();
            let clock = env.clock.clone();
            env.control.spawn("progress", Box::pin(async move { shown.show(clock, |text| line.set(text)).await }));
            progress.on_event(&started());
            for at in [1000, 1100, 1200, 1240, 1300, 9000] {
                env.clock.sleep_until(Time::from_ms(at)).await;
                progress.on_event(&Event::BatchCompleted(batch(1)));
                progress.on_event(&Event::LineCutOff { source: String::new() });
            }
            env.clock.sleep_until(Time::from_ms(20_000)).await;
        };
        simulation.run(main).unwrap();
        let log = simulation.log();
        let batches = |line: &str| line.split(" batch").next().and_then(|rest| rest.rsplit('l').next()?.parse().ok());
        let drawn: Vec<(u64, u64)> = log
            .iter()
            .map(|line| (line.split(' ').next().and_then(|ms| ms.parse().ok()).unwrap(), batches(line).unwrap()))
            .collect();
        assert_eq!(drawn, [(0, 0), (1000, 1), (1250, 4), (1500, 5), (9000, 6)]);
    }
}
