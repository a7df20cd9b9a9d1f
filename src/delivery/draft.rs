//! A generation that is being written: a directory of a name of its own, complete before anybody can see it.

use std::{
    collections::HashSet,
    fs::File,
    io::Write as _,
    os::fd::OwnedFd,
    sync::{Mutex, PoisonError},
};

use rustix::{
    fs::{AtFlags, Gid, Mode, OFlags, Stat, Uid},
    io::Errno,
};

use super::{
    generation::{Attributes, Fingerprint, Previous, describe, directory_flags, us, whole},
    removal::remove_tree,
    runtime::Runtime,
    spare::Spare,
};
use crate::{
    error::{Error, Result},
    secret::Secret,
};

/// Name of the directory of a generation that is not complete.
pub(super) const DRAFT: &str = ".new";
/// Of that directory: files in it may not have their final owner yet.
const DRAFT_MODE: u32 = 0o700;

/// A generation that is being written. Unless it is [committed](Self::commit), it disappears.
pub(super) struct Draft<'r> {
    runtime: &'r Runtime,
    pub(super) directory: OwnedFd,
    made: Mutex<HashSet<String>>,
    /// Where it was begun with the files of the generation before: what has no such file any more, because it was taken
    /// back or written anew.
    begun: Option<Mutex<HashSet<String>>>,
    /// Whether its directory stays when this is dropped.
    stays: bool,
}

/// A file that was put into a generation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Placed {
    pub(super) fingerprint: Fingerprint,
    /// It is not the file of the generation before.
    pub(super) new_file: bool,
    /// Its content is not that of the generation before.
    pub(super) new_content: bool,
}

/// What keeps a file from being written.
pub(super) enum Refused {
    /// It concerns this file alone.
    File(Error),
    /// It concerns all of them: no space, no inodes, an I/O error.
    All(Error),
}

impl<'r> Draft<'r> {
    pub(super) fn create(runtime: &'r Runtime) -> Result<Self> {
        remove_tree(&runtime.base_dir, DRAFT)?;
        let failed = |error: Errno| whole(&runtime.base.join(DRAFT), error);
        rustix::fs::mkdirat(&runtime.base_dir, DRAFT, Mode::from_raw_mode(DRAFT_MODE))
            .map_err(failed)?;
        let directory =
            rustix::fs::openat(&runtime.base_dir, DRAFT, directory_flags(), Mode::empty())
                .map_err(failed)?;
        Ok(Self {
            runtime,
            directory,
            made: Mutex::default(),
            begun: None,
            stays: false,
        })
    }

    /// Goes on with what was begun, but for the files at `stale`: the generation before may hold something else there.
    pub(super) fn resume<'l>(
        runtime: &'r Runtime,
        spare: Spare,
        stale: impl Iterator<Item = &'l str>,
    ) -> Result<Self> {
        let mut draft = Self {
            runtime,
            directory: spare.directory,
            made: Mutex::default(),
            begun: None,
            stays: false,
        };
        let mut touched = HashSet::new();
        for location in stale {
            draft.clear(location)?;
            touched.insert(location.to_owned());
        }
        draft.begun = Some(Mutex::new(touched));
        Ok(draft)
    }

    /// Whether it was begun with the files of the generation before.
    pub(super) fn is_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Leaves it as it is, for [`Draft::resume`].
    pub(super) fn set_aside(mut self, of: u64) -> Result<Spare> {
        let directory = rustix::io::fcntl_dupfd_cloexec(&self.directory, 3)
            .map_err(|error| whole(&self.runtime.base, error))?;
        self.stays = true;
        Ok(Spare { directory, of })
    }

    /// Takes a file back, and the directories that are left empty.
    fn clear(&self, location: &str) -> Result<()> {
        let failed = |error: Errno| whole(&self.runtime.base, error);
        match rustix::fs::unlinkat(&self.directory, location, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(failed(error)),
        }
        let mut left = location;
        while let Some((parents, _)) = left.rsplit_once('/') {
            match rustix::fs::unlinkat(&self.directory, parents, AtFlags::REMOVEDIR) {
                Ok(()) => left = parents,
                Err(Errno::NOTEMPTY | Errno::EXIST) => break,
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    /// Writes a new file. Nobody else can reach it before it is complete and has its owner.
    pub(super) fn write(
        &self,
        location: &str,
        content: &Secret,
        attributes: &Attributes,
    ) -> Result<Fingerprint, Refused> {
        self.make_directories(location)?;
        if self.touch(location) {
            self.unlink(location);
        }
        let failed = |error: Errno| self.refused(location, error);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, location, flags, Mode::RUSR | Mode::WUSR)
            .map_err(failed)?;
        let result = self.fill(file, content, attributes);
        result.map_err(|error| {
            // A half-written file must not be taken for a value.
            self.unlink(location);
            match error {
                Errno::PERM => Refused::File(
                    Error::new(
                        "owner-refused",
                        format!(
                            "only root may give the file to user {} and group {}",
                            attributes.user, attributes.group
                        ),
                    )
                    .with_hint("run secretsd as root, or leave out `owner` and `group`"),
                ),
                error => self.refused(location, error),
            }
        })
    }

    fn fill(
        &self,
        file: OwnedFd,
        content: &Secret,
        attributes: &Attributes,
    ) -> rustix::io::Result<Fingerprint> {
        let mut file = File::from(file);
        file.write_all(content.expose())
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        // In this order only the right to change owners is needed, and nobody else gets into the directory yet.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(attributes.mode))?;
        if (attributes.user, attributes.group) != us() {
            let (user, group) = (
                Uid::from_raw(attributes.user),
                Gid::from_raw(attributes.group),
            );
            rustix::fs::fchown(&file, Some(user), Some(group))?;
        }
        let status = rustix::fs::fstat(&file)?;
        Ok(describe(&status).0)
    }

    /// Takes a file over from `previous` when it is what was written there. `false`: it is not.
    pub(super) fn take_over(
        &self,
        previous: &Previous,
        location: &str,
        fingerprint: &Fingerprint,
        attributes: &Attributes,
    ) -> Result<bool, Refused> {
        // What it was begun with was looked at then, and is looked at again after this change.
        if self.has_from_before(location) {
            return Ok(true);
        }
        if !previous.has(location, fingerprint, attributes) {
            return Ok(false);
        }
        self.make_directories(location)?;
        match rustix::fs::linkat(
            &previous.directory,
            location,
            &self.directory,
            location,
            AtFlags::empty(),
        ) {
            Ok(()) => Ok(true),
            // A file system that has no hard links, or no more for this file.
            Err(Errno::MLINK | Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP | Errno::NOENT) => {
                Ok(false)
            }
            Err(error) => Err(self.refused(location, error)),
        }
    }

    /// Puts `content` at `location`: the file of `previous` where it holds the same, so that nothing changes for those
    /// who compare; else a new one.
    pub(super) fn put(
        &self,
        previous: Option<(&Previous, &Fingerprint)>,
        location: &str,
        content: &Secret,
        attributes: &Attributes,
    ) -> Result<Placed, Refused> {
        let same = previous
            .is_some_and(|(previous, fingerprint)| previous.holds(location, fingerprint, content));
        if let Some((previous, fingerprint)) = previous.filter(|_| same)
            && self.take_over(previous, location, fingerprint, attributes)?
        {
            return Ok(Placed {
                fingerprint: *fingerprint,
                new_file: false,
                new_content: false,
            });
        }
        let fingerprint = self.write(location, content, attributes)?;
        Ok(Placed {
            fingerprint,
            new_file: true,
            new_content: !same,
        })
    }

    /// Keeps what `previous` has at `location`, with other attributes where they have changed. `None`: it is not there
    /// as it was written.
    pub(super) fn keep(
        &self,
        previous: &Previous,
        location: &str,
        fingerprint: &Fingerprint,
        before: &Attributes,
        now: &Attributes,
    ) -> Result<Option<Placed>, Refused> {
        if before == now && self.take_over(previous, location, fingerprint, now)? {
            return Ok(Some(Placed {
                fingerprint: *fingerprint,
                new_file: false,
                new_content: false,
            }));
        }
        if !previous.has(location, fingerprint, before) {
            return Ok(None);
        }
        let Some(content) = previous.read(location, fingerprint.size) else {
            return Ok(None);
        };
        let fingerprint = self.write(location, &content, now)?;
        Ok(Some(Placed {
            fingerprint,
            new_file: true,
            new_content: false,
        }))
    }

    /// Takes a file back.
    pub(super) fn discard(&self, location: &str) {
        self.touch(location);
        self.unlink(location);
    }

    fn unlink(&self, location: &str) {
        let _ = rustix::fs::unlinkat(&self.directory, location, AtFlags::empty());
    }

    /// Whether the file that it was begun with is there.
    fn has_from_before(&self, location: &str) -> bool {
        self.begun.as_ref().is_some_and(|touched| {
            let touched = touched.lock().unwrap_or_else(PoisonError::into_inner);
            !touched.contains(location)
        })
    }

    /// The file that it was begun with does not count any more. Answers whether it did.
    fn touch(&self, location: &str) -> bool {
        self.begun.as_ref().is_some_and(|touched| {
            let mut touched = touched.lock().unwrap_or_else(PoisonError::into_inner);
            touched.insert(location.to_owned())
        })
    }

    /// A handle to read files of this generation with.
    pub(super) fn reader(&self) -> Result<Previous> {
        let directory = rustix::io::fcntl_dupfd_cloexec(&self.directory, 3)
            .map_err(|error| whole(&self.runtime.base, error))?;
        Ok(Previous {
            number: 0,
            directory,
        })
    }

    /// Gives the generation its number. It is complete then; the link is the caller's.
    pub(super) fn commit(mut self, number: u64) -> Result<Previous> {
        let base = &self.runtime.base_dir;
        if self.runtime.on_disk() {
            rustix::fs::syncfs(base).map_err(|error| whole(&self.runtime.base, error))?;
        }
        let directories = self.runtime.directories;
        if let Some((user, group)) = directories.owner() {
            rustix::fs::fchown(&self.directory, user, group)
                .map_err(|error| whole(&self.runtime.base, error))?;
        }
        rustix::fs::fchmod(&self.directory, Mode::from_raw_mode(directories.mode))
            .map_err(|error| whole(&self.runtime.base, error))?;
        rustix::fs::renameat(base, DRAFT, base, number.to_string())
            .map_err(|error| whole(&self.runtime.base, error))?;
        self.stays = true;
        let directory = rustix::io::fcntl_dupfd_cloexec(&self.directory, 3)
            .map_err(|error| whole(&self.runtime.base, error))?;
        Ok(Previous { number, directory })
    }

    pub(super) fn make_directories(&self, location: &str) -> Result<(), Refused> {
        let Some((parents, _)) = location.rsplit_once('/') else {
            return Ok(());
        };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.contains(parents) {
            return Ok(());
        }
        let ends = parents
            .match_indices('/')
            .map(|(end, _)| end)
            .chain([parents.len()]);
        for directory in ends.filter_map(|end| parents.get(..end)) {
            if made.contains(directory) {
                continue;
            }
            let directories = self.runtime.directories;
            let mode = Mode::from_raw_mode(directories.mode);
            match rustix::fs::mkdirat(&self.directory, directory, mode) {
                Err(Errno::EXIST) if self.has_directory(directory) => {}
                result => result.map_err(|error| self.refused(location, error))?,
            }
            // Past the umask.
            rustix::fs::chmodat(&self.directory, directory, mode, AtFlags::empty())
                .map_err(|error| self.refused(location, error))?;
            if let Some((user, group)) = directories.owner() {
                rustix::fs::chownat(&self.directory, directory, user, group, AtFlags::empty())
                    .map_err(|error| self.refused(location, error))?;
            }
            made.insert(directory.to_owned());
        }
        Ok(())
    }

    /// Whether there is such a directory since the draft was begun.
    fn has_directory(&self, path: &str) -> bool {
        let status = || rustix::fs::statat(&self.directory, path, AtFlags::SYMLINK_NOFOLLOW);
        let is_directory =
            |status: Stat| rustix::fs::FileType::from_raw_mode(status.st_mode).is_dir();
        self.is_begun() && status().is_ok_and(is_directory)
    }

    fn refused(&self, location: &str, error: Errno) -> Refused {
        match error {
            Errno::EXIST | Errno::NOTDIR | Errno::ISDIR => Refused::File(Error::new(
                "duplicate-path",
                format!(
                    "`{location}` is delivered twice, or is a file where another secret needs a directory"
                ),
            )),
            Errno::NAMETOOLONG => Refused::File(Error::new(
                "unsafe-path",
                format!("the path `{location}` is too long"),
            )),
            _ => Refused::All(whole(&self.runtime.base, error)),
        }
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.stays {
            // The next start removes what cannot be removed now.
            let _ = remove_tree(&self.runtime.base_dir, DRAFT);
        }
    }
}
