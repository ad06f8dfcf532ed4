//! `docs/parity.md`: the coverage table as a page for readers.
//!
//! Owns the form of the page. The rows come from [`crate::coverage`].

use crate::coverage::{AREAS, Coverage, Row, Status};
use std::fmt::Write as _;

/// The path of the page from the root of the repository.
pub const PATH: &str = "docs/parity.md";

/// How many tests of a row the page names. `tests/coverage.toml` names all.
const TESTS_MAX: usize = 2;

/// The page.
pub fn render(coverage: &Coverage) -> String {
    let mut page = format!(
        "# What is there, and what is not\n\n\
         <!-- Generated from tests/coverage.toml by: MILLSTREAM_BLESS=1 cargo test -p millstream-tests --test suite ledger -->\n\n\
         Everything that Spark Streaming's guides describe, row by row: {}.\n\n\
         A row is **shown** by tests that run in each check (`tests/coverage.toml` names them all), **documented** where a\n\
         document says how it is done here, **later** if it is still to be built, or has no meaning here.\n",
        coverage.summary()
    );
    // Writing to a string cannot fail.
    for (area, _, subject) in AREAS {
        let _ = write!(page, "\n## {subject}\n\n| Row | Feature | Status | Where |\n|---|---|---|---|\n");
        for (id, row) in coverage.area(area) {
            let (status, place) = claim(row);
            let _ = writeln!(page, "| {id} | {} | {status} | {place} |", row.title.replace('|', "\\|"));
        }
    }
    page
}

/// The status of a row in words, and where to look.
fn claim(row: &Row) -> (&'static str, String) {
    match &row.status {
        Status::Shown(tests) => {
            let mut named: Vec<String> = tests.iter().take(TESTS_MAX).map(|test| format!("`{test}`")).collect();
            match tests.len().saturating_sub(TESTS_MAX) {
                0 => {}
                more => named.push(format!("and {more} more")),
            }
            ("shown", named.join(", "))
        }
        Status::Documented(doc) => {
            // Documents stand beside the page or above it.
            let target = doc.strip_prefix("docs/").map_or_else(|| format!("../{doc}"), str::to_owned);
            ("documented", format!("[{doc}]({target})"))
        }
        Status::NotApplicable(reason) => ("no meaning here", reason.replace('|', "\\|")),
        Status::Later => ("later", String::new()),
    }
}
