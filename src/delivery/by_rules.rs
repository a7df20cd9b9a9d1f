//! Delivery by rules: the repository decides what this host gets.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use policy::rules::{KeyKind, Rules, RulesError, Settings};

use super::{
    Inputs,
    desired::{ByRules, Unit, location_of, unit},
    seen::{Seen, SeenFiles, look},
};
use crate::{
    error::{Error, Position, Result},
    repository::{RULES, parse_rules},
    sops::format::Format,
};

/// Adds every encrypted file whose selected rule names one of our recipients.
pub(super) fn collect(
    inputs: &Inputs<'_>,
    seen: &mut SeenFiles,
    is_known: &dyn Fn(&str) -> bool,
    units: &mut BTreeMap<(String, &'static str), Unit>,
    notes: &mut Vec<Error>,
) -> Result<()> {
    let rules = read_rules(inputs)?;
    let mut known_rules = HashMap::new();
    // Where it is not known whom one of our identities answers to, what was delivered is not taken away for it.
    let uncertain = !inputs.identities.problems().is_empty()
        || inputs
            .identities
            .iter()
            .any(|identity| identity.recipients().next().is_none());
    let walk = inputs.repository.walk()?;
    notes.extend(walk.problems);
    let links = walk
        .links
        .into_iter()
        .filter_map(|link| Some((link.path, link.target?)));
    for (path, origin) in walk
        .files
        .into_iter()
        .map(|path| (path.clone(), path))
        .chain(links)
    {
        let Some(file) = path.to_str() else {
            let error = Error::new(
                "unsafe-path",
                "the file is not delivered, because its name is not valid UTF-8",
            );
            notes.push(error.with_file(&inputs.repository.root().join(&path)));
            continue;
        };
        if file == RULES {
            continue;
        }
        let full_path = inputs.repository.root().join(file);
        let known = is_known(file);
        let ours = names_us(&rules, file, inputs, &mut known_rules)
            .map(|ours| ours || (known && uncertain));
        let digest = match look(inputs, seen, file) {
            Ok(seen) => {
                // A file that was delivered and is no longer encrypted is damaged, not gone.
                if !seen.encrypted && !known {
                    continue;
                }
                let names_us = |recipient: &String| inputs.identities.answers_to(recipient);
                let opens = |seen: &mut Seen| seen.recipients(inputs, file).iter().any(names_us);
                match &ours {
                    Ok(true) => {}
                    Ok(false) => {
                        if opens(seen) {
                            notes.push(not_named().with_file(&full_path));
                        }
                        continue;
                    }
                    // Nobody can say whose it is; it concerns us where it did or could.
                    Err(_) if known || opens(seen) => {}
                    Err(_) => continue,
                }
                Ok(seen.digest())
            }
            Err(_) if matches!(ours, Ok(false)) => continue,
            Err(error) => Err(error),
        };
        match location_of(file, inputs.config.base.as_deref()) {
            Ok(location) => {
                let unit = unit(units, file, Format::from_path(Path::new(file)));
                unit.digest = ours.and(digest);
                unit.origin = origin.to_string_lossy().into_owned();
                unit.by_rules = Some(ByRules {
                    location,
                    layout: inputs.config.layout,
                });
            }
            Err(error) => notes.push(error.with_file(&full_path)),
        }
    }
    Ok(())
}

/// Whether the rule that sops would select for `file` names one of our recipients. `known` has the answer of each rule
/// that was asked before: there are far fewer rules than files.
fn names_us(
    rules: &Rules,
    file: &str,
    inputs: &Inputs<'_>,
    known: &mut HashMap<usize, Result<bool>>,
) -> Result<bool> {
    let at_rules =
        |error: RulesError| Error::from(error).with_file(&inputs.repository.root().join(RULES));
    let Some(rule) = rules.select(file).map_err(at_rules)? else {
        return Ok(false);
    };
    let answer = known.entry(rule.index);
    answer
        .or_insert_with(|| {
            rule.settings()
                .map_err(at_rules)
                .map(|settings| is_ours(&settings, inputs))
        })
        .clone()
}

fn is_ours(settings: &Settings, inputs: &Inputs<'_>) -> bool {
    let mut recipients = settings
        .key_groups
        .iter()
        .flatten()
        .filter(|recipient| recipient.kind == KeyKind::Age);
    recipients.any(|recipient| inputs.identities.answers_to(&recipient.text))
}

/// The rules of the repository's own directory.
pub(super) fn read_rules(inputs: &Inputs<'_>) -> Result<Rules> {
    let file = inputs.repository.root().join(RULES);
    let content = inputs.repository.read(Path::new(RULES)).map_err(|error| match error.code {
        "file-missing" => Error::new("no-rules", "delivery by rules needs a .sops.yaml in the repository's directory")
            .with_file(&file)
            .with_hint("name the directory that holds .sops.yaml, or list the secrets: `deliver: configured`"),
        _ => error,
    })?;
    let rules = parse_rules(content.expose(), &inputs.config.limits)
        .map_err(|error| error.with_file(&file))?;
    // A file that is cut short or not yet written takes nothing away; `creation_rules: []` says that it is meant.
    if !rules.are_present() {
        let message = "the file has no creation_rules, so sops acts as if it were not there";
        return Err(Error::new("no-rules", message)
            .with_file(&file)
            .with_position(Position::START)
            .with_hint("add creation_rules, or list the secrets: `deliver: configured`"));
    }
    Ok(rules)
}

fn not_named() -> Error {
    Error::new(
        "not-named",
        "the file could be opened, but its rule does not name this host: it is not delivered",
    )
    .with_hint("re-key the file if this host should not read it, or name the host in the rule")
}
