//! The coverage table is complete and well-formed, and what it refers to exists.
//!
//! That the cited tests pass is checked by the `ledger` program, which `tests/run` gives the log of a whole run.

use millstream_tests::coverage::{self, Coverage};
use millstream_tests::repository;

#[test]
fn the_coverage_table_has_every_row_of_the_checklist_and_no_broken_anchor() {
    let table = repository::file(coverage::PATH).expect("the coverage table can be read");
    let problems = match Coverage::parse(&table.text) {
        Ok(coverage) => coverage.broken_docs(|path| repository::file(path).map(|file| file.text)),
        Err(problems) => problems,
    };
    assert!(problems.is_empty(), "{}:\n{}", coverage::PATH, problems.join("\n"));
}
