//! `host state`: the state of a job that runs, and of the snapshots that it leaves.

use super::super::support::binary::{Directory, Running, Said};
use super::super::support::columns::shown;
use super::require_error;
use host::time::Time;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// One batch a line. `update_state_by_key` then has the keys 0, 1 and 2.
const NUMBERS: &str = "[1, 2, 5, 1]\n[3, 4]\n";
const CHECKPOINT: &str = "job.checkpoint=checkpoint";

fn operator(name: &str) -> String {
    format!("job.args={{ operator = \"{name}\" }}")
}

/// Runs a job of an operator to its end.
fn run(directory: &Directory, name: &str, args: &[&str]) {
    let operator = operator(name);
    let said = directory.run(&[&["run", "job.toml", "--set", CHECKPOINT, "--set", &operator], args].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
}

/// The directory of a job that has run. Its plugin was removed afterwards.
fn ran(name: &str) -> Directory {
    let directory = Directory::with_job("operators");
    directory.write("queue.jsonl", NUMBERS);
    run(&directory, name, &["--stop-after", "2"]);
    std::fs::remove_file(directory.path("operators.wasm")).expect("the plugin is there");
    directory
}

fn json_of(said: &Said) -> Value {
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    serde_json::from_str(&said.out).expect("it is JSON")
}

fn lines(said: &Said) -> Vec<Value> {
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    said.out.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// The files in the directory that an export did not finish.
fn unfinished(directory: &Directory) -> Vec<String> {
    let entries = std::fs::read_dir(directory.path(".")).expect("it can be listed");
    let names = entries.map(|entry| entry.expect("listed").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains(".unfinished-")).collect()
}

/// The files of snapshots of the only run, by name.
fn snapshot_files(directory: &Directory) -> Vec<PathBuf> {
    let entries = |path: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(path).expect("it can be listed");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("listed").path()).collect();
        paths.sort();
        paths
    };
    entries(&entries(&directory.path("checkpoint/runs"))[0].join("snapshots"))
}

#[test]
fn operators_with_state_are_listed() {
    let directory = ran("update_state_by_key");
    let told = json_of(&directory.run(&["state", "list", "checkpoint", "--json"]));
    let sums = &told["operators"][0];
    assert_eq!((&told["from"], told["operators"].as_array().map(Vec::len)), (&json!("snapshot"), Some(1)));
    assert_eq!(
        (&sums["name"], &sums["kind"], &sums["node"], &sums["keys"], &sums["key_type"], &sums["state_type"]),
        (&json!("sums"), &json!("update_state_by_key"), &json!(2), &json!(3), &json!("i64"), &json!("i64"))
    );
    let (bytes, batch) = (sums["bytes"].as_u64().expect("a number"), sums["batch_ms"].as_u64().expect("a time"));
    let stored: u64 = snapshot_files(&directory).iter().skip(1).map(|path| path.metadata().expect("there").len()).sum();
    assert_eq!(bytes, stored, "those of all parts");
    let said = directory.run(&["state", "list", "job.toml", "--set", CHECKPOINT]);
    let expected = format!(
        "the last snapshot: 1 operator\n  `sums` (update_state_by_key, node 2): 3 keys, {bytes} bytes, i64 -> i64, after \
         batch {}\n",
        Time::from_ms(batch)
    );
    assert_eq!((said.code, said.out, said.err), (Some(0), expected, String::new()));
}

/// A snapshot after the third batch has the state of a window that slides every two batches: the second batch made it.
#[test]
fn the_batch_that_made_a_state_is_named() {
    let directory = Directory::with_job("operators");
    directory.write("queue.jsonl", format!("{NUMBERS}[]\n"));
    run(&directory, "inverse_beside_states", &["--set", "job.batch_interval=1s", "--stop-after", "3"]);
    let shown = json_of(&directory.run(&["checkpoint", "show", "checkpoint", "--json"]));
    let state = &shown["runs"][0]["state"];
    let snapshots = state["snapshots"].as_array().expect("a list");
    let third = snapshots.last().and_then(|last| last["batch_ms"].as_u64()).expect("a snapshot");
    // The snapshot is due after the third batch, and the end of the run needs the same one.
    assert_eq!((snapshots.len(), &snapshots[0]["rows"]), (1, &json!(6)), "{state}");
    let made = |operators: &Value, kind: &str| {
        let mut operators = operators.as_array().expect("a list").iter();
        operators.find(|operator| operator["kind"] == kind).and_then(|operator| operator["batch_ms"].as_u64())
    };
    let told = json_of(&directory.run(&["state", "list", "checkpoint", "--json"]));
    let window = "reduce_by_key_and_window_inverse";
    for operators in [&told["operators"], &state["operators"]] {
        let times = (made(operators, window), made(operators, "update_state_by_key"));
        assert_eq!(times, (Some(third - 1000), Some(third)), "{operators}");
    }
    for command in [["state", "list"], ["checkpoint", "show"]] {
        let said = directory.run(&[&command[..], &["checkpoint"]].concat());
        let line = said.out.lines().find(|line| line.contains(window)).expect("a line about the window");
        assert!(line.ends_with(&format!(" -> i64, after batch {}", Time::from_ms(third - 1000))), "{line}");
    }
}

#[test]
fn the_state_of_a_key_is_shown() {
    let directory = ran("update_state_by_key");
    let get = |key: &str| directory.run(&["state", "get", "checkpoint", "--key", key, "--json"]);
    let states: Vec<Value> = ["0", "1", "2"].map(|key| json_of(&get(key))["state"].clone()).to_vec();
    assert_eq!(states, [json!(3), json!(6), json!(7)]);
    let told = json_of(&get("1"));
    assert_eq!(
        (&told["from"], &told["key"], &told["operator"]["name"]),
        (&json!("snapshot"), &json!(1), &json!("sums"))
    );
    let said = directory.run(&["state", "get", "checkpoint", "--operator", "sums", "--key", "1"]);
    let batch = told["operator"]["batch_ms"].as_u64().expect("a time");
    let expected = format!(
        "operator: `sums` (update_state_by_key, node 2)\nfrom: the last snapshot, after batch {}\nkey: 1\nstate: 6\n",
        Time::from_ms(batch)
    );
    assert_eq!((said.code, said.out, said.err), (Some(0), expected, String::new()));
}

/// A second start adds a snapshot of changes. A key that was removed has no state any more.
#[test]
fn the_newest_snapshot_that_has_a_key_counts() {
    let directory = Directory::with_job("operators");
    directory.write("queue.jsonl", format!("{NUMBERS}[]\n[0, 2]\n[7, 1, 19]\n"));
    run(&directory, "update_state_by_key", &["--stop-after", "2"]);
    run(&directory, "update_state_by_key", &["--stop-when-idle"]);
    let shown = json_of(&directory.run(&["checkpoint", "show", "checkpoint", "--json"]));
    let snapshots = shown["runs"][0]["state"]["snapshots"].as_array().expect("a list");
    let full: Vec<&Value> = snapshots.iter().map(|snapshot| &snapshot["is_full"]).collect();
    assert_eq!(full, [&json!(true), &json!(false)], "{shown}");
    let mut rows = lines(&directory.run(&["state", "export", "checkpoint"]));
    rows.sort_by_key(|row| row["key"].as_i64());
    assert_eq!(rows, [json!({"key": 1, "state": 33}), json!({"key": 2, "state": 9})]);
    let get = |key: &str| directory.run(&["state", "get", "checkpoint", "--key", key, "--json"]);
    assert_eq!(["1", "2"].map(|key| json_of(&get(key))["state"].clone()), [json!(33), json!(9)]);
    assert_eq!(get("0").code, Some(2));
    let told = json_of(&directory.run(&["state", "list", "checkpoint", "--json"]));
    assert_eq!(told["operators"][0]["keys"], json!(2));
}

#[test]
fn all_keys_are_exported_in_each_format() {
    let directory = ran("update_state_by_key");
    let mut rows = lines(&directory.run(&["state", "export", "checkpoint"]));
    rows.sort_by_key(|row| row["key"].as_i64());
    assert_eq!(rows, [json!({"key": 0, "state": 3}), json!({"key": 1, "state": 6}), json!({"key": 2, "state": 7})]);
    let said = directory.run(&["state", "export", "checkpoint", "--format", "csv"]);
    let mut csv: Vec<&str> = said.out.lines().collect();
    csv[1..].sort_unstable();
    assert_eq!((csv, said.err.as_str()), (vec!["key,state", "0,3", "1,6", "2,7"], ""));
    directory.write("sums.parquet", "an older file");
    let args = ["state", "export", "checkpoint", "--format", "parquet", "--output", "sums.parquet"];
    let said = directory.run(&args);
    let start = "sums.parquet: 3 keys of operator `sums` (update_state_by_key, node 2) after batch ";
    assert!(said.code == Some(0) && said.out.starts_with(start) && said.err.is_empty(), "{} {}", said.out, said.err);
    let parquet = std::fs::read(directory.path("sums.parquet")).expect("the file is there");
    let mut parquet: Vec<String> = shown(&parquet).lines().map(str::to_owned).collect();
    parquet[3..].sort();
    let rows = ["{\"key\":0,\"state\":3}", "{\"key\":1,\"state\":6}", "{\"key\":2,\"state\":7}"];
    assert_eq!(parquet, [&["Parquet file", "key: Int64", "state: Int64"][..], &rows].concat());
    assert_eq!(unfinished(&directory), [""; 0]);
    // States that are lists have no form in CSV.
    let directory = ran("map_with_state");
    let said = directory.run(&["state", "export", "checkpoint", "--format", "csv", "--output", "states.csv"]);
    let message = "error: the state of operator `map_with_state` (node 2) in states.csv cannot be written as CSV: column \
                   `state` has values of type list<i64>\nhelp: write it as JSON or Parquet";
    require_error(&said, 2, message);
    assert!(!directory.path("states.csv").exists());
    assert_eq!(unfinished(&directory), [""; 0]);
    let rows = lines(&directory.run(&["state", "export", "checkpoint"]));
    assert!(!rows.is_empty() && rows.iter().all(|row| row["state"].is_array()), "{rows:?}");
}

#[test]
fn a_wrong_question_is_told_what_to_ask() {
    let directory = ran("update_state_by_key");
    let get = |args: &[&str]| directory.run(&[&["state", "get", "checkpoint"], args].concat());
    let missing = get(&["--key", "9"]);
    let start = "error: operator `sums` (update_state_by_key, node 2) has no state for key 9 in the last snapshot, after batch ";
    assert!(missing.code == Some(2) && missing.err.starts_with(start), "{}", missing.err);
    let help = "help: give --key a value of type i64 as JSON, such as 7, [\"a\",7] or {\"name\":\"a\"}";
    let wrong = "error: `\"a\"` is no key of operator `sums` (update_state_by_key, node 2): expected i64, found \"a\"";
    require_error(&get(&["--key", "\"a\""]), 2, &format!("{wrong}\n{help}"));
    let known = "help: give --operator one of these, by name: `sums` (update_state_by_key, node 2)";
    let unknown = format!("error: no operator with state is called `totals`\n{known}");
    require_error(&get(&["--operator", "totals", "--key", "1"]), 2, &unknown);
    require_error(&directory.run(&["state", "export", "checkpoint", "--operator", "totals"]), 2, &unknown);
    let said = directory.run(&["state", "get", "checkpoint", "--operator", "totals", "--key", "1", "--json"]);
    let error: Value = serde_json::from_str(&said.err).expect("the error is JSON");
    assert_eq!(error["error"]["message"], json!("no operator with state is called `totals`"));
}

#[test]
fn a_place_without_state_is_told() {
    let directory = Directory::with_job("network_word_count");
    let list = |place: &str| directory.run(&["state", "list", place]);
    let help = "help: name the directory in job.checkpoint, or the job file that names it";
    require_error(
        &list("nowhere"),
        2,
        &format!("error: cannot look for a checkpoint in nowhere: No such file or directory (os error 2)\n{help}"),
    );
    std::fs::create_dir(directory.path("empty")).expect("a directory can be made");
    let help = "help: name the directory in job.checkpoint; a job writes there once it runs";
    require_error(&list("empty"), 2, &format!("error: there is no checkpoint in empty\n{help}"));
    let said = directory.run(&["run", "job.toml", "--stop-when-idle", "--set", CHECKPOINT]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let said = list("checkpoint");
    let end = " in checkpoint directory checkpoint has no snapshot of state\nhelp: the job writes a snapshot when the checkpoint \
               interval of an operator with state ends, and when it is stopped\n";
    assert!(said.code == Some(2) && said.err.starts_with("error: run ") && said.err.ends_with(end), "{}", said.err);
}

/// A value of a saved file in the form of queues, in which tuples are lists.
fn with_tuples(value: Value) -> Value {
    match value {
        Value::Object(members) if members.contains_key("_1") => members.into_values().map(with_tuples).collect(),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (name, with_tuples(value))).collect())
        }
        other => other,
    }
}

/// Keys of each type are written as JSON, and text and bytes as they are. The key of each exported row finds its state.
#[test]
fn a_key_of_any_type_is_found() {
    let directory = ran("states_by_keys_of_many_types");
    let get = |operator: &str, key: &str| {
        directory.run(&["state", "get", "checkpoint", "--operator", operator, "--key", key, "--json"])
    };
    for (operator, keys, key, state) in [
        ("texts", 5, "number 1", 2),
        ("bytes", 5, "34", 4),
        ("floats", 1, "-0", 16),
        ("optionals", 4, "null", 4),
        ("tuples", 5, "[false, [\"5\"]]", 5),
        ("structs", 4, "{\"parity\": \"Odd\", \"type\": \"late\", \"at\": [0, 0]}", 8),
    ] {
        assert_eq!(json_of(&get(operator, key))["state"], json!(state), "{operator}");
        let rows = lines(&directory.run(&["state", "export", "checkpoint", "--operator", operator]));
        assert_eq!(rows.len(), keys, "{operator}: {rows:?}");
        for row in rows {
            let key = with_tuples(row["key"].clone());
            let text = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
            let found = json_of(&get(operator, &text));
            assert_eq!((&found["key"], &found["state"]), (&key, &row["state"]), "{operator}");
        }
    }
    let several = directory.run(&["state", "get", "checkpoint", "--key", "a"]);
    let known = "help: give --operator one of these, by name: `texts` (update_state_by_key, node ";
    assert!(
        several.code == Some(2) && several.err.contains("error: several operators keep state\n"),
        "{}",
        several.err
    );
    assert!(
        several.err.contains(known) && several.err.contains(", `structs` (update_state_by_key, node "),
        "{}",
        several.err
    );
}

/// If an export fails, the file that it would replace is unchanged. A link is kept, and the file that it points to is
/// replaced.
#[test]
fn an_export_that_fails_changes_no_file() {
    let directory = ran("update_state_by_key");
    let export = |file: &str| directory.run(&["state", "export", "checkpoint", "--output", file]);
    let content = |file: &str| std::fs::read_to_string(directory.path(file)).expect("it is there");
    directory.write("sums.jsonl", "older");
    directory.write(".sums.jsonl.unfinished-1", "of another export");
    std::os::unix::fs::symlink("sums.jsonl", directory.path("link")).expect("a link can be made");
    let part = snapshot_files(&directory).pop().expect("there is a part");
    let whole = std::fs::read(&part).expect("it can be read");
    std::fs::write(&part, "damaged").expect("it can be written");
    assert_eq!((export("sums.jsonl").code, export("link").code, export("new.jsonl").code), (Some(5), Some(5), Some(5)));
    assert_eq!((content("sums.jsonl").as_str(), directory.path("new.jsonl").exists()), ("older", false));
    assert_eq!(unfinished(&directory), [".sums.jsonl.unfinished-1"]);
    std::fs::write(&part, whole).expect("it can be written");
    assert_eq!(export("link").code, Some(0));
    assert_eq!((content("sums.jsonl").lines().count(), content("link")), (3, content("sums.jsonl")));
    assert_eq!(unfinished(&directory), [".sums.jsonl.unfinished-1"]);
    let said = export(".");
    let message = "error: cannot write .: is a directory\nhelp: is there room, and may you write there? is the program that reads \
                   the output still there?";
    require_error(&said, 4, message);
}

/// Commands fail if they cannot know which run is the current one.
#[test]
fn a_damaged_owner_is_told() {
    let directory = ran("update_state_by_key");
    directory.write("checkpoint/owner/epoch-00000001", "damaged");
    let message = "error: owner/epoch-00000001 in checkpoint directory checkpoint cannot be read: its first bytes are not those of \
                   a file that Millstream wrote\nhelp: remove that file if you are sure that no host uses the directory";
    require_error(&directory.run(&["state", "list", "checkpoint"]), 5, message);
    require_error(&directory.run(&["state", "get", "checkpoint", "--key", "1"]), 5, message);
}

/// A running job whose operators keep no state has an empty list.
#[test]
fn a_running_job_without_state_says_so() {
    let directory = Directory::with_job("network_word_count");
    let mut host = Running::start(directory.host(&["run", "job.toml"]));
    host.wait_for_more_out("Time: ", 1);
    host.wait_for_socket(&directory);
    let said = directory.run(&["state", "list", "job.toml"]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "the running job: 0 operators\n", ""));
    let message = "error: no operator of the job keeps state\nhelp: docs/state.md lists the operators that keep state";
    require_error(&directory.run(&["state", "get", "job.toml", "--key", "1"]), 2, message);
    assert_eq!(directory.run(&["stop"]).code, Some(0));
    assert_eq!(host.finish().code, Some(0));
}

/// `verify` finds damage, and each command that needs the damaged file reports it.
#[test]
fn a_damaged_part_is_found() {
    let directory = ran("update_state_by_key");
    let verify = || directory.run(&["checkpoint", "verify", "checkpoint"]);
    let said = verify();
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    let files = snapshot_files(&directory);
    let name = |file: &Path| file.file_name().expect("a name").to_string_lossy().into_owned();
    for file in &files {
        let line = said.out.lines().find(|line| line.contains(&format!("snapshots/{}:", name(file))));
        assert!(line.is_some_and(|line| line.ends_with("; the next start reads it")), "{}", said.out);
    }
    let damaged = |file: &Path, why: &str| {
        let said = verify();
        assert_eq!(said.code, Some(5), "{}", said.out);
        assert!(said.out.contains(&format!(" bytes: {why}; the job cannot go on with its state\n")), "{}", said.out);
        let help = "help: bring the file back from a backup, or start a new run with `host run --fresh`, which begins without \
                    state\n";
        assert!(said.err.ends_with(help), "{}", said.err);
        let said = directory.run(&["state", "export", "checkpoint"]);
        assert!(said.code == Some(5) && said.err.contains(&name(file)), "{}", said.err);
    };
    for file in &files {
        let bytes = std::fs::read(file).expect("it can be read");
        let mut changed = bytes.clone();
        *changed.last_mut().expect("it is not empty") ^= 1;
        std::fs::write(file, changed).expect("it can be written");
        damaged(file, "its checksum is wrong");
        std::fs::remove_file(file).expect("it can be removed");
        damaged(file, "it is missing");
        std::fs::write(file, bytes).expect("it can be written");
    }
    assert_eq!(verify().code, Some(0));
    let said = directory.run(&["checkpoint", "show", "checkpoint"]);
    for part in [
        "\n  state after batch: ",
        "\n    `sums` (update_state_by_key, node 2): 3 keys, ",
        "Z\n  snapshots: 1\n    batch ",
        "Z: all keys, 3 rows, ",
    ] {
        assert!(said.out.contains(part), "{part:?} is missing in {}", said.out);
    }
}

/// The live value of a key, through the control socket, while batches go on.
#[test]
fn a_running_job_shows_its_state() {
    let directory = Directory::with_job("operators");
    directory.write("queue.jsonl", NUMBERS);
    let operator = operator("update_state_by_key");
    let job = ["job.toml", "--set", CHECKPOINT, "--set", &operator];
    let mut host = Running::start(directory.host(&[&["run"], &job[..]].concat()));
    host.wait_for_more_out("(0,3)\n", 2);
    host.wait_for_socket(&directory);
    let told = json_of(&directory.run(&[&["state", "list"], &job[..], &["--json"]].concat()));
    assert_eq!((&told["from"], &told["operators"][0]["keys"]), (&json!("job"), &json!(3)));
    let get = |args: &[&str]| directory.run(&[&["state", "get"], &job[..], args].concat());
    let first = json_of(&get(&["--key", "1", "--json"]));
    assert_eq!((&first["from"], &first["key"], &first["state"]), (&json!("job"), &json!(1), &json!(6)));
    let batch_of = |told: &Value| told["operator"]["batch_ms"].as_u64().expect("a time");
    let mut later = first.clone();
    while batch_of(&later) == batch_of(&first) {
        later = json_of(&get(&["--key", "1", "--json"]));
    }
    assert!(batch_of(&later) > batch_of(&first), "batches go on");
    let said = get(&["--key", "0"]);
    assert!(
        said.out.contains("\nfrom: the running job, after batch 2") && said.out.ends_with("\nstate: 3\n"),
        "{}",
        said.out
    );
    let said = get(&["--key", "9"]);
    assert!(said.code == Some(2) && said.err.contains(" has no state for key 9 in the running job, after batch "));
    let unknown = "error: no operator with state is called `totals`\nhelp: give --operator one of these, by name: `sums` \
                   (update_state_by_key, node 2)";
    require_error(&get(&["--key", "9", "--operator", "totals"]), 2, unknown);
    let status = directory.run(&["status"]);
    assert!(status.out.contains("\nstate of `sums` (update_state_by_key, node 2): 3 keys, "), "{}", status.out);
    let status = json_of(&directory.run(&["status", "--json"]));
    let sums = &status["operators"][0];
    assert_eq!((&sums["keys"], &sums["state_type"]), (&json!(3), &json!("i64")));
    assert!(sums["bytes"].as_u64() > Some(0));
    assert_eq!(directory.run(&["stop"]).code, Some(0));
    assert_eq!(host.finish().code, Some(0));
    let last = json_of(&get(&["--key", "1", "--json"]));
    assert_eq!((&last["from"], &last["state"]), (&json!("snapshot"), &json!(6)));
    assert!(batch_of(&last) >= batch_of(&later), "a graceful stop leaves a snapshot");
}
