//! Where mistakes are collected while a job file is read.
//!
//! Owns [`Place`], [`Report`] and the marker [`Reported`], which only reporting a mistake produces: a function that
//! returns it cannot have failed silently. Never decides what is a mistake.

use std::path::Path;

use super::error::{ConfigError, ConfigErrors};
use super::quote::escaped;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A line of the job file, counted from 1.
    Line(usize),
    /// A line and a column of the job file, in characters, both counted from 1.
    Position { line: usize, column: usize },
    /// The job file as a whole.
    File,
    /// `--set KEY=VALUE`: its position among the overrides, and its key.
    Override { index: usize, key: String },
}

impl Place {
    /// The line in the job file, if it has one.
    fn line(&self) -> Option<usize> {
        match self {
            Self::Line(line) | Self::Position { line, .. } => Some(*line),
            Self::File | Self::Override { .. } => None,
        }
    }

    /// The order in which mistakes are printed.
    fn rank(&self) -> (u8, usize) {
        match self {
            Self::Line(line) | Self::Position { line, .. } => (0, *line),
            Self::File => (1, 0),
            Self::Override { index, .. } => (2, *index),
        }
    }
}

/// Proof that the reason for a missing value is in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reported(());

impl Reported {
    /// For a required key that is absent because it, or its table, is misspelt: the unknown name is already reported.
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
    /// An empty report on the job file `origin`, named in messages as it is given here.
    pub(super) const fn new(origin: &'a Path) -> Self {
        Self { origin, errors: Vec::new(), warnings: Vec::new() }
    }

    /// Adds a mistake.
    pub(super) fn error(&mut self, place: &Place, message: impl Into<String>, help: impl Into<String>) -> Reported {
        let error =
            ConfigError { place: self.show(place), line: place.line(), message: message.into(), help: help.into() };
        self.errors.push((place.rank(), error));
        Reported(())
    }

    /// Adds something worth saying that does not stop the job.
    pub(super) fn warn(&mut self, place: &Place, message: &str) {
        self.warnings.push(format!("{}: {message}", self.show(place)));
    }

    /// The settings with their warnings, unless a mistake was reported.
    pub(super) fn finish<T>(mut self, value: Result<T, Reported>) -> Result<(T, Vec<String>), ConfigErrors> {
        self.errors.sort_by_key(|(rank, _)| *rank);
        match value {
            Ok(value) if self.errors.is_empty() => Ok((value, self.warnings)),
            _ => Err(ConfigErrors { errors: self.errors.into_iter().map(|(_, error)| error).collect() }),
        }
    }

    fn show(&self, place: &Place) -> String {
        let file = escaped(&self.origin.to_string_lossy());
        match place {
            Place::Line(line) => format!("{file} line {line}"),
            Place::Position { line, column } => format!("{file} line {line}, column {column}"),
            Place::File => file,
            Place::Override { key, .. } => format!("--set {}", escaped(key)),
        }
    }
}
