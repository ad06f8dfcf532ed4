//! `host completions` and `host man`: completion scripts and manual pages, generated from the definition of the command
//! line.

use super::print;
use crate::config::beginnings;
use crate::error::{Error, ErrorKind};
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueHint};
use clap_complete::Shell;
use std::process::ExitCode;

/// The id of the option `--set` in the commands that have it.
const SET: &str = "overrides";

/// The arguments of `host completions`.
#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell, as in `host completions bash > ~/.local/share/bash-completion/completions/host`.
    shell: Shell,
}

/// The arguments of `host man`.
#[derive(Args)]
pub struct ManArgs {
    /// The command, as in `host man run | man -l -`.
    command: Option<String>,
}

/// Prints a completion script for the program with this command line.
pub fn completions(args: &CompletionsArgs, command: clap::Command) -> Result<ExitCode, Error> {
    let mut command = with_keys(command, &beginnings());
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// The command line in which each `--set` takes only these values. A shell proposes them; the program itself takes others
/// as well.
fn with_keys(command: clap::Command, keys: &[String]) -> clap::Command {
    let has_set = command.get_arguments().any(|argument| argument.get_id() == SET);
    let command = match has_set {
        // The definition lives as long as the process.
        true => command.mut_arg(SET, |set| {
            let keys: Vec<&'static str> = keys.iter().map(|key| &*key.clone().leak()).collect();
            // With this hint, bash adds no space: the value follows.
            set.value_parser(PossibleValuesParser::new(keys)).value_hint(ValueHint::Other)
        }),
        false => command,
    };
    command.mut_subcommands(|command| with_keys(command, keys))
}

/// Prints a manual page of the program with this command line.
pub fn man(args: &ManArgs, mut command: clap::Command) -> Result<ExitCode, Error> {
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
