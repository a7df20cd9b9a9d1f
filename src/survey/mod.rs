//! Files as they are, without a key: which are encrypted, for whom and how, and whom the rules would name instead.
//!
//! - [`look`]: one file;
//! - [`access`]: all of them, each recipient by the file and by the rules.

pub(crate) mod access;

use std::{
    num::NonZero,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread::{self, available_parallelism},
};

use policy::{
    drift::FileState,
    rules::{KeyKind, Selection},
};

use crate::{
    error::Result,
    limits::Limits,
    repository::Repository,
    sops::{document::Document, format::Format, is_encrypted, metadata::Entry},
};

/// Items that a thread takes at once at the most.
const MOST_AT_ONCE: usize = 32;

/// What one file is.
pub(crate) enum Found {
    Encrypted(FileState),
    /// Not written by sops.
    Plain,
    Missing,
}

/// Reads the file at `path`, relative to the repository. An encrypted one whose metadata cannot be read is an error.
pub(crate) fn look(repository: &Repository, path: &Path, limits: &Limits) -> Result<Found> {
    let content = match repository.read(path) {
        Ok(content) => content,
        Err(error) if error.code == "file-missing" => return Ok(Found::Missing),
        Err(error) => return Err(error),
    };
    let format = Format::from_path(path);
    if !is_encrypted(content.expose(), format) {
        return Ok(Found::Plain);
    }
    let document = Document::parse(content, format, limits)
        .map_err(|error| error.with_file(&repository.root().join(path)))?;
    Ok(Found::Encrypted(state(&document)))
}

/// What the metadata of a file say, in the words of the rules.
pub(crate) fn state(document: &Document) -> FileState {
    let metadata = document.metadata();
    let group = |group: &Vec<Entry>| {
        let entry = |entry: &Entry| match entry {
            Entry::Age { recipient, .. } => (KeyKind::Age, recipient.trim().to_owned()),
            Entry::Other { kind, id } => (kind_of(kind), id.clone()),
        };
        group.iter().map(entry).collect()
    };
    let selection = &metadata.selection;
    let kind = Selection::ALL
        .into_iter()
        .find(|kind| kind.key() == selection.kind().name());
    FileState {
        key_groups: metadata.groups.iter().map(group).collect(),
        shamir_threshold: metadata.threshold,
        selection: kind
            .filter(|_| document.format() != Format::Binary)
            .map(|kind| (kind, selection.text().to_owned())),
        mac_only_encrypted: metadata.mac_only_encrypted,
    }
}

fn kind_of(list: &str) -> KeyKind {
    match list {
        "pgp" => KeyKind::Pgp,
        "kms" => KeyKind::Kms,
        "gcp_kms" => KeyKind::GcpKms,
        "hckms" => KeyKind::HuaweiKms,
        "azure_kv" => KeyKind::AzureKeyVault,
        _ => KeyKind::HcVault,
    }
}

/// `look` at every item, on all processors; the results are in the order of the items.
pub(crate) fn each_in_parallel<T: Sync, R: Send>(
    items: &[T],
    look: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let look = &look;
    let looked = in_parallel(items.len(), || move |at| items.get(at).map(look));
    looked.into_iter().flatten().collect()
}

/// What each of `0..count` comes to, in this order. Every thread makes a function of its own with `start`, and takes the
/// next few when it has none left: files differ much in size.
pub(crate) fn in_parallel<T: Send, F: FnMut(usize) -> T>(
    count: usize,
    start: impl Fn() -> F + Sync,
) -> Vec<T> {
    let threads = available_parallelism().map_or(1, NonZero::get);
    // Few items are shared out, too: a few large files are as much work as many small ones.
    let stretch = count.div_ceil(threads * 4).clamp(1, MOST_AT_ONCE);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut each = start();
        let mut done = Vec::new();
        loop {
            let from = next.fetch_add(stretch, Ordering::Relaxed);
            if from >= count {
                return done;
            }
            let taken = from..count.min(from + stretch);
            done.extend(taken.map(|at| (at, each(at))));
        }
    };
    let helpers = threads.min(count.div_ceil(stretch)).saturating_sub(1);
    let mut done = thread::scope(|scope| {
        let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for helper in helpers {
            let result = helper.join();
            done.extend(result.unwrap_or_else(|cause| std::panic::resume_unwind(cause)));
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, looked)| looked).collect()
}
