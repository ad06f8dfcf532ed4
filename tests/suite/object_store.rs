//! The real binary with its checkpoint in an object store, and with outputs in the store, over a server that speaks S3.

use super::support::binary::{Directory, Running};
use super::support::s3_server::{BUCKET, Server};
use millstream_tests::programs;
use std::collections::BTreeMap;
use std::process::Command;

const INTERVAL_MS: u64 = 100;
const BATCHES: u64 = 40;

/// The lines of a batch.
fn text(batch: u64) -> Vec<String> {
    (0..1 + batch % 3).map(|line| format!("b{batch} l{line} x")).collect()
}

/// Makes a job over a queue whose checkpoint is at `checkpoint`, with more keys of `[job]`.
fn job(checkpoint: &str, keys: &str) -> Directory {
    let directory = Directory::new();
    directory.write("recoverable.wasm", programs::plugin("recoverable"));
    let queue: String = (0..BATCHES).map(|batch| format!("{:?}\n", text(batch))).collect();
    directory.write("queue.jsonl", queue + &"[]\n".repeat(12));
    let granted = if keys.contains("directories = ") { "" } else { "directories = { out = \".\" }\n" };
    let job = format!(
        "[job]\nname = \"stored\"\nplugin = \"recoverable.wasm\"\nbatch_interval = \"{INTERVAL_MS}ms\"\n\
         checkpoint = \"{checkpoint}\"\n{granted}{keys}\n[sources.lines]\ntype = \"queue\"\npath = \"queue.jsonl\"\n"
    );
    directory.write("job.toml", job);
    directory
}

fn in_bucket(prefix: &str) -> String {
    format!("s3://{BUCKET}/{prefix}")
}

fn host(directory: &Directory, server: &Server) -> Command {
    server.tell(directory.host(&["run", "job.toml", "--quiet", "--json", "--stop-when-idle"]))
}

/// The same command, with output for people.
fn plainly(directory: &Directory, server: &Server) -> Command {
    server.tell(directory.host(&["run", "job.toml", "--quiet", "--stop-when-idle"]))
}

fn args(rest: &str) -> String {
    format!("args = {{ batch_ms = \"{INTERVAL_MS}\"{rest} }}")
}

/// The files below `out` that have rows: by output, then by the number of the batch, counted from the first batch with
/// rows.
fn local_files(directory: &Directory) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for saved in std::fs::read_dir(directory.path("out")).expect("something was saved") {
        let saved = saved.expect("a directory can be listed").path();
        let name = saved.file_name().and_then(|name| name.to_str()).expect("names are text").to_owned();
        for file in std::fs::read_dir(&saved).expect("a directory can be listed") {
            let file = file.expect("a directory can be listed");
            let path = format!("{name}/{}", file.file_name().to_str().expect("names are text"));
            files.insert(path, std::fs::read(file.path()).expect("a file can be read"));
        }
    }
    files
}

/// The names begin with an output and a time. Times are replaced by numbers that count from the first time of any file
/// with rows.
fn without_times(files: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let parts = |name: &str| {
        let (output, rest) = name.split_once('-')?;
        let (time, rest) = rest.split_once('.')?;
        Some((output.to_owned(), time.parse::<u64>().ok()?, rest.to_owned()))
    };
    let has_rows = |name: &str, bytes: &[u8]| name.contains("txt/part") && !bytes.is_empty();
    let times = files.iter().filter(|(name, bytes)| has_rows(name, bytes)).filter_map(|(name, _)| Some(parts(name)?.1));
    let first = times.min().expect("something was saved");
    let named = files.into_iter().filter_map(|(name, bytes)| {
        let (output, time, rest) = parts(&name).unwrap_or_else(|| panic!("{name} has another form"));
        let batch = time.checked_sub(first)? / INTERVAL_MS;
        // Batches without rows may not have been made at all.
        (batch < BATCHES).then(|| (format!("{output}-{batch}.{rest}"), bytes))
    });
    named.collect()
}

/// S10.10, S10.12, S16.08, S16.23: a job that is killed and started again resumes at once from its checkpoint in the
/// store. It saves the same files as an undisturbed run.
#[test]
fn a_job_goes_on_from_a_checkpoint_in_a_store() {
    let server = Server::start();
    let killed = job(&in_bucket("jobs/killed"), &args(""));
    let undisturbed = job("checkpoint", &args(""));
    let other = Running::start(host(&undisturbed, &server));
    for batches in [6, 3, 4] {
        let mut running = Running::start(host(&killed, &server));
        running.wait_for_more_out("\"event\":\"BatchCompleted\"", batches);
        running.signal("KILL");
        let said = running.finish();
        assert_eq!((said.code, said.error()), (None, ""), "{}", said.err);
    }
    for running in [Running::start(host(&killed, &server)), other] {
        let said = running.finish();
        assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    }
    let expected = without_times(local_files(&undisturbed));
    assert!(expected.len() as u64 > 4 * BATCHES, "{}", expected.len());
    assert_eq!(without_times(local_files(&killed)), expected);
    let objects = server.objects("jobs/killed");
    assert!(objects.keys().any(|name| name.starts_with("owner/epoch-00000004")), "{:?}", objects.keys());
    assert!(!killed.path("s3:").exists());
}

/// S10.10: one host at a time, also if the store has no locks.
#[test]
fn a_second_host_is_refused_while_the_first_runs() {
    let server = Server::start();
    let directory = job(&in_bucket("jobs/one"), &args(""));
    let mut first = Running::start(host(&directory, &server));
    first.wait_for_out("BatchCompleted");
    let said = Running::start(plainly(&directory, &server)).finish();
    let error = said.error();
    assert_eq!(said.code, Some(2), "{error}");
    assert!(error.starts_with("error: checkpoint directory s3://bucket/jobs/one is in use by process "), "{error}");
    assert!(error.contains("\nhelp: stop that host, or give this job a checkpoint directory of its own"), "{error}");
    first.signal("TERM");
    let said = first.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    // A directory that was given back is free at once.
    let said = Running::start(host(&directory, &server)).finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
}

/// S10.10: while the store does not answer, the job says so and shows nothing. Then the job continues.
#[test]
fn a_job_waits_for_its_store() {
    let mut server = Server::start();
    let waiting = job(&in_bucket("jobs/waiting"), &args(""));
    let undisturbed = job("checkpoint", &args(""));
    let other = Running::start(host(&undisturbed, &server));
    let mut running = Running::start(server.tell(waiting.host(&["run", "job.toml", "--json", "--stop-when-idle"])));
    running.wait_for_out("\"event\":\"BatchCompleted\"");
    server.stop();
    running.wait_for_err("CheckpointFailed");
    server.resume();
    running.wait_for_err("CheckpointResumed");
    for running in [running, other] {
        let said = running.finish();
        assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    }
    assert_eq!(without_times(local_files(&waiting)), without_times(local_files(&undisturbed)));
}

/// The messages about faults of a store, and the exit code.
#[test]
fn what_is_wrong_with_a_store_is_told() {
    let mut server = Server::start();
    let directory = job("s3://other/prefix", &args(""));
    let tell = |command| Running::start(command).finish();
    let said = tell(directory.host(&["run", "job.toml"]));
    assert_eq!(
        (said.code, said.error()),
        (
            Some(2),
            "error: cannot use checkpoint directory s3://other/prefix: AWS_ACCESS_KEY_ID is not set\n\
             help: docs/object_stores.md says which variables the environment of the host needs\n"
        )
    );
    let said = tell(plainly(&directory, &server));
    assert!(said.error().contains("in checkpoint directory s3://other/prefix: "), "{}", said.error());
    assert!(said.error().contains(" says: NoSuchBucket\n"), "{}", said.error());
    assert!(
        said.error().ends_with("help: make the bucket, or correct the URL s3://other/prefix\n"),
        "{}",
        said.error()
    );
    let directory = job(&in_bucket("prefix"), &args(""));
    let mut wrong = plainly(&directory, &server);
    wrong.env("AWS_SECRET_ACCESS_KEY", "wrong");
    let said = tell(wrong);
    assert!(said.error().contains(" says: SignatureDoesNotMatch\n"), "{}", said.error());
    assert!(said.error().contains("\nhelp: correct AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"), "{}", said.error());
    server.stop();
    let said = tell(plainly(&directory, &server));
    assert!(said.error().contains(&format!("{} says: Connection refused", server.url())), "{}", said.error());
    assert!(
        said.error().ends_with("help: is the object store up, and can this machine reach it?\n"),
        "{}",
        said.error()
    );
}

/// S6.04, S6.17, S16.23: outputs in a store have the same bytes as outputs on a disk, and a batch is complete when
/// `_SUCCESS` exists, also if the job is killed and started again.
#[test]
fn outputs_in_a_store_are_those_of_a_disk() {
    let server = Server::start();
    let keys = format!("directories = {{ objects = \"{}\" }}\n", in_bucket("saved"));
    let stored = job("checkpoint", &(keys + &args(", out = \"objects:deep/\", parquet = \"yes\"")));
    let local = job("checkpoint", &args(", parquet = \"yes\""));
    let other = Running::start(host(&local, &server));
    for batches in [5, 4] {
        let mut running = Running::start(host(&stored, &server));
        running.wait_for_more_out("\"event\":\"BatchCompleted\"", batches);
        running.signal("KILL");
        running.finish();
    }
    for running in [Running::start(host(&stored, &server)), other] {
        let said = running.finish();
        assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    }
    let (saved, expected) = (server.objects("saved/deep"), without_times(local_files(&local)));
    assert!(expected.len() as u64 > 6 * BATCHES, "{}", expected.len());
    assert!(expected.keys().any(|name| name.ends_with(".parquet/part-00000.parquet")), "{:?}", expected.keys());
    assert_eq!(without_times(saved), expected);
    assert!(!stored.path("objects:deep").exists() && !stored.path("out").exists());
}

/// S6.04: partitions that are larger than a piece of an upload are uploaded in several pieces, and are visible only as
/// a whole.
#[test]
fn large_partitions_are_uploaded_in_pieces() {
    let server = Server::start();
    let keys = format!("directories = {{ objects = \"{}\" }}\n", in_bucket("large"));
    let stored = job("checkpoint", &(keys + &args(", out = \"objects:\"")));
    let local = job("checkpoint", &args(""));
    // Two partitions of 10 MiB have words that are short enough to be keys.
    let line = |number: usize| format!("{:07}", number % 50).repeat(146) + " end";
    let lines: Vec<String> = (0..20 << 10).map(line).collect();
    for directory in [&stored, &local] {
        directory.write("queue.jsonl", format!("{lines:?}\n[]\n"));
    }
    for directory in [&stored, &local] {
        let said = Running::start(host(directory, &server)).finish();
        assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    }
    let (saved, expected) = (without_times(server.objects("large")), without_times(local_files(&local)));
    assert!(expected["lines-0.txt/part-00001"].len() > 9 << 20);
    assert!(saved == expected, "{:?} and {:?}", saved.keys(), expected.keys());
}

/// S10.10: an output in a store has one writer at a time, with and without a checkpoint. After a host was killed, the
/// place is free at once on the same machine.
#[test]
fn outputs_in_a_store_have_an_owner() {
    let server = Server::start();
    let keys = format!("directories = {{ objects = \"{}\" }}\n", in_bucket("owned"));
    let first = job("checkpoint", &(keys.clone() + &args(", out = \"objects:\"")));
    let second = job("another", &(keys + &args(", out = \"objects:\"")));
    let mut running = Running::start(host(&first, &server));
    running.wait_for_out("\"event\":\"BatchCompleted\"");
    let said = Running::start(plainly(&second, &server)).finish();
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.error().contains(" cannot write to s3://bucket/owned/"), "{}", said.error());
    assert!(said.error().contains(": job stored, process "), "{}", said.error());
    running.signal("KILL");
    running.finish();
    let said = Running::start(plainly(&second, &server)).finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    let left = server.objects("owned").into_keys().filter(|name| name.contains(".millstream")).collect::<Vec<_>>();
    assert_eq!(left, Vec::<String>::new());
}

/// State in a store is looked at without the plugin, by its URL or by the file of the job.
#[test]
fn state_in_a_store_is_looked_at() {
    let server = Server::start();
    let directory = Directory::with_job("operators");
    directory.write("queue.jsonl", "[1, 2, 5, 1]\n[3, 4]\n");
    let url = in_bucket("jobs/state");
    let checkpoint = format!("job.checkpoint={url}");
    let operator = "job.args={ operator = \"update_state_by_key\" }";
    let run = |args: &[&str]| {
        let said = Running::start(server.tell(directory.host(args))).finish();
        assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
        said.out
    };
    run(&["run", "job.toml", "--set", &checkpoint, "--set", operator, "--stop-after", "2"]);
    std::fs::remove_file(directory.path("operators.wasm")).expect("the plugin is there");
    let mut exported: Vec<String> = run(&["state", "export", &url]).lines().map(str::to_owned).collect();
    exported.sort();
    assert_eq!(exported, ["{\"key\":0,\"state\":3}", "{\"key\":1,\"state\":6}", "{\"key\":2,\"state\":7}"]);
    assert!(run(&["state", "get", &url, "--key", "2"]).ends_with("\nkey: 2\nstate: 7\n"));
    assert!(run(&["state", "list", "job.toml", "--set", &checkpoint]).contains("): 3 keys, "));
    assert!(run(&["checkpoint", "verify", &url]).contains(": everything can be read\n"));
}
