//! The mistakes of those who write their first plugin: each gives one message, which says where it is and what to do.
//!
//! Mistakes that the compiler finds are on the page of questions: see `questions.rs`.

use super::support::binary::{Directory, Said};
use std::path::Path;
use std::process::Command;

/// Requires that the program ends with one error that contains all of `parts`, and help that contains `help`.
fn require(said: &Said, parts: &[&str], help: &str) {
    let errors: Vec<&str> = said.err.lines().filter(|line| line.starts_with("error")).collect();
    assert_eq!(errors.len(), 1, "{}", said.err);
    let (message, advice) = said.error().split_once("\nhelp: ").unwrap_or_else(|| panic!("no help in {}", said.err));
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    assert!(advice.contains(help), "`{help}` is not in: {advice}");
}

/// A directory with a job of the plugin, and the text of its job file after a replacement.
fn job(plugin: &str, from: &str, to: &str) -> Directory {
    let directory = Directory::with_job(plugin);
    let text = std::fs::read_to_string(directory.path("job.toml")).expect("it was written");
    assert!(text.contains(from), "{text}");
    directory.write("job.toml", text.replace(from, to));
    directory
}

fn check(directory: &Directory) -> Said {
    directory.run(&["check", "job.toml"])
}

/// Compiles a library, as cargo would, and returns the bytes of what comes out.
fn compiled(source: &str, target: &str) -> Vec<u8> {
    let directory = Directory::new();
    directory.write("lib.rs", source);
    let out: &Path = &directory.path("out.wasm");
    let mut command = Command::new("rustc");
    command.args(["--edition", "2024", "--crate-type", "cdylib", "--target", target, "-o"]).arg(out);
    command.arg(directory.path("lib.rs"));
    for leaked in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"] {
        command.env_remove(leaked);
    }
    // The compiler of this repository is chosen by the directory in which it is called.
    command.current_dir(millstream_tests::repository::root());
    let output = command.output().expect("the compiler can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(out).expect("it was written")
}

#[test]
fn a_window_that_is_no_multiple_of_the_batch_interval() {
    let args = "batch_interval = \"1s\"\nargs = { operator = \"window_that_does_not_fit\" }";
    let directory = job("operators", "batch_interval = \"20ms\"", args);
    require(&check(&directory), &["window of 7s on stream `counts` is not a multiple"], "use 6s or 8s");
}

#[test]
fn a_program_without_an_output() {
    let directory =
        job("hostile", "batch_interval = \"20ms\"", "batch_interval = \"20ms\"\nargs = { does = \"no-output\" }");
    require(&check(&directory), &["No output operations registered", "hostile.wasm"], "`print()`");
}

#[test]
fn a_source_that_the_job_file_does_not_have() {
    let directory = job("network_word_count", "[sources.lines]", "[sources.words]");
    require(&check(&directory), &["reads source `lines`"], "add a [sources.lines] table");
}

#[test]
fn a_plugin_without_the_macro() {
    let directory = Directory::with_job("network_word_count");
    directory.write("network_word_count.wasm", compiled("", "wasm32-wasip2"));
    require(
        &check(&directory),
        &["network_word_count.wasm", "not a Millstream plugin"],
        "`millstream::plugin!(build)`",
    );
}

/// Without `crate-type`, cargo makes no file with the ending `.wasm`.
#[test]
fn a_crate_without_a_crate_type() {
    let directory = job("network_word_count", "network_word_count.wasm", "target/wasm32-wasip2/release/mine.wasm");
    require(&check(&directory), &["target/wasm32-wasip2/release/mine.wasm"], "crate-type = [\"cdylib\"]");
}

#[test]
fn a_plugin_for_another_target() {
    let directory = Directory::with_job("network_word_count");
    // What a native library begins with.
    directory.write("network_word_count.wasm", b"\x7fELF\x02\x01\x01\0");
    require(&check(&directory), &["network_word_count.wasm", "not a WebAssembly component"], "--target wasm32-wasip2");
    directory.write("network_word_count.wasm", b"\0asm\x01\0\0\0");
    require(&check(&directory), &["network_word_count.wasm", "core module"], "--target wasm32-wasip2");
}

#[test]
fn a_path_that_leads_nowhere() {
    let directory = job("network_word_count", "queue.jsonl", "data/queue.jsonl");
    require(&check(&directory), &["cannot read data/queue.jsonl: No such file"], "a queue is a file of JSON lines");
}

#[test]
fn a_key_with_a_wrong_letter() {
    let directory = job("network_word_count", "batch_interval", "batch_intervall");
    require(&check(&directory), &["job.toml line 4", "`job.batch_intervall`"], "did you mean `job.batch_interval`?");
}

/// A file, a thread, and a panic: the message names the operator, the record, and the way on.
#[test]
fn plugin_code_that_asks_for_too_much_or_panics() {
    let run = |does: &str| {
        let args = format!("batch_interval = \"20ms\"\nargs = {{ does = \"{does}\" }}");
        let directory = job("hostile", "batch_interval = \"20ms\"", &args);
        directory.write("queue.jsonl", "[\"a\", \"boom\"]\n");
        directory.run(&["run", "job.toml", "--stop-when-idle"])
    };
    let place = ["operator `fragile` (map, node 1)", "plugins/hostile/src/lib.rs:", "source `lines`: boom"];
    let with = |own: &'static str| [place.as_slice(), &[own]].concat();
    require(&run("file"), &with("a plugin sees none: in driver functions, `files::read`"), "fix the plugin");
    require(&run("thread"), &["operator `fragile` (map, node 1)", "a plugin has only one"], "fix the plugin");
    require(&run("panic"), &with("the plugin does not like this line"), "fix the plugin");
}
