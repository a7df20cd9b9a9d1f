//! `secretsctl completion`: a script that completes commands and options in a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Context, PROGRAM, args::Cli};
use crate::{error::Result, output::Outcome};

/// Print a completion script for a shell
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The shell to complete in
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), PROGRAM, &mut script);
    context.output.verbatim(&script)?;
    Ok(Outcome::Fine)
}
