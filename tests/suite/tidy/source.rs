//! The code that all rules share: the files that rules read, the violations that they report, and source text without
//! its strings.
//!
//! Rules look for words in comments, and for constructs in code. Rules ignore strings, so that the tests of the rules
//! can quote forbidden text.

use std::fmt;
use std::ops::RangeInclusive;

use millstream_tests::repository::{self, SourceFile};
use proc_macro2::{TokenStream, TokenTree};

/// A place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path of the file from the root of the repository.
    pub path: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The name of the rule.
    pub rule: &'static str,
    /// The problem, and what to do instead.
    pub message: String,
}

impl Violation {
    pub fn new(rule: &'static str, file: &SourceFile, line: usize, message: impl Into<String>) -> Self {
        Self { path: file.path.clone(), line, rule, message: message.into() }
    }
}

/// `host/src/block.rs:12: [layers] block must not import engine`.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: [{}] {}", self.path, self.line, self.rule, self.message)
    }
}

/// Fails the test with every violation on a line of its own.
pub fn require_none(violations: &[Violation]) {
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "against the rules:\n{}", lines.join("\n"));
}

/// Every Rust file that people of this project write.
pub fn rust_files() -> Vec<SourceFile> {
    repository::files(&["host", "plugins", "tests", "examples"], "rs").expect("the source tree can be read")
}

/// The Rust files of the host's library and program.
pub fn host_files() -> Vec<SourceFile> {
    repository::files(&["host/src"], "rs").expect("host/src can be read")
}

/// Applies a rule to each file.
pub fn check_all(files: &[SourceFile], rule: fn(&SourceFile) -> Vec<Violation>) -> Vec<Violation> {
    files.iter().flat_map(rule).collect()
}

/// The tokens of a file. If the compiler would refuse the file, the test fails and names the file.
pub fn tokens(file: &SourceFile) -> TokenStream {
    file.text.parse().unwrap_or_else(|error| panic!("{} has no valid tokens: {error}", file.path))
}

/// Calls `visit` with each token of a stream and of the groups in it. The arguments are the tokens of the token's
/// group, and the position of the token in this group.
pub fn for_each_token(tokens: TokenStream, visit: &mut impl FnMut(&[TokenTree], usize)) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, tree) in trees.iter().enumerate() {
        visit(&trees, at);
        if let TokenTree::Group(group) = tree {
            for_each_token(group.stream(), visit);
        }
    }
}

/// The syntax tree of a file.
pub fn syntax(file: &SourceFile) -> syn::File {
    syn::parse_file(&file.text).unwrap_or_else(|error| panic!("{} cannot be parsed: {error}", file.path))
}

/// Whether an item is compiled for tests only.
fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string();
            condition == "test" || condition.starts_with("all (test") || condition.starts_with("all(test")
        }
        _ => false,
    })
}

/// The lines of a file's test modules, one range for each.
pub fn test_lines(syntax: &syn::File) -> Vec<RangeInclusive<usize>> {
    let lines = |item: &syn::Item| match item {
        syn::Item::Mod(module) if is_test_only(&module.attrs) => {
            let start = module.attrs.first().map_or(module.mod_token.span, |attribute| attribute.pound_token.span);
            let end = module.content.as_ref().map_or(module.mod_token.span, |(brace, _)| brace.span.close());
            Some(start.start().line..=end.end().line)
        }
        _ => None,
    };
    syntax.items.iter().filter_map(lines).collect()
}

/// The lines of a file's items that are compiled for tests only, one range for each.
pub fn test_only_lines(syntax: &syn::File) -> Vec<RangeInclusive<usize>> {
    let lines = |item: &syn::Item| {
        let (attributes, end) = match item {
            syn::Item::Use(item) => (&item.attrs, item.semi_token.span.end().line),
            syn::Item::Fn(item) => (&item.attrs, item.block.brace_token.span.close().end().line),
            syn::Item::Impl(item) => (&item.attrs, item.brace_token.span.close().end().line),
            _ => return None,
        };
        let start = attributes.first()?.pound_token.span.start().line;
        is_test_only(attributes).then_some(start..=end)
    };
    let others = syntax.items.iter().filter_map(lines);
    test_lines(syntax).into_iter().chain(others).collect()
}

/// Whether a file is a test module of a crate, or part of one.
pub fn is_test_module(path: &str) -> bool {
    let in_crate = path.split_once("/src/").map_or("", |(_, below)| below);
    in_crate.split('/').any(|part| part == "tests" || part == "tests.rs")
}

/// The comments of a source text, documentation included. Each comment is on the line on which it stands in the source
/// text.
pub fn comments(text: &str) -> Vec<String> {
    let mut comments = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (kind, length) = region(rest, text[..text.len() - rest.len()].chars().next_back());
        let taken = if length == 0 { first.len_utf8() } else { length };
        let (here, after) = rest.split_at(taken);
        match kind {
            Region::Comment => comments.push_str(here),
            Region::Code | Region::Literal => comments.extend(here.chars().filter(|c| *c == '\n')),
        }
        rest = after;
    }
    comments.lines().map(str::to_owned).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Region {
    Code,
    Comment,
    Literal,
}

/// The kind of text with which `rest` begins, and its length in bytes; 0 for one character of code. `before` is the
/// character before `rest`.
fn region(rest: &str, before: Option<char>) -> (Region, usize) {
    if rest.starts_with("//") {
        return (Region::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Region::Comment, block_comment(rest));
    }
    if rest.starts_with('"') {
        return (Region::Literal, quoted(rest, '"'));
    }
    if rest.starts_with('\'') {
        let mut following = rest.chars().skip(1);
        let is_character = match (following.next(), following.next()) {
            (Some('\\'), _) => true,
            (_, after) => after == Some('\''),
        };
        return if is_character { (Region::Literal, quoted(rest, '\'')) } else { (Region::Code, 0) };
    }
    if before.is_none_or(|c| !c.is_alphanumeric() && c != '_') {
        let raw = ["r", "br", "cr"].into_iter().find_map(|prefix| rest.strip_prefix(prefix));
        if let Some(raw) = raw {
            let hashes = raw.len() - raw.trim_start_matches('#').len();
            if raw[hashes..].starts_with('"') {
                let opening = rest.len() - raw.len() + hashes + 1;
                let closing = format!("\"{}", "#".repeat(hashes));
                let end = rest[opening..].find(&closing).map_or(rest.len(), |at| opening + at + closing.len());
                return (Region::Literal, end);
            }
        }
    }
    (Region::Code, 0)
}

/// The length of the block comment at the start of the text; such comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of the literal at the start of the text, whose quotes are `quote`.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[test]
fn comments_are_told_from_code_and_strings() {
    let text = r###"let a = "// no"; // one
let b = r#"// "no""#; /* two
/* three */ four */ let c = '"'; // five
let d: &'a str = br"\"; // six"###;
    assert_eq!(comments(text), ["// one", "/* two", "/* three */ four */// five", "// six"]);
}
