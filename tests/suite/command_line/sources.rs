//! Sources that fail while a job runs: servers that cannot be reached or go away, and files that change or disappear.

use super::super::support::binary::{Directory, Running};
use std::fs::{self, OpenOptions};
use std::io::{PipeReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;
use std::thread;

fn totals(out: &str) -> Vec<&str> {
    let mut counts: Vec<&str> = out.lines().filter(|line| line.starts_with('(') && line.len() < 100).collect();
    counts.sort_unstable();
    counts
}

const SOCKET: &str = "[job]\nname = \"word-count\"\nplugin = \"network_word_count.wasm\"\nbatch_interval = \"50ms\"\n\n\
                      [sources.lines]\ntype = \"socket\"\naddress = \"server:1\"\nmax_line = \"16B\"\nreconnect_delay = \"20ms\"\n";

/// A server that cannot be reached at the start is reported, with the time of the next attempt. The job waits for the
/// server.
#[test]
fn a_server_that_refuses_is_tried_again() {
    let directory = Directory::with_job("network_word_count");
    directory.write("job.toml", SOCKET);
    // Nobody listens on a port that was just released.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|server| server.local_addr()).expect("a port is free");
    let set = format!("sources.lines.address={address}");
    let mut host = Running::start(directory.host(&["run", "job.toml", "--set", &set]));
    host.wait_for_err(&format!("ReceiverError lines: cannot connect to {address}: Connection refused"));
    host.wait_for_err("next try in 20 ms");
    host.signal("INT");
    let said = host.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
}

/// If a server closes the connection in the middle of a line, the line has ended. Lines that are too long are dropped
/// and reported. The job continues with the next connection.
#[test]
fn a_server_that_goes_away_is_connected_to_again() {
    let directory = Directory::with_job("network_word_count");
    directory.write("job.toml", SOCKET);
    let server = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let set = format!("sources.lines.address={}", server.local_addr().expect("a server has an address"));
    let mut host = Running::start(directory.host(&["run", "job.toml", "--set", &set]));
    let (mut first, _) = server.accept().expect("the host connects");
    first.write_all(format!("one\n{}\ntwo", "x".repeat(17)).as_bytes()).expect("the host is there");
    drop(first);
    let (mut second, _) = server.accept().expect("the host connects again");
    second.write_all(b"three\n").expect("the host is there");
    host.wait_for_out("(three,1)");
    host.wait_for_err("closed the connection; next try in 20 ms");
    host.wait_for_err("LinesDropped lines: 1 line longer than max_line; the first is line 2");
    host.signal("INT");
    let said = host.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    assert_eq!(totals(&said.out), ["(one,1)", "(three,1)", "(two,1)"]);
}

/// A server accepts connections and closes them. The first failure and the first return are reported, and the next ones
/// are not.
#[test]
fn a_server_that_is_away_is_told_once() {
    let directory = Directory::with_job("network_word_count");
    directory.write("job.toml", SOCKET);
    let server = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let set = format!("sources.lines.address={}", server.local_addr().expect("a server has an address"));
    let mut host = Running::start(directory.host(&["run", "job.toml", "--set", &set]));
    for _ in 0..5 {
        drop(server.accept().expect("the host connects again"));
    }
    let (mut last, _) = server.accept().expect("the host connects again");
    last.write_all(b"back\n").expect("the host is there");
    host.wait_for_out("(back,1)");
    host.signal("INT");
    let said = host.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    assert_eq!(said.err.matches("closed the connection; next try in 20 ms").count(), 1, "{}", said.err);
    assert_eq!(said.err.matches("ReceiverStarted lines, which was away for ").count(), 1, "{}", said.err);
}

/// If the job file sets a time limit, the host connects again to a server that sends nothing.
#[test]
fn a_connection_that_is_idle_is_made_anew() {
    let directory = Directory::with_job("network_word_count");
    directory.write("job.toml", SOCKET.to_owned() + "idle_timeout = \"50ms\"\n");
    let server = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = server.local_addr().expect("a server has an address");
    let set = format!("sources.lines.address={address}");
    let mut host = Running::start(directory.host(&["run", "job.toml", "--set", &set]));
    let _silent = server.accept().expect("the host connects");
    host.wait_for_err(&format!(
        "lost {address}: it sent nothing for sources.lines.idle_timeout = 0.05 s; next try in 20 ms"
    ));
    let (mut second, _) = server.accept().expect("the host connects again");
    second.write_all(b"three\n").expect("the host is there");
    host.wait_for_out("(three,1)");
    host.signal("INT");
    let said = host.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
}

/// The system probes a server that sends nothing.
#[test]
fn a_server_that_vanishes_is_noticed_by_keepalive() {
    // The value of the field `tr` in /proc/net/tcp for the timer that probes the other side.
    const KEEPALIVE: &str = "02";
    let directory = Directory::with_job("network_word_count");
    directory.write("job.toml", SOCKET);
    let server = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let set = format!("sources.lines.address={}", server.local_addr().expect("a server has an address"));
    let mut host = Running::start(directory.host(&["run", "job.toml", "--set", &set]));
    let (_connection, peer) = server.accept().expect("the host connects");
    host.wait_for_err("ReceiverStarted lines");
    let connections = fs::read_to_string("/proc/net/tcp").expect("the system has a table of connections");
    let local = format!("0100007F:{:04X}", peer.port());
    let fields = connections.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let timer = fields.filter(|fields| fields.get(1) == Some(&&*local)).find_map(|fields| fields.get(5).copied());
    assert_eq!(timer.and_then(|timer| timer.split(':').next()), Some(KEEPALIVE), "{connections}");
}

const FILES: &str = "[job]\nname = \"word-count\"\nplugin = \"network_word_count.wasm\"\nbatch_interval = \"20ms\"\n\n\
                     [sources.lines]\ntype = \"text-files\"\npath = \"in\"\n";

#[test]
fn a_watched_directory_that_is_missing() {
    let directory = Directory::with_job("network_word_count");
    directory.write("job.toml", FILES);
    for command in ["run", "check"] {
        let said = directory.run(&[command, "job.toml"]);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{}", said.err);
        assert!(
            said.err.starts_with("error: cannot list in: No such file or directory (os error 2)\nhelp: "),
            "{}",
            said.err
        );
    }
}

/// A pattern stands for directories. A pattern that matches only files is probably a mistake. It is only a warning,
/// because directories may still appear.
#[test]
fn a_pattern_that_matches_files_only_is_warned_of() {
    let directory = Directory::with_job("network_word_count");
    directory.write("job.toml", FILES.replace("\"in\"", "\"logs/*.log\""));
    fs::create_dir(directory.path("logs")).expect("a directory can be made");
    let check = || directory.run(&["check", "job.toml"]);
    assert_eq!((check().code, check().err.as_str()), (Some(0), ""));
    directory.write("logs/a.log", "text\n");
    let said = check();
    assert_eq!(said.code, Some(0));
    let expected = "sources.lines.path = \"logs/*.log\" stands for directories and matches none, but files such as `a.log`: \
                    name the directory, as in \"logs\", to read its files\n";
    assert!(said.err.contains("WARN") && said.err.ends_with(expected), "{}", said.err);
}

/// A job that has found `in/file` with the text `one two`, and cannot read it yet: the job waits until the batch before
/// is printed, and nobody reads its output.
struct Found {
    directory: Directory,
    host: Running,
    out: PipeReader,
}

impl Found {
    fn new(on_error: &str) -> Self {
        let directory = Directory::with_job("network_word_count");
        directory.write("job.toml", FILES);
        fs::create_dir(directory.path("in")).expect("a directory can be made");
        let on_error = format!("job.on_error={on_error}");
        let mut command = directory.host(&["run", "job.toml", "--set", &on_error]);
        let (out, to_out) = std::io::pipe().expect("a pipe can be made");
        command.env("MILLSTREAM_LOG", "debug").stdout(to_out).stderr(Stdio::piped());
        let mut host = Running::start_as_it_is(command);
        host.wait_for_err("BatchCompleted");
        let publish = |text: &str| {
            directory.write("new", text);
            fs::rename(directory.path("new"), directory.path("in/file")).expect("a file can be renamed");
        };
        // The text is larger than a pipe.
        let words: Vec<String> = (0..10).map(|word| format!("{word}").repeat(20_000)).collect();
        publish(&(words.join("\n") + "\n"));
        host.wait_for_err(", 10 rows read");
        fs::remove_file(directory.path("in/file")).expect("the file is there");
        directory.write("new", "one two\n");
        fs::rename(directory.path("new"), directory.path("in/second")).expect("a file can be renamed");
        // The second batch after this point is made when the file exists.
        host.wait_for_more_err("BatchSubmitted", 3);
        Self { directory, host, out }
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path("in/second")
    }

    /// Reads the output, so that the job continues.
    fn read(self) -> (Directory, Running, thread::JoinHandle<String>) {
        let Self { directory, host, mut out } = self;
        let reading = thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).expect("the output is text");
            text
        });
        (directory, host, reading)
    }
}

/// If a file was found and is gone when its batch reads it, the batch fails after the attempts that a file gets.
#[test]
fn a_file_that_vanishes_fails_its_batch() {
    let found = Found::new("stop");
    fs::remove_file(found.path()).expect("the file is there");
    let (_directory, host, reading) = found.read();
    let said = host.finish();
    let out = reading.join().expect("the reader does not panic");
    assert_eq!(said.code, Some(4), "{}", said.err);
    assert!(said.error().contains("in/second is gone"), "{}", said.error());
    assert!(said.error().contains("\nhelp: "), "{}", said.error());
    assert_eq!(totals(&out), Vec::<&str>::new());
}

/// The same, with a job that continues after a failed batch.
#[test]
fn a_job_can_go_on_without_a_file_that_vanishes() {
    let found = Found::new("continue");
    fs::remove_file(found.path()).expect("the file is there");
    let (_directory, mut host, reading) = found.read();
    host.wait_for_err("ERROR");
    host.wait_for_more_err("BatchCompleted", 1);
    host.signal("INT");
    let said = host.finish();
    drop(reading.join());
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    assert!(said.err.contains("in/second"), "{}", said.err);
}

/// S2.20: text that is written to a file after the file was found is not read, and the file is not read again.
#[test]
fn a_file_that_is_half_written_is_read_as_far_as_it_was() {
    let found = Found::new("stop");
    let mut file = OpenOptions::new().append(true).open(found.path()).expect("the file is there");
    file.write_all(b"three four\n").expect("the file can be written to");
    drop(file);
    let (_directory, mut host, reading) = found.read();
    host.wait_for_err(", 1 row read, 2 rows written");
    host.wait_for_more_err("BatchCompleted", 5);
    host.signal("INT");
    let said = host.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    let out = reading.join().expect("the reader does not panic");
    assert_eq!(totals(&out), ["(one,1)", "(two,1)"]);
}
