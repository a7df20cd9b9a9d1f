//! What lies under a directory: which file system, and whether it can reach the disk.

use std::{
    ffi::OsString,
    os::{
        fd::{AsFd, AsRawFd as _},
        unix::ffi::OsStringExt as _,
    },
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

const TMPFS_MAGIC: i64 = 0x0102_1994;
const RAMFS_MAGIC: i64 = 0x8584_58f6;

/// The file system of the generations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileSystem {
    /// As the kernel calls it: `tmpfs`, `ramfs`, `ext4`.
    pub(crate) kind: String,
    /// Where it is mounted; absent where /proc does not tell.
    pub(crate) mount_point: Option<PathBuf>,
    /// Whether it lives in memory.
    pub(crate) memory: bool,
    /// Whether what is in it may be written to swap.
    pub(crate) swap: Swap,
}

/// Whether memory may be written to swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swap {
    /// ramfs, or tmpfs with `noswap`.
    Never,
    /// Anything else; a tmpfs without `noswap` says so in no other way.
    Possible,
}

/// The file system that `directory` is open on.
pub(super) fn file_system_of(directory: impl AsFd) -> Result<FileSystem> {
    let directory = directory.as_fd();
    let status = rustix::fs::fstatfs(directory).map_err(|error| {
        Error::new(
            "runtime-unusable",
            format!("cannot tell the file system: {error}"),
        )
    })?;
    // The type of the field differs between architectures.
    #[allow(clippy::unnecessary_cast, reason = "it is i32 on some")]
    let magic = status.f_type as i64 & 0xffff_ffff;
    let memory = magic == TMPFS_MAGIC || magic == RAMFS_MAGIC;
    // Two file systems may be mounted at one place; only the descriptor knows which it is.
    let mount = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", directory.as_raw_fd()))
        .ok()
        .and_then(|info| {
            info.lines()
                .find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse::<u64>().ok())
        })
        .and_then(|id| find(&std::fs::read("/proc/self/mountinfo").ok()?, id));
    let (kind, mount_point, noswap) = match mount {
        Some(mount) => (mount.kind, Some(mount.point), mount.noswap),
        None if magic == TMPFS_MAGIC => ("tmpfs".to_owned(), None, false),
        None if magic == RAMFS_MAGIC => ("ramfs".to_owned(), None, false),
        None => (format!("{magic:#x}"), None, false),
    };
    let swap = if magic == RAMFS_MAGIC || (memory && noswap) {
        Swap::Never
    } else {
        Swap::Possible
    };
    Ok(FileSystem {
        kind,
        mount_point,
        memory,
        swap,
    })
}

impl FileSystem {
    /// As the kernel calls it.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// Whether what is in it may be written to swap.
    pub(crate) fn can_swap(&self) -> bool {
        self.swap == Swap::Possible
    }

    /// Whether it is mounted at `path` itself.
    pub(super) fn is_mounted_at(&self, path: &Path) -> bool {
        self.mount_point.as_deref() == Some(path)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    point: PathBuf,
    kind: String,
    noswap: bool,
}

/// Finds the line of mount `id` in the text of a mountinfo file.
fn find(text: &[u8], id: u64) -> Option<Mount> {
    text.split(|&b| b == b'\n').find_map(|line| {
        let mut fields = line.split(|&b| b == b' ');
        let first = std::str::from_utf8(fields.next()?).ok()?;
        if first.parse() != Ok(id) {
            return None;
        }
        // parent, device, root within the file system
        let point = fields.nth(3)?;
        // Any number of optional fields ends with a lone dash.
        fields.find(|field| *field == b"-")?;
        let kind = String::from_utf8_lossy(fields.next()?).into_owned();
        let _source = fields.next()?;
        let noswap = fields
            .next()?
            .split(|&b| b == b',')
            .any(|option| option == b"noswap");
        Some(Mount {
            point: PathBuf::from(OsString::from_vec(unescape(point))),
            kind,
            noswap,
        })
    })
}

/// The kernel writes space, tab, line feed and backslash as three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let code = after
            .get(..3)
            .filter(|digits| first == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match code {
            Some(digits) => {
                bytes.push(digits.iter().fold(0_u8, |code, digit| {
                    code.wrapping_mul(8).wrapping_add(digit - b'0')
                }));
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_mountinfo() {
        let text = b"25 24 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw,size=1k\n\
            31 25 0:30 / /run/a\\040b rw shared:7 master:1 - tmpfs secretsd rw,mode=751,noswap\n";
        let mount = find(text, 31).unwrap();
        assert_eq!(
            mount,
            Mount {
                point: "/run/a b".into(),
                kind: "tmpfs".into(),
                noswap: true
            }
        );
        assert!(!find(text, 25).unwrap().noswap);
        assert_eq!(find(text, 24), None);
    }

    #[test]
    fn odd_lines_are_no_harm() {
        for text in [
            "",
            "31",
            "31 a b c",
            "31 1 0:1 / /x rw",
            "31 1 0:1 / /x rw - tmpfs",
            "\\",
            "31 1 0:1 / \\7 rw - a b c",
        ] {
            find(text.as_bytes(), 31);
        }
    }
}
