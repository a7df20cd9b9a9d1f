//! The list beside the files as they are now.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{Exposed, Ledger, Texts};
use crate::{
    error::{Error, Result},
    limits::Limits,
    repository::Repository,
    sops::{document::Document, format::Format, is_encrypted},
    survey::each_in_parallel,
};

/// What was not found as it was noted.
#[derive(Default)]
pub(crate) struct Followed {
    /// Files that are gone, and none in the repository has their values.
    pub(crate) gone: BTreeSet<String>,
    /// Files that cannot be read.
    pub(crate) problems: Vec<Error>,
}

impl Ledger {
    /// Brings the list to what the files are now: what has changed goes, what was moved gets its new path. What nobody
    /// can tell stays.
    pub(crate) fn follow(&mut self, repository: &Repository, limits: &Limits) -> Result<Followed> {
        if self.files.is_empty() {
            return Ok(Followed::default());
        }
        let paths: Vec<&String> = self.files.keys().collect();
        let looked = each_in_parallel(&paths, |path| {
            let mut entry = self.files.get(*path).cloned().unwrap_or_default();
            let now = look(repository, path, limits);
            now.map(|now| now.map(|now| entry.follow(&now)).map(|()| entry))
        });
        let mut followed = Followed::default();
        let mut files = BTreeMap::new();
        let mut gone = BTreeMap::new();
        for ((path, exposed), looked) in std::mem::take(&mut self.files).into_iter().zip(looked) {
            match looked {
                Ok(Some(now)) => {
                    files.insert(path, now);
                }
                Ok(None) => {
                    gone.insert(path, exposed);
                }
                Err(problem) => {
                    followed.problems.push(problem);
                    files.insert(path, exposed);
                }
            }
        }
        self.files = files;
        if !gone.is_empty() {
            let moved = moved(repository, limits, &gone)?;
            for (from, to, exposed) in moved {
                gone.remove(from.as_str());
                self.files.entry(to).or_default().join(exposed);
            }
        }
        followed.gone = gone.keys().cloned().collect();
        self.files.append(&mut gone);
        self.files.retain(|_, exposed| !exposed.readers.is_empty());
        Ok(followed)
    }
}

/// What the file at `path` is now; `None` when it is gone, or is not in the repository any more.
fn look(repository: &Repository, path: &str, limits: &Limits) -> Result<Option<Texts>> {
    let path = Path::new(path);
    match repository.read(path) {
        Ok(content) => {
            let document = Document::parse(content, Format::from_path(path), limits)
                .map_err(|error| error.with_file(&repository.root().join(path)))?;
            Ok(Some(Texts::of(&document)))
        }
        Err(error) if matches!(error.code, "file-missing" | "file-outside" | "not-a-file") => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Where files with texts of those that are gone are now: from where, to where, and what is open there.
fn moved(
    repository: &Repository,
    limits: &Limits,
    gone: &BTreeMap<String, Exposed>,
) -> Result<Vec<(String, String, Exposed)>> {
    let mut by_text: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (path, exposed) in gone {
        let values = exposed
            .readers
            .values()
            .flat_map(|reader| reader.values.values());
        for text in exposed.wraps.iter().chain(values.flatten()) {
            by_text.entry(text).or_default().insert(path);
        }
    }
    let files = repository.walk()?.files;
    let found = each_in_parallel(&files, |file| {
        let format = Format::from_path(file);
        let content = repository.read(file).ok()?;
        if !is_encrypted(content.expose(), format) {
            return None;
        }
        let now = Texts::of(&Document::parse(content, format, limits).ok()?);
        let texts = now.wraps.iter().chain(now.values.values().flatten());
        let from: BTreeSet<&str> = texts
            .filter_map(|text| by_text.get(text.as_str()))
            .flatten()
            .copied()
            .collect();
        let to = crate::rekey::name(file);
        let moved = from.into_iter().filter_map(|from| {
            let mut exposed = gone.get(from)?.clone();
            exposed.follow(&now);
            Some((from.to_owned(), to.clone(), exposed))
        });
        Some(moved.collect::<Vec<_>>())
    });
    Ok(found.into_iter().flatten().flatten().collect())
}
