//! `host dev`: a crate that `host new` has made is changed while its job runs.

use super::super::support::binary::{Directory, Running};
use super::new::sdk;
use super::require_error;
use millstream_tests::{programs, repository};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A new crate in the directory `made`, with the locked packages of this repository.
fn new_crate(directory: &Directory, name: &str) -> PathBuf {
    let said = directory.run(&["new", name, "--path-sdk", &sdk()]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let made = directory.path(name);
    std::fs::copy(repository::root().join("Cargo.lock"), made.join("Cargo.lock")).expect("it can be copied");
    made
}

/// `host dev` in a crate. Cargo builds in the build directory of this repository, so that nothing is built twice, and downloads
/// nothing.
fn dev(directory: &Directory, made: &Path, name: &str, args: &[&str]) -> Command {
    let target = programs::host().ancestors().nth(2).expect("the host lies in a build directory").display().to_string();
    let plugin = format!("job.plugin={target}/wasm32-wasip2/release/{}.wasm", name.replace('-', "_"));
    let mut command = directory.host(&[&["dev", "--set", &plugin], args].concat());
    command.current_dir(made).env("CARGO_NET_OFFLINE", "true");
    for leaked in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"] {
        command.env_remove(leaked);
    }
    command
}

/// Replaces texts in a file of the crate, in one write.
fn change(file: &Path, changes: &[(&str, &str)]) {
    let mut text = std::fs::read_to_string(file).expect("it can be read");
    for (from, to) in changes {
        assert!(text.contains(from), "{from}: {text}");
        text = text.replace(from, to);
    }
    std::fs::write(file, text).expect("it can be written");
}

/// A mistake is told and stops nothing. The next change is built, and the job goes on with it: fresh, if its checkpoint is that
/// of another plugin.
#[test]
fn a_changed_crate_is_built_and_run_again() {
    let directory = Directory::new();
    let name = "developed";
    let made = new_crate(&directory, name);
    let (library, job) = (made.join("src/lib.rs"), made.join("job.toml"));
    let mut dev = Running::start(dev(&directory, &made, name, &[])).that_builds();
    dev.wait_for_out("(hello,2)\n(world,1)\n");
    assert!(dev.out().starts_with("developed: ok, "), "{}", dev.out());
    assert!(dev.err().contains("`cargo build --release --target wasm32-wasip2`"), "{}", dev.err());

    change(&library, &[("1u64", "10u64;")]);
    dev.wait_for_err("src/lib.rs has changed");
    dev.wait_for_err("`cargo build --release --target wasm32-wasip2` ended with exit code 101");
    dev.wait_for_err("waiting for a change of the crate or of the job file");
    assert!(!dev.err().contains("is not installed"), "{}", dev.err());
    assert!(dev.err().contains("StreamingStopped"), "the job was stopped gracefully: {}", dev.err());

    // The plugin can be built, and its test fails.
    change(&library, &[("10u64;", "10u64")]);
    dev.wait_for_err("`cargo test --quiet` ended with exit code 101");
    assert!(!dev.out().contains("\n(hello,20)\n"), "{}", dev.out());

    let counts = ["(hello,2)", "(world,1)", "(bye,1)"].map(|pair| (format!("\"{pair}\""), pair.replace(')', "0)")));
    let counts = counts.map(|(from, to)| (from, format!("\"{to}\"")));
    change(&library, &counts.each_ref().map(|(from, to)| (from.as_str(), to.as_str())));
    dev.wait_for_out("(hello,20)\n(world,10)\n");

    // A change of the job file alone. The job begins with its first data set again, and from now on it has a checkpoint.
    change(&job, &[("# checkpoint = ", "checkpoint = ")]);
    dev.wait_for_more_out("(hello,20)\n(world,10)\n", 1);
    assert!(!dev.err().contains("starts fresh"), "{}", dev.err());
    change(&library, &[(".name(\"words\")", "")]);
    dev.wait_for_err("the job starts fresh");
    dev.wait_for_more_err("StreamingStarted", 1);

    change(&job, &[("batch_interval = \"1s\"", "batch_interval = \"no time\"")]);
    dev.wait_for_err("is not a duration");
    dev.signal("TERM");
    let said = dev.finish();
    assert_eq!(said.code, Some(0), "{}", said.err);
}

/// What is no crate, and a machine without Rust or without the target.
#[test]
fn what_cannot_be_developed_is_told() {
    let directory = Directory::with_job("network_word_count");
    let said = directory.run(&["dev"]);
    let error = said.error();
    assert!(
        error.starts_with("error: there is no crate in ") && error.contains("\nhelp: `host dev` takes "),
        "{error}"
    );
    assert_eq!(said.code, Some(2));
    directory.write("Cargo.toml", "[package]\nname = \"none\"\n");
    let expected = "error: cargo does not build the plugin network_word_count.wasm\n\
                    help: name it in job.plugin as cargo does: target/wasm32-wasip2/release/NAME.wasm";
    require_error(&directory.run(&["dev"]), 2, expected);
    let expected = "error: cannot read job file job.toml: No such file or directory (os error 2)\n\
                    help: name a job file; without a name, it is job.toml in the current directory";
    require_error(&Directory::new().run(&["dev"]), 2, expected);

    // A machine without Rust.
    let plugin = "job.plugin=target/wasm32-wasip2/release/none.wasm";
    let mut command = directory.host(&["dev", "--set", plugin]);
    command.env("PATH", directory.path(""));
    let said = Running::start(command).finish();
    assert_eq!(
        said.error(),
        "error: cannot start `cargo`: No such file or directory (os error 2)\n\
         help: install Rust as https://rustup.rs says; if it is installed, put its directory ~/.cargo/bin into PATH\n"
    );
    assert_eq!(said.code, Some(2));

    // Rust without the target: the compiler has no library for it.
    for (name, script) in [("cargo", "#!/bin/sh\nexit 101\n"), ("rustc", "#!/bin/sh\necho /nowhere/lib\n")] {
        directory.write(name, script);
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path(name), executable).expect("the mode can be set");
    }
    let mut command = directory.host(&["dev", "--set", plugin]);
    command.env("PATH", format!("{}:/bin:/usr/bin", directory.path("").display()));
    let mut dev = Running::start(command);
    dev.wait_for_err("the target wasm32-wasip2 is not installed for Rust");
    dev.wait_for_err("help: install it with `rustup target add wasm32-wasip2`");
    dev.wait_for_err("waiting for a change");
    dev.signal("INT");
    assert_eq!(dev.finish().code, Some(0));
}
