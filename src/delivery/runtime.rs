//! The runtime directory: the memory file system under it, the lock on it, and the link that services use.
//!
//! `/run/secrets` is a link to `/run/secrets.d/N`. Where the daemon may not write to `/run` (a hardened unit), somebody
//! else makes `/run/secrets` a link to `/run/secrets.d/current` once, and `current` is what is switched.

use std::{
    ffi::OsStr,
    fs,
    os::{
        fd::OwnedFd,
        unix::{
            ffi::OsStrExt as _,
            fs::{DirBuilderExt as _, MetadataExt as _},
        },
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, Mode, OFlags},
    io::Errno,
};

use super::{
    base::{Mounted, check_disk, create_base, lock, memory_file_system, site_directory},
    install::{Directories, Site},
    mounts::FileSystem,
};
use crate::{
    config::generations_directory,
    error::{Error, Result},
    files::{self, Trust},
};

/// Of every directory that is delivered: others may pass through it, not list it.
pub(super) const DIRECTORY_MODE: u32 = 0o751;

const NIX_STORE: &str = "/nix/store";
/// Name of the link that is switched when the one outside belongs to somebody else.
const CURRENT: &str = "current";

/// The runtime directory, prepared and locked.
pub(crate) struct Runtime {
    /// What services use, `/run/secrets`.
    pub(crate) link: PathBuf,
    /// Where generations are, `/run/secrets.d`; no link on the way to it.
    pub(super) base: PathBuf,
    /// Holds the lock.
    pub(super) base_dir: OwnedFd,
    pub(crate) file_system: FileSystem,
    pub(super) directories: Directories,
    /// The place of the link that is switched.
    switch: Switch,
    /// Whether the file system was mounted by this process.
    mounted: bool,
}

struct Switch {
    directory: OwnedFd,
    name: String,
    /// What comes before the number in the link's text.
    prefix: PathBuf,
    /// Its whole path, for messages.
    path: PathBuf,
}

impl Runtime {
    /// Prepares the place for the link `link`. `allowed` are mount points of disk file systems that may be used.
    pub(super) fn prepare(link: &Path, allowed: &[PathBuf]) -> Result<Self> {
        let (Some(parent), Some(name)) = (
            link.parent(),
            link.file_name().and_then(|name| name.to_str()),
        ) else {
            return Err(unusable(link, "is no path of a directory")
                .with_hint("choose one such as /run/secrets"));
        };
        refuse_store(link, link)?;
        let parent = fs::canonicalize(parent).map_err(|error| {
            unusable(parent, format!("cannot be opened: {error}"))
                .with_hint("create this directory, or choose another runtime directory")
        })?;
        refuse_store(&parent.join(name), link)?;
        check_parent(&parent)?;
        let base = generations_directory(&parent.join(name));
        // All that can be refused is refused before anything is made.
        let which = Which::examine(&parent.join(name), &base)?;
        let created = create_base(&base)?;
        let (base_dir, file_system, mounted) = memory_file_system(&base)?;
        if !file_system.memory {
            check_disk(link, &file_system, allowed).inspect_err(|_| {
                if created {
                    let _ = fs::remove_dir(&base);
                }
            })?;
        }
        lock(&base_dir, &base)?;
        let switch = Switch::open(which, &parent, name, &base, &base_dir)?;
        Ok(Self {
            link: link.to_owned(),
            base,
            base_dir,
            file_system,
            directories: Directories {
                mode: DIRECTORY_MODE,
                owner: None,
            },
            switch,
            mounted,
        })
    }

    /// Prepares a place that is given in full: see [`Site`]. What is there already was looked at by the caller.
    pub(super) fn at<T>(
        site: &Site,
        look: impl FnOnce() -> Result<T>,
    ) -> Result<(Self, Mounted, T)> {
        let unusable_link = |error: std::io::Error| {
            unusable(&site.link, format!("cannot become the link: {error}"))
        };
        let (Some(parent), Some(name)) = (
            site.link.parent(),
            site.link.file_name().and_then(|name| name.to_str()),
        ) else {
            return Err(unusable(&site.link, "is no path of a link"));
        };
        refuse_store(&site.link, &site.link)?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .map_err(unusable_link)?;
        let parent = fs::canonicalize(parent).map_err(unusable_link)?;
        refuse_store(&parent, &site.link)?;
        let (base_dir, file_system, mounted, looked) = site_directory(site, look)?;
        let runtime = Self {
            link: site.link.clone(),
            base: site.base.clone(),
            base_dir,
            file_system,
            directories: site.directories,
            switch: Switch {
                directory: open_directory(&parent)?,
                name: name.to_owned(),
                prefix: site.base.clone(),
                path: parent.join(name),
            },
            mounted: false,
        };
        Ok((runtime, mounted, looked))
    }

    /// The number that the link leads to; absent when there is none yet.
    pub(super) fn current(&self) -> Option<u64> {
        let target =
            rustix::fs::readlinkat(&self.switch.directory, &self.switch.name, Vec::new()).ok()?;
        let target = Path::new(OsStr::from_bytes(target.as_bytes()));
        target
            .strip_prefix(&self.switch.prefix)
            .ok()?
            .to_str()
            .and_then(generation_number)
    }

    /// Lets the link lead to generation `number`: one step for everybody who looks.
    pub(super) fn switch_to(&self, number: u64) -> Result<()> {
        let Switch {
            directory,
            name,
            prefix,
            path,
        } = &self.switch;
        let temporary = temporary_link(name);
        let failed = |error: Errno| {
            let hint = match error {
                Errno::ROFS | Errno::ACCESS | Errno::PERM => {
                    format!(
                        "let the directory of {} be writable, or make it a link to {}",
                        self.link.display(),
                        self.base.join(CURRENT).display()
                    )
                }
                _ => "the previous secrets stay in place".to_owned(),
            };
            unusable(
                path,
                format!("cannot be switched to the new generation: {error}"),
            )
            .with_hint(hint)
        };
        match rustix::fs::unlinkat(directory, &temporary, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(failed(error)),
        }
        rustix::fs::symlinkat(prefix.join(number.to_string()), directory, &temporary)
            .map_err(failed)?;
        rustix::fs::renameat(directory, &temporary, directory, name)
            .inspect_err(|_| {
                // What is left would be removed by the next switch anyway.
                let _ = rustix::fs::unlinkat(directory, &temporary, AtFlags::empty());
            })
            .map_err(failed)
    }

    /// Takes away an empty directory in the place of the link.
    pub(super) fn clear_place(&self) -> Result<()> {
        match rustix::fs::unlinkat(
            &self.switch.directory,
            &self.switch.name,
            AtFlags::REMOVEDIR,
        ) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(error) => Err(unusable(
                &self.switch.path,
                format!("is a directory in the place of the link: {error}"),
            )
            .with_hint("move its content away")),
        }
    }

    /// Takes away the link. What it leads to is the caller's.
    pub(super) fn remove_link(&self) -> Result<()> {
        match rustix::fs::unlinkat(&self.switch.directory, &self.switch.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(unusable(
                &self.switch.path,
                format!("cannot be removed: {error}"),
            )),
        }
    }

    /// Unmounts what this process mounted, and removes the empty directory.
    pub(super) fn dismantle(self) -> Result<()> {
        let Self {
            base,
            base_dir,
            mounted,
            ..
        } = self;
        drop(base_dir);
        if mounted {
            rustix::mount::unmount(&base, rustix::mount::UnmountFlags::DETACH)
                .map_err(|error| unusable(&base, format!("cannot be unmounted: {error}")))?;
        }
        // It may be a mount of somebody else's or lie in a directory that is not ours to change.
        let _ = fs::remove_dir(&base);
        Ok(())
    }

    /// Whether files should be synced before the switch.
    pub(super) fn on_disk(&self) -> bool {
        !self.file_system.memory
    }
}

/// Which link is switched.
enum Which {
    /// `/run/secrets` itself.
    Outside,
    /// `/run/secrets.d/current`.
    Inside,
}

impl Which {
    /// Looks at what is in the place of the link.
    fn examine(path: &Path, base: &Path) -> Result<Self> {
        let Ok(metadata) = fs::symlink_metadata(path) else {
            return Ok(Self::Outside);
        };
        if metadata.is_dir() {
            // An empty one may have been made by an installer; one with content is not ours to remove.
            return match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
                Ok(true) => Ok(Self::Outside),
                _ => Err(unusable(path, "is a directory in the place of the link")
                    .with_hint("move its content away, or choose another runtime directory")),
            };
        }
        if !metadata.is_symlink() {
            return Err(unusable(path, "is a file in the place of the link")
                .with_hint("remove it, or choose another runtime directory"));
        }
        // In a sticky directory such as /dev/shm others can make a link before us, and change it at any time after.
        if metadata.uid() != 0 && metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(unusable(
                path,
                format!(
                    "is a link that belongs to the user with number {}",
                    metadata.uid()
                ),
            )
            .with_hint("remove it, or choose another runtime directory"));
        }
        let target = fs::read_link(path)
            .map_err(|error| unusable(path, format!("cannot be read: {error}")))?;
        let target = path.parent().unwrap_or(Path::new("/")).join(target);
        if target == base.join(CURRENT) {
            return Ok(Self::Inside);
        }
        let below = target.strip_prefix(base).ok().and_then(Path::to_str);
        if below.and_then(generation_number).is_some() {
            return Ok(Self::Outside);
        }
        refuse_store(&fs::canonicalize(&target).unwrap_or(target.clone()), path)?;
        Err(unusable(
            path,
            format!("is a link to {}, which is not secretsd's", target.display()),
        )
        .with_hint("remove the link, or choose another runtime directory"))
    }
}

impl Switch {
    fn open(
        which: Which,
        parent: &Path,
        name: &str,
        base: &Path,
        base_dir: &OwnedFd,
    ) -> Result<Self> {
        if matches!(which, Which::Inside) {
            let directory = rustix::io::fcntl_dupfd_cloexec(base_dir, 3)
                .map_err(|error| unusable(base, format!("cannot be opened: {error}")))?;
            let path = base.join(CURRENT);
            return Ok(Self {
                directory,
                name: CURRENT.to_owned(),
                prefix: PathBuf::new(),
                path,
            });
        }
        let path = parent.join(name);
        if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
            fs::remove_dir(&path).map_err(|error| {
                unusable(
                    &path,
                    format!("is a directory in the place of the link: {error}"),
                )
                .with_hint("remove it, or choose another runtime directory")
            })?;
        }
        Ok(Self {
            directory: open_directory(parent)?,
            name: name.to_owned(),
            prefix: base.to_owned(),
            path,
        })
    }
}

/// The number in the name of a generation's directory.
pub(super) fn generation_number(name: &str) -> Option<u64> {
    let plain = name.bytes().all(|b| b.is_ascii_digit()) && !name.starts_with('0');
    name.parse().ok().filter(|_| plain)
}

pub(super) fn open_directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(|error| unusable(path, format!("cannot be opened: {error}")))
}

/// Everybody may read the store, and what is in it stays.
pub(super) fn refuse_store(path: &Path, named: &Path) -> Result<()> {
    if !path.starts_with(NIX_STORE) {
        return Ok(());
    }
    let message = if named.starts_with(NIX_STORE) {
        format!(
            "{} lies in {NIX_STORE}, which everybody can read",
            named.display()
        )
    } else {
        format!(
            "{} leads into {NIX_STORE}, which everybody can read",
            named.display()
        )
    };
    Err(Error::new("runtime-in-store", message)
        .with_hint("choose a place on a memory file system, such as /run/secrets"))
}

/// Who can replace the link decides what services read. In a sticky directory of root nobody can replace it.
fn check_parent(parent: &Path) -> Result<()> {
    match files::trust_to_make_in(parent)? {
        Trust::Untrusted(reason) => Err(Error::new(
            "untrusted",
            format!("the runtime directory is not used: {reason}"),
        )
        .with_hint("choose a directory that only root and secretsd's user can change")),
        _ => Ok(()),
    }
}

fn temporary_link(name: &str) -> String {
    format!(".{name}.secretsd-new")
}

pub(super) fn unusable(path: &Path, what: impl AsRef<str>) -> Error {
    Error::new(
        "runtime-unusable",
        format!("{} {}", path.display(), what.as_ref()),
    )
}
