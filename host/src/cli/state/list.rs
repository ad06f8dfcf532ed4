//! `host state list`: prints the operators with state.

use super::super::{count, print};
use super::{ListArgs, Looked, Origin};
use crate::control::{Answer, Request};
use crate::env::RealExecutors;
use crate::error::Error;
use crate::listener::OperatorState;
use crate::shown::{counted, escape_control, json};
use crate::state_reader::SavedStates;
use crate::time::Time;
use std::fmt::Write as _;
use std::process::ExitCode;

/// Prints the operators.
pub(super) fn list(looked: &Looked<'_>, executors: &RealExecutors, args: &ListArgs) -> Result<ExitCode, Error> {
    let (origin, operators) = match looked.ask(executors, &Request::Operators)? {
        Some(Answer::Operators { operators }) => (Origin::Job, operators),
        Some(_) => return Err(looked.strange()),
        None => {
            let store = looked.place.checkpoint(looked.env)?;
            (Origin::Snapshot, SavedStates::read(&store, |saved| Ok(saved.list()))?)
        }
    };
    if args.form.json {
        let object = serde_json::json!({ "from": origin.name(), "operators": operators });
        return print(&format!("{}\n", json(&object.to_string())));
    }
    let mut text = format!("{}: {}\n", origin.words(), count(operators.len(), "operator"));
    for operator in &operators {
        let OperatorState { keys, bytes, key_type, state_type, batch_ms, .. } = operator;
        let keys = counted(*keys, "key");
        let batch =
            batch_ms.map_or_else(|| "no batch yet".to_owned(), |ms| format!("after batch {}", Time::from_ms(ms)));
        let line = format!("{}: {keys}, {bytes} bytes, {key_type} -> {state_type}, {batch}", operator.label());
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {}", escape_control(&line));
    }
    print(&text)
}
