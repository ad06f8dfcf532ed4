//! A NATS server with JetStream on a free port of this machine, and a client that speaks its protocol.
//!
//! Owns the process of the server. The server can be killed and started again on its port, with what it has on its disk.
//! Where the program `nats-server` is missing, tests are skipped, and say so.

use super::binary::{Directory, Running};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a client waits for an answer. Only a server that hangs takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server. Dropping it stops the server and removes its streams.
pub struct Server {
    directory: Directory,
    /// Further lines of its configuration.
    config: String,
    /// `127.0.0.1` and the port.
    address: String,
    /// `None` while the server is stopped.
    running: Option<Running>,
}

impl Server {
    /// Starts a server. `None` if this machine has no such program.
    pub fn start() -> Option<Self> {
        Self::with_files("", &[])
    }

    /// Starts a server with further lines of its configuration, which may name files of `fixtures`.
    pub fn with_files(config: &str, files: &[&str]) -> Option<Self> {
        let version = Command::new("nats-server").arg("--version").stdout(Stdio::null()).status();
        if let Err(error) = version {
            println!("skipped: nats-server cannot be started: {error}");
            return None;
        }
        let mut server = Self {
            directory: Directory::new(),
            config: config.to_owned(),
            address: "127.0.0.1:-1".to_owned(),
            running: None,
        };
        for file in files {
            let content = std::fs::read(format!("{}/fixtures/{file}", env!("CARGO_MANIFEST_DIR")));
            let name = file.rsplit_once('/').map_or(*file, |(_, name)| name);
            server.directory.write(name, content.expect("the fixture is there"));
        }
        server.resume();
        Some(server)
    }

    /// Starts the server again.
    pub fn resume(&mut self) {
        let config = format!("listen: \"{}\"\njetstream {{ store_dir: \"streams\" }}\n{}\n", self.address, self.config);
        self.directory.write("nats.conf", config);
        let mut command = Command::new("nats-server");
        command.args(["-c", "nats.conf"]).current_dir(self.directory.path("."));
        let mut running = Running::start(command);
        running.wait_for_err("Server is ready");
        let said = running.err().to_owned();
        let listens = said.split_once("client connections on ").expect("it says where it listens").1;
        self.address = listens.lines().next().expect("it is a line").to_owned();
        self.running = Some(running);
    }

    /// Kills the server.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// The address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Connects to a server that lets everybody in.
    pub fn client(&self) -> Client {
        Client::connect(&self.address, "{\"verbose\":false}").expect("the server takes connections")
    }
}

/// A connection to a server.
pub struct Client {
    connection: BufReader<TcpStream>,
    next: u64,
}

impl Client {
    /// Connects with these options, as JSON.
    pub fn connect(address: &str, options: &str) -> std::io::Result<Self> {
        let connection = TcpStream::connect(address)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        let mut client = Self { connection: BufReader::new(connection), next: 0 };
        client.send(&format!("CONNECT {options}\r\nSUB inbox.> 1\r\nPING\r\n"), b"")?;
        while client.line()? != "PONG" {}
        Ok(client)
    }

    fn send(&mut self, line: &str, payload: &[u8]) -> std::io::Result<()> {
        let stream = self.connection.get_mut();
        stream.write_all(&[line.as_bytes(), payload].concat())
    }

    /// The next line of the server. An error of the server is an error.
    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.connection.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line.starts_with("-ERR") {
            return Err(std::io::Error::other(line));
        }
        Ok(line.trim_end().to_owned())
    }

    /// Sends a request, and waits for the answer.
    pub fn request(&mut self, subject: &str, payload: &[u8]) -> std::io::Result<String> {
        self.next += 1;
        let inbox = format!("inbox.{}.{}", std::process::id(), self.next);
        self.send(&format!("PUB {subject} {inbox} {}\r\n", payload.len()), &[payload, b"\r\n"].concat())?;
        loop {
            let line = self.line()?;
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["PING"] => self.send("PONG\r\n", b"")?,
                ["MSG" | "HMSG", subject, .., length] => {
                    let length: usize = length.parse().map_err(std::io::Error::other)?;
                    let mut answer = vec![0; length + 2];
                    self.connection.read_exact(&mut answer)?;
                    answer.truncate(length);
                    if *subject == inbox {
                        return String::from_utf8(answer).map_err(std::io::Error::other);
                    }
                }
                _ => {}
            }
        }
    }

    /// Makes a stream on disk.
    pub fn make_stream(&mut self, stream: &str, subjects: &str) {
        let config = format!("{{\"name\":\"{stream}\",\"subjects\":[\"{subjects}\"],\"storage\":\"file\"}}");
        let made = self.request(&format!("$JS.API.STREAM.CREATE.{stream}"), config.as_bytes());
        let made = made.expect("the server answers");
        assert!(!made.contains("\"error\""), "{made}");
    }

    /// Puts a message into the stream of a subject, and waits until the stream has it.
    pub fn publish(&mut self, subject: &str, payload: &str) -> std::io::Result<()> {
        let answer = self.request(subject, payload.as_bytes())?;
        if answer.contains("\"seq\"") { Ok(()) } else { Err(std::io::Error::other(answer)) }
    }

    /// How many messages a stream has got.
    pub fn messages(&mut self, stream: &str) -> u64 {
        let answer = self.request(&format!("$JS.API.STREAM.INFO.{stream}"), b"").expect("the server answers");
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("it is JSON");
        answer["state"]["last_seq"].as_u64().expect("the stream is there")
    }

    /// What the server knows of a consumer, as JSON.
    pub fn consumer(&mut self, stream: &str, consumer: &str) -> serde_json::Value {
        let answer = self.request(&format!("$JS.API.CONSUMER.INFO.{stream}.{consumer}"), b"");
        serde_json::from_str(&answer.expect("the server answers")).expect("it is JSON")
    }
}
