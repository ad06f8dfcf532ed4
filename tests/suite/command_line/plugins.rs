//! Plugins that cannot be loaded, that do not fit their job, or that fail.

use super::super::support::binary::{Directory, Said, without_times};
use super::{job, require_error, require_refusal};
use millstream_tests::programs;

const BUILD: &str = "help: build it with `cargo build --release --target wasm32-wasip2`";
const DAMAGED: &str = "help: build it again; the file may be damaged\n";

/// Requires that a plugin file with these bytes is refused with this message.
fn refused(plugin: impl AsRef<[u8]>, expected: &str) {
    let directory = Directory::with_job("network_word_count");
    directory.write("network_word_count.wasm", plugin);
    require_refusal(&directory, &[], expected);
}

/// The plugin that counts words, built for another version of `millstream:plugin` with a name of the same length.
fn with_version(version: &str) -> Vec<u8> {
    const OURS: &[u8] = b"@0.1.0";
    let mut bytes = programs::plugin("network_word_count");
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(OURS)).collect();
    assert!(places.len() > 5, "it names millstream:plugin/tasks@0.1.0 and others");
    for at in places {
        bytes[at + 1..at + OURS.len()].copy_from_slice(version.as_bytes());
    }
    bytes
}

#[test]
fn a_plugin_that_is_missing() {
    let directory = Directory::with_job("network_word_count");
    let missing = |name: &str, why: &str, more: &str| {
        let expected =
            format!("error: cannot read plugin {name}: {why}\n{BUILD}, and name the .wasm file in job.plugin{more}");
        require_refusal(&directory, &["--set", &format!("job.plugin={name}")], &expected);
    };
    let crate_type = "; there is no such file unless the [lib] of Cargo.toml has `crate-type = [\"cdylib\"]`";
    missing("nope.wasm", "No such file or directory (os error 2)", crate_type);
    missing("..", "Is a directory (os error 21)", "");
}

#[test]
fn a_plugin_that_is_not_webassembly() {
    let expected = format!(
        "error: cannot load plugin network_word_count.wasm: it is not a WebAssembly component: it does not begin with \
         `\\0asm`\n{BUILD} or `cargo component build --release`"
    );
    refused("just text\n", &expected);
    refused("", &expected);
    refused("(component)", &expected);
}

#[test]
fn a_core_module() {
    let expected = format!(
        "error: cannot load plugin network_word_count.wasm: it is a core module, not a component\n\
         {BUILD} or `cargo component build --release`"
    );
    refused(b"\0asm\x01\0\0\0", &expected);
}

#[test]
fn a_component_of_another_world() {
    let expected = "error: cannot load plugin network_word_count.wasm: it is a component, but not a Millstream plugin: \
                    it does not export `millstream:plugin/program`\n\
                    help: does the plugin call `millstream::plugin!(build)`?";
    refused(b"\0asm\x0d\0\x01\0", expected);
}

/// The engine may describe the damage in its own words, as long as its text stays inside the message.
#[test]
fn a_damaged_plugin() {
    let whole = programs::plugin("network_word_count");
    let cut = [4, 9, 100, whole.len() / 2, whole.len() - 1].map(|length| whole[..length].to_vec());
    // Bytes among the types of the plugin, and in the code of a function.
    let overwritten = [100, whole.len() / 4].map(|at| {
        let mut bytes = whole.clone();
        bytes[at..at + 64].fill(0xff);
        bytes
    });
    for plugin in cut.into_iter().chain(overwritten) {
        let directory = Directory::with_job("network_word_count");
        directory.write("network_word_count.wasm", plugin);
        for command in ["run", "check"] {
            let said = job(&directory, command, &[]);
            assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{}", said.err);
            let start = "error: cannot load plugin network_word_count.wasm: it cannot be compiled: ";
            assert!(said.err.starts_with(start) && said.err.ends_with(DAMAGED), "{}", said.err);
        }
    }
}

#[test]
fn a_plugin_that_is_too_large() {
    let directory = Directory::with_job("network_word_count");
    let expected = "error: cannot load plugin network_word_count.wasm: it is larger than limits.plugin_size = 1024 bytes\n\
                    help: strip it (`strip = true` in its profile), or raise limits.plugin_size";
    require_refusal(&directory, &["--set", "limits.plugin_size=1KiB"], expected);
}

/// The plugin is not damaged: it needs more memory than the limit.
#[test]
fn a_plugin_that_needs_more_memory_than_it_may_have() {
    let directory = Directory::with_job("network_word_count");
    for command in ["run", "check"] {
        let said = job(&directory, command, &["--set", "limits.memory=1MiB"]);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{}", said.err);
        assert!(said.err.starts_with("error: cannot load plugin network_word_count.wasm: "), "{}", said.err);
        assert!(said.err.contains("limits.memory = 1048576 bytes\nhelp: raise limits.memory"), "{}", said.err);
    }
}

#[test]
fn a_plugin_for_another_version() {
    for version in ["0.9.0", "0.2.0", "1.1.0"] {
        let expected = format!(
            "error: cannot load plugin network_word_count.wasm: it needs millstream:plugin {version}; this host serves \
             0.1\nhelp: rebuild it with the millstream crate of this host's version"
        );
        refused(with_version(version), &expected);
    }
}

/// Host 0.1 serves 0.1.x, as wit/README.md says.
#[test]
fn a_plugin_for_a_later_patch_of_the_version_runs() {
    let directory = Directory::with_job("network_word_count");
    directory.write("network_word_count.wasm", with_version("0.1.9"));
    let said = job(&directory, "run", &["--stop-when-idle"]);
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    assert!(said.out.contains("(to,2)\n"), "{}", said.out);
}

#[test]
fn a_source_that_only_the_plugin_knows() {
    let directory = Directory::with_job("network_word_count");
    directory.write("job.toml", "[job]\nname = \"word-count\"\nplugin = \"network_word_count.wasm\"\n");
    let expected = "error: the plugin reads source `lines`, which the job file does not define\n\
                    help: add a [sources.lines] table to the job file";
    require_refusal(&directory, &[], expected);
}

#[test]
fn a_source_that_only_the_job_knows() {
    let directory = Directory::with_job("network_word_count");
    let expected = "error: the job file defines source `words`, which the plugin does not read\n\
                    help: remove [sources.words], or rename it; the plugin reads `lines`";
    require_refusal(&directory, &["--set", "sources.words={ type = \"queue\", path = \"queue.jsonl\" }"], expected);
}

#[test]
fn a_plugin_without_output() {
    let directory = Directory::with_job("hostile");
    let expected = "error: No output operations registered, so nothing to execute, in plugin hostile.wasm\n\
                    help: end at least one stream with an output such as `print()`";
    require_refusal(&directory, &["--set", "job.args.does=no-output"], expected);
}

/// A `build` function returns an error.
#[test]
fn a_plugin_that_refuses_to_describe_its_graph() {
    let directory = Directory::with_job("operators");
    for command in ["run", "check"] {
        let said = job(&directory, command, &["--set", "job.args.operator=plus"]);
        let expected = "error: plugin operators.wasm failed to describe its graph: there is no operator `plus`\n\
                        help: the plugin itself says this: correct the plugin, or `args` of the table [job]";
        require_error(&said, 3, expected);
    }
}

#[test]
fn a_plugin_that_panics_while_it_describes_its_graph() {
    let directory = Directory::with_job("hostile");
    for command in ["run", "check"] {
        let said = job(&directory, command, &["--set", "job.args.does=describe-panic"]);
        let expected = "error: plugin hostile.wasm failed to describe its graph: panicked at P:\n  \
                        no graph today\n\
                        help: run the plugin's `build` function natively with millstream::testing to see why";
        require_error(&Said { err: without_position(&said.err), ..said }, 3, expected);
    }
}

/// The message has operator, batch, partition and record, which the author needs to find the fault.
#[test]
fn a_plugin_that_panics_on_a_record() {
    let directory = Directory::with_job("hostile");
    directory.write("queue.jsonl", "[\"a\", \"b\", \"c\", \"boom\"]\n");
    let said = job(&directory, "run", &["--set", "job.args.does=panic"]);
    assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{}", said.err);
    assert_eq!(
        without_position(&without_times(said.error())),
        "error: operator `fragile` (map, node 1) failed on batch T, partition 1, record 1: panicked at P:\n  \
         the plugin does not like this line\n  record 1 of source `lines`: boom\n\
         help: fix the plugin, or set job.on_error = \"continue\" to go on with the next batch\n"
    );
}

/// The message has the right record, also far into a partition.
#[test]
fn a_plugin_that_panics_on_record_4817_of_partition_1() {
    let directory = Directory::with_job("hostile");
    let line = |at: usize| if at == 5000 + 4817 { "\"boom\"".to_owned() } else { format!("\"line {at}\"") };
    let lines: Vec<String> = (0..10_000).map(line).collect();
    directory.write("queue.jsonl", format!("[{}]\n", lines.join(",")));
    let said = job(&directory, "run", &["--set", "job.args.does=panic"]);
    assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{}", said.err);
    let place = "error: operator `fragile` (map, node 1) failed on batch T, partition 1, record 4817: panicked at ";
    assert!(without_times(said.error()).starts_with(place), "{}", said.error());
}

/// With `on_error = "continue"`, the batch is given up, the log says so, and the next batches run.
#[test]
fn a_job_can_go_on_after_a_batch_that_failed() {
    for (does, why) in
        [("panic", "the plugin does not like this line"), ("recurse", "record 1: "), ("exit", "it trapped: ")]
    {
        let directory = Directory::with_job("hostile");
        directory.write("queue.jsonl", "[\"a\", \"b\", \"c\", \"boom\"]\n[\"next\"]\n");
        let does = format!("job.args.does={does}");
        let said = job(&directory, "run", &["--stop-when-idle", "--set", &does, "--set", "job.on_error=continue"]);
        assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
        let failed = said.err.lines().filter(|line| line.contains("ERROR") && line.contains("operator `fragile`"));
        assert_eq!(failed.count(), 1, "{}", said.err);
        assert!(said.err.contains(why), "{}", said.err);
        assert!(said.out.contains("\nnext\n") && !said.out.contains("\na\n"), "{}", said.out);
    }
}

/// Recursion, memory and time without end: each plugin ends at its limit. The message has the name of the limit if the
/// limit has one.
#[test]
fn a_plugin_that_wants_too_much() {
    for (does, expected) in [
        ("recurse", ""),
        ("loop", "it ran longer than limits.task_time = 500ms"),
        ("allocate", "limits.memory = 16777216 bytes"),
        ("flood", "limits.result_size"),
    ] {
        let directory = Directory::with_job("hostile");
        directory.write("queue.jsonl", "[\"a\", \"b\", \"c\", \"boom\"]\n");
        let does = format!("job.args.does={does}");
        let limits = ["limits.task_time=500ms", "limits.memory=16MiB", "limits.result_size=4MiB"];
        let mut args = vec!["--set", &does];
        limits.iter().for_each(|limit| args.extend(["--set", limit]));
        let said = job(&directory, "run", &args);
        assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{does}: {}", said.err);
        let place = "error: operator `fragile` (map, node 1) failed on batch T, partition 1, record 1: ";
        assert!(without_times(said.error()).starts_with(place), "{does}: {}", said.error());
        assert!(said.error().contains(expected) && said.error().contains("\nhelp: "), "{does}: {}", said.error());
    }
}

#[test]
fn a_plugin_that_describes_its_graph_without_end() {
    let directory = Directory::with_job("hostile");
    for command in ["run", "check", "explain"] {
        let args = ["--set", "job.args.does=describe-loop", "--set", "limits.task_time=300ms"];
        let expected = "error: plugin hostile.wasm failed to describe its graph: it ran longer than limits.task_time = 300ms\n\
                        help: run the plugin's `build` function natively with millstream::testing to see why";
        require_error(&job(&directory, command, &args), 3, expected);
    }
}

/// Graphs that no SDK describes: a node that reads itself, and rows of another type than the rows that they come from.
#[test]
fn a_plugin_that_describes_a_graph_which_makes_no_sense() {
    let directory = Directory::with_job("hostile");
    let problems = [
        ("describe-cycle", "`map` (node 1): it reads node 1, which does not stand before it"),
        ("describe-types", "`union` (node 3): its rows are u64, but those of `source` (node 0) are text"),
    ];
    for (does, problem) in problems {
        for command in ["run", "check", "explain"] {
            let expected = format!(
                "error: plugin hostile.wasm described a graph that cannot run:\n  {problem}\n\
                 help: build the plugin with the millstream crate of this host's version"
            );
            require_error(&job(&directory, command, &["--set", &format!("job.args.does={does}")]), 2, &expected);
        }
    }
}

/// Replaces the position in the plugin's source at which the plugin panicked by `P`.
fn without_position(text: &str) -> String {
    const BEFORE: &str = "panicked at ";
    let (before, rest) = text.rsplit_once(BEFORE).expect("it says where it panicked");
    let (position, after) = rest.split_once(":\n").expect("a message follows the position");
    assert!(position.starts_with("plugins/hostile/src/lib.rs:"), "{position}");
    format!("{before}{BEFORE}P:\n{after}")
}
