//! `secretsctl rekey --daemon`: the daemon looks again, and does what it is told.

use super::{Args, confirmed, refuse_unasked};
use crate::{
    control::{
        client::Client,
        protocol::{Approve, Pending, Planned, Rekeyed},
    },
    ctl::{
        Context,
        pending::{show, show_done},
    },
    error::{Error, Result},
    output::Outcome,
};

/// Has the daemon look, and approves what it holds.
pub(super) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let mut client = Client::connect(&context.global.socket())?;
    if args.dry_run {
        // The daemon may do by itself what it finds; nothing is asked of it here.
        let pending: Pending = client.call("Pending", ())?;
        let output = &mut context.output;
        match output.is_json() {
            true => output.json(&pending)?,
            false => show(&pending, output)?,
        }
        return Ok(Outcome::findings_if(pending.id.is_some()));
    }
    if !args.yes {
        refuse_unasked()?;
    }
    let Planned { pending, done } = client.call("Plan", ())?;
    let output = &mut context.output;
    let done: Rekeyed = match (pending.id.clone(), done) {
        (None, done) => done.unwrap_or_default(),
        (Some(id), _) => {
            if !args.yes {
                show(&pending, output)?;
                if !confirmed("Let the daemon change these files?", output)? {
                    return Err(Error::new("not-confirmed", "nothing was changed"));
                }
            }
            client.call("Approve", Approve { id })?
        }
    };
    match output.is_json() {
        true => output.json(&done)?,
        false => show_done(&done, output)?,
    }
    Ok(Outcome::Fine)
}
