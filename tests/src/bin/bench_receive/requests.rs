//! How many bytes come in over HTTP: without the log, with the log, and to a loop that only reads requests.

use crate::flood::{self, rate};
use crate::processors::{self, Rate, Thread};
use crate::{Options, job_from};
use millstream_tests::live::LiveHost;
use millstream_tests::numbers::median;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The number of clients.
const CLIENTS: usize = 4;
/// The size of a body, at least.
const BODY_BYTES: usize = 256 << 10;
/// How much the loop reads at once.
const READ_BYTES: usize = 64 << 10;
/// How long a rate is not measured at the beginning.
const WARM_UP: Duration = Duration::from_millis(1000);
/// The batch interval.
const INTERVAL_MS: u64 = 200;
/// What the loop answers.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
/// The end of the head of a request or an answer.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// Measures all rates, round by round.
///
/// # Errors
/// Returns an error if a host or a client fails.
pub fn measure(directory: &Path, options: &Options) -> Result<(), String> {
    let [mut of_loop, mut for_each, mut with_log] = [const { Vec::new() }; 3];
    for round in 0..=options.rounds {
        // The first round compiles the plugin, and is not counted.
        let off = receive(&directory.join(format!("off-{round}")), options, false)?;
        let on = receive(&directory.join(format!("on-{round}")), options, true)?;
        let read = read(options)?;
        if round == 0 {
            continue;
        }
        println!("log off {}, log on {}, read {}", off.shown(), on.shown(), read.shown());
        of_loop.push(off.bytes_per_second / read.bytes_per_second);
        for_each.push(off.for_each() / read.for_each());
        with_log.push(on.bytes_per_second / off.bytes_per_second);
    }
    println!("log off / a loop that only reads: {:.2} of {of_loop:.2?}", median(&of_loop));
    println!("the same for each processor: {:.2} of {for_each:.2?}", median(&for_each));
    println!("log on / log off: {:.2} of {with_log:.2?}", median(&with_log));
    Ok(())
}

/// Lets a job receive.
fn receive(directory: &Path, options: &Options, has_log: bool) -> Result<Rate, String> {
    let source = "type = \"http\"\naddress = \"127.0.0.1:0\"";
    let mut host = LiveHost::start(directory, &job_from("count", source, INTERVAL_MS, has_log)?)?;
    let address = host.wait_for("address of requests", |events| events.addresses.get("lines").cloned())?;
    let clients = Clients::start(&address, options)?;
    let process = host.process();
    let (bytes, before, after) =
        rate(&clients.answered_bytes, WARM_UP, options.seconds, || processors::of_process(process))?;
    clients.end()?;
    host.kill()?;
    Ok(Rate::new(bytes, before, after, options.seconds))
}

/// Lets a loop receive, on a thread for each client.
fn read(options: &Options) -> Result<Rate, String> {
    let failed = |error: io::Error| format!("cannot serve requests: {error}");
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?.to_string();
    let threads: Arc<Mutex<Vec<Thread>>> = Arc::default();
    let of_server = threads.clone();
    let server = std::thread::spawn(move || {
        let servers: Vec<_> = listener.incoming().take(CLIENTS).map_while(Result::ok).collect();
        let serve = |client: TcpStream| {
            let threads = of_server.clone();
            std::thread::spawn(move || {
                threads.lock().unwrap_or_else(PoisonError::into_inner).push(Thread::current());
                // The client ends the connection.
                let _ = serve(client);
            })
        };
        servers.into_iter().map(serve).collect::<Vec<_>>()
    });
    let clients = Clients::start(&address, options)?;
    let seconds = || {
        let threads = threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.iter().map(Thread::seconds).sum::<Option<f64>>()
    };
    let (bytes, before, after) = rate(&clients.answered_bytes, WARM_UP / 2, options.seconds, seconds)?;
    clients.end()?;
    for server in server.join().map_err(|_| "the server panicked".to_owned())? {
        server.join().map_err(|_| "the server panicked".to_owned())?;
    }
    Ok(Rate::new(bytes, before, after, options.seconds))
}

/// Reads requests, and answers each when it is whole.
fn serve(mut client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let mut left = body_left(&mut client, &mut buffer)?;
        while left > 0 {
            let read = client.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            left = left.saturating_sub(read);
        }
        client.write_all(ANSWER)?;
    }
}

/// Reads the head of a request or an answer. Returns how many bytes of the body are still to come.
fn body_left(connection: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut used = 0;
    loop {
        let read = connection.read(buffer.get_mut(used..).unwrap_or_default())?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        used += read;
        let so_far = buffer.get(..used).unwrap_or_default();
        let Some(end) = so_far.windows(HEAD_END.len()).position(|bytes| bytes == HEAD_END) else { continue };
        let head = String::from_utf8_lossy(so_far.get(..end).unwrap_or_default()).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        if head.starts_with("http/") && !head.starts_with("http/1.1 200") {
            return Err(io::Error::other(format!("the answer is {head}")));
        }
        return Ok(length.unwrap_or_default().saturating_sub(used - end - HEAD_END.len()));
    }
}

/// Clients that send requests, each the next one when the last one is answered.
struct Clients {
    answered_bytes: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Clients {
    fn start(address: &str, options: &Options) -> Result<Self, String> {
        let mut body = flood::text(options.line_bytes);
        let line_bytes = usize::try_from(options.line_bytes).unwrap_or(BODY_BYTES).max(2);
        body.truncate(BODY_BYTES.div_ceil(line_bytes) * line_bytes);
        let head = format!("POST / HTTP/1.1\r\nHost: host\r\nContent-Length: {}\r\n\r\n", body.len());
        let request: Arc<[u8]> = [head.as_bytes(), &body].concat().into();
        let (answered_bytes, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut threads = Vec::new();
        for _ in 0..CLIENTS {
            let connection = TcpStream::connect(address).and_then(|connection| {
                connection.set_nodelay(true)?;
                Ok(connection)
            });
            let mut connection = connection.map_err(|error| format!("cannot connect to {address}: {error}"))?;
            let (answered, over, request, bytes) =
                (answered_bytes.clone(), is_over.clone(), request.clone(), body.len() as u64);
            threads.push(std::thread::spawn(move || {
                let mut buffer = vec![0; READ_BYTES];
                while !over.load(Ordering::Relaxed) {
                    connection.write_all(&request)?;
                    let left = body_left(&mut connection, &mut buffer)?;
                    connection.read_exact(buffer.get_mut(..left).unwrap_or_default())?;
                    answered.fetch_add(bytes, Ordering::Relaxed);
                }
                Ok(())
            }));
        }
        Ok(Self { answered_bytes, is_over, threads })
    }

    /// Lets each client end after its last answer.
    fn end(self) -> Result<(), String> {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let ended = thread.join().map_err(|_| "a client panicked".to_owned())?;
            ended.map_err(|error| format!("a request failed: {error}"))?;
        }
        Ok(())
    }
}
