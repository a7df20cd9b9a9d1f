//! Changing files of a repository: always beneath its root, never through a link that leads out, each file whole or not at
//! all.

use std::{
    ffi::OsStr, fs::File, io::Write as _, os::fd::OwnedFd, path::Path, thread, time::Duration,
};

use rustix::{
    fs::{Access, AtFlags, FlockOperation, Mode, OFlags},
    io::Errno,
};

use super::{Repository, cannot_open};
use crate::{
    error::{Error, Result},
    files::{self, unwritable},
};

/// How often, and how long apart, a lock is tried that somebody holds.
const LOCK_ATTEMPTS: usize = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

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
        let directory = self
            .open_beneath(Path::new("."), OFlags::RDONLY | OFlags::DIRECTORY)
            .map_err(|error| error.with_file(&self.root))?;
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

    /// As [`Self::lock`], and waits a little for somebody who is about to end.
    pub(crate) fn lock_soon(&self) -> Result<Lock> {
        for _ in 0..LOCK_ATTEMPTS {
            match self.lock() {
                Err(error) if error.code == "locked-repository" => thread::sleep(LOCK_PAUSE),
                result => return result,
            }
        }
        self.lock()
    }

    /// Whether the file at `path` can be replaced: it has this one name only, and its directory can be written.
    pub(crate) fn check_replaceable(&self, path: &Path) -> Result<()> {
        let at = |error: Error| error.with_file(&self.root.join(path));
        let file = self.open_beneath(path, OFlags::PATH).map_err(at)?;
        let status = rustix::fs::fstat(&file).map_err(|error| at(cannot_open(error)))?;
        files::check_one_name(status.st_nlink).map_err(at)?;
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
            files::keep_attributes(&old, &file).map_err(|error| {
                failed(
                    "give the new file the owner, mode and attributes of the old one",
                    error,
                )
            })?;
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

fn failed(what: &str, error: impl Into<std::io::Error>) -> Error {
    unwritable(what, &error.into())
}
