//! Rule `shown`: code that shows a path escapes it.
//!
//! The name of a file comes from outside, and may contain line ends or control sequences of a terminal. The rule
//! applies to the host, without its tests.

use super::source::{
    Violation, check_all, for_each_token, host_files, is_test_module, require_none, syntax, test_lines, tokens,
};
use millstream_tests::repository::SourceFile;
use proc_macro2::{Delimiter, TokenTree};

/// Finds calls of `display`, also in attributes of error types.
fn raw_paths(file: &SourceFile) -> Vec<Violation> {
    if is_test_module(&file.path) {
        return Vec::new();
    }
    let tests = test_lines(&syntax(file));
    let mut violations = Vec::new();
    for_each_token(tokens(file), &mut |trees, at| {
        let is_dot = |tree: &TokenTree| matches!(tree, TokenTree::Punct(mark) if mark.as_char() == '.');
        let is_name = matches!(&trees[at], TokenTree::Ident(word) if word == "display");
        let is_call =
            matches!(trees.get(at + 1), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
        let line = trees[at].span().start().line;
        if at > 0 && is_dot(&trees[at - 1]) && is_name && is_call && !tests.iter().any(|lines| lines.contains(&line)) {
            violations.push(Violation::new("shown", file, line, "show a path by `shown()` of host/src/shown.rs"));
        }
    });
    violations
}

#[test]
fn paths_are_escaped_where_they_are_shown() {
    require_none(&check_all(&host_files(), raw_paths));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_escaped_is_found() {
        let lines = |path: &str, text: &str| -> Vec<usize> {
            raw_paths(&SourceFile::new(path, text)).iter().map(|violation| violation.line).collect()
        };
        let bad = "fn f() { g(p.display()) }\n#[error(\"{}\", path.display())]\nstruct E;\n\
                   #[cfg(test)]\nmod tests { fn f() { p.display(); } }";
        assert_eq!(lines("host/src/block.rs", bad), [1, 2]);
        assert_eq!(lines("host/src/block/tests.rs", bad), [0usize; 0]);
        assert_eq!(lines("host/src/block.rs", "fn display() { p.shown(); display() }"), [0usize; 0]);
    }
}
