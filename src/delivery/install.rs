//! One generation of files that are all at hand, put at a place that is given in full. Nothing is remembered of it and
//! nothing of an earlier one is taken over: every run writes a generation of the next number.

use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Uid};

use super::{
    base::Mounted,
    draft::{Draft, Refused},
    generation::Attributes,
    links, removal,
    runtime::{Runtime, unusable},
    settle::GRACE,
};
use crate::{
    error::{Error, Result},
    secret::Secret,
};

/// Where generations are put.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// What services use; it becomes a link to a generation.
    pub(crate) link: PathBuf,
    /// Where generations are.
    pub(crate) base: PathBuf,
    /// What is mounted there; absent: nothing.
    pub(crate) memory: Option<MemoryKind>,
    pub(crate) directories: Directories,
}

/// How directories are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Directories {
    pub(crate) mode: u32,
    /// User and group; absent: whoever makes them.
    pub(crate) owner: Option<(u32, u32)>,
}

impl Directories {
    /// User and group as system calls take them.
    pub(super) fn owner(self) -> Option<(Option<Uid>, Option<Gid>)> {
        let (user, group) = self.owner?;
        Some((Some(Uid::from_raw(user)), Some(Gid::from_raw(group))))
    }
}

/// A file system in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemoryKind {
    Ramfs,
    Tmpfs,
}

impl MemoryKind {
    /// As the kernel calls it.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Ramfs => "ramfs",
            Self::Tmpfs => "tmpfs",
        }
    }
}

/// A file of the new generation.
pub(crate) struct NewFile<'f> {
    pub(crate) location: &'f str,
    pub(crate) content: &'f Secret,
    pub(crate) mode: u32,
    pub(crate) user: u32,
    pub(crate) group: u32,
}

/// A link from elsewhere to such a file.
#[derive(Clone, Debug)]
pub(crate) struct NewLink {
    pub(crate) path: PathBuf,
    pub(crate) target: PathBuf,
    /// User and group of the link itself; absent: whoever makes it.
    pub(crate) owner: Option<(u32, u32)>,
}

/// A site that is ready, and locked until this is dropped.
pub(crate) struct Installer {
    runtime: Runtime,
    mounted: Mounted,
}

impl Installer {
    /// Checks that all links can be made, and then prepares the site. `look` looks at what is in place, while nobody else
    /// changes it. What is mounted over it is taken back unless a generation is installed.
    pub(crate) fn open<T>(
        site: &Site,
        links: &[NewLink],
        look: impl FnOnce() -> Result<T>,
    ) -> Result<(Self, T)> {
        links::check_place(&site.link, &site.base)?;
        for link in links {
            links::check_place(&link.path, &link.target)?;
        }
        next_number(&site.link, &site.base)?;
        let (runtime, mounted, looked) = Runtime::at(site, look)?;
        Ok((Self { runtime, mounted }, looked))
    }

    /// What the operator should know about the place of the secrets.
    pub(crate) fn warning(&self) -> Option<Error> {
        let file_system = &self.runtime.file_system;
        let base = self.runtime.base.display();
        let kind = &file_system.kind;
        (!file_system.memory).then(|| {
            let message = format!("plaintext is written to {base} on {kind}, which is on disk: it can be recovered later");
            Error::new("runtime-on-disk", message)
        })
    }

    /// The number of the generation after the one in place.
    pub(crate) fn next_number(&self) -> Result<u64> {
        next_number(&self.runtime.link, &self.runtime.base)
    }

    /// Writes generation `number` and lets the link lead to it.
    pub(crate) fn install(&mut self, number: u64, files: &[NewFile<'_>]) -> Result<()> {
        let draft = Draft::create(&self.runtime)?;
        for file in files {
            let NewFile {
                user, group, mode, ..
            } = *file;
            let attributes = Attributes { user, group, mode };
            match draft.write(file.location, file.content, &attributes) {
                Ok(_) => {}
                Err(Refused::File(error) | Refused::All(error)) => return Err(error),
            }
        }
        // An earlier run may have come no further than this.
        removal::remove(&self.runtime, number)?;
        draft.commit(number)?;
        let switched = self
            .runtime
            .clear_place()
            .and_then(|()| self.runtime.switch_to(number));
        if switched.is_err() {
            let _ = removal::remove(&self.runtime, number);
        } else {
            self.mounted.keep();
        }
        switched
    }

    /// Makes the links from elsewhere. One that cannot be made keeps no other from being made.
    pub(crate) fn make_links(&self, links: &[NewLink]) -> Result<()> {
        let results: Vec<Result<()>> = links
            .iter()
            .map(|link| links::make_for(&link.path, &link.target, link.owner))
            .collect();
        results.into_iter().collect()
    }

    /// Removes the generations whose number is `keep` or more below `current`, the one in place.
    pub(crate) fn prune(&self, current: u64, keep: i64) -> Result<()> {
        let names = removal::names(&self.runtime.base_dir)
            .map_err(|error| unusable(&self.runtime.base, format!("cannot be read: {error}")))?;
        let last = i128::from(current) - i128::from(keep);
        let is_old = |name: &str| {
            let number = name.parse::<i64>().ok().map(i128::from);
            number.is_some_and(|number| number <= last && number != i128::from(current))
        };
        let old: Vec<&str> = names
            .iter()
            .filter_map(|name| name.to_str().ok())
            .filter(|name| is_old(name))
            .collect();
        if !old.is_empty() {
            std::thread::sleep(GRACE);
        }
        let results: Vec<Result<()>> = old
            .into_iter()
            .map(|name| removal::remove_tree(&self.runtime.base_dir, name))
            .collect();
        results.into_iter().collect()
    }

    /// Removes a file beside the generations, if it is there.
    pub(crate) fn remove_file(&self, name: &str) -> Result<()> {
        removal::remove_tree(&self.runtime.base_dir, name)
    }
}

/// The number of the generation after the one that `link` leads to, where generations are in `base`.
fn next_number(link: &Path, base: &Path) -> Result<u64> {
    let Ok(target) = std::fs::read_link(link) else {
        return Ok(1);
    };
    let below = target.as_os_str().as_encoded_bytes();
    if !below.starts_with(base.as_os_str().as_encoded_bytes()) {
        return Ok(1);
    }
    let number = target
        .file_name()
        .and_then(|name| name.to_str()?.parse::<u64>().ok()?.checked_add(1));
    number.ok_or_else(|| {
        unusable(
            link,
            format!(
                "leads to {}, whose name is no number of a generation",
                target.display()
            ),
        )
        .with_hint("remove the link")
    })
}
