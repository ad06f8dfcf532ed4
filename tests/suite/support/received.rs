//! What a job with the plugin `recoverable` and its states has saved of numbered lines that a receiver brought, such as
//! `n17 w2`.

use std::collections::{BTreeMap, BTreeSet};

/// The outputs that are checked.
const OUTPUTS: [&str; 4] = ["lines", "counts", "window", "sums"];

/// The saved rows.
pub struct Received {
    interval_ms: u64,
    /// The rows of each output, by the time of the batch in ms.
    saved: BTreeMap<&'static str, BTreeMap<u64, Vec<String>>>,
}

/// The counts of words, as an output shows them.
fn shown(counts: &BTreeMap<&str, u64>) -> BTreeSet<String> {
    counts.iter().map(|(word, count)| format!("({word},{count})")).collect()
}

impl Received {
    /// `rows` are the rows that an output has saved, by the time of the batch in ms. Batches without rows may be left out.
    pub fn new(interval_ms: u64, rows: impl Fn(&str) -> BTreeMap<u64, Vec<String>>) -> Self {
        Self { interval_ms, saved: OUTPUTS.iter().map(|output| (*output, rows(output))).collect() }
    }

    /// The lines of each batch that has some.
    pub fn lines(&self) -> BTreeMap<u64, Vec<String>> {
        self.saved["lines"].clone().into_iter().filter(|(_, lines)| !lines.is_empty()).collect()
    }

    /// How often each number was saved.
    pub fn numbers(&self) -> BTreeMap<u64, u64> {
        let mut numbers = BTreeMap::new();
        for line in self.saved["lines"].values().flatten() {
            let number = line.split(' ').next().and_then(|word| word.strip_prefix('n')?.parse().ok());
            *numbers.entry(number.expect("each line has a number")).or_insert(0) += 1;
        }
        numbers
    }

    /// The words of the lines that a batch has saved.
    fn words(&self, time: u64) -> impl Iterator<Item = &str> {
        self.saved["lines"].get(&time).into_iter().flatten().flat_map(|line| line.split(' '))
    }

    /// Checks that windows and state hold exactly the words of the lines that the batches have saved. `about` is printed
    /// if they do not.
    pub fn check_windows_and_state(&self, about: &str) {
        for (output, batches) in [("counts", 3), ("window", 4)] {
            self.require_rows(output, about);
            for (time, rows) in &self.saved[output] {
                let mut counts = BTreeMap::new();
                for before in 0..batches {
                    self.words(time - before * self.interval_ms).for_each(|word| *counts.entry(word).or_insert(0) += 1);
                }
                let rows: BTreeSet<String> = rows.iter().cloned().collect();
                assert_eq!(rows, shown(&counts), "{output} at {time}: {about}");
            }
        }
        self.require_rows("sums", about);
        let mut sums = BTreeMap::from([("x", 5), ("initial", 1)]);
        for (time, rows) in &self.saved["sums"] {
            self.words(*time).for_each(|word| *sums.entry(word).or_insert(0) += 1);
            // The state of a word ends at ten.
            sums.retain(|_, sum| *sum < 10);
            let rows: BTreeSet<String> = rows.iter().cloned().collect();
            assert_eq!(rows, shown(&sums), "state at {time}: {about}");
        }
    }

    /// Requires that an output has rows of each batch that has lines.
    fn require_rows(&self, output: &str, about: &str) {
        let with_lines = self.saved["lines"].iter().filter(|(_, lines)| !lines.is_empty());
        for (time, _) in with_lines {
            assert!(self.saved[output].contains_key(time), "{output} at {time} is missing: {about}");
        }
    }
}
