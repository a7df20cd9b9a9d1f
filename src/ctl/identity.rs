//! `secretsctl identity`: which private keys would be used, and whether they can be.

use clap::Subcommand;
use serde_json::json;

use super::{Context, interrupt};
use crate::{
    error::{Error, Result},
    escape,
    identity::{Identity, State},
    output::{Outcome, Style, describe},
};

/// Show which identities would be used, in the order in which they are tried
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Programs of age plugins are looked for in $SECRETSD_PLUGIN_DIRS, and where that is not set in $PATH. \
                  They are ended after $SECRETSD_PLUGIN_TIME_LIMIT seconds of their own [default: 60]."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Command {
    /// List the identities: name, kind, state, recipients
    Show,
    /// The same; exit with 1 when one of them cannot be used now, or there is none
    Check,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let identities = interrupt::identities(context)?;
    // It needs no PIN and no touch.
    identities.look_at_all_cards();
    let states: Vec<(&Identity, State)> = identities
        .iter()
        .map(|identity| (identity, identity.state(identities.plugins())))
        .collect();
    let output = &mut context.output;
    if output.is_json() {
        let list: Vec<_> = states
            .iter()
            .map(|(identity, state)| member(identity, state))
            .collect();
        let problems: Vec<_> = identities.problems().iter().map(describe).collect();
        output.json(&json!({
            "identities": list,
            "problems": problems,
            "unused": identities.unused(),
        }))?;
    } else {
        for (identity, state) in &states {
            let shown = match state {
                State::Usable => output.styled(Style::Green, "usable"),
                State::Locked(_) => output.styled(Style::Yellow, "locked"),
            };
            let name = escape::text(identity.name());
            output.line(&format!("{name}  {}  {shown}", kind(identity)))?;
            if let State::Locked(error) = state {
                output.line(&format!("    {}", escape::text(&error.message)))?;
            }
            for recipient in identity.recipients() {
                output.line(&format!("    {}", escape::text(recipient)))?;
            }
        }
        output.flush()?;
        for problem in identities.problems() {
            output.warning(problem);
        }
        if states.is_empty() {
            output.warning(
                &Error::new("no-identity", "there is no identity").with_hint(format!(
                    "make one with age-keygen, or name one with -i; looked at {}",
                    identities.unused().join(", ")
                )),
            );
        }
    }
    let locked = states
        .iter()
        .any(|(_, state)| matches!(state, State::Locked(_)));
    let found = states.is_empty() || locked || !identities.problems().is_empty();
    Ok(match args.command {
        Command::Show => Outcome::Fine,
        Command::Check => Outcome::findings_if(found),
    })
}

fn member(identity: &Identity, state: &State) -> serde_json::Value {
    let mut member = json!({
        "name": identity.name(),
        "kind": kind(identity),
        "state": match state {
            State::Usable => "usable",
            State::Locked(_) => "locked",
        },
        "recipients": identity.recipients().collect::<Vec<_>>(),
    });
    if let State::Locked(error) = state {
        member["cause"] = error.message.as_str().into();
    }
    member
}

fn kind(identity: &Identity) -> String {
    match identity.plugin() {
        Some(plugin) => format!("plugin {plugin}"),
        None => identity.kind().to_owned(),
    }
}
