//! Changing files of a repository: always beneath its root, never through a link that leads out, each file whole or not at
//! all.

use std::{
    ffi::OsStr,
    fs::File,
    io::Write as _,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::Path,
};

use rustix::{
    fs::{Access, AtFlags, FlockOperation, Gid, Mode, OFlags, Uid, XattrFlags},
    io::Errno,
};

use super::{Repository, cannot_open};
use crate::{
    error::{Error, Result},
    files::unwritable,
};

/// Attributes of a file that are longer are none of ours.
const LONGEST_ATTRIBUTE: usize = 1 << 16;

/// Whose owner, mode and attributes a new file gets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Replaced<'p> {
    /// Those of this file.
    Like(&'p Path),
    /// Those that any new file gets.
    New,
}

/// Held while one process changes the repository.
pub(crate) struct Lock(#[expect(dead_code, reason = "closing it ends the lock")] OwnedFd);

impl Repository {
    /// Makes sure that nobody else changes the repository at the same time, as far as they ask.
    pub(crate) fn lock(&self) -> Result<Lock> {
        let directory = self.open_beneath(Path::new("."), OFlags::RDONLY | OFlags::DIRECTORY)?;
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock(directory)),
            Err(Errno::WOULDBLOCK) => Err(Error::new(
                "locked-repository",
                "another secretsctl or secretsd is changing this repository",
            )
            .with_file(&self.root)
            .with_hint("wait for it to end")),
            Err(error) => Err(failed("lock the repository", error).with_file(&self.root)),
        }
    }

    /// Whether the file at `path` can be replaced: it has this one name only, and its directory can be written.
    pub(crate) fn check_replaceable(&self, path: &Path) -> Result<()> {
        let at = |error: Error| error.with_file(&self.root.join(path));
        let file = self.open_beneath(path, OFlags::PATH).map_err(at)?;
        let status = rustix::fs::fstat(&file).map_err(|error| at(cannot_open(error)))?;
        if status.st_nlink > 1 {
            let message =
                "the file has more than one name (hard links), and only this one would change";
            return Err(at(
                Error::new("hard-link", message).with_hint("make it a file of its own")
            ));
        }
        let (directory, _) = self.parent(path)?;
        match rustix::fs::accessat(
            &directory,
            ".",
            Access::WRITE_OK | Access::EXEC_OK,
            AtFlags::EACCESS,
        ) {
            Ok(()) => Ok(()),
            Err(error) => Err(at(failed("write in the directory of the file", error)
                .with_hint("make the directory writable"))),
        }
    }

    /// Writes a file that is not there yet, and syncs it.
    pub(crate) fn write_new(&self, path: &Path, content: &[u8], how: Replaced<'_>) -> Result<()> {
        let written = self.try_write_new(path, content, how);
        written.map_err(|error| error.with_file(&self.root.join(path)))
    }

    fn try_write_new(&self, path: &Path, content: &[u8], how: Replaced<'_>) -> Result<()> {
        let (directory, name) = self.parent(path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = match how {
            Replaced::Like(_) => Mode::from_raw_mode(0o600),
            Replaced::New => Mode::from_raw_mode(0o666),
        };
        let file = rustix::fs::openat(&directory, name, flags, mode)
            .map_err(|error| failed("make the file", error))?;
        let mut file = File::from(file);
        file.write_all(content)
            .map_err(|error| failed("write the file", error))?;
        if let Replaced::Like(old) = how {
            let old = File::from(self.open_beneath(old, OFlags::RDONLY | OFlags::NONBLOCK)?);
            keep(&old, &file)?;
        }
        file.sync_all()
            .map_err(|error| failed("sync the file", error))
    }

    /// Gives the file at `from` the name `to` in the same directory, in one step.
    pub(crate) fn take_place(&self, from: &Path, to: &Path) -> Result<()> {
        let (directory, old) = self.parent(from)?;
        let (_, new) = self.parent(to)?;
        rustix::fs::renameat(&directory, old, &directory, new).map_err(|error| {
            failed("put the new file in the place of the old one", error)
                .with_file(&self.root.join(to))
        })
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, path: &Path) -> Result<()> {
        let (directory, name) = match self.parent(path) {
            Ok(parent) => parent,
            Err(error) if error.code == "file-missing" => return Ok(()),
            Err(error) => return Err(error),
        };
        match rustix::fs::unlinkat(&directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(failed("remove the file", error).with_file(&self.root.join(path))),
        }
    }

    /// Brings the names in the directory at `path` to disk.
    pub(crate) fn sync(&self, path: &Path) -> Result<()> {
        let directory = self.open_beneath(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        rustix::fs::fsync(&directory)
            .map_err(|error| failed("sync the directory", error).with_file(&self.root.join(path)))
    }

    fn parent<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p OsStr)> {
        let parent = path.parent().unwrap_or(Path::new("."));
        let directory = self
            .open_beneath(parent, OFlags::RDONLY | OFlags::DIRECTORY)
            .map_err(|error| error.with_file(&self.root.join(parent)))?;
        Ok((directory, path.file_name().unwrap_or_default()))
    }
}

/// Owner, group, mode and extended attributes of `old` for `new`.
fn keep(old: &File, new: &File) -> Result<()> {
    let failed = |error| {
        failed(
            "give the new file the owner, mode and attributes of the old one",
            error,
        )
    };
    let status = old.metadata().map_err(failed)?;
    let own = new.metadata().map_err(failed)?;
    if (status.uid(), status.gid()) != (own.uid(), own.gid()) {
        let (owner, group) = (Uid::from_raw(status.uid()), Gid::from_raw(status.gid()));
        rustix::fs::fchown(new, Some(owner), Some(group)).map_err(|error| failed(error.into()))?;
    }
    for name in attributes(old.as_fd()) {
        let mut value = vec![0; LONGEST_ATTRIBUTE];
        let Ok(length) = rustix::fs::fgetxattr(old, name.as_slice(), &mut *value) else {
            continue;
        };
        let value = value.get(..length).unwrap_or_default();
        let set = rustix::fs::fsetxattr(new, name.as_slice(), value, XattrFlags::empty());
        // Those of the security modules are theirs to give.
        if name.starts_with(b"user.") {
            set.map_err(|error| failed(error.into()))?;
        }
    }
    // After the change of owner, which clears some bits, and after an access list, which sets some.
    let mode = Mode::from_raw_mode(status.mode() & 0o7777);
    rustix::fs::fchmod(new, mode).map_err(|error| failed(error.into()))
}

/// Names of the extended attributes; none where the file system has none.
fn attributes(file: impl AsFd) -> Vec<Vec<u8>> {
    let mut names = vec![0; LONGEST_ATTRIBUTE];
    let Ok(length) = rustix::fs::flistxattr(file, &mut *names) else {
        return Vec::new();
    };
    let names = names.get(..length).unwrap_or_default();
    let names = names.split(|&byte| byte == 0);
    names
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

fn failed(what: &str, error: impl Into<std::io::Error>) -> Error {
    unwritable(what, &error.into())
}
