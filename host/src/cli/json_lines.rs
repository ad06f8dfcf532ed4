//! The output of `host run --json`: one JSON object a line on standard output.
//!
//! Owns which events are written. The form of events is that of the events file; the output `print` makes the lines
//! with rows.

use crate::env::{Console, WritePieces};
use crate::ids::RunId;
use crate::listener::{Event, QueuedListener, json_line};
use crate::shown;
use crate::time::Time;
use std::io;
use std::sync::Arc;

/// A console that takes JSON.
pub struct JsonConsole(pub Arc<dyn Console>);

impl Console for JsonConsole {
    fn write(&self, text: &str) -> io::Result<()> {
        self.0.write(&shown::json(text))
    }

    fn write_pieces(&self, write: &mut WritePieces<'_>) -> io::Result<()> {
        self.0.write_pieces(write)
    }

    fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }

    fn takes_json(&self) -> bool {
        true
    }
}

/// Writes the beginning and the end of the run, and each batch that is done.
pub struct JsonLines {
    console: Arc<dyn Console>,
    is_broken: bool,
}

impl JsonLines {
    /// A listener that writes to this console.
    pub const fn new(console: Arc<dyn Console>) -> Self {
        Self { console, is_broken: false }
    }
}

impl QueuedListener for JsonLines {
    fn filter(&self) -> fn(&Event) -> bool {
        |event| {
            matches!(
                event,
                Event::StreamingStarted { .. }
                    | Event::BatchCompleted(_)
                    | Event::EventsDropped { .. }
                    | Event::StreamingStopped { .. }
            )
        }
    }

    fn on_event(&mut self, at: Time, run: RunId, event: &Event) {
        if let Err(error) = self.console.write(&json_line(at, run, event))
            && !std::mem::replace(&mut self.is_broken, true)
        {
            tracing::warn!("cannot write events to standard output: {error}");
        }
    }
}
