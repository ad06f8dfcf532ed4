//! The settings of a job, in the form in which the rest of the host uses the job file.
//!
//! Owns [`Settings`] and its parts: plain data with all defaults filled in. Never sees TOML or a default: `resolve`
//! does.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::connection_settings::ConnectionSettings;
use super::gain::Gain;
use super::kafka_settings::{KafkaReceiverSettings, KafkaSettings};
use super::secret::Secret;
use crate::encoding::Encoding;
use crate::time::Duration;

/// All settings of a job, resolved and validated. Every default is filled in, and every path is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The settings of the job itself.
    pub job: JobSettings,
    /// The sources of records, by the names under which the plugin asks for them. There may be none.
    pub sources: BTreeMap<String, SourceSettings>,
    /// The connections that outputs may use, by the names under which the plugin names them. There may be none.
    pub connections: BTreeMap<String, ConnectionSettings>,
    /// How received data is cut into blocks.
    pub receiver: ReceiverSettings,
    /// How rates of receivers follow from the speed of batches.
    pub backpressure: BackpressureSettings,
    /// The settings of the engine, which runs the tasks.
    pub engine: EngineSettings,
    /// The limits of one plugin instance.
    pub limits: LimitSettings,
    /// The page of the job.
    pub ui: UiSettings,
    /// The collector that gets metrics and traces.
    pub otlp: OtlpSettings,
    /// The keys that the job file and the command line give: dotted, with their values as TOML.
    pub given: BTreeMap<String, String>,
    /// The pairs of `--set KEY=VALUE` with which the job file was read.
    pub overrides: Vec<(String, String)>,
    /// The facts about the machine with which the job file was read.
    pub facts: Facts,
    /// Warnings about settings that are allowed but probably not wanted. Each is one line that begins with the place in
    /// the job file.
    pub warnings: Vec<String>,
}

/// The settings of `[job]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSettings {
    /// The name of the job: 1 to 100 of `a-z A-Z 0-9 . _ -`.
    pub name: String,
    /// The path of the plugin's component. It is relative only if the path of the job file is.
    pub plugin: PathBuf,
    /// The batch interval: 1 ms to 1 h, in whole milliseconds.
    pub batch_interval: Duration,
    /// The default number of partitions of a shuffle: 1 to 256.
    pub parallelism: u32,
    /// The arguments of the plugin, by name.
    pub args: BTreeMap<String, String>,
    /// The directory of the job file; empty for the current directory.
    pub directory: PathBuf,
    /// The path of the job file.
    pub file: PathBuf,
    /// The directories that the plugin may read, or may also write to, by name. A path is relative only if the path of
    /// the job file is.
    pub directories: BTreeMap<String, Grant>,
    /// What happens when a batch fails for good.
    pub on_error: OnError,
    /// The longest time that a graceful stop may take: 1 ms to 24 h.
    pub stop_timeout: Duration,
    /// Where the job stores its checkpoints, with which it can continue after a crash. `None` if the job has no
    /// checkpoints. A path is relative only if the path of the job file is.
    pub checkpoint: Option<Location>,
    /// The largest number of batches that a restart makes for the time in which the job did not run.
    pub max_catch_up: u32,
    /// What happens while checkpoints cannot be written.
    pub on_checkpoint_error: OnCheckpointError,
}

/// A directory or object store that a job grants to its plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The place that is granted.
    pub location: Location,
    /// What the plugin may do in this place.
    pub access: Access,
}

/// What a plugin may do with files. Later variants include the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// The plugin may read files.
    Read,
    /// The plugin may read and write files.
    Write,
}

/// The place of files or checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A directory.
    Directory(PathBuf),
    /// The objects below a prefix in a bucket of an object store: `s3://bucket/prefix`.
    Objects(String),
}

impl Location {
    /// The location as seen from outside of `directory`, which is the directory of the job file.
    pub(super) fn below(self, directory: &Path) -> Self {
        match self {
            Self::Directory(path) => Self::Directory(directory.join(path)),
            Self::Objects(url) => Self::Objects(url),
        }
    }
}

/// What happens while checkpoints cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCheckpointError {
    /// Outputs wait until checkpoints can be written again.
    Wait,
    /// The job stops with the error.
    Stop,
}

/// What happens when a batch fails for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// The job stops with the error.
    Stop,
    /// The batch is abandoned, and the next batch runs.
    Continue,
}

/// The settings of one table `[sources.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSettings {
    /// Lines of text from a TCP server.
    Socket {
        /// The address `host:port`. An IPv6 host stands in brackets, the port is 1 to 65535. The host name has not been
        /// resolved yet.
        address: String,
        /// The pause before the next attempt to connect: 1 ms to 1 h.
        reconnect_delay: Duration,
        /// The time without any data after which the connection counts as lost: 1 ms to 24 h. `None` if there is no
        /// such time.
        idle_timeout: Option<Duration>,
        /// The longest accepted line, in bytes of UTF-8: 1 B to 256 MiB.
        max_line_bytes: u64,
        /// The encoding of text that has no byte order mark.
        encoding: Encoding,
    },
    /// Lines of the files that appear in directories.
    TextFiles {
        /// A directory, or a pattern of directories. It is relative only if the path of the job file is.
        path: PathBuf,
        /// Whether files that exist before the job starts are ignored.
        new_files_only: bool,
        /// How old a file's modification time may be, at least: 1 ms to 24 h.
        min_remember: Duration,
        /// Patterns of the names of files that are read. If there are none, all files are read. The patterns have not
        /// been parsed yet.
        include: Vec<String>,
        /// Patterns of names of files that are not read.
        ignore: Vec<String>,
        /// What happens to a file that nothing needs any more.
        when_done: WhenDone,
        /// What happens if a file does not exist any more that a batch has to read.
        on_missing_file: OnMissingFile,
        /// The longest accepted line, in bytes of UTF-8: 1 B to 256 MiB.
        max_line_bytes: u64,
        /// The encoding of text that has no byte order mark.
        encoding: Encoding,
    },
    /// Lines that are appended to a file.
    LogFile {
        /// The path of the file. It is relative only if the path of the job file is.
        path: PathBuf,
        /// Whether a job that is started for the first time reads the lines that the file has already.
        reads_existing: bool,
        /// The longest accepted line, in bytes of UTF-8: 1 B to 256 MiB.
        max_line_bytes: u64,
        /// The encoding of text that has no byte order mark. Each line ends with the byte 10 in this encoding.
        encoding: Encoding,
    },
    /// Data sets from a file of JSON lines.
    Queue {
        /// The path of the file. It is relative only if the path of the job file is.
        path: PathBuf,
        /// The encoding of text that has no byte order mark.
        encoding: Encoding,
    },
    /// The records that clients send over HTTP.
    Http(HttpSettings),
    /// The messages of a stream of NATS JetStream.
    Nats(NatsSettings),
    /// Ranges of offsets of topics of Kafka.
    Kafka(KafkaSettings),
    /// The records that a member of a consumer group of Kafka gets.
    KafkaReceiver(KafkaReceiverSettings),
    /// The records of a receiver that the embedding program has registered.
    Custom {
        /// The name of the receiver.
        receiver: String,
        /// The options of the receiver, by name.
        options: BTreeMap<String, String>,
        /// The pause before the receiver is started again: 1 ms to 1 h.
        restart_delay: Duration,
        /// The longest accepted line, in bytes of UTF-8: 1 B to 256 MiB.
        max_line_bytes: u64,
        /// The encoding of text that has no byte order mark.
        encoding: Encoding,
    },
}

impl SourceSettings {
    /// The encoding of text that has no byte order mark.
    pub const fn encoding(&self) -> Encoding {
        match self {
            Self::Socket { encoding, .. }
            | Self::TextFiles { encoding, .. }
            | Self::LogFile { encoding, .. }
            | Self::Queue { encoding, .. }
            | Self::Custom { encoding, .. } => *encoding,
            Self::Http(_) | Self::Nats(_) | Self::Kafka(_) | Self::KafkaReceiver(_) => Encoding::UTF_8,
        }
    }
}

/// The settings of a source of type `http`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// The address at which the host listens. Port 0 stands for any free port. It is an address of this machine itself,
    /// or there is a token.
    pub address: SocketAddr,
    /// The path of the URL to which requests are sent. It begins with `/`.
    pub path: String,
    /// The records of a request.
    pub format: PayloadFormat,
    /// The place of the token that a client has to know. `None` if all clients of this machine may send.
    pub token: Option<Secret>,
    /// The files for TLS. `None` if connections are not encrypted.
    pub tls: Option<TlsFiles>,
    /// The largest body of a request, in bytes: 1 KiB to 1 GiB.
    pub max_body_bytes: u64,
    /// The most requests that are received or wait for their answer at a time: 1 to 65536.
    pub max_requests: u32,
    /// The longest time that a request waits for room: 1 ms to 1 h.
    pub max_wait: Duration,
    /// The time in which a client has to send a request: 1 ms to 1 h.
    pub request_timeout: Duration,
    /// The pause before the receiver is started again: 1 ms to 1 h.
    pub restart_delay: Duration,
}

/// The records of a payload: the body of a request, or a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadFormat {
    /// Each line of text is a record.
    Lines,
    /// Each line is a record as JSON.
    JsonLines,
    /// The whole payload is a record.
    Whole,
}

/// The settings of a source of type `nats`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsSettings {
    /// The servers, each as `host:port`. The client connects to one of them. There is at least one.
    pub servers: Vec<String>,
    /// The name of the stream.
    pub stream: String,
    /// The name of the durable consumer. `None` if the name follows from job and source.
    pub consumer: Option<String>,
    /// The pattern of the subjects of the messages. `None` if all messages of the stream are read.
    pub filter_subject: Option<String>,
    /// The first message of a consumer that does not exist yet.
    pub deliver: DeliverFrom,
    /// The records of a message.
    pub format: PayloadFormat,
    /// What the client shows to the server. `None` if the server lets everybody in.
    pub login: Option<NatsLogin>,
    /// Whether connections use TLS.
    pub tls: bool,
    /// The PEM file with the certificates that may have issued that of the server. `None` if those of the system may.
    pub tls_ca: Option<PathBuf>,
    /// How long the server waits for an acknowledgement before it delivers a message again: 1 s to 1 h.
    pub ack_wait: Duration,
    /// The most messages that are delivered and not acknowledged: 1 to 100,000.
    pub max_ack_pending: u32,
    /// What happens to a message that is no record.
    pub on_bad_message: OnBadMessage,
    /// The pause before the receiver is started again: 1 ms to 1 h.
    pub restart_delay: Duration,
}

/// The first message that a new consumer of a stream gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliverFrom {
    /// The first message that the stream has.
    All,
    /// The first message that comes after the consumer was made.
    New,
    /// The last message that the stream has.
    Last,
    /// The last message of each subject that the stream has.
    LastPerSubject,
}

/// What a client shows to a NATS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NatsLogin {
    /// A user and a password.
    Password {
        /// The name of the user.
        user: String,
        /// The place of the password.
        password: Secret,
    },
    /// The place of a token.
    Token(Secret),
    /// The place of a credentials file, with a JWT and the seed of its key.
    Credentials(Secret),
    /// The place of the seed of an NKey.
    NkeySeed(Secret),
}

impl NatsLogin {
    /// The place of the secret, and the key that names the place.
    pub const fn secret(&self) -> (&Secret, &'static str) {
        match self {
            Self::Password { password, .. } => (password, "password"),
            Self::Token(secret) => (secret, "token"),
            Self::Credentials(secret) => (secret, "credentials"),
            Self::NkeySeed(secret) => (secret, "nkey_seed"),
        }
    }
}

/// What happens to a message that is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBadMessage {
    /// The message is terminated: the server does not deliver it again, and the receiver goes on.
    Terminate,
    /// The receiver stops. The message stays unacknowledged.
    Stop,
}

/// The PEM files for TLS. The paths are relative only if the path of the job file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The file with the certificate of the host, and those of its issuers.
    pub certificate: PathBuf,
    /// The file with the private key.
    pub key: PathBuf,
}

/// What happens to a file that nothing needs any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhenDone {
    /// The file stays.
    Keep,
    /// The file is removed.
    Delete,
    /// The file is moved into this directory. The path is relative only if the path of the job file is.
    Move(PathBuf),
}

/// What happens if a file does not exist any more that a batch has to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMissingFile {
    /// The batch fails.
    Fail,
    /// The batch runs without the file.
    Skip,
}

/// What happens to received data if there is no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The receiver waits.
    Wait,
    /// The new block is dropped.
    DropNewest,
}

/// The settings of `[receiver]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverSettings {
    /// The time after which a block is cut: 1 ms to the batch interval.
    pub block_interval: Duration,
    /// The most bytes of received data that wait to be processed.
    pub store_limit_bytes: u64,
    /// What happens to data that arrives when that limit is reached.
    pub when_full: WhenFull,
    /// Whether received data is written to the write-ahead log.
    pub write_ahead_log: bool,
    /// The second place of the log. `None` if the log is stored once.
    pub write_ahead_log_copy: Option<Location>,
    /// Whether a file of the log is closed after each write.
    pub closes_files_after_write: bool,
    /// The most records a second of one receiver: 1 to 10^9. `None` if there is no limit.
    pub max_rate: Option<u32>,
}

/// The settings of `[backpressure]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackpressureSettings {
    /// Whether rates follow from the speed of batches.
    pub enabled: bool,
    /// The most records a second of one receiver until the first rate is computed: 1 to 10^9. `None` if there is no
    /// limit but the largest rate.
    pub initial_rate: Option<u32>,
    /// The smallest rate that is computed, in records a second: 1 to 10^9.
    pub min_rate: u32,
    /// How much the rate changes by the difference between the last rate and the processing rate.
    pub proportional: Gain,
    /// How much the rate changes by the records that wait.
    pub integral: Gain,
    /// How much the rate changes by the change of that difference.
    pub derivative: Gain,
}

/// The settings of `[engine]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// The number of tasks that run at the same time: 1 to 256.
    pub threads: u32,
    /// The number of attempts at a task that fails for a cause outside of the plugin: 1 to 100.
    pub task_attempts: u32,
    /// The memory budget of the job: at least `limits.memory_bytes` x (`threads` + 1).
    pub memory_bytes: u64,
    /// The directory to which data is spilled. `None` means the system's directory for temporary files. The path is
    /// relative only if the path of the job file is.
    pub spill_directory: Option<PathBuf>,
    /// The most bytes of spilled data at a time.
    pub spill_limit_bytes: u64,
    /// Whether spilled data is compressed.
    pub compress: bool,
}

/// The settings of `[limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// The largest linear memory of one plugin instance: 1 MiB to 4 GiB.
    pub memory_bytes: u64,
    /// The longest run time of plugin code in one task: 1 ms to 1 h.
    pub task_time: Duration,
    /// The longest time of one call of a driver function, with everything that it asks the host for: 1 ms to 24 h.
    pub driver_time: Duration,
    /// The most bytes that one task may return in all: 1 KiB to 4 GiB.
    pub result_size_bytes: u64,
    /// The size of the largest accepted plugin file: 1 KiB to 4 GiB.
    pub plugin_size_bytes: u64,
}

/// The settings of `[ui]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UiSettings {
    /// The address of the page; `None` without a page. It is an address of this machine itself, or there is a token.
    pub address: Option<SocketAddr>,
    /// The place of the token that a client has to know. `None` if all clients of this machine may look.
    pub token: Option<Secret>,
    /// The files for TLS. `None` if connections are not encrypted.
    pub tls: Option<TlsFiles>,
    /// How often the operators of each stage are timed, if there is a page or a collector; zero for never.
    pub sample_interval: Duration,
}

/// The settings of `[otlp]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpSettings {
    /// The collector. `None` if nothing is sent.
    pub server: Option<OtlpServer>,
    /// The place of the token that the collector wants.
    pub token: Option<Secret>,
    /// How often metrics and traces are sent: 100 ms to 1 h.
    pub interval: Duration,
    /// Whether traces are sent.
    pub traces: bool,
}

/// A collector of OpenTelemetry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpServer {
    /// The address `host:port`.
    pub address: String,
    /// What comes before `/v1/metrics` in the path. Empty in most cases.
    pub path: String,
}

/// Facts about the machine on which the job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The number of CPUs that the job may use. 0 counts as 1.
    pub cpus: usize,
}
