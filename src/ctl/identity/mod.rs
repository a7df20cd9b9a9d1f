//! `secretsctl identity`: which private keys would be used, and whether they can be.

mod files;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{Context, interrupt};
use crate::{
    error::{Error, Result},
    escape,
    identity::{Identity, State, host_recipients},
    output::{Outcome, Output, Style, describe},
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

#[derive(Debug, Subcommand)]
enum Command {
    /// List the identities: name, kind, state, recipients
    ///
    /// No PIN and no touch is needed, and no passphrase.
    Show {
        /// The identities of these files, in place of those that would be used
        files: Vec<PathBuf>,

        /// The SSH keys of this host, by their public keys: what a rule has to name so that the host can read
        #[arg(long, conflicts_with_all = ["files", "identities", "yubikey"])]
        host: bool,
    },
    /// The same, and which encrypted files of the repository they open, and why not the others
    ///
    /// Recipients are compared: no PIN and no touch is needed. With --yubikey SERIAL it answers whether a backup key opens
    /// everything. Exit code 1 when an identity cannot be used now, there is none, or a file does not open.
    Check {
        /// Open every file, with PIN and touches, in place of comparing recipients
        #[arg(long)]
        open: bool,
    },
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    match &args.command {
        Command::Show { host: true, .. } => return show_host(&mut context.output),
        Command::Show { files, .. } => context.global.identities.extend_from_slice(files),
        Command::Check { .. } => {}
    }
    let identities = interrupt::identities(context)?;
    // It needs no PIN and no touch.
    identities.look_at_all_cards();
    let states: Vec<(&Identity, State)> = identities
        .iter()
        .map(|identity| (identity, identity.state(identities.plugins())))
        .collect();
    let files = match args.command {
        Command::Check { open } => files::check(context, &identities, open)?,
        Command::Show { .. } => None,
    };
    let problems = || identities.problems().iter().chain(identities.exposed());
    let output = &mut context.output;
    if output.is_json() {
        let list: Vec<_> = states
            .iter()
            .map(|(identity, state)| member(identity, state))
            .collect();
        let problems: Vec<_> = problems().map(describe).collect();
        output.json(&json!({
            "identities": list,
            "problems": problems,
            "unused": identities.unused(),
            "files": files.as_ref().map(files::Files::json),
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
        if let Some(files) = &files {
            files.show(output)?;
        }
        output.flush()?;
        for problem in problems() {
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
    let is_closed = files.is_some_and(|files| files.are_closed());
    let found = states.is_empty() || locked || is_closed || problems().next().is_some();
    Ok(match args.command {
        Command::Show { .. } => Outcome::Fine,
        Command::Check { .. } => Outcome::findings_if(found),
    })
}

/// The recipients of this host. Its private keys need not be readable.
fn show_host(output: &mut Output) -> Result<Outcome> {
    let keys = host_recipients()?;
    if output.is_json() {
        let list = keys
            .iter()
            .map(|(file, recipients)| json!({ "name": file, "recipients": recipients }));
        output.json(&json!({ "identities": list.collect::<Vec<Value>>() }))?;
        return Ok(Outcome::Fine);
    }
    for (file, recipients) in keys {
        output.line(&escape::text(&file))?;
        for recipient in recipients {
            output.line(&format!("    {}", escape::text(&recipient)))?;
        }
    }
    Ok(Outcome::Fine)
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
