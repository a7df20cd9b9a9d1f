//! `secretsctl status`: how the daemon is.

use super::Context;
use crate::{
    control::{
        client::Client,
        protocol::{Refused, Rekey, State, Status},
    },
    error::Result,
    escape,
    output::{Outcome, Output, Style, numbered},
};

/// Show how the daemon is; exit code 1 when it is not ok
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(_: &Args, context: &mut Context) -> Result<Outcome> {
    let status: Status = Client::connect(&context.global.socket())?.call("Status", ())?;
    let is_stuck = status.rekey.mode != "off" && status.rekey.failure.is_some();
    let outcome = Outcome::findings_if(
        status.state != State::Ok || status.configuration.is_some() || is_stuck,
    );
    if context.output.is_json() {
        context.output.json(&status)?;
    } else {
        show(&status, &mut context.output)?;
    }
    Ok(outcome)
}

fn show(status: &Status, output: &mut Output) -> Result<()> {
    let style = match status.state {
        State::Ok => Style::Green,
        State::Starting => Style::Blue,
        State::Degraded | State::Locked => Style::Yellow,
    };
    let state = output.styled(style, status.state.name());
    output.line(&format!("state       {state}"))?;
    output.line(&format!("generation  {}", status.generation))?;
    let repository = &status.repository;
    output.line(&format!(
        "repository  {}, followed by {}{}",
        escape::text(&repository.directory),
        escape::text(&repository.watch),
        in_brackets(repository.watch_reason.as_deref()),
    ))?;
    let runtime = &status.runtime;
    output.line(&format!(
        "runtime     {} on {}, {}",
        escape::text(&runtime.directory),
        escape::text(&runtime.filesystem),
        match runtime.swap.as_str() {
            "never" => "never swapped to disk",
            _ => "could be swapped to disk",
        },
    ))?;
    for (index, identity) in status.identities.iter().enumerate() {
        output.line(&format!(
            "{:12}{} ({}, {})",
            if index == 0 { "identities" } else { "" },
            escape::text(&identity.name),
            escape::text(&identity.kind),
            escape::text(&identity.state),
        ))?;
    }
    let degraded = status.degraded.len();
    output.line(&format!(
        "secrets     {}{}",
        status.secrets,
        if degraded == 0 {
            String::new()
        } else {
            format!(", {degraded} degraded")
        },
    ))?;
    for secret in &status.degraded {
        let name = output.styled(Style::Bold, &escape::text(&secret.name));
        output.line(&format!("  {name} since {}", escape::text(&secret.since)))?;
        output.line(&format!("    {}", escape::text(&secret.cause)))?;
    }
    show_rekey(&status.rekey, output)?;
    for warning in &status.warnings {
        let word = output.styled(Style::Yellow, "warning:");
        output.line(&format!("{word} {}", escape::text(warning)))?;
    }
    if let Some(refused) = &status.failure {
        show_refused("cannot deliver", refused, output)?;
    }
    if let Some(refused) = &status.configuration {
        show_refused("the configuration on disk is not in use", refused, output)?;
    }
    Ok(())
}

fn show_rekey(rekey: &Rekey, output: &mut Output) -> Result<()> {
    let mut parts = vec![escape::text(&rekey.mode).into_owned()];
    if rekey.drift > 0 {
        let count = numbered(rekey.drift, "file");
        parts.push(format!("{count} not as the rules say"));
    }
    if let Some(id) = &rekey.pending {
        parts.push(format!("{} waits for approval", escape::text(id)));
    }
    if let Some(last) = &rekey.last {
        let (count, at) = (numbered(last.files, "file"), escape::text(&last.at));
        parts.push(format!("last: {count} at {at}"));
    }
    output.line(&format!("rekey       {}", parts.join("; ")))?;
    let what = match rekey.mode.as_str() {
        "off" => "cannot tell whether files obey the rules",
        _ => "files are not re-keyed",
    };
    match &rekey.failure {
        Some(refused) => show_refused(what, refused, output),
        None => Ok(()),
    }
}

fn show_refused(what: &str, refused: &Refused, output: &mut Output) -> Result<()> {
    let word = output.styled(Style::Red, "error:");
    output.line(&format!(
        "{word} {what}: {}",
        escape::text(&refused.message)
    ))?;
    if let Some(file) = &refused.file {
        let place = match (refused.line, refused.column) {
            (Some(line), Some(column)) => format!(":{line}:{column}"),
            _ => String::new(),
        };
        output.line(&format!("  --> {}{place}", escape::text(file)))?;
    }
    match &refused.hint {
        Some(hint) => output.line(&format!("  hint: {}", escape::text(hint))),
        None => Ok(()),
    }
}

fn in_brackets(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| format!(" ({})", escape::text(text)))
}
