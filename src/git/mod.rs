//! What Git knows of a directory: which files it tracks, which it ignores, what is staged, what changed since a revision.
//!
//! Everything is read, nothing written, and no program is run: no hook, no filter, no fsmonitor, no credential helper,
//! whatever the repository's configuration names. Configuration of a repository that belongs to somebody else is not
//! trusted with paths (`core.excludesFile`). Contents are those of the objects: a filter that Git would apply on
//! checkout (line ends, git-crypt) is not.
//!
//! The directory that is asked about may lie anywhere in the work tree, which may be that of a linked worktree or of a
//! submodule. All paths are relative to that directory.

mod changes;
mod ignores;

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use gix::{
    bstr::{BStr, BString, ByteSlice as _},
    discover::upwards,
    index::entry::{Flags, Mode, Stage},
};

use crate::{
    error::{Error, Result},
    files::{ReadLimit, read_regular},
    limits::Limits,
    secret::Secret,
};

pub(crate) use changes::Since;
pub(crate) use ignores::{IGNORES, Ignores};

const FSCK: &str = "see what git fsck says";

/// The work tree around a directory.
pub(crate) struct Git {
    repository: gix::ThreadSafeRepository,
    index: gix::index::File,
    /// The directory within the work tree: empty, or ends with a slash.
    prefix: BString,
    /// What other repositories are responsible for, and directories that a sparse index has as one: from the work
    /// tree's root, with a slash behind.
    elsewhere: Vec<BString>,
}

/// A file as it is staged.
pub(crate) struct Staged {
    pub(crate) path: PathBuf,
    pub(crate) blob: Blob,
}

/// The content of a staged file, by its name in the object database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blob(gix::ObjectId);

/// What is staged.
#[derive(Default)]
pub(crate) struct Contents {
    /// Regular files, in the order of their paths.
    pub(crate) files: Vec<Staged>,
    /// Files that a merge left in several versions.
    pub(crate) unmerged: Vec<PathBuf>,
}

impl Git {
    /// The work tree that `directory` is in, if any. As in Git, the search goes upwards and stops at the border of a
    /// file system and at `GIT_CEILING_DIRECTORIES`; `GIT_DIR` and `GIT_WORK_TREE` do not replace it, because the
    /// question is always about a directory. `GIT_INDEX_FILE`, which Git sets for hooks, counts.
    pub(crate) fn discover(directory: &Path) -> Result<Option<Self>> {
        for above in directory.ancestors() {
            look_at_files(above)?;
            if fs::symlink_metadata(above.join(".git")).is_ok() {
                break;
            }
        }
        let options = upwards::Options {
            match_ceiling_dir_or_error: false,
            ..Default::default()
        };
        let found = gix::ThreadSafeRepository::discover_opts(
            directory,
            options.apply_environment(),
            Default::default(),
        );
        let repository = match found {
            Ok(repository) => repository,
            Err(error) if error.downcast_any_ref::<upwards::Error>().is_some() => return Ok(None),
            Err(error) => {
                return Err(failed(
                    "the Git repository cannot be opened",
                    &error,
                    "see what git status says",
                ));
            }
        };
        let local = repository.to_thread_local();
        let Some(work_tree) = local.workdir() else {
            return Ok(None); // bare, or the inside of a .git
        };
        let (Ok(inner), Ok(outer)) = (fs::canonicalize(directory), fs::canonicalize(work_tree))
        else {
            return Ok(None);
        };
        let Ok(inside) = inner.strip_prefix(outer) else {
            return Ok(None); // core.worktree names another directory
        };
        let mut prefix = BString::from(inside.as_os_str().as_bytes());
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        let index = read_index(&local, work_tree)?;
        let elsewhere = index
            .entries()
            .iter()
            .filter(|entry| matches!(entry.mode, Mode::COMMIT | Mode::DIR))
            .map(|entry| with_slash(entry.path(&index)))
            .collect();
        Ok(Some(Self {
            repository,
            index,
            prefix,
            elsewhere,
        }))
    }

    /// The directory that was asked about, from the top of the work tree.
    pub(crate) fn place(&self) -> PathBuf {
        PathBuf::from(OsStr::from_bytes(&self.prefix))
    }

    /// Whether the index has this file, or another repository is responsible for it: that of a submodule.
    pub(crate) fn tracks(&self, path: &Path) -> bool {
        let path = self.full(path);
        let is_elsewhere = |part: &BString| path.starts_with(part);
        self.index.entry_range(path.as_bstr()).is_some() || self.elsewhere.iter().any(is_elsewhere)
    }

    /// Whether the index has any file beneath this directory, or it is part of a submodule.
    pub(crate) fn tracks_beneath(&self, directory: &Path) -> bool {
        let beneath = match directory.as_os_str().is_empty() {
            true => self.prefix.clone(),
            false => with_slash(self.full(directory).as_bstr()),
        };
        let is_elsewhere = |part: &BString| beneath.starts_with(part);
        let entries = self.index.entries();
        let at = entries.partition_point(|entry| entry.path(&self.index) < beneath.as_bstr());
        let next = entries.get(at).map(|entry| entry.path(&self.index));
        next.is_some_and(|path| path.starts_with(&beneath))
            || self.elsewhere.iter().any(is_elsewhere)
    }

    /// The ignore rules that hold in the directory from outside of it; see [`Ignores`].
    pub(crate) fn ignores(&self, limits: &Limits) -> Ignores {
        Ignores::around(
            &self.repository.to_thread_local(),
            self.prefix.clone(),
            limits,
        )
    }

    /// All files in the index beneath the directory. What is only announced (`git add --intent-to-add`) has no content
    /// yet and is not among them.
    pub(crate) fn contents(&self) -> Contents {
        let mut contents = Contents::default();
        for entry in self.index.entries() {
            let Some(path) = self.beneath(entry.path(&self.index)) else {
                continue;
            };
            match (entry.stage(), entry.mode) {
                (Stage::Unconflicted, Mode::FILE | Mode::FILE_EXECUTABLE)
                    if !entry.flags.contains(Flags::INTENT_TO_ADD) =>
                {
                    let blob = Blob(entry.id);
                    contents.files.push(Staged { path, blob });
                }
                (Stage::Unconflicted, _) => {}
                _ if contents.unmerged.last() == Some(&path) => {}
                _ => contents.unmerged.push(path),
            }
        }
        contents
    }

    /// Reads contents. Each thread needs a reader of its own.
    pub(crate) fn reader(&self, limits: &Limits) -> Reader {
        Reader {
            repository: self.repository.to_thread_local(),
            limit: limits.file_size,
        }
    }

    /// From the work tree's root, as Git names it.
    fn full(&self, path: &Path) -> BString {
        let mut full = self.prefix.clone();
        full.extend_from_slice(path.as_os_str().as_bytes());
        full
    }

    fn beneath(&self, full: &BStr) -> Option<PathBuf> {
        let path = full.strip_prefix(self.prefix.as_slice())?;
        Some(PathBuf::from(OsStr::from_bytes(path)))
    }
}

/// Reads contents out of the object database.
pub(crate) struct Reader {
    repository: gix::Repository,
    limit: u64,
}

impl Reader {
    /// The content of a file.
    pub(crate) fn read(&self, blob: Blob) -> Result<Secret> {
        let what = "Git's copy of the file cannot be read";
        let unreadable = |error: gix::Error| failed(what, &error, FSCK);
        let header = self.repository.find_header(blob.0).map_err(unreadable)?;
        if header.size() > self.limit {
            let limit = self.limit;
            let message = format!("the file is larger than the limit file-size of {limit} bytes");
            return Err(Error::new("limit", message)
                .with_hint("check that it is the file that was meant; limit: file-size"));
        }
        let mut object = self.repository.find_object(blob.0).map_err(unreadable)?;
        Ok(Secret::new(std::mem::take(&mut object.data)))
    }
}

/// gix opens what stands at these names, and would wait for ever for the other end of a pipe.
fn look_at_files(directory: &Path) -> Result<()> {
    // The directory may be that of a bare repository, or the inside of a `.git`.
    is_file_or_nothing(&directory.join("HEAD"))?;
    let mut git = directory.join(".git");
    is_file_or_nothing(&git)?;
    if let Some(elsewhere) = named_in(&git, b"gitdir: ") {
        git = directory.join(elsewhere);
    }
    let common = match named_in(&git.join("commondir"), b"") {
        Some(common) => git.join(common),
        None => git.clone(),
    };
    for name in ["HEAD", "commondir", "gitdir", "config.worktree"] {
        is_file_or_nothing(&git.join(name))?;
    }
    for name in [
        "config",
        "packed-refs",
        "shallow",
        "objects/info/alternates",
    ] {
        is_file_or_nothing(&common.join(name))?;
    }
    if let Some(branch) = named_in(&git.join("HEAD"), b"ref: ") {
        is_file_or_nothing(&git.join(&branch))?;
        is_file_or_nothing(&common.join(&branch))?;
    }
    Ok(())
}

/// The path behind `mark` in a small file.
fn named_in(file: &Path, mark: &[u8]) -> Option<PathBuf> {
    let limit = ReadLimit::of_file(1 << 16);
    let content = read_regular(file, limit).ok()?;
    let path = content.expose().strip_prefix(mark)?.trim_ascii_end();
    Some(PathBuf::from(OsStr::from_bytes(path)))
}

fn is_file_or_nothing(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(status) if !status.is_file() && !status.is_dir() => {
            let message = "the Git repository cannot be opened: there is a pipe or a device where Git has a file";
            Err(Error::new("git", message)
                .with_file(path)
                .with_hint("remove it, or put back the file"))
        }
        _ => Ok(()),
    }
}

/// The index, which is empty in a new repository.
fn read_index(repository: &gix::Repository, work_tree: &Path) -> Result<gix::index::File> {
    let path = index_path(repository, work_tree);
    match fs::metadata(&path) {
        // A pipe or a device would never end.
        Ok(status) if !status.is_file() => Err(Error::new(
            "git",
            "Git's index cannot be read: it is not a file",
        )
        .with_hint("remove it and run git reset")),
        _ => gix::index::File::at_or_default(
            path,
            repository.object_hash(),
            false,
            gix::index::decode::Options::default(),
        )
        .map_err(|error| {
            let hint = "see what git status says; to write a new index from HEAD: remove it, then git reset";
            failed("Git's index cannot be read", &error, hint)
        }),
    }
}

/// While `git commit -a` or `git commit FILE` runs its hooks, what will be committed stands in another index. The
/// variable is believed where it is that of this repository: hooks may look into others.
fn index_path(repository: &gix::Repository, work_tree: &Path) -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let same = |left: &Path, right: &Path| matches!((fs::canonicalize(left), fs::canonicalize(right)), (Ok(left), Ok(right)) if left == right);
    let git_dir = repository.git_dir();
    match set("GIT_INDEX_FILE").map(|file| work_tree.join(file)) {
        Some(file)
            if file.parent().is_some_and(|parent| same(parent, git_dir))
                || set("GIT_DIR").is_some_and(|named| same(&work_tree.join(named), git_dir)) =>
        {
            file
        }
        _ => repository.index_path(),
    }
}

fn with_slash(path: &BStr) -> BString {
    let mut path = BString::from(path.trim_end_with(|char| char == '/'));
    path.push(b'/');
    path
}

/// What gix says is cut to its first line: it may go on with bytes of what it read.
fn failed(what: &str, error: &gix::Error, hint: &str) -> Error {
    let cause = error.probable_cause().to_string();
    let cause = cause.lines().next().unwrap_or_default();
    Error::new("git", format!("{what}: {cause}")).with_hint(hint)
}
