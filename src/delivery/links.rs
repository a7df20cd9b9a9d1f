//! Links elsewhere: `path: /etc/app/tls.key` becomes a link to the secret below the runtime directory, never to a
//! numbered generation, so that it survives every switch.

use std::{
    ffi::OsStr,
    fs,
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt as _, MetadataExt as _, symlink},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, Gid, Mode, Uid},
    io::Errno,
};

use super::{
    generation::{directory_flags, us},
    runtime::{open_directory, refuse_store},
};
use crate::{
    error::{Error, Result},
    files::{self, Trust},
};

/// Name of a link that is not in its place yet, in a directory of its own.
const LINK: &str = "link";
/// Names for that directory that are tried.
const ATTEMPTS: u32 = 100;

/// What stands where a link should be.
enum Found {
    /// Nothing, or what may be replaced: an empty file or directory, another link.
    Free,
    /// The link.
    Made,
}

/// Whether the link at `path` can be made, before anything is changed. `generations` is where secretsd's own files are.
pub(super) fn check(path: &Path, target: &Path, generations: &Path) -> Result<()> {
    let existing = nearest_directory(path);
    let canonical = fs::canonicalize(&existing)
        .map_err(|error| refused(path, format!("cannot be made: {error}")))?;
    refuse_store(&canonical, path)?;
    if canonical.starts_with(generations) {
        return Err(refused(
            path,
            "would lie in the directory of the generations, which is secretsd's own",
        )
        .with_hint("name the path below the runtime directory as `runtime-directory` has it"));
    }
    // As it was named: who can change a link on the way decides where ours arrives.
    if let Trust::Untrusted(reason) = files::trust(&existing)? {
        return Err(refused(path, format!("is not made: {reason}")).with_hint(
            "a link is made only where nobody but root and secretsd's user can replace it",
        ));
    }
    look(path, target).map(|_| ())
}

/// Makes the link at `path`, in one step where something is replaced.
pub(super) fn make(path: &Path, target: &Path, generations: &Path) -> Result<()> {
    if matches!(look(path, target)?, Found::Made) {
        return Ok(());
    }
    check(path, target, generations)?;
    let failed = |error: std::io::Error| refused(path, format!("cannot be made: {error}"));
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(refused(path, "is no path of a file"));
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(parent)
        .map_err(failed)?;
    if path
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.is_dir())
    {
        fs::remove_dir(path).map_err(failed)?;
    }
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(".secretsd-new");
    let temporary = parent.join(temporary);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    symlink(target, &temporary).map_err(failed)?;
    fs::rename(&temporary, path).map_err(|error| {
        let _ = fs::remove_file(&temporary);
        failed(error)
    })
}

/// Whether a link to `target` can be made at `path`, whoever can write there.
pub(super) fn check_place(path: &Path, target: &Path) -> Result<()> {
    refuse_store(path, path)?;
    let existing = nearest_directory(path);
    if !existing.is_dir() {
        let what = format!("cannot be made: {} is no directory", existing.display());
        return Err(refused(path, what));
    }
    look(path, target).map(|_| ())
}

/// Makes the link at `path`, in one step, for `owner`. Others may be able to write to its directory: what they do there
/// meanwhile changes where the link is, and never what gets another owner.
pub(super) fn make_for(path: &Path, target: &Path, owner: Option<(u32, u32)>) -> Result<()> {
    if let Ok(metadata) = fs::symlink_metadata(path)
        && matches!(look(path, target)?, Found::Made)
        && owner.is_none_or(|owner| owner == (metadata.uid(), metadata.gid()))
    {
        return Ok(());
    }
    let failed = |error: std::io::Error| refused(path, format!("cannot be made: {error}"));
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(refused(path, "is no path of a file"));
    };
    let parent = match parent.as_os_str().is_empty() {
        true => Path::new("."),
        false => parent,
    };
    fs::DirBuilder::new()
        .recursive(true)
        .create(parent)
        .map_err(failed)?;
    look(path, target)?;
    let canonical = fs::canonicalize(parent).map_err(failed)?;
    refuse_store(&canonical, path)?;
    let directory = open_directory(&canonical)?;
    let temporary = Temporary::make_in(&directory).map_err(|error| failed(error.into()))?;
    temporary
        .rename_link(name, target, owner)
        .map_err(|error| failed(error.into()))
}

/// A directory that only we can change, for a moment.
struct Temporary<'d> {
    parent: &'d OwnedFd,
    name: String,
    directory: OwnedFd,
}

impl<'d> Temporary<'d> {
    fn make_in(parent: &'d OwnedFd) -> rustix::io::Result<Self> {
        let mut attempt = 0;
        let name = loop {
            let name = format!(".secretsd-{}-{attempt}", std::process::id());
            match rustix::fs::mkdirat(parent, &name, Mode::RWXU) {
                Ok(()) => break name,
                Err(Errno::EXIST) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        };
        let directory = rustix::fs::openat(parent, &name, directory_flags(), Mode::empty())?;
        // It may be another one by now.
        let status = rustix::fs::fstat(&directory)?;
        if status.st_uid != us().0 || status.st_mode & 0o077 != 0 {
            return Err(Errno::PERM);
        }
        Ok(Self {
            parent,
            name,
            directory,
        })
    }

    fn rename_link(
        &self,
        name: &OsStr,
        target: &Path,
        owner: Option<(u32, u32)>,
    ) -> rustix::io::Result<()> {
        rustix::fs::symlinkat(target, &self.directory, LINK)?;
        if let Some((user, group)) = owner {
            let (user, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(&self.directory, LINK, user, group, flags)?;
        }
        // An empty directory was found to be in order.
        match rustix::fs::unlinkat(self.parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(error) => return Err(error),
        }
        rustix::fs::renameat(&self.directory, LINK, self.parent, name)
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        let _ = rustix::fs::unlinkat(&self.directory, LINK, AtFlags::empty());
        let _ = rustix::fs::unlinkat(self.parent, &self.name, AtFlags::REMOVEDIR);
    }
}

/// Removes the link at `path`, if it is the one to `target`.
pub(super) fn remove(path: &Path, target: &Path) -> Result<()> {
    if !fs::read_link(path).is_ok_and(|found| found == target) {
        return Ok(());
    }
    fs::remove_file(path).map_err(|error| refused(path, format!("cannot be removed: {error}")))
}

fn look(path: &Path, target: &Path) -> Result<Found> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(Found::Free);
    };
    if metadata.is_symlink() {
        return Ok(if fs::read_link(path).is_ok_and(|found| found == target) {
            Found::Made
        } else {
            Found::Free
        });
    }
    let empty = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => metadata.is_file() && metadata.len() == 0,
    };
    if empty {
        return Ok(Found::Free);
    }
    Err(
        refused(path, "has content already, which is not replaced by a link")
            .with_hint("move it away, or choose another `path`"),
    )
}

fn nearest_directory(path: &Path) -> PathBuf {
    let mut ancestors = path.ancestors().skip(1);
    ancestors
        .find(|ancestor| ancestor.symlink_metadata().is_ok())
        .unwrap_or(Path::new("/"))
        .to_owned()
}

fn refused(path: &Path, what: impl AsRef<str>) -> Error {
    Error::new(
        "link-refused",
        format!("the link {} {}", path.display(), what.as_ref()),
    )
}
