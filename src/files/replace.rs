//! Writing: a file on disk has its old bytes or its new ones, whatever is interrupted.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::keep_attributes;
use crate::error::{Error, Result};

/// What the new file takes from the old one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Replacing {
    /// Owner, group, mode and extended attributes of the old file, which must exist.
    Keep,
    /// This mode, and there must be no file yet; the owner is whoever runs us.
    New(u32),
    /// This mode, whether there was a file or not; the owner is whoever runs us.
    Mode(u32),
}

/// Puts `content` in the place of the file at `path` in one step: a temporary file in the same directory, synced,
/// renamed, and the directory synced. A link at `path` itself is replaced, so resolve it first where it should stay.
pub(crate) fn replace(path: &Path, content: &[u8], how: Replacing) -> Result<()> {
    try_replace(path, content, how)
        .map_err(|error| unwritable("write the file", &error).with_file(path))
}

/// Writes a result where the operator asked for it: a link stays a link and its target is replaced; a pipe or a device
/// (`/dev/stdout`) is written to. A new file gets the mode 0600, an existing one keeps its own.
pub(crate) fn write_output(path: &Path, content: &[u8]) -> Result<()> {
    let write = || match fs::metadata(path) {
        Ok(status) if status.is_file() => {
            try_replace(&fs::canonicalize(path)?, content, Replacing::Keep)
        }
        Ok(_) => OpenOptions::new()
            .write(true)
            .open(path)?
            .write_all(content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            try_replace(path, content, Replacing::Mode(0o600))
        }
        Err(error) => Err(error),
    };
    write().map_err(|error| unwritable("write the file", &error).with_file(path))
}

fn try_replace(path: &Path, content: &[u8], how: Replacing) -> io::Result<()> {
    let directory = parent(path);
    let mut temporary = tempfile::Builder::new()
        .prefix(".secretsd-")
        .suffix(".tmp")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(&directory)?;
    temporary.write_all(content)?;
    match how {
        Replacing::Mode(mode) | Replacing::New(mode) => temporary
            .as_file()
            .set_permissions(Permissions::from_mode(mode))?,
        Replacing::Keep => keep_attributes(&File::open(path)?, temporary.as_file())?,
    }
    temporary.as_file().sync_all()?;
    match how {
        Replacing::New(_) => temporary.persist_noclobber(path),
        Replacing::Keep | Replacing::Mode(_) => temporary.persist(path),
    }
    .map_err(|error| error.error)?;
    sync_directory(&directory)
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    let flags = rustix::fs::OFlags::DIRECTORY;
    let directory: File = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(directory)?;
    directory.sync_all()
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The error of what could not be done to a file, which is as it was.
pub(crate) fn unwritable(what: &str, error: &io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space; the file is as it was"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "the file and its directory must be writable; the file is as it was"
        }
        io::ErrorKind::AlreadyExists => "somebody made the file meanwhile; it is as they made it",
        io::ErrorKind::NotFound => "create the directory first",
        _ => "the file is as it was",
    };
    Error::new("file-unwritable", format!("cannot {what}: {error}")).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn replaces_and_keeps_mode_and_link() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        let link = directory.path().join("link");
        write_output(&file, b"new").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        write_output(&link, b"newer").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"newer");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        replace(&file, b"newest", Replacing::Keep).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(fs::read(&file).unwrap(), b"newest");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn leaves_nothing_behind_on_failure() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        let error = replace(&missing, b"new", Replacing::Keep).unwrap_err();
        assert_eq!(error.code, "file-unwritable");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
