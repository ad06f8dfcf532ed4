//! SIGINT, SIGTERM and SIGHUP: the first signal stops the job after received records are processed, and a signal a
//! second or more later stops the job at once.
//!
//! A test knows that lines were received when the host reports something that was sent after them: a line that is too
//! long, or the end of the connection. Data that is still in the kernel does not count as received.

use super::super::support::binary::{Directory, Running};
use millstream_tests::programs;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

/// Batches are long enough that the last lines usually wait for their batch when the signal comes.
const SOCKET_JOB: &str = "[job]\nname = \"word-count\"\nplugin = \"network_word_count.wasm\"\nbatch_interval = \"500ms\"\n\n\
                          [sources.lines]\ntype = \"socket\"\naddress = \"server:1\"\nmax_line = \"16B\"\nreconnect_delay = \"1h\"\n\n\
                          [receiver]\nblock_interval = \"50ms\"\n";

/// Starts `host` with the signals of a terminal, also when the tests run under `nohup`, which makes child processes
/// ignore SIGHUP.
fn host_of_a_terminal(directory: &Directory, args: &[&str]) -> Command {
    let mut command = directory.program(Path::new("env"), &["--default-signal=HUP"]);
    command.arg(programs::host()).args(args);
    command
}

/// Starts a host that counts words from a socket, and accepts its connection. `command` gets the value of `--set` with
/// which the host finds the socket.
pub fn connected(directory: &Directory, command: impl FnOnce(&str) -> Command) -> (Running, TcpStream) {
    directory.write("job.toml", SOCKET_JOB);
    let server = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = server.local_addr().expect("a server has an address");
    let host = Running::start(command(&format!("sources.lines.address={address}")));
    let (connection, _) = server.accept().expect("the host has connected");
    (host, connection)
}

/// As [`connected`], with a host that has counted `first` and `words`.
pub fn counting(directory: &Directory, command: impl FnOnce(&str) -> Command) -> (Running, TcpStream) {
    let (mut host, mut connection) = connected(directory, command);
    host.wait_for_err("ReceiverStarted lines");
    connection.write_all(b"first words\n").expect("the host is there");
    host.wait_for_out("(first,1)\n");
    host.wait_for_out("(words,1)\n");
    (host, connection)
}

/// Sends two lines and a line that is too long, and waits until the host has received them.
pub fn send_late(host: &mut Running, connection: &mut TcpStream) {
    connection.write_all(late().as_bytes()).expect("the host is there");
    host.wait_for_err("LinesDropped lines");
}

fn late() -> String {
    format!("late words\nmore words\n{}\n", "x".repeat(17))
}

/// The sums of all counts after [`counting`] and [`send_late`].
pub fn all_words() -> BTreeMap<String, u64> {
    expected(&[("first", 1), ("late", 1), ("more", 1), ("words", 3)])
}

/// Counts words from a socket. Sends `late`, waits until the host says `received`, and stops the host with a signal.
/// Returns the sums of the printed counts.
fn stopped(
    signal: &str,
    late: &str,
    received: &str,
    after: impl FnOnce(TcpStream) -> Option<TcpStream>,
) -> BTreeMap<String, u64> {
    let directory = Directory::with_job("network_word_count");
    let command = |set: &str| host_of_a_terminal(&directory, &["run", "job.toml", "--set", set]);
    let (mut host, mut connection) = counting(&directory, command);
    connection.write_all(late.as_bytes()).expect("the host is there");
    let _open = after(connection);
    host.wait_for_err(received);
    host.signal(signal);
    let said = host.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    assert!(said.err.contains("stopping, as a signal wants it: what was received is processed first"), "{}", said.err);
    totals(&said.out)
}

/// The sums of all counts that were printed, by word.
pub fn totals(out: &str) -> BTreeMap<String, u64> {
    let mut totals = BTreeMap::new();
    for line in out.lines() {
        if let Some((word, count)) = line.strip_prefix('(').and_then(|line| line.strip_suffix(')')?.rsplit_once(',')) {
            *totals.entry(word.to_owned()).or_default() += count.parse::<u64>().expect("a count is a number");
        }
    }
    totals
}

fn expected(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
}

/// S1.27, in the real world.
#[test]
fn sigint_processes_what_was_received() {
    let totals = stopped("INT", &late(), "LinesDropped lines", Some);
    assert_eq!(totals, all_words());
}

/// The server has closed the connection by then, in the middle of a line.
#[test]
fn sigterm_processes_what_was_received() {
    let totals = stopped("TERM", "late words\nhalf a li", "ReceiverError lines", |connection| {
        drop(connection);
        None
    });
    assert_eq!(totals, expected(&[("first", 1), ("late", 1), ("words", 2), ("half", 1), ("a", 1), ("li", 1)]));
}

/// The terminal does not exist any more.
#[test]
fn sighup_processes_what_was_received() {
    let totals = stopped("HUP", &late(), "LinesDropped lines", Some);
    assert_eq!(totals, all_words());
}

/// `timeout` and terminals send a signal to a process and to its group.
#[test]
fn a_signal_that_comes_twice_is_one_wish() {
    for _ in 0..5 {
        let late = format!("late words\nmore words\n{}\n", "x".repeat(17));
        let totals = stopped("TERM $PID; kill -INT $PID; kill -TERM", &late, "LinesDropped lines", Some);
        assert_eq!(totals, all_words());
    }
}

/// SIGHUP is ignored, as under `nohup`.
#[test]
fn a_sighup_that_is_ignored_stays_ignored() {
    let directory = Directory::with_job("network_word_count");
    let host = directory.host(&["run", "job.toml"]);
    let mut command = directory.program(Path::new("sh"), &["-c", "trap '' HUP; exec \"$0\" run job.toml"]);
    command.arg(host.get_program());
    let mut host = Running::start(command);
    host.wait_for_err("BatchCompleted");
    host.signal("HUP");
    host.wait_for_more_err("BatchCompleted", 3);
    host.signal("TERM");
    let said = host.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    assert_eq!(said.err.matches("stopping, as ").count(), 1, "{}", said.err);
}

/// A later signal stops the job whatever the plugin does in the meantime.
#[test]
fn a_later_signal_stops_at_once() {
    for (first, second) in [("INT", "INT"), ("TERM", "INT"), ("INT", "TERM"), ("HUP", "TERM")] {
        let directory = Directory::with_job("hostile");
        directory.write("queue.jsonl", "[\"boom\"]\n");
        let args = ["run", "job.toml", "--set", "job.args.does=loop", "--set", "limits.task_time=1h"];
        let mut command = host_of_a_terminal(&directory, &args);
        command.env("MILLSTREAM_LOG", "debug");
        let mut host = Running::start(command);
        host.wait_for_err("OutputOperationStarted");
        host.signal(first);
        host.wait_for_err("a signal after 1 s or more stops at once");
        host.signal_until_it_ends(second);
        let said = host.finish();
        assert_eq!(
            (said.code, said.out.as_str(), said.error()),
            (Some(130), "", ""),
            "{first}, {second}: {}",
            said.err
        );
        assert!(said.err.contains("stopping at once, as a signal wants it, "), "{}", said.err);
        assert!(
            said.err.contains(" s after the first wish to stop: what was received is not processed"),
            "{}",
            said.err
        );
    }
}

/// Before the job has started, there are no records to process first. The time limit of a task applies, but the user
/// need not wait for it.
#[test]
fn a_signal_stops_a_plugin_that_hangs_while_it_describes() {
    let directory = Directory::with_job("hostile");
    let args = ["run", "job.toml", "--set", "job.args.does=describe-loop", "--set", "limits.task_time=10s"];
    let mut command = directory.host(&args);
    command.env("MILLSTREAM_LOG", "debug");
    let mut host = Running::start(command);
    // After this line, the host asks the plugin for its graph.
    host.wait_for_err("compiled");
    // A script may start a background process with SIGINT ignored, so the test sends SIGTERM.
    host.signal("TERM");
    let said = host.finish();
    // The host ends with its own exit code, or by the signal itself.
    assert!(matches!(said.code, Some(0 | 130) | None), "exit code {:?}: {}", said.code, said.err);
    assert_eq!(said.error(), "");
}
