//! What the control socket shows, made from what the worker reports. No value is anywhere near.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::{Instant, SystemTime},
};

use super::{rekey::Rekeying, worker::Facts};
use crate::{
    clock,
    config::Config,
    control::{
        protocol::{
            self, Degraded, Identity, Listed, Listing, Place, Rekey, Reloaded, Repository, Runtime,
            State, Status,
        },
        server::Snapshot,
    },
    delivery::{self, Report, SecretState},
    error::Error,
    identity::Kept,
};

/// States of an identity. A configured file that gives none is shown too, and nobody knows of what kind it would be.
pub(super) const USABLE: &str = "usable";
pub(super) const LOCKED: &str = "locked";
pub(super) const UNLOCKED: &str = "unlocked";
pub(super) const UNREADABLE: &str = "unreadable";
pub(super) const EMPTY: &str = "empty";
pub(super) const UNKNOWN: &str = "unknown";

/// The state before the first delivery.
pub(super) fn starting(config: &Config, facts: &Facts) -> Snapshot {
    let report = Report::default();
    let mut snapshot = snapshot(config, facts, &report);
    snapshot.status.state = State::Starting;
    snapshot
}

/// The state after a delivery; `report` is the last that succeeded.
pub(super) fn snapshot(config: &Config, facts: &Facts, report: &Report) -> Snapshot {
    let degraded = degraded(report);
    let status = Status {
        state: overall(report, &degraded, facts),
        generation: report.generation,
        repository: Repository {
            directory: text(&config.repository),
            watch: facts.watch.0.to_owned(),
            watch_reason: facts.watch.1.clone(),
        },
        runtime: Runtime {
            directory: text(&config.runtime_directory),
            filesystem: facts.filesystem.clone(),
            swap: facts.swap.to_owned(),
        },
        identities: facts.identities.clone(),
        secrets: report.secrets.len(),
        degraded,
        warnings: warnings(config, facts, report),
        failure: None,
        configuration: facts.refused.as_ref().map(Into::into),
        rekey: Rekey {
            mode: config.rekey.mode.name().to_owned(),
            ..Rekey::default()
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    // Without a slash at its end.
    let directory: PathBuf = config.runtime_directory.components().collect();
    let directory = text(&directory).into();
    let secrets = report.secrets.iter();
    let listing = Listing {
        secrets: secrets.map(|secret| listed(secret, &directory)).collect(),
    };
    Snapshot {
        status,
        listing: Arc::new(listing),
        pending: Arc::default(),
    }
}

/// Puts into `snapshot` what is known of re-keying. Answers whether that was news.
pub(super) fn rekeying(snapshot: &mut Snapshot, rekeying: &Rekeying) -> bool {
    let is_same = snapshot.status.rekey == *rekeying.status()
        && Arc::ptr_eq(&snapshot.pending, rekeying.pending());
    snapshot.status.rekey = rekeying.status().clone();
    snapshot.pending = Arc::clone(rekeying.pending());
    !is_same
}

/// Puts into `snapshot` that the delivery as a whole failed; what was delivered is still there.
pub(super) fn failed(snapshot: &mut Snapshot, facts: &Facts, failure: &Error) {
    let status = &mut snapshot.status;
    status.state = State::Degraded;
    status.failure = Some(failure.into());
    status.configuration = facts.refused.as_ref().map(Into::into);
    status.identities.clone_from(&facts.identities);
    status.repository.watch = facts.watch.0.to_owned();
    status.repository.watch_reason.clone_from(&facts.watch.1);
}

/// The answer to whoever asked for a look.
pub(super) fn reloaded(report: &Report) -> Reloaded {
    let mut changed: Vec<String> = report
        .changed
        .iter()
        .chain(&report.removed)
        .map(|name| name.as_ref().to_owned())
        .collect();
    changed.sort();
    Reloaded {
        generation: report.generation,
        changed,
        degraded: degraded(report),
    }
}

/// Name and cause of everything that is degraded, to compare with the last time.
pub(super) fn causes(report: &Report) -> BTreeMap<String, String> {
    report
        .degraded()
        .map(|(secret, cause)| (secret.name.as_ref().to_owned(), one_line(cause)))
        .collect()
}

fn warnings(config: &Config, facts: &Facts, report: &Report) -> Vec<String> {
    let warnings = config.warnings.iter().chain(&facts.problems);
    warnings.chain(&report.notes).map(one_line).collect()
}

/// One identity, for the status.
pub(super) fn identity(name: &str, kind: &str, state: &str) -> Identity {
    Identity {
        name: name.to_owned(),
        kind: kind.to_owned(),
        state: state.to_owned(),
        keys: None,
        until: None,
    }
}

/// Puts into `identities` what is kept for them. Answers whether that was news.
pub(super) fn kept(identities: &mut [Identity], kept: &Kept) -> bool {
    let mut is_news = false;
    for identity in identities {
        let held = kept.held_by(&identity.name);
        let state = match held {
            Some(_) => UNLOCKED,
            None if identity.state == UNLOCKED => LOCKED,
            None => &identity.state,
        };
        let state = state.to_owned();
        let keys = held.map(|held| held.keys);
        is_news |= identity.state != state || identity.keys != keys;
        identity.state = state;
        identity.keys = keys;
        identity.until = held.and_then(|held| held.until).map(in_words);
    }
    is_news
}

/// What nobody but a person can open: names of secrets, and a word for what nobody knows of yet.
pub(super) fn locked(report: &Report, facts: &Facts) -> BTreeSet<String> {
    let names = report.locked();
    let mut names: BTreeSet<String> = names.map(|name| name.as_ref().to_owned()).collect();
    if facts.is_uncertain {
        names.insert(String::new());
    }
    names
}

/// A time of the monotonic clock, on the calendar.
fn in_words(time: Instant) -> String {
    let left = time.saturating_duration_since(Instant::now());
    clock::format(SystemTime::now() + left)
}

fn overall(report: &Report, degraded: &[Degraded], facts: &Facts) -> State {
    let is_lost = |identity: &Identity| identity.state == UNREADABLE || identity.state == EMPTY;
    if degraded.is_empty() && facts.is_uncertain && !facts.identities.iter().any(is_lost) {
        State::Locked
    } else if degraded.is_empty() && !facts.identities.iter().any(is_lost) {
        State::Ok
    } else if report.locked().next().is_some() {
        State::Locked
    } else {
        State::Degraded
    }
}

fn degraded(report: &Report) -> Vec<Degraded> {
    report
        .degraded()
        .map(|(secret, cause)| Degraded {
            name: secret.name.as_ref().to_owned(),
            cause: one_line(cause),
            since: clock::format(secret.since),
        })
        .collect()
}

fn listed(secret: &SecretState, directory: &Arc<str>) -> Listed {
    Listed {
        name: Arc::clone(&secret.name),
        path: match &secret.link {
            Some(link) => Place::At(text(link).into()),
            None => Place::Below(Arc::clone(directory), Arc::clone(&secret.location)),
        },
        state: match secret.state {
            delivery::State::Delivered => protocol::SecretState::Delivered,
            delivery::State::Degraded { stale: true, .. } => protocol::SecretState::Degraded,
            delivery::State::Degraded { stale: false, .. } => protocol::SecretState::Missing,
        },
        since: secret.since,
        file: secret.file.clone().unwrap_or_default(),
    }
}

/// An error with its place and its hint in one line.
fn one_line(error: &Error) -> String {
    let mut line = String::new();
    if let Some(file) = &error.file {
        line.push_str(&text(file));
        if let Some(position) = error.position {
            line.push_str(&format!(":{}:{}", position.line, position.column));
        }
        line.push_str(": ");
    }
    line.push_str(&error.message);
    if let Some(hint) = &error.hint {
        line.push_str(&format!(" ({hint})"));
    }
    line
}

fn text(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}
