//! A directory with `.sops.yaml`: found as sops finds it, walked with limits, its files opened beneath it and nowhere
//! else.
//!
//! - [`mod@find`]: which `.sops.yaml` is in force, and the text that its patterns see;
//! - [`Repository`]: the files.

mod find;
mod rules;
mod walk;
mod write;

use std::{
    fs::File,
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags},
    io::Errno,
};
use sha2::{Digest as _, Sha256};

use crate::{
    error::{Error, Result},
    files::{self, ReadLimit},
    limits::Limits,
    secret::Secret,
};

pub(crate) use find::{Rules, WRONG_NAME, find, find_above, located, matched_text};
pub(crate) use rules::{no_rules, parse_rules, read_rules};
pub(crate) use walk::Walk;
pub(crate) use write::Replaced;

/// The list of values that a removed recipient could read; names only, never encrypted.
pub(crate) const LEDGER: &str = ".sops-exposed.yaml";

/// The name of the rules.
pub(crate) const RULES: &str = ".sops.yaml";

/// An open repository. Its directory stays the same one while this lives, even if another takes its place.
pub(crate) struct Repository {
    root: PathBuf,
    directory: OwnedFd,
    limits: Limits,
}

/// By which a file is recognised without reading it. Two equal ones of a file that had settled when it was read mean
/// equal bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Whether the last change was so long before `now` that another one would have another time: the kernel's clock
    /// for files ticks every few milliseconds.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        let seconds = u64::try_from(self.changed.0).unwrap_or(0);
        let changed = UNIX_EPOCH + Duration::from_secs(seconds.saturating_add(1));
        changed < now
    }
}

/// What a file was when it was read: equal digests mean equal bytes.
pub(crate) type ContentHash = [u8; 32];

impl Repository {
    /// Opens the directory `root`; a link to it is followed.
    pub(crate) fn open(root: &Path, limits: Limits) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, root, flags, Mode::empty()).map_err(|error| {
            Error::new("repository", format!("cannot open the repository: {error}"))
                .with_file(root)
                .with_hint("name a directory that holds .sops.yaml")
        })?;
        Ok(Self {
            root: root.to_owned(),
            directory,
            limits,
        })
    }

    /// The directory, as it was named.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The content of the file at `path`, relative to the root. Links are followed as long as they stay inside.
    pub(crate) fn read(&self, path: &Path) -> Result<Secret> {
        self.read_at_most(path, self.limits.file_size)
    }

    /// As [`Self::read`], with a limit of its own.
    pub(crate) fn read_at_most(&self, path: &Path, bytes: u64) -> Result<Secret> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        self.open_beneath(path, flags)
            .and_then(|file| files::read_open(File::from(file), ReadLimit::of_file(bytes)))
            .map_err(|error| error.with_file(&self.root.join(path)))
    }

    /// The first bytes of a file, however large it is.
    pub(crate) fn start_of(&self, path: &Path) -> Result<Secret> {
        use std::io::Read as _;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.open_beneath(path, flags)?;
        let mut start = zeroize::Zeroizing::new([0; 64]);
        let count = File::from(file)
            .read(start.as_mut_slice())
            .map_err(|error| {
                Error::new("file-unreadable", format!("cannot read the file: {error}"))
            })?;
        Ok(Secret::new(start.get(..count).unwrap_or_default().to_vec()))
    }

    /// By which the file at `path` is recognised.
    #[allow(
        clippy::unnecessary_cast,
        reason = "the types differ between architectures"
    )]
    pub(crate) fn stamp(&self, path: &Path) -> Result<Stamp> {
        self.open_beneath(path, OFlags::PATH)
            .and_then(|file| rustix::fs::fstat(&file).map_err(cannot_open))
            .map(|status| Stamp {
                device: status.st_dev as u64,
                inode: status.st_ino as u64,
                size: status.st_size as i64,
                modified: (status.st_mtime as i64, status.st_mtime_nsec as i64),
                changed: (status.st_ctime as i64, status.st_ctime_nsec as i64),
            })
            .map_err(|error| error.with_file(&self.root.join(path)))
    }

    /// All files, directory by directory in the order of their names.
    pub(crate) fn walk(&self) -> Result<Walk> {
        self.walk_into(&mut |_| true)
    }

    /// As [`Self::walk`], into those directories only that `enter` says yes to. It is asked about a directory before any
    /// beneath it, and about the root, by the empty path, first.
    pub(crate) fn walk_into(&self, enter: &mut dyn FnMut(&Path) -> bool) -> Result<Walk> {
        walk::walk(self, enter)
    }

    /// Opens what is at `path`, relative to the root and beneath it.
    fn open_beneath(&self, path: &Path, flags: OFlags) -> Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let flags = flags | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..16 {
            match rustix::fs::openat2(&self.directory, path, flags, Mode::empty(), resolve) {
                Ok(file) => return Ok(file),
                // Something was renamed while the kernel looked for `..`.
                Err(Errno::AGAIN) => {}
                Err(Errno::NOSYS | Errno::PERM) => return self.open_stepwise(path, flags),
                Err(error) => return Err(cannot_open(error)),
            }
        }
        Err(cannot_open(Errno::AGAIN))
    }

    /// Where the kernel has no `openat2`, or a sandbox hides it: step by step, following no link at all.
    fn open_stepwise(&self, path: &Path, flags: OFlags) -> Result<OwnedFd> {
        let parts: Vec<_> = path
            .components()
            .filter(|part| *part != Component::CurDir)
            .collect();
        if parts
            .iter()
            .any(|part| !matches!(part, Component::Normal(_)))
        {
            return Err(cannot_open(Errno::XDEV));
        }
        let step = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut at =
            rustix::fs::openat(&self.directory, ".", step, Mode::empty()).map_err(cannot_open)?;
        for (number, part) in parts.iter().enumerate() {
            let flags = if number + 1 == parts.len() {
                flags | OFlags::NOFOLLOW
            } else {
                step
            };
            at = rustix::fs::openat(&at, part.as_os_str(), flags, Mode::empty())
                .map_err(cannot_open)?;
        }
        Ok(at)
    }
}

/// The digest of a file's content.
pub(crate) fn content_hash(content: &[u8]) -> ContentHash {
    Sha256::digest(content).into()
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn cannot_open(error: Errno) -> Error {
    match error {
        Errno::NOENT => Error::new("file-missing", "there is no such file"),
        Errno::XDEV | Errno::LOOP => Error::new(
            "file-outside",
            "a symbolic link leads out of the repository, or in a circle",
        )
        .with_hint("put the file itself into the repository"),
        Errno::ACCESS => Error::new("file-denied", "cannot read the file: permission denied"),
        // A socket, or a device without a driver.
        Errno::NXIO => Error::new("not-a-file", "a socket or device, not a file"),
        error => Error::new("file-unreadable", format!("cannot read the file: {error}"))
            .with_hint("the file system refuses it: look at the kernel's messages, and try again"),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn repository(directory: &Path) -> Repository {
        Repository::open(directory, Limits::default()).unwrap()
    }

    #[test]
    fn reads_beneath_the_root_only() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("repository");
        fs::create_dir_all(root.join("a")).unwrap();
        fs::write(outer.path().join("secret"), "outside").unwrap();
        fs::write(root.join("a/file"), "inside").unwrap();
        symlink("a/file", root.join("link")).unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink(outer.path().join("secret"), root.join("absolute")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let repository = repository(&root);
        assert!(repository.read(Path::new("a/file")).unwrap().expose() == b"inside");
        assert!(
            repository
                .read(Path::new("./a/../a/file"))
                .unwrap()
                .expose()
                == b"inside"
        );
        assert!(repository.read(Path::new("link")).unwrap().expose() == b"inside");
        for path in ["out", "absolute", "loop", "../secret", "/etc/passwd"] {
            let error = repository.read(Path::new(path)).err().unwrap();
            assert_eq!(error.code, "file-outside", "{path}: {error}");
        }
        assert_eq!(
            repository.read(Path::new("a")).err().unwrap().code,
            "not-a-file"
        );
        assert_eq!(
            repository.read(Path::new("b")).err().unwrap().code,
            "file-missing"
        );
    }

    #[test]
    fn the_way_without_openat2_follows_no_link() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        fs::write(root.path().join("a/file"), "").unwrap();
        symlink("a", root.path().join("link")).unwrap();
        let repository = repository(root.path());
        let open = |path: &str| repository.open_stepwise(Path::new(path), OFlags::RDONLY);
        assert!(open("a/./file").is_ok());
        assert!(open("link/file").is_err());
        assert!(open("../a").is_err());
    }
}
