//! The choice of operators, keys as people write them, and the state of a job that runs.

use super::*;
use crate::block::{RowStorage, SpillSettings};
use crate::checkpoint::{SavedState, Snapshot, SnapshotId};
use crate::data::schema::RecordType;
use crate::env::Simulation;
use crate::error::Error;
use crate::ids::NodeId;
use crate::memory::MemoryBudget;
use crate::state::StateStore;
use crate::time::Time;

fn store() -> StateStore {
    let settings = SpillSettings { directory: None, limit_bytes: u64::MAX, compressed: false };
    let budget = MemoryBudget::new(1 << 20, 0).unwrap();
    StateStore::new(RowStorage::new(&budget, Simulation::new(0, Time::default()).env().disk, settings))
}

fn operator(node: u32, name: Option<&str>, kind: &str) -> OperatorState {
    let (name, kind) = (name.map(str::to_owned), kind.to_owned());
    OperatorState { node, name, kind, key_type: "text".to_owned(), ..OperatorState::default() }
}

#[test]
fn an_operator_is_meant_by_name_then_by_kind_then_by_number() {
    let operators = [
        operator(2, Some("sums"), "update_state_by_key"),
        operator(4, Some("2"), "map_with_state"),
        operator(6, None, "map_with_state"),
    ];
    let choose = |wanted: Option<&str>| operator::choose(&operators, wanted).map_err(|error| error.to_string());
    assert_eq!((choose(Some("sums")), choose(Some("update_state_by_key"))), (Ok(0), Ok(0)));
    assert_eq!((choose(Some("2")), choose(Some("6"))), (Ok(1), Ok(2)));
    assert_eq!(choose(None), Err("several operators keep state".to_owned()));
    assert_eq!(choose(Some("map_with_state")), Err("several operators keep state".to_owned()));
    assert_eq!(choose(Some("totals")), Err("no operator with state is called `totals`".to_owned()));
    assert_eq!(operator::choose(&operators[..1], None).unwrap(), 0);
    let none = Error::from(operator::choose(&[], Some("sums")).unwrap_err());
    assert_eq!(none.message, "no operator of the job keeps state");
    let unknown = Error::from(operator::choose(&operators[..2], Some("x")).unwrap_err());
    let help =
        "give --operator one of these, by name: `sums` (update_state_by_key, node 2), `2` (map_with_state, node 4)";
    assert_eq!(unknown.help.as_deref(), Some(help));
}

#[test]
fn a_key_is_read_by_its_type() {
    let shown = |ty: &RecordType, text: &str| key::read(ty, text).map(|(keys, shown)| (keys.len(), shown.to_string()));
    let ok = |shown: &str| Ok((1, shown.to_owned()));
    let (text, number) = (RecordType::text(), RecordType::number());
    assert_eq!(shown(&text, "7"), ok("\"7\""));
    assert_eq!(shown(&text, ""), ok("\"\""));
    assert_eq!(shown(&number, "7"), ok("7"));
    assert_eq!(shown(&number, " 7 "), ok("7"));
    assert_eq!(shown(&number, "-7"), Err("expected u32, found -7".to_owned()));
    assert!(shown(&number, "seven").unwrap_err().starts_with("it is no JSON value: "));
    let pair = RecordType::tuple(&[&text, &number]).unwrap();
    assert_eq!(shown(&pair, "[\"a\", 7]"), ok("[\"a\",7]"));
    assert_eq!(shown(&pair, "[\"a\", \"b\"]"), Err("expected u32 at `[1]`, found \"b\"".to_owned()));
    let of = |kind: &str| crate::data::arbitrary::ty(&[("", kind, 0)]);
    assert_eq!(shown(&of("timestamp[us]"), "2026-02-01T00:30:00+01:00"), ok("\"2026-01-31T23:30:00Z\""));
    assert_eq!(shown(&of("date"), "\"2026-01-31\""), ok("\"2026-01-31\""));
    assert_eq!(shown(&of("decimal(38,1)"), "1234567890123456789.50"), ok("\"1234567890123456789.5\""));
    let optional = text.optional().unwrap();
    assert_eq!((shown(&optional, "null"), shown(&optional, "\"a\"")), (ok("null"), ok("\"a\"")));
    assert!(shown(&optional, "a").is_err());
}

/// Before the first batch, each operator is there without keys.
#[test]
fn a_job_without_state_yet_tells_its_operators() {
    let pair = RecordType::tuple(&[&RecordType::text(), &RecordType::number()]).unwrap();
    let sums = operator(2, Some("sums"), "update_state_by_key");
    let states = LiveStates::of(vec![(sums.clone(), pair)], store());
    assert_eq!(states.list(), std::slice::from_ref(&sums));
    let found = states.get(None, "a").unwrap();
    assert_eq!(found, KeyState { operator: sums, key: "a".into(), exists: false, state: Value::Null });
    let refused = Error::from(states.get(Some("nobody"), "a").unwrap_err());
    assert_eq!(refused.message, "no operator with state is called `nobody`");
}

/// A description of version 1 does not say which batch made a state: the batch of the snapshot counts.
#[test]
fn the_batch_that_made_a_state_is_told() {
    let pair = RecordType::tuple(&[&RecordType::text(), &RecordType::number()]).unwrap();
    let saved = |batch_ms: Option<u64>| {
        let mut saved = SavedState::new(NodeId(2), None, "update_state_by_key", &pair, 1, Time::default());
        saved.batch_ms = batch_ms;
        saved
    };
    let of = |saved: SavedState| {
        let id = SnapshotId { epoch: 1, time_ms: 3000, is_full: true };
        operators(&[(id, Snapshot::new(Time::from_ms(3100), vec![saved]))])[0].batch_ms
    };
    assert_eq!((of(saved(Some(2000))), of(saved(Some(3000))), of(saved(None))), (Some(2000), Some(3000), Some(3000)));
}
