//! Where re-keying remembers what it must know about a repository: in the state directory, by the repository's real path.

use std::{
    fs::{self, DirBuilder},
    os::unix::{ffi::OsStrExt as _, fs::DirBuilderExt as _},
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Result},
    files::state_directory,
    repository::{Repository, content_hash, hex},
};

/// What is said where there is no such place.
pub(super) struct Purpose {
    /// Of the errors.
    pub(super) code: &'static str,
    /// There is no state directory, and what to set.
    pub(super) nowhere: &'static str,
    pub(super) set: &'static str,
    /// What to do about a directory that cannot be made.
    pub(super) closed: &'static str,
}

/// The file whose name begins with `prefix`, for the repository at this real path.
pub(super) fn file_of(root: &Path, prefix: &str) -> Option<PathBuf> {
    let name = hex(&content_hash(root.as_os_str().as_bytes()));
    let directory = state_directory()?.join("rekey");
    Some(directory.join(format!("{prefix}{name}.json")))
}

/// That file, in a directory that exists then, and the repository's real path.
pub(super) fn of(
    repository: &Repository,
    prefix: &str,
    purpose: &Purpose,
) -> Result<(PathBuf, PathBuf)> {
    let root = fs::canonicalize(repository.root()).map_err(|error| {
        Error::new("repository", format!("cannot find the repository: {error}"))
            .with_file(repository.root())
    })?;
    let file = file_of(&root, prefix)
        .ok_or_else(|| Error::new(purpose.code, purpose.nowhere).with_hint(purpose.set))?;
    let directory = file.parent().unwrap_or(&file);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| {
            Error::new(purpose.code, format!("cannot make the directory: {error}"))
                .with_file(directory)
                .with_hint(purpose.closed)
        })?;
    Ok((file, root))
}
