//! `ledger LOG`: fails unless every test that `tests/coverage.toml` cites has passed in a captured `cargo test` log.
//!
//! Prints one line for each claim that does not hold, and then the number of rows of the checklist with each status.

use std::env;
use std::fs;
use std::process::ExitCode;

use millstream_tests::coverage::{self, Coverage};
use millstream_tests::repository;
use millstream_tests::test_log::TestLog;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let (Some(log), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: ledger LOG, where LOG holds what `cargo test --workspace` printed");
        return ExitCode::from(2);
    };
    match check(&log) {
        Ok(summary) => {
            println!("ledger: {summary}");
            ExitCode::SUCCESS
        }
        Err(problems) => {
            for problem in &problems {
                eprintln!("ledger: {problem}");
            }
            eprintln!("ledger: {} claims of {} do not hold", problems.len(), coverage::PATH);
            ExitCode::FAILURE
        }
    }
}

/// The summary of the table if all its claims hold for the log at `path`, else the claims that do not hold.
fn check(path: &str) -> Result<String, Vec<String>> {
    let log = fs::read_to_string(path).map_err(|error| vec![format!("cannot read {path}: {error}")])?;
    let table = repository::file(coverage::PATH).ok_or_else(|| vec![format!("cannot read {}", coverage::PATH)])?;
    let coverage = Coverage::parse(&table.text)?;
    let mut problems = coverage.broken_docs(|path| repository::file(path).map(|file| file.text));
    problems.extend(coverage.unshown(&TestLog::parse(&log)));
    if problems.is_empty() { Ok(coverage.summary()) } else { Err(problems) }
}
