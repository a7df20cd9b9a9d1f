//! The directory of the generations: made, on a memory file system, and locked.

use std::{
    fs,
    os::{fd::OwnedFd, unix::fs::DirBuilderExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, Mode},
    io::Errno,
    mount::MountFlags,
};

use super::{
    install::{MemoryKind, Site},
    mounts::{FileSystem, file_system_of},
    runtime::{DIRECTORY_MODE, open_directory, refuse_store, unusable},
};
use crate::error::{Error, Result};

/// Code of the error of a directory that somebody else has locked.
const LOCKED: &str = "runtime-locked";
/// How long a run waits for another one, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// Answers whether it was not there before.
pub(super) fn create_base(base: &Path) -> Result<bool> {
    match fs::DirBuilder::new().mode(DIRECTORY_MODE).create(base) {
        Ok(()) => return set_mode(base).map(|()| true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => {
            return Err(unusable(base, format!("cannot be created: {error}")).with_hint(match error.kind() {
                std::io::ErrorKind::PermissionDenied => "run as root, or choose a runtime directory of your own with --runtime-directory",
                std::io::ErrorKind::ReadOnlyFilesystem => "make the directory writable for secretsd, or mount a tmpfs there",
                _ => "choose another runtime directory",
            }));
        }
    }
    let metadata = fs::symlink_metadata(base)
        .map_err(|error| unusable(base, format!("cannot be opened: {error}")))?;
    if metadata.is_symlink() {
        let target = fs::canonicalize(base).unwrap_or_else(|_| base.to_owned());
        refuse_store(&target, base)?;
        return Err(
            unusable(base, "is a link").with_hint("remove it: secretsd makes the directory itself")
        );
    }
    if !metadata.is_dir() {
        return Err(unusable(base, "is not a directory")
            .with_hint("remove it: secretsd makes the directory itself"));
    }
    Ok(false)
}

/// The mode at creation passes through the umask.
fn set_mode(directory: &Path) -> Result<()> {
    rustix::fs::chmod(directory, Mode::from_raw_mode(DIRECTORY_MODE))
        .map_err(|error| unusable(directory, format!("cannot get its permissions: {error}")))
}

/// Opens `base`, after mounting a memory file system on it where that is possible and nobody did.
pub(super) fn memory_file_system(base: &Path) -> Result<(OwnedFd, FileSystem, bool)> {
    let base_dir = open_directory(base)?;
    check_owner(base, &base_dir)?;
    let file_system = file_system_of(&base_dir)?;
    if !rustix::process::geteuid().is_root()
        || (file_system.memory && file_system.is_mounted_at(base))
    {
        return Ok((base_dir, file_system, false));
    }
    // Two daemons that start at once must not mount one over the other: the lock on what lies underneath decides, and
    // the one that waited looks again.
    lock(&base_dir, base)?;
    let reopened = open_directory(base)?;
    let now = file_system_of(&reopened)?;
    if now.memory && now.is_mounted_at(base) {
        return Ok((reopened, now, false));
    }
    drop(reopened);
    if mount(base).is_err() {
        // No right to mount, or a kernel that has neither: what lies underneath must do, if it is memory.
        return Ok((base_dir, file_system, false));
    }
    let mounted = open_directory(base)?;
    let file_system = file_system_of(&mounted)?;
    Ok((mounted, file_system, true))
}

fn mount(base: &Path) -> rustix::io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    // Kernels before 6.4, and user namespaces, know no tmpfs that never swaps.
    rustix::mount::mount("secretsd", base, "tmpfs", flags, c"mode=0751,noswap")
        .or_else(|_| rustix::mount::mount("secretsd", base, "ramfs", flags, c"mode=0751"))
}

/// A mount that is taken back when this is dropped, unless it is [kept](Self::keep): what it hides is in place again.
#[derive(Default)]
pub(super) struct Mounted(Option<PathBuf>);

impl Mounted {
    pub(super) fn keep(&mut self) {
        self.0 = None;
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(base) = &self.0 {
            let _ = rustix::mount::unmount(base, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

/// Makes and mounts what [`Site`] asks for, and opens it locked. `look` is called when nobody else changes what is in place,
/// and before anything is mounted over it.
pub(super) fn site_directory<T>(
    site: &Site,
    look: impl FnOnce() -> Result<T>,
) -> Result<(OwnedFd, FileSystem, Mounted, T)> {
    let failed =
        |error: std::io::Error| unusable(&site.base, format!("cannot be created: {error}"));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(&site.base)
        .map_err(failed)?;
    let base = fs::canonicalize(&site.base).map_err(failed)?;
    refuse_store(&base, &site.base)?;
    let below = open_directory(&base)?;
    lock_patiently(&below, &site.base)?;
    // Whoever was waited for may have mounted something here.
    let directory = open_directory(&base)?;
    let file_system = file_system_of(&directory)?;
    let wanted = match site.memory {
        Some(wanted)
            if !(file_system.is_mounted_at(&base) && file_system.kind == wanted.kind()) =>
        {
            wanted
        }
        _ => {
            // It is the same directory, as a rule, and one lock would wait for the other.
            drop(below);
            check_owner(&site.base, &directory)?;
            finish(site, &directory)?;
            let looked = look()?;
            return Ok((directory, file_system, Mounted::default(), looked));
        }
    };
    drop(directory);
    let looked = look()?;
    mount_as(&base, wanted).map_err(|error| {
        unusable(
            &site.base,
            format!("cannot be mounted as {}: {error}", wanted.kind()),
        )
    })?;
    let mounted = Mounted(Some(base.clone()));
    let directory = open_directory(&base)?;
    let file_system = file_system_of(&directory)?;
    finish(site, &directory)?;
    Ok((directory, file_system, mounted, looked))
}

fn finish(site: &Site, directory: &OwnedFd) -> Result<()> {
    lock_patiently(directory, &site.base)?;
    if let Some((user, group)) = site.directories.owner() {
        rustix::fs::fchown(directory, user, group)
            .map_err(|error| unusable(&site.base, format!("cannot get its owner: {error}")))?;
    }
    Ok(())
}

fn mount_as(base: &Path, memory: MemoryKind) -> rustix::io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let mount = |options| rustix::mount::mount("none", base, memory.kind(), flags, options);
    match memory {
        MemoryKind::Ramfs => mount(c"mode=0751"),
        MemoryKind::Tmpfs => match mount(c"mode=0751,noswap") {
            Err(Errno::INVAL) => mount(c"mode=0751"),
            result => result,
        },
    }
}

/// Another run ends soon; a daemon does not.
fn lock_patiently(directory: &OwnedFd, base: &Path) -> Result<()> {
    let start = Instant::now();
    loop {
        match lock(directory, base) {
            Err(error) if error.code == LOCKED && start.elapsed() < PATIENCE => {
                std::thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

fn check_owner(base: &Path, base_dir: &OwnedFd) -> Result<()> {
    let status = rustix::fs::fstat(base_dir)
        .map_err(|error| unusable(base, format!("cannot be opened: {error}")))?;
    let us = rustix::process::geteuid().as_raw();
    if status.st_uid != us && status.st_uid != 0 {
        return Err(unusable(
            base,
            format!("belongs to the user with number {}", status.st_uid),
        )
        .with_hint("remove it, or choose another runtime directory"));
    }
    if status.st_mode & 0o022 != 0 {
        return Err(
            unusable(base, "can be written by others than its owner").with_hint(format!(
                "run `chmod go-w {}` after making sure that nothing foreign is in it",
                base.display()
            )),
        );
    }
    Ok(())
}

pub(super) fn check_disk(link: &Path, file_system: &FileSystem, allowed: &[PathBuf]) -> Result<()> {
    let point = file_system.mount_point.as_deref();
    if point.is_some_and(|point| allowed.iter().any(|allowed| allowed == point)) {
        return Ok(());
    }
    let shown = point.map_or_else(|| "an unknown place".into(), Path::to_string_lossy);
    let message = format!(
        "{} is not on a memory file system but on {} (mounted at {shown}), where plaintext would stay",
        link.display(),
        file_system.kind
    );
    Err(Error::new("runtime-on-disk", message).with_hint(format!(
        "use a directory on a tmpfs such as /run or /dev/shm; the last resort is `allow-filesystems: [{shown}]`"
    )))
}

pub(super) fn lock(base_dir: &OwnedFd, base: &Path) -> Result<()> {
    match rustix::fs::flock(base_dir, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(Error::new(
            LOCKED,
            format!("another secretsd is using {}", base.display()),
        )
        .with_hint("stop it first, or give this one a runtime directory of its own")),
        Err(error) => Err(unusable(base, format!("cannot be locked: {error}"))),
    }
}
