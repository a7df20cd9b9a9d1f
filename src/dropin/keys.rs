//! Whose keys open the files, and whose group may look into generations.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{entries::Users, run::Run};
use crate::{
    error::{Error, Result},
    escape,
    identity::Identities,
    output::Output,
};

/// The group whose members may look into generations, and what stands for it where there is none.
const GROUPS: [&str; 2] = ["keys", "nogroup"];

impl Run<'_> {
    /// The group of directories.
    pub(super) fn keys_group(&self) -> Result<u32> {
        if self.call.ignore_passwd {
            return Ok(0);
        }
        let mut users = Users::of(&self.call.manifest);
        let [keys, instead] = GROUPS;
        users
            .group(keys)
            .or_else(|_| users.group(instead))
            .map_err(|error| {
                let message = format!("there is no group `{keys}` and no group `{instead}`");
                Error::new(error.code, message).with_hint(format!("make the group `{keys}`"))
            })
    }

    pub(super) fn identities(&self, output: &mut Output) -> Result<Identities> {
        let manifest = self.manifest;
        let key_file = Some(manifest.age_key_file.as_str()).filter(|path| !path.is_empty());
        let ssh_keys: Vec<PathBuf> = manifest.age_ssh_keys.iter().map(PathBuf::from).collect();
        let environment = |name: &str| -> Option<OsString> { std::env::var_os(name) };
        let (identities, imported) =
            Identities::from_manifest(key_file.map(Path::new), &ssh_keys, &environment)?;
        for key in imported {
            let path = escape::path(&key.path);
            match key.result {
                Err(error) => {
                    let message = format!("the SSH key {path} is not used: {}", error.message);
                    output.warning(&Error::new(error.code, message));
                }
                Ok(recipient) if manifest.logging.key_import => output.aside(&format!(
                    "{}: Imported {path} as age key with fingerprint {recipient}\n",
                    super::NAME
                )),
                Ok(_) => {}
            }
        }
        for problem in identities.problems() {
            output.warning(problem);
        }
        let gnupg = !manifest.ssh_keys.is_empty() || !manifest.gnupg_home.is_empty();
        let has_age = manifest.has_age_keys() || identities.iter().next().is_some();
        match (gnupg, has_age) {
            (true, true) => output.warning(&Error::new(
                "gnupg",
                "GnuPG is not supported: gnupgHome and sshKeyPaths are ignored, and the age keys used",
            )),
            (true, false) if !manifest.secrets.is_empty() => {
                let error = Error::new(
                    "gnupg",
                    "GnuPG is not supported, and the manifest names no age key",
                );
                return Err(error.with_hint("re-key the files for an age key of this host, and set sops.age.keyFile or sops.age.sshKeyPaths"));
            }
            _ => {}
        }
        Ok(identities)
    }
}
