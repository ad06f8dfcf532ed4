//! The settings of valid job files, and the form in which errors reach the caller.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{JOB, loaded};
use crate::config::{
    Access, BackpressureSettings, EngineSettings, Facts, Gain, Grant, JobSettings, LimitSettings, Location,
    OnCheckpointError, OnError, OtlpSettings, ReceiverSettings, Settings, SourceSettings, UiSettings, WhenFull, load,
};
use crate::encoding::Encoding;
use crate::error::{Error, ErrorKind};
use crate::time::Duration;

const MIB: u64 = 1 << 20;

#[test]
fn defaults_are_as_documented() {
    let settings = loaded(JOB, &[]).unwrap();
    let expected = Settings {
        job: JobSettings {
            name: "wc".to_owned(),
            plugin: PathBuf::from("wc.wasm"),
            batch_interval: Duration::from_secs(1),
            parallelism: 2,
            args: BTreeMap::new(),
            directory: PathBuf::new(),
            file: PathBuf::from("job.toml"),
            directories: BTreeMap::new(),
            on_error: OnError::Stop,
            stop_timeout: Duration::from_secs(60),
            checkpoint: None,
            max_catch_up: 10_000,
            on_checkpoint_error: OnCheckpointError::Wait,
        },
        sources: BTreeMap::new(),
        connections: BTreeMap::new(),
        receiver: ReceiverSettings {
            block_interval: Duration::from_millis(200),
            store_limit_bytes: 512 * MIB,
            when_full: WhenFull::Wait,
            write_ahead_log: false,
            write_ahead_log_copy: None,
            closes_files_after_write: false,
            max_rate: None,
        },
        backpressure: BackpressureSettings {
            enabled: false,
            initial_rate: None,
            min_rate: 100,
            proportional: Gain::of_millionths(1_000_000),
            integral: Gain::of_millionths(200_000),
            derivative: Gain::of_millionths(0),
        },
        engine: EngineSettings {
            threads: 4,
            task_attempts: 4,
            memory_bytes: 256 * MIB * 5 + 1024 * MIB,
            spill_directory: None,
            spill_limit_bytes: 64 * 1024 * MIB,
            compress: false,
        },
        limits: LimitSettings {
            memory_bytes: 256 * MIB,
            task_time: Duration::from_secs(10),
            driver_time: Duration::from_secs(600),
            result_size_bytes: 128 * MIB,
            plugin_size_bytes: 64 * MIB,
        },
        ui: UiSettings { sample_interval: Duration::from_secs(10), ..UiSettings::default() },
        otlp: OtlpSettings { server: None, token: None, interval: Duration::from_secs(10), traces: true },
        given: settings.given.clone(),
        overrides: settings.overrides.clone(),
        facts: settings.facts,
        warnings: Vec::new(),
    };
    assert_eq!(settings, expected);
}

fn grant(location: Location) -> Grant {
    Grant { location, access: Access::Write }
}

/// A job file in which no key has its default value.
const EVERY_KEY: &str = r#"
    [job]
    name = "word-count_2.0"
    checkpoint = "checkpoints/wc"
    max_catch_up = 7
    on_checkpoint_error = "stop"
    plugin = "/opt/wc.wasm"
    batch_interval = "5m"
    parallelism = 0x10
    args = { min_length = "3", "any key" = "" }
    directories = { out = "/var/out", near = "a/b", objects = "s3://bucket/a/", lists = { path = "lists", access = "read" } }
    on_error = "continue"
    stop_timeout = "5m"
    [sources.lines]
    type = "socket"
    address = "[::1]:9999"
    reconnect_delay = "250ms"
    idle_timeout = "5m"
    max_line = "64kB"
    encoding = "Latin-1"
    [sources."test.1"]
    type = "queue"
    path = "in/batches.jsonl"
    encoding = "shift_jis"
    [sources.tickets]
    type = "custom"
    receiver = "acked-lines"
    options = { address = "server:1" }
    restart_delay = "3s"
    max_line = "1KiB"
    encoding = "utf-16be"
    [receiver]
    block_interval = "50ms"
    store_limit = "3MiB"
    when_full = "drop-newest"
    write_ahead_log = true
    write_ahead_log_copy = "/mnt/log"
    close_file_after_write = true
    max_rate = 1_000_000_000
    [backpressure]
    enabled = true
    initial_rate = 500
    min_rate = 1
    proportional = 2
    integral = 0.0
    derivative = 0.0125
    [engine]
    threads = 1
    task_attempts = 1
    memory = "4MiB"
    spill_directory = "spill"
    spill_limit = "0B"
    compress = "lz4"
    [limits]
    memory = "2MiB"
    task_time = "1h"
    result_size = "1KiB"
    plugin_size = "4GiB"
"#;

#[test]
fn every_key_can_be_set() {
    let settings = load(EVERY_KEY, Path::new("/etc/jobs/job.toml"), &[], &Facts { cpus: 64 }).unwrap();
    let args = [("any key", ""), ("min_length", "3")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let socket = SourceSettings::Socket {
        address: "[::1]:9999".to_owned(),
        reconnect_delay: Duration::from_millis(250),
        idle_timeout: Some(Duration::from_secs(300)),
        max_line_bytes: 64_000,
        encoding: Encoding::named("windows-1252").unwrap(),
    };
    let queue = SourceSettings::Queue {
        path: PathBuf::from("/etc/jobs/in/batches.jsonl"),
        encoding: Encoding::named("shift_jis").unwrap(),
    };
    let custom = SourceSettings::Custom {
        receiver: "acked-lines".to_owned(),
        options: [("address".to_owned(), "server:1".to_owned())].into(),
        restart_delay: Duration::from_secs(3),
        max_line_bytes: 1024,
        encoding: Encoding::named("utf-16be").unwrap(),
    };
    let expected = Settings {
        job: JobSettings {
            name: "word-count_2.0".to_owned(),
            plugin: PathBuf::from("/opt/wc.wasm"),
            batch_interval: Duration::from_secs(300),
            parallelism: 16,
            args: args.into(),
            directory: PathBuf::from("/etc/jobs"),
            file: PathBuf::from("/etc/jobs/job.toml"),
            directories: BTreeMap::from([
                (
                    "lists".to_owned(),
                    Grant { location: Location::Directory(PathBuf::from("/etc/jobs/lists")), access: Access::Read },
                ),
                ("near".to_owned(), grant(Location::Directory(PathBuf::from("/etc/jobs/a/b")))),
                ("objects".to_owned(), grant(Location::Objects("s3://bucket/a".to_owned()))),
                ("out".to_owned(), grant(Location::Directory(PathBuf::from("/var/out")))),
            ]),
            on_error: OnError::Continue,
            stop_timeout: Duration::from_secs(300),
            checkpoint: Some(Location::Directory(PathBuf::from("/etc/jobs/checkpoints/wc"))),
            max_catch_up: 7,
            on_checkpoint_error: OnCheckpointError::Stop,
        },
        sources: BTreeMap::from([
            ("lines".to_owned(), socket),
            ("test.1".to_owned(), queue),
            ("tickets".to_owned(), custom),
        ]),
        connections: BTreeMap::new(),
        receiver: ReceiverSettings {
            block_interval: Duration::from_millis(50),
            store_limit_bytes: 3 * MIB,
            when_full: WhenFull::DropNewest,
            write_ahead_log: true,
            write_ahead_log_copy: Some(Location::Directory(PathBuf::from("/mnt/log"))),
            closes_files_after_write: true,
            max_rate: Some(1_000_000_000),
        },
        backpressure: BackpressureSettings {
            enabled: true,
            initial_rate: Some(500),
            min_rate: 1,
            proportional: Gain::of_millionths(2_000_000),
            integral: Gain::of_millionths(0),
            derivative: Gain::of_millionths(12_500),
        },
        engine: EngineSettings {
            threads: 1,
            task_attempts: 1,
            memory_bytes: 4 * MIB,
            spill_directory: Some(PathBuf::from("/etc/jobs/spill")),
            spill_limit_bytes: 0,
            compress: true,
        },
        limits: LimitSettings {
            memory_bytes: 2 * MIB,
            task_time: Duration::from_secs(3600),
            driver_time: Duration::from_secs(600),
            result_size_bytes: 1024,
            plugin_size_bytes: 4096 * MIB,
        },
        ui: UiSettings { sample_interval: Duration::from_secs(10), ..UiSettings::default() },
        otlp: OtlpSettings { server: None, token: None, interval: Duration::from_secs(10), traces: true },
        given: settings.given.clone(),
        overrides: settings.overrides.clone(),
        facts: settings.facts,
        warnings: Vec::new(),
    };
    assert_eq!(settings, expected);
}

#[test]
fn relative_paths_start_at_the_job_file() {
    let at = |origin: &str| load(JOB, Path::new(origin), &[], &Facts { cpus: 1 }).unwrap().job.plugin;
    assert_eq!(at("/etc/jobs/job.toml"), PathBuf::from("/etc/jobs/wc.wasm"));
    assert_eq!(at("../job.toml"), PathBuf::from("../wc.wasm"));
    assert_eq!(at("job.toml"), PathBuf::from("wc.wasm"));
    assert_eq!(at(""), PathBuf::from("wc.wasm"));
}

#[test]
fn blocks_may_be_as_long_as_batches() {
    let settings = loaded(JOB, &[("receiver.block_interval", "1s")]).unwrap();
    assert_eq!(settings.receiver.block_interval, Duration::from_secs(1));
}

#[test]
fn blocks_are_never_longer_than_batches_by_default() {
    let settings = loaded(&format!("{JOB}batch_interval = \"20ms\"\n"), &[]).unwrap();
    assert_eq!(settings.receiver.block_interval, Duration::from_millis(20));
    assert!(settings.warnings.is_empty());
}

#[test]
fn an_explicitly_small_block_interval_is_warned_about() {
    let warning = "receiver.block_interval = \"20ms\" is below 50ms, and every block costs a task; leave it out for \
                   the default of 200ms";
    let settings = loaded(&format!("{JOB}[receiver]\nblock_interval = \"20ms\"\n"), &[]).unwrap();
    assert_eq!(settings.warnings, [format!("job.toml line 5: {warning}")]);
    let settings = loaded(JOB, &[("receiver.block_interval", "20ms")]).unwrap();
    assert_eq!(settings.warnings, [format!("--set receiver.block_interval: {warning}")]);
}

#[test]
fn threads_follow_the_cpus_within_their_range() {
    for (cpus, threads) in [(0, 1), (1, 1), (8, 8), (1000, 256), (usize::MAX, 256)] {
        let settings = load(JOB, Path::new("job.toml"), &[], &Facts { cpus }).unwrap();
        assert_eq!(settings.engine.threads, threads);
    }
}

#[test]
fn the_memory_that_an_error_proposes_is_enough() {
    let text = format!("{JOB}[limits]\nmemory = \"3MB\"\n[engine]\nthreads = 7\n");
    let errors = loaded(&text, &[("engine.memory", "1MiB")]).unwrap_err();
    assert_eq!(errors.errors[0].help, "use \"24MB\" or more, or lower limits.memory or engine.threads");
    assert_eq!(loaded(&text, &[("engine.memory", "24MB")]).unwrap().engine.memory_bytes, 24_000_000);
    assert!(loaded(&text, &[("engine.memory", "23999999B")]).is_err());
}

#[test]
fn overrides_replace_and_add() {
    let text = format!("{JOB}args = {{ a = \"1\", b = \"2\" }}\n[sources.s]\ntype = \"queue\"\npath = \"x\"\n");
    let set = [
        ("job.name", "first"),
        ("job.name", "second"),
        ("job.batch_interval", "5s"),
        ("job.parallelism", " 7 "),
        ("job.args.b", "two"),
        ("job.args.\"c d\"", "\"3\""),
        // A string needs no quotes, whatever else its text could mean in TOML.
        ("job.args.number", "0x1F"),
        ("job.args.fraction", "1_0.50"),
        ("job.args.day", "2026-11-01"),
        ("sources.s.path", "/abs/y"),
        ("sources.t", "{ type = \"queue\", path = \"z\" }"),
    ];
    let settings = loaded(&text, &set).unwrap();
    assert_eq!((settings.job.name.as_str(), settings.job.parallelism), ("second", 7));
    assert_eq!(settings.job.batch_interval, Duration::from_secs(5));
    let args =
        [("a", "1"), ("b", "two"), ("c d", "3"), ("number", "0x1F"), ("fraction", "1_0.50"), ("day", "2026-11-01")];
    let args = args.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(settings.job.args, args.into());
    let path = |name: &str| match &settings.sources[name] {
        SourceSettings::Queue { path, .. } => path.clone(),
        _ => unreachable!("{name} is a queue"),
    };
    assert_eq!((path("s"), path("t")), (PathBuf::from("/abs/y"), PathBuf::from("z")));

    assert_eq!(loaded(&text, &[("job.args", "{}")]).unwrap().job.args, BTreeMap::new());
    // Options can correct mistakes of the file, even if a value stands in place of a table.
    assert!(loaded("job = 5", &[("job.name", "wc"), ("job.plugin", "wc.wasm")]).is_ok());
}

#[test]
fn errors_become_one_error_of_the_user() {
    let one = loaded("[job]\nname = \"wc\"\n", &[]).unwrap_err();
    assert_eq!(one.errors[0].line, Some(1));
    let error = Error::from(one);
    assert_eq!(error.kind, ErrorKind::User);
    assert_eq!(error.message, "job.toml line 1: `job.plugin` is missing");
    assert_eq!(error.help.as_deref(), Some("add `plugin = \"word_count.wasm\"` under [job]"));

    let two = loaded("[job]\nname = 5\nplugin = \"x\"\nparallelism = 0\n", &[]).unwrap_err();
    let text = two.to_string();
    let error = Error::from(two);
    assert_eq!(
        error.message,
        "job.toml line 2: `job.name` must be a string, not a whole number\n\
         help: put it in quotes: `name = \"5\"`\n\
         error: job.toml line 4: job.parallelism = 0 is below the minimum of 1"
    );
    assert_eq!(error.help.as_deref(), Some("use a whole number from 1 to 256; the default is 2"));
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_long_value_is_cut_in_messages() {
    let errors = loaded(&format!("[job]\nname = \"{}\"\nplugin = \"x\"\n", "x".repeat(500)), &[]).unwrap_err();
    let shown = format!("job.name = \"{}...\" is longer than 100 characters", "x".repeat(120));
    assert_eq!(errors.errors[0].message, shown);
    assert!(errors.errors[0].help.ends_with(&format!("such as \"{}\"", "x".repeat(100))));
}

#[test]
fn the_job_file_is_named_as_it_was_given() {
    let errors = load("x", Path::new("jobs/a\u{1b}b.toml"), &[], &Facts { cpus: 1 }).unwrap_err();
    assert_eq!(errors.errors[0].place, "jobs/a\\u{1b}b.toml line 1, column 2");
}
