//! Which paths Git ignores: `.gitignore` of every directory, `info/exclude`, and the user's own file.
//!
//! The files are read here, not by gix, so that a pipe or a link in the place of one stops nothing; the patterns are
//! matched by gix.

use std::{
    collections::HashSet,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use gix::{
    bstr::{BStr, BString, ByteSlice as _},
    glob::pattern::Case,
    ignore::{Kind, Search, search::Ignore},
};

use super::Git;
use crate::{
    files::{ReadLimit, read_regular},
    limits::Limits,
};

/// The name of the files with patterns.
pub(crate) const IGNORES: &str = ".gitignore";

/// Ignore rules, which grow while directories are entered from above.
pub(crate) struct Ignores {
    search: Search,
    prefix: BString,
    case: Case,
    /// Relative to the directory that was asked about; with everything in it.
    directories: HashSet<PathBuf>,
}

impl Ignores {
    /// What holds in the directory `prefix` before anything in it is read.
    pub(super) fn around(repository: &gix::Repository, prefix: BString, limits: &Limits) -> Self {
        let config = repository.config_snapshot();
        let case = match config.boolean("core.ignoreCase") {
            Some(true) => Case::Fold,
            _ => Case::Sensitive,
        };
        let users = match config.trusted_path("core.excludesFile") {
            Ok(Some(file)) => Some(file),
            Ok(None) => default_file(),
            Err(_) => None,
        };
        let mut ignores = Self {
            search: Search::default(),
            prefix: BString::default(),
            case,
            directories: HashSet::new(),
        };
        // The last one wins.
        let exclude = repository.common_dir().join("info/exclude");
        for file in users.into_iter().chain([exclude]) {
            ignores.add_file(&file, None, limits);
        }
        let top = repository.workdir().unwrap_or(Path::new(""));
        let mut is_ignored = false;
        for (above, _) in prefix.find_iter("/").map(|at| prefix.split_at(at)) {
            let parent = above.rfind("/").and_then(|at| above.get(..at));
            let parent = parent.unwrap_or_default().as_bstr();
            let directory = top.join(gix_path(parent));
            ignores.add_file(&directory.join(IGNORES), Some(parent), limits);
            is_ignored |= ignores.matches(above.as_bstr(), true);
        }
        if is_ignored {
            ignores.directories.insert(PathBuf::new());
        }
        ignores.prefix = prefix;
        ignores
    }

    /// Adds the patterns in the `.gitignore` of `directory`. The directories above it must come first.
    pub(crate) fn add(&mut self, directory: &Path, patterns: &[u8]) {
        let mut base = self.prefix.clone();
        base.extend_from_slice(directory.as_os_str().as_bytes());
        let base = base.trim_end_with(|char| char == '/');
        self.add_patterns(patterns, Some(base.as_bstr()));
    }

    /// Whether this directory is ignored, and with it all that Git does not track in it. The directories above it must
    /// have been asked about before.
    pub(crate) fn ignore_directory(&mut self, directory: &Path) -> bool {
        if self.directories.contains(directory) {
            return true; // the one that everything is relative to
        }
        let is_ignored = self.ignores_by_itself(directory, true);
        if is_ignored {
            self.directories.insert(directory.to_owned());
        }
        is_ignored
    }

    /// Whether this file is ignored, if Git does not track it.
    pub(crate) fn ignore_file(&self, file: &Path) -> bool {
        self.ignores_by_itself(file, false)
    }

    fn ignores_by_itself(&self, path: &Path, is_directory: bool) -> bool {
        let parent = path.parent().unwrap_or(Path::new(""));
        if self.directories.contains(parent) {
            return true;
        }
        let mut from_top = self.prefix.clone();
        from_top.extend_from_slice(path.as_os_str().as_bytes());
        !path.as_os_str().is_empty() && self.matches(from_top.as_bstr(), is_directory)
    }

    fn matches(&self, from_top: &BStr, is_directory: bool) -> bool {
        self.search
            .pattern_matching_relative_path(from_top, Some(is_directory), self.case)
            .is_some_and(|found| found.kind == Kind::Expendable && !found.pattern.is_negative())
    }

    fn add_file(&mut self, file: &Path, base: Option<&BStr>, limits: &Limits) {
        let limit = ReadLimit::of_file(limits.file_size);
        // Git goes on without what it cannot read, too.
        if let Ok(content) = read_regular(file, limit) {
            self.add_patterns(content.expose(), base);
        }
    }

    fn add_patterns(&mut self, patterns: &[u8], base: Option<&BStr>) {
        // The list keeps the directory of its source relative to a root: both are given from the work tree's root.
        let root = Path::new("");
        let (source, root) = match base {
            Some(base) if base.is_empty() => (PathBuf::from(IGNORES), Some(root)),
            Some(base) => (gix_path(base).join(IGNORES), Some(root)),
            None => (PathBuf::new(), None),
        };
        let _ = self
            .search
            .add_patterns_buffer(patterns, source, root, Ignore::default());
    }
}

impl Git {
    /// Whether the directory that everything is relative to lies in an ignored one, and nothing in it is tracked: then
    /// Git has nothing to say about it.
    pub(crate) fn is_strange_to(&self, ignores: &Ignores) -> bool {
        ignores.directories.contains(Path::new("")) && !self.tracks_beneath(Path::new(""))
    }
}

/// Where Git looks when `core.excludesFile` is not set.
fn default_file() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let directory = match set("XDG_CONFIG_HOME") {
        Some(directory) => PathBuf::from(directory),
        None => Path::new(&set("HOME")?).join(".config"),
    };
    Some(directory.join("git/ignore"))
}

fn gix_path(path: &BStr) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(path))
}
