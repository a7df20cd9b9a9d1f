//! From what a manifest says of a secret or a template to what can be done: a place in the generation, an owner, a mode,
//! a link. Nothing is opened here.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::manifest::Entry;
use crate::{
    config::{Place, Principal, Who, unsafe_path},
    delivery::{NewLink, Owners, us},
    error::{Error, Position, Result},
};

/// The directory of templates in a generation.
pub(super) const RENDERED: &str = "rendered";

/// `-1` leaves an owner as it is.
const UNCHANGED: i64 = -1;

/// Where an entry arrives.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    /// Path in the generation.
    pub(super) location: String,
    /// Path of the link elsewhere.
    pub(super) link: Option<PathBuf>,
}

/// Whose it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) mode: u32,
}

/// What is the same for all entries.
pub(super) struct Surroundings<'a> {
    /// The link to the generation in place, clean.
    pub(super) link: &'a Path,
    /// Whether users and groups are looked up.
    pub(super) owners: Ownership,
    /// Bits that new files do not get.
    pub(super) umask: u32,
}

/// Where owners come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// From the manifest.
    AsWritten,
    /// From the manifest, and not used: everything belongs to whoever calls.
    LookedUp,
    /// Everything belongs to whoever calls.
    Ours,
    /// Everything is root's.
    Root,
    /// They do not matter.
    Unknown,
}

impl Surroundings<'_> {
    /// Where `entry` arrives, below `directory` of the generation.
    pub(super) fn arrival(&self, entry: &Entry, directory: &str) -> Result<Arrival> {
        let name = clean_name(&entry.name).ok_or_else(|| {
            let message = format!(
                "the name `{}` is no path of a file in the generation",
                entry.name
            );
            Error::new("unsafe-path", message)
                .with_hint("a name is a relative path without `..`, such as `postgres/password`")
        })?;
        let location = match directory {
            "" => name,
            directory => format!("{directory}/{name}"),
        };
        let link = self.link_of(&entry.path, &location)?;
        Ok(Arrival { location, link })
    }

    fn link_of(&self, path: &str, location: &str) -> Result<Option<PathBuf>> {
        let refused = |what: &str| {
            let message = format!("the path `{path}` {what}");
            Err(Error::new("unsafe-path", message))
        };
        if self.owners == Ownership::Unknown && path.is_empty() {
            return Ok(None);
        }
        let climbs = path.split('/').any(|part| part == "..");
        if path.is_empty() || path.ends_with('/') || path.contains('\0') || climbs {
            return refused("is no path of a file, or it has the part `..`");
        }
        let path = clean(path);
        if path == self.link.join(location) {
            return Ok(None);
        }
        if path == self.link || self.link.starts_with(&path) {
            return refused("is the place of the secrets themselves");
        }
        Ok(Some(path))
    }

    /// Whose `entry` becomes; `masked`: the umask of the caller counts.
    pub(super) fn attributes(
        &self,
        entry: &Entry,
        masked: bool,
        users: &mut Users,
    ) -> Result<Attributes> {
        let mode = mode(&entry.mode)?;
        let (our_user, our_group) = us();
        let (user, group) = match self.owners {
            Ownership::AsWritten | Ownership::LookedUp => {
                let user = match &entry.owner {
                    Some(name) => users.user(name)?,
                    None => number(entry.uid, "uid", our_user)?,
                };
                let group = match &entry.group {
                    Some(name) => users.group(name)?,
                    None => number(entry.gid, "gid", our_group)?,
                };
                match self.owners {
                    Ownership::LookedUp => (our_user, our_group),
                    _ => (user, group),
                }
            }
            Ownership::Root => (0, 0),
            Ownership::Ours | Ownership::Unknown => (our_user, our_group),
        };
        let mode = if masked { mode & !self.umask } else { mode };
        Ok(Attributes { user, group, mode })
    }

    /// The link of an entry; without an owner in user mode.
    pub(super) fn new_link(&self, arrival: &Arrival, owner: Option<(u32, u32)>) -> Option<NewLink> {
        let path = arrival.link.clone()?;
        let target = self.link.join(&arrival.location);
        Some(NewLink {
            path,
            target,
            owner,
        })
    }

    /// Refuses links in the place of something that is delivered, or above or below it.
    pub(super) fn check_links(&self, arrivals: &[Arrival]) -> Result<()> {
        let mut taken: HashSet<PathBuf> = HashSet::new();
        let files: HashSet<PathBuf> = arrivals
            .iter()
            .map(|arrival| self.link.join(&arrival.location))
            .collect();
        for file in &files {
            let above = file.ancestors();
            taken.extend(
                above
                    .take_while(|path| *path != self.link)
                    .map(Path::to_owned),
            );
        }
        for link in arrivals.iter().filter_map(|arrival| arrival.link.as_ref()) {
            if taken.contains(link) || link.ancestors().any(|above| files.contains(above)) {
                let message = format!("the path `{}` is that of another secret", link.display());
                return Err(Error::new("duplicate-path", message));
            }
        }
        Ok(())
    }
}

/// Users and groups by name.
pub(super) struct Users {
    known: Owners,
    place: Place,
}

impl Users {
    pub(super) fn of(manifest: &Path) -> Self {
        Self {
            known: Owners::default(),
            place: Place {
                file: Arc::new(manifest.to_owned()),
                position: Position::START,
            },
        }
    }

    fn user(&mut self, name: &str) -> Result<u32> {
        let principal = self.principal(name);
        self.known.user(&principal).map_err(placeless)
    }

    pub(super) fn group(&mut self, name: &str) -> Result<u32> {
        let principal = self.principal(name);
        self.known.group(&principal).map_err(placeless)
    }

    fn principal(&self, name: &str) -> Principal {
        Principal {
            who: Who::Name(name.to_owned()),
            place: self.place.clone(),
        }
    }
}

/// A manifest is one long line: a place in it helps nobody.
fn placeless(error: Error) -> Error {
    Error {
        file: None,
        position: None,
        ..error
    }
}

/// A path as it is written, less what changes nothing.
pub(super) fn clean(path: &str) -> PathBuf {
    let mut parts: Vec<&str> = Vec::new();
    let absolute = path.starts_with('/');
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    let root = if absolute { "/" } else { "" };
    PathBuf::from(format!("{root}{}", parts.join("/")))
}

/// A name without detours; absent where it is none of a file, or climbs out.
fn clean_name(name: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    let last = name.rsplit('/').next()?;
    if matches!(last, "" | "." | "..") {
        return None;
    }
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    let name = parts.join("/");
    unsafe_path(&name).is_none().then_some(name)
}

/// Octal digits. Bits beyond permissions were dropped in silence once; whoever wrote them meant something.
fn mode(text: &str) -> Result<u32> {
    let refused = |what: &str| {
        Err(Error::new("mode", format!("the mode `{text}` {what}"))
            .with_hint("a mode is octal digits of permissions, such as 0400"))
    };
    if text.is_empty() || !text.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) {
        return refused("is no octal number");
    }
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        Ok(0o1000..=0o7777) => refused("has a set-user-ID, set-group-ID or sticky bit"),
        _ => refused("has more than permissions"),
    }
}

fn number(id: i64, what: &str, ours: u32) -> Result<u32> {
    if id == UNCHANGED {
        return Ok(ours);
    }
    // The largest one is -1 again for the kernel.
    u32::try_from(id)
        .ok()
        .filter(|id| *id != u32::MAX)
        .ok_or_else(|| Error::new("owner", format!("{id} is no {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_the_generation() {
        for (name, expected) in [
            ("a", Some("a")),
            ("./a//b", Some("a/b")),
            ("/a", Some("a")),
            ("a/../b", Some("b")),
            ("..a", Some("..a")),
            ("", None),
            (".", None),
            ("..", None),
            ("a/", None),
            ("a/..", None),
            ("../a", None),
            ("a/../../b", None),
            ("a\0b", None),
        ] {
            assert_eq!(clean_name(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn paths_without_detours() {
        for (path, expected) in [
            ("/run//secrets/", "/run/secrets"),
            ("/../run/./x/../secrets", "/run/secrets"),
            ("a/../../b", "../b"),
            ("", ""),
        ] {
            assert_eq!(clean(path), PathBuf::from(expected), "{path}");
        }
    }

    #[test]
    fn modes_are_octal_permissions() {
        for (text, expected) in [
            ("0400", 0o400),
            ("600", 0o600),
            ("0", 0),
            ("0000777", 0o777),
        ] {
            assert_eq!(mode(text).unwrap(), expected);
        }
        for text in [
            "",
            "8",
            "u=r",
            "+400",
            "0o400",
            "4755",
            "01777",
            "100400",
            "777777777777777",
        ] {
            assert!(mode(text).is_err(), "{text}");
        }
    }
}
