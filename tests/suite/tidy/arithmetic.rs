//! Rule `arithmetic`: modules that handle numbers of plugins and files have no arithmetic that can overflow.
//!
//! Clippy finds such arithmetic in modules that have the attribute below. This rule checks that these modules have the
//! attribute.

use millstream_tests::repository::SourceFile;

use super::source::{Violation, host_files, require_none};

const RULE: &str = "arithmetic";

/// The attribute, which follows the header of the module. Tests may calculate without it.
const ATTRIBUTE: &str = "#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]";

/// The modules that need the attribute. For a directory, all of its modules except tests need it.
const CHECKED: &[&str] = &[
    "checkpoint/allocation_log.rs",
    "checkpoint/allocations.rs",
    "checkpoint/codec.rs",
    "checkpoint/metadata.rs",
    "checkpoint/owner.rs",
    "checkpoint/recovery.rs",
    "checkpoint/retention.rs",
    "checkpoint/runs.rs",
    "checkpoint/verify.rs",
    "config/range.rs",
    "config/resolve.rs",
    "config/units.rs",
    "context/checkpoint.rs",
    "data/chunk/decode.rs",
    "data/schema/mod.rs",
    "data/schema/node.rs",
    "grants.rs",
    "grants/withheld.rs",
    "graph/",
    "plugin/describe.rs",
    "plugin/replay.rs",
    "time.rs",
];

/// The violation of a file, if the file needs the attribute and lacks it.
fn unchecked(file: &SourceFile) -> Vec<Violation> {
    let is_test = file.path.ends_with("tests.rs") || file.path.contains("/tests/");
    let is_plain = file.path.ends_with("/graph/mod.rs");
    let is_checked = CHECKED.iter().any(|name| {
        let path = format!("host/src/{name}");
        if name.ends_with('/') { file.path.starts_with(&path) } else { file.path == path }
    });
    if !is_checked || is_test || is_plain || file.text.lines().any(|line| line == ATTRIBUTE) {
        return Vec::new();
    }
    vec![Violation::new(
        RULE,
        file,
        1,
        format!("this module handles numbers from outside: begin it with `{ATTRIBUTE}`"),
    )]
}

#[test]
fn numbers_from_outside_are_counted_with_care() {
    let files = host_files();
    for name in CHECKED {
        let path = format!("host/src/{name}");
        assert!(files.iter().any(|file| file.path.starts_with(&path)), "{path} is not there any more");
    }
    require_none(&files.iter().flat_map(unchecked).collect::<Vec<_>>());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_the_lint_is_found() {
        let count = |path: &str, text: &str| unchecked(&SourceFile::new(path, text)).len();
        assert_eq!(count("host/src/time.rs", "//! Time.\n"), 1);
        assert_eq!(count("host/src/graph/new.rs", "//! New.\n"), 1);
        assert_eq!(count("host/src/time.rs", &format!("//! Time.\n\n{ATTRIBUTE}\n")), 0);
        assert_eq!(count("host/src/graph/new/tests.rs", "//! Tests.\n"), 0);
        assert_eq!(count("host/src/engine/mod.rs", "//! Runs.\n"), 0);
    }
}
