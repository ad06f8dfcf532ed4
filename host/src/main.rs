//! The program `host`. `bin/millstream.rs` is the same program under its other name.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A child that compiles a plugin for a parent has no command line.
    host::plugin::serve_compilation().unwrap_or_else(|| host::cli::main(option_env!("MILLSTREAM_COMMIT")))
}
