//! Ends the process if nothing else does.
//!
//! Owns a thread that waits for a deadline. The thread uses nothing that could hang: no lock of a stream, no executor,
//! no memory that others allocate. When the deadline has passed, the process ends without running any other code, as
//! after `kill -9`, but with an exit code. The files on disk are then as after a crash, and a job can continue from
//! them.

use crate::lock::{lock, unpoisoned};
use crate::time::Duration;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

/// How long writing the last message may take. A hanging standard error may be the reason why the process must be
/// ended.
const WORDS_MAX: Duration = Duration::from_millis(200);

/// When and how the process has to end.
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
    /// If the system refuses a thread.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let waiting = shared.clone();
        std::thread::Builder::new().name("last resort".to_owned()).spawn(move || waiting.run())?;
        Ok(Self(shared))
    }

    /// Sets the deadline: if the process still runs after this time, it ends with this exit code. Before that, the
    /// thread tries to write `words` to standard error. If an earlier deadline is already set, it stays.
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

/// Ends the process. The exit handlers of the C library are not run, because they could wait for a stream that hangs.
fn finish(code: u8, words: String) -> ! {
    if !words.is_empty() {
        let said = Arc::<(Mutex<bool>, Condvar)>::default();
        let telling = said.clone();
        let tell = move || {
            // Does not use the standard library's lock of the stream, which a hanging writer may hold. If writing
            // fails, there is still the exit code.
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
