//! A server that sends lines of words at a steady rate, which can be changed at any time.

use millstream_tests::live::pause;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The number of words in a line.
pub const WORDS_IN_LINE: u64 = 10;
/// The number of different words.
const WORDS: u64 = 1000;
/// The number of bytes of a word and the space or line end after it.
const WORD_BYTES: usize = "Word0000 ".len();
const LINE_BYTES: usize = WORD_BYTES * WORDS_IN_LINE as usize;
/// The number of lines that are sent again and again.
const LINES: usize = 4000;
/// The time between two writes.
const TICK: Duration = Duration::from_millis(5);

/// A server with one client at a time.
pub struct Source {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    lines_per_second: AtomicU64,
    sent_lines: AtomicU64,
    is_over: AtomicBool,
}

/// Lines of words that begin with a capital letter.
pub fn text() -> String {
    let word = |number: u64| format!("Word{:04}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % WORDS);
    let line = |line: u64| (0..WORDS_IN_LINE).map(|at| word(line * WORDS_IN_LINE + at)).collect::<Vec<_>>().join(" ");
    (0..LINES as u64).map(|number| line(number) + "\n").collect()
}

impl Source {
    /// Listens on a free port.
    pub fn start(lines_per_second: u64) -> Result<Self, String> {
        let failed = |error: io::Error| format!("cannot serve lines: {error}");
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let shared = Arc::new(Shared { lines_per_second: lines_per_second.into(), ..Shared::default() });
        let of_thread = shared.clone();
        let thread = std::thread::spawn(move || {
            let text = text();
            while !of_thread.is_over.load(Ordering::Relaxed) {
                match listener.accept() {
                    // A client that closes the connection may connect again.
                    Ok((client, _)) => _ = send(&client, text.as_bytes(), &of_thread),
                    Err(_) => pause(TICK),
                }
            }
        });
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// The address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the rate.
    pub fn set_rate(&self, lines_per_second: u64) {
        self.shared.lines_per_second.store(lines_per_second, Ordering::Relaxed);
    }

    /// The number of lines that were sent.
    pub fn sent_lines(&self) -> u64 {
        self.shared.sent_lines.load(Ordering::Relaxed)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, there is nothing more to end.
            let _ = thread.join();
        }
    }
}

/// Sends lines until the server is over or the client closes the connection. Delays do not add up: lines that are late are
/// sent at once.
#[expect(clippy::disallowed_methods, reason = "a load generator runs on the real clock")]
fn send(mut client: &TcpStream, text: &[u8], shared: &Shared) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_nodelay(true)?;
    // A client that does not read must not keep the server from its end.
    client.set_write_timeout(Some(Duration::from_secs(30)))?;
    let (mut since, mut rate, mut sent, mut next_line) = (Instant::now(), 0, 0_u64, 0_usize);
    while !shared.is_over.load(Ordering::Relaxed) {
        let wanted = shared.lines_per_second.load(Ordering::Relaxed);
        if wanted != rate {
            (since, rate, sent) = (Instant::now(), wanted, 0);
        }
        let mut due = ((since.elapsed().as_secs_f64() * rate as f64) as u64).saturating_sub(sent);
        sent += due;
        while due > 0 {
            let lines = usize::try_from(due).unwrap_or(LINES).min(LINES - next_line);
            client.write_all(&text[next_line * LINE_BYTES..(next_line + lines) * LINE_BYTES])?;
            next_line = (next_line + lines) % LINES;
            due -= lines as u64;
            shared.sent_lines.fetch_add(lines as u64, Ordering::Relaxed);
        }
        pause(TICK);
    }
    Ok(())
}
