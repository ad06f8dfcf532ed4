//! What a running job tells a service manager such as systemd, at a real socket, and the unit file for systemd.

use super::super::support::binary::{Directory, Running};
use millstream_tests::{programs, repository};
use std::io::{ErrorKind, Read as _, pipe};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The test gives up when nothing comes for this long. Only a job that says nothing takes this long.
const PATIENCE: Duration = Duration::from_secs(120);
/// The time within which a job has to give a sign of life.
const WATCHDOG: Duration = Duration::from_millis(200);

/// The service manager: a socket, and what came.
struct Manager {
    socket: UnixDatagram,
    told: Vec<String>,
}

impl Manager {
    fn new(directory: &Directory) -> Self {
        let socket = UnixDatagram::bind(directory.path("notify")).expect("a socket can be made");
        Self { socket, told: Vec::new() }
    }

    /// The environment of a service with a watchdog.
    fn environment(directory: &Directory, command: &mut Command) {
        command.env("NOTIFY_SOCKET", directory.path("notify"));
        command.env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
    }

    /// Returns the lines of the next message. `None` if there is none for this long.
    fn next(&mut self, patience: Duration) -> Option<Vec<String>> {
        self.socket.set_read_timeout(Some(patience)).expect("a time can be set");
        let mut bytes = [0; 4096];
        let length = loop {
            match self.socket.recv(&mut bytes) {
                Ok(length) => break length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
                Err(error) => panic!("nothing can be received: {error}"),
            }
        };
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        self.told.extend(lines.clone());
        Some(lines)
    }

    /// Waits for a message that has a line of which this holds.
    fn wait_for(&mut self, wanted: &str, is_wanted: impl Fn(&str) -> bool) {
        loop {
            let Some(lines) = self.next(PATIENCE) else { panic!("no {wanted}: {:?}", self.told) };
            if lines.iter().any(|line| is_wanted(line)) {
                return;
            }
        }
    }

    fn wait_for_line(&mut self, line: &str) {
        self.wait_for(line, |told| told == line);
    }

    /// All messages that have come and were not read yet.
    fn rest(&mut self) {
        while self.next(Duration::from_millis(1)).is_some() {}
    }
}

/// With and without a supervisor, the job says that it runs, what it does, that it is alive, and that it stops.
#[test]
fn a_job_reports_its_life() {
    for supervised in [&[][..], &["--supervise"]] {
        let directory = Directory::with_job("network_word_count");
        let mut manager = Manager::new(&directory);
        let mut command = directory.host(&[&["run", "job.toml"], supervised].concat());
        Manager::environment(&directory, &mut command);
        let host = Running::start(command);
        manager.wait_for_line("READY=1");
        assert!(!manager.told.iter().any(|line| line == "WATCHDOG=1" && supervised.is_empty()), "{:?}", manager.told);
        manager.wait_for("STATUS", |line| line.starts_with("STATUS=") && line.contains(" done, "));
        for _ in 0..3 {
            manager.wait_for_line("WATCHDOG=1");
        }
        host.signal("TERM");
        manager.wait_for_line("STOPPING=1");
        let said = host.finish();
        assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
        manager.rest();
        for line in ["READY=1", "STOPPING=1", "STATUS=stopping"] {
            assert_eq!(manager.told.iter().filter(|told| *told == line).count(), 1, "{line}: {:?}", manager.told);
        }
        assert!(!manager.told.iter().any(|line| line.starts_with("X_")), "{:?}", manager.told);
    }
}

/// A job that failed and starts again stays a running service.
#[test]
fn a_supervisor_reports_restarts_and_answers_for_the_job() {
    let directory = Directory::with_job("network_word_count");
    let mut manager = Manager::new(&directory);
    let mut command =
        directory.host(&["run", "job.toml", "--supervise", "--restart-pause", "1h", "--restart-pause-max", "1h"]);
    Manager::environment(&directory, &mut command);
    let mut host = Running::start(command);
    manager.wait_for_line("READY=1");
    host.wait_for_err(" runs the job\n");
    let (_, process) = host.err().split_once(" process ").expect("the log names the process");
    let (process, _) = process.split_once(' ').expect("the log names the process");
    let killed = Command::new("sh").args(["-c", &format!("kill -KILL {process}")]).status();
    assert!(killed.expect("a shell can be started").success());
    manager.wait_for_line(&format!("STATUS=process {process} was ended by signal 9; the job starts again in 3600 s"));
    // No process runs the job in the pause.
    for _ in 0..3 {
        manager.wait_for_line("WATCHDOG=1");
    }
    host.signal("TERM");
    let said = host.finish();
    assert_eq!(said.code, Some(4), "{}", said.err);
}

/// A scheduler that waits for a reader of its output gives no sign of life, although the rest of the process works: the
/// batch clock goes on, and the process answers requests.
#[test]
fn a_scheduler_that_hangs_gives_no_sign_of_life() {
    for supervised in [&[][..], &["--supervise"]] {
        let directory = Directory::with_job("network_word_count");
        directory.write("queue.jsonl", format!("[\"a\"]\n[\"{}\"]\n", "x".repeat(300_000)));
        let mut manager = Manager::new(&directory);
        let mut command = directory.host(&[&["run", "job.toml"], supervised].concat());
        Manager::environment(&directory, &mut command);
        command.env("MILLSTREAM_LOG", "debug");
        let (mut reader, writer) = pipe().expect("a pipe can be made");
        command.stdout(writer).stderr(Stdio::piped());
        let mut host = Running::start_as_it_is(command);
        manager.wait_for_line("READY=1");
        host.wait_for_more_err("StageCompleted", 4);
        host.wait_for_more_err("BatchSubmitted", 3);
        // A job that is alive gives about a hundred signs in this time.
        let silence = WATCHDOG * 25;
        while let Some(lines) = manager.next(silence) {
            assert!(!lines.iter().any(|line| line == "STOPPING=1"), "{:?}", manager.told);
        }
        host.wait_for_socket(&directory);
        assert_eq!(directory.run(&["status"]).code, Some(0));
        // When the output is read, the job is alive again.
        let reading = std::thread::spawn(move || {
            let mut text = Vec::new();
            reader.read_to_end(&mut text).map(|_| text)
        });
        for _ in 0..3 {
            manager.wait_for_line("WATCHDOG=1");
        }
        host.signal("TERM");
        let said = host.finish();
        assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
        let text = reading.join().expect("the reader ends").expect("the output can be read");
        assert!(text.len() > 300_000, "{}", text.len());
    }
}

/// Without a service manager, or with one that cannot be reached, a job runs.
#[test]
fn a_job_needs_no_service_manager() {
    for socket in ["", "vsock:2:1", "/nowhere/notify"] {
        let directory = Directory::with_job("network_word_count");
        let mut command = directory.host(&["run", "job.toml", "--stop-when-idle"]);
        command.env("NOTIFY_SOCKET", socket);
        let said = Running::start(command).finish();
        assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
        let warning = "the service manager is told nothing: NOTIFY_SOCKET cannot be used: it is neither an absolute path nor an \
                       abstract name";
        assert_eq!(said.err.contains(warning), socket.starts_with("vsock"), "{}", said.err);
    }
}

/// systemd finds no mistake in the unit file, and the command in it is one of the host.
#[test]
fn the_unit_file_is_valid() {
    const UNIT: &str = "docs/systemd/millstream@.service";
    let unit = repository::file(UNIT).expect("the unit file can be read").text;
    let command = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/millstream "))
        .expect("it has a command");
    let directory = Directory::with_job("network_word_count");
    let args: Vec<&str> = command.split(' ').chain(["--stop-when-idle"]).collect();
    let said = directory.run(&args);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    if !Command::new("systemd-analyze").arg("--version").output().is_ok_and(|known| known.status.success()) {
        println!("skipped: systemd-analyze is not here, so the unit file is not verified");
        return;
    }
    let host = programs::host().to_str().expect("the path is text");
    // systemd wants the program to be there.
    directory.write("millstream@job.service", unit.replace("/usr/local/bin/millstream", host));
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]).arg(directory.path("millstream@job.service"));
    let verified = verify.output().expect("systemd-analyze can be started");
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success() && !said.contains("millstream@job.service"), "{said}");
}
