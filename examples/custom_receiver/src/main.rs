//! The program `host` with one more receiver: all its commands, and the receiver `acknowledged-lines` for job files.

mod acknowledged_lines;

use acknowledged_lines::AcknowledgedLines;
use host::receiver::Receivers;
use std::process::ExitCode;

fn main() -> ExitCode {
    let receivers = Receivers::default().with("acknowledged-lines", |options| {
        let address = options.required("address")?;
        Ok(Box::new(AcknowledgedLines::new(address)))
    });
    host::cli::main_with(&receivers)
}
