//! `secretsctl pending`: the re-key that the daemon holds for a person.

use policy::names::shortened;

use super::Context;
use crate::{
    control::{
        client::Client,
        protocol::{Pending, RekeyFile, Rekeyed},
    },
    error::Result,
    escape,
    output::{Outcome, Output, Style, numbered},
};

/// Show the re-key that the daemon holds for a person; exit code 1 when there is one
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(_: &Args, context: &mut Context) -> Result<Outcome> {
    let pending: Pending = Client::connect(&context.global.socket())?.call("Pending", ())?;
    let output = &mut context.output;
    if output.is_json() {
        output.json(&pending)?;
    } else {
        show(&pending, &[], output)?;
    }
    Ok(Outcome::findings_if(pending.id.is_some()))
}

/// The plan, and why it waits; and what happens `by_itself`.
pub(super) fn show(pending: &Pending, by_itself: &[RekeyFile], output: &mut Output) -> Result<()> {
    if !by_itself.is_empty() {
        output.line("by itself:")?;
        show_files(by_itself, &shortened, output)?;
    }
    let Some(id) = &pending.id else {
        return output.line("nothing waits for approval");
    };
    let label = |recipient: &str| {
        let key = shortened(recipient);
        let label = match pending.names.get(recipient) {
            Some(name) => format!("{name} ({key})"),
            None => key,
        };
        escape::text(&label).into_owned()
    };
    show_files(&pending.files, &label, output)?;
    for doubt in &pending.doubts {
        let recipient = doubt.recipient.as_deref().map(label).unwrap_or_default();
        let why = match doubt.code.as_str() {
            "unpinned-recipient" => format!("{recipient} is not pinned there"),
            "required-recipient-lost" => {
                format!("{recipient} is required there, and would lose access")
            }
            "lower-threshold" => "fewer would be needed to open it, or other groups".to_owned(),
            "selection-changed" => "another part of it would be encrypted".to_owned(),
            "unknown-file" => "new here: is it what its name says?".to_owned(),
            "copied-file" => "its data key is known from another file: a copy, or moved".to_owned(),
            "recipients-changed" => {
                "somebody else changed its recipients, or what it says of them".to_owned()
            }
            "older-file" => "an older version of it".to_owned(),
            "untrusted-file" => "others than root and the daemon's user can change it".to_owned(),
            "configuration-refused" => {
                "the configuration on disk is not in use: other pins may be meant".to_owned()
            }
            "untrusted-rules" => {
                "others than root and the daemon's user can change the rules".to_owned()
            }
            code => escape::text(code).into_owned(),
        };
        let word = output.styled(Style::Yellow, "look:");
        output.line(&format!("{word} {}: {why}", escape::text(&doubt.path)))?;
    }
    output.line(&format!(
        "approve it with: secretsctl approve {}",
        escape::text(id)
    ))
}

/// What was done.
pub(super) fn show_done(done: &Rekeyed, output: &mut Output) -> Result<()> {
    show_files(&done.files, &shortened, output)?;
    output.line(&format!("{} changed", numbered(done.changed, "file")))?;
    for exposed in &done.exposed {
        let who: Vec<String> = exposed
            .recipients
            .iter()
            .map(|who| shortened(who))
            .collect();
        let head = output.styled(Style::Yellow, "could be read by");
        output.line(&format!(
            "{}: {} {head} {}",
            escape::text(&exposed.path),
            numbered(exposed.keys.len(), "value"),
            escape::text(&who.join(", ")),
        ))?;
    }
    Ok(())
}

fn show_files(
    files: &[RekeyFile],
    label: &dyn Fn(&str) -> String,
    output: &mut Output,
) -> Result<()> {
    for file in files {
        let mut parts: Vec<String> = Vec::new();
        parts.extend(file.add.iter().map(|one| format!("+ {}", label(one))));
        parts.extend(file.remove.iter().map(|one| format!("- {}", label(one))));
        let others = file
            .reasons
            .iter()
            .filter(|reason| !reason.starts_with("recipients-"));
        parts.extend(others.map(|reason| escape::text(reason).into_owned()));
        let path = output.styled(Style::Bold, &escape::text(&file.path));
        output.line(&format!(
            "{:8}{path}  {}",
            escape::text(&file.action),
            parts.join("  ")
        ))?;
        if let Some(error) = &file.error {
            output.line(&format!("        {}", escape::text(&error.message)))?;
        }
    }
    Ok(())
}
