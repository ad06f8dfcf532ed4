//! One described node while it is checked: its parameters, and how its problems are reported.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::super::described::{DescribedNode, ParameterValue};
use super::super::error::GraphError;
use super::super::operation::SPAN_MAX;
use crate::data::schema::{Field, RecordType, SchemaError};
use crate::shown::{self, escape_control};
use crate::time::{Duration, whole_ms};
use std::borrow::Cow;

/// The longest accepted name or kind, in bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// A node, with the facts that are needed to report its problems.
pub struct Subject<'a> {
    pub position: usize,
    pub described: &'a DescribedNode,
}

impl Subject<'_> {
    pub fn name(&self) -> String {
        let kind: String = self.described.kind.escape_default().take(NAME_BYTES_MAX).collect();
        format!("`{kind}` (node {})", self.position)
    }

    pub fn error(&self, problem: impl Into<String>) -> GraphError {
        GraphError::Node { subject: self.name(), problem: problem.into() }
    }

    pub fn record_type(&self, what: &str, fields: &[Field]) -> Result<RecordType, GraphError> {
        let parsed: Result<RecordType, SchemaError> = RecordType::parse(fields.to_vec());
        parsed.map_err(|error| self.error(format!("its {what} have no valid type: {error}")))
    }

    pub fn integer(&self, name: &str) -> Option<i64> {
        self.described.parameters.iter().find_map(|(key, value)| match value {
            ParameterValue::Integer(n) if key == name => Some(*n),
            _ => None,
        })
    }

    pub fn flag(&self, name: &str) -> bool {
        self.described.parameters.iter().any(|(key, value)| key == name && *value == ParameterValue::Flag(true))
    }

    pub fn duration(&self, name: &str) -> Result<Option<Duration>, GraphError> {
        let span = self.described.parameters.iter().find_map(|(key, value)| match value {
            ParameterValue::DurationMs(ms) if key == name => Some(Duration::from_millis(*ms)),
            _ => None,
        });
        match span {
            Some(span) if span > SPAN_MAX => {
                Err(self.error(format!("its {name} of {} ms is more than 100 years", whole_ms(span))))
            }
            span => Ok(span),
        }
    }

    pub fn path(&self) -> Result<String, GraphError> {
        self.text("path").map(str::to_owned).ok_or_else(|| self.error("it has no parameter `path`"))
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.described.parameters.iter().find_map(|(key, value)| match value {
            ParameterValue::Text(text) if key == name => Some(text.as_str()),
            _ => None,
        })
    }
}

/// Names appear in messages, so a name must not contain characters that control a terminal.
pub fn check_printable(subject: &Subject<'_>, name: &str) -> Result<(), GraphError> {
    match escape_control(name) {
        Cow::Borrowed(plain) if !plain.contains(['\t', '\n']) => Ok(()),
        _ => Err(subject.error(format!("the name {} has control characters", shown::name(name)))),
    }
}
