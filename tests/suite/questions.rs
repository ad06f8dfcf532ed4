//! The page of questions, `docs/questions.md`: each mistake on it gives exactly the message that the page shows, and all
//! other programs on it compile.
//!
//! The programs are compiled for real, all by one call of cargo. With `MILLSTREAM_BLESS=1` the messages on the page are
//! rewritten.

use super::support::binary::Directory;
use millstream_tests::{programs, repository};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::Command;

const PAGE: &str = "docs/questions.md";
/// The first line of a program that does not compile. An edition of Rust may follow: ",2015".
const MISTAKE: &str = "```rust,mistake";
/// The edition of programs whose first line names none.
const EDITION: &str = "2024";
/// The first line of a program that compiles.
const PROGRAM: &str = "```rust";
/// The first line of a message.
const MESSAGE: &str = "```text";

/// A program on the page.
#[derive(Debug, Default)]
struct Block {
    code: String,
    edition: String,
    /// The message that the page shows, if the program is a mistake.
    said: Option<String>,
    /// The first and the last line of the message on the page, from 0.
    said_lines: (usize, usize),
}

impl Block {
    /// The program with everything around it, and the number of lines before the block.
    fn program(&self) -> (String, usize) {
        let mut begin = "//! A program of the page of questions.\n#![deny(unused_must_use)]\n".to_owned();
        if !self.code.contains("use millstream::") {
            begin.push_str("use millstream::*;\n");
        }
        let mut end = String::new();
        if !self.code.contains("fn build(") {
            begin.push_str("fn build(ctx: &StreamingContext) {\n");
            end.push_str("}\n");
        }
        if !self.code.contains("plugin!(") {
            end.push_str("millstream::plugin!(build);\n");
        }
        (format!("{begin}{}{end}fn main() {{}}\n", self.code), begin.lines().count())
    }
}

/// The programs of the page, in order.
fn blocks(page: &str) -> Vec<Block> {
    let lines: Vec<&str> = page.lines().collect();
    let end = |begin: usize| {
        let end = lines[begin + 1..].iter().position(|line| *line == "```");
        begin + 1 + end.unwrap_or_else(|| panic!("{PAGE}:{}: this block has no end", begin + 1))
    };
    let text =
        |begin: usize, end: usize| lines[begin + 1..end].iter().map(|line| format!("{line}\n")).collect::<String>();
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let last = match lines[at] {
            first if first.starts_with(MISTAKE) => {
                let edition = first[MISTAKE.len()..].trim_start_matches(',');
                let edition = if edition.is_empty() { EDITION } else { edition }.to_owned();
                let code_end = end(at);
                let begin = code_end + 2;
                assert_eq!(lines.get(begin), Some(&MESSAGE), "{PAGE}:{}: a mistake has no message", at + 1);
                let said_end = end(begin);
                let said = Some(text(begin, said_end));
                blocks.push(Block { code: text(at, code_end), edition, said, said_lines: (begin + 1, said_end) });
                said_end
            }
            PROGRAM => {
                let code_end = end(at);
                blocks.push(Block { code: text(at, code_end), edition: EDITION.to_owned(), ..Block::default() });
                code_end
            }
            _ => at,
        };
        at = last + 1;
    }
    blocks
}

/// How notes begin that are about the SDK or the compiler, and say nothing about the mistake. Some of them hold paths, or
/// lists of types that grow.
const NOISE: [&str; 11] = [
    "required by",
    "required for",
    "the following other types",
    "the trait `",
    "the full",
    "the return type of this call",
    "the lint level",
    "method defined",
    "function defined",
    "expected ",
    "consider using `--verbose`",
];

/// A message of the compiler, as the page shows it. `before` is the number of lines before the block.
fn shown(message: &Value, before: usize) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let code = message["code"]["code"].as_str().map(|code| format!("[{code}]")).unwrap_or_default();
    let mut shown = format!("error{code}: {}\n", text(&message["message"]));
    let spans = message["spans"].as_array().cloned().unwrap_or_default();
    for span in spans.iter().filter(|span| span["is_primary"] == true) {
        let label = span["label"].as_str().map(|label| format!(": {label}")).unwrap_or_default();
        // Inside a macro, the place is that of the macro's call.
        let mut span = span;
        while span["expansion"]["span"].is_object() {
            span = &span["expansion"]["span"];
        }
        let line = span["line_start"].as_u64().unwrap_or_default() as usize;
        let source = span["text"][0]["text"].as_str().unwrap_or_default().trim();
        let _ = writeln!(shown, "  line {}, `{source}`{label}", line.saturating_sub(before));
    }
    for child in message["children"].as_array().into_iter().flatten() {
        let (level, message) = (text(&child["level"]), text(&child["message"]));
        if matches!(level.as_str(), "note" | "help") && !NOISE.iter().any(|begin| message.starts_with(begin)) {
            let _ = writeln!(shown, "{level}: {message}");
        }
    }
    shown
}

/// Compiles the programs, and returns the errors of each, by its number. Each program compiles, or has an error.
fn compile(blocks: &[Block]) -> BTreeMap<usize, Vec<String>> {
    let directory = Directory::new();
    for below in ["src", "examples"] {
        std::fs::create_dir(directory.path(below)).expect("a temporary directory can be written to");
    }
    let sdk = repository::root().join("plugins/millstream");
    let mut manifest = format!(
        "[package]\nname = \"questions\"\nversion = \"0.0.0\"\nedition = \"{EDITION}\"\n\n[workspace]\n\n[dependencies]\n\
         millstream = {{ path = {:?} }}\n",
        sdk.display().to_string()
    );
    for (number, block) in blocks.iter().enumerate() {
        let _ = writeln!(manifest, "\n[[example]]\nname = \"q{number}\"\nedition = \"{}\"", block.edition);
    }
    directory.write("Cargo.toml", manifest);
    directory.write("src/lib.rs", "");
    std::fs::copy(repository::root().join("Cargo.lock"), directory.path("Cargo.lock")).expect("it can be copied");
    for (number, block) in blocks.iter().enumerate() {
        directory.write(&format!("examples/q{number}.rs"), block.program().0);
    }
    let target = programs::host().ancestors().nth(2).expect("the host lies in a build directory");
    let mut command = Command::new("cargo");
    command.args(["check", "--examples", "--keep-going", "--offline", "--quiet", "--message-format=json"]);
    command.current_dir(directory.path("")).env("CARGO_TARGET_DIR", target);
    for leaked in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"] {
        command.env_remove(leaked);
    }
    let output = command.output().expect("cargo can be started");
    let mut errors: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let mut ended = BTreeSet::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let said: Value = serde_json::from_str(line).expect("cargo says JSON");
        let number = said["target"]["name"].as_str().and_then(|name| name.strip_prefix('q')?.parse::<usize>().ok());
        let Some(number) = number else { continue };
        if said["reason"] == "compiler-artifact" {
            ended.insert(number);
        }
        let message = &said["message"];
        let is_summary = message["spans"].as_array().is_some_and(Vec::is_empty) && message["code"].is_null();
        if said["reason"] == "compiler-message" && message["level"] == "error" && !is_summary {
            ended.insert(number);
            errors.entry(number).or_default().push(shown(message, blocks[number].program().1));
        }
    }
    let left = (0..blocks.len()).filter(|number| !ended.contains(number)).collect::<Vec<_>>();
    assert!(left.is_empty(), "{left:?} were not compiled: {}", String::from_utf8_lossy(&output.stderr));
    errors
}

#[test]
fn the_compiler_says_what_the_page_of_questions_shows() {
    let page = repository::file(PAGE).expect("the page is there").text;
    let blocks = blocks(&page);
    let mistakes = blocks.iter().filter(|block| block.said.is_some()).count();
    assert!(mistakes >= 8 && blocks.len() > mistakes, "{mistakes} mistakes of {} programs", blocks.len());
    let errors = compile(&blocks);
    let mut lines: Vec<String> = page.lines().map(str::to_owned).collect();
    let mut wrong = String::new();
    for (number, block) in blocks.iter().enumerate().rev() {
        let found = errors.get(&number).map(Vec::as_slice).unwrap_or_default();
        let expected: Vec<&String> = block.said.iter().collect();
        if found.iter().collect::<Vec<_>>() != expected {
            let _ = writeln!(wrong, "{}-- expected {expected:#?}, the compiler says {found:#?}\n", block.code);
        }
        if block.said.is_some() {
            let (begin, end) = block.said_lines;
            lines.splice(begin..end, found.iter().flat_map(|said| said.lines().map(str::to_owned)));
        }
    }
    if std::env::var_os("MILLSTREAM_BLESS").is_some() {
        let path = repository::root().join(PAGE);
        std::fs::write(path, lines.join("\n") + "\n").expect("the page can be written");
    }
    assert_eq!(wrong, "", "{wrong}");
}

#[test]
fn programs_and_their_messages_are_found_on_a_page() {
    let page = "text\n```rust,mistake\nlet a = 1;\n```\n\n```text\nerror: no\n```\n```rust\nfn build() {}\n```\n";
    let blocks = blocks(page);
    assert_eq!((blocks[0].code.as_str(), blocks[0].said.as_deref()), ("let a = 1;\n", Some("error: no\n")));
    assert_eq!((blocks[1].code.as_str(), blocks[1].said.as_deref()), ("fn build() {}\n", None));
    assert!(blocks[0].program().0.contains("{\nlet a = 1;\n}\n"));
}
