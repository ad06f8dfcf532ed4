//! Checks that the sources of a job fit the plugin, and finds the input or receiver that serves each of them.
//!
//! Owns the step from `[sources.NAME]` to a receiver that can be started or an input that is open. Never starts a
//! receiver.

use super::rates::Rates;
use crate::block::RangeReaders;
use crate::clients;
use crate::config::{self, Settings, SourceSettings};
use crate::data::schema::RecordType;
use crate::encoding::Encoding;
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::graph::{Graph, Operation};
use crate::input::{Input, Kafka, LogFile, LogFileSettings, QueueInput, TextFiles, TextFilesSettings, WhenDone};
use crate::receiver::{self, MakeReceiver, OptionError, ReceiverOptions, ReceiverSettings, Receivers};
use crate::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::watch;

/// The longest line and the encoding of lines, for a receiver that gives no bytes of lines.
const NO_LINES: (u64, Encoding) = (u64::MAX, Encoding::UTF_8);

/// The receivers that can be started and the inputs that are open.
#[derive(Default)]
pub struct Sources {
    pub(super) receivers: Vec<ReceiverSource>,
    /// The inputs.
    pub inputs: Vec<Box<dyn Input>>,
    /// The numbers of the streams, by the names of the sources.
    stream_ids: BTreeMap<String, u32>,
}

/// Everything that is needed to start a receiver.
pub(super) struct ReceiverSource {
    pub(super) settings: ReceiverSettings,
    pub(super) make: Arc<MakeReceiver>,
    pub(super) options: ReceiverOptions,
    /// Sets the limit of the receiver's rate.
    pub(super) rate_limit: watch::Sender<Option<u64>>,
}

impl ReceiverSource {
    /// Puts the parts together. The rate of the receiver has no limit yet.
    fn new(mut settings: ReceiverSettings, make: Arc<MakeReceiver>, options: ReceiverOptions) -> Self {
        let (rate_limit, limited) = watch::channel(None);
        settings.rate_limit = limited;
        Self { settings, make, options, rate_limit }
    }
}

impl Sources {
    /// Opens the inputs and finds the receivers of a job. The sources of the job must fit its graph.
    ///
    /// # Errors
    /// Returns an error if an input cannot be opened, or if a receiver is unknown or does not accept its options.
    pub fn open(env: &Env, graph: &Graph, settings: &Settings, receivers: &Receivers) -> Result<Self, Error> {
        let ids = graph.stream_ids().into_iter().map(|(name, id)| (name.to_owned(), id));
        let mut sources = Self { stream_ids: ids.collect(), ..Self::default() };
        for (name, source) in &settings.sources {
            let Some(rows) = source_type(graph, name) else { continue };
            match source {
                SourceSettings::Queue { path, encoding } => {
                    let partitions = settings.job.parallelism as usize;
                    let queue = QueueInput::read(env, name, path, *encoding, &rows, partitions)?;
                    sources.inputs.push(Box::new(queue));
                }
                SourceSettings::TextFiles { .. } => {
                    let settings = text_files_settings(name, source, settings.job.batch_interval);
                    let Some(settings) = settings else { continue };
                    sources.inputs.push(Box::new(TextFiles::start(env, settings)?));
                }
                SourceSettings::LogFile { path, reads_existing, max_line_bytes, encoding } => {
                    let settings = LogFileSettings {
                        source: name.clone(),
                        path: path.clone(),
                        reads_existing: *reads_existing,
                        max_line_bytes: usize::try_from(*max_line_bytes).unwrap_or(usize::MAX),
                        encoding: *encoding,
                        slide: settings.job.batch_interval,
                    };
                    sources.inputs.push(Box::new(LogFile::start(env, settings)?));
                }
                SourceSettings::Socket { address, reconnect_delay, idle_timeout, max_line_bytes, encoding } => {
                    let make = receiver::socket(env.network.clone(), address, *idle_timeout);
                    let options = ReceiverOptions::new(name, rows.clone(), BTreeMap::new());
                    let settings =
                        receiver_settings(graph, settings, name, rows, *reconnect_delay, (*max_line_bytes, *encoding));
                    sources.receivers.push(ReceiverSource::new(settings, make, options));
                }
                SourceSettings::Http(http) => {
                    let make = receiver::http(env, name, http, &rows)?;
                    let options = ReceiverOptions::new(name, rows.clone(), BTreeMap::new());
                    let lines = (http.max_body_bytes, Encoding::UTF_8);
                    let settings = receiver_settings(graph, settings, name, rows, http.restart_delay, lines);
                    sources.receivers.push(ReceiverSource::new(settings, make, options));
                }
                SourceSettings::Nats(nats) => {
                    let make = receiver::nats(env, (&settings.job.name, name), nats, &rows)?;
                    let options = ReceiverOptions::new(name, rows.clone(), BTreeMap::new());
                    let settings = receiver_settings(graph, settings, name, rows, nats.restart_delay, NO_LINES);
                    sources.receivers.push(ReceiverSource::new(settings, make, options));
                }
                SourceSettings::Kafka(kafka) => {
                    let place = clients::kafka_client(env, &format!("source `{name}`"), &kafka.client)?;
                    let (job, slide) = (settings.job.name.as_str(), settings.job.batch_interval);
                    let input = Kafka::start(env, (job, name), kafka, &place, &rows, slide)?;
                    sources.inputs.push(Box::new(input));
                }
                SourceSettings::KafkaReceiver(kafka) => {
                    let place = clients::kafka_client(env, &format!("source `{name}`"), &kafka.client)?;
                    let make = receiver::kafka(env, name, kafka, &place, &rows)?;
                    let options = ReceiverOptions::new(name, rows.clone(), BTreeMap::new());
                    let settings = receiver_settings(graph, settings, name, rows, kafka.restart_delay, NO_LINES);
                    sources.receivers.push(ReceiverSource::new(settings, make, options));
                }
                SourceSettings::Custom { receiver, options, restart_delay, max_line_bytes, encoding } => {
                    let options = ReceiverOptions::new(name, rows.clone(), options.clone());
                    let make = receivers.find(receiver, &options).map_err(option_error)?;
                    let settings =
                        receiver_settings(graph, settings, name, rows, *restart_delay, (*max_line_bytes, *encoding));
                    sources.receivers.push(ReceiverSource::new(settings, make, options));
                }
            }
        }
        Ok(sources)
    }

    /// Limits the rates of the inputs that have one.
    pub(super) fn limit_inputs(&mut self, rates: &Rates) {
        for input in &mut self.inputs {
            let (limit, limited) = watch::channel(None);
            if input.limit_rate(limited) {
                let stream_id = self.stream_ids.get(input.source()).copied().unwrap_or(0);
                rates.add_input(input.source(), stream_id, limit);
            }
        }
    }

    /// The types of the records of the sources that have receivers, by the names of the sources.
    pub fn received_types(&self) -> BTreeMap<String, RecordType> {
        let of = |source: &ReceiverSource| (source.settings.source.clone(), source.settings.rows.clone());
        self.receivers.iter().map(of).collect()
    }

    /// Gives each receiver the number of its first block.
    pub fn number_blocks(&mut self, first: &dyn Fn(&str) -> u64) {
        for ReceiverSource { settings, .. } in &mut self.receivers {
            settings.first_block = first(&settings.source);
        }
    }

    /// Gives each receiver the keys of the blocks of its source that the write-ahead log knows, the oldest first.
    pub fn recall_keys(&mut self, of_source: &dyn Fn(&str) -> Vec<String>) {
        for ReceiverSource { settings, .. } in &mut self.receivers {
            settings.known_keys = of_source(&settings.source);
        }
    }

    /// The readers of the sources that are read by ranges, by name.
    pub fn ranges(&self) -> RangeReaders {
        let of = |input: &dyn Input| Some((input.source().to_owned(), input.ranges()?));
        Arc::new(self.inputs.iter().filter_map(|input| of(&**input)).collect())
    }
}

/// The settings of a source of text files. `None` if the source is of another type.
fn text_files_settings(name: &str, source: &SourceSettings, slide: Duration) -> Option<TextFilesSettings> {
    let SourceSettings::TextFiles {
        path,
        new_files_only,
        min_remember,
        include,
        ignore,
        when_done,
        on_missing_file: _,
        max_line_bytes,
        encoding,
    } = source
    else {
        return None;
    };
    Some(TextFilesSettings {
        source: name.to_owned(),
        path: path.clone(),
        new_files_only: *new_files_only,
        min_remember: *min_remember,
        include: include.clone(),
        ignore: ignore.clone(),
        when_done: match when_done {
            config::WhenDone::Keep => WhenDone::Keep,
            config::WhenDone::Delete => WhenDone::Delete,
            config::WhenDone::Move(directory) => WhenDone::Move(directory.clone()),
        },
        max_line_bytes: usize::try_from(*max_line_bytes).unwrap_or(usize::MAX),
        encoding: *encoding,
        slide,
    })
}

fn receiver_settings(
    graph: &Graph,
    settings: &Settings,
    source: &str,
    rows: RecordType,
    restart_delay: Duration,
    (max_line_bytes, encoding): (u64, Encoding),
) -> ReceiverSettings {
    let id = graph.stream_ids().into_iter().find(|(name, _)| *name == source);
    ReceiverSettings {
        source: source.to_owned(),
        stream_id: id.map_or(0, |(_, id)| id),
        rows,
        restart_delay,
        max_line_bytes: usize::try_from(max_line_bytes).unwrap_or(usize::MAX),
        encoding,
        block_interval: settings.receiver.block_interval,
        when_full: settings.receiver.when_full,
        first_block: 0,
        rate_limit: watch::channel(None).1,
        known_keys: Vec::new(),
    }
}

fn option_error(error: OptionError) -> Error {
    Error::new(ErrorKind::User, error.to_string()).help(error.help())
}

fn source_type(graph: &Graph, name: &str) -> Option<RecordType> {
    graph.sources().find(|(source, _)| *source == name).and_then(|(_, node)| node.rows.clone())
}

/// Checks that each source of the graph is in the job file, that each source of the job file is in the graph, and that
/// the rows of each source have the right type.
///
/// # Errors
/// Returns an error for the first source that does not fit.
pub fn check_sources(graph: &Graph, settings: &Settings) -> Result<(), Error> {
    let read: BTreeSet<&str> = graph.sources().map(|(source, _)| source).collect();
    let given: BTreeSet<&str> = settings.sources.keys().map(String::as_str).collect();
    if let Some(missing) = read.difference(&given).next() {
        let message = format!("the plugin reads source `{missing}`, which the job file does not define");
        return Err(
            Error::new(ErrorKind::User, message).help(format!("add a [sources.{missing}] table to the job file"))
        );
    }
    if let Some(unused) = given.difference(&read).next() {
        let message = format!("the job file defines source `{unused}`, which the plugin does not read");
        let names: Vec<String> = read.iter().map(|name| format!("`{name}`")).collect();
        let help = format!("remove [sources.{unused}], or rename it; the plugin reads {}", names.join(", "));
        return Err(Error::new(ErrorKind::User, message).help(help));
    }
    for (source, node) in graph.sources() {
        let ty = node.rows.as_ref();
        let is_text = ty == Some(&RecordType::text());
        let gives_text = match settings.sources.get(source) {
            Some(SourceSettings::Socket { .. }) => Some("a socket gives"),
            Some(SourceSettings::TextFiles { .. }) => Some("text files give"),
            Some(SourceSettings::LogFile { .. }) => Some("a log file gives"),
            // What a receiver of requests gives depends on its format.
            Some(
                SourceSettings::Queue { .. }
                | SourceSettings::Http(_)
                | SourceSettings::Nats(_)
                | SourceSettings::Kafka(_)
                | SourceSettings::KafkaReceiver(_)
                | SourceSettings::Custom { .. },
            )
            | None => None,
        };
        if let Some(gives) = gives_text
            && !is_text
        {
            let ty = ty.map(ToString::to_string).unwrap_or_default();
            let message = format!("the plugin reads {ty} from source `{source}`, but {gives} lines of text");
            return Err(Error::new(ErrorKind::User, message)
                .help(format!("use ctx.text_stream(\"{source}\") and parse the lines")));
        }
    }
    let mut first: BTreeMap<&str, &crate::graph::Node> = BTreeMap::new();
    for (source, node) in graph.sources() {
        debug_assert!(matches!(node.operation, Operation::Source { .. }));
        let other = first.entry(source).or_insert(node);
        if other.rows != node.rows {
            let message = format!("the plugin reads source `{source}` as different types, in {other} and {node}");
            return Err(Error::new(ErrorKind::User, message).help("read it once, and use the stream twice"));
        }
    }
    Ok(())
}
