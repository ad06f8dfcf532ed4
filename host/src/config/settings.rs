//! The settings of a job: what the rest of the host sees of the job file.
//!
//! Owns [`Settings`] and its parts: plain data, nothing optional. Never sees TOML or a default: that is `resolve`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::encoding::Encoding;
use crate::time::Duration;

/// Everything a job is told, resolved and validated: every default is filled in, every path is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The job itself.
    pub job: JobSettings,
    /// Where records come from, by the name under which the plugin asks for them; may be empty.
    pub sources: BTreeMap<String, SourceSettings>,
    /// How received data is cut into blocks.
    pub receiver: ReceiverSettings,
    /// What runs the tasks.
    pub engine: EngineSettings,
    /// What one plugin instance may use.
    pub limits: LimitSettings,
    /// The keys that the job file and the command line give: dotted, with their values as TOML.
    pub given: BTreeMap<String, String>,
    /// What is allowed but probably not wanted: one line each, beginning with its place in the job file.
    pub warnings: Vec<String>,
}

/// `[job]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSettings {
    /// 1 to 100 of `a-z A-Z 0-9 . _ -`.
    pub name: String,
    /// The component to run. Relative only if the path of the job file is.
    pub plugin: PathBuf,
    /// 1 ms to 1 h, in whole milliseconds.
    pub batch_interval: Duration,
    /// Partitions of a shuffle by default: 1 to 256.
    pub parallelism: u32,
    /// Arguments to the plugin, by name.
    pub args: BTreeMap<String, String>,
    /// The directory of the job file; empty for the current one.
    pub directory: PathBuf,
    /// The job file itself.
    pub file: PathBuf,
    /// Directories that the plugin may read, or write to as well, by name. Relative only if the path of the job file is.
    pub directories: BTreeMap<String, Grant>,
    /// What happens when a batch fails for good.
    pub on_error: OnError,
    /// How long a graceful stop may take: 1 ms to 24 h.
    pub stop_timeout: Duration,
    /// Where the job keeps what it needs to go on after a crash; absent for a job that does not. Relative only if the path
    /// of the job file is.
    pub checkpoint: Option<Location>,
    /// The most batches that a restart makes for the time in which the job did not run.
    pub max_catch_up: u32,
    /// What happens while checkpoints cannot be written.
    pub on_checkpoint_error: OnCheckpointError,
}

/// What a job grants to its plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Where.
    pub location: Location,
    /// What the plugin may do there.
    pub access: Access,
}

/// What a plugin may do with files. The later one includes the earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Read them.
    Read,
    /// Write them, too.
    Write,
}

/// Where files or checkpoints are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A directory.
    Directory(PathBuf),
    /// What begins with a prefix in a bucket of an object store: `s3://bucket/prefix`.
    Objects(String),
}

impl Location {
    /// The location as seen from outside `directory`, the one of the job file.
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
    /// Outputs wait until they can.
    Wait,
    /// The job stops with the error.
    Stop,
}

/// What happens when a batch fails for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// The job stops with the error.
    Stop,
    /// The batch is given up, and the next one runs.
    Continue,
}

/// `[sources.NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSettings {
    /// Lines of text from a TCP server.
    Socket {
        /// `host:port`, an IPv6 host in brackets, port 1 to 65535. The host has not been looked up.
        address: String,
        /// The pause before connecting again: 1 ms to 1 h.
        reconnect_delay: Duration,
        /// After how long without a byte the connection counts as lost: 1 ms to 24 h. `None` if it never does.
        idle_timeout: Option<Duration>,
        /// The longest line accepted, in bytes of UTF-8: 1 B to 256 MiB.
        max_line_bytes: u64,
        /// The encoding of text without a byte order mark.
        encoding: Encoding,
    },
    /// Lines of the files that appear in directories.
    TextFiles {
        /// A directory, or a pattern of directories. Relative only if the path of the job file is.
        path: PathBuf,
        /// Whether files that are there before the job starts are left out.
        new_files_only: bool,
        /// How far back a file's modification time may lie, at least: 1 ms to 24 h.
        min_remember: Duration,
        /// Patterns of names of files that are read; all if there are none. They have not been looked at.
        include: Vec<String>,
        /// Patterns of names of files that are not read.
        ignore: Vec<String>,
        /// What becomes of a file that nothing needs any more.
        when_done: WhenDone,
        /// What happens when a file is gone that a batch has to read.
        on_missing_file: OnMissingFile,
        /// The longest line accepted, in bytes of UTF-8: 1 B to 256 MiB.
        max_line_bytes: u64,
        /// The encoding of text without a byte order mark.
        encoding: Encoding,
    },
    /// Data sets from a file of JSON lines.
    Queue {
        /// The file. Relative only if the path of the job file is.
        path: PathBuf,
        /// The encoding of text without a byte order mark.
        encoding: Encoding,
    },
    /// What a receiver gives that the embedding program brings.
    Custom {
        /// The name of the receiver.
        receiver: String,
        /// What it is told, by name.
        options: BTreeMap<String, String>,
        /// The pause before it is started again: 1 ms to 1 h.
        restart_delay: Duration,
        /// The longest line accepted, in bytes of UTF-8: 1 B to 256 MiB.
        max_line_bytes: u64,
        /// The encoding of text without a byte order mark.
        encoding: Encoding,
    },
}

impl SourceSettings {
    /// The encoding of text without a byte order mark.
    pub const fn encoding(&self) -> Encoding {
        match self {
            Self::Socket { encoding, .. }
            | Self::TextFiles { encoding, .. }
            | Self::Queue { encoding, .. }
            | Self::Custom { encoding, .. } => *encoding,
        }
    }
}

/// What becomes of a file that nothing needs any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhenDone {
    /// It stays.
    Keep,
    /// It is removed.
    Delete,
    /// It is moved into a directory. Relative only if the path of the job file is.
    Move(PathBuf),
}

/// What happens when a file is gone that a batch has to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMissingFile {
    /// The batch fails.
    Fail,
    /// The batch goes on without it.
    Skip,
}

/// What happens to received data for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The receiver waits.
    Wait,
    /// The new block is dropped.
    DropNewest,
}

/// `[receiver]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiverSettings {
    /// 1 ms to the batch interval.
    pub block_interval: Duration,
    /// The most received data that waits to be processed.
    pub store_limit_bytes: u64,
    /// What happens to data that comes then.
    pub when_full: WhenFull,
}

/// `[engine]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// Tasks that run at the same time: 1 to 256.
    pub threads: u32,
    /// Total tries of a task that fails for a cause outside the plugin: 1 to 100.
    pub task_attempts: u32,
    /// The memory budget of the job: at least `limits.memory_bytes` x (`threads` + 1).
    pub memory_bytes: u64,
    /// Where data is spilled; the system's directory for temporary files if absent. Relative only if the path of the job
    /// file is.
    pub spill_directory: Option<PathBuf>,
    /// The most that is spilled at a time.
    pub spill_limit_bytes: u64,
    /// Whether spilled data is compressed.
    pub compress: bool,
}

/// `[limits]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Linear memory of one plugin instance: 1 MiB to 4 GiB.
    pub memory_bytes: u64,
    /// Run time of plugin code in one task: 1 ms to 1 h.
    pub task_time: Duration,
    /// All that one call of a driver function takes: 1 ms to 24 h.
    pub driver_time: Duration,
    /// What one task may return in all: 1 KiB to 4 GiB.
    pub result_size_bytes: u64,
    /// The largest plugin file: 1 KiB to 4 GiB.
    pub plugin_size_bytes: u64,
}

/// What the machine tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// CPUs that the job may use. 0 counts as 1.
    pub cpus: usize,
}
