//! The tutorial of the README, followed by its own text: its commands run, its program is compiled, and what it says that
//! a command prints is what the command prints.
//!
//! Only three things differ from what a reader does. The crate is made in a temporary directory instead of beside the
//! clone; the build directory of the crate is that of the tests, so that nothing is built a second time; and packages come
//! from the lock file of the repository.

use super::support::binary::{Directory, without_times};
use millstream_tests::{programs, repository};
use std::path::Path;
use std::process::Command;

/// The part of the README between a heading and the next heading of the same level or a higher one.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let level = heading.split(' ').next().unwrap_or_default().len();
    let begin = text.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("the README has no section `{heading}`"));
    let rest = &text[begin + heading.len() + 2..];
    let is_next = |line: &str| {
        let marks = line.bytes().take_while(|byte| *byte == b'#').count();
        (1..=level).contains(&marks) && line[marks..].starts_with(' ')
    };
    let mut in_block = false;
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        in_block ^= line.starts_with("```");
        if !in_block && is_next(line) {
            break;
        }
        end += line.len();
    }
    &rest[..end]
}

/// The blocks of a text: the word behind the opening fence, and the lines.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("\n```") {
        let (word, after) = after.split_once('\n').expect("a fence ends with its line");
        let (block, after) = after.split_once("```\n").expect("a block ends");
        blocks.push((word, block));
        rest = after;
    }
    blocks
}

/// Runs the commands of a block, and returns what they printed to standard output.
fn run(directory: &Path, commands: &str) -> String {
    let host = programs::host().parent().expect("the host lies in a directory");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    command.args(["-e", "-c", commands]).current_dir(directory);
    command.env("PATH", format!("{}:{path}", host.display())).env("CARGO_NET_OFFLINE", "true");
    for leaked in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "CARGO_TARGET_DIR"] {
        command.env_remove(leaked);
    }
    command.env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/caches"));
    let output = command.output().expect("bash can be started");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{commands}\nfailed:\n{out}\n{err}");
    without_times(&out)
}

/// Requires that a text contains others, in this order.
fn require_in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("`{part}` is not there, or not in its place, in:\n{text}"));
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn the_tutorial_works_to_the_letter() {
    let readme = repository::file("README.md").expect("there is a README").text;
    let tutorial = section(&readme, "## Your first plugin in five minutes");
    let own = section(tutorial, "### A program of your own");
    let crash = section(tutorial, "### A job that survives a crash");
    let directory = Directory::new();
    let place = directory.path("").display().to_string();

    let first = blocks(tutorial);
    let (_, new) = first[0];
    for command in
        ["PATH=~/.cache/millstream/target/debug:$PATH", "host new traffic --path .. --path-sdk", "cd ../traffic"]
    {
        assert!(new.lines().any(|line| line == command), "`{command}` is not in {new}");
    }
    // `run` puts the program that the tests have built into `PATH`.
    let new: String = new.split_inclusive('\n').filter(|line| !line.starts_with("PATH=")).collect();
    run(repository::root(), &new.replace("..", place.trim_end_matches('/')));
    let traffic = directory.path("traffic");
    std::fs::copy(repository::root().join("Cargo.lock"), traffic.join("Cargo.lock")).expect("it can be copied");
    let target = programs::host().ancestors().nth(2).expect("the host lies in a build directory");
    std::os::unix::fs::symlink(target, traffic.join("target")).expect("it can be linked");
    let (_, four_commands) = first[1];
    let (_, printed) = first[2];
    require_in_order(&run(&traffic, four_commands), &[&without_times(printed)]);

    let second = blocks(own);
    let command = |begin: &str| {
        let block = second.iter().find(|(_, block)| block.starts_with(begin));
        block.unwrap_or_else(|| panic!("there is no command `{begin}` in: {own}")).1
    };
    run(&traffic, command("cp target/"));
    let program = second.iter().find(|(word, _)| *word == "rust").expect("the tutorial has a program").1;
    std::fs::write(traffic.join("src/lib.rs"), program).expect("it can be written");
    for said in [
        "prints `(alice,127)` and `(bob,30)`, and a second later `(bob,5)`",
        "host explain before.wasm --diff job.toml",
    ] {
        assert!(own.contains(said), "the tutorial does not say any more: {said}");
    }
    require_in_order(&run(&traffic, command("printf ")), &["\n(alice,127)\n(bob,30)\n", "\n(bob,5)\n"]);
    assert!(run(&traffic, "host explain before.wasm --diff job.toml").contains("bytes_by_user"));

    let commands: Vec<&str> = blocks(crash).first().expect("there are commands").1.lines().collect();
    let [before, after] = commands.as_slice() else { panic!("there are other commands: {commands:?}") };
    let (before, after) = (run(&traffic, before), run(&traffic, after));
    assert!(before.contains("\n(alice,127)\n") && !before.contains("(bob,5)"), "{before}");
    assert!(after.contains("\n(bob,5)\n") && !after.contains("(alice,127)"), "{after}");
}

#[test]
fn sections_and_blocks_are_found() {
    let text = "# A\n\n## B\n\nb\n```\n# no heading\n```\n### C\n```rust\nc\n```\n## D\n";
    let b = section(text, "## B");
    assert!(b.ends_with("c\n```\n") && section(text, "### C") == "```rust\nc\n```\n", "{b}");
    assert_eq!(blocks(b), [("", "# no heading\n"), ("rust", "c\n")]);
}
