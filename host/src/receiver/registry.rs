//! The receivers that an embedding program registers, by name, and their options in the job file.
//!
//! Owns the strict checks: a receiver that does not exist, and an option that a receiver does not know, are errors in
//! the job file. They are found before anything starts.

use super::Receiver;
use super::error::OptionError;
use crate::data::schema::RecordType;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Makes a receiver for a source. The function is called when the job is checked, when the job starts, and again after
/// a receiver has panicked. So it must not access the source: only [`Receiver::run`] does.
pub type MakeReceiver = dyn Fn(&mut ReceiverOptions) -> Result<Box<dyn Receiver>, OptionError> + Send + Sync;

/// Receivers by name. A source of type `custom` names one of them.
#[derive(Clone, Default)]
pub struct Receivers {
    by_name: BTreeMap<String, Arc<MakeReceiver>>,
}

impl Receivers {
    /// Adds a receiver. If the name is already used, the new receiver replaces the old one.
    #[must_use]
    pub fn with(
        mut self,
        name: &str,
        make: impl Fn(&mut ReceiverOptions) -> Result<Box<dyn Receiver>, OptionError> + Send + Sync + 'static,
    ) -> Self {
        self.by_name.insert(name.to_owned(), Arc::new(make));
        self
    }

    /// The function that makes the receiver `name` for a source with these options. The function was called once, as a
    /// check.
    ///
    /// # Errors
    /// If there is no such receiver, or if it does not accept the options.
    pub fn find(&self, name: &str, options: &ReceiverOptions) -> Result<Arc<MakeReceiver>, OptionError> {
        let Some(make) = self.by_name.get(name) else {
            let known = self.by_name.keys().cloned().collect();
            return Err(OptionError::NoReceiver {
                source_name: options.source.clone(),
                receiver: name.to_owned(),
                known,
            });
        };
        let mut asked = options.clone();
        make(&mut asked)?;
        match asked.given.keys().find(|option| !asked.known.contains(*option)) {
            None => Ok(make.clone()),
            Some(option) => Err(OptionError::Unknown {
                source_name: asked.source.clone(),
                option: option.clone(),
                known: asked.known.iter().cloned().collect(),
            }),
        }
    }
}

/// The options of a receiver in the job file.
#[derive(Clone, Debug)]
pub struct ReceiverOptions {
    source: String,
    rows: RecordType,
    given: BTreeMap<String, String>,
    known: BTreeSet<String>,
}

impl ReceiverOptions {
    /// Makes the options of the source with this name, whose rows are of type `rows`.
    pub fn new(source: &str, rows: RecordType, options: BTreeMap<String, String>) -> Self {
        Self { source: source.to_owned(), rows, given: options, known: BTreeSet::new() }
    }

    /// The name of the source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The type of the records that the plugin reads from the source.
    pub fn record_type(&self) -> &RecordType {
        &self.rows
    }

    /// The value of an option that may be left out; `None` if it is.
    pub fn optional(&mut self, option: &str) -> Option<String> {
        self.known.insert(option.to_owned());
        self.given.get(option).cloned()
    }

    /// The value of an option that is required.
    ///
    /// # Errors
    /// If the option is missing.
    pub fn required(&mut self, option: &str) -> Result<String, OptionError> {
        self.optional(option)
            .ok_or_else(|| OptionError::Missing { source_name: self.source.clone(), option: option.to_owned() })
    }

    /// The value of an option, parsed from its text; `None` if the option is left out.
    ///
    /// # Errors
    /// If the text cannot be parsed. `expected` says what it has to be, as in `a whole number`.
    pub fn parsed<T: std::str::FromStr>(&mut self, option: &str, expected: &str) -> Result<Option<T>, OptionError> {
        let Some(value) = self.optional(option) else { return Ok(None) };
        match value.parse() {
            Ok(parsed) => Ok(Some(parsed)),
            Err(_) => Err(OptionError::Value {
                source_name: self.source.clone(),
                option: option.to_owned(),
                value,
                problem: format!("is not {expected}"),
            }),
        }
    }
}
