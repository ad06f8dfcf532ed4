//! The documentation of the job file, generated from the table of keys.
//!
//! Owns the text of `docs/configuration.md`. Never says anything about a key that `keys` does not say.

use super::key::Change;
use super::key::Declared;
use super::keys::{KEYS, NamedTables, sections};
use super::quote::quoted;
use super::shape::NAME_RULE;
use super::subject::Fallback;
use super::units::{DURATIONS, SIZES};

const INTRODUCTION: &str = r#"# Configuration

<!-- Generated from host/src/config/keys.rs by: MILLSTREAM_BLESS=1 cargo test -p host configuration_md_is_current -->

A job is described by one TOML file, usually called `job.toml`:

```toml
[job]
name = "word-count"
plugin = "word_count.wasm"
batch_interval = "1s"
args = { min_length = "3" }

[sources.lines]
type = "socket"
address = "127.0.0.1:9999"

[limits]
memory = "256MiB"
```

* An unknown key is an error, so that a slip of the pen is never a silent default. All errors are reported at once.
* A relative path is relative to the directory of the job file.
"#;

/// The note about the effect of a change, for keys whose change needs a fresh run. docs/checkpoints.md describes the
/// effect for other keys.
const FRESH: &str = " A change needs a [fresh run](checkpoints.md#another-plugin-another-job-file).";

const OVERRIDES: &str = r#"
## On the command line

`--set KEY=VALUE` replaces one value: `--set sources.lines.address=10.0.0.5:9999`. The value is read as TOML if it is
TOML, else as a string: `--set job.parallelism=4` sets a number, `--set job.batch_interval=5s` a string. A string needs
no quotes: `--set job.args.min_length=3` sets the string `"3"`, because the arguments of a plugin are strings. Only `true`
and `false` as a string, and a string that is written like an array or a table, need quotes that the shell leaves alone:
`--set 'job.args.verbose="true"'`. The last of several wins. A table, as in `--set 'job.args={}'`, replaces the whole table.
Paths are relative to the directory of the job file here too.
"#;

/// The text of `docs/configuration.md`: Markdown, one table of keys for each table of the job file.
pub fn markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str(&format!("* A duration is a whole number and a unit, `\"250ms\"`. The units: {}.\n", DURATIONS.list));
    text.push_str(&format!("* A size is a whole number and a unit, `\"64KiB\"`. The units: {}.\n", SIZES.list));
    text.push_str("  A kB is 1000 bytes, a KiB is 1024.\n");
    text.push_str(OVERRIDES);
    for section in sections() {
        if let Some(tables) = NamedTables::find(section) {
            text.push_str(&named(tables));
        } else {
            text.push_str(&format!("\n## [{section}]\n\n"));
            text.push_str(&rows(|key| key.section() == section));
        }
    }
    text
}

fn named(tables: &NamedTables) -> String {
    let NamedTables { section, doc, .. } = tables;
    let mut text = format!("\n## [{section}]\n\n{doc}\n{NAME_RULE}.\n\n");
    let is_in = |key: &dyn Declared| key.section() == *section;
    text.push_str(&rows(|key| is_in(key) && key.of_type().is_none()));
    let mut types: Vec<_> = KEYS.iter().filter(|key| is_in(**key)).filter_map(|key| key.of_type()).collect();
    types.dedup();
    for of_type in types {
        text.push_str(&format!("\n### type = {}\n\n", quoted(of_type)));
        text.push_str(&rows(|key| is_in(key) && key.of_type() == Some(of_type)));
    }
    text
}

fn rows(is_in: impl Fn(&dyn Declared) -> bool) -> String {
    let mut text = "| Key | Type | Default | Meaning |\n|---|---|---|---|\n".to_owned();
    for key in KEYS.iter().filter(|key| is_in(**key)) {
        let default = match key.fallback() {
            Fallback::Required(example) => format!("required, such as `{}`", quoted(example)),
            Fallback::Derived { doc, .. } => doc.to_owned(),
            fixed => format!("`{}`", fixed.example()),
        };
        let spark = key.spark().map(|name| format!(" Spark: `{name}`.")).unwrap_or_default();
        let change = if key.change() == Change::Fresh { FRESH } else { "" };
        let row = format!("| `{}` | {} | {default} | {}{spark}{change} |\n", key.leaf(), key.describe(), key.doc());
        text.push_str(&row);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn configuration_md_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
        let text = super::markdown();
        if std::env::var_os("MILLSTREAM_BLESS").is_some() {
            std::fs::write(&path, &text).expect("docs/configuration.md can be written");
        }
        let is_current = std::fs::read_to_string(&path).is_ok_and(|written| written == text);
        assert!(
            is_current,
            "docs/configuration.md differs from host/src/config/keys.rs; write it again with\n    \
             MILLSTREAM_BLESS=1 cargo test -p host configuration_md_is_current"
        );
    }
}
