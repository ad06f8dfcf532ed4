//! No input makes `load` panic, and every result keeps its promises: errors are in order, on one line each, and
//! printable.

use proptest::prelude::*;

use super::loaded;

const VALID: &str = r#"[job]
name = "word-count"
plugin = "word_count.wasm"
batch_interval = "1s"
parallelism = 2
args = { min_length = "3" }
on_error = "stop"

[sources.lines]
type = "socket"
address = "127.0.0.1:9999"
reconnect_delay = "2s"
max_line = "1MiB"

[sources.test]
type = "queue"
path = "batches.jsonl"

[receiver]
block_interval = "200ms"

[engine]
threads = 2
task_attempts = 4
memory = "2GiB"

[limits]
memory = "256MiB"
task_time = "10s"
result_size = "128MiB"
plugin_size = "64MiB"
"#;

/// Texts that matter to a parser of TOML or of quantities.
const FRAGMENTS: &[&str] = &[
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\"",
    "\"\"\"",
    "'",
    "'''",
    "\\",
    "\\u",
    "#",
    "\n",
    "\r",
    "\r\n",
    "\t",
    " ",
    "\0",
    "\u{feff}",
    "\u{202e}",
    "é",
    "0x",
    "-",
    "+",
    "_",
    "1",
    "5s",
    "1.5",
    "1e9",
    "inf",
    "nan",
    "true",
    "1979-05-27",
    "18446744073709551616",
    "job",
    "[job]",
    "[job.args]",
    "[[job]]",
    "sources",
    "[sources]",
    "name",
    "name = ",
    "type = \"kafka\"",
    "type = 5",
    "path",
    "memory",
    "h",
    "ms",
    "GiB",
    "[a.b.c]",
    "a.b = 1",
];

/// An edit: its place (as a share of the text, in 1/1000), the number of characters that are removed, and the new text.
type Edit = (usize, usize, String);

fn edit() -> impl Strategy<Value = Edit> {
    let text = prop_oneof![
        4 => prop::sample::select(FRAGMENTS).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => Just(String::new()),
    ];
    (0..=1000_usize, 0..12_usize, text)
}

/// Up to `most` fragments in a row.
fn soup(most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(FRAGMENTS), 0..most).prop_map(|parts| parts.concat())
}

fn edited(text: &str, edits: &[Edit]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (share, removed, inserted) in edits {
        let start = chars.len() * share / 1000;
        let end = (start + removed).min(chars.len());
        chars.splice(start..end, inserted.chars());
    }
    chars.into_iter().collect()
}

fn lines_of(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn holds(text: &str, set: &[(&str, &str)]) -> Result<(), TestCaseError> {
    let Err(all) = loaded(text, set) else { return Ok(()) };
    prop_assert!(!all.errors.is_empty());
    let lines: Vec<_> = all.errors.iter().filter_map(|error| error.line).collect();
    prop_assert!(lines.is_sorted(), "{lines:?}");
    prop_assert!(lines.iter().all(|line| (1..=text.matches('\n').count() + 1).contains(line)), "{lines:?}");
    for error in &all.errors {
        for part in [&error.place, &error.message, &error.help] {
            prop_assert!(!part.is_empty() && !part.chars().any(char::is_control), "{part:?}");
            prop_assert!(part.len() < 5000, "{part:?}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        holds(&text, &[])?;
    }

    #[test]
    fn any_soup_of_fragments_is_answered(text in soup(40)) {
        holds(&text, &[])?;
    }

    #[test]
    fn any_damage_to_a_valid_file_is_answered(edits in prop::collection::vec(edit(), 1..6)) {
        holds(&edited(VALID, &edits), &[])?;
    }

    #[test]
    fn any_order_and_loss_of_lines_is_answered(lines in Just(lines_of(VALID)).prop_shuffle(), kept in 0..30_usize) {
        holds(&lines[..kept.min(lines.len())].join("\n"), &[])?;
    }

    #[test]
    fn any_value_of_any_key_is_answered(
        line in 0..30_usize,
        value in prop_oneof![any::<String>(), "[0-9.]{0,25} ?[a-zA-Z]{0,3}"],
    ) {
        let mut lines = lines_of(VALID);
        let line = line % lines.len();
        if let Some((key, _)) = lines[line].clone().split_once('=') {
            lines[line] = format!("{key}= {value:?}");
            holds(&lines.join("\n"), &[])?;
            lines[line] = format!("{key}= {value}");
            holds(&lines.join("\n"), &[])?;
        }
    }

    #[test]
    fn any_override_is_answered(
        key in prop_oneof![any::<String>(), "(job|sources|limits)(\\.[a-z\"' .=\\[\\]{}#]{0,8}){0,4}"],
        value in prop_oneof![any::<String>(), soup(9)],
    ) {
        holds(VALID, &[(&key, &value), (&key, "1")])?;
    }
}

#[test]
fn the_valid_file_is_valid() {
    assert!(loaded(VALID, &[]).is_ok());
}

#[test]
fn extremes_are_answered() {
    let deep_key = vec!["a"; 10_000].join(".");
    let texts = [
        "[".repeat(100_000),
        "x = ".to_owned() + &"[".repeat(100_000),
        "x = ".to_owned() + &"{a=".repeat(100_000),
        format!("[{deep_key}]"),
        format!("{deep_key} = 1"),
        format!("[{}]\n{} = {}1", vec!["a"; 70].join("."), vec!["b"; 70].join("."), "{c=".repeat(70)),
        format!("{} = 1", "k".repeat(1_000_000)),
        format!("[job]\nname = \"{}\"", "n".repeat(1_000_000)),
        format!("[job]\nbatch_interval = \"{}s\"", "9".repeat(100_000)),
        format!("[job]\nparallelism = {}", "9".repeat(100_000)),
        (0..1000).map(|n| format!("k{n} = {n}\n")).collect(),
    ];
    for text in &texts {
        holds(text, &[(&deep_key, "1"), ("job.name", text)]).expect("every promise is kept");
    }
}
