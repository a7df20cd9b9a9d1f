//! `secretsctl reload`: look again now.

use super::Context;
use crate::{
    control::{client::Client, protocol::Reloaded},
    error::Result,
    escape,
    output::Outcome,
};

/// Read configuration, identities and repository again; exit code 1 when a secret is degraded
///
/// Returns when the resulting generation is in place.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(_: &Args, context: &mut Context) -> Result<Outcome> {
    let reloaded: Reloaded = Client::connect(&context.global.socket())?.call("Reload", ())?;
    let output = &mut context.output;
    if output.is_json() {
        output.json(&reloaded)?;
    } else {
        output.line(&format!(
            "generation {}: {} changed, {} degraded",
            reloaded.generation,
            reloaded.changed.len(),
            reloaded.degraded.len(),
        ))?;
        for name in &reloaded.changed {
            output.line(&format!("  changed   {}", escape::text(name)))?;
        }
        super::wait::show_degraded(&reloaded.degraded, output)?;
    }
    Ok(Outcome::findings_if(!reloaded.degraded.is_empty()))
}
