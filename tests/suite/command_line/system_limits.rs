//! Limits of the system on the host's process: the size of files, and the address space.

use super::super::support::binary::{Directory, Running, Said, without_times};
use std::path::Path;

/// Runs `host` in a shell that has set a limit first.
fn run_with(directory: &Directory, limit: &str, args: &[&str]) -> Said {
    let script = format!("ulimit {limit} && exec \"$0\" \"$@\" > out");
    let mut command = directory.program(Path::new("sh"), &["-c", &script]);
    command.arg(directory.host(&[]).get_program()).args(args);
    Running::start(command).finish()
}

/// A write beyond the limit of file sizes fails as a write to a full disk does. It does not end the host.
#[test]
fn a_file_that_may_not_grow_is_a_full_disk() {
    let directory = Directory::with_job("network_word_count");
    // The compiled plugin is a file as well, and exists already. So does the file without a name that holds the initial
    // memory of instances.
    assert_eq!(directory.run(&["check", "job.toml"]).code, Some(0));
    directory.write("queue.jsonl", format!("[\"{}\"]\n", "x".repeat(20 << 20)));
    let said = run_with(&directory, "-f 16384", &["run", "job.toml", "--stop-when-idle"]);
    let expected = "error: cannot print batch T to standard output: File too large (os error 27)\n\
                    help: is the program that reads the output still there?\n";
    assert_eq!((said.code, without_times(said.error()).as_str()), (Some(4), expected), "{}", said.err);
}

/// The engine reserves address space for its instances, and this takes no memory.
#[test]
fn a_small_address_space_has_a_help_line() {
    let directory = Directory::with_job("network_word_count");
    let args = ["check", "job.toml", "--set", "engine.threads=2"];
    let said = run_with(&directory, "-v 4000000", &args);
    assert_eq!(said.code, Some(4), "{}", said.err);
    let expected = "error: cannot start the WebAssembly engine: it reserves about 32 GiB of address space for 4 plugin \
                    instances, and this process may have 3.8 GiB: ";
    assert!(said.error().starts_with(expected), "{}", said.err);
    let help = "\nhelp: run `ulimit -v unlimited` first, or lower engine.threads; address space is no memory\n";
    assert!(said.error().ends_with(help), "{}", said.err);
}
