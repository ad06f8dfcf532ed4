//! Collects mistakes while a job file is read.
//!
//! Owns [`MistakePlace`], [`Report`] and the marker [`Reported`]. Only reporting a mistake makes a marker. So a
//! function that returns the marker cannot have failed silently. Never decides what is a mistake.

use std::path::Path;

use super::error::{ConfigError, ConfigErrors};
use super::quote::escaped;

/// The place at which a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MistakePlace {
    /// A line of the job file, counted from 1.
    Line(usize),
    /// A line and a column of the job file, in characters, both counted from 1.
    Position { line: usize, column: usize },
    /// The job file as a whole.
    File,
    /// `--set KEY=VALUE`: the position among the overrides, and the key.
    Override { index: usize, key: String },
}

impl MistakePlace {
    /// The line in the job file; `None` if the place has no line.
    fn line(&self) -> Option<usize> {
        match self {
            Self::Line(line) | Self::Position { line, .. } => Some(*line),
            Self::File | Self::Override { .. } => None,
        }
    }

    /// The key by which mistakes are ordered for printing.
    fn rank(&self) -> (u8, usize) {
        match self {
            Self::Line(line) | Self::Position { line, .. } => (0, *line),
            Self::File => (1, 0),
            Self::Override { index, .. } => (2, *index),
        }
    }
}

/// Proof that a missing value has a mistake in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reported(());

impl Reported {
    /// Makes a marker for a required key that is absent because the key, or its table, is misspelt. The unknown name
    /// has already been reported.
    pub(super) const fn as_unknown_name() -> Self {
        Self(())
    }
}

/// The mistakes and warnings found so far.
pub(super) struct Report<'a> {
    origin: &'a Path,
    errors: Vec<((u8, usize), ConfigError)>,
    warnings: Vec<String>,
}

impl<'a> Report<'a> {
    /// Makes an empty report on the job file `origin`. Messages show the path as it is given here.
    pub(super) const fn new(origin: &'a Path) -> Self {
        Self { origin, errors: Vec::new(), warnings: Vec::new() }
    }

    /// Adds a mistake.
    pub(super) fn error(
        &mut self,
        place: &MistakePlace,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Reported {
        let error =
            ConfigError { place: self.show(place), line: place.line(), message: message.into(), help: help.into() };
        self.errors.push((place.rank(), error));
        Reported(())
    }

    /// Adds a warning, which does not stop the job.
    pub(super) fn warn(&mut self, place: &MistakePlace, message: &str) {
        self.warnings.push(format!("{}: {message}", self.show(place)));
    }

    /// Returns the settings with their warnings. If mistakes were reported, returns the mistakes.
    pub(super) fn finish<T>(mut self, value: Result<T, Reported>) -> Result<(T, Vec<String>), ConfigErrors> {
        self.errors.sort_by_key(|(rank, _)| *rank);
        match value {
            Ok(value) if self.errors.is_empty() => Ok((value, self.warnings)),
            _ => Err(ConfigErrors { errors: self.errors.into_iter().map(|(_, error)| error).collect() }),
        }
    }

    fn show(&self, place: &MistakePlace) -> String {
        let file = escaped(&self.origin.to_string_lossy());
        match place {
            MistakePlace::Line(line) => format!("{file} line {line}"),
            MistakePlace::Position { line, column } => format!("{file} line {line}, column {column}"),
            MistakePlace::File => file,
            MistakePlace::Override { key, .. } => format!("--set {}", escaped(key)),
        }
    }
}
