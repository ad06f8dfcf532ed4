//! `host new`: a new crate builds and runs at once, and a refused command leaves everything unchanged.

use super::super::support::binary::{Directory, Running, without_times};
use super::require_error;
use millstream_tests::{programs, repository};
use std::path::Path;
use std::process::Command;

/// The directory of the SDK in this repository.
pub(super) fn sdk() -> String {
    repository::root().join("plugins/millstream").display().to_string()
}

/// Runs cargo in a crate that `host new` has made, with the build directory and the locked packages of this repository.
/// So nothing is downloaded, and nothing is built a second time.
fn cargo(directory: &Path, args: &[&str]) {
    let target = programs::host().ancestors().nth(2).expect("the host lies in a build directory");
    let mut command = Command::new("cargo");
    command.args(args).arg("--offline").current_dir(directory).env("CARGO_TARGET_DIR", target);
    for leaked in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"] {
        command.env_remove(leaked);
    }
    let output = command.output().expect("cargo can be started");
    assert!(output.status.success(), "cargo {args:?}:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// The word count of its two batches.
const PRINTED: &str = "\
-------------------------------------------
Time: T ms
-------------------------------------------
(hello,2)
(world,1)

-------------------------------------------
Time: T ms
-------------------------------------------
(to,2)
(be,2)
(or,1)
(not,1)

";

/// The second program of the README's tutorial, taken from the README.
fn second_program() -> String {
    let readme = repository::root().join("README.md");
    let text = std::fs::read_to_string(&readme).expect("it can be read");
    let programs = text.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next());
    let program = programs.into_iter().find(|program| program.contains("bytes_by_user"));
    program.expect("the tutorial has a program of its own").to_owned()
}

/// The crate is in the middle of a workspace of which it is not a member.
#[test]
fn a_new_plugin_builds_and_runs_at_once() {
    let directory = Directory::new();
    directory.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = []\n");
    let said = directory.run(&["new", "new-word-count", "--path-sdk", &sdk()]);
    let expected = format!(
        "made new-word-count: a plugin that counts words, its job and two batches\n\n\
         cd new-word-count\ncargo test\ncargo build --release --target wasm32-wasip2\n\
         {} run --stop-when-idle\n",
        programs::host().display()
    );
    assert_eq!((said.out.as_str(), said.err.as_str(), said.code), (expected.as_str(), "", Some(0)));

    let made = directory.path("new-word-count");
    std::fs::copy(repository::root().join("Cargo.lock"), made.join("Cargo.lock")).expect("it can be copied");
    cargo(&made, &["test", "--quiet"]);
    cargo(&made, &["build", "--release", "--target", "wasm32-wasip2"]);

    let target = programs::host().ancestors().nth(2).expect("the host lies in a build directory");
    let plugin = format!("job.plugin={}/wasm32-wasip2/release/new_word_count.wasm", target.display());
    let in_crate = |args: &[&str]| {
        let mut command = directory.host(args);
        command.args(["--set", &plugin]).current_dir(&made);
        Running::start(command).finish()
    };
    let checked = in_crate(&["check", "job.toml"]);
    assert_eq!(
        checked.out,
        "new-word-count: ok, 5 nodes, 1 output, source `lines` (text)\n  the plugin may read and write `out`: out\n",
        "{}",
        checked.err
    );
    let ran = in_crate(&["run", "job.toml", "--stop-when-idle"]);
    assert_eq!((without_times(&ran.out).as_str(), ran.error(), ran.code), (PRINTED, "", Some(0)));

    // The program of the README. In a release build, too, a sum that does not fit fails.
    std::fs::write(made.join("src/lib.rs"), second_program()).expect("it can be written");
    let batches = "[\"alice 120\", \"bob 30\", \"alice 7\"]\n[\"bob 18446744073709551615\", \"bob 5\"]\n";
    std::fs::write(made.join("batches.jsonl"), batches).expect("it can be written");
    cargo(&made, &["test", "--quiet"]);
    cargo(&made, &["build", "--release", "--target", "wasm32-wasip2"]);
    let ran = in_crate(&["run", "job.toml", "--stop-when-idle"]);
    assert!(ran.out.contains("\n(alice,127)\n(bob,30)\n") && !ran.out.contains("(bob,4)"), "{}", ran.out);
    assert!(ran.error().starts_with("error: operator `bytes_by_user` "), "{}", ran.err);
    assert!(ran.error().contains("attempt to add with overflow"), "{}", ran.err);
    assert_eq!(ran.code, Some(3));
}

#[test]
fn a_new_plugin_overwrites_nothing() {
    let directory = Directory::new();
    directory.write("taken", "precious");
    let new = |name: &str, args: &[&str]| {
        let sdk = sdk();
        let args: Vec<&str> = ["new", name, "--path-sdk", &sdk].iter().chain(args).copied().collect();
        directory.run(&args)
    };
    let expected = "error: cannot make taken: File exists (os error 17)\n\
                    help: nothing is overwritten: choose another name, or another place with --path";
    require_error(&new("taken", &[]), 2, expected);
    assert_eq!(std::fs::read_to_string(directory.path("taken")).ok().as_deref(), Some("precious"));
    let expected = "error: cannot make nowhere/mine: No such file or directory (os error 2)\n\
                    help: make the directory that --path names first";
    require_error(&new("mine", &["--path", "nowhere"]), 2, expected);
    let expected = "error: `../mine` cannot be the name of a crate: it contains '.'\n\
                    help: begin with a letter and go on with letters, digits, `-` and `_`, as in `word-count`";
    require_error(&new("../mine", &[]), 2, expected);
}

#[test]
fn the_sdk_is_that_of_the_clone_or_given_or_of_the_repository() {
    let directory = Directory::new();
    let expected = "error: cannot find the millstream crate: the current directory is not in a clone of it\n\
                    help: give its path, as in `--path-sdk ~/millstream/plugins/millstream`";
    require_error(&directory.run(&["new", "mine", "--path-sdk"]), 2, expected);
    let expected = "error: there is no millstream crate at nowhere\n\
                    help: give the directory plugins/millstream of a clone of Millstream";
    require_error(&directory.run(&["new", "mine", "--path-sdk", "nowhere"]), 2, expected);
    assert!(!directory.path("mine").exists());

    // The command runs in some directory of the clone.
    let scratch = directory.path("");
    let mut command = directory.host(&["new", "mine", "--path-sdk", "--path"]);
    command.arg(&scratch).current_dir(repository::root().join("host/src"));
    let said = Running::start(command).finish();
    assert_eq!((said.err.as_str(), said.code), ("", Some(0)));
    let manifest = std::fs::read_to_string(directory.path("mine/Cargo.toml")).expect("it was made");
    let real = std::fs::canonicalize(sdk()).expect("the SDK is there");
    assert!(manifest.contains(&format!("millstream = {{ path = \"{}\" }}", real.display())), "{manifest}");

    // Without the option, the crate names no path of this machine, and can be shared.
    let said = directory.run(&["new", "shared"]);
    assert_eq!((said.err.as_str(), said.code), ("", Some(0)));
    let manifest = std::fs::read_to_string(directory.path("shared/Cargo.toml")).expect("it was made");
    assert!(manifest.contains(concat!("\nmillstream = { git = \"", env!("CARGO_PKG_REPOSITORY"), "\"")), "{manifest}");
    assert!(!manifest.contains("path ="), "{manifest}");
}
