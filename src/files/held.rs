//! A file that nobody else of ours changes while its new content is made.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, OFlags};

use super::{ReadLimit, Replacing, check_one_name, read_open, replace};
use crate::{
    error::{Error, Result},
    secret::Secret,
};

/// How often the file may be replaced by others before we get hold of it.
const MOST_ATTEMPTS: usize = 1000;

/// A file, locked. Whoever replaces it takes its name away from the locked one, so that those who wait look again.
pub(crate) struct Held {
    /// Without links.
    path: PathBuf,
    #[expect(dead_code, reason = "closing it ends the lock")]
    file: File,
}

impl Held {
    /// Waits until the regular file at `path` can be had, and reads it. Links are followed, and stay.
    pub(crate) fn open(path: &Path, limit: ReadLimit) -> Result<(Self, Secret)> {
        Self::try_open(path, limit).map_err(|error| error.with_file(path))
    }

    fn try_open(path: &Path, limit: ReadLimit) -> Result<(Self, Secret)> {
        let failed = |error: std::io::Error| {
            let code = match error.kind() {
                std::io::ErrorKind::NotFound => "file-missing",
                std::io::ErrorKind::PermissionDenied => "file-denied",
                _ => "file-unreadable",
            };
            Error::new(code, format!("cannot read the file: {error}"))
        };
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        for _ in 0..MOST_ATTEMPTS {
            let path = std::fs::canonicalize(path).map_err(failed)?;
            let file = OpenOptions::new()
                .read(true)
                .custom_flags(flags.bits().cast_signed())
                .open(&path)
                .map_err(failed)?;
            // Where the file system knows no locks, what is left is to look whether somebody was faster.
            let _ = rustix::fs::flock(&file, FlockOperation::LockExclusive);
            let (ours, now) = (file.metadata(), std::fs::metadata(&path));
            let (Ok(ours), Ok(now)) = (ours, now) else {
                continue;
            };
            if (ours.dev(), ours.ino()) != (now.dev(), now.ino()) {
                continue;
            }
            check_one_name(now.nlink())?;
            let content = read_open(file.try_clone().map_err(failed)?, limit)?;
            return Ok((Self { path, file }, content));
        }
        Err(Error::new(
            "file-changed",
            "others change the file all the time",
        ))
    }

    /// Puts `content` in the place of the file, in one step. Owner, mode and attributes stay.
    pub(crate) fn replace(self, content: &[u8]) -> Result<()> {
        replace(&self.path, content, Replacing::Keep)
    }
}
