//! The end of the process for the case that nothing else ends it.
//!
//! Owns a thread that waits for a deadline, and nothing else: no lock of a stream, no executor, no allocation of others.
//! When the deadline has passed, the process ends without running any other code, as after `kill -9`, but with an exit
//! code. What is on disk is then what a crash leaves behind, from which a job goes on.

use crate::lock::{lock, unpoisoned};
use crate::time::Duration;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

/// How long the last words may take. Standard error may be why this end is needed.
const WORDS_MAX: Duration = Duration::from_millis(200);

/// When and how the process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    at: Instant,
    code: u8,
    words: String,
}

#[derive(Default)]
struct Shared {
    end: Mutex<Option<End>>,
    changed: Condvar,
}

/// Ends the process at a deadline. Clones share one deadline.
#[derive(Clone)]
pub struct LastResort(Arc<Shared>);

impl LastResort {
    /// Starts the thread. There is no deadline yet.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let waiting = shared.clone();
        std::thread::Builder::new().name("last resort".to_owned()).spawn(move || waiting.run())?;
        Ok(Self(shared))
    }

    /// Ends the process with this exit code if it still runs after this time, and tries to write `words` to standard
    /// error before. An earlier deadline that was set before stays.
    #[expect(clippy::disallowed_methods, reason = "the machine's clock goes on when everything else hangs")]
    pub fn end_after(&self, time: Duration, code: u8, words: impl Into<String>) {
        let Some(at) = Instant::now().checked_add(time) else { return };
        let mut end = self.0.lock();
        if end.as_ref().is_none_or(|end| at < end.at) {
            *end = Some(End { at, code, words: words.into() });
            self.0.changed.notify_all();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<End>> {
        lock(&self.end)
    }

    #[expect(clippy::disallowed_methods, reason = "the machine's clock goes on when everything else hangs")]
    fn run(&self) {
        let mut end = self.lock();
        loop {
            let Some(at) = end.as_ref().map(|end| end.at) else {
                end = unpoisoned(self.changed.wait(end));
                continue;
            };
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero()
                && let Some(End { code, words, .. }) = end.take()
            {
                finish(code, words);
            }
            end = unpoisoned(self.changed.wait_timeout(end, left)).0;
        }
    }
}

/// Ends the process. Handlers that the C library runs at an orderly end could wait for a stream that hangs.
fn finish(code: u8, words: String) -> ! {
    if !words.is_empty() {
        let said = Arc::<(Mutex<bool>, Condvar)>::default();
        let telling = said.clone();
        let tell = move || {
            // Past the lock of the standard library, which a writer that hangs may hold. If it fails, the exit code tells.
            let _ = rustix::io::write(io::stderr(), words.as_bytes());
            *lock(&telling.0) = true;
            telling.1.notify_all();
        };
        if std::thread::Builder::new().name("last words".to_owned()).spawn(tell).is_ok() {
            let is_told = lock(&said.0);
            drop(said.1.wait_timeout_while(is_told, WORDS_MAX, |is_told| !*is_told));
        }
    }
    signal_hook::low_level::exit(code.into())
}
