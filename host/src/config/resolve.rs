//! Converts the tree of the job file to [`Settings`].
//!
//! Owns derived defaults, the rules between keys, and the directory to which relative paths refer. Never reads anything
//! from the machine: the number of CPUs is passed in, and the named files are not opened.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;
use std::path::Path;

use super::connections;
use super::http_source;
use super::kafka_source;
use super::keys::{self, SourceType};
use super::names::Misspelt;
use super::nats_source;
use super::otlp;
use super::report::{Report, Reported};
use super::sections::{Reader, Section};
use super::settings::{
    BackpressureSettings, EngineSettings, Facts, Grant, JobSettings, LimitSettings, ReceiverSettings, Settings,
    SourceSettings, WhenDone,
};
use super::tree::Table;
use super::ui;
use super::units::{DURATIONS, SIZES};
use crate::encoding::Encoding;
use crate::time::{Duration, whole_ms};

/// Reads all settings, and reports every mistake. The result has no warnings yet.
///
/// If rules of other tables need a value, the value is read first and separately. A mistake elsewhere in its table must
/// not hide mistakes that these rules find.
pub(super) fn settings(
    root: &Table,
    origin: &Path,
    facts: &Facts,
    misspelt: &Misspelt,
    report: &mut Report<'_>,
) -> Result<Settings, Reported> {
    let directory = origin.parent().unwrap_or(Path::new(""));
    let reader = &mut Reader { report, misspelt };
    let job = reader.section(root, "job");
    let batch_interval = job.as_ref().map_err(|e| *e).and_then(|table| reader.read(table, &keys::JOB_BATCH_INTERVAL));
    let job = job.and_then(|table| read_job(&table, batch_interval, origin, reader));
    let sources = read_sources(root, directory, reader);
    let connections = connections::read(root, directory, reader);
    let receiver = reader.section(root, "receiver");
    let limits = reader.section(root, "limits");
    let instance_bytes = limits.as_ref().map_err(|e| *e).and_then(|table| reader.read(table, &keys::LIMITS_MEMORY));
    let limits = limits.and_then(|table| read_limits(&table, instance_bytes, reader));
    let engine =
        reader.section(root, "engine").and_then(|table| read_engine(&table, facts, instance_bytes, directory, reader));
    let data_bytes = engine.as_ref().map_err(|e| *e).map(EngineMemory::for_data);
    let receiver = receiver.and_then(|table| {
        let receiver = read_receiver(&table, batch_interval, data_bytes, directory, reader);
        // If the job has a mistake, it is not known whether the job has a checkpoint directory.
        let has_none = job.as_ref().is_ok_and(|job| job.checkpoint.is_none());
        if has_none { refuse_log(&table, reader).and(receiver) } else { receiver }
    });
    let max_rate = receiver.as_ref().map_err(|e| *e).map(|receiver| receiver.max_rate);
    let backpressure = reader.section(root, "backpressure");
    let backpressure = backpressure.and_then(|table| read_backpressure(&table, max_rate, reader));
    let engine = engine.map(|memory| memory.engine);
    let ui = reader.section(root, "ui").and_then(|table| ui::read(&table, directory, reader));
    let otlp = reader.section(root, "otlp").and_then(|table| otlp::read(&table, directory, reader));
    Ok(Settings {
        job: job?,
        sources: sources?,
        connections: connections?,
        receiver: receiver?,
        backpressure: backpressure?,
        engine: engine?,
        limits: limits?,
        ui: ui?,
        otlp: otlp?,
        given: BTreeMap::new(),
        overrides: Vec::new(),
        facts: *facts,
        warnings: Vec::new(),
    })
}

fn read_job(
    table: &Section<'_>,
    batch_interval: Result<Duration, Reported>,
    origin: &Path,
    reader: &mut Reader<'_, '_>,
) -> Result<JobSettings, Reported> {
    let directory = origin.parent().unwrap_or(Path::new(""));
    let name = reader.read(table, &keys::JOB_NAME);
    let plugin = reader.read(table, &keys::JOB_PLUGIN);
    let parallelism = reader.read(table, &keys::JOB_PARALLELISM);
    let args = reader.read(table, &keys::JOB_ARGS);
    let directories = reader.read(table, &keys::JOB_DIRECTORIES);
    let on_error = reader.read(table, &keys::JOB_ON_ERROR);
    let stop_timeout = reader.given(table, &keys::JOB_STOP_TIMEOUT);
    let checkpoint = reader.given(table, &keys::JOB_CHECKPOINT);
    let max_catch_up = reader.read(table, &keys::JOB_MAX_CATCH_UP);
    let on_checkpoint_error = reader.read(table, &keys::JOB_ON_CHECKPOINT_ERROR);
    let default_stop_timeout =
        batch_interval.map(|interval| interval.saturating_mul(keys::STOP_TIMEOUT_BATCHES).max(keys::STOP_TIMEOUT_MIN));
    Ok(JobSettings {
        name: name?,
        plugin: directory.join(plugin?),
        batch_interval: batch_interval?,
        parallelism: parallelism?,
        args: args?,
        directory: directory.to_path_buf(),
        file: origin.to_path_buf(),
        directories: directories?
            .into_iter()
            .map(|(name, grant)| (name, Grant { location: grant.location.below(directory), ..grant }))
            .collect(),
        on_error: on_error?,
        stop_timeout: stop_timeout?.map_or(default_stop_timeout, |given| Ok(given.value))?,
        checkpoint: checkpoint?.map(|given| given.value.below(directory)),
        max_catch_up: max_catch_up?,
        on_checkpoint_error: on_checkpoint_error?,
    })
}

fn read_sources(
    root: &Table,
    directory: &Path,
    reader: &mut Reader<'_, '_>,
) -> Result<BTreeMap<String, SourceSettings>, Reported> {
    let tables = reader.named(root, &keys::SOURCES)?;
    let mut sources = BTreeMap::new();
    let mut fault = None;
    for (name, table) in tables {
        match table.and_then(|table| read_source(name, &table, directory, reader)) {
            Ok(source) => drop(sources.insert(name.to_owned(), source)),
            Err(reported) => fault = Some(reported),
        }
    }
    fault.map_or(Ok(sources), Err)
}

fn read_source(
    name: &str,
    table: &Section<'_>,
    directory: &Path,
    reader: &mut Reader<'_, '_>,
) -> Result<SourceSettings, Reported> {
    let has_valid_name = reader.check_name(name, table, &keys::SOURCES);
    let source = match reader.table_type(table, &keys::SOURCES, &keys::SOURCE_TYPE)? {
        SourceType::Socket => {
            let address = reader.read(table, &keys::SOCKET_ADDRESS);
            let reconnect_delay = reader.read(table, &keys::SOCKET_RECONNECT_DELAY);
            let idle_timeout = reader.given(table, &keys::SOCKET_IDLE_TIMEOUT);
            let max_line_bytes = reader.read(table, &keys::SOCKET_MAX_LINE);
            let encoding = reader.read(table, &keys::SOCKET_ENCODING);
            SourceSettings::Socket {
                address: address?,
                reconnect_delay: reconnect_delay?,
                idle_timeout: idle_timeout?.map(|given| given.value),
                max_line_bytes: max_line_bytes?,
                encoding: encoding?,
            }
        }
        SourceType::TextFiles => {
            let path = reader.read(table, &keys::TEXT_FILES_PATH);
            let read_existing = reader.read(table, &keys::TEXT_FILES_EXISTING);
            let min_remember = reader.read(table, &keys::TEXT_FILES_MIN_REMEMBER);
            let include = reader.read(table, &keys::TEXT_FILES_INCLUDE);
            let ignore = reader.read(table, &keys::TEXT_FILES_IGNORE);
            let when_done = reader.read(table, &keys::TEXT_FILES_WHEN_DONE);
            let on_missing_file = reader.read(table, &keys::TEXT_FILES_ON_MISSING);
            let max_line_bytes = reader.read(table, &keys::TEXT_FILES_MAX_LINE);
            let encoding = reader.read(table, &keys::TEXT_FILES_ENCODING);
            SourceSettings::TextFiles {
                path: directory.join(path?),
                new_files_only: !read_existing?,
                min_remember: min_remember?,
                include: include?,
                ignore: ignore?,
                when_done: match when_done? {
                    WhenDone::Move(target) => WhenDone::Move(directory.join(target)),
                    stays => stays,
                },
                on_missing_file: on_missing_file?,
                max_line_bytes: max_line_bytes?,
                encoding: encoding?,
            }
        }
        SourceType::LogFile => {
            let path = reader.read(table, &keys::LOG_FILE_PATH);
            let reads_existing = reader.read(table, &keys::LOG_FILE_START);
            let max_line_bytes = reader.read(table, &keys::LOG_FILE_MAX_LINE);
            let encoding = read_log_encoding(table, reader);
            SourceSettings::LogFile {
                path: directory.join(path?),
                reads_existing: reads_existing?,
                max_line_bytes: max_line_bytes?,
                encoding: encoding?,
            }
        }
        SourceType::Queue => {
            let path = reader.read(table, &keys::QUEUE_PATH);
            let encoding = reader.read(table, &keys::QUEUE_ENCODING);
            SourceSettings::Queue { path: directory.join(path?), encoding: encoding? }
        }
        SourceType::Http => SourceSettings::Http(http_source::read(table, directory, reader)?),
        SourceType::Nats => SourceSettings::Nats(nats_source::read(table, directory, reader)?),
        SourceType::KafkaReceiver => {
            SourceSettings::KafkaReceiver(kafka_source::read_receiver(table, directory, reader)?)
        }
        SourceType::Kafka => SourceSettings::Kafka(kafka_source::read(table, directory, reader)?),
        SourceType::Custom => {
            let receiver = reader.read(table, &keys::CUSTOM_RECEIVER);
            let options = reader.read(table, &keys::CUSTOM_OPTIONS);
            let restart_delay = reader.read(table, &keys::CUSTOM_RESTART_DELAY);
            let max_line_bytes = reader.read(table, &keys::CUSTOM_MAX_LINE);
            let encoding = reader.read(table, &keys::CUSTOM_ENCODING);
            SourceSettings::Custom {
                receiver: receiver?,
                options: options?,
                restart_delay: restart_delay?,
                max_line_bytes: max_line_bytes?,
                encoding: encoding?,
            }
        }
    };
    has_valid_name.map(|()| source)
}

/// Reads the encoding of a log file. New lines are found by the byte that ends a line.
fn read_log_encoding(table: &Section<'_>, reader: &mut Reader<'_, '_>) -> Result<Encoding, Reported> {
    let encoding = reader.read(table, &keys::LOG_FILE_ENCODING)?;
    match reader.given(table, &keys::LOG_FILE_ENCODING)? {
        Some(given) if !encoding.has_line_bytes() => {
            let message = format!("{}: a log file cannot be read in this encoding", given.text);
            let help = "use an encoding in which each line ends with the byte 10, such as \"utf-8\" or \"latin-1\"";
            Err(reader.report.error(&given.place, message, help.to_owned()))
        }
        _ => Ok(encoding),
    }
}

fn read_receiver(
    table: &Section<'_>,
    batch_interval: Result<Duration, Reported>,
    data_bytes: Result<u64, Reported>,
    directory: &Path,
    reader: &mut Reader<'_, '_>,
) -> Result<ReceiverSettings, Reported> {
    let block_interval = read_block_interval(table, batch_interval, reader);
    let store_limit = reader.given(table, &keys::RECEIVER_STORE_LIMIT);
    let when_full = reader.read(table, &keys::RECEIVER_WHEN_FULL);
    let write_ahead_log = reader.read(table, &keys::RECEIVER_WRITE_AHEAD_LOG);
    let copy = reader.given(table, &keys::RECEIVER_WRITE_AHEAD_LOG_COPY);
    let closes_files_after_write = reader.read(table, &keys::RECEIVER_CLOSE_FILE_AFTER_WRITE);
    let max_rate = reader.given(table, &keys::RECEIVER_MAX_RATE);
    let store_limit_bytes = match store_limit? {
        Some(given) => given.value,
        None => data_bytes? / 2,
    };
    Ok(ReceiverSettings {
        block_interval: block_interval?,
        store_limit_bytes,
        when_full: when_full?,
        write_ahead_log: write_ahead_log?,
        write_ahead_log_copy: copy?.map(|given| given.value.below(directory)),
        closes_files_after_write: closes_files_after_write?,
        max_rate: max_rate?.map(|given| given.value),
    })
}

/// Refuses the write-ahead log of a job without a checkpoint directory.
fn refuse_log(table: &Section<'_>, reader: &mut Reader<'_, '_>) -> Result<(), Reported> {
    match reader.given(table, &keys::RECEIVER_WRITE_AHEAD_LOG)? {
        Some(given) if given.value => {
            let message = format!("{}: the log needs a checkpoint directory, and the job has none", given.text);
            let help = "add `checkpoint = \"checkpoints/NAME\"` to the table [job]".to_owned();
            Err(reader.report.error(&given.place, message, help))
        }
        _ => Ok(()),
    }
}

fn read_backpressure(
    table: &Section<'_>,
    max_rate: Result<Option<u32>, Reported>,
    reader: &mut Reader<'_, '_>,
) -> Result<BackpressureSettings, Reported> {
    let enabled = reader.read(table, &keys::BACKPRESSURE_ENABLED);
    let initial_rate = reader.given(table, &keys::BACKPRESSURE_INITIAL_RATE);
    let given_min_rate = reader.given(table, &keys::BACKPRESSURE_MIN_RATE);
    let proportional = reader.read(table, &keys::BACKPRESSURE_PROPORTIONAL);
    let integral = reader.read(table, &keys::BACKPRESSURE_INTEGRAL);
    let derivative = reader.read(table, &keys::BACKPRESSURE_DERIVATIVE);
    let (initial_rate, given_min_rate) = (initial_rate?, given_min_rate?);
    let min_rate = match &given_min_rate {
        Some(given) => Ok(given.value),
        None => reader.read(table, &keys::BACKPRESSURE_MIN_RATE),
    };
    for given in [&initial_rate, &given_min_rate].into_iter().flatten() {
        if let Some(max_rate) = max_rate?.filter(|max_rate| given.value > *max_rate) {
            let message = format!("{} is above receiver.max_rate = {max_rate}, which holds in any case", given.text);
            let help = format!("use {max_rate} or less, or raise receiver.max_rate");
            return Err(reader.report.error(&given.place, message, help));
        }
    }
    let enabled = enabled?;
    if let Some(given) = initial_rate.as_ref().filter(|_| !enabled) {
        let message = format!("{} has no effect while backpressure.enabled is false", given.text);
        reader.report.warn(&given.place, &message);
    }
    Ok(BackpressureSettings {
        enabled,
        initial_rate: initial_rate.map(|given| given.value),
        min_rate: min_rate?,
        proportional: proportional?,
        integral: integral?,
        derivative: derivative?,
    })
}

fn read_block_interval(
    table: &Section<'_>,
    batch_interval: Result<Duration, Reported>,
    reader: &mut Reader<'_, '_>,
) -> Result<Duration, Reported> {
    let given = reader.given(table, &keys::RECEIVER_BLOCK_INTERVAL)?;
    let batch_interval = batch_interval?;
    let default = batch_interval.min(keys::DEFAULT_BLOCK_INTERVAL);
    let show = |duration| DURATIONS.show(whole_ms(duration));
    let Some(given) = given else { return Ok(default) };
    if given.value > batch_interval {
        let batch = show(batch_interval);
        let message = format!("{} is longer than a batch: job.batch_interval is {batch}", given.text);
        let help = format!("use \"{batch}\" or less, or leave it out for the default of {}", show(default));
        return Err(reader.report.error(&given.place, message, help));
    }
    if given.value < keys::SMALL_BLOCK_INTERVAL {
        let small = show(keys::SMALL_BLOCK_INTERVAL);
        let message = format!(
            "{} is below {small}, and every block costs a task; leave it out for the default of {}",
            given.text,
            show(default),
        );
        reader.report.warn(&given.place, &message);
    }
    Ok(given.value)
}

fn read_limits(
    table: &Section<'_>,
    memory_bytes: Result<u64, Reported>,
    reader: &mut Reader<'_, '_>,
) -> Result<LimitSettings, Reported> {
    let task_time = reader.read(table, &keys::LIMITS_TASK_TIME);
    let driver_time = reader.read(table, &keys::LIMITS_DRIVER_TIME);
    let result_size_bytes = reader.read(table, &keys::LIMITS_RESULT_SIZE);
    let plugin_size_bytes = reader.read(table, &keys::LIMITS_PLUGIN_SIZE);
    Ok(LimitSettings {
        memory_bytes: memory_bytes?,
        task_time: task_time?,
        driver_time: driver_time?,
        result_size_bytes: result_size_bytes?,
        plugin_size_bytes: plugin_size_bytes?,
    })
}

/// The settings of the engine, and how much of its memory is reserved for plugin instances.
struct EngineMemory {
    engine: EngineSettings,
    instances_bytes: u64,
}

impl EngineMemory {
    /// The memory that is left for data, in bytes.
    const fn for_data(&self) -> u64 {
        self.engine.memory_bytes.saturating_sub(self.instances_bytes)
    }
}

fn read_engine(
    table: &Section<'_>,
    facts: &Facts,
    instance_bytes: Result<u64, Reported>,
    directory: &Path,
    reader: &mut Reader<'_, '_>,
) -> Result<EngineMemory, Reported> {
    let threads = reader.given(table, &keys::ENGINE_THREADS).map(|given| {
        let cpus = u32::try_from(facts.cpus).unwrap_or(u32::MAX);
        given.map_or_else(|| keys::ENGINE_THREADS.shape().clamp(cpus), |given| given.value)
    });
    let task_attempts = reader.read(table, &keys::ENGINE_TASK_ATTEMPTS);
    let spill_directory = reader.given(table, &keys::ENGINE_SPILL_DIRECTORY);
    let spill_limit_bytes = reader.read(table, &keys::ENGINE_SPILL_LIMIT);
    let compress = reader.read(table, &keys::ENGINE_COMPRESS);
    let memory = reader.given(table, &keys::ENGINE_MEMORY)?;
    let (threads, instance_bytes) = (threads?, instance_bytes?);
    let needed_bytes = instance_bytes.saturating_mul(u64::from(threads).saturating_add(keys::DRIVER_INSTANCES));
    let memory_bytes = match memory {
        None => needed_bytes.saturating_add(keys::MEMORY_FOR_DATA),
        Some(given) if given.value >= needed_bytes => given.value,
        Some(given) => {
            let needed = SIZES.show(needed_bytes);
            let message = format!(
                "{} is less than plugin instances may take: limits.memory {} x (engine.threads {threads} + {} for the \
                 driver) = {needed}",
                given.text,
                SIZES.show(instance_bytes),
                keys::DRIVER_INSTANCES,
            );
            let help = format!("use \"{needed}\" or more, or lower limits.memory or engine.threads");
            return Err(reader.report.error(&given.place, message, help));
        }
    };
    let engine = EngineSettings {
        threads,
        task_attempts: task_attempts?,
        memory_bytes,
        spill_directory: spill_directory?.map(|given| directory.join(given.value)),
        spill_limit_bytes: spill_limit_bytes?,
        compress: compress?,
    };
    Ok(EngineMemory { engine, instances_bytes: needed_bytes })
}
