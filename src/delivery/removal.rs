//! Taking away: whole generations, what an interrupted run left, and removed secrets from generations that are kept.

use std::{ffi::CString, os::fd::OwnedFd, path::Path};

use rustix::{
    fs::{AtFlags, Mode},
    io::Errno,
};

use super::{
    draft::DRAFT,
    generation::{Previous, directory_flags, whole},
    runtime::{Runtime, generation_number, unusable},
};
use crate::error::Result;

/// Levels of directories that are walked; delivered paths are far below.
const DEPTH: usize = 2048;

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
pub(super) fn remove_tree(parent: &OwnedFd, name: &str) -> Result<()> {
    let name = CString::new(name).map_err(|_| unusable(Path::new(name), "is no name of a file"))?;
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

pub(super) fn names(directory: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if name.as_bytes() != b"." && name.as_bytes() != b".." {
            names.push(name);
        }
    }
    Ok(names)
}
