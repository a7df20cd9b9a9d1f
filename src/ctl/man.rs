//! `secretsctl man`: manual pages.

use clap::CommandFactory as _;

use super::{Context, args::Cli};
use crate::{
    error::{Error, Result},
    manual,
    output::Outcome,
};

/// Print a manual page
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The command to describe [default: the program itself]
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let page = match &args.command {
        None => manual::page(
            program,
            "1",
            &[
                ("secretsd", "8"),
                ("secretsd.yaml", "5"),
                ("sops", "1"),
                ("age", "1"),
            ],
        )?,
        Some(name) => {
            let Some(command) = program.find_subcommand(name) else {
                return Err(no_such(name, &program));
            };
            let command = command.clone().display_name(format!("secretsctl-{name}"));
            manual::page(command, "1", &[("secretsctl", "1"), ("secretsd", "8")])?
        }
    };
    context.output.verbatim(&page)?;
    Ok(Outcome::Fine)
}

fn no_such(name: &str, program: &clap::Command) -> Error {
    let names: Vec<_> = program
        .get_subcommands()
        .map(clap::Command::get_name)
        .collect();
    Error::new("usage", format!("there is no command {name}"))
        .with_hint(format!("commands are: {}", names.join(", ")))
}
