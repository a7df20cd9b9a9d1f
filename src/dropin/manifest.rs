//! The manifest: what a NixOS or home-manager module of sops-nix says is to be installed.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use super::json::{Decode, fields, first_value};
use crate::{
    error::{Error, Result},
    files::{self, ReadLimit},
    limits::Limits,
    sops::format::Format,
};

/// As it is written.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    pub(super) secrets: Vec<Secret>,
    pub(super) templates: Vec<Template>,
    /// The text that stands for a secret in templates, by the secret's name.
    pub(super) placeholders: BTreeMap<String, String>,
    pub(super) mount_point: String,
    pub(super) link: String,
    /// 0: all.
    pub(super) keep_generations: i64,
    pub(super) ssh_keys: Vec<String>,
    pub(super) gnupg_home: String,
    pub(super) age_key_file: String,
    pub(super) age_ssh_keys: Vec<String>,
    pub(super) use_tmpfs: bool,
    pub(super) user_mode: bool,
    pub(super) logging: Logging,
}

/// What is told beside errors.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Logging {
    pub(super) key_import: bool,
    pub(super) secret_changes: bool,
}

/// What secrets and templates have in common.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Path in the generation.
    pub(super) name: String,
    /// Where it is wanted; a link is made there, unless it is there anyway.
    pub(super) path: String,
    pub(super) mode: String,
    /// Name of a user; goes before `uid`.
    pub(super) owner: Option<String>,
    pub(super) uid: i64,
    pub(super) group: Option<String>,
    pub(super) gid: i64,
    pub(super) restart_units: Vec<String>,
    pub(super) reload_units: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct Secret {
    pub(super) entry: Entry,
    /// Keys with slashes between them; empty: the whole document.
    pub(super) key: String,
    pub(super) sops_file: String,
    pub(super) format: FormatName,
}

#[derive(Debug, Default)]
pub(super) struct Template {
    pub(super) entry: Entry,
    /// Goes before `file`.
    pub(super) content: String,
    pub(super) file: String,
}

/// A format as a manifest names it.
#[derive(Debug, Default)]
pub(super) struct FormatName {
    known: Option<Format>,
    /// A name that is none.
    pub(super) unknown: Option<String>,
}

impl FormatName {
    pub(super) fn format(&self) -> Format {
        self.known.unwrap_or(Format::Yaml)
    }
}

impl Manifest {
    /// Reads a manifest.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let limit = ReadLimit::of_file(Limits::default().file_size);
        let text = files::read_any(path, limit)?;
        let mut manifest = Self::default();
        first_value(text.expose())
            .and_then(|value| manifest.decode(&value, ""))
            .map_err(|error| error.with_file(path))?;
        Ok(manifest)
    }

    /// In user mode `%r` stands for the runtime directory, and `%%` for one `%`.
    pub(super) fn expand(&mut self, runtime_directory: &str) {
        let secrets = self.secrets.iter_mut().map(|secret| &mut secret.entry);
        let templates = self
            .templates
            .iter_mut()
            .map(|template| &mut template.entry);
        let paths = secrets.chain(templates).map(|entry| &mut entry.path);
        for path in paths.chain([&mut self.mount_point, &mut self.link]) {
            let parts = path
                .split("%%")
                .map(|part| part.replace("%r", runtime_directory));
            *path = parts.collect::<Vec<_>>().join("%");
        }
    }

    pub(super) fn has_age_keys(&self) -> bool {
        !self.age_key_file.is_empty() || !self.age_ssh_keys.is_empty()
    }

    /// Refuses two homes of GnuPG, or one beside an age key file.
    pub(super) fn check_gnupg(&self) -> Result<()> {
        if self.gnupg_home.is_empty() {
            return Ok(());
        }
        let other = match (self.ssh_keys.is_empty(), self.age_key_file.is_empty()) {
            (false, _) => "sshKeyPaths",
            (true, false) => "ageKeyFile",
            (true, true) => return Ok(()),
        };
        let message = format!("gnupgHome and {other} exclude each other");
        Err(Error::new("manifest", message))
    }
}

impl Decode for Manifest {
    fn decode(&mut self, value: &Value, at: &str) -> Result<()> {
        fields(value, at, |name, value, at| match name {
            "secrets" => self.secrets.decode(value, at),
            "templates" => self.templates.decode(value, at),
            "placeholderbysecretname" => self.placeholders.decode(value, at),
            "secretsmountpoint" => self.mount_point.decode(value, at),
            "symlinkpath" => self.link.decode(value, at),
            "keepgenerations" => self.keep_generations.decode(value, at),
            "sshkeypaths" => self.ssh_keys.decode(value, at),
            "gnupghome" => self.gnupg_home.decode(value, at),
            "agekeyfile" => self.age_key_file.decode(value, at),
            "agesshkeypaths" => self.age_ssh_keys.decode(value, at),
            "usetmpfs" => self.use_tmpfs.decode(value, at),
            "usermode" => self.user_mode.decode(value, at),
            "logging" => self.logging.decode(value, at),
            _ => Ok(()),
        })
    }
}

impl Decode for Logging {
    fn decode(&mut self, value: &Value, at: &str) -> Result<()> {
        fields(value, at, |name, value, at| match name {
            "keyimport" => self.key_import.decode(value, at),
            "secretchanges" => self.secret_changes.decode(value, at),
            _ => Ok(()),
        })
    }
}

impl Entry {
    fn set(&mut self, name: &str, value: &Value, at: &str) -> Result<()> {
        match name {
            "name" => self.name.decode(value, at),
            "path" => self.path.decode(value, at),
            "mode" => self.mode.decode(value, at),
            "owner" => self.owner.decode(value, at),
            "uid" => self.uid.decode(value, at),
            "group" => self.group.decode(value, at),
            "gid" => self.gid.decode(value, at),
            "restartunits" => self.restart_units.decode(value, at),
            "reloadunits" => self.reload_units.decode(value, at),
            _ => Ok(()),
        }
    }
}

impl Decode for Secret {
    fn decode(&mut self, value: &Value, at: &str) -> Result<()> {
        fields(value, at, |name, value, at| match name {
            "key" => self.key.decode(value, at),
            "sopsfile" => self.sops_file.decode(value, at),
            "format" => self.format.decode(value, at),
            _ => self.entry.set(name, value, at),
        })
    }
}

impl Decode for Template {
    fn decode(&mut self, value: &Value, at: &str) -> Result<()> {
        fields(value, at, |name, value, at| match name {
            "content" => self.content.decode(value, at),
            "file" => self.file.decode(value, at),
            _ => self.entry.set(name, value, at),
        })
    }
}

impl Decode for FormatName {
    fn decode(&mut self, value: &Value, at: &str) -> Result<()> {
        let mut name = String::new();
        name.decode(value, at)?;
        self.known = Format::from_name(&name);
        self.unknown = Some(name).filter(|name| self.known.is_none() && !name.is_empty());
        Ok(())
    }
}
