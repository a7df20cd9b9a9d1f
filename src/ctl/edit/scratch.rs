//! Plaintext for an editor: a directory of its own in memory, which goes whatever happens.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rustix::fs::FlockOperation;

use crate::{
    error::{Error, Result},
    files::{ReadLimit, read_regular},
    secret::Secret,
};

const PREFIX: &str = "secretsctl-edit-";
/// As statfs names them.
const MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];
/// How deep an editor's own directories are followed when they are wiped.
const DEEPEST: usize = 16;

/// The directory. It is wiped when this is dropped.
pub(super) struct Scratch {
    directory: PathBuf,
    /// The name of the file, by whose end editors know its format.
    name: OsString,
    /// Held while we live: a directory without a lock is left from somebody who was killed.
    lock: Mutex<Option<File>>,
}

impl Scratch {
    /// Makes the directory on the first file system in memory that can be had. `name` is that of the encrypted file.
    pub(super) fn make(name: &OsStr) -> Result<Self> {
        let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let places = [
            named("XDG_RUNTIME_DIR").map(PathBuf::from),
            Some(PathBuf::from("/dev/shm")),
            named("TMPDIR").map(PathBuf::from),
            Some(PathBuf::from("/tmp")),
        ];
        let mut why = None;
        for place in places.into_iter().flatten() {
            if !is_in_memory(&place) {
                continue;
            }
            wipe_left_ones(&place);
            match Self::make_in(&place, name) {
                Ok(scratch) => return Ok(scratch),
                Err(error) => why = Some((place, error)),
            }
        }
        let error = match why {
            Some((place, error)) => Error::new(
                "no-memory-file-system",
                format!("cannot put the plaintext into memory: {error}"),
            )
            .with_file(&place),
            None => Error::new(
                "no-memory-file-system",
                "there is no file system in memory for the plaintext, and it is not put on a disk",
            ),
        };
        Err(error.with_hint(
            "mount a tmpfs and name it with $XDG_RUNTIME_DIR, or change single values with secretsctl set",
        ))
    }

    fn make_in(place: &Path, name: &OsStr) -> io::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(place)?
            .keep();
        let scratch = Self {
            directory,
            name: name.to_owned(),
            lock: Mutex::default(),
        };
        let lock = File::open(&scratch.directory)?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        *scratch.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(lock);
        Ok(scratch)
    }

    /// The file that is edited.
    pub(super) fn file(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    /// Writes the file that is edited.
    pub(super) fn write(&self, text: &Secret) -> Result<()> {
        self.write_as(&self.name, text)
    }

    /// Writes another file beside it.
    pub(super) fn write_as(&self, name: &OsStr, text: &Secret) -> Result<()> {
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(self.directory.join(name))?;
            file.write_all(text.expose())
        };
        write().map_err(|error: io::Error| {
            Error::new(
                "file-unwritable",
                format!("cannot write the plaintext for the editor: {error}"),
            )
            .with_file(&self.directory)
            .with_hint("free some memory; nothing was changed")
        })
    }

    /// What the editor has left.
    pub(super) fn read(&self, limit: ReadLimit) -> Result<Secret> {
        read_regular(&self.file(), limit)
    }

    /// Overwrites and removes everything, also what an editor has put beside the file.
    pub(super) fn wipe(&self) {
        wipe(&self.directory, 0);
        self.lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// Plaintext must reach no disk. Swap is another matter: SECURITY.md names it.
fn is_in_memory(place: &Path) -> bool {
    #[allow(
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        reason = "the type differs between architectures"
    )]
    rustix::fs::statfs(place)
        .is_ok_and(|found| MEMORY.contains(&(found.f_type as u64 & 0xffff_ffff)))
}

/// Whoever was killed could not wipe.
fn wipe_left_ones(place: &Path) {
    let ours = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let is_named_so = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PREFIX.as_bytes());
        let is_ours = || {
            fs::symlink_metadata(entry.path())
                .is_ok_and(|status| status.is_dir() && status.uid() == ours)
        };
        if !is_named_so || !is_ours() {
            continue;
        }
        let Ok(lock) = File::open(entry.path()) else {
            continue;
        };
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            wipe(&entry.path(), 0);
        }
    }
}

fn wipe(directory: &Path, depth: usize) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match fs::symlink_metadata(&path) {
            Ok(status) if status.is_dir() && depth < DEEPEST => wipe(&path, depth + 1),
            Ok(status) if status.is_file() => {
                // What cannot be overwritten is at least removed.
                let _ = overwrite(&path, status.len());
                let _ = fs::remove_file(&path);
            }
            _ => {
                let _ = fs::remove_file(&path);
            }
        }
    }
    let _ = fs::remove_dir_all(directory);
}

fn overwrite(path: &Path, length: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    io::copy(&mut io::Read::take(io::repeat(0), length), &mut &file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left() {
        let place = tempfile::tempdir().unwrap();
        let scratch = Scratch::make_in(place.path(), OsStr::new("a.yaml")).unwrap();
        scratch.write(&Secret::from("x".to_owned())).unwrap();
        fs::create_dir(scratch.directory.join("backups")).unwrap();
        fs::write(scratch.directory.join("backups/a.yaml~"), "x").unwrap();
        std::os::unix::fs::symlink("/", scratch.directory.join("link")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(&scratch.directory), 0o700);
        assert_eq!(mode(&scratch.file()), 0o600);
        // Another run leaves it alone, until its owner is gone.
        wipe_left_ones(place.path());
        assert!(scratch.file().exists());
        scratch.lock.lock().unwrap().take();
        wipe_left_ones(place.path());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        drop(scratch);
        assert!(place.path().exists());
    }
}
