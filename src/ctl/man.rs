//! `secretsctl man`: manual pages, made from the definition of the command line.

use clap::CommandFactory as _;

use super::{Context, args::Cli};
use crate::{
    error::{Error, Result},
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
    let described = match &args.command {
        None => program,
        Some(name) => program
            .find_subcommand(name)
            .map(|command| command.clone().display_name(format!("secretsctl-{name}")))
            .ok_or_else(|| no_such(name, &program))?,
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(described)
        .render(&mut page)
        .map_err(|error| {
            Error::new(
                "internal",
                format!("cannot render the manual page: {error}"),
            )
        })?;
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
