//! The outcome of a job in a simulated world: what it printed and saved, and how it ended.

use host::error::Error;
use std::collections::BTreeMap;

/// The results of a run.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The printed text.
    pub printed: String,
    /// The saved files, by their paths relative to the job file, as text.
    pub saved: BTreeMap<String, String>,
    /// The same files, byte for byte.
    pub bytes: BTreeMap<String, Vec<u8>>,
    /// Events and prints with their times, in order.
    pub log: Vec<String>,
    /// The result with which the run ended.
    pub result: Result<(), Error>,
    /// The tasks that ran again.
    pub retries: usize,
    /// The number of spilled bytes.
    pub spilled_bytes: u64,
    /// The number of writes to the disk.
    pub writes: u64,
    /// The number of operations on the files of which one may fail: by default, on snapshots of state.
    pub counted_operations: u64,
    /// The files of the checkpoint directory.
    pub checkpoint: BTreeMap<String, Vec<u8>>,
}

impl Outcome {
    /// The printed text, followed by the saved files.
    pub fn output(&self) -> String {
        let files = self.saved.iter().map(|(path, text)| format!("---- {path}\n{text}"));
        self.printed.clone() + &files.collect::<String>()
    }

    /// The lines of the output `lines` that were saved, each with the number of times.
    pub fn saved_lines(&self) -> BTreeMap<String, u64> {
        let mut lines = BTreeMap::new();
        for (_, text) in self.saved.iter().filter(|(path, _)| path.starts_with("out/lines-")) {
            for line in text.lines() {
                *lines.entry(line.to_owned()).or_default() += 1;
            }
        }
        lines
    }

    /// The sums of all counts that a word count printed, by word.
    pub fn totals(&self) -> BTreeMap<String, u64> {
        let mut totals = BTreeMap::new();
        let pair = |line: &str| {
            line.strip_prefix('(')?.strip_suffix(')')?.rsplit_once(',').map(|(w, n)| (w.to_owned(), n.to_owned()))
        };
        for (word, count) in self.printed.lines().filter_map(pair) {
            *totals.entry(word).or_default() += count.parse::<u64>().expect("a count is a number");
        }
        totals
    }

    /// The printed text of each batch: the time of the batch in ms, and the lines. Names of outputs are left out.
    pub fn batches(&self) -> Vec<(u64, Vec<String>)> {
        let mut batches: Vec<(u64, Vec<String>)> = Vec::new();
        let is_heading = |line: &&str| line.starts_with("---") || line.starts_with("Output: ");
        for line in self.printed.lines().filter(|line| !line.is_empty() && !is_heading(line)) {
            match (line.strip_prefix("Time: ").and_then(|rest| rest.strip_suffix(" ms")), batches.last_mut()) {
                (Some(time), _) => batches.push((time.parse().expect("a time is a number"), Vec::new())),
                (None, Some((_, lines))) => lines.push(line.to_owned()),
                (None, None) => panic!("a line before the first batch: {line}"),
            }
        }
        batches
    }

    /// The printed text of each batch, if it was the same each time that the batch ran.
    pub fn printed_once(&self) -> BTreeMap<String, String> {
        let mut blocks: BTreeMap<String, String> = BTreeMap::new();
        let rule = "-------------------------------------------\nTime: ";
        let mut of_batch: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for block in self.printed.split(rule).skip(1) {
            let (time, rows) = block.split_once('\n').expect("a batch begins with its time");
            of_batch.entry(time.to_owned()).or_default().push(rows.to_owned());
        }
        for (time, mut printed) in of_batch {
            printed.sort();
            printed.dedup();
            blocks.insert(time, printed.concat());
        }
        blocks
    }

    /// The message and help of the error that ended the run.
    pub fn error(&self) -> String {
        match &self.result {
            Ok(()) => panic!("the run succeeded; it printed:\n{}", self.printed),
            Err(error) => error.to_string(),
        }
    }
}
