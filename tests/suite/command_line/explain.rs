//! The output of `explain`, `check --json`, `completions` and `man`. `host::graph` tests the forms of graphs. These
//! tests show that the forms reach the user, from job files and from plugins alone.

use super::super::support::binary::{Directory, Said};
use super::{job, require_error};

const GRAPH: &str = "\
node  name  kind           reads  parameters      rows
0     -     source         -      source=\"lines\"  text
1     -     flat_map       0      -               text
2     -     map            1      -               (text, u64)
3     -     reduce_by_key  2      -               (text, u64)
4     -     print          3      rows=10         -

stage 0
  reads   `source` (node 0)
  runs    `flat_map` (node 1)
          `map` (node 2)
          `reduce_by_key` (node 3): combine
  writes  a shuffle by key into 3 partitions for `reduce_by_key` (node 3)

stage 1
  reads   the shuffle of stage 0
  runs    `reduce_by_key` (node 3): reduce
  writes  the rows of an output

output `print` (node 4) needs stages 0, 1
";

/// Requires that a program printed this text to standard output, and nothing to standard error.
fn require_out(said: &Said, expected: &str) {
    assert_eq!((said.out.as_str(), said.err.as_str(), said.code), (expected, "", Some(0)));
}

#[test]
fn a_job_is_explained() {
    let directory = Directory::with_job("network_word_count");
    let said = job(&directory, "explain", &["--set", "job.parallelism=3"]);
    require_out(&said, &format!("job word-count in job.toml: 5 nodes, 2 stages\n\n{GRAPH}"));
}

/// The sources of the plugin are not known, and the command does not look for them.
#[test]
fn a_plugin_is_explained_without_a_job() {
    let directory = Directory::with_job("network_word_count");
    let said = directory.run(&["explain", "network_word_count.wasm", "--set", "job.parallelism=3"]);
    require_out(&said, &format!("plugin network_word_count.wasm: 5 nodes, 2 stages\n\n{GRAPH}"));
}

#[test]
fn an_explanation_for_scripts_is_one_object() {
    let said = job(&Directory::with_job("network_word_count"), "explain", &["--json"]);
    assert_eq!((said.err.as_str(), said.code, said.out.lines().count()), ("", Some(0), 1), "{}", said.out);
    assert!(said.out.starts_with(r#"{"file":"job.toml","job":"word-count","nodes":[{"#), "{}", said.out);
    assert!(said.out.contains(r#""writes":{"by":"key","node":3,"partitions":2,"to":"shuffle"}"#), "{}", said.out);
}

/// The other job has the same source. All its other nodes differ.
#[test]
fn two_plugins_are_compared() {
    let directory = Directory::with_job("network_word_count");
    let count = "5 same, 0 changed, 0 gone, 0 new\n";
    let said = job(&directory, "explain", &["--diff", "network_word_count.wasm"]);
    let head = "from job word-count in job.toml\nto plugin network_word_count.wasm\n\nsame     `source` (node 0)\n";
    assert!(said.out.starts_with(head) && said.out.contains(count), "{}{}", said.out, said.err);
    assert!(said.out.ends_with("an operator that is the same may compute something else.\n"), "{}", said.out);

    let other = Directory::with_job("hostile");
    let other = other.path("hostile.wasm").display().to_string();
    let said = job(&directory, "explain", &["--diff", &other]);
    assert!(said.out.contains("same     `source` (node 0)\n"), "{}{}", said.out, said.err);
    assert!(said.out.contains("gone     `flat_map` (node 1)\n"), "{}", said.out);
    assert!(said.out.contains("new      `fragile` (map, node 1)\n"), "{}", said.out);

    let said = job(&directory, "explain", &["--diff", &other, "--json"]);
    let head = r#"{"after":{"file":"#;
    assert!(said.out.starts_with(head) && said.out.contains(r#""code_compared":false"#), "{}{}", said.out, said.err);
}

/// The messages are those of `check`, and both files are checked.
#[test]
fn what_cannot_be_explained_is_said_as_by_check() {
    let directory = Directory::with_job("network_word_count");
    directory.write("text.wasm", "just text\n");
    directory.write("bad.toml", "[job]\nname = \"a\"\nplugin = \"text.wasm\"\nparalelism = 3\n");
    let text = "error: cannot load plugin text.wasm: it is not a WebAssembly component: it does not begin with `\\0asm`\n\
                help: build it with `cargo build --release --target wasm32-wasip2` or `cargo component build --release`";
    require_error(&directory.run(&["explain", "text.wasm"]), 2, text);
    require_error(&job(&directory, "explain", &["--diff", "text.wasm"]), 2, text);
    let key = "error: bad.toml line 4: unknown key `job.paralelism`\nhelp: did you mean `job.parallelism`?";
    require_error(&job(&directory, "explain", &["--diff", "bad.toml"]), 2, key);
    let json = "{\"error\":{\"help\":\"did you mean `job.parallelism`?\",\"kind\":\"user\",\
                \"message\":\"bad.toml line 4: unknown key `job.paralelism`\"}}";
    require_error(&directory.run(&["explain", "bad.toml", "--json"]), 2, json);
}

#[test]
fn a_plugin_that_panics_while_it_is_explained() {
    let directory = Directory::with_job("hostile");
    let said = job(&directory, "explain", &["--json", "--set", "job.args.does=describe-panic"]);
    assert_eq!((said.code, said.out.as_str()), (Some(3), ""));
    assert!(said.err.contains(r#""kind":"plugin""#) && said.err.contains("no graph today"), "{}", said.err);
}

#[test]
fn a_checked_job_for_scripts_is_one_object() {
    let said = job(&Directory::with_job("network_word_count"), "check", &["--json"]);
    let expected = r#"{"directories":[],"files":[],"job":"word-count","nodes":5,"outputs":1,"sources":[{"name":"lines","type":"text"}],"warnings":[]}"#;
    require_out(&said, &format!("{expected}\n"));
}

#[test]
fn errors_for_scripts_are_one_object() {
    let directory = Directory::with_job("network_word_count");
    let json = r#"{"error":{"help":"add a [sources.lines] table to the job file","kind":"user","message":"the plugin reads source `lines`, which the job file does not define"}}"#;
    directory.write("job.toml", "[job]\nname = \"word-count\"\nplugin = \"network_word_count.wasm\"\n");
    for command in ["run", "check"] {
        require_error(&job(&directory, command, &["--json"]), 2, json);
    }
    let json = r#"{"error":{"help":"Usage: host set --json [JOB.TOML] <KEY=VALUE>\nFor more information, try '--help'.","kind":"user","message":"the following required arguments were not provided:\n  <KEY=VALUE>"}}"#;
    require_error(&directory.run(&["set", "--json"]), 2, json);
}

/// The log comes before the error, and standard output is JSON too.
#[test]
fn a_run_that_fails_ends_with_one_object() {
    let directory = Directory::with_job("hostile");
    directory.write("queue.jsonl", "[\"a\", \"boom\"]\n");
    let said = job(&directory, "run", &["--json", "--set", "job.args.does=panic"]);
    let last = said.err.lines().last().unwrap_or_default();
    assert!(last.starts_with(r#"{"error":{"help":"fix the plugin, "#), "{}", said.err);
    assert!(last.contains(r#""kind":"plugin","message":"operator `fragile` (map, node 1) failed on batch "#), "{last}");
    assert_eq!((said.code, said.error()), (Some(3), ""));
    assert!(said.out.lines().all(|line| line.starts_with('{')) && !said.out.contains("Printed"), "{}", said.out);
}

#[test]
fn shells_get_their_completions() {
    let directory = Directory::new();
    for (shell, words) in [("bash", "complete -F _host"), ("zsh", "#compdef host"), ("fish", "complete -c host")] {
        let said = directory.run(&["completions", shell]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{shell}");
        assert!(said.out.contains(words) && said.out.contains("stop-when-idle"), "{shell}: {}", said.out);
        // The keys after `--set`, and the values of keys that have only a few.
        for key in
            ["job.batch_interval=", "job.on_error=continue", "backpressure.enabled=true", "job.args.", "sources."]
        {
            assert!(said.out.contains(key), "{shell}: {key}: {}", said.out);
        }
        assert!(!said.out.contains("sources.NAME"), "{shell}: {}", said.out);
    }
    let said = directory.run(&["completions", "cmd"]);
    assert!(said.err.starts_with("error: invalid value 'cmd' for '<SHELL>'\n"), "{}", said.err);
    assert_eq!(said.code, Some(2));
}

#[test]
fn manual_pages_are_printed() {
    let directory = Directory::new();
    let page = directory.run(&["man"]);
    assert_eq!((page.code, page.err.as_str()), (Some(0), ""));
    assert!(
        page.out.contains(".TH host 1 ") && page.out.contains("stopped at once, by a later signal"),
        "{}",
        page.out
    );
    let page = directory.run(&["man", "run"]);
    assert!(page.out.contains(".TH host-run 1 ") && page.out.contains("stop\\-when\\-idle"), "{}", page.out);
    let expected = "error: there is no command `walk`\n\
                    help: the commands are run, stop, status, list, check, explain, checkpoint, state, upgrade, rollback, set, ui, new, dev, completions, man, help";
    require_error(&directory.run(&["man", "walk"]), 2, expected);
}
