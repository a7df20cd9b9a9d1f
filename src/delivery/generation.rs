//! One generation: a directory that is written under a name of its own, complete before anybody can see it.

use std::{
    collections::HashSet,
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    path::Path,
    sync::{Mutex, OnceLock, PoisonError},
};

use rustix::{
    fs::{AtFlags, Gid, Mode, OFlags, Stat, Uid},
    io::Errno,
};

use super::runtime::{DIRECTORY_MODE, Runtime, generation_number, unusable};
use crate::{
    error::{Error, Result},
    secret::Secret,
};

/// Name of the directory of a generation that is not complete.
const DRAFT: &str = ".new";
/// Of that directory: files in it may not have their final owner yet.
const DRAFT_MODE: u32 = 0o700;
/// Levels of directories that are walked when something is removed; delivered paths are far below.
const DEPTH: usize = 2048;

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
    directory: OwnedFd,
}

/// A generation that is being written. Unless it is [committed](Self::commit), it disappears.
pub(super) struct Draft<'r> {
    runtime: &'r Runtime,
    directory: OwnedFd,
    made: Mutex<HashSet<String>>,
    committed: bool,
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

    /// The content of the file at `location`.
    pub(super) fn read(&self, location: &str) -> Option<Secret> {
        read(&self.directory, location).ok()
    }

    /// Whether the file at `location` holds `content`.
    fn holds(&self, location: &str, fingerprint: &Fingerprint, content: &Secret) -> bool {
        fingerprint.size == content.len() as u64
            && self
                .read(location)
                .is_some_and(|old| old.expose() == content.expose())
    }
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
            committed: false,
        })
    }

    /// Writes a new file. Nobody else can reach it before it is complete and has its owner.
    pub(super) fn write(
        &self,
        location: &str,
        content: &Secret,
        attributes: &Attributes,
    ) -> Result<Fingerprint, Refused> {
        self.make_directories(location)?;
        let failed = |error: Errno| self.refused(location, error);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, location, flags, Mode::RUSR | Mode::WUSR)
            .map_err(failed)?;
        let result = self.fill(file, content, attributes);
        result.map_err(|error| {
            // A half-written file must not be taken for a value.
            let _ = rustix::fs::unlinkat(&self.directory, location, AtFlags::empty());
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
        let Some(content) = previous.read(location) else {
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
        let _ = rustix::fs::unlinkat(&self.directory, location, AtFlags::empty());
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
        rustix::fs::fchmod(&self.directory, Mode::from_raw_mode(DIRECTORY_MODE))
            .map_err(|error| whole(&self.runtime.base, error))?;
        rustix::fs::renameat(base, DRAFT, base, number.to_string())
            .map_err(|error| whole(&self.runtime.base, error))?;
        self.committed = true;
        let directory = rustix::io::fcntl_dupfd_cloexec(&self.directory, 3)
            .map_err(|error| whole(&self.runtime.base, error))?;
        Ok(Previous { number, directory })
    }

    fn make_directories(&self, location: &str) -> Result<(), Refused> {
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
            let mode = Mode::from_raw_mode(DIRECTORY_MODE);
            rustix::fs::mkdirat(&self.directory, directory, mode)
                .map_err(|error| self.refused(location, error))?;
            // Past the umask.
            rustix::fs::chmodat(&self.directory, directory, mode, AtFlags::empty())
                .map_err(|error| self.refused(location, error))?;
            made.insert(directory.to_owned());
        }
        Ok(())
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
        if !self.committed {
            // The next start removes what cannot be removed now.
            let _ = remove_tree(&self.runtime.base_dir, DRAFT);
        }
    }
}

/// The numbers of all generations, in order.
pub(super) fn numbers(runtime: &Runtime) -> Result<Vec<u64>> {
    let mut numbers: Vec<u64> = names(&runtime.base_dir)
        .map_err(|error| whole(&runtime.base, error))?
        .iter()
        .filter_map(|name| name.to_str().ok().and_then(generation_number))
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes generation `number`.
pub(super) fn remove(runtime: &Runtime, number: u64) -> Result<()> {
    remove_tree(&runtime.base_dir, &number.to_string())
}

/// Removes from generation `number` every file that `is_wanted` does not know by its location, and the directories that
/// are left empty.
pub(super) fn retain(
    runtime: &Runtime,
    number: u64,
    is_wanted: &dyn Fn(&str) -> bool,
) -> Result<()> {
    let Some(Previous { directory, .. }) = Previous::open(runtime, number) else {
        return Ok(());
    };
    retain_below(&directory, "", is_wanted, DEPTH)
        .map(|_| ())
        .map_err(|error| {
            unusable(
                &runtime.base.join(number.to_string()),
                format!("cannot be cleaned of removed secrets: {error}"),
            )
        })
}

/// Removes what an interrupted run left unfinished.
pub(super) fn remove_draft(runtime: &Runtime) -> Result<()> {
    remove_tree(&runtime.base_dir, DRAFT)
}

/// Removes `name` and all below it; it need not exist.
fn remove_tree(parent: &OwnedFd, name: &str) -> Result<()> {
    let name = std::ffi::CString::new(name)
        .map_err(|_| unusable(Path::new(name), "is no name of a file"))?;
    remove_below(parent, &name, DEPTH).map_err(|error| {
        unusable(
            Path::new(&*name.to_string_lossy()),
            format!("cannot be removed: {error}"),
        )
    })
}

fn remove_below(parent: &OwnedFd, name: &std::ffi::CStr, depth: usize) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) if depth > 0 => {}
        Err(error) => return Err(error),
    }
    let directory = rustix::fs::openat(parent, name, directory_flags(), Mode::empty())?;
    for entry in names(&directory)? {
        remove_below(&directory, &entry, depth - 1)?;
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// Answers whether nothing is left.
fn retain_below(
    directory: &OwnedFd,
    prefix: &str,
    is_wanted: &dyn Fn(&str) -> bool,
    depth: usize,
) -> rustix::io::Result<bool> {
    let mut is_empty = true;
    for name in names(directory)? {
        let location = format!("{prefix}{}", name.to_string_lossy());
        let status = rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        let is_directory = rustix::fs::FileType::from_raw_mode(status.st_mode).is_dir();
        if is_directory && depth > 0 {
            let below = rustix::fs::openat(directory, &name, directory_flags(), Mode::empty())?;
            if retain_below(&below, &format!("{location}/"), is_wanted, depth - 1)? {
                rustix::fs::unlinkat(directory, &name, AtFlags::REMOVEDIR)?;
                continue;
            }
        } else if !is_wanted(&location) {
            rustix::fs::unlinkat(directory, &name, AtFlags::empty())?;
            continue;
        }
        is_empty = false;
    }
    Ok(is_empty)
}

fn names(directory: &OwnedFd) -> rustix::io::Result<Vec<std::ffi::CString>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if name.as_bytes() != b"." && name.as_bytes() != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

fn read(directory: &OwnedFd, location: &str) -> std::io::Result<Secret> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, location, flags, Mode::empty())?;
    let status = rustix::fs::fstat(&file)?;
    if !is_file(&status) {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    let size = usize::try_from(status.st_size).unwrap_or(0);
    let mut buffer = vec![0; size];
    // Wiped on every way out, as it belongs to a secret from here on.
    let result = File::from(file).read_exact(&mut buffer);
    let content = Secret::new(buffer);
    result.map(|()| content)
}

fn is_file(status: &Stat) -> bool {
    rustix::fs::FileType::from_raw_mode(status.st_mode).is_file()
}

#[allow(
    clippy::unnecessary_cast,
    clippy::useless_conversion,
    reason = "the types differ between architectures"
)]
fn describe(status: &Stat) -> (Fingerprint, Attributes) {
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
pub(super) fn us() -> (u32, u32) {
    static US: OnceLock<(u32, u32)> = OnceLock::new();
    *US.get_or_init(|| {
        (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        )
    })
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn whole(path: &Path, error: Errno) -> Error {
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
