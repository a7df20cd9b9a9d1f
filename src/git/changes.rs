//! What differs from a commit.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use gix::index::{entry::stat, fs::Metadata};

use super::{Blob, Contents, FSCK, Git, Reader, failed};
use crate::{
    error::{Error, Result},
    secret::Secret,
};

/// The regular files and links of a commit, by their paths.
type Tree = HashMap<PathBuf, Blob>;

/// What was there at the commit that everything is compared with.
pub(crate) struct Since(Tree);

impl Git {
    /// The paths whose staged content is not that of HEAD. Without a commit, all.
    pub(crate) fn staged_changes(&self, contents: &Contents) -> Result<HashSet<PathBuf>> {
        let cannot = |error: gix::Error| failed("HEAD cannot be read", &error, FSCK);
        let repository = self.repository.to_thread_local();
        let head = repository.head().map_err(cannot)?;
        let old = match head.is_unborn() {
            true => Tree::new(),
            false => self.tree(
                &repository,
                repository.head_tree_id().map_err(cannot)?.detach(),
            )?,
        };
        let files = contents.files.iter();
        let changed = files.filter(|file| old.get(&file.path) != Some(&file.blob));
        Ok(changed
            .map(|file| file.path.clone())
            .chain(contents.unmerged.iter().cloned())
            .collect())
    }

    /// The state to compare with for `revision`: the merge base of it and HEAD, as `git diff REVISION...` takes it. What
    /// others did to that branch meanwhile is not a change of ours.
    pub(crate) fn since(&self, revision: &str) -> Result<Since> {
        let repository = self.repository.to_thread_local();
        let is_shallow = repository.is_shallow().unwrap_or(false);
        let unknown = |error: gix::Error| {
            let hint = match is_shallow {
                true => HINT_SHALLOW,
                false => {
                    "name a branch, a tag or a commit that this repository has; see git branch --all"
                }
            };
            failed("Git does not know this revision", &error, hint)
        };
        let theirs = repository
            .rev_parse_single(revision)
            .and_then(|id| id.object())
            .and_then(gix::Object::peel_to_commit)
            .map_err(unknown)?;
        let cannot = |error: gix::Error| failed("HEAD cannot be read", &error, FSCK);
        let ours = repository.head_commit().map_err(cannot)?;
        let base = match repository.merge_base(theirs.id, ours.id) {
            Ok(Some(base)) => base,
            Ok(None) if !is_shallow => {
                let message = "this revision and HEAD have no commit in common";
                return Err(
                    Error::new("git", message).with_hint("name a revision that HEAD comes from")
                );
            }
            Ok(None) => return Err(too_shallow()),
            Err(_) if is_shallow => return Err(too_shallow()),
            Err(error) => return Err(failed("the history cannot be read", &error, FSCK)),
        };
        let tree = base
            .object()
            .and_then(gix::Object::peel_to_tree)
            .map_err(|error| failed("the commit cannot be read", &error, FSCK))?;
        Ok(Since(self.tree(&repository, tree.id)?))
    }

    fn tree(&self, repository: &gix::Repository, id: gix::ObjectId) -> Result<Tree> {
        let index = repository
            .index_from_tree(&id)
            .map_err(|error| failed("the files of a commit cannot be read", &error, FSCK))?;
        let entries = index.entries().iter();
        Ok(entries
            .filter_map(|entry| Some((self.beneath(entry.path(&index))?, Blob(entry.id))))
            .collect())
    }

    /// Whether the file on disk is known, without reading it, to have the content that the index has.
    fn is_unchanged(&self, path: &Path, absolute: &Path, old: Blob) -> bool {
        let full = self.full(path);
        let Some(entry) = self.index.entry_by_path(full.as_ref()) else {
            return false;
        };
        let found = Metadata::from_path_no_follow(absolute).ok();
        let Some(found) = found.and_then(|found| gix::index::entry::Stat::from_fs(&found).ok())
        else {
            return false;
        };
        let options = stat::Options::default();
        Blob(entry.id) == old
            && entry.stat.matches(&found, options)
            && !entry.stat.is_racy(self.index.timestamp(), options)
    }
}

impl Since {
    /// What the file was.
    pub(crate) fn old(&self, path: &Path) -> Option<Blob> {
        self.0.get(path).copied()
    }

    /// Whether the file, which lies at `absolute` and can be read with `content`, is not what it was.
    pub(crate) fn differs(
        &self,
        git: &Git,
        reader: &Reader,
        path: &Path,
        absolute: &Path,
        content: impl FnOnce() -> Result<Secret>,
    ) -> bool {
        let Some(old) = self.old(path) else {
            return true;
        };
        if git.is_unchanged(path, absolute, old) {
            return false;
        }
        let kind = reader.repository.object_hash();
        let hash = |content: Secret| {
            gix::objs::compute_hash(kind, gix::objs::Kind::Blob, content.expose()).ok()
        };
        content().ok().and_then(hash).map(Blob) != Some(old)
    }
}

const HINT_SHALLOW: &str = "this clone is shallow; get the rest of the history: git fetch --unshallow, or fetch-depth: 0 for actions/checkout";

fn too_shallow() -> Error {
    let message =
        "this clone is shallow: the commit that this revision and HEAD have in common is not in it";
    Error::new("git", message).with_hint(HINT_SHALLOW)
}
