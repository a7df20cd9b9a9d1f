//! What keeps the daemon from changing files by itself.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{Means, show::doubt};
use crate::{
    control::protocol::Doubt,
    error::Result,
    files::{Trust, trust},
    rekey::{
        approval::doubts,
        known::{Known, Sight, Strange},
        name as path_name,
        survey::File,
    },
    repository::{ContentHash, RULES, Repository, content_hash},
};

pub(super) type Sights = BTreeMap<PathBuf, Sight>;
/// Of the files' bytes, when it was judged what may happen to them.
pub(super) type Digests = BTreeMap<PathBuf, ContentHash>;

/// About all files.
pub(super) fn about_all(means: &Means<'_>, rules: &Path) -> Result<Vec<Doubt>> {
    let mut found = Vec::new();
    if let Trust::Untrusted(_) = trust(rules)? {
        found.push(doubt(RULES, "untrusted-rules", None));
    }
    if means.is_outdated {
        // The pins in force may not be those that are meant now.
        found.push(doubt(RULES, "configuration-refused", None));
    }
    Ok(found)
}

/// About this file.
pub(super) fn about_file(
    means: &Means<'_>,
    known: Option<&Known>,
    file: &File<'_>,
    sight: Option<&Sight>,
) -> Vec<Doubt> {
    let path = path_name(&file.path);
    let mut found = Vec::new();
    // One that no key in memory opens cannot be told from another.
    let strange = match (sight, known) {
        (Some(sight), Some(known)) => known.strange(sight),
        _ => Some(Strange::Unknown),
    };
    found.extend(strange.map(|strange| doubt(&path, strange.code(), None)));
    let place = means.config.repository.join(&file.path);
    if !matches!(trust(&place), Ok(Trust::Trusted | Trust::ReadOnly)) {
        found.push(doubt(&path, "untrusted-file", None));
    }
    if let Some(pinned) = &means.config.rekey.pinned {
        let pins = doubts(file, &pinned.pins).into_iter();
        found.extend(pins.map(|one| doubt(&path, one.code(), one.recipient())));
    }
    found
}

/// Of what was seen, else of what is there now.
pub(super) fn digests<'f>(
    repository: &Repository,
    files: impl Iterator<Item = &'f File<'f>>,
    sights: &Sights,
) -> Digests {
    let digest = |file: &File<'_>| match sights.get(&file.path) {
        Some(sight) => Some(*sight.content()),
        None => Some(content_hash(repository.read(&file.path).ok()?.expose())),
    };
    let due = files.filter(|file| file.is_due());
    due.filter_map(|file| Some((file.path.clone(), digest(file)?)))
        .collect()
}
