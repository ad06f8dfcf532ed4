//! Jobs with a checkpoint directory, as people start and restart them.

use super::super::support::binary::{Directory, Running, without_times};
use millstream_tests::programs;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

pub fn directory() -> Directory {
    let directory = Directory::with_job("recoverable");
    let job = "[job]\nname = \"kept\"\nplugin = \"recoverable.wasm\"\nbatch_interval = \"20ms\"\ncheckpoint = \"checkpoint\"\ndirectories = { out = \".\" }\n\
               args = { batch_ms = \"20\" }\n[sources.lines]\ntype = \"queue\"\npath = \"queue.jsonl\"\n";
    directory.write("job.toml", job);
    directory.write("queue.jsonl", "[\"a b\"]\n[\"c\"]\n[]\n[\"d\"]\n[\"e f g\"]\n[\"h\"]\n");
    directory
}

/// Requires that a run ends successfully, and returns its standard error.
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

pub fn lines_saved(directory: &Directory) -> Vec<String> {
    let entries = std::fs::read_dir(directory.path("out")).expect("something was saved");
    let mut directories: Vec<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    directories.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("lines-")));
    directories.sort();
    let parts = directories.iter().flat_map(|directory| ["part-00000", "part-00001"].map(|part| directory.join(part)));
    let texts = parts.filter_map(|part| std::fs::read_to_string(part).ok());
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// S10.11 to S10.14: the same command starts a job for the first time and resumes it. Options can require the one or
/// the other.
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
    assert!(dry.out.contains("computed again for windows and state, without outputs: "), "{}", dry.out);
    let second = runs(&directory, &["--from-checkpoint", "--stop-when-idle"]);
    assert!(second.contains("RecoveryStarted"), "{second}");
    assert_eq!(lines_saved(&directory), ["a b", "c", "d", "e f g", "h"]);
    runs(&directory, &["--stop-when-idle"]);
    assert_eq!(lines_saved(&directory), ["a b", "c", "d", "e f g", "h"]);
}

/// Checks the output of `--dry-run-recovery --json`, and that the command writes nothing.
#[test]
fn a_dry_run_writes_nothing() {
    let directory = directory();
    let said = directory.run(&["run", "job.toml", "--dry-run-recovery", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&said.out).expect("one JSON object");
    assert_eq!((told["new_run"].as_bool(), told["missed"].as_u64()), (Some(true), Some(0)));
    assert!(!directory.path("checkpoint").exists() && !directory.path("out").exists());
}

/// S13.05, S13.06: another plugin does not resume a run. A fresh run begins where the old run stopped.
#[test]
fn another_plugin_is_refused_and_a_fresh_run_goes_on() {
    let directory = directory();
    runs(&directory, &["--stop-after", "2"]);
    let mut other = programs::plugin("recoverable");
    // With an empty custom section, the component has another digest and does the same.
    other.extend([0, 2, 1, b'x']);
    directory.write("recoverable.wasm", &other);
    let error = refused(&directory, &[], 2);
    assert!(error.contains(" in checkpoint belongs to another plugin: that plugin has digest "), "{error}");
    assert!(error.contains(", and recoverable.wasm has "), "{error}");
    assert!(
        error.contains(
            "\nhelp: bring the old plugin back; to replace it without a gap, start the job with the old plugin and run"
        ),
        "{error}"
    );
    assert_eq!(lines_saved(&directory), ["a b", "c"]);
    runs(&directory, &["--fresh", "--stop-when-idle"]);
    assert_eq!(lines_saved(&directory), ["a b", "c", "d", "e f g", "h"]);
    let runs = std::fs::read_dir(directory.path("checkpoint/runs")).expect("runs are there").count();
    assert_eq!(runs, 2, "the old run stays");
}

/// Each changed key is reported with its consequence. A key that does not fit the kept data is refused.
#[test]
fn changed_keys_are_told() {
    let directory = directory();
    runs(&directory, &["--stop-after", "1"]);
    let changed = ["--set", "job.on_error=continue", "--set", "job.parallelism=3", "--stop-after", "1"];
    let told = runs(&directory, &changed);
    assert!(told.contains("job.on_error was not given and is \"continue\": results are the same"), "{told}");
    assert!(told.contains("job.parallelism was not given and is 3: the new value applies from now on"), "{told}");
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

/// A host that has lost its directory shows nothing any more. Here it loses the directory because the test removes the
/// lock.
#[test]
fn an_owner_that_was_replaced_shows_nothing_any_more() {
    let directory = directory();
    directory.write("queue.jsonl", "[\"a\"]\n".repeat(100));
    let mut first = Running::start(directory.host(&["run", "job.toml"]));
    first.wait_for_err("BatchCompleted");
    remove_locks(&directory);
    let mut second = Running::start(directory.host(&["run", "job.toml"]));
    second.wait_for_err("BatchCompleted");
    let said = first.finish();
    assert_eq!(said.code, Some(4), "{}", said.err);
    assert!(said.error().contains("checkpoint directory checkpoint was taken over by process "), "{}", said.error());
    second.signal("KILL");
    second.finish();
    // Both hosts together have done what one host would have done.
    runs(&directory, &["--stop-when-idle", "--catch-up", "none"]);
    assert_eq!(lines_saved(&directory), ["a"; 100]);
}

/// The new owner removes the files that the old owner has begun to write. The old owner reports that it was replaced,
/// and not which file is missing, also if its output fails before the host checks the owner.
#[test]
fn an_output_that_fails_after_a_takeover_names_the_takeover() {
    let directory = directory();
    directory.write("queue.jsonl", "[\"a\"]\n".repeat(100));
    let mut first = Running::start(directory.host(&["run", "job.toml"]));
    first.wait_for_err("BatchCompleted");
    first.signal("STOP");
    remove_locks(&directory);
    let mut second = Running::start(directory.host(&["run", "job.toml"]));
    second.wait_for_err("BatchCompleted");
    second.signal("KILL");
    second.finish();
    std::fs::rename(directory.path("out"), directory.path("saved")).expect("a directory can be renamed");
    directory.write("out", "a file where a directory has to be");
    first.signal("CONT");
    let said = first.finish();
    assert_eq!(said.code, Some(4), "{}", said.err);
    assert!(said.error().contains("checkpoint directory checkpoint was taken over by process "), "{}", said.error());
}

/// Removes the locks of the checkpoint directory and of the output, as a person could who does not know their purpose.
fn remove_locks(directory: &Directory) {
    std::fs::remove_file(directory.path("checkpoint/owner/lock")).expect("the lock is a file");
    for entry in std::fs::read_dir(directory.path("out")).expect("something was saved") {
        let path = entry.expect("it can be listed").path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".millstream-owner-")) {
            std::fs::remove_file(path).expect("a lock is a file");
        }
    }
}

/// S10.04: if a checkpoint directory cannot be read for a while, the host waits, at any point.
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

/// Options that have no meaning without a checkpoint directory are errors.
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

/// A queue file without data that was read from it is reported: a restart would read other data.
#[test]
fn a_queue_that_changed_is_told() {
    let directory = directory();
    runs(&directory, &["--stop-after", "4"]);
    directory.write("queue.jsonl", "[\"a b\"]\n[\"c\"]\n");
    let error = refused(&directory, &[], 2);
    assert!(error.contains("queue.jsonl is not the file that the job has read: data set 4: it is not there, but was when the job read it before"), "{error}");
}

/// Copies the content of a directory into another directory.
fn copied(directory: &Directory) -> Directory {
    let copy = Directory::new();
    let status = Command::new("cp").arg("-a").arg(directory.path(".")).arg(copy.path("")).status();
    assert!(status.expect("cp can be started").success());
    copy
}

/// The checkpoints of the only run, the newest first.
fn checkpoints(directory: &Directory) -> Vec<PathBuf> {
    let listed = |path: PathBuf| {
        let entries = std::fs::read_dir(path).expect("it can be listed");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
        paths.sort();
        paths
    };
    let [run] = listed(directory.path("checkpoint/runs")).try_into().expect("there is one run");
    let mut checkpoints = listed(run);
    checkpoints.reverse();
    checkpoints
}

/// The files that the outputs saved for the batches up to the last batch with lines: by name and time, the rows of all
/// parts.
fn saved(directory: &Directory) -> BTreeMap<(u64, String), String> {
    let entries = std::fs::read_dir(directory.path("out")).expect("something was saved");
    let mut saved = BTreeMap::new();
    for path in entries.map(|entry| entry.expect("it can be listed").path()) {
        let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
        let (output, time) = name.split_once('-').expect("it has a time");
        let parts =
            ["part-00000", "part-00001"].map(|part| std::fs::read_to_string(path.join(part)).unwrap_or_default());
        saved.insert((time.parse().expect("it is a number"), output.to_owned()), parts.concat());
    }
    let is_last = |((_, output), rows): &(&(u64, String), &String)| output == "lines" && !rows.is_empty();
    let (last, _) = saved.iter().rev().find(is_last).expect("lines were saved").0.clone();
    saved.retain(|(time, _), _| *time <= last);
    saved
}

/// S10.04: a run that resumes from any of the kept checkpoints has the same results. A checkpoint that is older than
/// all of them is refused, because windows would not be complete.
#[test]
fn a_run_goes_on_from_each_of_its_checkpoints() {
    let directory = directory();
    let queue: String = (0..30).map(|line| format!("[\"b{line} x\", \"y{line}\"]\n")).collect();
    directory.write("queue.jsonl", queue);
    runs(&directory, &["--stop-after", "3"]);
    let early = copied(&directory);
    runs(&directory, &["--stop-after", "20"]);
    assert_eq!(checkpoints(&directory).len(), 10);
    let mut expected = None;
    for damaged in 0..10 {
        let copy = copied(&directory);
        checkpoints(&copy).iter().take(damaged).for_each(|path| std::fs::remove_file(path).expect("it is there"));
        runs(&copy, &["--from-checkpoint", "--stop-when-idle"]);
        let found = saved(&copy);
        assert_eq!(lines_saved(&copy).len(), 60);
        let expected = expected.get_or_insert_with(|| found.clone());
        assert_eq!(found, *expected, "without {damaged} checkpoints");
    }
    // An early checkpoint is too old as soon as the log says that inputs are forgotten. The log says so with a batch
    // that is made after many checkpoints.
    let mut command = directory.host(&["run", "job.toml"]);
    command.env("MILLSTREAM_LOG", "debug");
    let mut host = Running::start(command);
    host.wait_for_more_err("CheckpointWritten", 12);
    host.signal("INT");
    assert_eq!(host.finish().code, Some(0));
    let runs = directory.path("checkpoint/runs");
    std::fs::rename(&runs, directory.path("aside")).expect("it is there");
    std::fs::rename(early.path("checkpoint/runs"), &runs).expect("it is there");
    let error = refused(&directory, &[], 5);
    assert!(
        error.starts_with("error: checkpoint directory checkpoint cannot be resumed from: the checkpoint is too old: "),
        "{error}"
    );
    assert!(error.contains("\nhelp: bring its files back from one backup, or start a new run with --fresh"), "{error}");
}

/// A directory whose checkpoints are gone is not the directory of a new job: a new job would save everything twice.
#[test]
fn checkpoints_that_are_gone_are_missed() {
    for whole_run in [false, true] {
        let directory = directory();
        runs(&directory, &["--stop-after", "2"]);
        match whole_run {
            true => std::fs::remove_dir_all(directory.path("checkpoint/runs")).expect("it is there"),
            false => checkpoints(&directory).iter().for_each(|path| std::fs::remove_file(path).expect("it is there")),
        }
        let told = ", which has no checkpoints";
        for args in [&[][..], &["--from-checkpoint"]] {
            let error = refused(&directory, args, 5);
            assert!(error.starts_with("error: checkpoint directory checkpoint: owner 1 names run "), "{error}");
            assert!(
                error.contains(told) && error.contains("\nhelp: bring the files below `runs` back from a backup; ")
            );
        }
        let verified = directory.run(&["checkpoint", "verify", "checkpoint"]);
        assert_eq!((verified.code, verified.out.contains(told)), (Some(5), true), "{}", verified.out);
        // The log alone is enough to notice this.
        std::fs::remove_dir_all(directory.path("checkpoint/owner")).expect("it is there");
        let error = refused(&directory, &[], 5);
        let told = "there is an allocation log, but no checkpoint of any run";
        assert!(error.contains(told), "{error}");
        let verified = directory.run(&["checkpoint", "verify", "checkpoint"]);
        assert_eq!((verified.code, verified.out.contains(told)), (Some(5), true), "{}", verified.out);
        assert_eq!(lines_saved(&directory), ["a b", "c"]);
        let fresh = runs(&directory, &["--fresh", "--stop-when-idle"]);
        assert!(fresh.contains("; the new run goes on after batch "), "{fresh}");
        assert_eq!(lines_saved(&directory), ["a b", "c", "d", "e f g", "h"], "nothing is saved twice");
        assert_eq!(directory.run(&["checkpoint", "verify", "checkpoint"]).code, Some(0));
    }
}
