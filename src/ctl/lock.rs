//! `secretsctl lock`: the opposite of `unlock`.

use super::Context;
use crate::{
    control::{
        client::Client,
        protocol::{Identified, Locked},
    },
    error::Result,
    output::{Outcome, numbered},
};

/// Make the daemon forget the data keys that were unlocked
///
/// They are wiped at once, and an unlock that is under way is ended. What was delivered stays delivered; what changes from
/// now on is locked.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The keys of this identity only: its name as in secretsctl status, the last part of its path, or the number of a card
    #[arg(value_name = "IDENTITY")]
    identity: Option<String>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let wanted = Identified {
        identity: args.identity.clone(),
    };
    let locked: Locked = Client::connect(&context.global.socket())?.call("Lock", wanted)?;
    let output = &mut context.output;
    if output.is_json() {
        output.json(&locked)?;
    } else {
        output.line(&format!("{} wiped", numbered(locked.keys, "data key")))?;
    }
    Ok(Outcome::Fine)
}
