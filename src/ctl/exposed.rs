//! `secretsctl exposed`: values that a removed recipient could read and that have not changed since.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use policy::names::Names;
use serde_json::{Value, json};

use super::Context;
use crate::{
    clock,
    error::{Error, Result},
    escape,
    limits::Limits,
    output::{Outcome, Style},
    rekey::{ledger::Ledger, recover, write_ledger},
    repository::{LEDGER, Repository, find, read_rules},
};

/// List the values that a removed recipient could read and that have not changed since
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Take the values of this file off the list, although they have not changed
    #[arg(long, value_name = "PATH", requires = "reason")]
    done: Option<PathBuf>,

    /// Only the value at this path, written as for sops set (repeatable)
    #[arg(long, value_name = "EXPR", requires = "done")]
    key: Vec<String>,

    /// Why that is right; it is kept in the list
    #[arg(long, value_name = "TEXT", requires = "done")]
    reason: Option<String>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let limits = Limits::default();
    let found = find(context.global.config_file.as_deref())?.required()?;
    let repository = Repository::open(&found.root, limits)?;
    if let (Some(path), Some(reason)) = (&args.done, &args.reason) {
        settle(&repository, path, &args.key, reason, &limits)?;
    }
    let mut ledger = Ledger::read(&repository, &limits)?;
    let followed = ledger.follow(&repository, &limits)?;
    let open = ledger.open();
    let output = &mut context.output;
    for problem in &followed.problems {
        output.warning(problem);
    }
    if output.is_json() {
        let entries = open.iter().map(|open| {
            json!({
                "path": open.path,
                "keys": open.keys,
                "recipients": open.recipients,
                "since": open.since,
                "gone": followed.gone.contains(open.path),
            })
        });
        output.json(&json!({"exposed": entries.collect::<Vec<Value>>()}))?;
        return Ok(Outcome::findings_if(!open.is_empty()));
    }
    let rules = read_rules(&found, &limits).ok();
    let names = rules.as_ref().map(policy::rules::Rules::names);
    let label =
        |text: &&str| names.map_or_else(|| (*text).to_owned(), |names: &Names| names.label(text));
    for one in &open {
        let who: Vec<_> = one.recipients.iter().map(label).collect();
        let path = output.styled(Style::Bold, &escape::text(one.path));
        let gone = match followed.gone.contains(one.path) {
            true => " (the file is gone: these values may live on elsewhere)",
            false => "",
        };
        output.line(&format!(
            "{path}: since {} no more for {}{gone}",
            escape::text(one.since),
            escape::text(&who.join(", "))
        ))?;
        for place in &one.keys {
            output.line(&format!("  {}", escape::text(place)))?;
        }
    }
    if !followed.gone.is_empty() {
        output.line("Settle what is gone with `secretsctl exposed --done PATH --reason TEXT`.")?;
    }
    if open.is_empty() {
        output.line("nothing is exposed")?;
    }
    Ok(Outcome::findings_if(!open.is_empty()))
}

fn settle(
    repository: &Repository,
    path: &Path,
    keys: &[String],
    reason: &str,
    limits: &Limits,
) -> Result<()> {
    if reason.trim().is_empty() {
        return Err(Error::new("usage", "the reason is empty")
            .with_hint("say why the values need not change, for whoever reads the list next"));
    }
    let _lock = repository.lock()?;
    recover(repository)?;
    let before = repository.stamp(Path::new(LEDGER)).ok();
    let mut ledger = Ledger::read(repository, limits)?;
    ledger.follow(repository, limits)?;
    let wanted = path.to_string_lossy();
    let here = || -> Option<String> {
        let root = repository.root().canonicalize().ok()?;
        let real = path.canonicalize().ok()?;
        Some(real.strip_prefix(root).ok()?.to_string_lossy().into_owned())
    };
    let name = here().unwrap_or_else(|| wanted.into_owned());
    let now = clock::format(SystemTime::now());
    if ledger.settle(&name, keys, &now, reason.trim()) == 0 {
        return Err(Error::new("not-exposed", "no such value is on the list")
            .with_file(path)
            .with_hint("see the list with secretsctl exposed"));
    }
    write_ledger(repository, &ledger, before)
}
