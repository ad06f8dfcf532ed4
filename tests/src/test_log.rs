//! Finds the tests that have passed in a captured log of `cargo test`.
//!
//! Owns the reading of cargo's and libtest's output. A test is named by its target, as in `suite::golden::word_count`:
//! `Running suite/main.rs (.../suite-0123456789abcdef)` starts the target `suite`, `Doc-tests millstream` the
//! documentation tests of `millstream`.

use std::collections::BTreeMap;

/// The result of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The test printed `ok` each time it ran.
    Passed,
    /// The test printed something else at least once.
    Failed,
}

/// The outcomes of a log, by target and test.
#[derive(Debug, Default)]
pub struct TestLog {
    outcomes: BTreeMap<String, Outcome>,
}

impl TestLog {
    /// Reads a log that contains the output of cargo and of the tests.
    pub fn parse(text: &str) -> Self {
        let mut log = Self::default();
        let mut target = None;
        for line in text.lines() {
            if let Some(name) = started_target(line) {
                target = Some(name);
            } else if let (Some(target), Some((test, outcome))) = (&target, finished_test(line)) {
                log.record(target, test, outcome);
            }
        }
        log
    }

    /// The result of the test `target::path::of::test`. `None` if the test did not run.
    pub fn outcome(&self, test: &str) -> Option<Outcome> {
        let (target, path) = test.split_once("::")?;
        self.outcomes.get(&key(target, path)).copied()
    }

    fn record(&mut self, target: &str, test: &str, outcome: Outcome) {
        let recorded = self.outcomes.entry(key(target, test)).or_insert(outcome);
        if outcome == Outcome::Failed {
            *recorded = outcome;
        }
    }
}

fn key(target: &str, test: &str) -> String {
    format!("{}::{test}", target.replace('-', "_"))
}

/// The name of the target whose tests the following lines report.
fn started_target(line: &str) -> Option<&str> {
    let line = line.trim();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(name);
    }
    let (_, path) = line.strip_prefix("Running ")?.strip_suffix(')')?.rsplit_once('(')?;
    let program = path.rsplit(['/', '\\']).next()?;
    let (name, hash) = program.trim_end_matches(".exe").rsplit_once('-')?;
    hash.chars().all(|c| c.is_ascii_hexdigit()).then_some(name)
}

/// The test that a line reports, and its result. The name of a documentation test is the path of the documented item,
/// or the path of the file if the file itself is documented.
fn finished_test(line: &str) -> Option<(&str, Outcome)> {
    let (name, result) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let name = name.trim_end_matches(" - should panic");
    let name = match name.split_once(" - ") {
        Some((file, item)) if item.starts_with("(line ") => file,
        Some((_, item)) => item.split_once(" (line ").map_or(item, |(item, _)| item),
        None => name,
    };
    let passed = result == "ok" || result.starts_with("ok ");
    Some((name, if passed { Outcome::Passed } else { Outcome::Failed }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "
    Finished `test` profile [unoptimized + debuginfo] target(s) in 0.10s
     Running unittests src/lib.rs (target/debug/deps/host-0a1b2c3d4e5f6071)

running 2 tests
test time::tests::arithmetic_saturates ... ok
test time::tests::shared ... FAILED

     Running suite/main.rs (target/debug/deps/suite-1a1b2c3d4e5f6071)

running 3 tests
test golden::network_word_count ... ok
test golden::waits ... ignored, needs a broker
test golden::refuses - should panic ... ok

     Running unittests src/bin/text_source.rs (target/debug/deps/text_source-00112233aabbccdd)
test reads_options ... ok

   Doc-tests millstream

running 1 test
test plugins/millstream/src/dstream.rs - dstream::DStream<T>::map (line 12) ... ok
test plugins/millstream/src/lib.rs - (line 5) - compile ... ok
";

    #[test]
    fn a_test_counts_under_its_own_target_only() {
        let log = TestLog::parse(LOG);
        assert_eq!(log.outcome("host::time::tests::arithmetic_saturates"), Some(Outcome::Passed));
        assert_eq!(log.outcome("suite::golden::network_word_count"), Some(Outcome::Passed));
        assert_eq!(log.outcome("suite::golden::refuses"), Some(Outcome::Passed));
        assert_eq!(log.outcome("text-source::reads_options"), Some(Outcome::Passed));
        assert_eq!(log.outcome("suite::time::tests::arithmetic_saturates"), None);
    }

    #[test]
    fn failed_and_ignored_tests_did_not_pass() {
        let log = TestLog::parse(LOG);
        assert_eq!(log.outcome("host::time::tests::shared"), Some(Outcome::Failed));
        assert_eq!(log.outcome("suite::golden::waits"), Some(Outcome::Failed));
    }

    #[test]
    fn a_documentation_test_is_named_by_its_item() {
        let log = TestLog::parse(LOG);
        assert_eq!(log.outcome("millstream::dstream::DStream<T>::map"), Some(Outcome::Passed));
        assert_eq!(log.outcome("millstream::plugins/millstream/src/lib.rs"), Some(Outcome::Passed));
    }
}
