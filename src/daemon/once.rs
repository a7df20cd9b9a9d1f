//! `--once` and `--check-config`: one pass, and an exit code that says how it went.

use std::{path::PathBuf, sync::Arc};

use super::args::Source;
use crate::{
    config::{Config, Deliver, IdentitySource, Principal},
    delivery::{Delivery, Owners, Report},
    error::{Error, Result},
    identity::{Identities, Plugins, Terminal},
    output::{Outcome, Output},
};

/// Secrets that one error names before it only counts them.
const NAMED: usize = 4;

/// Delivers once.
pub(super) fn deliver(source: &Source, output: &mut Output) -> Result<Outcome> {
    let config = load(source, output)?;
    let delivery = Delivery::open(&config)?;
    deliver_to(delivery, &config, output)
}

/// Delivers once what is early. Where everything has been delivered already, that stays.
pub(super) fn deliver_early(source: &Source, output: &mut Output) -> Result<Outcome> {
    let config = load(source, output)?.into_early();
    if config.secrets.is_empty() && config.templates.is_empty() {
        output.line("nothing is early")?;
        return Ok(Outcome::Fine);
    }
    let delivery = Delivery::open(&config)?;
    if delivery.has_last_good() && !delivery.is_early() {
        output.line("everything has been delivered already")?;
        return Ok(Outcome::Fine);
    }
    deliver_to(delivery, &config, output)
}

fn deliver_to(mut delivery: Delivery, config: &Config, output: &mut Output) -> Result<Outcome> {
    for warning in delivery.warnings() {
        output.warning(&warning);
    }
    let identities = identities(config, with_terminal(plugins(config)));
    for problem in identities.problems() {
        output.warning(problem);
    }
    let report = delivery.reconcile(config, &identities)?;
    for note in &report.notes {
        output.warning(note);
    }
    let degraded = report.degraded().count();
    for error in errors(&report) {
        output.error(&error);
    }
    let in_place = report.in_place();
    if degraded + in_place == 0 && config.deliver == Deliver::ByRules && !is_known(&identities) {
        let unusable = Error::new(
            "no-identity",
            "nothing is delivered by rules: no identity can be used, so nothing is known to be for this host",
        );
        return Err(
            unusable.with_hint("name a readable file with an age identity or an SSH private key that needs no passphrase, or list the secrets")
        );
    }
    if degraded > 0 && in_place == 0 {
        return Err(Error::new(
            "nothing-delivered",
            format!("nothing was delivered: {degraded} of {degraded} secrets are degraded"),
        ));
    }
    output.line(&format!(
        "generation {} in {}: {} in place, {degraded} degraded",
        report.generation,
        crate::escape::path(delivery.runtime_directory()),
        in_place,
    ))?;
    Ok(Outcome::findings_if(degraded > 0))
}

/// Reads the configuration, and looks up the users and groups in it.
pub(super) fn check(source: &Source, output: &mut Output) -> Result<Outcome> {
    let config = load(source, output)?;
    let mut owners = Owners::default();
    let mut missing = 0;
    let settings = config.secrets.iter().map(|entry| &entry.settings);
    let settings = settings.chain(config.templates.iter().map(|entry| &entry.settings));
    let settings = settings
        .chain(config.matches.iter().map(|entry| &entry.settings))
        .chain([&config.defaults]);
    let mut report = |result: Result<u32>| {
        if let Err(error) = result {
            output.error(&error);
            missing += 1;
        }
    };
    let mut seen: Vec<&Principal> = Vec::new();
    for settings in settings {
        // What comes from `defaults` stands in every entry and is told once.
        for (principal, user) in [(&settings.owner, true), (&settings.group, false)] {
            let Some(principal) = principal else { continue };
            if seen.iter().any(|other| other.place == principal.place) {
                continue;
            }
            seen.push(principal);
            report(if user {
                owners.user(principal)
            } else {
                owners.group(principal)
            });
        }
    }
    if let Some(readers) = &config.socket.readers {
        report(owners.group(readers));
    }
    Ok(Outcome::findings_if(missing > 0))
}

/// Shows every problem, and ends with the last one.
pub(super) fn load(source: &Source, output: &mut Output) -> Result<Config> {
    match source.load() {
        Ok(config) => {
            for warning in &config.warnings {
                output.warning(warning);
            }
            Ok(config)
        }
        Err(mut errors) => {
            let last = errors.pop();
            for error in &errors {
                output.error(error);
            }
            Err(last.unwrap_or_else(|| Error::new("internal", "the configuration cannot be used")))
        }
    }
}

/// One error for all secrets that have the same cause.
fn errors(report: &Report) -> Vec<Error> {
    let mut groups: Vec<(&Error, Vec<&str>)> = Vec::new();
    for (secret, cause) in report.degraded() {
        let same = |other: &Error| {
            (other.code, &other.message, &other.file, other.position)
                == (cause.code, &cause.message, &cause.file, cause.position)
        };
        match groups.iter_mut().rev().find(|(other, _)| same(other)) {
            Some((_, names)) => names.push(&secret.name),
            None => groups.push((cause, vec![&secret.name])),
        }
    }
    let describe = |(cause, names): (&Error, Vec<&str>)| {
        let mut shown = names
            .iter()
            .take(NAMED)
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ");
        if names.len() > NAMED {
            shown.push_str(&format!(" and {} more", names.len() - NAMED));
        }
        let verb = if names.len() == 1 { "is" } else { "are" };
        Error {
            message: format!("{shown} {verb} degraded: {}", cause.message),
            ..cause.clone()
        }
    };
    groups.into_iter().map(describe).collect()
}

/// Whether it is known whom at least one identity answers to.
fn is_known(identities: &Identities) -> bool {
    identities
        .iter()
        .any(|identity| identity.recipients().next().is_some())
}

/// The plugins that may run, with nobody to ask.
pub(super) fn plugins(config: &Config) -> Plugins {
    Plugins::configured(
        config.plugins.directories.clone(),
        config.plugins.allow.clone(),
    )
}

/// The identities that the configuration names.
pub(super) fn identities(config: &Config, plugins: Plugins) -> Identities {
    let files: Vec<PathBuf> = config
        .identities
        .iter()
        .filter_map(|source| source.path().cloned())
        .collect();
    let cards = config.identities.iter().filter_map(|source| match source {
        IdentitySource::YubiKey { serial, slot } => Some((*serial, *slot)),
        _ => None,
    });
    Identities::from_configuration(&files, cards, config.allow_insecure_identity, plugins)
}

/// Who sits at the terminal, if there is one, may be asked: this is no daemon.
fn with_terminal(plugins: Plugins) -> Plugins {
    match Terminal::open() {
        Some(terminal) => plugins.with_person(Arc::new(terminal)),
        None => plugins,
    }
}
