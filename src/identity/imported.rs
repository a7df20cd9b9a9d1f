//! The keys that a manifest of sops-nix names, beside all that sops itself would use.

use std::path::{Path, PathBuf};

use super::{
    Identities, Identity, Key,
    devices::operators_plugins,
    process::Cancel,
    source::{Environment, IDENTITY_LIMIT},
    ssh::{self, SshFile},
    text::{self, Content},
};
use crate::{
    error::{Error, Result},
    files,
};

/// The variable that the keys of a manifest take the place of.
const KEY_FILE: &str = "SOPS_AGE_KEY_FILE";

/// What came of one SSH key of a manifest.
pub(crate) struct ImportedKey {
    pub(crate) path: PathBuf,
    /// The age recipient that is derived from it, or why it is not used.
    pub(crate) result: Result<String>,
}

impl Identities {
    /// The keys of a manifest and what sops would use. An SSH key that cannot be used is told of and left out; a key file
    /// that cannot be read is an error. All keys of the manifest are one source: a damaged line discards them, as in sops.
    pub(crate) fn from_manifest(
        key_file: Option<&Path>,
        ssh_keys: &[PathBuf],
        environment: Environment<'_>,
    ) -> Result<(Self, Vec<ImportedKey>)> {
        let plugins = operators_plugins(Cancel::never());
        if key_file.is_none() && ssh_keys.is_empty() {
            return Ok((Self::from_environment(environment, plugins), Vec::new()));
        }
        let others = |name: &str| environment(name).filter(|_| name != KEY_FILE);
        let mut identities = Self::from_environment(&others, plugins);
        let mut found = Vec::new();
        let mut imported = Vec::new();
        for path in ssh_keys {
            let result = ed25519(path).map(|(identity, recipient)| {
                found.push(identity);
                recipient
            });
            let path = path.clone();
            imported.push(ImportedKey { path, result });
        }
        if let Some(path) = key_file {
            let content = files::read_any(path, IDENTITY_LIMIT)?;
            match text::lines(&path.to_string_lossy(), &content, Content::Lines) {
                Ok(more) => found.extend(more),
                Err(error) => {
                    identities.problems.push(error.with_file(path));
                    found.clear();
                }
            }
        }
        identities.add(found);
        Ok((identities, imported))
    }
}

/// The identity in an SSH key file, and the age recipient that is derived from it.
fn ed25519(path: &Path) -> Result<(Identity, String)> {
    let invalid = |what: &str| Error::new("invalid-identity", what);
    let content = files::read_any(path, IDENTITY_LIMIT)?;
    let (key, public) = match ssh::parse_private_key(&content)? {
        SshFile::Open(key, public) => (key, public),
        SshFile::Sealed(..) => return Err(invalid("it is protected by a passphrase")),
    };
    let derived = public
        .recipients
        .iter()
        .find(|text| text.starts_with("age1"));
    let Some(derived) = derived.cloned() else {
        return Err(invalid("only keys of type ed25519 have an age key"));
    };
    let name = path.to_string_lossy();
    let identity = Identity::new(&name, public.kind, public.recipients, Key::Ssh(key));
    Ok((identity, derived))
}
