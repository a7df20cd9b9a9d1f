//! Who could have written a file: the owners and permissions of it and of every directory and link on the way to it.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fmt,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

use rustix::fs::StatVfsMountFlags;

use crate::error::{Error, Result};

const WRITABLE_BY_GROUP_OR_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;
/// As in the kernel.
const MAX_LINKS: usize = 40;

/// The verdict on a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Only root and this process' user can change what the path leads to.
    Trusted,
    /// As `Trusted`, and it lies on a file system that is mounted read-only (a store path, for example).
    ReadOnly,
    /// Somebody else can change it; the reason names who and where.
    Untrusted(String),
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trusted => "trusted",
            Self::ReadOnly => "read-only",
            Self::Untrusted(_) => "untrusted",
        })
    }
}

/// Judges `path`, which must exist. Every directory and link on the way counts, those behind links too: who can rename
/// one of them decides what is read.
pub(crate) fn trust(path: &Path) -> Result<Trust> {
    let unreadable = |at: &Path, error: std::io::Error| {
        Error::new("file-unreadable", format!("cannot inspect it: {error}")).with_file(at)
    };
    let absolute = std::path::absolute(path).map_err(|error| unreadable(path, error))?;
    let user = rustix::process::geteuid().as_raw();
    let mut at = PathBuf::new();
    let mut left: VecDeque<OsString> = parts(&absolute);
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        at.push(&part);
        let status = std::fs::symlink_metadata(&at).map_err(|error| unreadable(&at, error))?;
        if status.uid() != 0 && status.uid() != user {
            return Ok(Trust::Untrusted(format!(
                "{} belongs to user {}",
                crate::escape::path(&at),
                status.uid()
            )));
        }
        if status.is_symlink() {
            links += 1;
            if links > MAX_LINKS {
                return Err(
                    Error::new("file-unreadable", "too many symbolic links").with_file(path)
                );
            }
            let target = std::fs::read_link(&at).map_err(|error| unreadable(&at, error))?;
            at.pop();
            if target.is_absolute() {
                at = PathBuf::new();
            }
            for part in parts(&target).into_iter().rev() {
                left.push_front(part);
            }
            continue;
        }
        // In a sticky directory of root others can add entries but not replace those of root or ours, and the next
        // step checks whose the entry is.
        let sticky = status.is_dir() && status.mode() & STICKY != 0 && status.uid() == 0;
        if status.mode() & WRITABLE_BY_GROUP_OR_OTHERS != 0 && (!sticky || left.is_empty()) {
            return Ok(Trust::Untrusted(format!(
                "{} can be written by its group or by others (mode {:04o})",
                crate::escape::path(&at),
                status.mode() & 0o7777
            )));
        }
    }
    let file_system = rustix::fs::statvfs(&at).map_err(|error| unreadable(&at, error.into()))?;
    Ok(if file_system.f_flag.contains(StatVfsMountFlags::RDONLY) {
        Trust::ReadOnly
    } else {
        Trust::Trusted
    })
}

/// As [`trust`], for a directory in which something is to be made: in a sticky one of root nobody else can replace what
/// is ours.
pub(crate) fn trust_to_make_in(directory: &Path) -> Result<Trust> {
    let is_sticky = std::fs::metadata(directory)
        .is_ok_and(|status| status.mode() & STICKY != 0 && status.uid() == 0);
    match directory.parent() {
        Some(above) if is_sticky => trust(above),
        _ => trust(directory),
    }
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn judges_the_file_and_what_leads_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path();
        fs::create_dir(base.join("a")).unwrap();
        fs::write(base.join("a/file"), "").unwrap();
        chmod(&base.join("a"), 0o755);
        chmod(&base.join("a/file"), 0o644);
        std::os::unix::fs::symlink("a", base.join("link")).unwrap();
        let by_link = base.join("link/file");
        assert_eq!(trust(&by_link).unwrap(), Trust::Trusted);

        chmod(&base.join("a/file"), 0o664);
        assert!(
            matches!(trust(&by_link).unwrap(), Trust::Untrusted(reason) if reason.contains("0664"))
        );
        chmod(&base.join("a/file"), 0o600);
        chmod(&base.join("a"), 0o1757);
        assert!(matches!(trust(&base.join("a")), Ok(Trust::Untrusted(_))));
        if rustix::process::geteuid().is_root() {
            assert_eq!(trust_to_make_in(&base.join("a")).unwrap(), Trust::Trusted);
        }
        chmod(&base.join("a"), 0o757);
        assert!(matches!(
            trust_to_make_in(&base.join("a")),
            Ok(Trust::Untrusted(_))
        ));
        assert!(
            matches!(trust(&by_link).unwrap(), Trust::Untrusted(reason) if reason.contains("/a can"))
        );
    }

    #[test]
    fn a_loop_of_links_ends() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("loop");
        std::os::unix::fs::symlink("loop", &link).unwrap();
        assert!(trust(&link).is_err());
    }
}
