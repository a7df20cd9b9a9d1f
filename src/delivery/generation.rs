//! A complete generation, and how its files are recognised.

use std::{fs::File, io::Read as _, os::fd::OwnedFd, path::Path, sync::OnceLock};

use rustix::{
    fs::{AtFlags, Mode, OFlags, Stat},
    io::Errno,
};

use super::runtime::{Runtime, unusable};
use crate::{error::Error, secret::Secret};

/// Who may do what with a delivered file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) mode: u32,
}

/// By which a delivered file is recognised: nobody wrote to it since, and nobody put another one in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint {
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) modified: (i64, i64),
}

/// A complete generation that files are taken over from.
pub(super) struct Previous {
    pub(super) number: u64,
    pub(super) directory: OwnedFd,
}

impl Previous {
    pub(super) fn open(runtime: &Runtime, number: u64) -> Option<Self> {
        let directory = rustix::fs::openat(
            &runtime.base_dir,
            number.to_string(),
            directory_flags(),
            Mode::empty(),
        );
        Some(Self {
            number,
            directory: directory.ok()?,
        })
    }

    /// Whether the file at `location` is what was written there.
    pub(super) fn has(
        &self,
        location: &str,
        fingerprint: &Fingerprint,
        attributes: &Attributes,
    ) -> bool {
        self.look(location)
            .is_some_and(|(found, with)| found == *fingerprint && with == *attributes)
    }

    fn look(&self, location: &str) -> Option<(Fingerprint, Attributes)> {
        let status =
            rustix::fs::statat(&self.directory, location, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        is_file(&status).then(|| describe(&status))
    }

    /// The content of the file at `location`, where it has no more than `most` bytes: whoever owns it may have made it as
    /// large as they like.
    pub(super) fn read(&self, location: &str, most: u64) -> Option<Secret> {
        read(&self.directory, location, most).ok()
    }

    /// Whether the file at `location` holds `content`.
    pub(super) fn holds(
        &self,
        location: &str,
        fingerprint: &Fingerprint,
        content: &Secret,
    ) -> bool {
        fingerprint.size == content.len() as u64
            && self
                .read(location, fingerprint.size)
                .is_some_and(|old| old.expose() == content.expose())
    }
}

fn read(directory: &OwnedFd, location: &str, most: u64) -> std::io::Result<Secret> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, location, flags, Mode::empty())?;
    let status = rustix::fs::fstat(&file)?;
    if !is_file(&status) {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    let size = u64::try_from(status.st_size).unwrap_or(u64::MAX);
    let size = usize::try_from(size).ok().filter(|_| size <= most);
    let size = size.ok_or(std::io::ErrorKind::FileTooLarge)?;
    let mut buffer = vec![0; size];
    // Wiped on every way out, as it belongs to a secret from here on.
    let result = File::from(file).read_exact(&mut buffer);
    let content = Secret::new(buffer);
    result.map(|()| content)
}

pub(super) fn is_file(status: &Stat) -> bool {
    rustix::fs::FileType::from_raw_mode(status.st_mode).is_file()
}

#[allow(
    clippy::unnecessary_cast,
    clippy::useless_conversion,
    reason = "the types differ between architectures"
)]
pub(super) fn describe(status: &Stat) -> (Fingerprint, Attributes) {
    let fingerprint = Fingerprint {
        inode: status.st_ino as u64,
        size: u64::try_from(status.st_size).unwrap_or(0),
        modified: (status.st_mtime as i64, status.st_mtime_nsec as i64),
    };
    let attributes = Attributes {
        user: status.st_uid,
        group: status.st_gid,
        mode: status.st_mode & 0o7777,
    };
    (fingerprint, attributes)
}

/// Owner and group of the files that we create.
pub(crate) fn us() -> (u32, u32) {
    static US: OnceLock<(u32, u32)> = OnceLock::new();
    *US.get_or_init(|| {
        (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        )
    })
}

pub(super) fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

pub(super) fn whole(path: &Path, error: Errno) -> Error {
    match error {
        Errno::NOSPC | Errno::DQUOT => Error::new(
            "runtime-full",
            format!("no space is left in {}", path.display()),
        )
        .with_hint(
            "enlarge the memory file system or deliver less; the previous secrets stay in place",
        ),
        Errno::ROFS => Error::new(
            "runtime-read-only",
            format!("{} is read-only", path.display()),
        )
        .with_hint("make it writable for secretsd; the previous secrets stay in place"),
        error => unusable(path, format!("cannot be written: {error}"))
            .with_hint("the previous secrets stay in place"),
    }
}
