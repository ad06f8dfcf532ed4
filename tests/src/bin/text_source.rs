//! `text-source FILE [--rate LINES_PER_SEC] [--repeat N] [--hold]`: serves the lines of a file over TCP.
//!
//! Binds a free port of 127.0.0.1 and prints the address as its first line. Each client gets the whole file `N` times
//! (once by default), at most `LINES_PER_SEC` lines a second (by default as fast as the client reads). With `--hold`,
//! the connection stays open after the last line until the client closes it. The program serves until it is killed.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const USAGE: &str = "usage: text-source FILE [--rate LINES_PER_SEC] [--repeat N] [--hold]";

/// The options of the command line.
#[derive(Debug, PartialEq)]
struct Options {
    file: String,
    /// Lines a second to each client; `None` for no limit.
    rate: Option<f64>,
    repeat: u64,
    hold: bool,
}

fn main() -> ExitCode {
    let options = match Options::parse(env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("text-source: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match serve(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("text-source: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { file: String::new(), rate: None, repeat: 1, hold: false };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--hold" => options.hold = true,
                "--rate" => options.rate = Some(positive(&value()?)?),
                "--repeat" => {
                    let value = value()?;
                    options.repeat = value.parse().map_err(|_| format!("`{value}` is not a whole number"))?;
                }
                flag if flag.starts_with("--") => return Err(format!("unknown option {flag}")),
                file if options.file.is_empty() => options.file = file.to_owned(),
                other => return Err(format!("one FILE only, not also `{other}`")),
            }
        }
        if options.file.is_empty() { Err("FILE is missing".to_owned()) } else { Ok(options) }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| format!("`{text}` is not a number above 0"))
}

fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let text = fs::read(&options.file).map_err(|error| format!("cannot read {}: {error}", options.file))?;
    let shared = Arc::new((options, text));
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let mut stdout = io::stdout();
    writeln!(stdout, "{}", listener.local_addr()?)?;
    stdout.flush()?;
    for client in listener.incoming() {
        let client = client?;
        let shared = Arc::clone(&shared);
        // If a client closes the connection early, the source has not failed.
        thread::spawn(move || _ = send(&client, &shared.1, &shared.0));
    }
    Ok(())
}

/// Sends the lines of `text` to one client.
fn send(client: &TcpStream, text: &[u8], options: &Options) -> io::Result<()> {
    client.set_nodelay(true)?;
    match options.rate {
        None => {
            let mut out = BufWriter::new(client);
            for _ in 0..options.repeat {
                out.write_all(text)?;
                if !text.is_empty() && !text.ends_with(b"\n") {
                    out.write_all(b"\n")?;
                }
            }
            out.flush()?;
        }
        Some(rate) => send_at(client, text, options.repeat, rate)?,
    }
    if options.hold {
        wait_until_closed(client)?;
    }
    Ok(())
}

/// Sends line `i` no sooner than `i / rate` seconds after the first, so that delays do not add up.
#[expect(clippy::disallowed_methods, reason = "a load generator runs on the real clock")]
fn send_at(mut client: &TcpStream, text: &[u8], repeat: u64, rate: f64) -> io::Result<()> {
    let start = Instant::now();
    let mut due = Duration::ZERO;
    let between = Duration::from_secs_f64(1.0 / rate);
    let mut line_and_end = Vec::new();
    for _ in 0..repeat {
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            thread::sleep(due.saturating_sub(start.elapsed()));
            due += between;
            line_and_end.clear();
            line_and_end.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
            line_and_end.push(b'\n');
            client.write_all(&line_and_end)?;
        }
    }
    Ok(())
}

fn wait_until_closed(mut client: &TcpStream) -> io::Result<()> {
    let mut ignored = [0; 1024];
    while client.read(&mut ignored)? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    /// What a client of a source with these options reads until the connection ends.
    fn received(text: &str, line: &str) -> String {
        let options = parse(line).expect("the options are right");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("the listener has an address");
        let text = text.to_owned();
        let source = thread::spawn(move || {
            let (client, _) = listener.accept().expect("a client connects");
            send(&client, text.as_bytes(), &options).expect("the client reads");
        });
        let mut received = String::new();
        let mut client = TcpStream::connect(address).expect("the source listens");
        client.read_to_string(&mut received).expect("the source sends text");
        source.join().expect("the source does not panic");
        received
    }

    #[test]
    fn options_are_read_in_any_order() {
        let expected = Options { file: "in.txt".to_owned(), rate: Some(2.5), repeat: 3, hold: true };
        assert_eq!(parse("--rate 2.5 in.txt --hold --repeat 3"), Ok(expected));
        assert_eq!(parse("--hold"), Err("FILE is missing".to_owned()));
        assert_eq!(parse("a --rate 0"), Err("`0` is not a number above 0".to_owned()));
        assert_eq!(parse("a --speed"), Err("unknown option --speed".to_owned()));
    }

    #[test]
    fn the_file_is_sent_whole_and_every_line_ends() {
        assert_eq!(received("a b\nc", "f --repeat 2"), "a b\nc\na b\nc\n");
        assert_eq!(received("a b\nc", "f --repeat 2 --rate 100000"), "a b\nc\na b\nc\n");
        assert_eq!(received("", "f --repeat 2"), "");
    }
}
