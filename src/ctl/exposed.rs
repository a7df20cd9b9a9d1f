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
    rekey::{
        ledger::{Ledger, Texts},
        recover, write_ledger,
    },
    repository::{LEDGER, Repository, find, read_rules},
    sops::{document::Document, format::Format},
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
    let ledger = Ledger::read(&repository, &limits)?;
    let open = ledger.open(|path| look(&repository, path, &limits))?;
    let output = &mut context.output;
    if output.is_json() {
        let entries = open.iter().map(|(path, exposed, values)| {
            json!({
                "path": path,
                "keys": values.keys().collect::<Vec<_>>(),
                "recipients": exposed.recipients,
                "since": exposed.since,
            })
        });
        output.json(&json!({"exposed": entries.collect::<Vec<Value>>()}))?;
        return Ok(Outcome::findings_if(!open.is_empty()));
    }
    let rules = read_rules(&found, &limits).ok();
    let names = rules.as_ref().map(policy::rules::Rules::names);
    let label =
        |text: &String| names.map_or_else(|| text.clone(), |names: &Names| names.label(text));
    for (path, exposed, values) in &open {
        let who: Vec<_> = exposed.recipients.iter().map(label).collect();
        let path = output.styled(Style::Bold, &escape::text(path));
        output.line(&format!(
            "{path}: since {} no more for {}",
            escape::text(&exposed.since),
            escape::text(&who.join(", "))
        ))?;
        for place in values.keys() {
            output.line(&format!("  {}", escape::text(place)))?;
        }
    }
    if open.is_empty() {
        output.line("nothing is exposed")?;
    }
    Ok(Outcome::findings_if(!open.is_empty()))
}

/// What the file at `path` is now; `None` when it is gone.
fn look(repository: &Repository, path: &str, limits: &Limits) -> Result<Option<Texts>> {
    let path = Path::new(path);
    match repository.read(path) {
        Ok(content) => {
            let document = Document::parse(content, Format::from_path(path), limits)
                .map_err(|error| error.with_file(&repository.root().join(path)))?;
            Ok(Some(Texts::of(&document)))
        }
        Err(error) if error.code == "file-missing" => Ok(None),
        Err(error) => Err(error),
    }
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
