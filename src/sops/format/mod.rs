//! One module per file format. Each reads source text into a [`Parsed`] and splices new text for sites and metadata
//! back into the source.

use crate::{
    secret::Secret,
    sops::tree::{MetaNode, Tree},
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
    /// Every byte of it stays.
    Keep,
}
