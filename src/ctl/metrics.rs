//! `secretsctl metrics`: the daemon's state for Prometheus.

use super::Context;
use crate::{
    control::{
        client::Client,
        metrics::page,
        protocol::{Listing, Status},
    },
    error::Result,
    output::Outcome,
};

/// Print the daemon's state as metrics of Prometheus
///
/// Times are time stamps. There is no value of a secret in it; names of secrets are. The daemon writes the same to
/// metrics.file of its configuration.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(_: &Args, context: &mut Context) -> Result<Outcome> {
    let socket = context.global.socket();
    let status: Status = Client::connect(&socket)?.call("Status", ())?;
    let listing: Listing = Client::connect(&socket)?.call("List", ())?;
    let page = page(&status, &listing);
    let output = &mut context.output;
    if output.is_json() {
        output.json(&serde_json::json!({ "metrics": page }))?;
    } else {
        output.line(page.trim_end())?;
    }
    Ok(Outcome::Fine)
}
