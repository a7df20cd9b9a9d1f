//! What is staged in Git.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use super::view::{Files, Standing};
use crate::{
    error::{Error, Result},
    git::{Blob, Git},
    repository::RULES,
};

/// The index beneath the repository's directory.
pub(super) struct Staging {
    pub(super) blobs: HashMap<PathBuf, Blob>,
    unmerged: Vec<PathBuf>,
    /// Paths whose content is not that of HEAD.
    pub(super) changed: HashSet<PathBuf>,
}

impl Staging {
    pub(super) fn of(git: &Git) -> Result<Self> {
        let contents = git.contents();
        Ok(Self {
            changed: git.staged_changes(&contents)?,
            unmerged: contents.unmerged,
            blobs: contents
                .files
                .into_iter()
                .map(|file| (file.path, file.blob))
                .collect(),
        })
    }

    pub(super) fn files(&self) -> Files {
        let has_rules = |path: &&PathBuf| path.file_name().is_some_and(|name| name == RULES);
        let mut nested: Vec<_> = self
            .blobs
            .keys()
            .filter(has_rules)
            .filter_map(|path| path.parent())
            .filter(|parent| !parent.as_os_str().is_empty())
            .map(Path::to_owned)
            .collect();
        nested.sort();
        // The outermost only: what is in them is not looked at.
        let mut last: Option<PathBuf> = None;
        nested.retain(|directory| {
            let is_inside = last
                .as_ref()
                .is_some_and(|last| directory.starts_with(last));
            if !is_inside {
                last = Some(directory.clone());
            }
            !is_inside
        });
        let outer: HashSet<&Path> = nested.iter().map(PathBuf::as_path).collect();
        let is_nested = |path: &Path| path.ancestors().any(|above| outer.contains(above));
        let all = self.blobs.keys().filter(|path| !is_nested(path)).cloned();
        let unmerged = |path: &PathBuf| {
            let message = "a merge left several versions of the file, and none is staged";
            Error::new("git", message)
                .with_file(path)
                .with_hint("resolve the conflict, then git add")
        };
        Files {
            all: all.map(|path| (path, Standing::Tracked)).collect(),
            ignored: Vec::new(),
            problems: self.unmerged.iter().map(unmerged).collect(),
            nested,
        }
    }
}
