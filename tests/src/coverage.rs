//! The coverage table: for each row of the feature checklist, the tests that show it.
//!
//! Owns the form of `tests/coverage.toml`. A row is `shown` by tests, `documented` by a section of a document,
//! `not-applicable` for a reason, or comes `later`. These claims are checked twice: the suite checks the table and its
//! anchors, and the program `ledger` checks that every cited test has passed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::markdown;
use crate::test_log::{Outcome, TestLog};

/// The path of the table from the root of the repository.
pub const PATH: &str = "tests/coverage.toml";

/// The areas of the checklist: for each area, its name, the number of its rows, and its subject. Rows count from 01.
pub const AREAS: [(&str, usize, &str); 19] = [
    ("S1", 36, "Context and its life"),
    ("S2", 53, "Sources and receivers, and their reliability"),
    ("S3", 22, "Transformations without state"),
    ("S4", 21, "State and windows"),
    ("S5", 9, "Joins"),
    ("S6", 19, "Output operations, and patterns of foreachRDD"),
    ("S7", 10, "SQL and data frames"),
    ("S8", 4, "Machine learning"),
    ("S9", 18, "Caching, storage levels, block storage"),
    ("S10", 22, "Checkpoints and recovery"),
    ("S11", 6, "Accumulators and broadcast variables"),
    ("S12", 22, "Deployment"),
    ("S13", 6, "Upgrading code"),
    ("S14", 8, "Monitoring"),
    ("S15", 28, "Performance tuning"),
    ("S16", 26, "Fault-tolerance semantics"),
    ("S17", 26, "Comparisons with other systems"),
    ("S18", 27, "Example programs"),
    ("S19", 15, "Conflicts and gaps of the specification"),
];

/// The claim about a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// These tests show the feature. A test is named `target::path::of::test`.
    Shown(Vec<String>),
    /// This section of a document, `FILE.md#anchor`, says how the feature is provided here.
    Documented(String),
    /// The feature has no meaning here, for this reason.
    NotApplicable(String),
    /// The feature is still to be built.
    Later,
}

/// A row of the checklist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The feature of the row.
    pub title: String,
    /// The claim about the row.
    pub status: Status,
}

/// The coverage table, complete and well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    rows: BTreeMap<String, Row>,
}

/// A row as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRow {
    title: Option<String>,
    status: Option<String>,
    tests: Option<Vec<String>>,
    doc: Option<String>,
    reason: Option<String>,
}

impl Coverage {
    /// Reads the table. On failure, returns a message for each mistake in the table.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let table: toml::Table = text.parse().map_err(|error| vec![format!("{PATH} is not TOML: {error}")])?;
        let mut problems = wrong_ids(table.keys());
        let mut rows = BTreeMap::new();
        for (id, value) in table {
            match value.try_into::<RawRow>().map_err(|error| error.to_string()).and_then(RawRow::row) {
                Ok(row) => _ = rows.insert(id, row),
                Err(problem) => problems.push(format!("{id}: {}", problem.trim_end())),
            }
        }
        if problems.is_empty() { Ok(Self { rows }) } else { Err(problems) }
    }

    /// The rows that are documented by an anchor that does not exist. `read` returns the text of the document at a path
    /// from the root.
    pub fn broken_docs(&self, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
        let mut documents: BTreeMap<&str, Option<BTreeSet<String>>> = BTreeMap::new();
        let mut problems = Vec::new();
        for (id, row) in &self.rows {
            let Status::Documented(doc) = &row.status else { continue };
            let Some((path, anchor)) = doc.split_once('#') else {
                problems.push(format!("{id}: `{doc}` is not of the form FILE.md#anchor"));
                continue;
            };
            match documents.entry(path).or_insert_with(|| read(path).map(|text| markdown::anchors(&text))) {
                None => problems.push(format!("{id}: there is no {path}")),
                Some(anchors) if anchors.contains(anchor) => {}
                Some(anchors) => {
                    let known = anchors.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                    problems.push(format!("{id}: {path} has no heading #{anchor}; it has {known}"));
                }
            }
        }
        problems
    }

    /// The rows whose claim names a test that the log does not report as passed.
    pub fn unshown(&self, log: &TestLog) -> Vec<String> {
        let mut problems = Vec::new();
        for (id, row) in &self.rows {
            let Status::Shown(tests) = &row.status else { continue };
            for test in tests {
                match log.outcome(test) {
                    Some(Outcome::Passed) => {}
                    Some(Outcome::Failed) => problems.push(format!("{id}: {test} did not pass")),
                    None => problems.push(format!("{id}: {test} did not run")),
                }
            }
        }
        problems
    }

    /// The rows of an area such as `S3`, in order, each with its id.
    pub fn area<'a>(&'a self, area: &'a str) -> impl Iterator<Item = (&'a str, &'a Row)> {
        let is_of_area = move |id: &str| id.strip_prefix(area).is_some_and(|rest| rest.starts_with('.'));
        self.rows.iter().map(|(id, row)| (id.as_str(), row)).filter(move |(id, _)| is_of_area(id))
    }

    /// How many rows have which status: `41 shown, 5 documented, 60 not applicable, 272 later`.
    pub fn summary(&self) -> String {
        let count = |is: fn(&Status) -> bool| self.rows.values().filter(|row| is(&row.status)).count();
        format!(
            "{} shown, {} documented, {} not applicable, {} later",
            count(|status| matches!(status, Status::Shown(_))),
            count(|status| matches!(status, Status::Documented(_))),
            count(|status| matches!(status, Status::NotApplicable(_))),
            count(|status| matches!(status, Status::Later)),
        )
    }
}

impl RawRow {
    /// Returns the row, or a message about its mistake. A field that does not belong to the status is a mistake.
    fn row(mut self) -> Result<Row, String> {
        let title = self.title.take().filter(|title| !title.trim().is_empty()).ok_or("it has no title")?;
        Ok(Row { title, status: self.status()? })
    }

    fn status(self) -> Result<Status, String> {
        let status = self.status.ok_or("it has no status")?;
        let tests = self.tests.filter(|tests| !tests.is_empty());
        let doc = self.doc.filter(|doc| !doc.trim().is_empty());
        let reason = self.reason.filter(|reason| !reason.trim().is_empty());
        match (status.as_str(), tests, doc, reason) {
            ("shown", Some(tests), None, None) => match tests.iter().find(|test| !test.contains("::")) {
                None => Ok(Status::Shown(tests)),
                Some(test) => Err(format!("the test `{test}` is not of the form target::path::of::test")),
            },
            ("documented", None, Some(doc), None) => Ok(Status::Documented(doc)),
            ("not-applicable", None, None, Some(reason)) => Ok(Status::NotApplicable(reason)),
            ("later", None, None, None) => Ok(Status::Later),
            ("shown", ..) => Err("status `shown` needs `tests` and nothing else".to_owned()),
            ("documented", ..) => Err("status `documented` needs `doc` and nothing else".to_owned()),
            ("not-applicable", ..) => Err("status `not-applicable` needs `reason` and nothing else".to_owned()),
            ("later", ..) => Err("status `later` has no `tests`, `doc` or `reason`".to_owned()),
            (other, ..) => {
                Err(format!("unknown status `{other}`; use `shown`, `documented`, `not-applicable` or `later`"))
            }
        }
    }
}

/// Ids that are missing from the table and ids that the checklist does not have.
fn wrong_ids<'a>(found: impl Iterator<Item = &'a String>) -> Vec<String> {
    let found: BTreeSet<String> = found.cloned().collect();
    let expected: BTreeSet<String> =
        AREAS.iter().flat_map(|(area, rows, _)| (1..=*rows).map(move |row| format!("{area}.{row:02}"))).collect();
    let missing = expected.difference(&found).map(|id| format!("{id}: the table has no such row, the checklist has"));
    let extra = found.difference(&expected).map(|id| format!("{id}: the checklist has no such row"));
    missing.chain(extra).collect()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// A complete table in which S1.01 is `first` and every other row comes later.
    fn table(first: &str) -> String {
        let mut text = format!("[\"S1.01\"]\n{first}\n");
        for (area, rows, _) in AREAS {
            for row in (1..=rows).filter(|row| area != "S1" || *row != 1) {
                writeln!(text, "[\"{area}.{row:02}\"]\ntitle = \"t\"\nstatus = \"later\"").expect("a string grows");
            }
        }
        text
    }

    fn problems(first: &str) -> Vec<String> {
        Coverage::parse(&table(first)).expect_err("the table is wrong")
    }

    #[test]
    fn the_checklist_has_378_rows() {
        assert_eq!(AREAS.iter().map(|(_, rows, _)| rows).sum::<usize>(), 378);
    }

    #[test]
    fn a_missing_and_an_extra_id_are_named() {
        let text = table("title = \"t\"\nstatus = \"later\"").replace("\"S19.15\"", "\"S19.16\"");
        let problems = Coverage::parse(&text).expect_err("the ids are wrong");
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("S19.15: the table has no such row"), "{problems:?}");
        assert!(problems[1].starts_with("S19.16: the checklist has no such row"), "{problems:?}");
    }

    #[test]
    fn an_unknown_status_and_a_missing_field_are_named() {
        assert!(problems("title = \"t\"\nstatus = \"done\"")[0].contains("unknown status `done`"));
        assert!(problems("title = \"t\"\nstatus = \"shown\"\ntests = []")[0].contains("needs `tests`"));
        assert!(problems("title = \"t\"\nstatus = \"not-applicable\"")[0].contains("needs `reason`"));
        assert!(problems("status = \"later\"")[0].contains("no title"));
        assert!(problems("title = \"t\"\nstatus = \"later\"\nreazon = \"x\"")[0].contains("reazon"));
        assert!(problems("title = \"t\"\nstatus = \"shown\"\ntests = [\"alone\"]")[0].contains("`alone`"));
    }

    #[test]
    fn a_broken_anchor_is_named() {
        let read = |path: &str| (path == "README.md").then(|| "# What is promised\n".to_owned());
        let broken = |doc: &str| {
            let row = format!("title = \"t\"\nstatus = \"documented\"\ndoc = \"{doc}\"");
            Coverage::parse(&table(&row)).expect("the table is well-formed").broken_docs(read)
        };
        assert_eq!(broken("README.md#what-is-promised"), Vec::<String>::new());
        assert_eq!(broken("README.md#x"), ["S1.01: README.md has no heading #x; it has what-is-promised"]);
        assert_eq!(broken("NO.md#x"), ["S1.01: there is no NO.md"]);
        assert_eq!(broken("README.md"), ["S1.01: `README.md` is not of the form FILE.md#anchor"]);
    }

    #[test]
    fn a_cited_test_must_have_passed_under_its_target() {
        let log = TestLog::parse(
            "     Running suite/main.rs (target/debug/deps/suite-0123456789abcdef)\n\
             test golden::network_word_count ... ok\n\
             test golden::windows ... FAILED\n",
        );
        let unshown = |test: &str| {
            let row = format!("title = \"t\"\nstatus = \"shown\"\ntests = [\"{test}\"]");
            Coverage::parse(&table(&row)).expect("the table is well-formed").unshown(&log)
        };
        assert_eq!(unshown("suite::golden::network_word_count"), Vec::<String>::new());
        assert_eq!(unshown("suite::golden::windows"), ["S1.01: suite::golden::windows did not pass"]);
        assert_eq!(
            unshown("host::golden::network_word_count"),
            ["S1.01: host::golden::network_word_count did not run"]
        );
    }

    #[test]
    fn the_summary_counts_each_status() {
        let coverage = Coverage::parse(&table("title = \"t\"\nstatus = \"not-applicable\"\nreason = \"r\""));
        let summary = coverage.expect("the table is well-formed").summary();
        assert_eq!(summary, "0 shown, 0 documented, 1 not applicable, 377 later");
    }
}
