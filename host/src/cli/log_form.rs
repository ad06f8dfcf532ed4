//! The form of log lines: for a person at a terminal, for a file that people read later, or for programs.
//!
//! Owns the text of a line. Never decides which lines are written, nor where. Values of fields may come from outside, so
//! that each is escaped.

use crate::env::machine_time;
use crate::shown;
use crate::time::Time;
use clap::ValueEnum;
use serde_json::{Map, Value};
use std::fmt::{self, Write as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The form that a user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogArg {
    /// Lines for people: with short times on a terminal, otherwise with date, time and module.
    #[default]
    Text,
    /// One JSON object a line: `time_ms`, `level`, `module`, `message`, and the fields of the message.
    Json,
}

/// The form of each line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogForm {
    /// For a person who reads along: the time of day, and a word for anything but information.
    Terminal,
    /// For a person who reads later: date, time, level and module.
    File,
    /// For programs.
    Json,
}

impl LogForm {
    /// The form for what the user asks for, on standard error.
    pub const fn new(wanted: LogArg, is_terminal: bool) -> Self {
        match (wanted, is_terminal) {
            (LogArg::Json, _) => Self::Json,
            (LogArg::Text, true) => Self::Terminal,
            (LogArg::Text, false) => Self::File,
        }
    }
}

impl<S, N> FormatEvent<S, N> for LogForm
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        match self {
            Self::File => <Format>::default().format_event(context, writer, event),
            Self::Json => writeln!(writer, "{}", as_json(event, machine_time())),
            Self::Terminal => {
                let word = word(*event.metadata().level(), writer.has_ansi_escapes());
                write!(writer, "{} {word}", machine_time().of_day())?;
                context.format_fields(writer.by_ref(), event)?;
                writeln!(writer)
            }
        }
    }
}

/// The word before a message on a terminal.
const fn word(level: Level, is_coloured: bool) -> &'static str {
    match (level, is_coloured) {
        (Level::ERROR, true) => "\u{1b}[1;31merror:\u{1b}[0m ",
        (Level::ERROR, false) => "error: ",
        (Level::WARN, true) => "\u{1b}[1;33mwarning:\u{1b}[0m ",
        (Level::WARN, false) => "warning: ",
        (Level::INFO, _) => "",
        (Level::DEBUG | Level::TRACE, true) => "\u{1b}[2mdebug:\u{1b}[0m ",
        (Level::DEBUG | Level::TRACE, false) => "debug: ",
    }
}

fn as_json(event: &Event<'_>, now: Time) -> String {
    let metadata = event.metadata();
    let mut members = Members(Map::new());
    members.add("time_ms", now.as_ms().into());
    members.add("level", metadata.level().as_str().to_ascii_lowercase().into());
    members.add("module", metadata.target().into());
    event.record(&mut members);
    shown::json(&Value::Object(members.0).to_string()).into_owned()
}

/// The members of a line as JSON.
struct Members(Map<String, Value>);

impl Members {
    fn add(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }
}

impl Visit for Members {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(text, "{value:?}");
        self.add(field.name(), text.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), value.into());
    }
}

/// The text of an error in which each line that begins an error has its first word in colour.
pub fn coloured(text: &str) -> String {
    const ERROR: &str = "error:";
    let line = |line: &str| match line.strip_prefix(ERROR) {
        Some(rest) => format!("\u{1b}[1;31m{ERROR}\u{1b}[0m{rest}"),
        None => line.to_owned(),
    };
    text.split_inclusive('\n').map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::lock;
    use serde_json::json;
    use std::io;
    use std::sync::{Arc, Mutex};

    /// A writer that keeps the lines.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The log of two messages in this form.
    fn log(form: LogForm, is_coloured: bool) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .with_ansi(is_coloured)
            .event_format(form)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(rows = 7, "a batch");
            tracing::warn!("late\u{9b}");
        });
        let bytes = lock(&lines.0).clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_terminal_shows_the_time_of_day_and_no_module() {
        let text = log(LogForm::Terminal, false);
        let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert!(shape.starts_with("00:00:00 a batch rows=0\n00:00:00 warning: late"), "{text}");
        assert!(!text.contains("log_form"), "{text}");
        assert!(log(LogForm::Terminal, true).contains(" \u{1b}[1;33mwarning:\u{1b}[0m late"));
        let text = log(LogForm::File, false);
        assert!(text.contains("Z  INFO host::cli::log_form::tests: a batch rows=7\n"), "{text}");
    }

    #[test]
    fn programs_get_one_object_a_line() {
        let text = log(LogForm::Json, true);
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [first, second] = &lines[..] else { panic!("{text}") };
        let told = json!([first["level"], first["module"], first["message"], first["rows"]]);
        assert_eq!(told, json!(["info", "host::cli::log_form::tests", "a batch", 7]));
        assert!(first["time_ms"].as_u64().is_some_and(|ms| ms > 1_700_000_000_000), "{text}");
        assert_eq!(json!([second["level"], second["message"]]), json!(["warn", "late\u{9b}"]));
        assert!(!text.contains(['\u{9b}', '\u{1b}']), "{text}");
    }

    #[test]
    fn each_error_begins_in_colour() {
        let text = "error: one\nhelp: x\nerror: two\n  error: three\n";
        let expected = "\u{1b}[1;31merror:\u{1b}[0m one\nhelp: x\n\u{1b}[1;31merror:\u{1b}[0m two\n  error: three\n";
        assert_eq!(coloured(text), expected);
    }
}
