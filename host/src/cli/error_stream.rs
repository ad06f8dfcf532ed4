//! Standard error, written by a thread of its own: logging never waits for the reader of the log.
//!
//! Owns a bounded queue of text in front of the stream, and the count of texts that did not fit into the queue. When
//! nobody reads the stream, lines are dropped until the queue is empty again, and then the log says how many. At the
//! end of the program the queue is written out, as long as the reader takes text.

use super::status_line::{LogWriter, StatusLine};
use crate::lock::{lock, unpoisoned};
use crate::time::Duration;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// The most bytes of text that wait in the queue.
const QUEUED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The end of the program waits for the stream as long as the stream takes some text in each such span.
const STALLED: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Queue {
    texts: VecDeque<Vec<u8>>,
    /// The sum of the sizes of these texts.
    bytes: usize,
    /// The new text of the line at the bottom of the terminal; `None` if the text has not changed.
    line: Option<Option<String>>,
    /// How many texts were dropped since the queue was empty.
    dropped: u64,
    /// Whether the thread is writing, or is about to write how many texts were dropped.
    is_writing: bool,
    /// How often something was written.
    written: u64,
}

impl Queue {
    fn is_done(&self) -> bool {
        self.texts.is_empty() && self.line.is_none() && self.dropped == 0 && !self.is_writing
    }

    /// Adds a text to the queue, or counts the text as dropped.
    fn push(&mut self, text: &[u8], bytes_max: usize) {
        if self.dropped > 0 || self.bytes.saturating_add(text.len()) > bytes_max {
            self.dropped += 1;
        } else {
            self.push_anyway(text);
        }
    }

    fn push_anyway(&mut self, text: &[u8]) {
        self.bytes += text.len();
        self.texts.push_back(text.to_vec());
    }

    /// What is to be written next.
    fn next(&mut self) -> Option<Next> {
        if let Some(line) = self.line.take() {
            return Some(Next::Line(line));
        }
        if let Some(text) = self.texts.pop_front() {
            self.bytes -= text.len();
            return Some(Next::Text(text));
        }
        let dropped = std::mem::take(&mut self.dropped);
        (dropped > 0).then_some(Next::Dropped(dropped))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Line(Option<String>),
    Text(Vec<u8>),
    Dropped(u64),
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Notified when there is something to write.
    filled: Condvar,
    /// Notified when something was written.
    written: Condvar,
}

/// The way to standard error. Clones lead to the same queue.
#[derive(Clone)]
pub struct ErrorStream(Arc<Shared>);

impl ErrorStream {
    /// Starts the thread that writes to the stream of `line`. If no thread can be started, nothing is written.
    pub fn start(line: StatusLine) -> Self {
        let shared = Arc::<Shared>::default();
        let writing = shared.clone();
        // A failure cannot be reported anywhere. The exit codes tell how commands end.
        let _ = std::thread::Builder::new().name("log".to_owned()).spawn(move || writing.run(&line));
        Self(shared)
    }

    fn change(&self, change: impl FnOnce(&mut Queue)) {
        change(&mut self.0.lock());
        self.0.filled.notify_one();
    }

    /// Shows this text in the line at the bottom of the terminal, or takes the line away.
    pub fn set_line(&self, text: Option<&str>) {
        self.change(|queue| queue.line = Some(text.map(ToOwned::to_owned)));
    }

    /// Writes everything in the queue and then this text, even if the queue has no room for it, as long as the stream
    /// takes text.
    pub fn finish(&self, text: &str) {
        self.drain(STALLED);
        self.change(|queue| queue.push_anyway(text.as_bytes()));
        self.drain(STALLED);
    }

    /// Waits until everything is written. Gives up when nothing was written for this long.
    fn drain(&self, patience: Duration) {
        let mut queue = self.0.lock();
        while !queue.is_done() {
            let before = queue.written;
            let stands = |queue: &mut Queue| queue.written == before && !queue.is_done();
            let waited = self.0.written.wait_timeout_while(queue, patience, stands);
            let (next, timeout) = unpoisoned(waited);
            if timeout.timed_out() {
                return;
            }
            queue = next;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    fn run(&self, line: &StatusLine) {
        let mut queue = self.lock();
        loop {
            let Some(next) = queue.next() else {
                queue = unpoisoned(self.filled.wait(queue));
                continue;
            };
            queue.is_writing = true;
            drop(queue);
            match next {
                Next::Line(Some(text)) => line.set(&text),
                Next::Line(None) => line.clear(),
                // The program continues when nobody reads the stream any more.
                Next::Text(text) => drop(LogWriter(line.clone()).write_all(&text)),
                Next::Dropped(lines) => {
                    tracing::warn!("standard error was not read fast enough: {lines} log lines were dropped here")
                }
            }
            queue = self.lock();
            queue.is_writing = false;
            queue.written += 1;
            self.written.notify_all();
        }
    }
}

impl Write for ErrorStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.change(|queue| queue.push(bytes, QUEUED_BYTES_MAX));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is pushed and taken in whatever order: the written texts and the count of dropped texts are all
        /// texts that were pushed, in order, and the queue stays within its bound.
        #[test]
        fn each_text_is_written_or_counted(steps in prop::collection::vec(prop::option::of(0usize..40), 0..80)) {
            const BYTES_MAX: usize = 100;
            let mut queue = Queue::default();
            let (mut pushed, mut accounted) = (0u64, 0u64);
            for step in steps.into_iter().chain([None; 100]) {
                match step {
                    Some(length) => {
                        let text = format!("{pushed} {}", "x".repeat(length));
                        queue.push(text.as_bytes(), BYTES_MAX);
                        pushed += 1;
                    }
                    None => match queue.next() {
                        Some(Next::Text(text)) => {
                            let expected = format!("{accounted} ");
                            prop_assert!(text.starts_with(expected.as_bytes()));
                            accounted += 1;
                        }
                        Some(Next::Dropped(count)) => accounted += count,
                        Some(Next::Line(_)) => prop_assert!(false, "nobody has set a line"),
                        None => {}
                    },
                }
                prop_assert!(queue.bytes <= BYTES_MAX);
            }
            prop_assert!(queue.is_done());
            prop_assert_eq!(accounted, pushed);
        }
    }

    /// A stream that takes nothing.
    struct Stuck(Arc<(Mutex<bool>, Condvar)>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |is_stuck| *is_stuck).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_stream_that_takes_nothing() {
        let stuck = Arc::new((Mutex::new(true), Condvar::new()));
        let mut stream = ErrorStream::start(StatusLine::new(Box::new(Stuck(stuck.clone()))));
        for _ in 0..100 {
            stream.write_all(&[b'x'; 100_000]).unwrap();
        }
        stream.drain(Duration::from_millis(1));
        {
            let queue = stream.0.lock();
            assert!(queue.bytes <= QUEUED_BYTES_MAX);
            assert!(queue.dropped > 50, "{} were dropped", queue.dropped);
        }
        *stuck.0.lock().unwrap() = false;
        stuck.1.notify_all();
        stream.finish("error: the last word\n");
        assert!(stream.0.lock().is_done());
    }
}
