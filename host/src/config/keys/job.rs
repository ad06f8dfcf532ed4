//! The keys of the section `job`.

use super::super::directories::Directories;
use super::super::key::{Change, Declared, Key};
use super::super::range::{Count, Span};
use super::super::settings::{OnCheckpointError, OnError};
use super::super::shape::{Choice, FilePath, Name, Place, Strings};
use super::super::subject::Fallback;
use super::HOUR_MS;

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
        "Arguments to the plugin, by name. All values are strings. `host check` warns of an argument that the plugin does not read.",
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
}
