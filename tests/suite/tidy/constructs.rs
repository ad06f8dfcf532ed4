//! Rules about single constructs: `unfinished`, `attributes`, `unsafe`, `select` and `unbounded`.

use millstream_tests::repository::SourceFile;
use proc_macro2::TokenTree;

use super::paths::{Call, Paths, is_punct};
use super::source::{Violation, check_all, comments, for_each_token, host_files, require_none, rust_files, tokens};

/// Words with which people mark unfinished work.
const UNFINISHED: &[&str] = &["TODO", "FIXME", "XXX"];

/// How far above `unsafe` its justification may begin.
const SAFETY_LINES: usize = 3;

/// Comments and names that say that work is left.
fn unfinished(file: &SourceFile) -> Vec<Violation> {
    let report = |line: usize, mark: &str| {
        Violation::new(
            "unfinished",
            file,
            line,
            format!("`{mark}`: finish it, or open an issue and say what holds now"),
        )
    };
    let mut violations = Vec::new();
    for (index, comment) in comments(&file.text).iter().enumerate() {
        let mut words = comment.split(|c: char| !c.is_alphanumeric() && c != '_');
        violations.extend(words.find(|word| UNFINISHED.contains(word)).map(|mark| report(index + 1, mark)));
    }
    for_each_token(tokens(file), &mut |trees, at| {
        if let TokenTree::Ident(word) = &trees[at]
            && UNFINISHED.iter().any(|mark| word == mark)
        {
            violations.push(report(word.span().start().line, &word.to_string()));
        }
    });
    violations
}

/// Attributes that silence a test or a lint for good.
fn silencing_attributes(file: &SourceFile) -> Vec<Violation> {
    let mut violations = Vec::new();
    for_each_token(tokens(file), &mut |trees, at| {
        let is_inner = is_punct(trees.get(at + 1), '!');
        let (true, Some(TokenTree::Group(attribute))) =
            (is_punct(trees.get(at), '#'), trees.get(at + if is_inner { 2 } else { 1 }))
        else {
            return;
        };
        let words: Vec<String> = attribute.stream().into_iter().map(|tree| tree.to_string()).collect();
        let nested = match (words.first().map(String::as_str), words.get(1)) {
            (Some("cfg_attr"), Some(arguments)) => arguments.as_str(),
            _ => "",
        };
        let has = |name: &str| {
            words.first().is_some_and(|word| word == name) || nested.split([',', ' ', '(']).any(|word| word == name)
        };
        let reasonless = words.first().is_some_and(|word| word == "expect")
            && words.get(1).is_some_and(|arguments| !arguments.contains("reason ="));
        let message = if has("allow") {
            "expect the lint instead of allowing it, with `reason = \"...\"`"
        } else if has("ignore") {
            "a test that does not run shows nothing: make it run or delete it"
        } else if reasonless {
            "say why the lint does not hold here, with `reason = \"...\"`"
        } else {
            return;
        };
        violations.push(Violation::new("attributes", file, attribute.span().start().line, message));
    });
    violations
}

/// The construct that begins with the word `unsafe`.
enum Unsafe {
    /// A function or trait whose users have to keep a promise. Its documentation must state the promise.
    Declaration,
    /// A block or an `impl`. A comment must say why it keeps the promise.
    Promise,
    /// The type of a function.
    Type,
}

/// Finds `unsafe` without a comment that says why it is sound, or which promise its users have to keep.
fn unjustified_unsafe(file: &SourceFile) -> Vec<Violation> {
    let comments = comments(&file.text);
    let lines: Vec<&str> = file.text.lines().collect();
    let is_justified = |line: usize| {
        let above = line.saturating_sub(1 + SAFETY_LINES)..line.min(comments.len());
        comments.get(above).is_some_and(|lines| lines.iter().any(|comment| comment.contains("SAFETY:")))
    };
    let is_documented = |line: usize| {
        let is_above = |at: &usize| {
            let is_comment = comments.get(*at).is_some_and(|comment| !comment.trim().is_empty());
            is_comment || lines[*at].trim_start().starts_with("#[")
        };
        let mut above = (0..line - 1).rev().take_while(is_above);
        above.any(|at| comments.get(at).is_some_and(|comment| comment.contains("# Safety")))
    };
    let mut violations = Vec::new();
    for_each_token(tokens(file), &mut |trees, at| {
        if !matches!(&trees[at], TokenTree::Ident(word) if word == "unsafe") {
            return;
        }
        let line = trees[at].span().start().line;
        let message = match kind_of_unsafe(&trees[at + 1..]) {
            Unsafe::Declaration if !is_documented(line) => "say what its users have to promise: `/// # Safety`",
            Unsafe::Promise if !is_justified(line) => {
                "say why it is sound: `// SAFETY: ...` on one of the 3 lines above"
            }
            _ => return,
        };
        violations.push(Violation::new("unsafe", file, line, message));
    });
    violations
}

fn kind_of_unsafe(following: &[TokenTree]) -> Unsafe {
    let is_word =
        |at: usize, wanted: &str| matches!(&following.get(at), Some(TokenTree::Ident(word)) if *word == wanted);
    // `extern "C" fn`, with or without the ABI.
    let function = following.iter().take(3).position(|tree| tree.to_string() == "fn");
    match function {
        Some(at) if is_word(0, "fn") || is_word(0, "extern") => match following.get(at + 1) {
            Some(TokenTree::Ident(_)) => Unsafe::Declaration,
            _ => Unsafe::Type,
        },
        _ if is_word(0, "trait") => Unsafe::Declaration,
        _ => Unsafe::Promise,
    }
}

/// Finds `select!` with a random choice.
fn random_select(file: &SourceFile) -> Vec<Violation> {
    let paths = Paths::of(tokens(file));
    let is_random = |parts: &[String], call| call == Some(Call::Macro) && parts.last().is_some_and(|p| p == "select");
    let random = paths.written.iter().filter(|path| is_random(&path.parts, path.call));
    let message = "begin with `biased;`: which branch is taken must not depend on chance";
    random.map(|path| Violation::new("select", file, path.line, message)).collect()
}

/// Finds channels that grow without a bound.
fn unbounded_channels(file: &SourceFile) -> Vec<Violation> {
    let paths = Paths::of(tokens(file));
    let ends_in = |parts: &[String], end: [&str; 2]| parts.ends_with(&end.map(str::to_owned));
    let is_unbounded = |parts: &[String], call: Option<Call>| {
        let last = parts.last().map_or("", String::as_str);
        matches!(last, "unbounded_channel" | "UnboundedSender" | "UnboundedReceiver")
            || ends_in(parts, ["mpsc", "unbounded"])
            || (ends_in(parts, ["mpsc", "channel"])
                && (parts.first().is_some_and(|first| first == "std") || call == Some(Call::WithoutArguments)))
    };
    let unbounded = paths.written.iter().filter(|path| is_unbounded(&path.parts, path.call));
    let message = "give the channel a bound, and say why that number";
    let mut violations: Vec<_> = unbounded.map(|path| Violation::new("unbounded", file, path.line, message)).collect();
    violations.dedup();
    violations
}

#[test]
fn nothing_is_marked_unfinished() {
    require_none(&check_all(&rust_files(), unfinished));
}

#[test]
fn no_test_is_ignored_and_no_lint_allowed() {
    require_none(&check_all(&rust_files(), silencing_attributes));
}

#[test]
fn every_unsafe_says_why_it_is_sound() {
    require_none(&check_all(&rust_files(), unjustified_unsafe));
}

#[test]
fn every_select_of_the_host_is_biased() {
    require_none(&check_all(&host_files(), random_select));
}

#[test]
fn every_channel_is_bounded() {
    require_none(&check_all(&rust_files(), unbounded_channels));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(rule: fn(&SourceFile) -> Vec<Violation>, text: &str) -> Vec<usize> {
        rule(&SourceFile::new("host/src/block.rs", text)).iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn unfinished_work_is_found_in_comments_and_names_only() {
        let bad = "// TODO: later\n/// FIXME\nfn f() {}\n/* a\n XXX */\nconst TODO: u8 = 1;";
        assert_eq!(lines(unfinished, bad), [1, 2, 5, 6]);
        assert_eq!(lines(unfinished, "const A: &str = \"TODO\"; // TODOS and XXXL"), [0usize; 0]);
    }

    #[test]
    fn an_ignored_test_and_an_allowed_lint_are_found() {
        let bad = "#![allow(dead_code)]\n#[ignore = \"slow\"]\nfn f() {}\n#[cfg_attr(test, allow(unused))]\n\
                   #[expect(unused)]\nmod m { m!(#[allow(x)] y); }";
        assert_eq!(lines(silencing_attributes, bad), [1, 2, 4, 5, 6]);
        let good = "#[expect(unused, reason = \"#[allow]\")]\n#[cfg(test)]\n#[doc = \"#[ignore]\"]\nfn allow() {}";
        assert_eq!(lines(silencing_attributes, good), [0usize; 0]);
    }

    #[test]
    fn an_unsafe_without_a_reason_is_found() {
        let bad = "fn f() {\n unsafe { g() } }\n// SAFETY: too far up.\n\n\n\nunsafe impl Send for A {}";
        assert_eq!(lines(unjustified_unsafe, bad), [2, 7]);
        let good = "fn f() {\n // SAFETY: g has no\n // precondition.\n let x =\n unsafe { g() }; }";
        assert_eq!(lines(unjustified_unsafe, good), [0usize; 0]);
        assert_eq!(lines(unjustified_unsafe, "const A: &str = \"SAFETY:\";\nunsafe impl A for B {}"), [2]);
    }

    #[test]
    fn an_unsafe_function_without_its_conditions_is_found() {
        let bad = "/// # Safety\n/// None.\nfn f() {}\n/// Text.\nunsafe fn g() {}\nunsafe extern \"C\" fn h() {}";
        assert_eq!(lines(unjustified_unsafe, bad), [5, 6]);
        let good = "/// # Safety\n/// The range must be UTF-8,\n///\n/// and\n/// short.\n#[inline]\nunsafe fn f() {}\n\
                    type F = unsafe extern \"C\" fn(u8);";
        assert_eq!(lines(unjustified_unsafe, good), [0usize; 0]);
    }

    #[test]
    fn a_random_select_is_found() {
        let bad = "async fn f() {\n tokio::select! { x = a => {} }\n m!(select! { y = b => {} }); }";
        assert_eq!(lines(random_select, bad), [2, 3]);
        assert_eq!(lines(random_select, "async fn f() { tokio::select! { biased; x = a => {} } }"), [0usize; 0]);
    }

    #[test]
    fn an_unbounded_channel_is_found() {
        let bad = "use std::sync::mpsc;\nfn f() {\n mpsc::channel();\n mpsc::channel::<u8>();\n\
                   tokio::sync::mpsc::unbounded_channel::<u8>(); }\nuse std::sync::mpsc::channel;";
        assert_eq!(lines(unbounded_channels, bad), [3, 4, 5, 6]);
        let good = "fn f() { tokio::sync::mpsc::channel(BLOCKS_MAX); std::sync::mpsc::sync_channel(1); }";
        assert_eq!(lines(unbounded_channels, good), [0usize; 0]);
    }
}
