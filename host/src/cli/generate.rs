//! `host completions` and `host man`: completion scripts and manual pages, generated from the definition of the command
//! line.

use super::{Cli, print};
use crate::error::{Error, ErrorKind};
use clap::{Args, CommandFactory as _};
use std::process::ExitCode;

/// The arguments of `host completions`.
#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell, as in `host completions bash > ~/.local/share/bash-completion/completions/host`.
    shell: clap_complete::Shell,
}

/// The arguments of `host man`.
#[derive(Args)]
pub struct ManArgs {
    /// The command, as in `host man run | man -l -`.
    command: Option<String>,
}

/// Prints a completion script.
pub fn completions(args: &CompletionsArgs) -> Result<ExitCode, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "host", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Prints a manual page.
pub fn man(args: &ManArgs) -> Result<ExitCode, Error> {
    let mut command = Cli::command();
    command.build();
    if let Some(name) = &args.command {
        let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        let unknown = Error::new(ErrorKind::User, format!("there is no command `{name}`"))
            .help(format!("the commands are {}", names.join(", ")));
        command = command.find_subcommand(name).cloned().ok_or(unknown)?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .map_err(|error| Error::new(ErrorKind::Internal, format!("cannot write the manual page: {error}")))?;
    print(&String::from_utf8_lossy(&page))
}
