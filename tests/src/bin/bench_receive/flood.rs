//! A server that sends lines as fast as its client takes them, and a client that only reads.

use crate::processors::Thread;
use millstream_tests::live::pause;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The size of the text that is sent again and again, at least.
const TEXT_BYTES: usize = 1 << 20;
/// How much the receiver of the host reads at once. The loop that only reads does the same.
const READ_BYTES: usize = 64 << 10;
/// The time between two looks at something.
const LOOK: Duration = Duration::from_millis(2);
/// How long the server waits for a client.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with one client.
pub struct Flood {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    sent_bytes: AtomicU64,
    is_over: AtomicBool,
}

/// Lines of this many bytes.
pub fn text(line_bytes: u64) -> Vec<u8> {
    let line_bytes = usize::try_from(line_bytes).unwrap_or(TEXT_BYTES).max(2);
    let line = |number: usize| format!("{number:0>width$}", width = line_bytes - 1).split_off(0);
    let lines = (0..TEXT_BYTES.div_ceil(line_bytes)).map(line);
    lines.flat_map(|line| [line.into_bytes(), b"\n".to_vec()].concat()).collect()
}

impl Flood {
    /// Listens on a free port.
    pub fn start(text: Vec<u8>) -> Result<Self, String> {
        let failed = |error: io::Error| format!("cannot serve lines: {error}");
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let thread = std::thread::spawn(move || {
            while !of_thread.is_over.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((client, _)) => _ = send(&client, &text, &of_thread),
                    Err(_) => pause(LOOK),
                }
            }
        });
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// The address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the client reads, and then for `warm_up`. Returns how many bytes the server sends in a second, from then
    /// on for `seconds`. `meanwhile` is called at the beginning and the end of this time.
    ///
    /// # Errors
    /// Returns an error if no client comes, or if the server sends nothing.
    pub fn rate<T>(&self, warm_up: Duration, seconds: u64, meanwhile: impl Fn() -> T) -> Result<(f64, T, T), String> {
        rate(&self.shared.sent_bytes, warm_up, seconds, meanwhile)
    }
}

/// As [`Flood::rate`], for any count of bytes.
///
/// # Errors
/// Returns an error if no bytes are counted.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub fn rate<T>(
    counted: &AtomicU64,
    warm_up: Duration,
    seconds: u64,
    meanwhile: impl Fn() -> T,
) -> Result<(f64, T, T), String> {
    let sent = || counted.load(Ordering::Relaxed);
    let begun = Instant::now();
    while sent() == 0 {
        if begun.elapsed() > PATIENCE {
            return Err(format!("nobody took bytes for {} s", PATIENCE.as_secs()));
        }
        pause(LOOK);
    }
    pause(warm_up);
    let (from, before, since) = (sent(), meanwhile(), Instant::now());
    pause(Duration::from_secs(seconds));
    let (bytes, after) = (sent() - from, meanwhile());
    if bytes == 0 {
        return Err("no bytes were taken".to_owned());
    }
    Ok((bytes as f64 / since.elapsed().as_secs_f64(), before, after))
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, there is nothing more to end.
            let _ = thread.join();
        }
    }
}

fn send(mut client: &TcpStream, text: &[u8], shared: &Shared) -> io::Result<()> {
    client.set_nonblocking(false)?;
    // A client that does not read must not keep the server from its end.
    client.set_write_timeout(Some(Duration::from_secs(5)))?;
    while !shared.is_over.load(Ordering::Relaxed) {
        for piece in text.chunks(READ_BYTES) {
            client.write_all(piece)?;
            shared.sent_bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Reads all that a server sends, on a thread of its own, and does nothing with it.
///
/// # Errors
/// Returns an error if the thread does not start.
pub fn read_only(address: SocketAddr) -> Result<(JoinHandle<io::Result<()>>, Thread), String> {
    // One message is ever sent.
    let (send, started) = mpsc::sync_channel(1);
    let reader = std::thread::spawn(move || {
        // The receiver waits for it.
        let _ = send.send(Thread::current());
        let mut connection = TcpStream::connect(address)?;
        let mut buffer = vec![0; READ_BYTES];
        while connection.read(&mut buffer)? > 0 {}
        Ok(())
    });
    Ok((reader, started.recv().map_err(|_| "the reader did not start".to_owned())?))
}
