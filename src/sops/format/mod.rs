//! One module per file format. Each reads source text into a [`Parsed`] and splices new text for sites and metadata
//! back into the source.

pub(crate) mod binary;
mod change;
mod dotenv;
pub(super) mod edit;
mod flat;
mod ini;
pub(crate) mod json;
pub(crate) mod yaml;

pub(super) use dotenv::text_of;

use std::{collections::BTreeMap, path::Path};

use crate::{
    error::{Error, Result},
    limits::Limits,
    secret::Secret,
    sops::{
        extract::Step,
        tree::{MetaNode, Node, SiteId, Tree},
    },
};

/// The five formats of sops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Yaml,
    Json,
    Dotenv,
    Ini,
    Binary,
}

impl Format {
    /// The format sops takes for a file of this name: a plain test of how the name ends, in this case.
    pub(crate) fn from_path(path: &Path) -> Self {
        let name = path.as_os_str().as_encoded_bytes();
        [
            (".yaml", Self::Yaml),
            (".yml", Self::Yaml),
            (".json", Self::Json),
            (".env", Self::Dotenv),
            (".ini", Self::Ini),
        ]
        .into_iter()
        .find_map(|(suffix, format)| name.ends_with(suffix.as_bytes()).then_some(format))
        .unwrap_or(Self::Binary)
    }

    /// Whether a key at the top is metadata.
    pub(super) fn reserves(self, key: &str) -> bool {
        match self {
            Self::Dotenv => key.starts_with(dotenv::PREFIX),
            _ => key == "sops",
        }
    }

    /// The format of that name, as given to `--input-type`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "yaml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            "dotenv" => Some(Self::Dotenv),
            "ini" => Some(Self::Ini),
            "binary" => Some(Self::Binary),
            _ => None,
        }
    }
}

/// A source text and what its reader found in it.
pub(crate) struct Parsed {
    /// The source exactly as given. Plaintext when a document is about to be encrypted, hence the type.
    pub(crate) source: Secret,
    pub(crate) tree: Tree,
    /// The `sops` metadata of the first document; absent in a plaintext file.
    pub(crate) metadata: Option<MetaNode>,
}

/// New content of a site.
pub(crate) enum Replacement {
    /// Plaintext in place of `ENC[...]`; the splicer decides quoting, as sops' emitter would.
    Plain(PlainValue),
    /// `ENC[...]` text in place of plaintext.
    Encrypted(String),
}

/// A decrypted value with its type (reference 2.5).
pub(crate) enum PlainValue {
    Str(Secret),
    Int(i64),
    Float(f64),
    Bool(bool),
    Time(String),
    Comment(Secret),
}

/// What happens to the metadata.
pub(crate) enum MetadataEdit<'a> {
    /// Decrypting: cut it out of every document.
    Cut,
    /// Encrypting: append it to every document.
    Add(&'a MetaNode),
    /// Re-keying: put this in its place, in every document. Only what differs is written anew, where that can be.
    Change(&'a MetaNode),
    /// Every byte of it stays.
    Keep,
    /// Encrypting again: that of this file comes back as it is written there, behind the data.
    Return(&'a Parsed),
}

/// Reads a source text. A plaintext file has no metadata; every format but binary reads it the same way.
pub(crate) fn read(format: Format, source: Secret, limits: &Limits) -> Result<Parsed> {
    if source.len() as u64 > limits.file_size {
        return Err(Error::new(
            "limit",
            format!("the file is larger than {} bytes", limits.file_size),
        )
        .with_hint("the limit is `file-size` in `limits` of the configuration"));
    }
    match format {
        Format::Yaml => yaml::read(source, limits),
        Format::Json => json::read(source, limits),
        Format::Dotenv => dotenv::read(source, limits),
        Format::Ini => ini::read(source, limits),
        Format::Binary => binary::read(source, limits),
    }
}

/// A text with `value` at `path` of its first document, where something is `present`, or of which all but the last step is.
pub(crate) fn put(
    format: Format,
    parsed: &Parsed,
    path: &[Step],
    present: bool,
    value: &Node,
) -> Result<Secret> {
    match format {
        Format::Yaml => yaml::put(parsed, path, present, value),
        Format::Json => json::put(parsed, path, present, value),
        Format::Dotenv => dotenv::put(parsed, path, value),
        Format::Ini => ini::put(parsed, path, value),
        Format::Binary => Err(no_places()),
    }
}

/// A text without what is at `path` of its first document.
pub(crate) fn remove(format: Format, parsed: &Parsed, path: &[Step]) -> Result<Secret> {
    match format {
        Format::Yaml => yaml::remove(parsed, path),
        Format::Json => json::remove(parsed, path),
        Format::Dotenv => dotenv::remove(parsed, path),
        Format::Ini => ini::remove(parsed, path),
        Format::Binary => Err(no_places()),
    }
}

fn no_places() -> Error {
    Error::new("internal", "there are no places in a binary file")
}

/// Puts new text for sites and metadata into the source. Sites without a replacement keep their text.
pub(crate) fn splice(
    format: Format,
    parsed: &Parsed,
    replacements: &BTreeMap<SiteId, Replacement>,
    metadata: MetadataEdit<'_>,
) -> Result<Secret> {
    match format {
        Format::Yaml => yaml::splice(parsed, replacements, metadata),
        Format::Json => json::splice(parsed, replacements, metadata),
        Format::Dotenv => dotenv::splice(parsed, replacements, metadata),
        Format::Ini => ini::splice(parsed, replacements, metadata),
        Format::Binary => binary::splice(parsed, replacements, metadata),
    }
}
