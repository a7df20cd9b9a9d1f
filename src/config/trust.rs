//! Who besides root and the daemon's user could change a file or replace it.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use crate::error::{Error, Result};

const GROUP_OR_OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Checks an open file: owned by root or the daemon's user, and writable by nobody else.
pub(crate) fn check_file(path: &Path, metadata: &Metadata) -> Result<()> {
    check_owner(path, metadata)?;
    if metadata.mode() & GROUP_OR_OTHERS_WRITE != 0 {
        return Err(untrusted(
            path,
            format!(
                "can be written by others than its owner (mode {:04o})",
                metadata.mode() & 0o7777
            ),
        )
        .with_hint(format!("run `chmod go-w {}`", path.display())));
    }
    Ok(())
}

/// Checks every directory on the way to `path`, `path` itself left out, as the links on the way lead. In a sticky
/// directory of root nobody can replace what is not theirs, so such a one is fine on the way; `direct_parent_too` says
/// whether it is fine as the last one.
pub(crate) fn check_directories(path: &Path, sticky_parent_is_fine: bool) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let parent = fs::canonicalize(parent).map_err(|error| unreadable(parent, &error))?;
    for directory in parent.ancestors() {
        let metadata =
            fs::symlink_metadata(directory).map_err(|error| unreadable(directory, &error))?;
        check_owner(directory, &metadata)?;
        let sticky =
            metadata.mode() & STICKY != 0 && (sticky_parent_is_fine || directory != parent);
        if metadata.mode() & GROUP_OR_OTHERS_WRITE != 0 && !sticky {
            return Err(
                untrusted(directory, "can be written by others than its owner").with_hint(format!(
                    "run `chmod go-w {}` or choose another place",
                    directory.display()
                )),
            );
        }
    }
    Ok(())
}

fn check_owner(path: &Path, metadata: &Metadata) -> Result<()> {
    let us = rustix::process::geteuid().as_raw();
    let owner = metadata.uid();
    if owner == 0 || owner == us {
        return Ok(());
    }
    Err(untrusted(
        path,
        format!(
            "belongs to the user with number {owner}, neither to root nor to the user running this"
        ),
    )
    .with_hint(format!(
        "run `chown {us} {}` if its content is meant",
        path.display()
    )))
}

fn untrusted(path: &Path, what: impl Into<String>) -> Error {
    Error::new("untrusted", format!("{} {}", path.display(), what.into())).with_file(path)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(
        "file-unreadable",
        format!("cannot look at {}: {error}", path.display()),
    )
    .with_file(path)
}
