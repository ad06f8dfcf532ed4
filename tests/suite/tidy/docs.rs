//! Rule `docs`: links and anchors of our documents are valid, and ARCHITECTURE.md stays short enough to be read.

use std::collections::BTreeSet;

use millstream_tests::markdown;
use millstream_tests::repository::{self, SourceFile};

use super::source::{Violation, require_none};

const RULE: &str = "docs";
const ARCHITECTURE: &str = "ARCHITECTURE.md";
const ARCHITECTURE_LINES_MAX: usize = 300;

/// The documents that must exist.
const REQUIRED: &[&str] = &["README.md", ARCHITECTURE];

/// Links that lead nowhere. `anchors` says what exists at a path from the root of the repository.
fn broken_links(file: &SourceFile, at: impl Fn(&str) -> Target) -> Vec<Violation> {
    let report = |link: markdown::Link| {
        let target = link.target.as_str();
        if target.contains("://") || target.starts_with("mailto:") {
            return None;
        }
        let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
        let message = match (resolve(&file.path, path).map(|path| at(&path)), anchor) {
            (None, _) => format!("`{target}` leaves the repository"),
            (Some(Target::Missing), _) => format!("`{target}` does not exist"),
            (Some(Target::Document(anchors)), Some(anchor)) if !anchors.contains(anchor) => {
                format!("`{target}`: there is no heading #{anchor}")
            }
            _ => return None,
        };
        Some(Violation::new(RULE, file, link.line, message))
    };
    markdown::links(&file.text).into_iter().filter_map(report).collect()
}

fn too_long(file: &SourceFile) -> Option<Violation> {
    let lines = file.text.lines().count();
    let message = format!("{lines} lines, at most {ARCHITECTURE_LINES_MAX}: what is local belongs into module headers");
    (file.path == ARCHITECTURE && lines > ARCHITECTURE_LINES_MAX)
        .then(|| Violation::new(RULE, file, ARCHITECTURE_LINES_MAX + 1, message))
}

/// The target of a link.
enum Target {
    Missing,
    /// A Markdown document, with its anchors.
    Document(BTreeSet<String>),
    /// Any other file or directory. Its anchors are not checked.
    Other,
}

/// The path of a link's target from the root of the repository. `link` stands in the document at `from`. `None` if the
/// target is outside of the repository.
fn resolve(from: &str, link: &str) -> Option<String> {
    if link.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" if !link.starts_with('/') => {}
            "" => return None,
            ".." => _ = parts.pop()?,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn in_repository(path: &str) -> Target {
    match repository::file(path) {
        Some(file) if path.ends_with(".md") => Target::Document(markdown::anchors(&file.text)),
        _ if repository::root().join(path).exists() => Target::Other,
        _ => Target::Missing,
    }
}

#[test]
fn documents_are_there_and_their_links_resolve() {
    let mut documents = repository::files(&["host", "plugins", "tests", "examples", "wit", "docs"], "md")
        .expect("documents can be read");
    let mut violations = Vec::new();
    for path in REQUIRED {
        match repository::file(path) {
            Some(file) => documents.push(file),
            None => violations.push(Violation::new(RULE, &SourceFile::new(*path, ""), 1, "this document is missing")),
        }
    }
    for document in &documents {
        violations.extend(broken_links(document, in_repository));
        violations.extend(too_long(document));
    }
    require_none(&violations);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        let at = |path: &str| match path {
            "docs/guide.md" => Target::Document(["start".to_owned()].into()),
            "docs/here.md" => Target::Document(["top".to_owned()].into()),
            "host/src/lib.rs" | "docs" => Target::Other,
            _ => Target::Missing,
        };
        broken_links(&SourceFile::new("docs/here.md", text), at).into_iter().map(|found| found.message).collect()
    }

    #[test]
    fn a_broken_link_and_a_broken_anchor_are_found() {
        assert_eq!(messages("[a](no.md)"), ["`no.md` does not exist"]);
        assert_eq!(messages("[a](guide.md#end)"), ["`guide.md#end`: there is no heading #end"]);
        assert_eq!(messages("[a](#bottom)"), ["`#bottom`: there is no heading #bottom"]);
        assert_eq!(
            messages("[a](../../x.md) [b](/x.md)"),
            ["`../../x.md` leaves the repository", "`/x.md` leaves the repository"]
        );
    }

    #[test]
    fn a_link_that_resolves_is_not() {
        let good = "[a](guide.md#start) [b](#top) [c](../host/src/lib.rs#L3) [d](../docs/) [e](https://example.org/x)";
        assert_eq!(messages(good), Vec::<String>::new());
    }

    #[test]
    fn an_architecture_that_nobody_will_read_is_found() {
        assert!(too_long(&SourceFile::new(ARCHITECTURE, "line\n".repeat(300))).is_none());
        assert!(too_long(&SourceFile::new(ARCHITECTURE, "line\n".repeat(301))).is_some());
    }
}
