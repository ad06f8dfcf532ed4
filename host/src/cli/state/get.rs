//! `host state get`: prints the state of one key.

use super::super::print;
use super::{GetArgs, Looked, Origin};
use crate::control::{Answer, Request};
use crate::env::RealExecutors;
use crate::error::{Error, ErrorKind};
use crate::shown::{Shown as _, escape_control, json};
use crate::state_reader::{KeyState, SavedStates};
use crate::time::Time;
use std::process::ExitCode;

/// Prints the state of the key.
pub(super) fn get(looked: &Looked<'_>, executors: &RealExecutors, args: &GetArgs) -> Result<ExitCode, Error> {
    let operator = args.operator.operator.clone();
    let request = Request::KeyState { operator: operator.clone(), key: args.key.clone() };
    let (origin, found) = match looked.ask(executors, &request)? {
        Some(Answer::KeyState { found }) => (Origin::Job, *found),
        Some(_) => return Err(looked.strange()),
        None => {
            let store = looked.place.checkpoint(looked.env)?;
            (Origin::Snapshot, SavedStates::read(&store, |saved| saved.get(operator.as_deref(), &args.key))?)
        }
    };
    let KeyState { operator, key, exists, state } = found;
    let batch = operator.batch_ms.map_or_else(
        || "before the first batch".to_owned(),
        |batch_ms| format!("after batch {}", Time::from_ms(batch_ms)),
    );
    let (label, words) = (operator.label(), origin.words());
    if !exists {
        let message = format!("operator {label} has no state for key {} in {words}, {batch}", key.to_string().shown());
        return Err(Error::new(ErrorKind::User, message).help("`host state export` writes all keys that have state"));
    }
    if args.form.json {
        let object = serde_json::json!({ "from": origin.name(), "operator": operator, "key": key, "state": state });
        return print(&format!("{}\n", json(&object.to_string())));
    }
    let line = |what: &str, value: &str| format!("{what}: {}\n", escape_control(value));
    let lines = [
        line("operator", &label),
        line("from", &format!("{words}, {batch}")),
        line("key", &key.to_string()),
        line("state", &state.to_string()),
    ];
    print(&lines.concat())
}
