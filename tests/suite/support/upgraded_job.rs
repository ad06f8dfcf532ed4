//! A job of the real binary whose plugin can be upgraded, with sources that number their records: the saved words say
//! which plugin has saved which record.
//!
//! The old plugin saves the word `N17.` as it is. The new one saves `n17`.

use super::binary::{Directory, Running, Said};
use millstream_tests::programs;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The name of the job.
pub const NAME: &str = "words";
const INTERVAL_MS: u64 = 200;
/// More records than a test needs, one for each batch.
const RECORDS: u64 = 2000;
/// How long before its time the first file is there.
const FIRST_FILE_MS: u64 = 1000;
/// How many records a job that was started has to save.
const MORE_RECORDS: usize = 3;

/// A job that counts words, in a directory of its own, with the plugins `v1.wasm`, which the job file names, and
/// `v2.wasm`.
pub struct UpgradedJob {
    /// The directory.
    pub directory: Directory,
}

/// The saved records: for each, the batch and whether the new plugin has saved it.
pub struct Saved(BTreeMap<u64, (u64, bool)>);

impl UpgradedJob {
    /// A job that reads a queue, of which each batch gets a numbered record and the line `boom`.
    pub fn on_queue() -> Self {
        let job = Self::with_source("type = \"queue\"\npath = \"queue.jsonl\"");
        let queue: String = (0..RECORDS).map(|number| format!("[\"N{number}.\", \"boom\"]\n")).collect();
        job.directory.write("queue.jsonl", queue);
        job
    }

    /// A job that reads files. Their modification times say to which batches they belong.
    pub fn on_files() -> Self {
        let job = Self::with_source("type = \"text-files\"\npath = \"in\"");
        fs::create_dir(job.directory.path("in")).expect("a directory can be made");
        let begin = since_1970().as_millis() as u64 + FIRST_FILE_MS;
        for number in 0..RECORDS {
            let name = format!("in/{number:04}");
            job.directory.write(&name, format!("N{number}.\n"));
            let modified = UNIX_EPOCH + Duration::from_millis(begin + number * INTERVAL_MS);
            let file = File::options().write(true).open(job.directory.path(&name)).expect("the file is there");
            file.set_modified(modified).expect("times can be set");
        }
        job
    }

    fn with_source(source: &str) -> Self {
        let directory = Directory::new();
        for (file, plugin) in [("v1.wasm", "upgrade"), ("v2.wasm", "upgrade_v2")] {
            directory.write(file, programs::plugin(plugin));
        }
        programs::host();
        fs::create_dir(directory.path("out")).expect("a directory can be made");
        let job = Self { directory };
        job.write_job_file("v1.wasm", source);
        job
    }

    fn write_job_file(&self, plugin: &str, source: &str) {
        self.directory.write(
            "job.toml",
            format!(
                "[job]\nname = \"{NAME}\"\nplugin = \"{plugin}\"\nbatch_interval = \"{INTERVAL_MS}ms\"\n\
                 checkpoint = \"checkpoint\"\ndirectories = {{ out = \"out\" }}\n\n[sources.lines]\n{source}\n"
            ),
        );
    }

    /// Replaces a text in the job file.
    pub fn edit_job_file(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.directory.path("job.toml")).expect("the job file is there");
        assert!(text.contains(from), "{text}");
        self.directory.write("job.toml", text.replacen(from, to, 1));
    }

    /// Starts the job and waits until it answers requests and has saved further records.
    pub fn start(&self) -> Running {
        let mut host = Running::start(self.directory.host(&["run", "job.toml", "--events", "events.jsonl"]));
        let before = self.saved().0.len();
        while self.saved().0.len() < before + MORE_RECORDS {
            host.wait_for_more_err("BatchCompleted", 1);
        }
        while !self.directory.path(&format!(".millstream/{NAME}.sock")).exists() {
            assert!(fs::exists(format!("/proc/{}", host.id())).unwrap_or(true), "the host has ended");
            std::thread::yield_now();
        }
        host
    }

    /// Stops the job gracefully. Returns its log.
    pub fn stop(&self, host: Running) -> String {
        let said = self.directory.run(&["stop"]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
        let said = host.finish();
        assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
        said.err
    }

    /// Starts the job again, lets it save further records, and stops it. Returns its log.
    pub fn goes_on(&self) -> String {
        let host = self.start();
        self.stop(host)
    }

    /// Runs a command. Its texts name files without the directory of the job.
    pub fn run(&self, args: &[&str]) -> Said {
        self.shortened(self.directory.run(args))
    }

    /// The output of a command, with names of files without the directory of the job.
    pub fn shortened(&self, said: Said) -> Said {
        let directory = self.directory.path("").canonicalize().expect("the directory is there");
        let directory = format!("{}/", directory.to_str().expect("the path is text").trim_end_matches('/'));
        let short = |text: &str| text.replace(&directory, "");
        Said { code: said.code, out: short(&said.out), err: short(&said.err) }
    }

    /// Runs a command that has to succeed, and returns what it printed.
    pub fn succeeds(&self, args: &[&str]) -> String {
        let Said { code, out, err } = self.run(args);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{args:?} printed {out}");
        out
    }

    /// The status of the upgrade.
    pub fn status(&self) -> Value {
        let said = self.run(&["upgrade", "status", "--json"]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
        serde_json::from_str(&said.out).expect("a status is JSON")
    }

    /// Waits until the upgrade has come as far as this.
    pub fn wait_for_phase(&self, phase: &str) -> Value {
        loop {
            let status = self.status();
            if status["phase"] == phase {
                return status;
            }
            for end in ["done", "rolled_back", "withdrawn", "aborted"] {
                assert_ne!(status["phase"], end, "{status:#}");
            }
        }
    }

    /// The runs of which the checkpoint directory holds something.
    pub fn runs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path("checkpoint/runs")).expect("the job has checkpoints");
        let mut runs = Vec::new();
        for entry in entries.map(|entry| entry.expect("it can be listed")) {
            if holds_a_file(&entry.path()) {
                runs.push(entry.file_name().into_string().expect("names are text"));
            }
        }
        runs
    }

    /// The records that are saved now. Each was saved once, and none between them is missing.
    pub fn saved(&self) -> Saved {
        let mut saved = BTreeMap::new();
        for entry in fs::read_dir(self.directory.path("out")).expect("something was saved") {
            let directory = entry.expect("it can be listed").path();
            let name = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let batch = name.strip_prefix("counts-").and_then(|rest| rest.strip_suffix(".txt")?.parse().ok());
            let Some(batch) = batch else { continue };
            for file in fs::read_dir(&directory).expect("it can be listed") {
                let file = file.expect("it can be listed").path();
                if !file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("part-")) {
                    continue;
                }
                for row in fs::read_to_string(&file).expect("rows are text").lines() {
                    let Some((number, is_new)) = record(row) else { continue };
                    let twice = saved.insert(number, (batch, is_new));
                    assert_eq!(twice, None, "record {number} is in batch {batch} too");
                }
            }
        }
        let numbers: Vec<u64> = saved.keys().copied().collect();
        let first = numbers.first().copied().unwrap_or(0);
        assert_eq!(numbers, (first..first + numbers.len() as u64).collect::<Vec<_>>());
        Saved(saved)
    }
}

impl Saved {
    /// Requires that exactly the records of the batches for which `is_new` returns true were saved by the new plugin.
    pub fn require(&self, is_new: impl Fn(u64) -> bool) {
        for (number, (batch, saved_by_new)) in &self.0 {
            assert_eq!(*saved_by_new, is_new(*batch), "record {number} of batch {batch}");
        }
    }

    /// The number of records that the old and the new plugin have saved.
    pub fn counts(&self) -> (usize, usize) {
        let of_new = self.0.values().filter(|(_, is_new)| *is_new).count();
        (self.0.len() - of_new, of_new)
    }
}

/// The number in a saved row, and whether the new plugin has saved the row. `None` for other rows.
fn record(row: &str) -> Option<(u64, bool)> {
    let (word, count) = row.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    let (number, is_new) = match word.strip_prefix('N') {
        Some(number) => (number.strip_suffix('.')?, false),
        None => (word.strip_prefix('n')?, true),
    };
    assert_eq!(count, "1", "{row}");
    Some((number.parse().ok()?, is_new))
}

fn holds_a_file(directory: &std::path::Path) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| path.is_file() || holds_a_file(&path))
}

#[expect(clippy::disallowed_methods, reason = "the real program runs on the real clock")]
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970")
}
