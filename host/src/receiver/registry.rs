//! The receivers that a program brings, by name, and what the job file tells them.
//!
//! Owns the strictness: a receiver that does not exist and an option that it does not ask for are mistakes in the job
//! file, found before anything starts.

use super::Receiver;
use super::error::OptionError;
use crate::data::schema::RecordType;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Makes a receiver for a source. It is called when the job is checked, when it starts, and again after a receiver
/// panicked, so it must not touch the source: that is for [`Receiver::run`].
pub type MakeReceiver = dyn Fn(&mut ReceiverOptions) -> Result<Box<dyn Receiver>, OptionError> + Send + Sync;

/// Receivers by name. A source of type `custom` names one of them.
#[derive(Clone, Default)]
pub struct Receivers {
    by_name: BTreeMap<String, Arc<MakeReceiver>>,
}

impl Receivers {
    /// Adds a receiver. A later one of the same name replaces it.
    #[must_use]
    pub fn with(
        mut self,
        name: &str,
        make: impl Fn(&mut ReceiverOptions) -> Result<Box<dyn Receiver>, OptionError> + Send + Sync + 'static,
    ) -> Self {
        self.by_name.insert(name.to_owned(), Arc::new(make));
        self
    }

    /// What makes receiver `name` for a source with these options. It was tried out once.
    ///
    /// # Errors
    /// When there is no such receiver, or it does not take the options.
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

/// What the job file tells a receiver.
#[derive(Clone, Debug)]
pub struct ReceiverOptions {
    source: String,
    rows: RecordType,
    given: BTreeMap<String, String>,
    known: BTreeSet<String>,
}

impl ReceiverOptions {
    /// For the source with this name, whose rows are of type `rows`.
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

    /// An option that may be left out.
    pub fn optional(&mut self, option: &str) -> Option<String> {
        self.known.insert(option.to_owned());
        self.given.get(option).cloned()
    }

    /// An option that has to be there.
    ///
    /// # Errors
    /// When it is missing.
    pub fn required(&mut self, option: &str) -> Result<String, OptionError> {
        self.optional(option)
            .ok_or_else(|| OptionError::Missing { source_name: self.source.clone(), option: option.to_owned() })
    }

    /// An option that is read from its text, if it is given.
    ///
    /// # Errors
    /// When the text cannot be read; `expected` says what it has to be, as in `a whole number`.
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
