//! `host upgrade` and `host rollback`: another process upgrades a running job to a new plugin.

use super::super::support::binary::{Directory, Running, without_times};
use super::super::support::upgraded_job::UpgradedJob;
use super::require_error;
use millstream_tests::programs;
use serde_json::{Value, json};

/// The arguments of an upgrade that is ready soon.
const UPGRADE: [&str; 6] = ["upgrade", "job.toml", "--plugin", "v2.wasm", "--batches", "2"];

/// The arguments of an upgrade that is never ready.
const LONG_UPGRADE: [&str; 7] = ["upgrade", "job.toml", "--plugin", "v2.wasm", "--batches", "1000000", "--no-wait"];

fn with(args: &[&'static str], more: &[&'static str]) -> Vec<&'static str> {
    [args, more].concat()
}

/// The lines of a text that contain one of these words.
fn lines_with(text: &str, words: &[&str]) -> Vec<String> {
    let is_meant = |line: &&str| words.iter().any(|word| line.contains(word));
    text.lines().filter(is_meant).map(str::to_owned).collect()
}

/// The steps of upgrades in the events file, with the batch after which each takes effect.
fn steps(job: &UpgradedJob) -> Vec<(String, Option<u64>)> {
    let events = std::fs::read_to_string(job.directory.path("events.jsonl")).expect("the events file is there");
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event is JSON"));
    let changed = events.filter(|event| event["event"] == "UpgradeChanged");
    changed
        .map(|event| {
            let step = event["step"].as_str().expect("it has a step");
            (step.to_owned(), event["after_batch_time_ms"].as_u64())
        })
        .collect()
}

/// S13.01: the commands from the first look at a new plugin to the way back, and what each of them prints. Each record
/// is saved once, by the plugin that the commands name.
#[test]
fn a_new_plugin_is_compared_takes_over_and_hands_back() {
    let job = UpgradedJob::on_queue();
    let host = job.start();
    let ready = job.succeeds(&with(&UPGRADE, &["--keep", "100000", "--carry-state"]));
    let told = lines_with(&ready, &["`totals`", " same, "]);
    assert_eq!(told.len(), 3, "{ready}");
    assert_eq!(told[0], "changed  `totals` (update_state_by_key, node 9), now node 10", "{ready}");
    assert_eq!(told[1], "4 same, 3 changed, 4 gone, 5 new", "{ready}");
    assert!(told[2].starts_with("state of `totals` (update_state_by_key, node 10): "), "{ready}");
    assert!(told[2].ends_with(" carried over"), "{ready}");
    assert!(ready.contains("\nupgrade to v2.wasm: ready\n"), "{ready}");
    assert!(
        ready.ends_with("\nhand over with `host upgrade commit`, or end it with `host upgrade abort`\n"),
        "{ready}"
    );

    let status = job.status();
    let members =
        [&status["phase"], &status["options"]["batches"], &status["options"]["carry_state"], &status["reason"]];
    assert_eq!(members, [&json!("ready"), &json!(2), &json!(true), &Value::Null]);
    assert!(status["compared"].as_u64() >= Some(2) && status["differences"].as_u64() >= Some(2), "{status:#}");
    assert!(status["new"]["batches"].as_u64() >= Some(2) && status["slowdown"].is_f64(), "{status:#}");
    assert_ne!(status["old_run"], status["new_run"]);
    let outputs: Vec<&Value> = status["outputs"].as_array().into_iter().flatten().map(|told| &told["output"]).collect();
    assert_eq!(outputs, ["counts", "recent", "saved totals"]);
    let text = job.succeeds(&["upgrade", "status"]);
    for line in ["\ncounts: ", "\nold plugin: ", "\nnew plugin: ", "only old", "time of the tasks of the new plugin: "]
    {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    assert_eq!(job.runs().len(), 2);
    job.saved().require(|_| false);

    let committed = job.succeeds(&["upgrade", "commit"]);
    let lines: Vec<String> = without_times(&committed).lines().map(str::to_owned).collect();
    assert_eq!(lines[0], "upgrade to v2.wasm: handed over, the old run is kept", "{committed}");
    assert_eq!(lines[2], "the new plugin shows results after batch T", "{committed}");
    assert!(lines[3].ends_with(" batches: `host rollback` gives the job back"), "{committed}");
    let over = job.status()["handed_over_after_ms"].as_u64().expect("it was handed over");
    let run = serde_json::from_str::<Value>(&job.succeeds(&["status", "--json"])).expect("a status is JSON");
    assert_eq!(run["state"], "running");

    let back: Value = serde_json::from_str(&job.succeeds(&["rollback", "--json"])).expect("a status is JSON");
    assert_eq!(back["phase"], "rolled_back");
    let back_after = back["handed_back_after_ms"].as_u64().expect("it was handed back");
    let report = back["report"].as_str().expect("there is a report");
    let report = std::fs::read(job.directory.path("").join(report)).expect("the report can be read");
    let report: Value = serde_json::from_slice(&report).expect("the report is JSON");
    assert_eq!((&report["phase"], &report["outputs"]), (&back["phase"], &back["outputs"]));
    job.stop(host);
    let saved = job.saved();
    saved.require(|batch| over < batch && batch <= back_after);
    assert_eq!(job.runs().len(), 1, "the new run is gone");
    let steps = steps(&job);
    let names: Vec<&str> = steps.iter().map(|(step, _)| step.as_str()).collect();
    let end = names.len() - 5;
    assert_eq!(names[..2], ["preparing", "warming up"]);
    assert_eq!(names[end..], ["ready", "handing over", "handed over", "handing back", "rolled back"]);
    assert_eq!(steps[end + 2].1, Some(over));
}

/// A new plugin that fails is withdrawn with the failure: the command ends with exit code 3, and the job goes on.
#[test]
fn a_plugin_that_fails_is_withdrawn_with_the_reason() {
    let job = UpgradedJob::on_queue();
    job.directory.write("hostile.wasm", programs::plugin("hostile"));
    let mut host = job.start();
    let said = job.run(&[
        "upgrade",
        "job.toml",
        "--plugin",
        "hostile.wasm",
        "--set",
        "job.args.does=panic",
        "--batches",
        "1000000",
    ]);
    assert_eq!(said.code, Some(3), "{}{}", said.out, said.err);
    assert!(said.err.starts_with("error: the upgrade to hostile.wasm was withdrawn: "), "{}", said.err);
    let parts = [
        "operator `fragile` (map, node 1) failed on batch ",
        "the plugin does not like this line",
        "of source `lines`: boom; the old run goes on\nhelp: ",
        "mend the plugin, and upgrade again\n",
    ];
    for part in parts {
        assert!(said.err.contains(part), "{part:?} is not in {}", said.err);
    }
    let status = job.status();
    assert_eq!(status["phase"], "withdrawn");
    let text = job.succeeds(&["upgrade", "status"]);
    assert!(text.contains("\nreason: ") && text.contains("operator `fragile` (map, node 1) failed"), "{text}");
    host.wait_for_more_err("BatchCompleted", 2);
    job.stop(host);
    job.saved().require(|_| false);
    assert_eq!(job.runs().len(), 1, "nothing is left of the new run");
    assert_eq!(steps(&job).last().map(|(step, _)| step.as_str()), Some("withdrawn"));
}

/// What cannot be upgraded is refused as a mistake of the user, and the job goes on.
#[test]
fn what_cannot_run_beside_the_job_is_refused() {
    let job = UpgradedJob::on_queue();
    let host = job.start();
    let refused = |args: &[&'static str]| {
        let said = job.run(&with(&["upgrade", "job.toml"], args));
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert!(said.out.contains(": withdrawn\n"), "{}", said.out);
        assert_eq!(job.status()["phase"], "withdrawn");
        said.err
    };
    let none = refused(&["--plugin", "none.wasm"]);
    assert!(
        none.starts_with("error: the upgrade to none.wasm was withdrawn: cannot read plugin none.wasm: "),
        "{none}"
    );
    assert!(none.contains("\nhelp: "), "{none}");
    assert_eq!(
        refused(&["--plugin", "v2.wasm", "--set", "job.batch_interval=400ms"]),
        "error: the upgrade to v2.wasm was withdrawn: job.batch_interval was \"200ms\" and is \"400ms\": both runs \
         share what this key sets\nhelp: stop the job gracefully and start it again, with --fresh if its results \
         depend on the key\n"
    );
    assert_eq!(
        refused(&[]),
        "error: the upgrade to v1.wasm was withdrawn: v1.wasm is the plugin that runs already, with the same \
         settings\nhelp: name the new plugin with --plugin\n"
    );
    job.directory.write("text.wasm", "(module");
    let text = refused(&["--plugin", "text.wasm"]);
    assert!(text.starts_with("error: the upgrade to text.wasm was withdrawn: "), "{text}");
    job.stop(host);
    job.saved().require(|_| false);
}

/// A question that does not fit the phase of the upgrade is refused with what can be done instead.
#[test]
fn commands_that_come_at_the_wrong_time_are_refused() {
    let job = UpgradedJob::on_queue();
    let message = "error: cannot reach the host of job words: it does not run\nhelp: a host is found by";
    for args in [&UPGRADE[..], &["upgrade", "status"], &["upgrade", "commit"], &["upgrade", "abort"], &["rollback"]] {
        let said = job.run(args);
        assert_eq!(said.code, Some(4), "{}", said.err);
        assert!(said.err.starts_with(message), "{}", said.err);
    }
    let host = job.start();
    let begin = "help: begin one with `host upgrade JOB.TOML --plugin NEW.wasm`";
    for args in [&["upgrade", "status"][..], &["upgrade", "commit"], &["upgrade", "abort"], &["rollback"]] {
        let expected = format!("error: there was no upgrade of job words since its host was started\n{begin}");
        require_error(&job.run(args), 2, &expected);
    }
    job.succeeds(&LONG_UPGRADE);
    job.wait_for_phase("comparing");
    require_error(
        &job.run(&["upgrade", "commit"]),
        2,
        "error: the upgrade of job words is comparing: the new run is not ready\n\
         help: wait until `host upgrade status` says that it is ready, or give --force",
    );
    require_error(
        &job.run(&LONG_UPGRADE),
        2,
        "error: job words is being upgraded to v2.wasm already: comparing\n\
         help: look at it with `host upgrade status`, or end it with `host upgrade abort`",
    );
    require_error(
        &job.run(&["rollback"]),
        2,
        "error: the upgrade of job words is comparing: the old run still shows results\n\
         help: end the new run with `host upgrade abort`",
    );
    let aborted = job.succeeds(&["upgrade", "abort"]);
    assert!(aborted.starts_with("upgrade to v2.wasm: aborted\n"), "{aborted}");
    assert_eq!(job.runs().len(), 1, "nothing is left of the new run");
    require_error(
        &job.run(&["upgrade", "abort"]),
        2,
        "error: the upgrade of job words is aborted: there is no new run\n\
         help: look at the last upgrade with `host upgrade status`",
    );
    // A new plugin that is not ready takes over by force.
    job.succeeds(&LONG_UPGRADE);
    job.wait_for_phase("comparing");
    job.succeeds(&["upgrade", "commit", "--force"]);
    require_error(
        &job.run(&["upgrade", "commit"]),
        2,
        "error: the upgrade of job words is handed over, the old run is kept: the new run has taken the job over\n\
         help: give the job back with `host rollback`",
    );
    let over = job.status()["handed_over_after_ms"].as_u64().expect("it was handed over");
    job.stop(host);
    job.saved().require(|batch| batch > over);
}

/// A client that waits for an upgrade is told when another one ends the upgrade.
#[test]
fn a_waiting_client_is_told_that_the_upgrade_was_aborted() {
    let job = UpgradedJob::on_queue();
    let mut host = job.start();
    let waiting = Running::start(job.directory.host(&LONG_UPGRADE[..6]));
    host.wait_for_err("UpgradeChanged comparing");
    job.succeeds(&["upgrade", "abort"]);
    let said = job.shortened(waiting.finish());
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert_eq!(
        said.error(),
        "error: the upgrade to v2.wasm did not come to this end: it is aborted\nhelp: look at `host upgrade status`\n"
    );
    job.stop(host);
}

/// D9: other arguments of the job are an upgrade too, without a new plugin.
#[test]
fn an_edited_job_file_is_an_upgrade() {
    let job = UpgradedJob::on_queue();
    let mut host = job.start();
    job.edit_job_file("directories", "args = { of = \"the new run\" }\ndirectories");
    let printed = job.succeeds(&["upgrade", "job.toml", "--batches", "2", "--auto", "--keep", "1", "--max-diff", "0"]);
    let key = "key job.args.of: not given -> \"the new run\" (otherwise at a restart)\n";
    assert!(printed.contains(key), "{printed}");
    assert!(printed.contains("\nupgrade to v1.wasm: "), "{printed}");
    host.wait_for_err("UpgradeChanged done");
    let status = job.status();
    assert_eq!((&status["phase"], &status["differences"]), (&json!("done"), &json!(0)), "{status:#}");
    job.stop(host);
    let log = job.goes_on();
    assert!(!log.contains("was upgraded") && log.contains("RecoveryStarted"), "{log}");
    job.saved().require(|_| false);
}

/// A key that was set for an upgrade, and is not in the job file, holds after a restart. The host says so.
#[test]
fn a_key_that_was_set_for_an_upgrade_holds_at_the_next_start() {
    let job = UpgradedJob::on_queue();
    let host = job.start();
    let set = ["--set", "job.args.of=new", "--auto", "--keep", "100000"];
    job.succeeds(&with(&UPGRADE, &set));
    host.signal("KILL");
    assert_eq!(host.finish().code, None);
    let log = job.goes_on();
    let told = "the upgrade has set job.args.of, which holds until job.plugin names another plugin";
    assert!(log.contains(told), "{log}");
    assert!(!log.contains("job.args.of was"), "{log}");
    let (old, new) = job.saved().counts();
    assert!(old > 0 && new > 0, "{old} {new}");
}

/// A job file without a host and a plugin without a file are told apart, also as JSON.
#[test]
fn errors_of_upgrades_are_told_as_json() {
    let directory = Directory::with_job("network_word_count");
    let said = directory.run(&["upgrade", "job.toml", "--plugin", "none.wasm", "--json"]);
    let error: Value = serde_json::from_str(&said.err).expect("an error is JSON");
    assert_eq!((said.code, &error["error"]["kind"]), (Some(4), &json!("unavailable")));
    let job = UpgradedJob::on_queue();
    let host = job.start();
    let said = job.run(&["upgrade", "job.toml", "--plugin", "none.wasm", "--json"]);
    let error: Value = serde_json::from_str(&said.err).expect("an error is JSON");
    assert_eq!((said.code, &error["error"]["kind"]), (Some(2), &json!("user")));
    let status: Value = serde_json::from_str(&said.out).expect("a status is JSON");
    assert_eq!(status["phase"], "withdrawn");
    job.stop(host);
}
