//! Jobs with a checkpoint directory, as people start and restart them.

use super::super::support::binary::{Directory, Running, without_times};
use millstream_tests::programs;

fn directory() -> Directory {
    let directory = Directory::with_job("recoverable");
    let job = "[job]\nname = \"kept\"\nplugin = \"recoverable.wasm\"\nbatch_interval = \"20ms\"\ncheckpoint = \"checkpoint\"\n\
               args = { batch_ms = \"20\" }\n[sources.lines]\ntype = \"queue\"\npath = \"queue.jsonl\"\n";
    directory.write("job.toml", job);
    directory.write("queue.jsonl", "[\"a b\"]\n[\"c\"]\n[]\n[\"d\"]\n[\"e f g\"]\n[\"h\"]\n");
    directory
}

/// Requires that a run ends well, and returns what it said on standard error.
fn runs(directory: &Directory, args: &[&str]) -> String {
    let said = directory.run(&[&["run", "job.toml"], args].concat());
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    said.err
}

fn refused(directory: &Directory, args: &[&str], code: i32) -> String {
    let said = directory.run(&[&["run", "job.toml"], args].concat());
    assert_eq!(said.code, Some(code), "{}", said.err);
    without_times(said.error())
}

fn lines_saved(directory: &Directory) -> Vec<String> {
    let entries = std::fs::read_dir(directory.path("out")).expect("something was saved");
    let mut directories: Vec<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    directories.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("lines-")));
    directories.sort();
    let parts = directories.iter().flat_map(|directory| ["part-00000", "part-00001"].map(|part| directory.join(part)));
    let texts = parts.filter_map(|part| std::fs::read_to_string(part).ok());
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// S10.11 to S10.14: the same command starts a job for the first time and goes on with it; it can be made to insist on
/// either.
#[test]
fn a_job_is_stopped_and_goes_on() {
    let directory = directory();
    let error = refused(&directory, &["--from-checkpoint"], 2);
    assert_eq!(
        error,
        "error: there is no checkpoint in checkpoint\nhelp: leave out --from-checkpoint to start the job for the first time\n"
    );
    let first = runs(&directory, &["--stop-after", "2"]);
    assert!(!first.contains("RecoveryStarted"), "{first}");
    assert_eq!(lines_saved(&directory), ["a b", "c"]);
    let dry = directory.run(&["run", "job.toml", "--dry-run-recovery"]);
    assert_eq!(dry.code, Some(0), "{}", dry.err);
    assert!(dry.out.starts_with("would go on with run "), "{}", dry.out);
    assert!(dry.out.contains("computed again for windows, without outputs: "), "{}", dry.out);
    let second = runs(&directory, &["--from-checkpoint", "--stop-when-idle"]);
    assert!(second.contains("RecoveryStarted"), "{second}");
    assert_eq!(lines_saved(&directory), ["a b", "c", "d", "e f g", "h"]);
    runs(&directory, &["--stop-when-idle"]);
    assert_eq!(lines_saved(&directory), ["a b", "c", "d", "e f g", "h"]);
}

/// What `--dry-run-recovery --json` says, and that it writes nothing.
#[test]
fn a_dry_run_writes_nothing() {
    let directory = directory();
    let said = directory.run(&["run", "job.toml", "--dry-run-recovery", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&said.out).expect("one JSON object");
    assert_eq!((told["new_run"].as_bool(), told["missed"].as_u64()), (Some(true), Some(0)));
    assert!(!directory.path("checkpoint").exists() && !directory.path("out").exists());
}

/// S13.05, S13.06: another plugin does not go on with a run. A fresh run does, where the old one stopped.
#[test]
fn another_plugin_is_refused_and_a_fresh_run_goes_on() {
    let directory = directory();
    runs(&directory, &["--stop-after", "2"]);
    let mut other = programs::plugin("recoverable");
    // An empty custom section makes it another component that does the same.
    other.extend([0, 2, 1, b'x']);
    directory.write("recoverable.wasm", &other);
    let error = refused(&directory, &[], 2);
    assert!(error.contains(" in checkpoint is of another plugin: it has digest "), "{error}");
    assert!(error.contains(", and recoverable.wasm has "), "{error}");
    assert!(
        error.contains("\nhelp: bring the old plugin back, or start a new run of the new one with --fresh: "),
        "{error}"
    );
    assert_eq!(lines_saved(&directory), ["a b", "c"]);
    runs(&directory, &["--fresh", "--stop-when-idle"]);
    assert_eq!(lines_saved(&directory), ["a b", "c", "d", "e f g", "h"]);
    let runs = std::fs::read_dir(directory.path("checkpoint/runs")).expect("runs are there").count();
    assert_eq!(runs, 2, "the old run stays");
}

/// Each changed key is told with what it means, and one that does not fit what was kept is refused.
#[test]
fn changed_keys_are_told() {
    let directory = directory();
    runs(&directory, &["--stop-after", "1"]);
    let changed = ["--set", "job.on_error=continue", "--set", "job.parallelism=3", "--stop-after", "1"];
    let told = runs(&directory, &changed);
    assert!(told.contains("job.on_error was not given and is \"continue\": results are the same"), "{told}");
    assert!(told.contains("job.parallelism was not given and is 3: it holds from now on"), "{told}");
    let error = refused(&directory, &["--set", "job.batch_interval=10ms"], 2);
    assert!(error.contains("does not fit this job file: job.batch_interval was \"20ms\" and is \"10ms\""), "{error}");
    assert!(error.contains("--fresh"), "{error}");
    let error = refused(&directory, &["--set", "job.args.batch_ms=\"40\""], 2);
    assert!(error.contains("has another graph, from node "), "{error}");
}

/// Two hosts never write to one directory.
#[test]
fn a_second_host_is_refused() {
    let directory = directory();
    let mut first = Running::start(directory.host(&["run", "job.toml"]));
    first.wait_for_err("BatchCompleted");
    let error = refused(&directory, &[], 2);
    assert!(error.starts_with("error: checkpoint directory checkpoint is in use by process "), "{error}");
    assert!(error.contains("\nhelp: stop that host with `host stop`, "), "{error}");
    first.signal("TERM");
    assert_eq!(first.finish().code, Some(0));
    runs(&directory, &["--stop-when-idle"]);
}

/// A host that lost its directory, here because somebody removed the lock under it, shows nothing any more.
#[test]
fn an_owner_that_was_replaced_shows_nothing_any_more() {
    let directory = directory();
    directory.write("queue.jsonl", "[\"a\"]\n".repeat(100));
    let mut first = Running::start(directory.host(&["run", "job.toml"]));
    first.wait_for_err("BatchCompleted");
    std::fs::remove_file(directory.path("checkpoint/owner/lock")).expect("the lock is a file");
    let mut second = Running::start(directory.host(&["run", "job.toml"]));
    second.wait_for_err("BatchCompleted");
    let said = first.finish();
    assert_eq!(said.code, Some(4), "{}", said.err);
    assert!(said.error().contains("checkpoint directory checkpoint was taken over by process "), "{}", said.error());
    second.signal("KILL");
    second.finish();
    // What both did is what one would have done.
    runs(&directory, &["--stop-when-idle", "--catch-up", "none"]);
    assert_eq!(lines_saved(&directory), ["a"; 100]);
}

/// S10.04: a checkpoint directory that cannot be looked at for a while is waited for, wherever the host looks at it.
#[test]
fn a_directory_that_is_away_for_a_while_is_waited_for() {
    let directory = directory();
    let lines: Vec<String> = (0..100).map(|line| format!("line {line}")).collect();
    directory.write("queue.jsonl", lines.iter().map(|line| format!("[\"{line}\"]\n")).collect::<String>());
    directory.write("checkpoint-owner", "a file where a directory has to be");
    let exchange = || {
        let (file, owner) = (directory.path("checkpoint-owner"), directory.path("checkpoint/owner"));
        rustix::fs::renameat_with(rustix::fs::CWD, file, rustix::fs::CWD, owner, rustix::fs::RenameFlags::EXCHANGE)
            .expect("two names can be exchanged");
    };
    let mut running = Running::start(directory.host(&["run", "job.toml", "--stop-when-idle"]));
    running.wait_for_err("BatchCompleted");
    exchange();
    running.wait_for_err("CheckpointFailed");
    exchange();
    running.wait_for_err("CheckpointResumed");
    let said = running.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    assert_eq!(lines_saved(&directory), lines);
}

/// Options that mean nothing without a checkpoint directory say so.
#[test]
fn options_of_checkpoints_need_a_directory() {
    let directory = Directory::with_job("network_word_count");
    for option in [&["--fresh"][..], &["--from-checkpoint"], &["--catch-up", "all"], &["--dry-run-recovery"]] {
        let error = refused(&directory, option, 2);
        assert_eq!(
            error,
            format!(
                "error: {} needs a checkpoint directory, and job word-count has none\n\
                 help: set job.checkpoint in the job file\n",
                option[0]
            )
        );
    }
}

/// A queue file that lost what was read from it is told: a restart would read other data.
#[test]
fn a_queue_that_changed_is_told() {
    let directory = directory();
    runs(&directory, &["--stop-after", "4"]);
    directory.write("queue.jsonl", "[\"a b\"]\n[\"c\"]\n");
    let error = refused(&directory, &[], 2);
    assert!(error.contains("queue.jsonl is not the file that the job has read: data set 4: it is not there, but was when the job read it before"), "{error}");
}
