//! `secretsctl rekey --daemon`: the daemon looks again, and does what it is told.

use super::{Args, confirmed, refuse_unasked};
use crate::{
    control::{
        client::Client,
        protocol::{Approve, Plan, Planned, Rekeyed},
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
        let planned: Planned = client.call("Plan", Plan { dry_run: true })?;
        let output = &mut context.output;
        let by_itself = planned.done.as_ref().map(|done| done.files.as_slice());
        let by_itself = by_itself.unwrap_or_default();
        match output.is_json() {
            true => output.json(&planned)?,
            false => show(&planned.pending, by_itself, output)?,
        }
        let is_something = planned.pending.id.is_some() || !by_itself.is_empty();
        return Ok(Outcome::findings_if(is_something));
    }
    if !args.yes {
        refuse_unasked()?;
    }
    let Planned { pending, done } = client.call("Plan", Plan::default())?;
    let output = &mut context.output;
    let done: Rekeyed = match (pending.id.clone(), done) {
        (None, done) => done.unwrap_or_default(),
        (Some(id), _) => {
            if !args.yes {
                show(&pending, &[], output)?;
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
