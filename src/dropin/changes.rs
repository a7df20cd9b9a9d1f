//! What is new, other or gone, compared with the generation in place: for the report, and for the units that depend on it.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use super::entries::RENDERED;
use crate::{
    error::{Error, Result},
    escape,
    files::{self, ReadLimit},
    output::Output,
    secret::Secret,
};

/// Levels of directories that are walked.
const DEPTH: usize = 128;

/// Names, each once and sorted.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) added: BTreeSet<String>,
    pub(super) modified: BTreeSet<String>,
    removed: BTreeSet<String>,
}

/// How a file compares with the one in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Added,
    Modified,
    None,
}

/// Whether a generation is in place that can be compared with. Without one nothing is reported and nothing restarted:
/// whatever needs the secrets starts with the new ones.
pub(super) fn is_in_place(link: &Path) -> bool {
    link.is_symlink() && link.exists()
}

/// Compares `content` with what is at `path`.
pub(super) fn compare(path: &Path, content: &Secret) -> Result<Change> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Ok(Change::Added),
        // Whoever owns it may have made it as large as they like.
        Ok(metadata) if metadata.len() != content.len() as u64 => return Ok(Change::Modified),
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Change::Added);
        }
        Err(error) => return Err(unreadable(path, &error)),
    }
    let limit = ReadLimit::of_file(content.len() as u64);
    Ok(match files::read_regular(path, limit) {
        Ok(old) if old.expose() == content.expose() => Change::None,
        Ok(_) => Change::Modified,
        Err(error) if error.code == "limit" => Change::Modified,
        Err(error) => return Err(error),
    })
}

impl Changes {
    pub(super) fn note(&mut self, name: &str, change: Change) {
        match change {
            Change::Added => self.added.insert(name.to_owned()),
            Change::Modified => self.modified.insert(name.to_owned()),
            Change::None => false,
        };
    }
}

/// Adds what is in place and not among the `names` of secrets and templates any more.
pub(super) fn note_removed(
    link: &Path,
    names: [&HashSet<&str>; 2],
    changes: [&mut Changes; 2],
) -> Result<()> {
    let [secrets, templates] = changes;
    let [secret_names, template_names] = names;
    let rendered = format!("{RENDERED}/");
    walk(
        link,
        "",
        &mut Vec::new(),
        &mut |path| match path.strip_prefix(&rendered) {
            Some(name) if !template_names.contains(name) => {
                templates.removed.insert(name.to_owned());
            }
            None if !secret_names.contains(path) => {
                secrets.removed.insert(path.to_owned());
            }
            _ => {}
        },
    )
}

/// Tells what has changed: secrets before templates, what is new before what is other before what is gone.
pub(super) fn report(changes: [&Changes; 2], dry: bool, output: &mut Output) -> Result<()> {
    for (noun, changes) in ["secret", "rendered secret"].into_iter().zip(changes) {
        let Changes {
            added,
            modified,
            removed,
        } = changes;
        for (names, verb, would) in [
            (added, "adding", "would add"),
            (modified, "modifying", "would modify"),
            (removed, "removing", "would remove"),
        ] {
            if names.is_empty() {
                continue;
            }
            let verb = if dry { would } else { verb };
            let plural = if names.len() == 1 { "" } else { "s" };
            let names: Vec<_> = names.iter().map(|name| escape::text(name)).collect();
            output.line(&format!("{verb} {noun}{plural}: {}", names.join(", ")))?;
        }
    }
    Ok(())
}

/// Every file below `directory`, by its path there; what links lead to is part of it. `way` has the directories that are
/// being walked: a link may lead back to one of them.
fn walk(
    directory: &Path,
    prefix: &str,
    way: &mut Vec<(u64, u64)>,
    found: &mut impl FnMut(&str),
) -> Result<()> {
    let failed = |error: std::io::Error| unreadable(directory, &error);
    let status = fs::metadata(directory).map_err(failed)?;
    let this = (status.dev(), status.ino());
    if way.contains(&this) || way.len() == DEPTH {
        return Ok(());
    }
    way.push(this);
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        if path.is_dir() {
            walk(&path, &format!("{name}/"), way, found)?;
        } else {
            found(&name);
        }
    }
    way.pop();
    Ok(())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let message = format!("cannot compare with what is in place: {error}");
    Error::new("file-unreadable", message).with_file(path)
}
