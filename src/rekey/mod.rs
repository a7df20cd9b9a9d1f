//! Re-keying: every file obeys its selected rule again, all of them in one transaction.
//!
//! - [`survey`]: what each file needs; nothing is opened.
//! - [`approval`], [`known`]: what of that may happen when nobody watches.
//! - [`edit`]: the new text of one file, opened again before it counts.
//! - [`transaction`]: all new texts take the place of the old ones, or none does; [`journal`] brings it to an end when it
//!   was interrupted.
//! - [`ledger`]: `.sops-exposed.yaml`, the values that a removed recipient could read.

pub(crate) mod approval;
mod edit;
mod journal;
pub(crate) mod known;
pub(crate) mod ledger;
mod place;
pub(crate) mod survey;
mod text;
mod transaction;

use std::{
    collections::BTreeSet,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use policy::pattern::text_as_go_sees_it;

pub(crate) use edit::{Allowed, Tools};
pub(crate) use journal::{Recovered, is_unfinished, recover};

use crate::{
    error::Result,
    identity::{Effort, Needs},
    limits::Limits,
    repository::{ContentHash, LEDGER, Repository, Stamp, content_hash},
    secret::Secret,
    survey::each_in_parallel,
};
use edit::Edited;
use ledger::{Ledger, Texts};
use survey::{Action, File};
use text::{Spool, Text};
use transaction::{Change, Old};

/// Asked between two files: an interruption ends the work as long as nothing has been changed.
pub(crate) type Interrupted<'i> = &'i (dyn Fn() -> bool + Sync);

/// What is told while it goes on.
pub(crate) trait Progress: Sync {
    /// The new text of one more file is there.
    fn edited(&self, path: &Path);
    /// One more file has its new text.
    fn replaced(&self);
}

/// New texts of files.
#[derive(Default)]
pub(crate) struct Prepared {
    /// With the number of the file.
    edited: Vec<(usize, Edited)>,
    rules: Option<NewRules>,
}

/// A file of rules whose new text takes its place together with the files that obey it.
pub(crate) struct NewRules {
    /// Relative to the repository, links followed.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// Of the file before it was read, and what was read.
    pub(crate) stamp: Stamp,
    pub(crate) hash: ContentHash,
}

/// Makes the new texts of all files that are due; files for which that fails become blocked. Nothing is written.
///
/// What keys in memory open is opened on all processors. The rest follows one by one, as somebody may be asked.
pub(crate) fn prepare(
    tools: &Tools<'_>,
    files: &mut [File<'_>],
    progress: &dyn Progress,
    interrupted: Interrupted<'_>,
) -> Result<Prepared> {
    let due: Vec<usize> = (0..files.len())
        .filter(|&number| files.get(number).is_some_and(File::is_due))
        .collect();
    let shared: &[File<'_>] = files;
    let spool = Spool::default();
    let results = each_in_parallel(&due, |&number| {
        let file = shared.get(number).filter(|_| !interrupted())?;
        let result = tools.edit(file, Effort::Software).map(|edited| Edited {
            text: spool.keep(edited.text),
            ..edited
        });
        if result.is_ok() {
            progress.edited(&file.path);
        }
        Some((number, result))
    });
    let results: Vec<_> = results.into_iter().flatten().collect();
    let closed: Vec<&File<'_>> = results
        .iter()
        .filter(|(_, result)| result.as_ref().is_err_and(|error| is_closed(error.code)))
        .filter_map(|(number, _)| files.get(*number))
        .collect();
    announce_touches(tools, &closed);
    tools.look_ahead(&closed)?;
    let mut prepared = Prepared::default();
    for (number, mut result) in results {
        if interrupted() {
            break;
        }
        let Some(file) = files.get_mut(number) else {
            continue;
        };
        if result.as_ref().is_err_and(|error| is_closed(error.code)) {
            tools.identities.set_purpose(&name(&file.path));
            result = tools.edit(file, Effort::All);
            progress.edited(&file.path);
        }
        match result {
            Ok(edited) => prepared.edited.push((number, edited)),
            Err(error) if error.code == crate::identity::INTERRUPTED => return Err(error),
            Err(error) => file.block(error),
        }
    }
    if interrupted() {
        return Err(transaction::interruption());
    }
    Ok(prepared)
}

/// Tells the person, before the first file, how often which card is to be touched for those that are still closed.
fn announce_touches(tools: &Tools<'_>, files: &[&File<'_>]) {
    let closed: Vec<Needs<'_>> = files.iter().map(|file| file.needs()).collect();
    let recipients: BTreeSet<&str> = closed
        .iter()
        .flat_map(|file| file.groups.iter().flatten().copied())
        .collect();
    let identities = tools.identities;
    identities.look_at_cards(&recipients.into_iter().collect::<Vec<_>>());
    for touches in identities.touches(closed.into_iter()) {
        tools.plugins.tell(&touches.to_string());
    }
}

impl Prepared {
    /// Has the rules written in the same transaction.
    pub(crate) fn with_rules(mut self, rules: Option<NewRules>) -> Self {
        self.rules = rules;
        self
    }

    /// Digests of what the new texts were made from, with the numbers of the files.
    pub(crate) fn made_from(&self) -> impl Iterator<Item = (usize, &ContentHash)> {
        self.edited
            .iter()
            .map(|(number, edited)| (*number, &edited.old))
    }

    /// The values that somebody who loses access could read.
    pub(crate) fn would_expose(&self, files: &[File<'_>]) -> Vec<NewlyExposed> {
        let exposed = self
            .edited
            .iter()
            .filter_map(|(number, edited)| NewlyExposed::of(files.get(*number)?, edited));
        exposed.collect()
    }
}

/// Whether more effort may open the file.
fn is_closed(code: &str) -> bool {
    matches!(code, "no-identity" | "locked")
}

/// Puts the new texts in place, with the list of exposed values and changed rules, in one transaction. Gives what became exposed.
pub(crate) fn commit(
    tools: &Tools<'_>,
    files: &[File<'_>],
    prepared: Prepared,
    progress: &dyn Progress,
    interrupted: Interrupted<'_>,
) -> Result<Vec<NewlyExposed>> {
    let repository = tools.repository;
    let list = Path::new(LEDGER);
    let before = repository.stamp(list).ok();
    let old_ledger = Ledger::read(repository, &tools.limits)?;
    let mut ledger = old_ledger.clone();
    // What cannot be read stays on the list as it is.
    ledger.follow(repository, &tools.limits)?;
    let mut exposed = Vec::new();
    // The rules first: what is left after an interruption is what another re-key does.
    let rules = prepared.rules.into_iter().map(|rules| Change {
        path: rules.path,
        text: Secret::from(rules.text).into(),
        old: Some(Old {
            stamp: rules.stamp,
            hash: rules.hash,
        }),
    });
    let mut changes: Vec<Change> = rules.collect();
    for (number, edited) in prepared.edited {
        let Some(file) = files.get(number) else {
            continue;
        };
        let name = name(&file.path);
        if file.action == Action::Rotate {
            let after = &edited.after;
            ledger.carry(&name, after);
            if let Some(new) = NewlyExposed::of(file, &edited) {
                ledger.expose(&name, &file.remove, &tools.now, after);
                exposed.push(new);
            }
        } else {
            ledger.rewrapped(&name, &edited.after);
        }
        let Some(stamp) = file.stamp else { continue };
        changes.push(Change {
            path: file.path.clone(),
            text: edited.text,
            old: Some(Old {
                stamp,
                hash: edited.old,
            }),
        });
    }
    if ledger != old_ledger {
        changes.push(Change {
            path: list.to_owned(),
            text: list_text(repository, &ledger)?,
            old: old(repository, list, before)?,
        });
    }
    transaction::commit(repository, &changes, interrupted, &mut || {
        progress.replaced();
    })?;
    Ok(exposed)
}

/// Notes what became of the exposed values of a file that was changed without a re-key.
///
/// `before` tells a file that somebody else has given a new data key from one with other values.
pub(crate) fn follow_change(
    repository: &Repository,
    path: &Path,
    before: &Texts,
    after: &Texts,
    limits: &Limits,
) -> Result<Recovered> {
    let name = name(path);
    if !Ledger::read(repository, limits)?.names(&name) {
        return Ok(Recovered::Nothing);
    }
    let _lock = repository.lock_soon()?;
    let recovered = recover(repository)?;
    let stamp = repository.stamp(Path::new(LEDGER)).ok();
    let old = Ledger::read(repository, limits)?;
    let mut ledger = old.clone();
    ledger.changed(&name, before);
    ledger.changed(&name, after);
    if ledger != old {
        write_ledger(repository, &ledger, stamp)?;
    }
    Ok(recovered)
}

/// Puts a list of exposed values in the place of the one that `before` is the stamp of.
pub(crate) fn write_ledger(
    repository: &Repository,
    ledger: &Ledger,
    before: Option<Stamp>,
) -> Result<()> {
    let list = Path::new(LEDGER);
    let change = Change {
        path: list.to_owned(),
        text: list_text(repository, ledger)?,
        old: old(repository, list, before)?,
    };
    transaction::commit(repository, &[change], &|| false, &mut || {})
}

/// The text of the list, if it can be read again.
fn list_text(repository: &Repository, ledger: &Ledger) -> Result<Text> {
    match ledger.checked_text() {
        Ok(text) => Ok(Secret::from(text).into()),
        Err(error) => Err(error.with_file(&repository.root().join(LEDGER))),
    }
}

fn old(repository: &Repository, path: &Path, stamp: Option<Stamp>) -> Result<Option<Old>> {
    let Some(stamp) = stamp else { return Ok(None) };
    let content = repository.read_at_most(path, ledger::MOST_BYTES)?;
    let hash = content_hash(content.expose());
    Ok(Some(Old { stamp, hash }))
}

/// A file as reports and the list of exposed values name it.
pub(crate) fn name(path: &Path) -> String {
    text_as_go_sees_it(path.as_os_str().as_bytes()).into_owned()
}

/// Values that a removed recipient could read.
pub(crate) struct NewlyExposed {
    pub(crate) path: String,
    pub(crate) keys: Vec<String>,
    pub(crate) recipients: Vec<String>,
}

impl NewlyExposed {
    fn of(file: &File<'_>, edited: &Edited) -> Option<Self> {
        let values = &edited.after.values;
        let is_any = file.action == Action::Rotate && !file.remove.is_empty() && !values.is_empty();
        is_any.then(|| Self {
            path: name(&file.path),
            keys: values.keys().cloned().collect(),
            recipients: file.remove.clone(),
        })
    }
}
