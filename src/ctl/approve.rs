//! `secretsctl approve`: a person's word for the re-key that the daemon holds.

use super::{Context, pending::show_done};
use crate::{
    control::{
        client::Client,
        protocol::{Approve, Rekeyed},
    },
    error::Result,
    output::Outcome,
};

/// Let the daemon do the re-key that it holds
///
/// The ID is void as soon as the rules change, or what the files need.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// As `secretsctl pending` shows it
    #[arg(value_name = "ID")]
    id: String,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let wanted = Approve {
        id: args.id.clone(),
    };
    let done: Rekeyed = Client::connect(&context.global.socket())?.call("Approve", wanted)?;
    let output = &mut context.output;
    if output.is_json() {
        output.json(&done)?;
    } else {
        show_done(&done, output)?;
    }
    Ok(Outcome::Fine)
}
