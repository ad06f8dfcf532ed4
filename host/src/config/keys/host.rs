//! The keys of the sections `receiver`, `backpressure`, `engine` and `limits`.

use super::super::key::{Change, Declared, Key};
use super::super::range::{Count, Decimal, Size, Span};
use super::super::settings::WhenFull;
use super::super::shape::{Choice, FilePath, Flag, Place};
use super::super::subject::Fallback;
use super::{GIB, HOUR_MS, KIB, MIB, RATE_MAX};

keys! {
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
         at most a quarter of it. A block is cut before `block_interval` is over when it reaches 16MiB or its \
         receiver's share of that quarter, whichever is less, but never below 64KiB. When the limit is reached, \
         receivers wait, and so does whoever sends to them, unless `when_full` says otherwise.",
    )
    .when_changed(Change::Harmless);

    RECEIVER_WHEN_FULL: Choice<WhenFull> = Key::new(
        "receiver.when_full",
        Choice(&[("wait", WhenFull::Wait), ("drop-newest", WhenFull::DropNewest)]),
        Fallback::Text("wait"),
        "What happens to received data when `store_limit` is reached: its receiver waits, or the new block is \
         dropped, which is reported. Reliable receivers always wait.",
    )
    .when_changed(Change::Harmless);

    RECEIVER_WRITE_AHEAD_LOG: Flag = Key::new(
        "receiver.write_ahead_log",
        Flag,
        Fallback::Flag(false),
        "Whether received data is written to the [write-ahead log](receivers.md#the-write-ahead-log) in the checkpoint \
         directory before a batch reads the data, so that a restart reads the data again. Needs `job.checkpoint`.",
    )
    .spark("spark.streaming.receiver.writeAheadLog.enable")
    .when_changed(Change::Harmless);

    RECEIVER_WRITE_AHEAD_LOG_COPY: Place = Key::new(
        "receiver.write_ahead_log_copy",
        Place,
        Fallback::Derived { doc: "none: the log is stored once", example: "/mnt/other/word-count" },
        "A second place for the write-ahead log, such as a directory on another volume or in an \
         [object store](object_stores.md). Data is acknowledged when it is in both places, and a restart reads either of \
         them. In Spark, storage levels that end with `_2` store received data twice.",
    )
    .when_changed(Change::Harmless);

    RECEIVER_CLOSE_FILE_AFTER_WRITE: Flag = Key::new(
        "receiver.close_file_after_write",
        Flag,
        Fallback::Flag(false),
        "Whether a file of the write-ahead log is closed after each write, for file systems that store a file only when \
         the file is closed. Object stores need no setting.",
    )
    .spark("spark.streaming.receiver.writeAheadLog.closeFileAfterWrite")
    .when_changed(Change::Harmless);

    RECEIVER_MAX_RATE: Count = Key::new(
        "receiver.max_rate",
        Count { min: 1, max: RATE_MAX },
        Fallback::Derived { doc: "none", example: "10000" },
        "The most records a second that one receiver takes. Its sender has to wait for the rest. `host set` changes it \
         while the job runs.",
    )
    .spark("spark.streaming.receiver.maxRate")
    .when_changed(Change::Harmless);

    BACKPRESSURE_ENABLED: Flag = Key::new(
        "backpressure.enabled",
        Flag,
        Fallback::Flag(false),
        "Whether the rate of each receiver follows the speed at which batches are processed: see \
         [rates](receivers.md#rates). `host set` changes it while the job runs.",
    )
    .spark("spark.streaming.backpressure.enabled")
    .when_changed(Change::Harmless);

    BACKPRESSURE_INITIAL_RATE: Count = Key::new(
        "backpressure.initial_rate",
        Count { min: 1, max: RATE_MAX },
        Fallback::Derived { doc: "`receiver.max_rate`", example: "1000" },
        "The most records a second that one receiver takes until the first rate is computed, after each start of the \
         job.",
    )
    .spark("spark.streaming.backpressure.initialRate")
    .when_changed(Change::Harmless);

    BACKPRESSURE_MIN_RATE: Count = Key::new(
        "backpressure.min_rate",
        Count { min: 1, max: RATE_MAX },
        Fallback::Number(100),
        "The smallest rate that is computed, in records a second. `receiver.max_rate` holds in any case. `host set` \
         changes it while the job runs.",
    )
    .spark("spark.streaming.backpressure.pid.minRate")
    .when_changed(Change::Harmless);

    BACKPRESSURE_PROPORTIONAL: Decimal = Key::new(
        "backpressure.proportional",
        Decimal,
        Fallback::Decimal("1.0"),
        "How much of the difference between the last rate and the processing rate is corrected by each batch.",
    )
    .spark("spark.streaming.backpressure.pid.proportional")
    .when_changed(Change::Harmless);

    BACKPRESSURE_INTEGRAL: Decimal = Key::new(
        "backpressure.integral",
        Decimal,
        Fallback::Decimal("0.2"),
        "How much the rate is lowered for the records that wait for their batch.",
    )
    .spark("spark.streaming.backpressure.pid.integral")
    .when_changed(Change::Harmless);

    BACKPRESSURE_DERIVATIVE: Decimal = Key::new(
        "backpressure.derivative",
        Decimal,
        Fallback::Decimal("0.0"),
        "How much the rate follows the speed at which that difference changes, which makes it react sooner and to \
         chance as well.",
    )
    .spark("spark.streaming.backpressure.pid.derived")
    .when_changed(Change::Harmless);

    ENGINE_THREADS: Count = Key::new(
        "engine.threads",
        Count { min: 1, max: 256 },
        Fallback::Derived { doc: "the number of CPUs, at most 256", example: "4" },
        "Tasks that run at the same time.",
    )
    .when_changed(Change::Harmless);

    ENGINE_TASK_ATTEMPTS: Count = Key::new(
        "engine.task_attempts",
        Count { min: 1, max: 100 },
        Fallback::Number(4),
        "How many times in all a task is tried when the cause of its failure lies outside the plugin and may pass, as \
         a server that does not answer.",
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
        "How many bytes one task may return in all. The same limit holds for an action and for a small file of a \
         driver function.",
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
