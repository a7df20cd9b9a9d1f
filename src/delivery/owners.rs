//! Users and groups, as the system's own name service knows them.

use std::collections::HashMap;

use super::generation::{Attributes, us};
use crate::{
    config::{Principal, Settings, Who},
    error::{Error, Result},
};

/// Looks names up, each once.
#[derive(Default)]
pub(crate) struct Owners {
    users: HashMap<String, Option<u32>>,
    groups: HashMap<String, Option<u32>>,
}

impl Owners {
    /// Owner, group and mode as numbers. What the settings leave open is whoever runs this.
    pub(super) fn attributes(&mut self, settings: &Settings) -> Result<Attributes> {
        let (user, group) = us();
        Ok(Attributes {
            user: settings
                .owner
                .as_ref()
                .map_or(Ok(user), |owner| self.user(owner))?,
            group: settings
                .group
                .as_ref()
                .map_or(Ok(group), |group| self.group(group))?,
            mode: settings.mode,
        })
    }

    /// The number of a user.
    pub(crate) fn user(&mut self, principal: &Principal) -> Result<u32> {
        look_up(&mut self.users, principal, "user", |name| {
            Ok(nix::unistd::User::from_name(name)?.map(|user| user.uid.as_raw()))
        })
    }

    /// The number of a group.
    pub(crate) fn group(&mut self, principal: &Principal) -> Result<u32> {
        look_up(&mut self.groups, principal, "group", |name| {
            Ok(nix::unistd::Group::from_name(name)?.map(|group| group.gid.as_raw()))
        })
    }
}

fn look_up(
    known: &mut HashMap<String, Option<u32>>,
    principal: &Principal,
    what: &str,
    find: impl FnOnce(&str) -> nix::Result<Option<u32>>,
) -> Result<u32> {
    let name = match &principal.who {
        Who::Id(id) => return Ok(*id),
        Who::Name(name) => name,
    };
    let found = match known.get(name) {
        Some(found) => *found,
        None => {
            // Some name services report an unknown name as one of these errors.
            let found = match find(name) {
                Ok(found) => found,
                Err(
                    nix::Error::ENOENT | nix::Error::ESRCH | nix::Error::EBADF | nix::Error::EPERM,
                ) => None,
                Err(error) => {
                    let message = format!("cannot look up the {what} `{name}`: {error}");
                    return Err(principal.place.error("owner-lookup", message));
                }
            };
            known.insert(name.clone(), found);
            found
        }
    };
    found.ok_or_else(|| {
        let error: Error = principal.place.error(
            "owner-missing",
            format!("there is no {what} `{name}` on this machine"),
        );
        error.with_hint(format!("create the {what}, or name another one"))
    })
}
