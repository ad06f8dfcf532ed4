//! The coverage table is complete and well-formed, everything that it refers to exists, and the page made from it is
//! current.
//!
//! The program `ledger` checks that the cited tests pass: `tests/run` gives it the log of a whole run.

use millstream_tests::coverage::{self, Coverage};
use millstream_tests::{parity, repository};

fn table() -> Result<Coverage, Vec<String>> {
    Coverage::parse(&repository::file(coverage::PATH).expect("the coverage table can be read").text)
}

#[test]
fn the_coverage_table_has_every_row_of_the_checklist_and_no_broken_anchor() {
    let problems = match table() {
        Ok(coverage) => coverage.broken_docs(|path| repository::file(path).map(|file| file.text)),
        Err(problems) => problems,
    };
    assert!(problems.is_empty(), "{}:\n{}", coverage::PATH, problems.join("\n"));
}

#[test]
fn the_page_for_readers_is_current() {
    let page = parity::render(&table().expect("the table is well-formed"));
    let path = repository::root().join(parity::PATH);
    if std::env::var_os("MILLSTREAM_BLESS").is_some() {
        std::fs::write(&path, &page).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "{} is not what tests/coverage.toml says; write it anew with: MILLSTREAM_BLESS=1 cargo test -p millstream-tests \
         --test suite ledger",
        parity::PATH
    );
}
