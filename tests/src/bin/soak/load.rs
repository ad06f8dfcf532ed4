//! The load of the soak: a server that sends lines at a steady rate, files that appear one after the other, and a client
//! that sends requests until they are answered.

use millstream_tests::http_client::post;
use millstream_tests::live::pause;
use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The number of keys.
const KEYS: u64 = 500;
/// The number of lines of a file.
const FILE_LINES: u64 = 2 * KEYS;
/// The time between two files.
const NEXT_FILE: Duration = Duration::from_secs(1);
/// The number of lines of a request.
const POST_LINES: u64 = KEYS;
/// The time between two requests.
const NEXT_POST: Duration = Duration::from_millis(200);
/// The time between two writes to the socket.
const TICK: Duration = Duration::from_millis(10);

/// A number of records, and the sum of their numbers.
pub type Total = (u64, u64);

/// What sends lines and writes files.
pub struct Load {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    lines: Mutex<Total>,
    files: Mutex<Total>,
    posts: Mutex<Total>,
    /// Where the job takes requests. `None` while no job does.
    requests: Mutex<Option<String>>,
    /// The lines that were sent on the connection that was lost last, in its last second.
    in_lost_second: AtomicU64,
    is_paused: AtomicBool,
    /// Whether files are written.
    has_files: AtomicBool,
    is_over: AtomicBool,
}

fn total(of: &Mutex<Total>) -> Total {
    *of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds this number of records, and returns their lines.
fn lines(of: &Mutex<Total>, count: u64) -> String {
    numbered(&mut of.lock().unwrap_or_else(PoisonError::into_inner), count)
}

/// As [`lines`].
fn numbered(total: &mut Total, count: u64) -> String {
    let numbers = total.0..total.0 + count;
    total.0 += count;
    total.1 += numbers.clone().sum::<u64>();
    numbers.map(|number| format!("{} {number}\n", number % KEYS)).collect()
}

impl Load {
    /// Starts to send `lines_per_second` to the client of a free port. Writes files into a directory after
    /// [`Self::begin_files`], and sends requests after [`Self::post_to`].
    pub fn start(directory: &Path, lines_per_second: u64) -> Result<Self, String> {
        let failed = |error: io::Error| format!("cannot serve lines: {error}");
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let shared = Arc::new(Shared::default());
        let (of_server, of_writer, of_client) = (shared.clone(), shared.clone(), shared.clone());
        let directory = directory.to_owned();
        let server = std::thread::spawn(move || {
            while !of_server.is_over.load(Ordering::Relaxed) {
                match listener.accept() {
                    // A client that closes the connection may connect again.
                    Ok((client, _)) => _ = send(&client, lines_per_second, &of_server),
                    Err(_) => pause(TICK),
                }
            }
        });
        let writer = std::thread::spawn(move || write_files(&directory, &of_writer));
        let client = std::thread::spawn(move || send_requests(&of_client));
        Ok(Self { address, shared, threads: vec![server, writer, client] })
    }

    /// Begins to write files.
    pub fn begin_files(&self) {
        self.shared.has_files.store(true, Ordering::Relaxed);
    }

    /// The address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The lines that were sent.
    pub fn lines(&self) -> Total {
        total(&self.shared.lines)
    }

    /// The lines of the files that were written.
    pub fn files(&self) -> Total {
        total(&self.shared.files)
    }

    /// The lines of the requests that were answered.
    pub fn posts(&self) -> Total {
        total(&self.shared.posts)
    }

    /// Sends requests to this address from now on. A request that was not answered is sent to the new address.
    pub fn post_to(&self, address: String) {
        *self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    /// The lines that were sent in the last second of the connection that was lost last.
    pub fn lines_sent_unread(&self) -> u64 {
        self.shared.in_lost_second.load(Ordering::Relaxed)
    }

    /// Sends and writes nothing until [`Self::go_on`].
    pub fn pause(&self) {
        self.shared.is_paused.store(true, Ordering::Relaxed);
        // What is being sent or written now is over then.
        pause(NEXT_FILE);
    }

    /// Ends a pause.
    pub fn go_on(&self) {
        self.shared.is_paused.store(false, Ordering::Relaxed);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // If a thread panicked, there is nothing more to end.
            let _ = thread.join();
        }
    }
}

/// Sends lines until the load is over or the client closes the connection. What is late after a pause is left out.
#[expect(clippy::disallowed_methods, reason = "a load generator runs on the real clock")]
fn send(mut client: &TcpStream, lines_per_second: u64, shared: &Shared) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_nodelay(true)?;
    client.set_write_timeout(Some(Duration::from_secs(30)))?;
    let mut sent_until = Instant::now();
    let mut recent = Recent { shared, lines: Vec::new() };
    while !shared.is_over.load(Ordering::Relaxed) {
        pause(TICK);
        if shared.is_paused.load(Ordering::Relaxed) {
            sent_until = Instant::now();
            continue;
        }
        let due = (sent_until.elapsed().as_secs_f64() * lines_per_second as f64) as u64;
        sent_until += Duration::from_secs_f64(due as f64 / lines_per_second as f64);
        recent.add(due);
        client.write_all(lines(&shared.lines, due).as_bytes())?;
    }
    Ok(())
}

/// The lines that were sent on a connection in the last second. When the connection is lost, the load keeps their number.
struct Recent<'a> {
    shared: &'a Shared,
    lines: Vec<(Instant, u64)>,
}

impl Recent<'_> {
    #[expect(clippy::disallowed_methods, reason = "a load generator runs on the real clock")]
    fn add(&mut self, lines: u64) {
        self.lines.retain(|(at, _)| at.elapsed() < Duration::from_secs(1));
        self.lines.push((Instant::now(), lines));
    }
}

impl Drop for Recent<'_> {
    fn drop(&mut self) {
        let lines = self.lines.iter().map(|(_, lines)| lines).sum();
        self.shared.in_lost_second.store(lines, Ordering::Relaxed);
    }
}

/// Sends requests until the load is over, each with the same key until it is answered.
fn send_requests(shared: &Shared) {
    let mut number = 0;
    while !shared.is_over.load(Ordering::Relaxed) {
        pause(NEXT_POST);
        if shared.is_paused.load(Ordering::Relaxed) {
            continue;
        }
        let (key, mut sent) = (format!("Idempotency-Key: \"{number}\""), total(&shared.posts));
        let lines = numbered(&mut sent, POST_LINES);
        number += 1;
        while !shared.is_over.load(Ordering::Relaxed) {
            let address = shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let answer = address.map(|address| post(&address, "/posts", &[&key], &lines));
            if let Some(Ok((200, _))) = answer {
                *shared.posts.lock().unwrap_or_else(PoisonError::into_inner) = sent;
                break;
            }
            pause(TICK);
        }
    }
}

fn write_files(directory: &Path, shared: &Shared) {
    let mut number = 0;
    while !shared.is_over.load(Ordering::Relaxed) {
        pause(NEXT_FILE);
        if shared.is_paused.load(Ordering::Relaxed) || !shared.has_files.load(Ordering::Relaxed) {
            continue;
        }
        number += 1;
        let hidden = directory.join(format!(".{number}"));
        // A file that cannot be written is missing in the totals.
        let _ = write_file(&hidden, &directory.join(format!("{number}.txt")), &lines(&shared.files, FILE_LINES));
    }
}

fn write_file(hidden: &PathBuf, path: &PathBuf, text: &str) -> io::Result<()> {
    fs::write(hidden, text)?;
    fs::rename(hidden, path)
}
