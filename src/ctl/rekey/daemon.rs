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
    if !args.dry_run && !args.yes {
        refuse_unasked()?;
    }
    let output = &mut context.output;
    let mut shown = None;
    if args.dry_run || !args.yes {
        let planned: Planned = client.call("Plan", Plan { dry_run: true })?;
        let by_itself = planned.done.as_ref().map(|done| done.files.as_slice());
        let by_itself = by_itself.unwrap_or_default();
        let is_something = planned.pending.id.is_some() || !by_itself.is_empty();
        if args.dry_run && output.is_json() {
            output.json(&planned)?;
        } else if args.dry_run || is_something {
            show(&planned.pending, by_itself, output)?;
        }
        if args.dry_run {
            return Ok(Outcome::findings_if(is_something));
        }
        if is_something && !confirmed("Let the daemon change these files?", output)? {
            return Err(Error::new("not-confirmed", "nothing was changed"));
        }
        shown = Some(planned.pending.id);
    }
    let Planned { pending, done } = client.call("Plan", Plan::default())?;
    let mut done = done.unwrap_or_default();
    if let Some(id) = pending.id {
        if shown.is_some_and(|shown| shown.as_ref() != Some(&id)) {
            show_done(&done, output)?;
            let message = "what waits for approval is not what was shown any more";
            return Err(Error::new("void", message).with_hint("look at secretsctl pending"));
        }
        let approved: Rekeyed = client.call("Approve", Approve { id })?;
        done.files.extend(approved.files);
        done.changed += approved.changed;
        done.exposed.extend(approved.exposed);
    }
    match output.is_json() {
        true => output.json(&done)?,
        false => show_done(&done, output)?,
    }
    Ok(Outcome::Fine)
}
