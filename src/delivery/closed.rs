//! Which files of the repository are, or would be, delivered and may need an identity that a person has to unlock.

use std::{collections::BTreeMap, path::Path};

use policy::rules::KeyKind;

use super::{Inputs, by_rules::read_rules};
use crate::{
    config::{Config, Deliver},
    error::Result,
    identity::Identities,
    repository::{RULES, Repository},
    sops::format::Format,
};

/// Paths in the repository and the format that each has: those of the listed secrets, and by rules those that the rules
/// may give to an identity that needs somebody.
pub(crate) fn files_to_unlock(
    config: &Config,
    repository: &Repository,
    identities: &Identities,
) -> Result<BTreeMap<String, Format>> {
    let mut files = BTreeMap::new();
    for entry in &config.secrets {
        let format = entry.format;
        let format = format.unwrap_or_else(|| Format::from_path(Path::new(&entry.file)));
        files.insert(entry.file.clone(), format);
    }
    if config.deliver == Deliver::Configured {
        return Ok(files);
    }
    let rules = read_rules(&Inputs {
        config,
        repository,
        identities,
    })?;
    let walk = repository.walk()?;
    let links = walk.links.into_iter().map(|link| link.path);
    for path in walk.files.into_iter().chain(links) {
        let Some(file) = path.to_str().filter(|file| *file != RULES) else {
            continue;
        };
        // What is wrong with the rules is for the delivery to say.
        let Ok(Some(rule)) = rules.select(file) else {
            continue;
        };
        let Ok(settings) = rule.settings() else {
            continue;
        };
        let mut recipients = settings.key_groups.iter().flatten();
        let is_meant = recipients.any(|recipient| {
            recipient.kind == KeyKind::Age && identities.may_be_unlocked_for(&recipient.text)
        });
        if is_meant && !files.contains_key(file) {
            files.insert(file.to_owned(), Format::from_path(&path));
        }
    }
    Ok(files)
}
