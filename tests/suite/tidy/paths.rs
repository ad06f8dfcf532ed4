//! Every path that a source file names, in code, in `use` declarations and inside macro calls alike.
//!
//! Works on tokens, so that macros cannot hide a path. Also resolves shorter names that the file imports.

use std::collections::HashMap;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path as a file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPath {
    /// The parts of the path: `use a::{b, c::*};` names `[a, b]` and `[a, c, *]`.
    pub parts: Vec<String>,
    /// The line of the first part.
    pub line: usize,
    /// The number of inline modules that enclose the path.
    pub depth: usize,
    /// The arguments of the call that begins with the path. `None` if no call begins with it.
    pub call: Option<Call>,
}

/// The part of a call after the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `path()`.
    WithoutArguments,
    /// `path(...)`.
    WithArguments,
    /// `path! { biased; ... }`.
    BiasedMacro,
    /// `path! { ... }`.
    Macro,
}

/// The paths of one file.
#[derive(Debug, Default)]
pub struct Paths {
    /// The paths as they are written.
    pub written: Vec<NamedPath>,
    /// For each name that a `use` declares, the path that the name stands for.
    declared: HashMap<String, Vec<String>>,
}

impl Paths {
    /// Finds all paths in the tokens of a file.
    pub fn of(tokens: TokenStream) -> Self {
        let mut paths = Self::default();
        paths.walk(&trees(tokens), 0);
        paths
    }

    /// The full form of a path whose first part is a name that a `use` of this file declares.
    pub fn resolved(&self, path: &NamedPath) -> Option<Vec<String>> {
        let (first, rest) = path.parts.split_first()?;
        let declared = self.declared.get(first)?;
        Some(declared.iter().chain(rest).cloned().collect())
    }

    fn walk(&mut self, trees: &[TokenTree], depth: usize) {
        let mut at = 0;
        while let Some(tree) = trees.get(at) {
            match tree {
                TokenTree::Ident(word) if word == "mod" => at += self.module(&trees[at..], depth),
                TokenTree::Ident(word) if word == "use" && !is_punct(trees.get(at + 1), '<') => {
                    let end = trees[at..].iter().position(|tree| is_punct(Some(tree), ';'));
                    let end = end.map_or(trees.len(), |length| at + length);
                    self.use_trees(&trees[at + 1..end], &[], depth);
                    at = end;
                }
                TokenTree::Ident(_) => at += self.path(&trees[at..], depth),
                TokenTree::Group(group) => {
                    self.walk(&self::trees(group.stream()), depth);
                    at += 1;
                }
                _ => at += 1,
            }
        }
    }

    /// Walks `mod name { ... }` one level deeper. Returns how many tokens it has read.
    fn module(&mut self, trees: &[TokenTree], depth: usize) -> usize {
        match trees {
            [_, TokenTree::Ident(_), TokenTree::Group(body), ..] if body.delimiter() == Delimiter::Brace => {
                self.walk(&self::trees(body.stream()), depth + 1);
                3
            }
            _ => 1,
        }
    }

    /// Reads the path at the start of `trees`, generic arguments in its middle included. Returns how many tokens it
    /// has read.
    fn path(&mut self, trees: &[TokenTree], depth: usize) -> usize {
        let Some(TokenTree::Ident(first)) = trees.first() else { return 1 };
        let mut parts = vec![first.to_string()];
        let line = first.span().start().line;
        let mut at = 1;
        while is_path_separator(trees.get(at..)) {
            match trees.get(at + 2) {
                Some(TokenTree::Ident(part)) => {
                    parts.push(part.to_string());
                    at += 3;
                }
                Some(TokenTree::Punct(punct)) if punct.as_char() == '<' => {
                    let length = generic_arguments(&trees[at + 2..]);
                    self.walk(&trees[at + 3..at + 2 + length], depth);
                    at += 2 + length;
                }
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.use_trees(&self::trees(group.stream()), &parts, depth);
                    at += 3;
                }
                _ => break,
            }
        }
        let call = call(trees.get(at..).unwrap_or_default());
        self.written.push(NamedPath { parts, line, depth, call });
        at
    }

    /// Reads `a::b, c::{d, e as f}, g::*` below `prefix`.
    fn use_trees(&mut self, trees: &[TokenTree], prefix: &[String], depth: usize) {
        for tree in trees.split(|tree| is_punct(Some(tree), ',')) {
            self.use_tree(tree, prefix, depth);
        }
    }

    fn use_tree(&mut self, tree: &[TokenTree], prefix: &[String], depth: usize) {
        let mut parts = prefix.to_vec();
        let mut name = None;
        let mut line = None;
        let mut words = tree.iter();
        while let Some(word) = words.next() {
            line = line.or(Some(word.span().start().line));
            match word {
                TokenTree::Ident(word) if word == "as" => name = words.next().map(ToString::to_string),
                TokenTree::Ident(word) if word == "self" && !parts.is_empty() => {}
                TokenTree::Ident(word) => parts.push(word.to_string()),
                TokenTree::Punct(punct) if punct.as_char() == '*' => parts.push("*".to_owned()),
                TokenTree::Group(group) => {
                    self.use_trees(&self::trees(group.stream()), &parts, depth);
                    return;
                }
                _ => {}
            }
        }
        let (Some(line), Some(last)) = (line, parts.last()) else { return };
        self.declared.insert(name.unwrap_or_else(|| last.clone()), parts.clone());
        self.written.push(NamedPath { parts, line, depth, call: None });
    }
}

fn trees(tokens: TokenStream) -> Vec<TokenTree> {
    tokens.into_iter().collect()
}

pub fn is_punct(tree: Option<&TokenTree>, wanted: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

fn is_path_separator(trees: Option<&[TokenTree]>) -> bool {
    trees.is_some_and(|trees| is_punct(trees.first(), ':') && is_punct(trees.get(1), ':'))
}

/// The number of tokens from `<` to the `>` that closes it.
fn generic_arguments(trees: &[TokenTree]) -> usize {
    let mut depth = 0_usize;
    for (at, tree) in trees.iter().enumerate() {
        let is_arrow = at > 0 && is_punct(trees.get(at - 1), '-');
        if is_punct(Some(tree), '<') {
            depth += 1;
        } else if is_punct(Some(tree), '>') && !is_arrow {
            depth -= 1;
            if depth == 0 {
                return at + 1;
            }
        }
    }
    trees.len()
}

fn call(following: &[TokenTree]) -> Option<Call> {
    match following {
        [TokenTree::Group(group), ..] if group.delimiter() == Delimiter::Parenthesis => {
            Some(if group.stream().is_empty() { Call::WithoutArguments } else { Call::WithArguments })
        }
        [TokenTree::Punct(bang), TokenTree::Group(body), ..] if bang.as_char() == '!' => {
            let body = trees(body.stream());
            let is_biased = matches!(body.first(), Some(TokenTree::Ident(word)) if word == "biased");
            Some(if is_biased && is_punct(body.get(1), ';') { Call::BiasedMacro } else { Call::Macro })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Vec<String> {
        let paths = Paths::of(text.parse().expect("the text has valid tokens"));
        paths.written.iter().map(|path| path.parts.join("::")).filter(|path| path.contains("::")).collect()
    }

    #[test]
    fn use_declarations_are_spelled_out() {
        let text = "use crate::{block::{self, Block as B}, time}; pub use a::b::*;";
        assert_eq!(written(text), ["crate::block", "crate::block::Block", "crate::time", "a::b::*"]);
    }

    #[test]
    fn paths_are_found_in_types_calls_attributes_and_macros() {
        let text = "#[derive(clap::Parser)] struct S(Vec<a::T>);
            fn f() { vec![b::g(c::K)]; Vec::<d::T>::new(); <e::T as f::Q>::x(); }";
        let expected = ["clap::Parser", "a::T", "b::g", "c::K", "d::T", "Vec::new", "e::T", "f::Q"];
        assert_eq!(written(text), expected);
    }

    #[test]
    fn a_name_stands_for_what_was_imported() {
        let text = "use std::{time as clock, fs::File}; fn f() { clock::Instant::now(); }";
        let paths = Paths::of(text.parse().expect("the text has valid tokens"));
        let call = paths.written.last().expect("the call is found");
        assert_eq!(call.parts, ["clock", "Instant", "now"]);
        assert_eq!(paths.resolved(call), Some(["std", "time", "Instant", "now"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn calls_and_inline_modules_are_recognised() {
        let text = "mod inner { fn f() { a::b(); a::c(1); d! { biased; x } e!(x) } }";
        let paths = Paths::of(text.parse().expect("the text has valid tokens"));
        let calls: Vec<_> = paths.written.iter().filter_map(|path| path.call.map(|call| (call, path.depth))).collect();
        let expected =
            [Call::WithoutArguments, Call::WithoutArguments, Call::WithArguments, Call::BiasedMacro, Call::Macro];
        assert_eq!(calls, expected.map(|call| (call, 1)));
    }
}
