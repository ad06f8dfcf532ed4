//! Every key of the job file, once: its name, Spark's name for it, its type and range, its default, what it does.
//!
//! Owns the table from which values are checked, near misses are found and `docs/configuration.md` is written, and
//! the constants of derived defaults. Never computes: derived defaults and rules between keys are in `resolve`.

use super::change::Change;
use super::directories::Directories;
use super::files::{AfterUse, NamePatterns};
use super::key::{Declared, Key};
use super::range::{Count, Size, Span};
use super::settings::{OnCheckpointError, OnError, OnMissingFile, WhenFull};
use super::shape::{Address, Choice, FilePath, Name, Place, Strings, TextEncoding};
use super::subject::Fallback;
use crate::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// No interval, delay or limit of time is longer: more is a slip of the unit.
const HOUR_MS: u64 = 3_600_000;

/// The default of `receiver.block_interval`, unless batches are shorter. Spark's.
pub(super) const DEFAULT_BLOCK_INTERVAL: Duration = Duration::from_millis(200);

/// An explicit `receiver.block_interval` below this is warned about: each block becomes a task. Spark's advice.
pub(super) const SMALL_BLOCK_INTERVAL: Duration = Duration::from_millis(50);

/// The default of `job.stop_timeout` is this many batches, but at least [`STOP_TIMEOUT_MIN`].
pub(super) const STOP_TIMEOUT_BATCHES: u32 = 10;

/// See [`STOP_TIMEOUT_BATCHES`].
pub(super) const STOP_TIMEOUT_MIN: Duration = Duration::from_secs(60);

/// What the default of `engine.memory` adds to the memory of plugin instances, for blocks, shuffles and data sets.
pub(super) const MEMORY_FOR_DATA: u64 = GIB;

/// Plugin instances that exist beside one for each thread: the driver.
pub(super) const DRIVER_INSTANCES: u64 = 1;

/// The types a source can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceType {
    Socket,
    TextFiles,
    Queue,
    Custom,
}

/// Declares keys, and lists them in [`KEYS`] in the same order.
macro_rules! keys {
    ($($id:ident: $shape:ty = $key:expr;)*) => {
        $(pub(super) static $id: Key<$shape> = $key;)*

        /// All keys, in the order of the documentation.
        pub(super) static KEYS: &[&dyn Declared] = &[$(&$id),*];
    };
}

keys! {
    JOB_NAME: Name = Key::new(
        "job.name",
        Name,
        Fallback::Required("word-count"),
        "The name of the job. Outputs and logs carry it; two jobs that write to the same place need different names.",
    )
    .spark("spark.app.name")
    .when_changed(Change::Fresh);

    JOB_PLUGIN: FilePath = Key::new(
        "job.plugin",
        FilePath,
        Fallback::Required("word_count.wasm"),
        "The WebAssembly component to run.",
    )
    .when_changed(Change::Harmless);

    JOB_BATCH_INTERVAL: Span = Key::new(
        "job.batch_interval",
        Span { min_ms: 1, max_ms: HOUR_MS },
        Fallback::Text("1s"),
        "How much time one batch covers. In Spark it is the second argument of `StreamingContext`.",
    )
    .when_changed(Change::Fresh);

    JOB_PARALLELISM: Count = Key::new(
        "job.parallelism",
        Count { min: 1, max: 256 },
        Fallback::Number(2),
        "Partitions of a shuffle whose operator does not say how many.",
    )
    .spark("spark.default.parallelism");

    JOB_ARGS: Strings = Key::new(
        "job.args",
        Strings,
        Fallback::Empty,
        "Arguments to the plugin, by name. All values are strings.",
    );

    JOB_DIRECTORIES: Directories = Key::new(
        "job.directories",
        Directories,
        Fallback::Empty,
        "What the plugin may read and write, by name; it can read and write nowhere else. `{ out = \"out\" }` lets it write \
         to `out:counts`, and to `counts`: a path without a name is below the directory called `out`. A directory of \
         which it can read only is `{ path = \"lists\", access = \"read\" }`. Outputs can be saved in an \
         [object store](object_stores.md): `{ out = \"s3://bucket/prefix\" }`. See \
         [what no grant reaches](outputs.md#where-a-plugin-may-write).",
    );

    JOB_ON_ERROR: Choice<OnError> = Key::new(
        "job.on_error",
        Choice(&[("stop", OnError::Stop), ("continue", OnError::Continue)]),
        Fallback::Text("stop"),
        "What happens when a batch fails for good: the job stops, or the batch is given up and the next one runs.",
    )
    .when_changed(Change::Harmless);

    JOB_STOP_TIMEOUT: Span = Key::new(
        "job.stop_timeout",
        Span { min_ms: 1, max_ms: 24 * HOUR_MS },
        Fallback::Derived { doc: "10 x `job.batch_interval`, at least 1m", example: "1m" },
        "How long a graceful stop may take. When it is over, the job stops at once and ends with an error: what it \
         had not processed is lost.",
    )
    .spark("spark.streaming.gracefulStopTimeout")
    .when_changed(Change::Harmless);

    JOB_CHECKPOINT: Place = Key::new(
        "job.checkpoint",
        Place,
        Fallback::Derived { doc: "none: nothing is kept for a restart", example: "checkpoints/word-count" },
        "The directory in which the job keeps what it needs to go on after a crash or a stop. One job has it at a time. \
         See [checkpoints](checkpoints.md). It can be in an [object store](object_stores.md). In Spark it is the argument of `StreamingContext.checkpoint`.",
    )
    .spark("spark.streaming.checkpoint.directory")
    .when_changed(Change::Harmless);

    JOB_MAX_CATCH_UP: Count = Key::new(
        "job.max_catch_up",
        Count { min: 0, max: 1_000_000_000 },
        Fallback::Number(10_000),
        "The most batches that a restarted job makes for the time in which it did not run. If there are more, it asks: \
         `host run --catch-up all` makes them, `--catch-up none` leaves them out.",
    )
    .when_changed(Change::Harmless);

    JOB_ON_CHECKPOINT_ERROR: Choice<OnCheckpointError> = Key::new(
        "job.on_checkpoint_error",
        Choice(&[("wait", OnCheckpointError::Wait), ("stop", OnCheckpointError::Stop)]),
        Fallback::Text("wait"),
        "What happens while the checkpoint directory cannot be written: outputs wait until it can, or the job stops.",
    )
    .when_changed(Change::Harmless);

    SOURCE_TYPE: Choice<SourceType> = Key::new(
        "sources.NAME.type",
        Choice(&[
            ("socket", SourceType::Socket),
            ("text-files", SourceType::TextFiles),
            ("queue", SourceType::Queue),
            ("custom", SourceType::Custom),
        ]),
        Fallback::Required("socket"),
        "Where the records come from.",
    )
    .when_changed(Change::Fresh);

    SOCKET_ADDRESS: Address = Key::new(
        "sources.NAME.address",
        Address,
        Fallback::Required("127.0.0.1:9999"),
        "The server to read lines from. An IPv6 address stands in brackets.",
    )
    .source_type("socket");

    SOCKET_RECONNECT_DELAY: Span = Key::new(
        "sources.NAME.reconnect_delay",
        Span { min_ms: 1, max_ms: HOUR_MS },
        Fallback::Text("2s"),
        "How long to wait before connecting again after a connection failed or ended.",
    )
    .spark("spark.streaming.receiverRestartDelay")
    .source_type("socket")
    .when_changed(Change::Harmless);

    SOCKET_IDLE_TIMEOUT: Span = Key::new(
        "sources.NAME.idle_timeout",
        Span { min_ms: 1, max_ms: 24 * HOUR_MS },
        Fallback::Derived { doc: "none", example: "5m" },
        "After how long without a byte a connection counts as lost, and is made anew. For servers that always have \
         something to say. Without it, a server that vanished without a word is noticed by TCP keepalive after two \
         minutes.",
    )
    .source_type("socket")
    .when_changed(Change::Harmless);

    SOCKET_MAX_LINE: Size = Key::new(
        "sources.NAME.max_line",
        Size { min: 1, max: 256 * MIB },
        Fallback::Text("1MiB"),
        "The longest line that is accepted, in bytes of UTF-8. Longer ones are dropped, and told.",
    )
    .source_type("socket");

    SOCKET_ENCODING: TextEncoding = Key::new(
        "sources.NAME.encoding",
        TextEncoding,
        Fallback::Text("utf-8"),
        "The [encoding](text.md#encodings) of the text. A byte order mark at the beginning is taken off, and says more \
         than this key.",
    )
    .source_type("socket");

    TEXT_FILES_PATH: FilePath = Key::new(
        "sources.NAME.path",
        FilePath,
        Fallback::Required("logs/*"),
        "The directory whose files are read as they appear, or a pattern of directories with `*`, `?` and `[a-z]`, and \
         with `**` for a directory and all below it. See [sources](sources.md#files).",
    )
    .source_type("text-files");

    TEXT_FILES_EXISTING: Choice<bool> = Key::new(
        "sources.NAME.existing_files",
        Choice(&[("ignore", false), ("read", true)]),
        Fallback::Text("ignore"),
        "Whether files are read that were modified before the job started for the first time, whatever their age. In \
         Spark: `newFilesOnly = false`.",
    )
    .source_type("text-files");

    TEXT_FILES_MIN_REMEMBER: Span = Key::new(
        "sources.NAME.min_remember",
        Span { min_ms: 1, max_ms: 24 * HOUR_MS },
        Fallback::Text("60s"),
        "How long before a batch a file may have been modified, at least, to be read in it: files that show up late are \
         still read. For as long after a batch has read a file, changes of the file are not read.",
    )
    .spark("spark.streaming.fileStream.minRememberDuration")
    .source_type("text-files");

    TEXT_FILES_INCLUDE: NamePatterns = Key::new(
        "sources.NAME.include",
        NamePatterns,
        Fallback::Text(""),
        "Which files are read, by their names; all if it is empty. Names that begin with `.` or `_` or end with \
         `._COPYING_` are left out in any case.",
    )
    .source_type("text-files");

    TEXT_FILES_IGNORE: NamePatterns = Key::new(
        "sources.NAME.ignore",
        NamePatterns,
        Fallback::Text(""),
        "Which files are not read, by their names.",
    )
    .source_type("text-files");

    TEXT_FILES_WHEN_DONE: AfterUse = Key::new(
        "sources.NAME.when_done",
        AfterUse,
        Fallback::Text("keep"),
        "What becomes of a file that no batch, window or restart needs any more: it stays, is removed, or is moved into a \
         directory. A file that changed meanwhile, or whose batch failed, stays.",
    )
    .source_type("text-files")
    .when_changed(Change::Harmless);

    TEXT_FILES_ON_MISSING: Choice<OnMissingFile> = Key::new(
        "sources.NAME.on_missing_file",
        Choice(&[("fail", OnMissingFile::Fail), ("skip", OnMissingFile::Skip)]),
        Fallback::Text("fail"),
        "What happens when a file is gone that a batch has to read: the batch fails, or goes on without the file, which \
         is told and counted.",
    )
    .source_type("text-files");

    TEXT_FILES_MAX_LINE: Size = Key::new(
        "sources.NAME.max_line",
        Size { min: 1, max: 256 * MIB },
        Fallback::Text("1MiB"),
        "The longest line that is accepted, in bytes of UTF-8. Longer ones are dropped, and told.",
    )
    .source_type("text-files");

    TEXT_FILES_ENCODING: TextEncoding = Key::new(
        "sources.NAME.encoding",
        TextEncoding,
        Fallback::Text("utf-8"),
        "The [encoding](text.md#encodings) of the text. A byte order mark at the beginning is taken off, and says more \
         than this key.",
    )
    .source_type("text-files");

    QUEUE_PATH: FilePath = Key::new(
        "sources.NAME.path",
        FilePath,
        Fallback::Required("batches.jsonl"),
        "A file with one data set a line, each a JSON array of records; every batch takes the next line.",
    )
    .source_type("queue")
    .when_changed(Change::Fresh);

    QUEUE_ENCODING: TextEncoding = Key::new(
        "sources.NAME.encoding",
        TextEncoding,
        Fallback::Text("utf-8"),
        "The [encoding](text.md#encodings) of the text. A byte order mark at the beginning is taken off, and says more \
         than this key.",
    )
    .source_type("queue");

    CUSTOM_RECEIVER: Name = Key::new(
        "sources.NAME.receiver",
        Name,
        Fallback::Required("acknowledged-lines"),
        "The receiver, by the name under which the program that embeds the host knows it. The program `host` has none: \
         see [receivers](receivers.md).",
    )
    .source_type("custom");

    CUSTOM_OPTIONS: Strings = Key::new(
        "sources.NAME.options",
        Strings,
        Fallback::Empty,
        "What the receiver is told, by name. All values are strings; which names there are is the receiver's affair.",
    )
    .source_type("custom");

    CUSTOM_RESTART_DELAY: Span = Key::new(
        "sources.NAME.restart_delay",
        Span { min_ms: 1, max_ms: HOUR_MS },
        Fallback::Text("2s"),
        "How long to wait before starting a receiver again that has failed, unless its error says otherwise.",
    )
    .spark("spark.streaming.receiverRestartDelay")
    .source_type("custom")
    .when_changed(Change::Harmless);

    CUSTOM_MAX_LINE: Size = Key::new(
        "sources.NAME.max_line",
        Size { min: 1, max: 256 * MIB },
        Fallback::Text("1MiB"),
        "The longest line that is accepted, in bytes of UTF-8, if the receiver gives lines.",
    )
    .source_type("custom");

    CUSTOM_ENCODING: TextEncoding = Key::new(
        "sources.NAME.encoding",
        TextEncoding,
        Fallback::Text("utf-8"),
        "The [encoding](text.md#encodings) of lines that the receiver gives as bytes. A byte order mark at the beginning is taken off, and says more \
         than this key.",
    )
    .source_type("custom");

    RECEIVER_BLOCK_INTERVAL: Span = Key::new(
        "receiver.block_interval",
        Span { min_ms: 1, max_ms: HOUR_MS },
        Fallback::Derived { doc: "the smaller of 200ms and `job.batch_interval`", example: "200ms" },
        "How much time one block of received data covers: a block becomes a partition, and so a task. At most \
         `job.batch_interval`; below 50ms it is warned about.",
    )
    .spark("spark.streaming.blockInterval")
    .when_changed(Change::Harmless);

    RECEIVER_STORE_LIMIT: Size = Key::new(
        "receiver.store_limit",
        Size { min: MIB, max: 16_384 * GIB },
        Fallback::Derived { doc: "half of what `engine.memory` leaves beside plugin instances", example: "512MiB" },
        "How much received data may wait to be processed: in memory, spilled, and in blocks that are still open, which take \
         at most a quarter of it. A block is cut before `block_interval` is over when it has 16MiB, or its receiver's part \
         of that quarter, but not below 64KiB. When the limit is reached, receivers wait, and so does whoever sends to \
         them, unless `when_full` says otherwise.",
    )
    .when_changed(Change::Harmless);

    RECEIVER_WHEN_FULL: Choice<WhenFull> = Key::new(
        "receiver.when_full",
        Choice(&[("wait", WhenFull::Wait), ("drop-newest", WhenFull::DropNewest)]),
        Fallback::Text("wait"),
        "What happens to received data when `store_limit` is reached: its receiver waits, or the new block is dropped, \
         and told. What a reliable receiver stores waits in any case.",
    )
    .when_changed(Change::Harmless);

    ENGINE_THREADS: Count = Key::new(
        "engine.threads",
        Count { min: 1, max: 256 },
        Fallback::Derived { doc: "the number of CPUs, at most 256", example: "4" },
        "Tasks that run at the same time.",
    )
    .when_changed(Change::Harmless);

    ENGINE_TASK_RETRIES: Count = Key::new(
        "engine.task_retries",
        Count { min: 0, max: 100 },
        Fallback::Number(4),
        "How many times in all a task is tried when the cause of its failure lies outside the plugin and may pass, as \
         a server that does not answer. 0 and 1 both mean once.",
    )
    .spark("spark.task.maxFailures")
    .when_changed(Change::Harmless);

    ENGINE_MEMORY: Size = Key::new(
        "engine.memory",
        Size { min: MIB, max: 16_384 * GIB },
        Fallback::Derived { doc: "`limits.memory` x (`engine.threads` + 1) + 1GiB", example: "4GiB" },
        "The memory of the whole job: plugin instances, blocks, shuffles, data sets, and what it takes to sort, join, print \
         and save them. The process takes at most about 64MiB more, for the program itself. It must hold one plugin \
         instance for each thread and one for the driver: at least `limits.memory` x (`engine.threads` + 1).",
    )
    .when_changed(Change::Harmless);

    ENGINE_SPILL_DIRECTORY: FilePath = Key::new(
        "engine.spill_directory",
        FilePath,
        Fallback::Derived { doc: "the system's directory for temporary files", example: "/var/tmp" },
        "Where blocks, shuffles and data sets go that do not fit into `engine.memory`. Nothing in it outlives the job.",
    )
    .spark("spark.local.dir")
    .when_changed(Change::Harmless);

    ENGINE_SPILL_LIMIT: Size = Key::new(
        "engine.spill_limit",
        Size { min: 0, max: 16_384 * GIB },
        Fallback::Text("64GiB"),
        "How much may be spilled at a time. A task that needs more fails.",
    )
    .when_changed(Change::Harmless);

    ENGINE_COMPRESS: Choice<bool> = Key::new(
        "engine.compress",
        Choice(&[("no", false), ("lz4", true)]),
        Fallback::Text("no"),
        "Whether spilled data is compressed: less disk for more CPU time.",
    )
    .spark("spark.rdd.compress")
    .when_changed(Change::Harmless);

    LIMITS_MEMORY: Size = Key::new(
        "limits.memory",
        Size { min: MIB, max: 4 * GIB },
        Fallback::Text("256MiB"),
        "The linear memory of one plugin instance.",
    )
    .when_changed(Change::Harmless);

    LIMITS_TASK_TIME: Span = Key::new(
        "limits.task_time",
        Span { min_ms: 1, max_ms: HOUR_MS },
        Fallback::Text("10s"),
        "How long plugin code may run in one task, or in one call of a driver function.",
    )
    .when_changed(Change::Harmless);

    LIMITS_DRIVER_TIME: Span = Key::new(
        "limits.driver_time",
        Span { min_ms: 1, max_ms: 24 * HOUR_MS },
        Fallback::Text("10m"),
        "How long a driver function may take in all for a batch, with the actions that it runs and the files that it \
         reads and writes.",
    )
    .when_changed(Change::Harmless);

    LIMITS_RESULT_SIZE: Size = Key::new(
        "limits.result_size",
        Size { min: KIB, max: 4 * GIB },
        Fallback::Text("128MiB"),
        "How much one task may return in all; also an action, and a small file of a driver function.",
    )
    .when_changed(Change::Harmless);

    LIMITS_PLUGIN_SIZE: Size = Key::new(
        "limits.plugin_size",
        Size { min: KIB, max: 4 * GIB },
        Fallback::Text("64MiB"),
        "The largest plugin file that is compiled.",
    )
    .when_changed(Change::Harmless);
}

/// The tables of keys, in the order of the documentation: `job`, `sources.NAME` and so on.
pub(super) fn sections() -> Vec<&'static str> {
    let mut sections: Vec<_> = KEYS.iter().map(|key| key.section()).collect();
    sections.dedup();
    sections
}

/// The section of all sources.
pub(super) const SOURCE_SECTION: &str = "sources.NAME";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::report::Report;

    #[test]
    fn every_key_is_documented_and_its_default_is_valid() {
        let mut names = std::collections::BTreeSet::new();
        for key in KEYS {
            assert!(key.doc().ends_with('.') && !key.doc().contains("  "), "{}", key.name());
            assert!(key.has_valid_default(&mut Report::new(Path::new("job.toml"))), "{}", key.name());
            assert!(names.insert((key.name(), key.source_type())), "{} is declared twice", key.name());
            assert!(!key.section().is_empty(), "{} stands in no table", key.name());
            let is_type = |of| SOURCE_TYPE.shape().words().any(|word| word == of);
            assert!(key.source_type().is_none_or(is_type), "{}", key.name());
        }
        assert_eq!(sections(), ["job", SOURCE_SECTION, "receiver", "engine", "limits"]);
    }
}
