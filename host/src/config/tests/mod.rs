//! Tests of the job file as its reader meets it: a text goes in, settings or the exact words of the errors come out.

mod kafka_values;
mod names;
mod nats_values;
mod overrides;
mod properties;
mod resolved;
mod rules;
mod source_values;
mod structure;
mod syntax;
mod values;

use std::path::Path;

use super::{ConfigErrors, Facts, Settings, load};

/// The smallest job file: lines 1 to 3 of most texts.
const JOB: &str = "[job]\nname = \"wc\"\nplugin = \"wc.wasm\"\n";

/// A text, options, and all messages about them.
struct Case {
    text: Text,
    set: &'static [(&'static str, &'static str)],
    /// The lines after `error: `.
    errors: &'static [&'static str],
}

enum Text {
    /// The text from line 4 on, below [`JOB`].
    Below(&'static str),
    /// The whole file.
    Whole(&'static str),
}

/// Loads `text` as `job.toml` on a machine with 4 CPUs.
fn loaded(text: &str, set: &[(&str, &str)]) -> Result<Settings, ConfigErrors> {
    let overrides: Vec<_> = set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    load(text, Path::new("job.toml"), &overrides, &Facts { cpus: 4 })
}

fn check(cases: &[Case]) {
    for case in cases {
        let text = match case.text {
            Text::Below(text) => format!("{JOB}{text}\n"),
            Text::Whole(text) => text.to_owned(),
        };
        let errors = loaded(&text, case.set).expect_err(&text);
        assert_eq!(errors.to_string(), case.errors.join("\n"), "{text}{:?}", case.set);
    }
}
