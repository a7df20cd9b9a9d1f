//! Many files change, or none does: every new file is written and synced beside the old one first, then a record of what
//! is to be renamed is synced, and only then the first name changes. Whatever stops us before that leaves the old files,
//! whatever stops us later is finished by the next run.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::{
    Interrupted,
    journal::{Entry, Journal, Phase},
    text::Text,
};
use crate::{
    error::{Error, Result},
    repository::{ContentHash, Replaced, Repository, Stamp},
};

/// Threads that write and sync: syncing waits, and the file system joins what waits together.
const WRITERS: usize = 16;

/// One file to be replaced, or made where `old` is absent.
pub(crate) struct Change {
    /// Relative to the repository.
    pub(crate) path: PathBuf,
    pub(crate) text: Text,
    pub(crate) old: Option<Old>,
}

/// The file that `text` was made from.
pub(crate) struct Old {
    pub(crate) stamp: Stamp,
    pub(crate) hash: ContentHash,
}

/// Makes all `changes`. `step` is told after each renamed file.
pub(crate) fn commit(
    repository: &Repository,
    changes: &[Change],
    interrupted: Interrupted<'_>,
    step: &mut dyn FnMut(),
) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut journal = Journal::begin(repository, entries(changes))?;
    fault("begun");
    let prepared = prepare(repository, changes, &journal, interrupted);
    let prepared = prepared.and_then(|()| {
        if interrupted() {
            return Err(interruption());
        }
        unchanged(repository, changes)?;
        journal.set(Phase::Committing)
    });
    if let Err(error) = prepared {
        journal.undo(repository)?;
        return Err(error);
    }
    fault("committed");
    for (change, entry) in changes.iter().zip(journal.entries()) {
        // Somebody may have been faster than we since the check of all.
        unchanged(repository, std::slice::from_ref(change)).map_err(half_done)?;
        repository
            .take_place(&entry.temporary, &change.path)
            .map_err(half_done)?;
        fault("renamed");
        step();
    }
    sync_directories(repository, changes).map_err(half_done)?;
    fault("synced");
    journal.end()
}

fn entries(changes: &[Change]) -> Vec<Entry> {
    let run = std::process::id();
    let entry = |(number, change): (usize, &Change)| {
        let name = format!(".secretsd-rekey-{run}-{number}.tmp");
        Entry {
            path: change.path.clone(),
            temporary: change.path.with_file_name(name),
            old: change.old.as_ref().map(|old| old.hash),
            new: change.text.hash(),
        }
    };
    changes.iter().enumerate().map(entry).collect()
}

fn prepare(
    repository: &Repository,
    changes: &[Change],
    journal: &Journal,
    interrupted: Interrupted<'_>,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let (Some(change), Some(entry)) = (changes.get(number), journal.entries().get(number))
            else {
                return Ok(());
            };
            if interrupted() {
                return Err(interruption());
            }
            let how = match change.old {
                Some(_) => Replaced::Like(&change.path),
                None => Replaced::New,
            };
            let text = change.text.read()?;
            // The file is named that should have changed, not the one that nobody knows.
            repository
                .write_new(&entry.temporary, text.expose(), how)
                .map_err(|error| Error {
                    file: Some(repository.root().join(&change.path)),
                    ..error
                })?;
            fault("written");
        }
    };
    let writers = WRITERS.min(changes.len());
    thread::scope(|scope| {
        let handles: Vec<_> = (1..writers).map(|_| scope.spawn(work)).collect();
        let mut result = work();
        for handle in handles {
            let other = handle
                .join()
                .unwrap_or_else(|cause| std::panic::resume_unwind(cause));
            result = result.and(other);
        }
        result
    })
}

/// No file may have changed since its new text was made from it.
fn unchanged(repository: &Repository, changes: &[Change]) -> Result<()> {
    for change in changes {
        let now = repository.stamp(&change.path);
        let same = match (&change.old, now) {
            (Some(old), Ok(now)) => old.stamp == now,
            (None, Err(error)) => error.code == "file-missing",
            _ => false,
        };
        if !same {
            return Err(Error::new(
                "file-changed",
                "somebody changed the file while it was re-keyed, so it was not replaced",
            )
            .with_file(&repository.root().join(&change.path))
            .with_hint("run secretsctl rekey again"));
        }
    }
    Ok(())
}

fn half_done(error: Error) -> Error {
    let next =
        "the files before it are changed already; run secretsctl rekey again, which does the rest";
    error.with_hint(next)
}

fn sync_directories(repository: &Repository, changes: &[Change]) -> Result<()> {
    let parents: BTreeSet<&Path> = changes
        .iter()
        .filter_map(|change| change.path.parent())
        .collect();
    let parents: Vec<&Path> = parents.into_iter().collect();
    let share = parents.len().div_ceil(WRITERS).max(1);
    let sync = |share: &[&Path]| share.iter().try_for_each(|parent| repository.sync(parent));
    thread::scope(|scope| {
        let handles: Vec<_> = parents
            .chunks(share)
            .map(|share| scope.spawn(move || sync(share)))
            .collect();
        handles.into_iter().try_for_each(|handle| {
            handle
                .join()
                .unwrap_or_else(|cause| std::panic::resume_unwind(cause))
        })
    })
}

pub(crate) fn interruption() -> Error {
    Error::new(
        crate::identity::INTERRUPTED,
        "interrupted; every file is as it was",
    )
}

/// Where a test lets the program die. In a release build nothing is here.
pub(super) fn fault(_place: &str) {
    #[cfg(debug_assertions)]
    {
        static PASSED: AtomicUsize = AtomicUsize::new(0);
        let Some(wanted) = std::env::var_os("SECRETSD_FAULT") else {
            return;
        };
        let wanted = wanted.to_string_lossy();
        let Some((place, number)) = wanted.split_once(':') else {
            return;
        };
        if place == _place && number.parse() == Ok(PASSED.fetch_add(1, Ordering::Relaxed)) {
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
        }
    }
}
