//! Headings and links of Markdown documents, as GitHub renders them.
//!
//! Owns the rule that makes an anchor of a heading. Code blocks and code spans hold neither links nor headings.

use std::collections::BTreeSet;
use std::collections::HashMap;

/// A link, and the line in which it stands, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The target of the link, without its title.
    pub target: String,
    /// The line.
    pub line: usize,
}

/// Every anchor of a document: one for each heading, and the anchors that the document declares with `id=` or `name=`.
pub fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (_, line) in prose(text) {
        if let Some(heading) = heading(line) {
            let slug = slug(heading);
            let earlier = seen.entry(slug.clone()).or_default();
            anchors.insert(if *earlier == 0 { slug } else { format!("{slug}-{earlier}") });
            *earlier += 1;
        }
        for attribute in ["<a id=\"", "<a name=\""] {
            if let Some((_, rest)) = line.split_once(attribute) {
                anchors.extend(rest.split('"').next().map(str::to_owned));
            }
        }
    }
    anchors
}

/// The anchor of a heading, if no earlier heading has the same anchor: in lower case, with `-` in place of spaces. Of
/// all other characters, only letters, digits, `-` and `_` are kept.
pub fn slug(heading: &str) -> String {
    let keep = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    };
    link_texts(heading).to_lowercase().chars().filter_map(keep).collect()
}

/// Every link of a document: `[text](target)`, `![image](target)` and `[label]: target`.
pub fn links(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    for (line, content) in prose(text) {
        let content = without_code_spans(content);
        let mut rest = content.as_str();
        while let Some((_, after)) = rest.split_once("](") {
            rest = after;
            if let Some(end) = closing_parenthesis(after) {
                links.push(Link { target: without_title(&after[..end]), line });
                rest = &after[end..];
            }
        }
        if let Some((label, target)) = content.trim_start().split_once("]: ")
            && label.starts_with('[')
            && !label.contains(']')
        {
            links.push(Link { target: without_title(target), line });
        }
    }
    links
}

/// The lines outside fenced code blocks, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => return Some((index + 1, line)),
            _ => {}
        }
        None
    })
}

/// The text of a heading, if the line is one.
fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    ((1..=6).contains(&level) && text.starts_with(' ')).then(|| text.trim().trim_end_matches('#').trim_end())
}

/// The line with each `[text](target)` replaced by its text.
fn link_texts(heading: &str) -> String {
    let mut text = String::new();
    let mut rest = heading;
    while let Some((before, after)) = rest.split_once("](") {
        text.push_str(before);
        rest = closing_parenthesis(after).map_or("", |end| &after[end + 1..]);
    }
    text + rest
}

fn without_code_spans(line: &str) -> String {
    line.split('`').enumerate().filter(|(index, _)| index % 2 == 0).map(|(_, part)| part).collect()
}

/// The position of the parenthesis that closes the parenthesis before `text`.
fn closing_parenthesis(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn without_title(target: &str) -> String {
    let target = target.trim();
    let bare = target.split_once(char::is_whitespace).map_or(target, |(bare, _)| bare);
    bare.trim_start_matches('<').trim_end_matches('>').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_what_github_makes() {
        assert_eq!(slug("Run it in 3 commands"), "run-it-in-3-commands");
        assert_eq!(slug("`job.toml`: keys & units"), "jobtoml-keys--units");
        assert_eq!(slug("What is [promised](README.md)?"), "what-is-promised");
        assert_eq!(slug("Größe_und-Zahl"), "größe_und-zahl");
    }

    #[test]
    fn a_repeated_heading_gets_a_number() {
        let text = "# Limits\n## Limits\n```\n# not a heading\n```\n### Limits ###\n#no heading\n<a id=\"here\"></a>\n";
        let expected: BTreeSet<String> = ["limits", "limits-1", "limits-2", "here"].map(str::to_owned).into();
        assert_eq!(anchors(text), expected);
    }

    #[test]
    fn links_are_found_outside_code() {
        let text =
            "See [a](one.md) and ![b](two.png \"title\").\n`[c](no.md)`\n~~~\n[d](no.md)\n~~~\n[e]: <three.md#x>\n";
        let link = |target: &str, line| Link { target: target.to_owned(), line };
        assert_eq!(links(text), [link("one.md", 1), link("two.png", 1), link("three.md#x", 6)]);
    }
}
