//! What a file has besides its content.

use std::{
    fs::File,
    io,
    os::{fd::AsFd, unix::fs::MetadataExt as _},
};

use rustix::fs::{Gid, Mode, Uid, XattrFlags};

/// Attributes that are longer are none of ours.
const LONGEST_ATTRIBUTE: usize = 1 << 16;

/// Owner, group, mode and extended attributes of `old` for `new`.
pub(crate) fn keep_attributes(old: &File, new: &File) -> io::Result<()> {
    let status = old.metadata()?;
    let own = new.metadata()?;
    if (status.uid(), status.gid()) != (own.uid(), own.gid()) {
        let (owner, group) = (Uid::from_raw(status.uid()), Gid::from_raw(status.gid()));
        rustix::fs::fchown(new, Some(owner), Some(group))?;
    }
    for name in attributes(old.as_fd()) {
        let mut value = vec![0; LONGEST_ATTRIBUTE];
        let Ok(length) = rustix::fs::fgetxattr(old, name.as_slice(), &mut *value) else {
            continue;
        };
        let value = value.get(..length).unwrap_or_default();
        let set = rustix::fs::fsetxattr(new, name.as_slice(), value, XattrFlags::empty());
        // Those of the security modules are theirs to give.
        if name.starts_with(b"user.") {
            set?;
        }
    }
    // After the change of owner, which clears some bits, and after an access list, which sets some.
    rustix::fs::fchmod(new, Mode::from_raw_mode(status.mode() & 0o7777))?;
    Ok(())
}

/// Names of the extended attributes; none where the file system has none.
fn attributes(file: impl AsFd) -> Vec<Vec<u8>> {
    let mut names = vec![0; LONGEST_ATTRIBUTE];
    let Ok(length) = rustix::fs::flistxattr(file, &mut *names) else {
        return Vec::new();
    };
    let names = names.get(..length).unwrap_or_default();
    let names = names.split(|&byte| byte == 0);
    names
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}
